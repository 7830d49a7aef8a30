# SPDX-License-Identifier: MIT
"""
What a log does that is compared: appends entries durably, and gives them back.

Entries have 100 bytes: a stamp of 8 bytes, little-endian, then a filler. They are made
before the clock starts, a slice of them, and go round in it: entry i has the stamp
`i % SLICE`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.generators import filler
from benchmarks.rounds import WrongAnswerError

ENTRY_SIZE = 100

#: Different entries.
SLICE = 65_536


def rows_of(first: int, count: int) -> NDArray[np.uint8]:
    """
    Give entries as rows of bytes.
    """
    rows = np.empty((count, ENTRY_SIZE), dtype=np.uint8)
    stamps = np.arange(first, first + count, dtype="<u8") % SLICE
    rows[:, :8] = stamps.view(np.uint8).reshape(-1, 8)
    rows[:, 8:] = filler(ENTRY_SIZE)
    return rows


@cache
def entries() -> list[bytes]:
    """
    Give all different entries.
    """
    return [bytes(row) for row in rows_of(0, SLICE)]


def entry(number: int) -> bytes:
    """
    Give one entry.
    """
    return entries()[number % SLICE]


def group_of(first: int, count: int) -> list[bytes]:
    """
    Give consecutive entries.
    """
    every = entries()
    return [every[number % SLICE] for number in range(first, first + count)]


def check_rows(first: int, rows: NDArray[np.uint8]) -> None:
    """
    Compare what was read with what was appended.

    Raises:
        WrongAnswerError: An entry is not the one that belongs there.
    """
    wrong = np.flatnonzero((rows != rows_of(first, len(rows))).any(axis=1))
    if len(wrong):
        raise WrongAnswerError(
            f"{len(wrong)} of {len(rows)} entries are wrong, the first of them "
            f"{first + int(wrong[0])}"
        )


def check_read(first: int, got: Sequence[bytes]) -> None:
    """
    Likewise, for entries one by one.
    """
    for number, one in enumerate(got, first):
        if bytes(one) != entry(number):
            raise WrongAnswerError(f"entry {number} is wrong: {bytes(one)[:16]!r}")


class DurableLog(ABC):
    """
    A log below a folder, made anew when there is none.
    """

    #: `load` is given so many times fewer entries than others': where each costs a
    #: sync, as many would take minutes.
    few = 1

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    @abstractmethod
    def settings(cls) -> str:
        """
        Say in a line how it is set up.
        """

    @abstractmethod
    def append_group(self, group: Sequence[bytes]) -> None:
        """
        Append entries; they are durable on return.
        """

    def load(self, first: int, count: int) -> None:
        """
        Append many entries as fast as it goes; they are durable on return.
        """
        for at in range(first, first + count, SLICE):
            self.append_group(group_of(at, min(SLICE, first + count - at)))

    @abstractmethod
    def scan(self) -> int:
        """
        Read all entries from the beginning, one by one, as bytes; give how many.
        """

    @abstractmethod
    def read(self, count: int) -> list[bytes]:
        """
        Give the first entries.
        """

    @abstractmethod
    def close(self) -> None:
        """
        Close it; the files stay.
        """

    def files(self) -> list[Path]:
        """
        Give the files that hold it.
        """
        return sorted(path for path in self.folder.rglob("*") if path.is_file())
