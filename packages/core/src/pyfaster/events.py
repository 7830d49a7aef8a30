# SPDX-License-Identifier: MIT
"""
What a store tells the hook `pyfaster_event`.

Theory of operation: the core writes down what happens off the path of operations, in a
bounded ring, once somebody listens; nobody waits for a listener, and what finds no room
is counted (`EventsLost`). One thread per store takes it from there and tells the hook
(`pyfaster._listener`). It runs when a plugin that implements the hook is registered as
the store is opened, or from `store.listen()` on, until the store is closed.

Where nobody listens, whoever asks for `stats()`, and `close()`, compares the figures
with those of the time before and tells what they show: growth, saturation, the first
spill, and how writing to the device stands. What becomes of checkpoints and recoveries
is told at once, by the thread that it happens in, whether anybody listens or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyfaster.checkpoints import CheckpointInfo, RecoveryReport


@dataclass(frozen=True, slots=True)
class StoreEvent:
    """
    Something that happened to a store.

    Two events that say the same are equal, whenever they were told.

    Attributes:
        store: The store's name.

        time_ns: When it was over.

    Units: time_ns in nanoseconds since 1970, by the system's clock. What took a while
        has its length in `duration_ns`, by a clock that never jumps.
    """

    store: str
    time_ns: int = field(default=0, kw_only=True, compare=False)


@dataclass(frozen=True, slots=True)
class IndexGrowing(StoreEvent):
    """
    The index begins to double; operations go on meanwhile.

    Attributes:
        buckets: Buckets it will have.
    """

    buckets: int


@dataclass(frozen=True, slots=True)
class IndexGrown(StoreEvent):
    """
    The index has doubled, perhaps more than once since the last event.

    Attributes:
        growths: Doublings finished since the store was opened.

        buckets: Buckets there are now.

        index_bytes: Memory of the index now.

        duration_ns: How long the last doubling took; 0 when nobody listened, or when
            the event that knew it was lost.
    """

    growths: int
    buckets: int
    index_bytes: int
    duration_ns: int = 0


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
class PageTurned(StoreEvent):
    """
    The log goes on in a new page.

    Attributes:
        page: Its number.

        address: Where it begins.
    """

    page: int
    address: int


@dataclass(frozen=True, slots=True)
class PagesFlushed(StoreEvent):
    """
    A piece of the log was written to the device.

    Written is not durable: that takes a checkpoint.

    Attributes:
        start: Its first address.

        end: The address behind the last.

        size: Its bytes.

        duration_ns: From the first try until the device said that it was done.
    """

    start: int
    end: int
    size: int
    duration_ns: int


@dataclass(frozen=True, slots=True)
class PagesEvicted(StoreEvent):
    """
    Pages have left memory: what is in them is read from the device from here on.

    Attributes:
        start: The first address that has left.

        end: The address behind the last.
    """

    start: int
    end: int


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
class DeviceRetried(StoreEvent):
    """
    A request that the device had refused or failed was tried again, and succeeded.

    Attributes:
        operation: "write", "read" or "sync".

        errno: What the last attempt that failed had come to.

        attempts: How many there were, the one that succeeded included.
    """

    operation: str
    errno: int
    attempts: int


@dataclass(frozen=True, slots=True)
class DeviceFailed(StoreEvent):
    """
    A request has failed for good.

    A write that fails stops all others (`WritesStopped`), a sync that fails all later
    checkpoints; a read that fails is the error of the operation that needed it.

    Attributes:
        operation: "write", "read" or "sync".

        errno: Why; EIO for a failure that is none of the system.

        start: The first address of the log that it was about.

        end: The address behind the last.
    """

    operation: str
    errno: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class OperationSampled(StoreEvent):
    """
    One operation in `sample_every`, with the time that it took.

    Attributes:
        kind: "read", "upsert", "insert", "delete", "discard", "rmw" or "compare".

        outcome: "hit", "miss", "done" and so on, as in `StoreStats.operation_counts`;
            "pending" where it had to wait for the device.

        duration_ns: Of the call.

        sequence: Its number, which the `PendingCompleted` of the same operation has,
            too.
    """

    kind: str
    outcome: str
    duration_ns: int
    sequence: int


@dataclass(frozen=True, slots=True)
class PendingCompleted(StoreEvent):
    """
    One of the operations that had to wait for the device is complete.

    Told of those that were sampled.

    Attributes:
        kind: As in `OperationSampled`.

        outcome: Likewise; never "pending".

        duration_ns: From its start until it was complete.

        device_reads: Records that were read from the device for it.

        sequence: That of its `OperationSampled`; 0 when there is none.
    """

    kind: str
    outcome: str
    duration_ns: int
    device_reads: int
    sequence: int


@dataclass(frozen=True, slots=True)
class EventsLost(StoreEvent):
    """
    More has happened than the listeners kept up with; what follows is newer.

    Attributes:
        count: Events that nobody is told of, since the last `EventsLost`.
    """

    count: int


@dataclass(frozen=True, slots=True)
class RecoveryDone(StoreEvent):
    """
    The store was recovered from a checkpoint; told when it is opened.

    Attributes:
        report: From which one, and what came of it.

        duration_ns: How long it took.
    """

    report: RecoveryReport
    duration_ns: int = 0


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
class CheckpointPhase(StoreEvent):
    """
    A phase of a checkpoint is over; told by the thread that takes it.

    Attributes:
        token: The checkpoint's name; "" while it has none.

        kind: "fold-over", "snapshot", "incremental" or "index".

        phase: One of `pyfaster.checkpoints.PHASES`.

        duration_ns: How long it took.
    """

    token: str
    kind: str
    phase: str
    duration_ns: int


@dataclass(frozen=True, slots=True)
class CheckpointTaken(StoreEvent):
    """
    A checkpoint is complete; told by the thread that took it.

    Attributes:
        info: What it is.

        duration_ns: How long it took, without waiting for others.
    """

    info: CheckpointInfo
    duration_ns: int = 0


@dataclass(frozen=True, slots=True)
class CheckpointFailed(StoreEvent):
    """
    A checkpoint could not be taken; told by the thread that tried.

    Attributes:
        kind: What was asked for.

        error: Why not.

        duration_ns: How long it was tried.
    """

    kind: str
    error: Exception
    duration_ns: int = 0


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
    "CheckpointPhase",
    "CheckpointTaken",
    "DeviceFailed",
    "DeviceFallback",
    "DeviceRetried",
    "EventsLost",
    "IndexGrowing",
    "IndexGrown",
    "IndexSaturated",
    "LogDiscarded",
    "LogSpilled",
    "OperationSampled",
    "PageTurned",
    "PagesEvicted",
    "PagesFlushed",
    "PendingCompleted",
    "RecoveryDone",
    "RecoveryFellBack",
    "StoreEvent",
    "WritesResumed",
    "WritesStopped",
]
