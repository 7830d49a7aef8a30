# SPDX-License-Identifier: MIT
"""
Providers, tracers and meters that raise: counted, and never the store's concern.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from observe_kit import Providers
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import pyfaster
from pyfaster import events
from pyfaster_observability import _failures as failures_module
from pyfaster_observability import _meters as meters_module
from pyfaster_observability import failures, instrument
from pyfaster_observability._store_metrics import STORE_METRICS
from pyfaster_observability._targets import STORE
from pyfaster_observability._traces import Traces


class Hostile:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


class HostileSpan(Hostile):
    """A span of which nothing works."""


class HostileTracer:
    """A tracer that gives such spans."""

    def start_span(self, *args: object, **named: object) -> HostileSpan:
        """Give one."""
        return HostileSpan()


class HostileTracers:
    """A provider that gives such tracers."""

    def get_tracer(self, *args: object, **named: object) -> HostileTracer:
        """Give one."""
        return HostileTracer()


def use(store: pyfaster.FasterKv[int, int]) -> None:
    """Do what a store does, and see that it does it."""
    for key in range(50):
        store[key] = key
    assert [store[key] for key in range(50)] == list(range(50))


@pytest.mark.parametrize(
    ("tracers", "meters"),
    [
        (Hostile(), Hostile()),
        (HostileTracers(), None),
        (object(), object()),
        (None, 7),
    ],
    ids=["all", "spans", "objects", "numbers"],
)
def test_providers_that_raise_do_not_reach_the_store(tracers: Any, meters: Any) -> None:
    """The store works, opens and closes without a warning; failures are counted."""
    instrument(tracer_provider=tracers, meter_provider=meters)
    with pyfaster.open(key=int, value=int, sample_every=1) as store:
        use(store)
    assert store.plugin_errors == ()
    assert set(failures()) <= {"metrics", "traces"}
    assert sum(one.count for one in failures().values()) > 0


def test_a_span_that_raises_is_counted_and_the_next_is_told() -> None:
    """One event's failure does not stop another's span."""
    traces = Traces(HostileTracers())  # type: ignore[arg-type]
    for _ in range(3):
        traces.tell(events.OperationSampled("s", "read", "hit", 1, 1), "s")
    assert failures()["traces"].count == 3
    assert "RuntimeError" in failures()["traces"].last


def test_a_figure_that_cannot_be_told_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One metric fails; all others of the collection are there."""

    def broken(view: object) -> Any:
        raise LookupError("no such figure")

    first, *others = STORE_METRICS
    table = {STORE: (replace(first, values=broken), *others)}
    monkeypatch.setattr(meters_module, "METRICS", table)
    providers = Providers()
    providers.instrument()
    with pyfaster.open():
        found = providers.collect()
    assert first.name not in found
    assert "pyfaster.sessions" in found
    assert failures()["metrics"].count >= 1


def test_a_store_whose_stats_raise_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other store is told of; the failure is counted."""
    providers = Providers()
    providers.instrument()
    plain = pyfaster.FasterKv.stats

    def spoiled(store: Any) -> Any:
        if store is first:
            raise RuntimeError("no figures")
        return plain(store)

    with pyfaster.open() as first, pyfaster.open():
        with monkeypatch.context() as patch:
            patch.setattr(pyfaster.FasterKv, "stats", spoiled)
            found = providers.collect()
    assert len(found["pyfaster.sessions"].points) == 1
    assert failures()["metrics"].count >= 1


def test_a_reader_that_comes_while_stores_close_finds_no_error() -> None:
    """A store that closes between two questions is left out, and is no failure."""
    reader = InMemoryMetricReader()
    instrument(meter_provider=MeterProvider(metric_readers=[reader]))
    for _ in range(20):
        store = pyfaster.open()
        reader.get_metrics_data()
        store.close()
        reader.get_metrics_data()
    assert dict(failures()) == {}


def test_failures_are_a_snapshot_that_cannot_be_changed() -> None:
    """What was given does not change, and cannot be written to."""
    failures_module.note("traces", ValueError("first"))
    found: Any = failures()
    failures_module.note("traces", ValueError("second"))
    assert (found["traces"].count, failures()["traces"].count) == (1, 2)
    with pytest.raises(TypeError):
        found["traces"] = None


def test_an_exception_that_cannot_be_shown_is_counted() -> None:
    """Its text may raise; its type is kept."""

    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    failures_module.note("events", Silent())
    assert failures()["events"].last == "Silent"
