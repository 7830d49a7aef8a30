# SPDX-License-Identifier: MIT
"""
What plugins are told while a store lives: each event by what really causes it.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

import pyfaster
from pyfaster._stats import StoreStats
from pyfaster._watch import Watch
from pyfaster.events import (
    CheckpointFailed,
    CheckpointPhase,
    CheckpointTaken,
    DeviceFailed,
    DeviceRetried,
    IndexGrowing,
    IndexGrown,
    IndexSaturated,
    LogSpilled,
    OperationSampled,
    PagesEvicted,
    PagesFlushed,
    PageTurned,
    PendingCompleted,
    RecoveryDone,
    StoreEvent,
    WritesResumed,
    WritesStopped,
)
from pyfaster.testing import EventRecorder, FaultyDevice, MemoryDevice, Rule

PAGE = 16 << 10


@pytest.fixture
def told() -> Iterator[EventRecorder]:
    """A plugin that keeps what it is told."""
    with EventRecorder() as recorder:
        yield recorder


def on_device(device: Any, **settings: Any) -> pyfaster.FasterKv[int, bytes]:
    """A store of a quarter of a megabyte on a device."""
    given = {"memory": "256KiB", "page_size": PAGE, "event_capacity": 65536, **settings}
    return pyfaster.open(key=int, value=bytes, device=device, **given)


def fill(store: pyfaster.FasterKv[int, bytes], count: int = 2_000) -> None:
    """Write more than the memory of `on_device` holds."""
    for key in range(count):
        store[key] = b"x" * 200


def test_growth_is_told_when_it_begins_and_ends(told: EventRecorder) -> None:
    """Each doubling is told twice: with what will be, and with what has come of it."""
    with pyfaster.open(key=int, value=int) as store:
        store.upsert_many(range(20_000), range(20_000))
        store.grow_index()
        last = told.wait_for(IndexGrown)[-1]
        while last.buckets < store.stats().index_buckets or store.stats().index_growing:
            store.upsert(store.stats().upserts, 0)
            last = told.wait_for(IndexGrown, len(told.of(IndexGrown)))[-1]
        grown, growing = told.of(IndexGrown), told.of(IndexGrowing)
        assert [one.growths for one in grown] == list(range(1, len(grown) + 1))
        assert [one.buckets for one in growing] == [one.buckets for one in grown]
        assert all(b.buckets == 2 * a.buckets for a, b in pairwise(grown))
        assert grown[-1].buckets == store.stats().index_buckets
        assert all(one.duration_ns > 0 for one in grown)
        assert all(one.index_bytes >= 64 * one.buckets for one in grown)
    assert told.of(IndexGrown) == grown


def test_what_nobody_asked_for_is_told_at_the_end(told: EventRecorder) -> None:
    """An event that no figures have shown yet is told before close() returns."""
    store = pyfaster.open(key=int, value=int, memory="2MiB", index_fraction=0.02)
    with store:
        store.upsert_many(range(8_000), range(8_000))
    (saturated,) = told.of(IndexSaturated)
    assert saturated.store == store.name
    assert saturated.entries > 4 * saturated.buckets


def test_a_budget_that_refuses_again_is_told_again(told: EventRecorder) -> None:
    """With another budget the index may double, until that one refuses, too."""
    with pyfaster.open(key=int, value=int, memory="2MiB", index_fraction=0.02) as store:
        store.upsert_many(range(2_000), range(2_000))
        (first,) = told.wait_for(IndexSaturated)
        store.reconfigure(memory="8MiB")
        store.upsert_many(range(40_000), range(40_000))
        for key in range(40_000, 120_000):  # a doubling may still be under way
            if store.stats().index_saturated:
                break
            store.upsert(key, 0)
        second = told.wait_for(IndexSaturated, 2)[-1]
        assert second.buckets > first.buckets
        for _ in range(3):
            store.stats()
    assert told.of(IndexSaturated) == [first, second]


def test_pages_are_told_from_turn_to_eviction(told: EventRecorder) -> None:
    """Pages turn one by one, and are flushed and evicted without a gap."""
    with on_device(MemoryDevice()) as store:
        fill(store)
        store.flush()
        until = store.stats().address_flushed
        flushed = told.wait_for(PagesFlushed)
        while flushed[-1].end < until:  # ends with the last: it is counted by then
            flushed = told.wait_for(PagesFlushed, len(flushed) + 1)
        figures = store.stats()
    turned = told.of(PageTurned)
    assert [one.page for one in turned] == list(range(1, len(turned) + 1))
    assert [one.address for one in turned] == [one.page * PAGE for one in turned]
    assert len(turned) == figures.address_tail // PAGE
    flushed = told.of(PagesFlushed)
    assert all(a.end == b.start for a, b in pairwise(flushed))
    assert (flushed[0].start, flushed[-1].end) == (0, figures.address_flushed)
    assert all(one.size == one.end - one.start for one in flushed)
    assert sum(one.size for one in flushed) == figures.device_write_bytes
    assert all(one.duration_ns > 0 for one in flushed)
    assert len(flushed) == figures.device_writes
    assert figures.latencies["device_write"].samples == figures.device_writes
    evicted = told.of(PagesEvicted)
    assert evicted[0].start == 0
    assert all(a.end == b.start for a, b in pairwise(evicted))
    assert evicted[-1].end >= figures.address_head - PAGE > 0
    # Not always the last: others may have gone since the figures were taken.
    assert figures.pages_evicted * PAGE in {one.end for one in evicted}
    assert figures.device_retries == figures.device_errors == 0


def test_times_are_those_of_the_system_clock(told: EventRecorder) -> None:
    """An event's end lies between the clock before its cause and the clock after."""
    before = time.time_ns()
    with on_device(MemoryDevice()) as store:
        fill(store)
    after = time.time_ns()
    times = [one.time_ns for one in told.events]
    slack = 10_000_000  # the two clocks are not read at once
    assert all(before - slack <= one <= after + slack for one in times)
    flushed = [one.time_ns for one in told.of(PagesFlushed)]
    assert flushed == sorted(flushed)


def test_the_first_spill_is_told_once(told: EventRecorder) -> None:
    """A log that outgrows memory says so when it does, and never again."""
    with on_device(MemoryDevice()) as store:
        store[1] = b"value"
        store.stats()
        assert told.of(LogSpilled) == []
        fill(store)
        (spilled,) = told.wait_for(LogSpilled)
        assert 0 < spilled.address <= store.stats().address_head
        fill(store)
    assert told.of(LogSpilled) == [spilled]


@pytest.mark.fault("F05")
def test_a_write_that_was_tried_again_is_told(told: EventRecorder) -> None:
    """A write that succeeds at the third attempt is a retry, and no failure."""
    device = FaultyDevice(MemoryDevice(), [Rule("fail", "write", times=2, errno=5)])
    with on_device(device) as store:
        store[1] = b"value"
        store.flush()
        (retried,) = told.wait_for(DeviceRetried)
        figures = store.stats()
    assert retried == DeviceRetried(store.name, "write", errno.EIO, 3)
    assert (figures.device_retries, figures.device_errors) == (2, 2)
    assert figures.device_writes == 1
    assert not told.of(DeviceFailed)
    assert not told.of(WritesStopped)


class FullShelf:
    """A device in Python that has no room until it is given some."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.full = True

    def read(self, offset: int, buffer: memoryview) -> int:
        """Give what there is."""
        part = self.data[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def write(self, offset: int, buffer: memoryview) -> int:
        """Keep it, where there is room."""
        if self.full:
            raise OSError(errno.ENOSPC, "no room")
        end = offset + len(buffer)
        self.data.extend(bytes(max(0, end - len(self.data))))
        self.data[offset:end] = buffer
        return len(buffer)

    def sync(self) -> None:
        """Nothing."""

    def truncate_before(self, offset: int) -> None:
        """Keep everything."""

    close = sync


@pytest.mark.fault("F06")
def test_a_write_that_fails_for_good_is_told(told: EventRecorder) -> None:
    """It stops all writes; what goes on after that is told, too."""
    device = FullShelf()
    with on_device(device) as store:
        store[1] = b"value"
        with pytest.raises(pyfaster.DeviceError):
            store.flush()
        failed = told.wait_for(DeviceFailed)[0]
        stopped = told.wait_for(WritesStopped)[0]
        assert (failed.operation, failed.errno) == ("write", errno.ENOSPC)
        assert (failed.start, failed.end) == (stopped.start, stopped.end)
        assert failed.start < failed.end
        device.full = False
        store.resume_writes()
        told.wait_for(WritesResumed)
        store.flush()
        (retried,) = told.wait_for(DeviceRetried)
        figures = store.stats()
    # A full device is asked again by itself, too, when somebody wants room.
    failures = retried.attempts - 1
    assert retried.errno == errno.ENOSPC
    assert failures >= 5
    assert (figures.device_errors, figures.device_retries) == (failures, failures)


@pytest.mark.fault("F12")
def test_a_sync_that_fails_is_told(place: Any, told: EventRecorder) -> None:
    """A checkpoint whose sync fails says so, and the core says it of the device."""
    device = FaultyDevice(MemoryDevice(), [Rule("fail", "sync", errno=5)])
    place.device = device
    with place.open(checkpoint_on_close=False) as store:
        store[1] = 1
        with pytest.raises(pyfaster.CheckpointFailedError):
            store.checkpoint("fold-over")
        (failed,) = told.wait_for(DeviceFailed)
        (given_up,) = told.of(CheckpointFailed)
        assert (failed.operation, failed.errno) == ("sync", errno.EIO)
        assert 0 <= failed.start < failed.end
        assert given_up.kind == "fold-over"
        assert given_up.duration_ns > 0
        assert (store.stats().device_syncs, store.stats().device_errors) == (0, 1)


@pytest.mark.parametrize(
    ("kind", "phases"),
    [
        ("fold-over", ["prepare", "in-progress", "wait-flush", "persist"]),
        ("snapshot", ["prepare", "in-progress", "wait-flush", "persist"]),
        ("index", ["index-copy", "persist"]),
    ],
)
def test_the_phases_of_a_checkpoint_are_told(
    place: Any, told: EventRecorder, kind: str, phases: list[str]
) -> None:
    """Each phase is told when it is over, in order, by the thread that takes it."""
    with place.open(checkpoint_on_close=False) as store:
        store[1] = 1
        info = store.checkpoint(kind)
        figures = store.stats()
    found = told.of(CheckpointPhase)
    names = [one.phase for one in found if one.phase in pyfaster.checkpoints.PHASES]
    assert [name for name in names if name in phases] == phases
    assert [one.phase for one in found][-2:] == ["sync", "publish"]
    assert {(one.store, one.token, one.kind) for one in found} == {
        (store.name, info.token, info.kind)
    }
    (taken,) = told.of(CheckpointTaken)
    assert taken.info == info
    assert 0 < sum(one.duration_ns for one in found) <= taken.duration_ns
    at = [told.events.index(one) for one in found]
    assert {told.threads[i] for i in at} == {"MainThread"}
    assert told.events.index(taken) > max(at)
    assert figures.device_syncs == figures.latencies["device_sync"].samples


def test_the_phase_that_fails_is_not_told_as_over(
    place: Any, told: EventRecorder
) -> None:
    """What the progress raises ends the checkpoint in the phase that it names."""

    def refuse(progress: pyfaster.checkpoints.Progress) -> None:
        if progress.phase == "wait-flush":
            raise RuntimeError("on purpose")

    with place.open(checkpoint_on_close=False) as store:
        store[1] = 1
        with pytest.raises(pyfaster.CheckpointFailedError):
            store.checkpoint("snapshot", progress=refuse)
    assert "wait-flush" not in {one.phase for one in told.of(CheckpointPhase)}
    (failed,) = told.of(CheckpointFailed)
    assert failed.duration_ns > 0
    assert told.of(CheckpointTaken) == []


def test_a_recovery_says_how_long_it_took(place: Any, told: EventRecorder) -> None:
    """It is told once the store is open, with its time."""
    with place.open() as store:
        store[1] = 1
    before = time.time_ns()
    with place.open() as store:
        (done,) = told.of(RecoveryDone)
        assert done.report == store.recovery
    assert done.duration_ns > 0
    assert done.time_ns >= before - 10_000_000


def figures() -> StoreStats:
    """The figures of a store in which nothing has happened."""
    with pyfaster.open() as store:
        return store.stats()


def test_how_writing_stands_is_told_when_it_changes() -> None:
    """Another failure is told anew; what is not of the device changes nothing."""
    watch, stats = Watch("name"), figures()

    def news(status: int, start: int = 0, end: int = 0) -> list[StoreEvent]:
        return watch.news(stats, (status, start, end))

    no_space = os.strerror(errno.ENOSPC)
    assert news(0) == []
    first = WritesStopped("name", errno.ENOSPC, 64, 4096, no_space)
    assert news(-errno.ENOSPC, 64, 4096) == [first]
    assert news(-errno.ENOSPC, 64, 4096) == []
    for closed_or_forked in (-5004, -5007):
        assert news(closed_or_forked) == []
    second = WritesStopped("name", errno.EIO, 64, 4096, os.strerror(errno.EIO))
    assert news(-5012, 64, 4096) == [second]
    assert news(0) == [WritesResumed("name")]
    assert news(0) == []


@pytest.mark.fault("F07")
def test_a_read_that_fails_is_told(told: EventRecorder) -> None:
    """A read that is tried again is a retry; one that fails twice is a failure."""
    rule = Rule("fail", "read", errno=5, times=3)
    with on_device(FaultyDevice(MemoryDevice(), [rule]), sample_every=0) as store:
        store[1] = b"value"
        store.evict()
        with pytest.raises(pyfaster.DeviceError):
            store[1]
        (failed,) = told.wait_for(DeviceFailed)
        assert (failed.operation, failed.errno) == ("read", errno.EIO)
        assert failed.start < failed.end
        assert store[1] == b"value"
        (retried,) = told.wait_for(DeviceRetried)
        assert retried == DeviceRetried(store.name, "read", errno.EIO, 2)
        figures = store.stats()
    assert (figures.device_errors, figures.device_retries) == (3, 2)


def test_operations_are_sampled_and_linked_to_their_ends(told: EventRecorder) -> None:
    """What waits for the device is told twice, and both have one number."""
    with on_device(MemoryDevice(), sample_every=1) as store:
        store[1] = b"value"
        store.evict()
        assert store[1] == b"value"
        (ended,) = told.wait_for(PendingCompleted)
        assert store.get(2) is None
        told.wait_for(OperationSampled, len(told.of(OperationSampled)))
    sampled = told.of(OperationSampled)
    assert all(one.duration_ns > 0 for one in sampled)
    assert len({one.sequence for one in sampled}) == len(sampled)
    kinds = [(one.kind, one.outcome) for one in sampled]
    assert kinds[0] == ("upsert", "done")
    assert kinds[-1] == ("read", "missed")
    assert (ended.kind, ended.outcome, ended.device_reads) == ("read", "hit", 1)
    (begun,) = [one for one in sampled if one.sequence == ended.sequence]
    assert (begun.kind, begun.outcome) == ("read", "pending")
    assert begun.time_ns <= ended.time_ns
    assert ended.duration_ns > 0


def test_without_sampling_no_operation_is_told(told: EventRecorder) -> None:
    """`sample_every=0` tells of none, also of none that waits."""
    with on_device(MemoryDevice(), sample_every=0) as store:
        store[1] = b"value"
        store.evict()
        assert store[1] == b"value"
    assert not told.of(OperationSampled)
    assert not told.of(PendingCompleted)


OUTCOMES = [
    ("upsert", "done", lambda store: store.upsert(1, b"new")),
    ("insert", "done", lambda store: store.insert(2, b"new")),
    ("insert", "found", lambda store: store.insert(1, b"new")),
    ("read", "hit", lambda store: store.read(1)),
    ("read", "missed", lambda store: store.read(2)),
    ("delete", "done", lambda store: store.delete(1)),
    ("delete", "missed", lambda store: store.delete(2)),
    ("rmw", "done", lambda store: store.rmw(1, b"more", merge="append")),
    ("compare", "done", lambda store: store.compare_and_set(1, b"old", b"new")),
    ("compare", "refused", lambda store: store.compare_and_set(1, b"x", b"new")),
    ("compare", "refused", lambda store: store.compare_and_set(2, b"x", b"new")),
]


@pytest.mark.parametrize(("kind", "outcome", "call"), OUTCOMES)
def test_every_outcome_has_a_name(
    told: EventRecorder, kind: str, outcome: str, call: Any
) -> None:
    """A sampled operation is named as in the figures."""
    with pyfaster.open(key=int, value=bytes, sample_every=1) as store:
        store[1] = b"old"
        before = store.stats().operation_counts
        call(store)
        after = store.stats().operation_counts
    last = told.of(OperationSampled)[-1]
    assert (last.kind, last.outcome) == (kind, outcome)
    assert after[kind, outcome] == before[kind, outcome] + 1


def test_figures_that_come_late_show_nothing() -> None:
    """What is older than figures that were compared already is no news."""
    watch, stats = Watch("name"), figures()
    stopped = (-errno.EIO, 64, 4096)
    assert [type(one) for one in watch.news(stats, stopped, 10)] == [WritesStopped]
    assert [type(one) for one in watch.news(stats, (0, 0, 0), 30)] == [WritesResumed]
    assert watch.news(stats, stopped, 20) == []
    assert [type(one) for one in watch.news(stats, stopped, 40)] == [WritesStopped]
