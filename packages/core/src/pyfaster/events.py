# SPDX-License-Identifier: MIT
"""
What a store tells the hook `pyfaster_event`.

The core keeps figures and calls nobody. Whoever asks for `stats()`, and `close()`,
compares them with those of the time before and tells what has happened since: events
cost the operations nothing, and may come late. Growth, saturation and the first spill
are never lost while the store lives. Of writing to the device it is told how it stands:
a stop that is over before anybody asks has left no trace. What becomes of checkpoints
is told at once, by the thread that it happens in.
"""

from __future__ import annotations

import errno as _errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyfaster._stats import StoreStats
    from pyfaster.checkpoints import CheckpointInfo, RecoveryReport


@dataclass(frozen=True, slots=True)
class StoreEvent:
    """
    Something that happened to a store.

    Attributes:
        store: The store's name.
    """

    store: str


@dataclass(frozen=True, slots=True)
class IndexGrown(StoreEvent):
    """
    The index has doubled, perhaps more than once since the last event.

    Attributes:
        growths: Doublings finished since the store was opened.

        buckets: Buckets there are now.

        index_bytes: Memory of the index now.
    """

    growths: int
    buckets: int
    index_bytes: int


@dataclass(frozen=True, slots=True)
class IndexSaturated(StoreEvent):
    """
    The memory budget refused a doubling: lookups get slower from here on.

    Attributes:
        entries: Entries in use.

        buckets: Buckets they share.

        index_bytes: Memory of the index.
    """

    entries: int
    buckets: int
    index_bytes: int


@dataclass(frozen=True, slots=True)
class LogSpilled(StoreEvent):
    """
    The log is larger than its memory: its first pages have left it.

    Told once. Reads of keys that are only on the device wait for it from here on.

    Attributes:
        address: The first address of the log that is in memory now.
    """

    address: int


@dataclass(frozen=True, slots=True)
class WritesStopped(StoreEvent):
    """
    Writing to the device has failed and waits for the cause to be removed.

    Nothing in memory is lost, and reads go on; the store refuses what needs more
    memory. Told again when writing stops for another reason, or elsewhere. See
    `FasterKv.write_failure` and `FasterKv.resume_writes`.

    Attributes:
        errno: Of the failure.

        start: The first address of the log that could not be written.

        end: The address behind the last.

        message: What the system calls such a failure.
    """

    errno: int
    start: int
    end: int
    message: str


@dataclass(frozen=True, slots=True)
class WritesResumed(StoreEvent):
    """
    Writing to the device goes on, or is tried again, after a `WritesStopped`.
    """


@dataclass(frozen=True, slots=True)
class RecoveryDone(StoreEvent):
    """
    The store was recovered from a checkpoint; told when it is opened.

    Attributes:
        report: From which one, and what came of it.
    """

    report: RecoveryReport


@dataclass(frozen=True, slots=True)
class RecoveryFellBack(StoreEvent):
    """
    A checkpoint could not be used, and the store was recovered from an older one.

    Told when it is opened, once for each. What was committed after the older one is not
    there.

    Attributes:
        token: The checkpoint that was passed over.

        reason: What is wrong with it.
    """

    token: str
    reason: str


@dataclass(frozen=True, slots=True)
class LogDiscarded(StoreEvent):
    """
    Files of a log were removed when the store was opened: no checkpoint needs them.

    They are of a life that ended before its first checkpoint.

    Attributes:
        files: How many.

        size: Their bytes.
    """

    files: int
    size: int


@dataclass(frozen=True, slots=True)
class CheckpointTaken(StoreEvent):
    """
    A checkpoint is complete; told by the thread that took it.

    Attributes:
        info: What it is.
    """

    info: CheckpointInfo


@dataclass(frozen=True, slots=True)
class CheckpointFailed(StoreEvent):
    """
    A checkpoint could not be taken; told by the thread that tried.

    Attributes:
        kind: What was asked for.

        error: Why not.
    """

    kind: str
    error: Exception


#: What the core says of one write that stopped all others: a status, 0 for none, and
#: the addresses from which and to which.
Stop = tuple[int, int, int]

_NO_STOP: Stop = (0, 0, 0)
_CLOSED = -5004
_FORKED = -5007

#: Failures of the system are above this and are -errno; the core's are below.
_SYSTEM_LOWEST = -4095


def _stopped(store: str, stop: Stop) -> WritesStopped:
    status, start, end = stop
    number = -status if status >= _SYSTEM_LOWEST else _errno.EIO
    return WritesStopped(store, number, start, end, os.strerror(number))


class Watch:
    """
    Compares figures with those seen before.
    """

    __slots__ = ("_growths", "_saturated", "_spilled", "_stop", "_store")

    def __init__(self, store: str) -> None:
        self._store = store
        self._growths = 0
        self._saturated = False
        self._spilled = False
        self._stop = _NO_STOP

    def news(self, stats: StoreStats, stop: Stop) -> Iterator[StoreEvent]:
        """
        Give the events that these figures show.

        Args:
            stats: The store's figures.

            stop: What the core says of a write that has failed.
        """
        yield from self._of_index(stats)
        yield from self._of_device(stats, stop)

    def _of_device(self, stats: StoreStats, stop: Stop) -> Iterator[StoreEvent]:
        if stats.pages_evicted and not self._spilled:
            self._spilled = True
            yield LogSpilled(self._store, stats.address_head)
        if stop[0] in (_CLOSED, _FORKED):
            return  # says nothing of the device
        stop = stop if stop[0] else _NO_STOP
        before, self._stop = self._stop, stop
        if stop == before:
            return
        if stop == _NO_STOP:
            yield WritesResumed(self._store)
        else:
            yield _stopped(self._store, stop)

    def _of_index(self, stats: StoreStats) -> Iterator[StoreEvent]:
        if stats.index_growths > self._growths:
            self._growths = stats.index_growths
            yield IndexGrown(
                self._store, self._growths, stats.index_buckets, stats.index_bytes
            )
        if stats.index_saturated and not self._saturated:
            self._saturated = True
            yield IndexSaturated(
                self._store,
                stats.index_entries,
                stats.index_buckets,
                stats.index_bytes,
            )


@dataclass(frozen=True, slots=True)
class DeviceFallback:
    """
    A device could not be had, and another one serves in its place.

    Told when the device is opened, before there is a store.

    Attributes:
        asked: The device that was asked for, with its scheme.

        used: The scheme of the one that was opened.

        reason: Why, in words.
    """

    asked: str
    used: str
    reason: str


__all__ = [
    "CheckpointFailed",
    "CheckpointTaken",
    "DeviceFallback",
    "IndexGrown",
    "IndexSaturated",
    "LogDiscarded",
    "LogSpilled",
    "RecoveryDone",
    "RecoveryFellBack",
    "StoreEvent",
    "WritesResumed",
    "WritesStopped",
]
