# SPDX-License-Identifier: MIT
"""
The boundary, as `_cabi`: what happens in a store, told to one listener.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyfaster._cabi import CLOSED, Kv, _check, enumerators
from pyfaster._native import ffi, lib

#: Events that are taken in one call.
ROOM = 64

#: A smaller step of the system's clock is taken for an error of reading it: events
#: that follow each other do so by their times, too.
_CLOCK_SET_NS = 1_000_000

_KIND = "FASTER_EVENT_"


def _names(enum: str, prefix: str = _KIND) -> dict[int, str]:
    """
    The names of an enum in small letters, by number.
    """
    names = enumerators(enum).items()
    return {number: name.removeprefix(prefix).lower() for name, number in names}


#: What an event may be, and what the core calls requests and operations.
KINDS = _names("faster_event_kind")
REQUESTS = _names("faster_event_io")
OPERATIONS = _names("faster_operation_kind", "FASTER_")


@dataclass(frozen=True, slots=True)
class Record:
    """
    One event as the core has written it down.

    Attributes:
        kind: One of `KINDS`.

        status: Of what can fail.

        time_ns: When it was over, since 1970.

        duration_ns: How long it took.

        lost_before: Events lost between the one before and this one.

        words: As `enum faster_event_kind` says.
    """

    kind: str
    status: int
    time_ns: int
    duration_ns: int
    lost_before: int
    words: tuple[int, ...]


class Ears:
    """
    What a listener hears of a store.

    Keeps the core's handle, and not its owner: a store that is dropped is collected
    while somebody listens.
    """

    __slots__ = ("_c", "_count", "_epoch", "_epoch_now", "_handle", "_lost", "_room")

    def __init__(self, kv: Kv) -> None:
        self._c = kv.c
        self._handle = kv.handle  # frees the store's memory when nobody holds it
        self._room = ffi.new(f"struct faster_event[{ROOM}]")
        self._count, self._lost = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        self._epoch_now = ffi.new("int64_t *")
        self._epoch = 0

    def begin(self) -> None:
        """
        Have the core write down what happens.

        Raises:
            FasterError: The store is closed, or is listened to.
        """
        _check(lib.faster_kv_events_begin(self._c), "listening")

    def next(self, timeout_ms: int) -> tuple[list[Record], int, bool]:
        """
        Take the next events, at most `ROOM`; one thread at a time.

        Returns:
            The events; how many were lost behind them; and whether the end has come.

        Cost: one C call that may block up to `timeout_ms`, the GIL released.
        """
        figures = self._count, self._lost, self._epoch_now
        status = lib.faster_kv_events_next(
            self._c, self._room, ROOM, timeout_ms, *figures
        )
        if status == CLOSED:
            return [], 0, True
        _check(status, "listening")
        if abs(self._epoch_now[0] - self._epoch) > _CLOCK_SET_NS:
            self._epoch = int(self._epoch_now[0])
        found = [_record(self._room[i], self._epoch) for i in range(self._count[0])]
        return found, int(self._lost[0]), False

    def wake(self) -> None:
        """
        Let `next` return soon; never waits.
        """
        lib.faster_kv_events_wake(self._c)

    def end(self) -> None:
        """
        Write no more down; `next` gives what is left. Never waits.
        """
        lib.faster_kv_events_end(self._c)


def _record(event: Any, epoch: int) -> Record:
    return Record(
        KINDS[event.kind],
        int(event.status),
        epoch + int(event.end_ns),
        max(0, event.end_ns - event.begin_ns),
        int(event.lost_before),
        tuple(event.words),
    )
