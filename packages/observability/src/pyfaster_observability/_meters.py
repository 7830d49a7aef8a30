# SPDX-License-Identifier: MIT
"""
Metrics as observable instruments of a meter provider.

Theory of operation: a reader collects by calling the callback of every instrument, one
after another. All of them are to speak of the same moment, and `stats()` is to be asked
once. So a snapshot of all targets serves each instrument once: an instrument that comes
a second time begins the next collection. Readers that collect at the same time share
snapshots, or take some more; each value is one that a store has told.

OpenTelemetry has no way to take an instrument back. Instruments of a provider are made
once, and say nothing while nobody is told of.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from opentelemetry.metrics import (
    CallbackOptions,
    Meter,
    MeterProvider,
    Observation,
    get_meter,
)

from pyfaster.errors import ClosedError
from pyfaster_observability._failures import kept_apart, note
from pyfaster_observability._log_metrics import LOG_METRICS
from pyfaster_observability._metrics import (
    COUNTER,
    GAUGE,
    Metric,
    StoreView,
)
from pyfaster_observability._store_metrics import STORE_METRICS
from pyfaster_observability._targets import LOG, STORE, Target
from pyfaster_observability._version import __version__

#: The name under which meters and tracers are known.
SCOPE = "pyfaster"
SYSTEM = "pyfaster"

METRICS = {STORE: STORE_METRICS, LOG: LOG_METRICS}

Told = Callable[[], Iterable[Target]]
Views = list[tuple[Target, Any]]


def attributes_of(target: Target) -> dict[str, str]:
    """
    What every value and every span says of where it is from.
    """
    return {"db.system.name": SYSTEM, "db.namespace": target.namespace}


def view_of(target: Target) -> Any:
    """
    A target's figures now; None when it is closed.
    """
    thing = target.thing
    if thing is None:
        return None
    try:
        stats = thing.stats()
        if target.kind == LOG:
            return stats
        stopped = thing.write_failure is not None
    except ClosedError:
        return None  # just now
    return StoreView(stats, target.checkpoints, stopped, time.time())


class Snapshots:
    """
    Figures of all targets, asked for once in a collection.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._views: Views = []
        self._served: set[str] = set()
        self._fresh = False

    def serve(self, name: str, told: Told) -> Views:
        """
        Give the views for an instrument, taken anew when it has had these.
        """
        with self._lock:
            if self._fresh and name not in self._served:
                self._served.add(name)
                return self._views
        views: Views = []
        for target in told():
            with kept_apart("metrics"):
                view = view_of(target)
                if view is not None:
                    views.append((target, view))
        with self._lock:
            self._views, self._served, self._fresh = views, {name}, True
        return views

    def drop(self) -> None:
        """
        Keep nothing of stores that may be closed.
        """
        with self._lock:
            self._views, self._served, self._fresh = [], set(), False

    def begin_anew(self) -> None:
        """
        After fork(), in the child: the lock may have been held.
        """
        self._lock = threading.Lock()
        self._views, self._served, self._fresh = [], set(), False


class Instruments:
    """
    The instruments of one meter provider.

    Args:
        provider: The provider; None for the global one.

    Attributes:
        told: Gives the targets that are told of.
    """

    def __init__(self, provider: MeterProvider | None) -> None:
        self.told: Told = tuple
        self.snapshots = Snapshots()
        with kept_apart("metrics"):
            meter = get_meter(SCOPE, __version__, provider)
            for kind, metrics in METRICS.items():
                for metric in metrics:
                    with kept_apart("metrics"):
                        self._create(meter, kind, metric)

    def _create(self, meter: Meter, kind: str, metric: Metric) -> None:
        def callback(_: CallbackOptions) -> Iterator[Observation]:
            return iter(self._observe(kind, metric))

        create: Any = {
            COUNTER: meter.create_observable_counter,
            GAUGE: meter.create_observable_gauge,
        }.get(metric.kind, meter.create_observable_up_down_counter)
        create(metric.name, [callback], metric.unit, metric.description)

    def _observe(self, kind: str, metric: Metric) -> list[Observation]:
        found: list[Observation] = []
        with kept_apart("metrics"):
            for target, view in self.snapshots.serve(metric.name, self.told):
                if target.kind != kind:
                    continue
                try:
                    whose = attributes_of(target)
                    for value, own in metric.values(view):
                        found.append(Observation(value, {**whose, **own}))
                except Exception as error:  # noqa: BLE001 - others are to be told
                    note("metrics", error)
        return found


_lock = threading.Lock()
_made: weakref.WeakKeyDictionary[Any, Instruments] = weakref.WeakKeyDictionary()
_global: list[Instruments] = []


def instruments_of(provider: MeterProvider | None) -> Instruments:
    """
    Give the instruments of a provider; they are made once.
    """
    with _lock:
        if provider is None:
            if not _global:
                _global.append(Instruments(None))
            return _global[0]
        try:
            found = _made.get(provider)
            if found is None:
                found = _made[provider] = Instruments(provider)
        except TypeError:  # it cannot be referred to weakly, or has no hash
            return Instruments(provider)
        return found


def forget_views() -> None:
    """
    Drop all snapshots, when a store has been closed.
    """
    with _lock:
        found = [*_global, *_made.values()]
    for one in found:
        one.snapshots.drop()


def begin_anew() -> None:
    """
    After fork(), in the child: locks may have been held.
    """
    global _lock
    _lock = threading.Lock()
    for one in [*_global, *_made.values()]:
        one.snapshots.begin_anew()


__all__ = [
    "Instruments",
    "attributes_of",
    "begin_anew",
    "forget_views",
    "instruments_of",
]
