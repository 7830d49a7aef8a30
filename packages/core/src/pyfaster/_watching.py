# SPDX-License-Identifier: MIT
"""
Who tells plugins what happens in a store.

Theory of operation: there are two ways. Where nobody listens, `Watch` compares figures
with those seen before, whenever somebody takes figures. Where a plugin implements
`pyfaster_event`, a `Listener` has one thread for the store, which sleeps in the core
until something has happened there, and tells it. That thread alone tells then, so
events come in the order of time; whoever takes figures hands them to it.

The thread keeps the store's memory alive and not the store: one that is dropped is
collected, and its thread ends. Nothing in here is locked while a plugin is told, and
nobody waits for the thread but `close()`; so a plugin may do with the store what it
likes, closing included. A child that was forked off has no such thread.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from pyfaster import _cabi
from pyfaster._cabi_events import ROOM, Ears
from pyfaster._cabi_figures import kv_histograms
from pyfaster._event_records import NEWSY, errno_of, event_of
from pyfaster._stats import StoreStats
from pyfaster.errors import FasterError, PluginWarning, error_for
from pyfaster.events import (
    EventsLost,
    IndexGrown,
    IndexSaturated,
    LogSpilled,
    StoreEvent,
    WritesResumed,
    WritesStopped,
)

if TYPE_CHECKING:
    from pyfaster._cabi_events import Record
    from pyfaster._config import StoreConfig
    from pyfaster._registry import Registry

_HOOK = "pyfaster_event"

#: What the core says of one write that stopped all others: a status, 0 for none, and
#: the addresses from which and to which.
Stop = tuple[int, int, int]

_NO_STOP: Stop = (0, 0, 0)

#: Figures, what had stopped, and when they were taken, by `time.monotonic_ns`.
Taken = tuple[StoreStats, Stop, int]

#: How long the thread sleeps in the core when nothing happens.
_SLEEP_MS = 60_000

#: What `close()` waits at least for plugins that are still being told.
GRACE_S = 10.0


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

    def _of_index(self, stats: StoreStats, now: int) -> Iterator[StoreEvent]:
        buckets, size = stats.index_buckets, stats.index_bytes
        if stats.index_growths > self._growths:
            self._growths = stats.index_growths
            yield IndexGrown(self._store, self._growths, buckets, size, time_ns=now)
        if stats.index_saturated and not self._saturated:
            self._saturated = True
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


class _Watched(Protocol):
    """
    What the thread needs of a store.
    """

    name: str

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
                with suppress(IndexError):
                    self._look(self._handed.popleft())
            with suppress(IndexError):
                self._news(*self._handed.popleft())
        finally:
            self._ears.end()  # also when a plugin has ended the thread

    def _look(self, handed: Taken) -> None:
        """
        Tell what figures show, behind what has happened before they were taken.
        """
        self._drain(0)
        self._news(*handed)

    def _drain(self, timeout_ms: int) -> bool:
        """
        Wait for events, and tell all that there are. False at the end of all.
        """
        while True:
            records, lost, ended = self._ears.next(timeout_ms)
            if ended or not self._tell(records, lost):
                return False
            if len(records) < ROOM:
                return True
            timeout_ms = 0

    def _tell(self, records: list[Record], lost: int) -> bool:
        """
        Tell some events, and what figures show of them. False when the store is gone.
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
            figures = store._figures()
            if figures is not None:
                self._news(*figures)
        return True

    def _news(self, stats: StoreStats, stop: Stop, taken: int) -> None:
        store = self._ghost()
        if store is not None:
            for event in self._watch.news(stats, stop, taken):
                store._tell_event(event)


class Watching:
    """
    What a store says of itself, and to plugins.
    """

    name: str
    config: StoreConfig
    _kv: _cabi.Kv
    _registry: Registry
    _watch: Watch
    _listener: Listener | None
    _listener_lock: threading.Lock
    _plugin_errors: list[tuple[str, Exception]]
    _pid: int

    def _begin_watching(self, name: str) -> None:
        self._plugin_errors = []
        self._watch = Watch(name)
        self._listener = None
        self._listener_lock = threading.Lock()

    def stats(self) -> StoreStats:
        """
        Take a snapshot of the store's figures.

        Plugins are told what has happened since the last one (`pyfaster.events`): by
        this thread, or where the store listens, soon by the one that does.
        """
        taken = time.monotonic_ns()
        figures = StoreStats.of(_cabi.kv_stats(self._kv), kv_histograms(self._kv))
        if self.config.read_only:
            return figures  # its pages do not leave memory, which is no failure
        stop = _cabi.kv_failure(self._kv)
        listener = self._listener
        if listener is not None and listener.alive:
            listener.hand((figures, stop, taken))
            return figures
        for event in self._watch.news(figures, stop, taken):
            self.tell_plugins(_HOOK, event=event)
        return figures

    # --- listening ------------------------------------------------------------------

    def listen(self) -> None:
        """
        Tell plugins what happens from now on, by a thread of this store.

        Done when a store is opened, if a plugin that implements `pyfaster_event` is
        registered by then; for plugins that are registered later. A second call does
        nothing. The thread ends when the store is closed, or dropped.

        Raises:
            ClosedError: The store is closed.

            ForkedError: The store belongs to the parent of this process.

        Cost: a thread, and the room for `event_capacity` events, 72 bytes each. What
            happens is told off the path of operations.
        """
        if os.getpid() != self._pid:
            raise error_for(_cabi.FORKED, f"store {self.name!r}: listen")
        with self._listener_lock:
            if self._kv.closed:
                raise error_for(_cabi.CLOSED, f"store {self.name!r}: listen")
            if self._listener is None:
                self._listener = Listener(self, self._kv, self._watch)

    @property
    def listening(self) -> bool:
        """
        Whether a thread tells plugins what happens in this store.
        """
        here = os.getpid() == self._pid
        return here and self._listener is not None and self._listener.alive

    def _listen_if_heard(self) -> None:
        """
        Listen when the store is opened, if some plugin wants to hear.
        """
        if self._registry.hears(_HOOK):
            self.listen()

    def _end_listening(self, timeout: float) -> None:
        """
        Let what was told last arrive; the core has been closed.
        """
        listener = self._listener
        if listener is None or listener.join(max(timeout, GRACE_S)):
            return
        warnings.warn(
            f"store {self.name!r}: a plugin is still being told of an event of the "
            "store that was closed; what came after it may not be told",
            PluginWarning,
            stacklevel=3,
        )

    def _figures(self) -> Taken | None:
        """
        What `Watch` compares; None when there is nothing to be had.
        """
        if self.config.read_only:
            return None
        taken = time.monotonic_ns()
        try:
            figures = StoreStats.of(_cabi.kv_stats(self._kv))
        except FasterError:  # the store is being closed, which has taken them
            return None
        return figures, _cabi.kv_failure(self._kv), taken

    def _tell_event(self, event: StoreEvent) -> None:
        """
        Tell plugins where nobody could be told of a warning that is an error.
        """
        with suppress(Warning):  # `plugin_errors` has it
            self.tell_plugins(_HOOK, event=event)

    # --- plugins --------------------------------------------------------------------

    @property
    def plugin_errors(self) -> tuple[tuple[str, Exception], ...]:
        """
        What plugins raised when they were told of this store: (plugin, exception).
        """
        return tuple(self._plugin_errors)

    def tell_plugins(self, hook: str, **said: object) -> None:
        """
        Tell plugins of this store; a plugin's failure is a warning.
        """
        raised = self._registry.tell(hook, **(said or {"store": self}))
        self._plugin_errors.extend(raised)
        for plugin, error in raised:
            warnings.warn(
                f"plugin {plugin!r} raised {type(error).__name__} in {hook}: {error}",
                PluginWarning,
                stacklevel=3,
            )


__all__ = ["Listener", "Watch", "Watching"]
