# SPDX-License-Identifier: MIT
"""
The crash simulator: every state that a power cut may leave, recovered and judged.

Theory of operation: a run of a store is recorded, request by request, on one clock
(`events`, `files`, `device`). From the recording follows, for each moment, what a power
cut may leave: all that a sync covered, and of the rest any part, torn or whole
(`states`). Each such image is given to a new store, and what that recovers is compared
with what was issued and what was acknowledged (`oracle`, `judge`). Durable logs go the
same way (`logs`).

    python -m crash --states 100000 --seed 1 --workers 2

A violation is one line that begins with `replay:`; `python -m crash --replay LINE`
judges that state again.
"""
