# SPDX-License-Identifier: MIT
"""
Who is told of what: `instrument`, `uninstrument`, and the setting `telemetry`.

Theory of operation: `instrument` tells of every store and log of the process through
two providers. A store that was opened with `telemetry=True` is told of through the
global providers as long as nobody has said `instrument`: no store is told of twice.
Events are heard by a plugin that is registered when somebody wants them and not before,
since a store runs a thread for its listeners.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

import pyfaster
from pyfaster import events
from pyfaster.errors import ConfigError
from pyfaster_observability import _failures, _meters
from pyfaster_observability._failures import kept_apart
from pyfaster_observability._meters import Instruments, instruments_of
from pyfaster_observability._recent import recent
from pyfaster_observability._socket import server
from pyfaster_observability._targets import STORE, Target, targets
from pyfaster_observability._traces import Traces

LISTENER = "observability events"


class Pipeline:
    """
    Where something is told: a meter provider's instruments, and a tracer.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None, meter_provider: Any
    ) -> None:
        self.providers = (tracer_provider, meter_provider)
        self.instruments: Instruments = instruments_of(meter_provider)
        self.traces = Traces(tracer_provider)


class Listener:
    """
    Hears events of all stores, and which there are.
    """

    @pyfaster.hookimpl
    def pyfaster_store_opened(self, store: Any) -> None:
        """
        Know a store by its name before its first event.
        """
        with kept_apart("events"):
            targets.of(store)

    @pyfaster.hookimpl
    def pyfaster_store_closed(self, store: Any) -> None:
        """
        Let go what is known of a store.
        """
        with kept_apart("events"):
            control.forget(store)

    @pyfaster.hookimpl
    def pyfaster_log_closed(self, log: Any) -> None:
        """
        Let go what is known of a log.
        """
        with kept_apart("events"):
            control.forget(log)

    @pyfaster.hookimpl
    def pyfaster_event(self, event: object) -> None:
        """
        Take an event to whom it concerns.
        """
        with kept_apart("events"):
            control.hear(event)


class Control:
    """
    What is told of, and where, in this process.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._everything: Pipeline | None = None
        self._single: Pipeline | None = None
        self._listens = False
        self._watches_forks = False

    # --- what is asked for ----------------------------------------------------------

    def instrument(
        self, tracer_provider: TracerProvider | None, meter_provider: Any
    ) -> None:
        """
        Tell of everything.
        """
        with self._lock:
            now = self._everything
            if now is not None:
                same = zip(
                    now.providers, (tracer_provider, meter_provider), strict=True
                )
                if all(old is new for old, new in same):
                    return
                raise ConfigError(
                    "instrument() was called before with other providers; call "
                    "uninstrument() first"
                )
            pipeline = Pipeline(tracer_provider, meter_provider)
            if self._single is not None:
                self._single.instruments.told = tuple
            pipeline.instruments.told = targets.refresh
            self._everything = pipeline
        self.listen(None)
        for target in targets.refresh():
            self.listen(target.thing)

    def uninstrument(self) -> None:
        """
        Tell of nothing but of what was opened with `telemetry=True`.
        """
        with self._lock:
            pipeline, self._everything = self._everything, None
            if pipeline is not None:
                pipeline.instruments.told = tuple
            if self._single is not None:
                self._single.instruments.told = self._singles
        self.settle()

    def take_single(self, store: Any) -> None:
        """
        Tell of a store that was opened with `telemetry=True`.
        """
        with self._lock:
            if self._single is None:
                self._single = Pipeline(None, None)
                if self._everything is None:
                    self._single.instruments.told = self._singles
        self.listen(store)

    @staticmethod
    def _singles() -> list[Target]:
        return [one for one in targets.refresh() if is_single(one)]

    # --- events ---------------------------------------------------------------------

    def listen(self, store: Any) -> None:
        """
        Hear the events of a store, if one is given, and of those that are opened later.
        """
        with self._lock:
            if not self._listens:
                pyfaster.register(Listener(), name=LISTENER)
                self._listens = True
            if not self._watches_forks and hasattr(os, "register_at_fork"):
                self._watches_forks = True
                os.register_at_fork(after_in_child=self._begin_anew)
        if isinstance(store, pyfaster.FasterKv):
            with kept_apart("events"):
                store.listen()

    def settle(self) -> None:
        """
        Hear events no more when nobody wants them: stores that are opened then run no
        thread for it.
        """
        there = targets.refresh()
        with self._lock:
            wanted = (
                self._everything is not None
                or bool(server.paths())
                or any(map(is_single, there))
            )
            if self._listens and not wanted:
                self._listens = False
                pyfaster.unregister(LISTENER)

    def forget(self, thing: object) -> None:
        """
        Let go what is known of a store or log that is closed.
        """
        server.remove(thing)
        _meters.forget_views()
        target = targets.of(thing)
        recent.forget(target)
        for pipeline in (self._everything, self._single):
            if pipeline is not None:
                pipeline.traces.forget(target.namespace)
        targets.forget(thing)
        self.settle()

    def tells(self, meter_provider: object) -> bool:
        """
        Whether everything is told of through this provider.
        """
        now = self._everything
        return now is not None and now.providers[1] is meter_provider

    def hear(self, event: object) -> None:
        """
        Take an event to whom it concerns.
        """
        if not isinstance(event, events.StoreEvent):
            return
        target = targets.named(event.store)
        if target is None:
            return
        with kept_apart("events"):
            note_checkpoint(target, event)
        recent.add(target, event)
        pipeline = self._everything
        if pipeline is None and is_single(target):
            pipeline = self._single
        if pipeline is not None:
            pipeline.traces.tell(event, target.namespace)

    def _begin_anew(self) -> None:
        """
        After fork(), in the child: locks may have been held, and the stores are the
        parent's.
        """
        self._lock = threading.RLock()
        targets.begin_anew()
        recent.begin_anew()
        _failures._begin_anew()
        _meters.begin_anew()
        for pipeline in (self._everything, self._single):
            if pipeline is not None:
                pipeline.traces.begin_anew()


def is_single(target: Target) -> bool:
    """
    Whether a target was opened with `telemetry=True`.
    """
    thing = target.ref()
    return target.kind == STORE and bool(thing is not None and thing.config.telemetry)


def note_checkpoint(target: Target, event: events.StoreEvent) -> None:
    """
    Keep what an event says of checkpoints, for the metrics.
    """
    said = target.checkpoints
    if isinstance(event, events.CheckpointTaken):
        kind = event.info.kind
        said.taken[kind] = said.taken.get(kind, 0) + 1
        said.total_ns += event.duration_ns
        said.last_ns = event.duration_ns
        said.last_size = event.info.size
        said.created = event.info.created
    elif isinstance(event, events.CheckpointFailed):
        said.failed[event.kind] = said.failed.get(event.kind, 0) + 1
    elif isinstance(event, events.RecoveryDone):
        store = target.ref()
        found = [] if store is None else store.checkpoints()
        for info in found:
            if info.token == event.report.token:
                said.created = info.created
                said.last_size = info.size


#: What is told of in this process.
control = Control()


def instrument(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """
    Tell of all stores and logs of this process, those that are open and those to come.

    A second call with the same providers changes nothing.

    Args:
        tracer_provider: Where spans go; the global provider when None.

        meter_provider: Where metrics go; the global provider when None.

    Raises:
        ConfigError: It was called with other providers, and not undone.

    Cost: a store runs one thread for its events from here on. A collection asks each
    store and log once for its figures.
    """
    control.instrument(tracer_provider, meter_provider)


def uninstrument() -> None:
    """
    Undo `instrument`; stores that were opened with `telemetry=True` are told of as if
    it had not been called.
    """
    control.uninstrument()


__all__ = ["Control", "control", "instrument", "is_single", "uninstrument"]
