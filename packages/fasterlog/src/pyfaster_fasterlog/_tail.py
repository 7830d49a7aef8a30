# SPDX-License-Identifier: MIT
"""
Reading a log while it grows.

Theory of operation: a tail is a scan that waits where it would end. It looks whether
the log is completed before it reads what is there, so the last entries are never
missed; reading is done by a thread, some entries at a time, as it may wait for a disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Protocol

from pyfaster.errors import FasterError, LogTruncatedError
from pyfaster.flog import Commit, Entry, LogScan

#: Entries that a tail takes at a time.
SOME = 256

#: How long a thread waits before it looks whether the end was cut off, in seconds.
LOOK_S = 0.25


class Source(Protocol):
    """
    A log as tails see it.
    """

    @property
    def begin(self) -> int: ...
    @property
    def completed(self) -> bool: ...
    @property
    def committed(self) -> Commit: ...
    @property
    def _lives_seen(self) -> int: ...
    def scan(self, start: int | None = 0, /) -> LogScan: ...
    def _scan_again(self, seen: int, position: int) -> LogScan | None: ...
    def wait_committed(self, seen: int, timeout: float | None = None) -> bool: ...
    async def _wait_more(self, seen: int, lives: int) -> None: ...


class Reader:
    """
    The scan of a tail, which goes on in a later life of a log that is followed, and
    begins anew where the log begins, if that is wanted.

    Args:
        source: The log.

        start: An entry's address; None for where the log begins.

        skip_truncated: Whether what was truncated before it was read is left out.
    """

    def __init__(
        self, source: Source, start: int | None, *, skip_truncated: bool
    ) -> None:
        self._source = source
        self._skips = skip_truncated
        self._openings = source._lives_seen
        self._scan = self._scan_from(start)

    def _scan_from(self, start: int | None) -> LogScan:
        try:
            return self._source.scan(start)
        except LogTruncatedError:
            if not self._skips:
                raise
            return self._source.scan(self._source.begin)

    def some(self) -> list[Entry]:
        """
        Read what is there, not too much at once.
        """
        try:
            return list(islice(self._scan, SOME)) or self._some_later()
        except LogTruncatedError:
            if not self._skips:
                raise
            self._openings = self._source._lives_seen
            self._scan = self._source.scan(self._source.begin)
            return list(islice(self._scan, SOME))

    def still_there(self, entries: list[Entry]) -> Iterator[Entry]:
        """
        Give what was read as long as nothing was cut off since; then the scan goes on
        at the first one that was not given.

        Raises:
            LogCutError: That one was cut off.
        """
        for entry in entries:
            openings = self._source._lives_seen
            if openings != self._openings:
                later = self._source._scan_again(self._openings, entry.address)
                self._openings = openings
                self._scan = (
                    self._source.scan(entry.address) if later is None else later
                )
                return
            yield entry

    def _some_later(self) -> list[Entry]:
        """
        Go on where the log was opened anew.
        """
        openings = self._source._lives_seen
        later = self._source._scan_again(self._openings, self._scan.position)
        if later is None:
            return []
        self._openings, self._scan = openings, later
        return list(islice(later, SOME))


async def tail(
    source: Source, start: int | None, *, skip_truncated: bool
) -> AsyncIterator[Entry]:
    """
    Give committed entries, and wait for more, until the log is completed.
    """
    reader = Reader(source, start, skip_truncated=skip_truncated)
    while True:
        lives = source._lives_seen
        completed, seen = source.completed, source.committed.until
        entries = await asyncio.to_thread(reader.some)
        for entry in reader.still_there(entries):
            yield entry
        if entries:
            continue
        if completed:
            return
        await source._wait_more(seen, lives)


def follow(
    source: Source, start: int | None, *, skip_truncated: bool
) -> Iterator[Entry]:
    """
    The same for a thread, which waits itself.
    """
    reader = Reader(source, start, skip_truncated=skip_truncated)
    while True:
        lives = source._lives_seen
        completed, seen = source.completed, source.committed.until
        entries = reader.some()
        yield from reader.still_there(entries)
        if entries:
            continue
        if completed:
            return
        try:
            while source._lives_seen == lives:
                if source.wait_committed(seen, LOOK_S):
                    break
        except FasterError:
            if not source.completed:
                raise


__all__ = ["Source", "follow", "tail"]
