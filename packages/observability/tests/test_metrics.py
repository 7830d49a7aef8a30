# SPDX-License-Identifier: MIT
"""
Metrics: what a reader of the real SDK collects is what `stats()` says.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from observe_kit import Providers, labels, value
from opentelemetry.sdk.metrics import MeterProvider

import pyfaster
from pyfaster_observability import failures, instrument, uninstrument
from pyfaster_observability._log_metrics import LOG_METRICS
from pyfaster_observability._metrics import LIMITS, NS
from pyfaster_observability._store_metrics import STORE_METRICS

#: Metrics that say nothing of a store in memory without a budget or a checkpoint.
SILENT = {
    "pyfaster.memory.limit",
    "pyfaster.checkpoints.taken",
    "pyfaster.checkpoints.failures",
    "pyfaster.checkpoints.age",
    "pyfaster.checkpoints.duration",
    "pyfaster.checkpoints.size",
}


def test_names_are_of_the_conventions_style() -> None:
    """Names are lower-case words with dots, each once, and below "pyfaster."."""
    names = [metric.name for metric in (*STORE_METRICS, *LOG_METRICS)]
    assert len(names) == len(set(names))
    style = re.compile(r"pyfaster(\.[a-z][a-z0-9]*(_[a-z0-9]+)*)+")
    assert [name for name in names if not style.fullmatch(name)] == []


def test_every_metric_is_collected_with_its_unit_and_attributes() -> None:
    """A collection has each metric, with the attributes that the table names."""
    providers = Providers()
    providers.instrument()
    with pyfaster.open(key=int, value=int) as store:
        store[1] = 1
        found = providers.collect()
    expected = {one.name: one for one in STORE_METRICS if one.name not in SILENT}
    assert found.keys() == expected.keys()
    for name, metric in expected.items():
        assert found[name].unit == metric.unit
        named = {"db.system.name", "db.namespace", *metric.attributes}
        assert {frozenset(labels(key)) for key in found[name].points} == {
            frozenset(named)
        }
    assert dict(failures()) == {}


def test_values_are_those_of_stats() -> None:
    """Counts, regions and memory are the figures of the same moment."""
    providers = Providers()
    providers.instrument()
    with pyfaster.open(key=int, value=int, memory="64MiB", sample_every=1) as store:
        for key in range(100):
            store.upsert(key, key)
            store.read(key)
            store.read(-1 - key)
        stats = store.stats()
        found = providers.collect()
    operations = found["pyfaster.operations"]
    assert value(operations, db__operation__name="read", pyfaster__outcome="hit") == 100
    for (kind, outcome), count in stats.operation_counts.items():
        if kind != "any":
            words = {"db__operation__name": kind, "pyfaster__outcome": outcome}
            assert value(operations, **words) == count
    for component, size in stats.memory.items():
        usage = found["pyfaster.memory.usage"]
        assert value(usage, pyfaster__memory__component=component) == size
    for region, size in stats.regions.items():
        assert value(found["pyfaster.log.size"], pyfaster__log__region=region) == size
    assert value(found["pyfaster.memory.limit"]) == 64 << 20
    assert value(found["pyfaster.index.load"]) == pytest.approx(stats.index_load)
    assert value(found["pyfaster.device.stopped"]) == 0


def test_buckets_are_a_histogram_of_prometheus() -> None:
    """Counts rise with the limits, end with all samples, and give the quantiles."""
    providers = Providers()
    providers.instrument()
    with pyfaster.open(key=int, value=int, sample_every=1) as store:
        for key in range(500):
            store.upsert(key, key)
        histogram = store.stats().latencies["upsert"]
        found = providers.collect()
    name = "pyfaster.operation.duration"
    limits = {
        labels(key)["le"]: count
        for key, count in found[f"{name}.bucket"].points.items()
        if labels(key)["db.operation.name"] == "upsert"
    }
    assert len(limits) == len(LIMITS) + 1
    ordered = sorted(limits.items(), key=lambda pair: float(pair[0]))
    counts = [count for _, count in ordered]
    assert counts == sorted(counts)
    assert ordered[-1][0] == "+Inf"
    assert counts[-1] == histogram.samples > 0
    total = value(found[f"{name}.sum"], db__operation__name="upsert")
    assert total == pytest.approx(histogram.total_ns / 1e9)
    median = histogram.quantile(0.5)
    assert median is not None
    above = [float(limit) for limit, count in ordered if count >= histogram.samples / 2]
    assert median / 1e9 <= above[0]


def test_one_collection_takes_one_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """All instruments of a collection share one `stats()` of each store."""
    asked: list[str] = []
    plain = pyfaster.FasterKv.stats

    def counting(store: Any) -> Any:
        asked.append(store.name)
        return plain(store)

    providers = Providers()
    providers.instrument()
    with pyfaster.open(key=int, value=int) as store, monkeypatch.context() as patch:
        patch.setattr(pyfaster.FasterKv, "stats", counting)
        for number in range(1, 4):
            store[number] = number
            found = providers.collect()
            assert asked == [":memory:"] * number
            upserts = {"db__operation__name": "upsert", "pyfaster__outcome": "done"}
            assert value(found["pyfaster.operations"], **upserts) == number


def test_stores_of_one_name_are_told_apart_and_vanish_when_closed() -> None:
    """A second ":memory:" has a name of its own; what is closed is told of no more."""
    providers = Providers()
    providers.instrument()

    def names() -> set[str]:
        found = providers.collect().get("pyfaster.sessions")
        keys = found.points if found else {}
        return {labels(key)["db.namespace"] for key in keys}

    assert names() == set()
    first = pyfaster.open()
    with pyfaster.open():
        assert names() == {":memory:", ":memory:#2"}
        first.close()
        assert names() == {":memory:#2"}
        with pyfaster.open():
            assert names() == {":memory:", ":memory:#2"}
    assert names() == set()


def test_stores_that_were_open_before_are_told_of() -> None:
    """It does not matter whether a store or `instrument` comes first."""
    providers = Providers()
    with pyfaster.open():
        assert providers.collect() == {}
        providers.instrument()
        assert len(providers.collect()["pyfaster.sessions"].points) == 1


def test_instrument_and_uninstrument_may_be_repeated() -> None:
    """A second call changes nothing; undone it says nothing, and may be done again."""
    providers = Providers()
    with pyfaster.open():
        for _ in range(3):
            providers.instrument()
            providers.instrument()
            points = providers.collect()["pyfaster.sessions"].points
            assert len(points) == 1
            uninstrument()
            uninstrument()
            assert providers.collect() == {}


def test_other_providers_are_refused() -> None:
    """Two places for one store's figures are an error that says what to do."""
    providers = Providers()
    providers.instrument()
    with pytest.raises(pyfaster.ConfigError, match=r"uninstrument\(\) first"):
        instrument(meter_provider=MeterProvider())
    with pyfaster.open():
        assert "pyfaster.sessions" in providers.collect()


PROGRAM = """
import pyfaster
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
def names():
    data = reader.get_metrics_data()
    found = set()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    found.add(point.attributes["db.namespace"])
    return sorted(found)
with pyfaster.open() as plain, pyfaster.open(telemetry=True) as told:
    print(names(), plain.listening, told.listening)
    import pyfaster_observability
    mine = InMemoryMetricReader()
    own = MeterProvider(metric_readers=[mine])
    pyfaster_observability.instrument(meter_provider=own)
    print(names(), mine.get_metrics_data() is not None)
    pyfaster_observability.uninstrument()
    print(names(), mine.get_metrics_data())
print(names(), dict(pyfaster_observability.failures()))
with pyfaster.open() as plain:
    print(plain.listening)
"""


def test_the_setting_tells_of_one_store_by_the_global_providers() -> None:
    """`telemetry=True` needs no code, and gives way to `instrument` while it lasts."""
    assert run(PROGRAM) == [
        "[':memory:#2'] False True",
        "[] True",
        "[':memory:#2'] None",
        "[] {}",
        "False",
    ]


FORKS = """
import os, sys, pyfaster, pyfaster_observability
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
pyfaster_observability.instrument(meter_provider=MeterProvider(metric_readers=[reader]))
def names():
    data = reader.get_metrics_data()
    found = [
        point.attributes["db.namespace"]
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "pyfaster.sessions"
        for point in metric.data.data_points
    ]
    return sorted(found)
store = pyfaster.open(sample_every=1)
store[b"k"] = b"v"
assert names() == [":memory:"]
child = os.fork()
if child == 0:
    assert names() == [], names()
    with pyfaster.open(sample_every=1) as mine:
        mine[b"k"] = b"v"
        assert names() == [":memory:"], names()
    assert dict(pyfaster_observability.failures()) == {}
    os._exit(0)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), names())
store.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_child_tells_of_its_own_stores() -> None:
    """What its parent had is not told of; what it opens is."""
    assert run(FORKS, "ignore::DeprecationWarning") == ["0 [':memory:']"]


def test_a_checkpoint_that_is_only_read_is_told_of(place: Path) -> None:
    """Its figures are there, and nothing fails."""
    with pyfaster.open(place, key=int, value=int) as store:
        store[1] = 1
        store.checkpoint()
    providers = Providers()
    providers.instrument()
    with pyfaster.open(place, key=int, value=int, read_only=True) as store:
        assert store[1] == 1
        assert len(providers.collect()["pyfaster.sessions"].points) == 1
    assert dict(failures()) == {}


IMPORTS = """
import sys, threading
before = threading.active_count()
import pyfaster_observability
heavy = [name for name in sys.modules if name.startswith("opentelemetry")]
print(heavy, threading.active_count() - before)
import pyfaster
pyfaster.load_plugins()
store = pyfaster.open()
print("opentelemetry" in sys.modules, store.listening)
store.close()
"""


def test_importing_starts_nothing() -> None:
    """Neither the import nor the plugin imports OpenTelemetry, or starts a thread."""
    assert run(IMPORTS) == ["[] 0", "False False"]


def run(program: str, *warnings: str) -> list[str]:
    """Run a program in a process of its own; give the lines it prints."""
    ignored = [word for one in warnings for word in ("-W", one)]
    done = subprocess.run(
        [sys.executable, "-W", "error", *ignored, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_log_is_told_of() -> None:
    """Each metric of a durable log is collected, and is the figure of its stats."""
    logs = pytest.importorskip("pyfaster_fasterlog")
    providers = Providers()
    providers.instrument()
    with logs.FasterLog.open(":memory:") as log:
        log.append_many([b"one", b"three"])
        log.commit()
        stats = log.stats()
        found = providers.collect()
    assert found.keys() == {metric.name for metric in LOG_METRICS}
    own = "pyfaster.fasterlog"
    assert value(found[f"{own}.entries"]) == stats.entries == 2
    assert value(found[f"{own}.payload"]) == 8
    assert value(found[f"{own}.size"]) == stats.tail - stats.begin
    assert value(found[f"{own}.completed"]) == 0
    commits = found[f"{own}.commit.duration.bucket"]
    assert value(commits, le="+Inf") == stats.latencies["commit"].samples == 1
    for word in ("write", "sync"):
        requests = {"le": "+Inf", "pyfaster__device__operation": word}
        times = stats.latencies[f"device_{word}"]
        assert (
            value(found[f"{own}.device.duration.bucket"], **requests) == times.samples
        )
        took = found[f"{own}.device.duration.sum"]
        assert value(took, pyfaster__device__operation=word) == times.total_ns * NS
    assert providers.collect() == {}


def test_checkpoints_are_counted_and_have_an_age(place: Path) -> None:
    """Taken ones by kind, the newest one's length, size and age; failed ones, too."""
    providers = Providers()
    providers.instrument()
    with pyfaster.open(place, key=int, value=int) as store:
        store[1] = 1
        info = store.checkpoint("snapshot")
        found = providers.collect()
        with pytest.raises(pyfaster.CheckpointFailedError):
            store.checkpoint("fold-over", progress=refuse)
        failed = providers.collect()["pyfaster.checkpoints.failures"]
    own = "pyfaster.checkpoints"
    assert value(found[f"{own}.taken"], pyfaster__checkpoint__kind="snapshot") == 1
    assert value(found[f"{own}.size"]) == info.size
    assert value(found[f"{own}.age"]) >= 0
    assert value(found[f"{own}.duration"]) > 0
    assert value(failed, pyfaster__checkpoint__kind="fold-over") == 1
    with pyfaster.open(place, key=int, value=int):
        again = providers.collect()
    assert value(again[f"{own}.age"]) >= 0
    assert f"{own}.taken" not in again


def refuse(progress: object) -> None:
    """End a checkpoint."""
    raise RuntimeError("no")
