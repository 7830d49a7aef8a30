# SPDX-License-Identifier: MIT
"""
The thread that tells plugins what happens in a store.

It keeps the store's memory alive and not the store: one that is dropped is collected,
and its thread ends. Nothing in here is locked while a plugin is told, and nobody waits
for the thread but `close()`; so a plugin may do with the store what it likes, closing
included. A child that was forked off has no such thread.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from pyfaster._cabi_events import ROOM, Ears
from pyfaster._event_records import NEWSY, event_of
from pyfaster.events import EventsLost, IndexGrown, StoreEvent

if TYPE_CHECKING:
    from pyfaster import _cabi
    from pyfaster._cabi_events import Record
    from pyfaster._config import StoreConfig
    from pyfaster._stats import StoreStats
    from pyfaster._watch import Stop, Taken, Watch

#: How long the thread sleeps in the core when nothing happens.
_SLEEP_MS = 60_000


class _Watched(Protocol):
    """
    What the thread needs of a store.
    """

    name: str
    config: StoreConfig

    def _tell_event(self, event: StoreEvent) -> None: ...
    def _figures(self) -> Taken | None: ...


class Listener:
    """
    The thread that tells plugins of one store.

    Args:
        store: Which; it is not kept.

        kv: Its handle in the core.

        watch: What its figures were.
    """

    def __init__(self, store: _Watched, kv: _cabi.Kv, watch: Watch) -> None:
        ears = Ears(kv)
        ears.begin()
        self._ears = ears
        self._watch = watch
        self._handed: deque[Taken] = deque(maxlen=1)
        self._due = False  # the thread's own: it has to take figures itself
        #: So many takes empty what was full, while more may come all the time.
        self._takes = store.config.event_capacity // ROOM + 1
        self._ghost = weakref.ref(store, lambda _: ears.end())
        self._thread = threading.Thread(
            target=self._run, name="pyfaster-events", daemon=True
        )
        try:
            self._thread.start()
        except BaseException:  # the interpreter ends, or there are too many
            ears.end()
            raise

    @property
    def alive(self) -> bool:
        """
        Whether it tells what happens.
        """
        return self._thread.is_alive()

    def hand(self, taken: Taken) -> None:
        """
        Have the thread tell what these figures show; never waits.
        """
        self._handed.append(taken)
        self._ears.wake()

    def join(self, timeout: float) -> bool:
        """
        Wait for the end of the thread, unless it is the one that calls.

        Returns:
            Whether it has told everything, or does so when the caller lets it go on.
        """
        if self._thread is threading.current_thread():
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # --- the thread -----------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._drain(_SLEEP_MS):
                # Until none is left: a look at the ring takes what would have woken
                # the next sleep.
                while self._due or self._handed:
                    self._look()
            with suppress(IndexError):
                self._news(*self._handed.popleft())
        finally:
            self._ears.end()  # also when a plugin has ended the thread

    def _look(self) -> None:
        """
        Tell what figures show, behind what has happened before they were taken: an
        event says more than they do.
        """
        handed = self._handed.popleft() if self._handed else None
        taken = self._taken() if self._due else None
        self._due = False
        self._drain(0)
        for one in (handed, taken):
            if one is not None:
                self._news(*one)

    def _taken(self) -> Taken | None:
        """
        Take figures; None when there are none any more.
        """
        store = self._ghost()
        return store._figures() if store is not None else None

    def _drain(self, timeout_ms: int) -> bool:
        """
        Wait for events, and tell all that there were. False at the end of all.
        """
        for _ in range(self._takes):
            records, lost, ended = self._ears.next(timeout_ms)
            if ended or not self._tell(records, lost):
                return False
            if len(records) < ROOM:
                break
            timeout_ms = 0
        return True

    def _tell(self, records: list[Record], lost: int) -> bool:
        """
        Tell some events; figures may show more of them. False when the store is gone.
        """
        store = self._ghost()
        if store is None:
            return False
        for record in records:
            if record.lost_before:
                count, when = record.lost_before, record.time_ns
                store._tell_event(EventsLost(store.name, count, time_ns=when))
            event = event_of(store.name, record)
            known = isinstance(event, IndexGrown) and not self._watch.is_new(event)
            if event is not None and not known:
                store._tell_event(event)
        if lost:
            store._tell_event(EventsLost(store.name, lost, time_ns=time.time_ns()))
        if lost or any(one.lost_before or one.kind in NEWSY for one in records):
            self._due = True
        return True

    def _news(self, stats: StoreStats, stop: Stop, taken: int) -> None:
        store = self._ghost()
        if store is not None:
            for event in self._watch.news(stats, stop, taken):
                store._tell_event(event)


__all__ = ["Listener"]
