# SPDX-License-Identifier: MIT
"""
From what the core has written down to the events that plugins are told.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from pyfaster._cabi import SYSTEM_LOWEST, enumerators
from pyfaster._cabi_events import OPERATIONS, REQUESTS, Record
from pyfaster.events import (
    DeviceFailed,
    DeviceRetried,
    IndexGrowing,
    IndexGrown,
    OperationSampled,
    PagesEvicted,
    PagesFlushed,
    PageTurned,
    PendingCompleted,
    StoreEvent,
)

_STATUS = enumerators("faster_status")

#: How an operation ended, by status; `hit` is what a read's success is called.
_OUTCOMES = {
    _STATUS["FASTER_OK"]: "done",
    _STATUS["FASTER_NOT_FOUND"]: "missed",
    _STATUS["FASTER_EXISTS"]: "found",
    _STATUS["FASTER_MISMATCH"]: "refused",
    _STATUS["FASTER_PENDING"]: "pending",
}


def errno_of(status: int) -> int:
    """
    The system's number of a failure; EIO for one that is not the system's.
    """
    return -status if status >= SYSTEM_LOWEST else errno.EIO


def outcome_of(kind: str, status: int) -> str:
    """
    How an operation ended, as in `StoreStats.operation_counts`.
    """
    if status < 0:
        return "failed"
    outcome = _OUTCOMES.get(status, "done")
    if (kind, outcome) == ("read", "done"):
        return "hit"
    if (kind, outcome) == ("compare", "missed"):
        return "refused"
    return outcome


def _turned(store: str, one: Record) -> StoreEvent:
    return PageTurned(store, one.words[0], one.words[1], time_ns=one.time_ns)


def _flushed(store: str, one: Record) -> StoreEvent:
    start, end, size, _ = one.words
    return PagesFlushed(store, start, end, size, one.duration_ns, time_ns=one.time_ns)


def _evicted(store: str, one: Record) -> StoreEvent:
    return PagesEvicted(store, one.words[0], one.words[1], time_ns=one.time_ns)


def _growing(store: str, one: Record) -> StoreEvent:
    return IndexGrowing(store, one.words[0], time_ns=one.time_ns)


def _grown(store: str, one: Record) -> StoreEvent:
    growths, buckets, size, _ = one.words
    return IndexGrown(
        store, growths, buckets, size, one.duration_ns, time_ns=one.time_ns
    )


def _retried(store: str, one: Record) -> StoreEvent:
    what, attempts = REQUESTS[one.words[0]], one.words[1]
    return DeviceRetried(
        store, what, errno_of(one.status), attempts, time_ns=one.time_ns
    )


def _failed(store: str, one: Record) -> StoreEvent:
    what, start, end, _ = one.words
    number = errno_of(one.status)
    return DeviceFailed(store, REQUESTS[what], number, start, end, time_ns=one.time_ns)


def _sampled(store: str, one: Record) -> StoreEvent:
    kind, sequence = OPERATIONS[one.words[0]], one.words[1]
    outcome = outcome_of(kind, one.status)
    return OperationSampled(
        store, kind, outcome, one.duration_ns, sequence, time_ns=one.time_ns
    )


def _completed(store: str, one: Record) -> StoreEvent:
    number, sequence, reads, _ = one.words
    kind = OPERATIONS[number]
    outcome = outcome_of(kind, one.status)
    return PendingCompleted(
        store, kind, outcome, one.duration_ns, reads, sequence, time_ns=one.time_ns
    )


_MAKERS: dict[str, Callable[[str, Record], StoreEvent]] = {
    "page_turned": _turned,
    "pages_flushed": _flushed,
    "pages_evicted": _evicted,
    "index_growing": _growing,
    "index_grown": _grown,
    "device_retried": _retried,
    "device_failed": _failed,
    "operation": _sampled,
    "pending_completed": _completed,
}

#: Of these the figures may say more (`pyfaster._watch.Watch`).
NEWSY = frozenset({"news", "pages_evicted", "index_grown", "device_failed"})


def event_of(store: str, record: Record) -> StoreEvent | None:
    """
    Make the event of a record; None for one that only says to look at the figures.

    Args:
        store: The store's name.

        record: What the core has written down.
    """
    make = _MAKERS.get(record.kind)
    return None if make is None else make(store, record)


__all__ = ["NEWSY", "errno_of", "event_of", "outcome_of"]
