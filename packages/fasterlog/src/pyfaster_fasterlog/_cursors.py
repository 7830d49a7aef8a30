# SPDX-License-Identifier: MIT
"""
Cursors: places in a log that have a name and survive.
"""

from __future__ import annotations

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
    """

    __slots__ = ("_log", "name", "position")

    def __init__(self, log: FasterLog, name: str, position: int) -> None:
        self._log = log
        self.name = name
        self.position = position

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
            LogAddressError: It is outside of what is committed.

            DeviceError: The system refused to write a slot; the position of before
                survives.

        Cost: one small write and a sync.
        """
        position = self.position if address is None else address
        self._log._save_cursor(self.name, position)
        self.position = position

    def scan(self) -> Iterator[Entry]:
        """
        Give the entries from here to the end of what is committed.
        """
        return self._moving(self._log.scan(self.position))

    def follow(self) -> Iterator[Entry]:
        """
        The same, and wait for more, until the log is completed.
        """
        return self._moving(self._log.follow(self.position))

    def _moving(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        for entry in entries:
            self.position = entry.address
            yield entry
            if self.position == entry.address:  # else it was moved
                self.position = entry.next

    async def tail(self) -> AsyncIterator[Entry]:
        """
        As `follow`, for a task.
        """
        async for entry in self._log.tail(self.position):
            self.position = entry.address
            yield entry
            if self.position == entry.address:
                self.position = entry.next

    def __repr__(self) -> str:
        return f"<Cursor {self.name!r} at {self.position:,}>"


__all__ = ["Cursor"]
