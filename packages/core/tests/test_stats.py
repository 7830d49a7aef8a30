# SPDX-License-Identifier: MIT
"""What a store says of itself moves as it says, and adds up."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

import pyfaster
from pyfaster import Histogram, _cabi, _cabi_figures
from pyfaster._stats import TIMED, StoreStats
from pyfaster.testing import FaultyDevice, MemoryDevice, Rule

KEYS = 2000
MEMORY = 1 << 20

Store = pyfaster.FasterKv[int, int]


def opened(**settings: Any) -> Store:
    """A store of integers."""
    return pyfaster.open(key=int, value=int, **settings)


@contextmanager
def on_device(device: Any = None, **settings: Any) -> Iterator[Store]:
    """A store whose keys, each with thrice itself, are all on the device."""
    given = {"memory": MEMORY, "page_size": 16 << 10, **settings}
    with opened(device=device or MemoryDevice(), **given) as store:
        store.upsert_many(range(KEYS), [3 * key for key in range(KEYS)])
        store.evict()
        yield store


def moved(before: StoreStats, after: StoreStats) -> dict[tuple[str, str], int]:
    """The outcomes that were counted in between."""
    pairs = after.operation_counts.items()
    counts = {pair: count - before.operation_counts[pair] for pair, count in pairs}
    return {pair: count for pair, count in counts.items() if count}


def test_every_outcome_is_counted_once() -> None:
    """One operation moves the count of its kind and outcome, and no other."""
    with opened() as store, store.session() as session:
        steps: list[tuple[Callable[[], object], tuple[str, str]]] = [
            (lambda: session.read(1), ("read", "missed")),
            (lambda: session.insert(1, 5), ("insert", "done")),
            (lambda: session.insert(1, 6), ("insert", "found")),
            (lambda: session.read(1), ("read", "hit")),
            (lambda: session.upsert(1, 7), ("upsert", "done")),
            (lambda: session.rmw(1, 1, merge="add"), ("rmw", "done")),
            (lambda: session.compare_and_set(1, 9, 10), ("compare", "refused")),
            (lambda: session.compare_and_set(1, 8, 10), ("compare", "done")),
            (lambda: session.delete(1), ("delete", "done")),
            (lambda: session.delete(1), ("delete", "missed")),
        ]
        for number, (step, outcome) in enumerate(steps, start=1):
            before = store.stats()
            step()
            after = store.stats()
            assert moved(before, after) == {outcome: 1}
            assert after.operations == number
        assert after.hit_rate == 0.5


def test_operations_that_fail_are_counted_apart() -> None:
    """A merge that overflows has failed, and is no operation that was done."""
    with opened() as store:
        store[1] = 2**63 - 1
        before = store.stats()
        with pytest.raises(OverflowError):
            store.rmw(1, 1, merge="add")
        after = store.stats()
        assert moved(before, after) == {("any", "failed"): 1}
        assert after.failed == 1
        assert after.operations == before.operations


def test_every_operation_is_timed_when_it_is_asked_for() -> None:
    """With sample_every=1 each histogram has as many samples as there were calls."""
    with opened(sample_every=1) as store, store.session() as session:
        for key in range(100):
            session.upsert(key, key)
            session.insert(key, key)
            session.rmw(key, 1, merge="add")
            session.compare_and_set(key, key + 1, key)
            session.read(key + 50)
            session.delete(key)
        stats = store.stats()
    assert stats.sample_every == 1
    samples = {name: one.samples for name, one in stats.latencies.items()}
    every = ("read", "upsert", "insert", "rmw", "compare", "delete")
    assert samples == {name: 100 * (name in every) for name in TIMED}
    for name in every:
        one = stats.latencies[name]
        assert sum(count << i for i, count in enumerate(one.counts)) <= one.total_ns


@pytest.mark.parametrize("every", [0, 8, 1024])
def test_one_in_so_many_is_timed(every: int) -> None:
    """The period is exact for a session; 0 times none."""
    with opened(sample_every=every) as store, store.session() as session:
        for key in range(2048):
            session.upsert(key, key)
        stats = store.stats()
    assert stats.sample_every == every
    assert stats.latencies["upsert"].samples == (2048 // every if every else 0)
    assert stats.upserts == 2048


def test_the_period_changes_while_sessions_are_open() -> None:
    """A session that is open follows at its next operation."""
    with opened(sample_every=0) as store, store.session() as session:
        session.upsert(1, 1)
        store.reconfigure(sample_every=1)
        for _ in range(10):
            session.upsert(1, 1)
        assert store.stats().latencies["upsert"].samples == 10
        store.reconfigure(sample_every=0)
        session.upsert(1, 1)
        assert store.stats().latencies["upsert"].samples == 10
        with pytest.raises(pyfaster.ConfigError):
            store.reconfigure(sample_every=3)


def test_what_waits_for_the_device_is_counted_and_timed() -> None:
    """Each operation whose record is on the device waited, and was timed as such."""
    with on_device(sample_every=1) as store:
        before = store.stats()
        assert before.regions["device"] > 0
        assert before.device_writes > 0
        assert before.latencies["device_write"].samples == before.device_writes
        with store.session() as session:
            for key in range(0, 100, 2):
                assert session.read(key) == 3 * key
                session.rmw(key + 1, 1, merge="add")
        after = store.stats()
        assert after.reads_pending == 50
        assert after.updates_pending == 50
        assert after.pending_rate == 1.0
        assert after.latencies["pending"].samples == 100
        reads = after.device_reads - before.device_reads
        assert reads >= 100
        assert after.latencies["device_read"].samples == after.device_reads
        assert after.latencies["read"].samples == 0
        assert (after.pending, after.reads_in_flight, after.writes_in_flight) == (
            0,
            0,
            0,
        )


def test_batches_wait_and_are_counted_by_the_item() -> None:
    """A batch counts its items, also those that wait; none of them is sampled."""
    with on_device(sample_every=1) as store:
        found = store.read_many(list(range(KEYS + 100)))
        assert len(found) == KEYS + 100
        stats = store.stats()
        assert (stats.reads_hit, stats.reads_missed) == (KEYS, 100)
        assert KEYS // 2 < stats.reads_pending <= KEYS + 100
        assert stats.latencies["pending"].samples == stats.reads_pending
        assert stats.latencies["read"].samples == 0


def test_queues_show_what_the_device_has() -> None:
    """While it holds reads back, they are in flight, and their memory is told."""
    device = FaultyDevice(MemoryDevice(), [Rule("hold", "read", times=20)])
    with on_device(device) as store, store.session() as session:
        before = store.stats()
        given = [session.start_read(key) for key in range(20)]
        assert given == [pyfaster.PENDING] * 20
        during = store.stats()
        assert (during.pending, during.reads_in_flight) == (20, 20)
        assert during.pending_bytes > before.pending_bytes
        assert during.memory["pending"] == during.pending_bytes
        device.release()
        ended = {one.key: one.value for one in session.complete_pending()}
        assert ended == {key: 3 * key for key in range(20)}
        assert (store.stats().pending, store.stats().reads_in_flight) == (0, 0)


@pytest.mark.fault("F07")
def test_a_read_that_fails_is_an_error_and_tried_again() -> None:
    """Errors and retries of the device are counted, and the read still succeeds."""
    device = FaultyDevice(MemoryDevice(), [Rule("fail", "read")])
    with on_device(device) as store:
        assert store[1] == 3
        stats = store.stats()
        assert (stats.device_errors, stats.device_retries) == (1, 1)
        assert stats.failed == 0


def test_components_and_regions_add_up() -> None:
    """Regions cover the log; components of memory are all that is used."""
    with on_device(read_cache="128KiB", sample_every=0) as store:
        for key in range(0, KEYS, 3):
            assert store[key] == 3 * key
        stats = store.stats()
    assert sum(stats.regions.values()) == stats.address_tail - stats.address_begin
    assert list(stats.regions) == ["device", "read_only", "mutable"]
    memory = dict(stats.memory)
    assert list(memory) == ["log", "index", "read_cache", "pending", "sessions"]
    assert memory.pop("sessions") > 0
    assert sum(memory.values()) <= stats.memory_used
    assert min(memory.values()) > 0
    assert stats.index_load == stats.index_entries / (7 * stats.index_buckets)
    assert stats.cache_hits + stats.reads_pending == len(range(0, KEYS, 3))


def test_the_epoch_has_no_lag_while_nobody_is_inside() -> None:
    """Nobody is behind in a store that rests."""
    with on_device() as store:
        stats = store.stats()
        assert stats.epoch > 1
        assert (stats.epoch_safe, stats.epoch_lag) == (stats.epoch, 0)


def test_rates_need_reads() -> None:
    """Before the first read there is no rate."""
    with opened() as store:
        store[1] = 1
        stats = store.stats()
        assert (stats.hit_rate, stats.pending_rate) == (None, None)


def test_a_snapshot_goes_through_json() -> None:
    """`to_dict` has every figure, in JSON's words, and equal ones for equal stores."""
    with on_device(sample_every=1) as store:
        store[1] = store[2]
        stats = store.stats()
    said = stats.to_dict()
    assert json.loads(json.dumps(said)) == said
    properties = [
        name for name, one in vars(StoreStats).items() if isinstance(one, property)
    ]
    assert set(said) == {one.name for one in fields(StoreStats)} | set(properties)
    for name, value in said.items():
        if name not in ("latencies", "operation_counts"):
            assert value == getattr(stats, name)
    assert said["operation_counts"]["read hit"] == 1
    read = {name: Histogram.from_dict(one) for name, one in said["latencies"].items()}
    assert read == stats.latencies
    assert hash(stats) == hash(StoreStats.of(said, stats.latencies))


def test_a_closed_store_keeps_its_figures_to_itself() -> None:
    """Taking figures of it fails as everything else does."""
    store = opened()
    store.close()
    with pytest.raises(pyfaster.ClosedError):
        store.stats()


def test_names_are_the_interfaces() -> None:
    """The core's list of what it times is the one that is documented."""
    with opened() as store:
        assert tuple(store.stats().latencies) == TIMED
        assert tuple(_cabi_figures.kv_histograms(store._kv)) == TIMED
        assert set(_cabi.kv_stats(store._kv)) > {"events_lost", "sample_every"}


def test_quantiles_of_a_histogram_are_near_the_truth() -> None:
    """Off by less than a factor of two, and never decreasing."""
    random.seed(7)
    durations = sorted(
        random.randrange(1, 1 << random.randrange(1, 30)) for _ in range(999)
    )
    timed = Histogram.of_durations(durations)
    assert timed.samples == 999
    assert timed.total_ns == sum(durations)
    assert timed.mean_ns == sum(durations) / 999
    last = 0.0
    for percent in range(1, 101):
        true = durations[max(0, -(-999 * percent // 100) - 1)]
        found = timed.quantile(percent / 100)
        assert found is not None
        assert true / 2 - 1 <= found <= 2 * true
        assert found >= last
        last = found


def test_histograms_are_subtracted_and_checked() -> None:
    """`since` gives what came later; what is no histogram is refused."""
    first = Histogram.of_durations([0, 1, 2])
    both = Histogram.of_durations([0, 1, 2, 700])
    assert both.since(first) == Histogram.of_durations([700])
    assert first.counts[:2] == (2, 1)
    assert first.buckets() == [(0, 2, 2), (2, 4, 1)]
    empty = Histogram()
    assert (empty.samples, empty.mean_ns, empty.quantile(0.5)) == (0, None, None)
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="q="):
            first.quantile(wrong)
    for figures in ({}, {"counts": [1], "total_ns": 1}, {"counts": 3, "total_ns": 3}):
        with pytest.raises(ValueError, match="histogram"):
            Histogram.from_dict(figures)  # type: ignore[arg-type]  # on purpose


@given(some.dictionaries(some.integers(0, 63), some.integers(1, 1 << 40), max_size=6))
def test_quantiles_rise_and_stay_in_their_buckets(held: dict[int, int]) -> None:
    """They rise with the part, and are nothing of nothing."""
    timed = Histogram(tuple(held.get(at, 0) for at in range(64)))
    found = [timed.quantile(part) for part in (0.0, 0.5, 0.9, 0.99, 1.0)]
    if not held:
        assert found == [None] * 5
        return
    numbers = [number for number in found if number is not None]
    assert len(numbers) == 5
    assert numbers == sorted(numbers)
    assert numbers[0] >= (1 << min(held) if min(held) else 0)
    assert numbers[-1] <= 2 << max(held)
