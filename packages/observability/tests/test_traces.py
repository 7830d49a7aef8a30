# SPDX-License-Identifier: MIT
"""
Traces: events become spans with their times, their attributes and their links.
"""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from observe_kit import Providers
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

import pyfaster
from pyfaster import events
from pyfaster_observability import _traces as traces_module
from pyfaster_observability import failures, uninstrument
from pyfaster_observability._instrument import control
from pyfaster_observability._traces import Traces

END = 1_700_000_000_000_000_000
INFO: Any = SimpleNamespace(kind="snapshot", token="t1", size=7, version=3)


@pytest.fixture
def told() -> tuple[Traces, Providers]:
    """A tracer, and where its spans go."""
    providers = Providers()
    return Traces(providers.tracers), providers


def test_a_sampled_operation_is_a_span_of_a_database_client(
    told: tuple[Traces, Providers],
) -> None:
    """Name, kind, times and attributes are those of the stable conventions."""
    traces, providers = told
    event = events.OperationSampled("s", "read", "hit", 250, 1, time_ns=END)
    traces.tell(event, "file:s")
    (span,) = providers.spans()
    assert (span.name, span.kind) == ("read file:s", SpanKind.CLIENT)
    assert (span.start_time, span.end_time) == (END - 250, END)
    assert span.parent is None
    assert dict(span.attributes or {}) == {
        "db.system.name": "pyfaster",
        "db.namespace": "file:s",
        "db.operation.name": "read",
        "pyfaster.outcome": "hit",
    }


def test_a_failed_operation_says_so(told: tuple[Traces, Providers]) -> None:
    """`error.type` and the status are set."""
    traces, providers = told
    event = events.OperationSampled("s", "rmw", "failed", 250, 1, time_ns=END)
    traces.tell(event, "s")
    (span,) = providers.spans()
    assert (span.attributes or {})["error.type"] == "failed"
    assert span.status.status_code is StatusCode.ERROR


def test_an_operation_that_waited_is_linked_to_its_call(
    told: tuple[Traces, Providers],
) -> None:
    """Calls of other stores and other operations are not taken for it."""
    traces, providers = told
    for store, sequence in (("a", 1), ("b", 2), ("a", 2)):
        event = events.OperationSampled(store, "read", "pending", 9, sequence)
        traces.tell(event, store)
    done = events.PendingCompleted("a", "read", "hit", 900, 2, 2, time_ns=END)
    traces.tell(done, "a")
    call = providers.spans()[2]
    span = providers.spans()[3]
    assert span.name == "pending read a"
    (link,) = span.links
    assert link.context == call.get_span_context()
    assert (span.attributes or {})["pyfaster.device_reads"] == 2
    traces.tell(events.PendingCompleted("a", "read", "hit", 900, 1, 0), "a")
    assert providers.spans()[4].links == ()


def test_links_that_stay_open_are_bounded(told: tuple[Traces, Providers]) -> None:
    """The oldest calls are forgotten; the newest keep their links."""
    traces, providers = told
    most = traces_module.LINKS_MAX
    for sequence in range(1, most + 11):
        event = events.OperationSampled("s", "read", "pending", 9, sequence)
        traces.tell(event, "s")
    assert len(traces._links) == most
    for sequence, links in ((10, 0), (11, 1), (most + 10, 1)):
        traces.tell(events.PendingCompleted("s", "read", "hit", 9, 1, sequence), "s")
        assert len(providers.spans()[-1].links) == links


def test_phases_are_children_of_their_checkpoint(
    told: tuple[Traces, Providers],
) -> None:
    """Each with its own times; phases of another thread's checkpoint are not."""
    traces, providers = told

    def other() -> None:
        phase = events.CheckpointPhase("s", "x", "index", "index", 5, time_ns=END)
        traces.tell(phase, "s")

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    for name, end in (("prepare", END - 500), ("stream", END - 100)):
        phase = events.CheckpointPhase("s", "", "snapshot", name, 300, time_ns=end)
        traces.tell(phase, "s")
    taken = events.CheckpointTaken("s", INFO, 1000, time_ns=END)
    traces.tell(taken, "s")
    first, second, whole = providers.spans()
    assert [one.name for one in (first, second, whole)] == [
        "checkpoint prepare s",
        "checkpoint stream s",
        "checkpoint s",
    ]
    for part in (first, second):
        assert part.parent == whole.get_span_context()
        assert part.end_time - part.start_time == 300  # type: ignore[operator]
    assert whole.start_time == END - 1000
    assert (whole.attributes or {})["pyfaster.token"] == "t1"


def test_a_failed_checkpoint_has_the_error(told: tuple[Traces, Providers]) -> None:
    """Its type, its words, and the status."""
    traces, providers = told
    failed = events.CheckpointFailed("s", "snapshot", OSError(28, "full"), 10)
    traces.tell(failed, "s")
    (span,) = providers.spans()
    assert (span.attributes or {})["error.type"] == "OSError"
    assert span.status.status_code is StatusCode.ERROR
    assert [one.name for one in span.events] == ["exception"]


def test_what_has_no_length_is_told_with_the_next_work(
    told: tuple[Traces, Providers],
) -> None:
    """Page turns and evictions are span events of the same store's next span."""
    traces, providers = told
    traces.tell(events.PageTurned("s", 3, 4096, time_ns=END - 9), "s")
    traces.tell(events.PageTurned("other", 8, 1, time_ns=END - 9), "other")
    traces.tell(events.PagesEvicted("s", 64, 128, time_ns=END - 5), "s")
    traces.tell(events.PagesFlushed("s", 64, 4096, 4032, 700, time_ns=END), "s")
    traces.tell(events.PagesFlushed("s", 64, 4096, 4032, 700, time_ns=END), "s")
    first, second = providers.spans()
    assert first.name == "flush s"
    assert [(one.name, one.timestamp) for one in first.events] == [
        ("PageTurned", END - 9),
        ("PagesEvicted", END - 5),
    ]
    assert dict(first.events[0].attributes or {}) == {
        "pyfaster.page": 3,
        "pyfaster.address": 4096,
    }
    assert second.events == ()


def test_what_waits_for_a_span_is_bounded(told: tuple[Traces, Providers]) -> None:
    """The newest happenings are kept, of a bounded number of stores."""
    traces, providers = told
    for page in range(1000):
        traces.tell(events.PageTurned("s", page, page), "s")
    traces.tell(events.IndexGrown("s", 1, 128, 8192, 50, time_ns=END), "s")
    (span,) = providers.spans()
    assert span.name == "grow index s"
    assert len(span.events) == traces_module.WAITING_MAX
    assert (span.events[-1].attributes or {})["pyfaster.page"] == 999
    for number in range(traces_module.STORES_MAX + 5):
        traces.tell(events.PageTurned("s", 1, 1), f"store {number}")
    assert len(traces._waiting) == traces_module.STORES_MAX


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (events.DeviceFailed("s", "write", 28, 64, 128, time_ns=END), "device write s"),
        (
            events.WritesStopped("s", 28, 64, 128, "no room", time_ns=END),
            "writes stopped s",
        ),
    ],
)
def test_failures_of_the_device_are_errors(
    told: tuple[Traces, Providers], event: events.StoreEvent, name: str
) -> None:
    """A span of no length, with the system's name of the error."""
    traces, providers = told
    traces.tell(event, "s")
    (span,) = providers.spans()
    assert (span.name, span.start_time, span.end_time) == (name, END, END)
    assert (span.attributes or {})["error.type"] == "ENOSPC"
    assert span.status.status_code is StatusCode.ERROR


def test_a_checkpoint_is_a_child_of_the_span_that_took_it(place: Path) -> None:
    """With its phases below it, by the real store, in the thread that takes it."""
    providers = Providers()
    providers.instrument()
    tracer = providers.tracers.get_tracer("user")
    with pyfaster.open(place, key=int, value=int) as store:
        store[1] = 1
        with tracer.start_as_current_span("request") as request:
            info = store.checkpoint()
    (mine, *_) = [
        one
        for one in providers.named("checkpoint ")
        if (one.attributes or {}).get("pyfaster.token") == info.token
        and one.name == f"checkpoint {store.name}"
    ]
    assert mine.parent == request.get_span_context()
    phases = [one for one in providers.spans() if one.parent == mine.get_span_context()]
    assert {(one.attributes or {})["pyfaster.phase"] for one in phases}
    # Lengths are by a clock that never jumps; their ends are by another one.
    assert sum(map(length, phases)) <= length(mine)
    assert dict(failures()) == {}


def length(span: ReadableSpan) -> int:
    """How long a span is, in nanoseconds."""
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time <= span.end_time
    return span.end_time - span.start_time


def test_a_recovery_is_a_span(place: Path) -> None:
    """A store that was recovered says from which checkpoint."""
    with pyfaster.open(place, key=int, value=int) as store:
        store[1] = 1
        token = store.checkpoint().token
    providers = Providers()
    providers.instrument()
    with pyfaster.open(place, key=int, value=int) as store:
        name = store.name
    (span,) = providers.named("recovery")
    assert span.name == f"recovery {name}"
    assert (span.attributes or {})["pyfaster.token"] == token


def test_operations_of_a_store_become_spans() -> None:
    """One in `sample_every` is told by the store itself, and all before it closes."""
    providers = Providers()
    providers.instrument()
    with pyfaster.open(key=int, value=int, sample_every=1) as store:
        store.upsert(1, 1)
        store.read(1)
        store.read(2)
    told = [
        (one.name, (one.attributes or {})["pyfaster.outcome"])
        for one in providers.spans()
    ]
    assert ("upsert :memory:", "done") in told
    assert ("read :memory:", "hit") in told
    assert ("read :memory:", "missed") in told


def test_nothing_is_told_behind_uninstrument() -> None:
    """Spans end with `uninstrument`, also of stores that listen still."""
    providers = Providers()
    providers.instrument()
    with pyfaster.open(key=int, value=int, sample_every=1) as store:
        uninstrument()
        store.upsert(1, 1)
    assert providers.spans() == ()


def test_work_on_the_device_is_told(place: Path) -> None:
    """Flushes of pages, and reads that waited, linked to the calls they began with."""
    providers = Providers()
    providers.instrument()
    settings: Any = {"memory": "512KiB", "page_size": "16KiB", "durable": False}
    settings |= {"sample_every": 1, "event_capacity": 1 << 16}
    with pyfaster.open(place, key=int, value=bytes, **settings) as store:
        store.upsert_many(range(5000), [b"%0120d" % key for key in range(5000)])
        with store.session() as session:
            for key in range(50):
                assert session.read(key) == b"%0120d" % key
        assert store.stats().events_lost == 0
    flushes = providers.named("flush ")
    assert flushes
    assert all((one.attributes or {})["pyfaster.size"] for one in flushes)
    waited = providers.named("pending read ")
    assert len(waited) >= 50
    calls = {
        context.span_id
        for one in providers.named("read ")
        if (one.attributes or {})["pyfaster.outcome"] == "pending"
        and (context := one.get_span_context()) is not None
    }
    for one in waited:
        (link,) = one.links
        assert link.context.span_id in calls
        assert (one.attributes or {})["pyfaster.outcome"] == "hit"
    turned = [event.name for one in providers.spans() for event in one.events]
    assert "PageTurned" in turned
    assert "PagesEvicted" in turned


def test_a_store_that_gets_an_old_name_gets_nothing_else() -> None:
    """What waited of a closed store is not told of the next one with its name."""
    providers = Providers()
    providers.instrument()
    traces = control._everything.traces  # type: ignore[union-attr]
    with pyfaster.open() as store:
        traces.tell(events.PageTurned(store.name, 1, 1), store.name)
        waits = events.OperationSampled(store.name, "read", "pending", 9, 7)
        traces.tell(waits, store.name)
        phase = events.CheckpointPhase(store.name, "", "snapshot", "stream", 1)
        traces.tell(phase, store.name)
    with pyfaster.open() as store:
        traces.tell(
            events.PendingCompleted(store.name, "read", "hit", 9, 1, 7), store.name
        )
        traces.tell(events.CheckpointTaken(store.name, INFO, 1), store.name)
    assert providers.named("pending")[0].links == ()
    assert providers.named("checkpoint")[0].events == ()
    assert len(providers.named("checkpoint")) == 1
