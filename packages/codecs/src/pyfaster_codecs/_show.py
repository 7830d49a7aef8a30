# SPDX-License-Identifier: MIT
"""How an object looks in a message: short, and whatever the object is."""

from __future__ import annotations

_LENGTH = 60


def show(value: object) -> str:
    """
    Give an object's repr, cut off where it gets long.
    """
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an int of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}..."
