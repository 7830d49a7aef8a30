# SPDX-License-Identifier: MIT
"""
What opening a log has found, and the event that tells of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyfaster.events import StoreEvent
from pyfaster.flog import Damage


@dataclass(frozen=True, slots=True)
class SlotProblem:
    """
    A slot that could not be used; the other one served, and it is written anew.

    Attributes:
        name: Its file's.

        reason: What is wrong with it.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class LogRecovery:
    """
    What a log was recovered from, and what was cut off.

    Attributes:
        number: The last commit that is there.

        until: Everything below belongs to the log.

        begin: Where the log begins.

        generation: Of the life that begins now; of the last one when only reading.

        slot: The slot that the recovery began from.

        slot_number: The commit that the slot knew of.

        entries: How many entries were found committed behind the slot.

        cut_entries: How many whole entries that nothing had committed were cut off.

        cut_until: Where these ended; `until` when there were none.

        cookie: Of the last commit that had one; empty when none had.

        damage: What lies behind the last commit, when it is neither nothing nor whole:
            what a crash leaves. None of it was acknowledged.

        slots: The slots that could not be used.

        asked: The commit number that was asked for; None for the newest.

    Units: addresses, in bytes of the log.

    Source: `native/src/flog/recover.c`.
    """

    number: int
    until: int
    begin: int
    generation: int
    slot: str
    slot_number: int
    entries: int = 0
    cut_entries: int = 0
    cut_until: int = 0
    cookie: bytes = b""
    damage: Damage | None = None
    slots: tuple[SlotProblem, ...] = ()
    asked: int | None = None


@dataclass(frozen=True, slots=True)
class LogRecovered(StoreEvent):
    """
    A log that was there before was opened; told once it is open.

    Attributes:
        report: What was found, and what was cut off.
    """

    report: LogRecovery


__all__ = ["LogRecovered", "LogRecovery", "SlotProblem"]
