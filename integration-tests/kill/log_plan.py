# SPDX-License-Identifier: MIT
"""
What writers append to a log, and how each life of the log ends.

An entry tells which writer's it is, its serial number and the life it was appended in;
the rest follows from these and the seed. So a reader knows of each entry whether it is
whole, and whose, without anything being written down.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from dataclasses import dataclass

from kill.plan import CLOSED_EVERY, WHERE, mix

WRITERS = 6
#: How entries become durable: by a call of each writer, by one that waits for each
#: entry, with a cookie, by the log itself after so many bytes or so long, by tasks.
STYLES = ("explicit", "group", "strong", "bytes", "seconds", "tasks")
MODES = ("operation", "parent", "operation")
#: Portions of one life, and entries of a portion.
PORTIONS, ENTRIES_MORE = 24, 10

HEAD = struct.Struct("<HHQ")


def entry(seed: int, writer: int, serial: int, life: int) -> bytes:
    """
    Give what a writer appends.
    """
    chance = mix(seed, writer, serial, life)
    length = chance % 3000 if chance % 31 == 0 else chance % 120
    filler = bytes([chance >> 8 & 255]) * length
    return HEAD.pack(writer, life & 0xFFFF, serial) + filler


def parsed(seed: int, data: bytes, life: int) -> tuple[int, int, int] | None:
    """
    Give the writer, the serial and the life of an entry; None for one that is none.

    Args:
        life: The last one that there was; an entry tells its last bits only.
    """
    if len(data) < HEAD.size:
        return None
    writer, low, serial = HEAD.unpack_from(data)
    number = (life & ~0xFFFF) | low
    number -= 0x10000 if number > life else 0  # it is of an earlier round
    right = data == entry(seed, writer, serial, number)
    return (writer, serial, number) if right else None


@dataclass(frozen=True, slots=True)
class LogLife:
    """
    One life of a log: what happens in it and how it ends.

    Attributes:
        number: How many lives were before.

        mode: How it ends. "operation": at its `operation`th change of a file, `where`
            in it; "parent": by its parent; "none": it is closed.

        writers: How many threads, or tasks, append.

        style: How what they append becomes durable.

        in_flight: Commits that may be under way at once.

        portion: With mode "parent": behind how many portions the parent is told.

        cut: Whether the end is cut off before anything is appended.

        truncate: Whether the beginning is cut off meanwhile.

        phase: Nothing; a store's lives end in phases, too.
    """

    seed: int
    number: int
    mode: str
    operation: int = 0
    where: str = ""
    writers: int = 1
    style: str = "explicit"
    in_flight: int = 1
    portion: int = 0
    cut: bool = False
    truncate: bool = False
    phase: str = ""

    def to_text(self) -> str:
        """
        One line, for the child.
        """
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_text(cls, text: str) -> LogLife:
        """
        The opposite.
        """
        return cls(**json.loads(text))


def log_life(seed: int, number: int, operation: int) -> LogLife:
    """
    The life with this number.

    Args:
        operation: At which change of a file it ends, if it is one that ends so.
    """
    chance = mix(seed, -2, number)
    closed = number % CLOSED_EVERY == CLOSED_EVERY - 1
    return LogLife(
        seed=seed,
        number=number,
        mode="none" if closed else MODES[number % len(MODES)],
        operation=operation,
        where=WHERE[chance % len(WHERE)],
        writers=1 + (chance >> 4) % WRITERS,
        style=STYLES[(chance >> 8) % len(STYLES)],
        in_flight=(1, 3)[chance >> 12 & 1],
        portion=1 + (chance >> 16) % (PORTIONS - 1),
        cut=(chance >> 24) % 5 == 0,
        truncate=(chance >> 28) % 4 == 0,
    )


__all__ = ["STYLES", "WRITERS", "LogLife", "entry", "log_life", "parsed"]
