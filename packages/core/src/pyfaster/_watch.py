# SPDX-License-Identifier: MIT
"""
What a store's figures show that plugins are told of.

For stores that nobody listens to, and for what the core writes no record of: figures
are compared with those seen before. `pyfaster._watching` says who takes them and when.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

from pyfaster import _cabi
from pyfaster._event_records import errno_of
from pyfaster._stats import StoreStats
from pyfaster.events import (
    IndexGrown,
    IndexSaturated,
    LogSpilled,
    StoreEvent,
    WritesResumed,
    WritesStopped,
)

#: What the core says of one write that stopped all others: a status, 0 for none, and
#: the addresses from which and to which.
Stop = tuple[int, int, int]

_NO_STOP: Stop = (0, 0, 0)

#: Figures, what had stopped, and when they were taken, by `time.monotonic_ns`.
Taken = tuple[StoreStats, Stop, int]


class Watch:
    """
    Compares figures with those seen before. Any thread may call any method.
    """

    __slots__ = (
        "_growths",
        "_lock",
        "_saturated",
        "_spilled",
        "_stop",
        "_store",
        "_taken",
    )

    def __init__(self, store: str) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._growths = 0
        self._saturated = False
        self._spilled = False
        self._stop = _NO_STOP
        self._taken = 0

    def news(
        self, stats: StoreStats, stop: Stop, taken: int | None = None
    ) -> list[StoreEvent]:
        """
        Give the events that these figures show.

        Args:
            stats: The store's figures.

            stop: What the core says of a write that has failed.

            taken: When they were taken; what is older than others that were compared
                shows nothing. Now when None.
        """
        now = time.time_ns()
        taken = time.monotonic_ns() if taken is None else taken
        with self._lock:
            if taken < self._taken:
                return []
            self._taken = taken
            return [
                *self._of_index(stats, now),
                *self._of_log(stats, now),
                *self._of_device(stop, now),
            ]

    def is_new(self, grown: IndexGrown) -> bool:
        """
        Whether nobody has been told of this growth; the figures need not show it then.
        """
        with self._lock:
            new = grown.growths > self._growths
            self._growths = max(grown.growths, self._growths)
        return new

    def allow(self) -> None:
        """
        The index may take more than before, or less: a doubling that is refused from
        now on is another one.
        """
        with self._lock:
            self._saturated = False
            self._taken = time.monotonic_ns()  # figures of before show nothing more

    def _of_index(self, stats: StoreStats, now: int) -> Iterator[StoreEvent]:
        buckets, size = stats.index_buckets, stats.index_bytes
        if stats.index_growths > self._growths:
            self._growths = stats.index_growths
            yield IndexGrown(self._store, self._growths, buckets, size, time_ns=now)
        before, self._saturated = self._saturated, stats.index_saturated
        if stats.index_saturated and not before:
            entries = stats.index_entries
            yield IndexSaturated(self._store, entries, buckets, size, time_ns=now)

    def _of_log(self, stats: StoreStats, now: int) -> Iterator[StoreEvent]:
        if stats.pages_evicted and not self._spilled:
            self._spilled = True
            yield LogSpilled(self._store, stats.address_head, time_ns=now)

    def _of_device(self, stop: Stop, now: int) -> Iterator[StoreEvent]:
        if stop[0] in (_cabi.CLOSED, _cabi.FORKED):
            return  # says nothing of the device
        stop = stop if stop[0] else _NO_STOP
        before, self._stop = self._stop, stop
        if stop == before:
            return
        if stop == _NO_STOP:
            yield WritesResumed(self._store, time_ns=now)
            return
        status, start, end = stop
        number = errno_of(status)
        text = os.strerror(number)
        yield WritesStopped(self._store, number, start, end, text, time_ns=now)


__all__ = ["Stop", "Taken", "Watch"]
