# SPDX-License-Identifier: MIT
"""What is not collected where a plugin that it is about is missing."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = (
    []
    if find_spec("pyfaster_fasterlog")
    else ["test_crash_log.py", "test_log_faults.py", "test_log_format.py"]
)
