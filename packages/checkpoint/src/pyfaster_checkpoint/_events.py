# SPDX-License-Identifier: MIT
"""
What is told of checkpoints beside the events of the core.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyfaster.events import StoreEvent


@dataclass(frozen=True, slots=True)
class CleanUpFailed(StoreEvent):
    """
    A checkpoint that may go could not be removed; nothing else is affected, and it is
    tried again after the next one.

    Attributes:
        token: Its name; "" when it is no one in particular.

        error: Why not.
    """

    token: str
    error: Exception


__all__ = ["CleanUpFailed"]
