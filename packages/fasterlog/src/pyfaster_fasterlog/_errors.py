# SPDX-License-Identifier: MIT
"""
The errors that only a log of this distribution raises.
"""

from __future__ import annotations

from pyfaster.errors import ClosedError, FasterError


class LogCompletedError(ClosedError):
    """
    The log was completed: nothing is appended to it any more.
    """


class CommitNotFoundError(FasterError, LookupError):
    """
    The log has no commit of this number: it never had, or it was truncated.
    """


__all__ = ["CommitNotFoundError", "LogCompletedError"]
