# SPDX-License-Identifier: MIT
"""
The bars on checkpoints: what is compared with what, and that answers are checked.
"""

from __future__ import annotations

import os
import re
import threading
from array import array
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.bars import checkpoint
from benchmarks.bars.checkpointed import TimedWork, run_timed
from benchmarks.bars.spec import BARS, CHECKPOINT_BARS, GROUPS, ORIENTATION_GROUPS
from benchmarks.bars.taker import Taker
from benchmarks.driver import MeasuringError
from benchmarks.raw import Raw, RawError
from benchmarks.raw.plain import can_drop, drop, read_plainly, write_plainly
from benchmarks.sizes import FRACTION_MAX, FRACTION_MIN, data_bytes, index_bytes, roomy

MIB = 1 << 20


def test_every_checkpoint_bar_has_what_measures_it() -> None:
    """Groups of bars and measurements are the same, but for those without a bar."""
    groups = {bar.group for bar in CHECKPOINT_BARS}
    assert groups | {"checkpoint-original"} == checkpoint.MEASURES.keys()
    assert "checkpoint-original" in ORIENTATION_GROUPS
    assert checkpoint.MEASURES.keys() <= set(GROUPS)
    names = [bar.name for bar in BARS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("items", [4, 16_000, 4_000_000, 16_000_000])
def test_a_roomy_budget_has_room_for_so_many_times_the_data(items: int) -> None:
    """Index and log fit beside each other, and the index has its share."""
    budget = roomy(items, 8, 8)
    assert budget.memory == index_bytes(items) + 8 * data_bytes(items, 8)
    assert FRACTION_MIN <= budget.index_fraction <= FRACTION_MAX
    assert budget.index_fraction * budget.memory >= index_bytes(items) * 0.999


@pytest.mark.parametrize("size", [1, 4096, 4 * MIB, 9 * MIB + 5])
def test_the_plain_loop_writes_all_and_leaves_nothing(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is synced has as many bytes as were asked for; then the file is gone."""
    sizes: list[int] = []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    plain = write_plainly(tmp_path, size)
    assert sizes == [size]
    assert 0 <= plain.write_seconds <= plain.seconds
    assert list(tmp_path.iterdir()) == []


def test_the_plain_loop_reads_what_it_is_told_or_fails(tmp_path: Path) -> None:
    """A file that has fewer bytes than are to be read is no faster file."""
    path = tmp_path / "data"
    path.write_bytes(os.urandom(5 * MIB))
    parts = [(str(path), 5 * MIB), (str(path), 17)]
    assert read_plainly(parts) > 0
    with pytest.raises(OSError, match="has 5242880 bytes, not 5242881"):
        read_plainly([(str(path), 5 * MIB + 1)])


@pytest.mark.skipif(not can_drop(), reason="this system has no posix_fadvise")
def test_files_leave_the_cache_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is synced first: what is dirty would stay in the cache."""
    calls: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("sync"))
    monkeypatch.setattr(
        os,
        "posix_fadvise",
        lambda descriptor, begin, size, advice: calls.append(
            "drop" if advice == os.POSIX_FADV_DONTNEED else "?"
        ),
    )
    names = [tmp_path / name for name in ("a", "b")]
    for name in names:
        name.write_bytes(b"x")
    drop(map(str, names))
    assert calls == ["sync", "drop"] * 2


def test_a_scan_reads_all_or_says_why_not(tmp_path: Path) -> None:
    """Reads in flight give a rate, and never one for bytes that are not there."""
    path = tmp_path / "data"
    path.write_bytes(os.urandom(3 * MIB + 4096))
    try:
        raw = Raw(tmp_path)
        rate = raw.scan([(str(path), 3 * MIB + 4096)])
    except RawError as error:
        reason = str(error)
    else:
        reason = ""
    if reason:  # no compiler, no io_uring, or a file system without direct transfers
        assert re.search("cc|io_uring_setup|data: Invalid argument", reason)
        return
    assert rate > 0
    with pytest.raises(RawError, match="Input/output"):
        raw.scan([(str(path), 5 * MIB)])


class Checkpoints:
    """A store whose checkpoints are counted, and one of which may fail."""

    def __init__(self, fails_at: int = 0) -> None:
        self.kinds: list[str] = []
        self.fails_at = fails_at
        self.third = threading.Event()

    def checkpoint(self, kind: str) -> Any:
        """Take one."""
        self.kinds.append(kind)
        if len(self.kinds) == 3:
            self.third.set()
        if len(self.kinds) == self.fails_at:
            raise OSError("no room")
        return SimpleNamespace(size=100)


def test_snapshots_follow_one_another_until_the_end() -> None:
    """Without a pace nothing is between two of them, and figures are of all."""
    store = Checkpoints()
    taker = Taker(store, 0.0)
    taker.start()
    assert store.third.wait(60)
    taker.stop()
    assert set(store.kinds) == {"snapshot"}
    assert taker.taken == len(store.kinds) >= 3
    assert not taker.failed
    figures = taker.figures()
    assert figures["taken"] == taker.taken
    assert figures["checkpoint_bytes"] == 100


def test_a_pace_waits_and_is_not_waited_for() -> None:
    """Between two beginnings time passes; the end does not wait for it."""
    store = Checkpoints()
    taker = Taker(store, 3_600.0)
    taker.start()
    taker.stop()
    assert taker.taken == len(store.kinds) == 1


def test_a_checkpoint_that_fails_fails_the_round() -> None:
    """What the other thread raises is raised in the one that measures."""
    store = Checkpoints(fails_at=3)
    taker = Taker(store, 0.0)
    taker.start()
    assert store.third.wait(60)
    with pytest.raises(OSError, match="no room"):
        taker.stop()
    assert taker.failed
    assert taker.taken == 2


class Handle:
    """A store's thread that notes what it was asked for."""

    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []

    def read(self, key: object) -> None:
        """Read."""
        self.said.append((key,))

    def write(self, key: object, value: object) -> None:
        """Write."""
        self.said.append((key, value))


def test_each_operation_is_timed_in_its_place() -> None:
    """Reads and writes go out in their order, and none is left without its time."""
    handle: Any = Handle()
    spent = array("q", [-1] * 4)
    run_timed(handle, [1, 2, 3, 4], [None, 5, None, 6], spent)
    assert handle.said == [(1,), (2, 5), (3,), (4, 6)]
    assert all(one >= 0 for one in spent)


def test_percentiles_are_of_all_passes() -> None:
    """The slowest operation of any pass is the maximum."""
    work = TimedWork.__new__(TimedWork)
    work._passes = [np.array([1] * 1000 + [7]), np.array([2] * 999)]
    figures = work.figures()
    wanted = {"p50_ns": 1.0, "p99_ns": 2.0, "p999_ns": 2.0}
    assert figures == wanted | {"p9999_ns": 7.0, "max_ns": 7.0}


def test_the_bar_of_a_replay_is_the_lower_of_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What all cores are to link, unless the disk gives less; eight are the most."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert checkpoint.replay_bar(32e9, 32) == 10e6
    assert checkpoint.replay_bar(320e6, 32) == 6e6
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert checkpoint.replay_bar(1e15, 32) == 40e6


def test_a_percentile_is_compared_by_its_difference() -> None:
    """How much longer, in milliseconds; throughput is compared by its ratio."""
    figures = {
        "single, always": [70.0],
        "single, none": [100.0],
        "batch, always": [30.0],
        "batch, none": [40.0],
        "timed, always: p999": [3e6],
        "timed, none: p999": [1e6],
    }
    assert checkpoint.traffic_ratios("file", figures) == {
        "checkpoint-single-file": [0.7],
        "checkpoint-batch-file": [0.75],
        "checkpoint-p999-file": [2.0],
    }


def test_phases_that_do_not_make_up_the_time_are_told() -> None:
    """What comes before the first phase and after the last has a figure of its own."""
    figures: dict[str, list[float]] = {}
    answer: dict[str, object] = {"seconds": 0.1, "phases": {"a": 20.0, "b": 30}}
    checkpoint.keep_phases(figures, "x", answer)
    assert figures["x: a, ms"] == [20.0]
    assert figures["x: before and after, ms"] == [pytest.approx(50.0)]
    with pytest.raises(MeasuringError, match="phases"):
        checkpoint.keep_phases(figures, "x", {"phases": 3, "seconds": 1})
