# SPDX-License-Identifier: MIT
"""
Cursors: places in a log that have a name and survive.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from pyfaster.flog import Entry

if TYPE_CHECKING:
    from pyfaster_fasterlog._log import FasterLog


class Cursor:
    """
    A place in a log, made by `FasterLog.cursor`; one thread or task uses it.

    While entries are taken from `scan`, `follow` or `tail`, the cursor stands at the
    one that was given last, and moves on when the next one is asked for. So what is
    saved inside the loop is behind everything but the entry at hand; to save that one,
    too, say `save(entry.next)`.

    Attributes:
        name: What it is called.

        position: The address of the next entry; moving it saves nothing.

    Units: addresses, in bytes of the log.
    """

    __slots__ = ("_era", "_given", "_log", "name", "position")

    def __init__(self, log: FasterLog, name: str, position: int) -> None:
        self._log = log
        self.name = name
        self.position = position
        self._era = log._era
        self._given: tuple[int, ...] = ()  # where entries were met

    @property
    def saved(self) -> int | None:
        """
        The position that survives; None before the first `save`.
        """
        return self._log.cursors().get(self.name)

    def save(self, address: int | None = None) -> None:
        """
        Have a position survive a crash.

        Args:
            address: An address that an entry, or `append`, has told; the cursor moves
                there. None: where it stands.

        Raises:
            LogAddressError: It is no entry's, or not committed.

            DeviceError: The system refused to write a slot; the position of before
                survives.

        Cost: one small write and a sync; a read, unless the entry was just given here.
        """
        position = self.position if address is None else address
        era = self._era if position in self._given else -1
        self._log._save_cursor(self.name, position, era)
        self.position = position

    async def save_async(self, address: int | None = None) -> None:
        """
        Have a position survive a crash, in a thread of the loop's; see `save`.
        """
        await asyncio.to_thread(self.save, address)

    def scan(self) -> Iterator[Entry]:
        """
        Give the entries from here to the end of what is committed.

        Raises:
            LogTruncatedError, LogCutError, CorruptLogError, DeviceError, ClosedError:
                As from the log's `scan`.
        """
        self._begin()
        return self._moving(self._log.scan(self.position))

    def follow(self) -> Iterator[Entry]:
        """
        Give the entries from here on, and wait for more, until the log is completed.
        Raises as the log's `follow` does.
        """
        self._begin()
        return self._moving(self._log.follow(self.position))

    def _moving(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        for entry in entries:
            self._meet(entry)
            yield entry
            if self.position == entry.address:  # else it was moved
                self.position = entry.next

    def _begin(self) -> None:
        self._given = ()
        self._era = self._log._era

    def _meet(self, entry: Entry) -> None:
        self.position = entry.address
        self._given = (entry.address, entry.next)

    async def tail(self) -> AsyncIterator[Entry]:
        """
        As `follow`, for a task.
        """
        self._begin()
        async for entry in self._log.tail(self.position):
            self._meet(entry)
            yield entry
            if self.position == entry.address:
                self.position = entry.next

    def __repr__(self) -> str:
        return f"<Cursor {self.name!r} at {self.position:,}>"


__all__ = ["Cursor"]
