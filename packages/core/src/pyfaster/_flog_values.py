# SPDX-License-Identifier: MIT
"""
What is said of a durable log: plain values, safe to keep and to compare.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Where a new log begins.
FIRST = 64

#: Bytes before each payload.
HEADER = 16

#: What damage is, in the order of `enum faster_flog_damage_kind`; the first is none.
DAMAGES = ("", "absent", "header", "bounds", "checksum", "stale", "short")

_SENTENCES = {
    "absent": "there are zeros where an entry should be",
    "header": "there is a header that no entry has",
    "bounds": "an entry's length does not fit where it is",
    "checksum": "the bytes are not the ones that were written",
    "stale": "there is an entry of another life of the log",
    "short": "the device ends there",
}


@dataclass(frozen=True, slots=True)
class Life:
    """
    From one opening of a log, or a cut of its end, to the next.

    Attributes:
        generation: Its number; its entries carry the lowest 16 bits.

        first: The first address that it wrote.

        until: The address behind the last; 0: it goes on.
    """

    generation: int
    first: int
    until: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """
    What is durable.

    Attributes:
        number: Of the commit; ascending from 1, and 0 before the first.

        until: Everything below this address is durable.
    """

    number: int
    until: int


@dataclass(frozen=True, slots=True)
class Damage:
    """
    Where a log is damaged, and how.

    Attributes:
        address: Of the entry that should be there.

        what: "absent", "header", "bounds", "checksum", "stale" or "short".

        expected: A checksum or a generation, where `what` is of one.

        found: What is there in its place.
    """

    address: int
    what: str
    expected: int = 0
    found: int = 0

    def __str__(self) -> str:
        text = f"at address {self.address:,} {_SENTENCES[self.what]}"
        if self.what in ("checksum", "stale"):
            text += f" (0x{self.found:x} instead of 0x{self.expected:x})"
        return text


@dataclass(frozen=True, slots=True)
class Slot:
    """
    What is kept of a log outside of it; there are two, and the newer valid one counts.

    Attributes:
        sequence: The larger one is the newer slot.

        log_id: The log's, which seeds its checksums.

        page_size: The log's, for good.

        begin: Where the log begins.

        until: Everything below is durable.

        number: Of the last commit.

        lives: Of the log, the last one is that of its writer.

        attachment: Whatever the user of the log keeps there.
    """

    sequence: int
    log_id: int
    page_size: int
    begin: int
    until: int
    number: int
    lives: tuple[Life, ...]
    attachment: bytes = b""


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """
    What an entry of kind 2 says.

    Attributes:
        number: Of the commit.

        begin: Where the log began when it was written.

        until: The commit covers everything below.

        durable: What was known to be durable when it was written.

        cookie: Given by who committed.

        attachment: What was attached to commits at that time.
    """

    number: int
    begin: int
    until: int
    durable: int
    cookie: bytes = b""
    attachment: bytes = b""


@dataclass(frozen=True, slots=True)
class Found:
    """
    What a recovery found behind a slot's `until`.

    Attributes:
        number: Of the last commit that is whole, or the slot's.

        until: Everything below belongs to the log; the rest is cut off.

        entries: How many lie between the slot's `until` and this one.

        cut_entries: How many were whole beyond it, and not committed.

        cut_until: Where these end.

        record: Address of the last commit's record; 0: there is none since.

        begin: Where the log begins, as that record says; 0: there is none.

        cookie: The record's.

        attachment: The record's.

        damage: What ended it; None: nothing was written there.
    """

    number: int
    until: int
    entries: int
    cut_entries: int
    cut_until: int
    record: int
    begin: int
    cookie: bytes
    attachment: bytes
    damage: Damage | None


__all__ = [
    "DAMAGES",
    "FIRST",
    "HEADER",
    "Commit",
    "CommitRecord",
    "Damage",
    "Found",
    "Life",
    "Slot",
]
