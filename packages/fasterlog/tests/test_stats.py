# SPDX-License-Identifier: MIT
"""The figures of a log: how long its commits took, and all of them as JSON."""

from __future__ import annotations

import json
import threading
from dataclasses import fields
from pathlib import Path

import pytest
from log_kit import fill, follower, open_log

from pyfaster import Histogram
from pyfaster.errors import DeadlineError
from pyfaster.testing import FaultyDevice, MemoryDevice, Rule
from pyfaster_fasterlog import FasterLog, LogStats

TIMED = ("commit", "device_write", "device_sync")


def test_each_commit_is_timed(place: Path) -> None:
    """As many durations as commits, and at least one request of each kind for each."""
    with open_log(place) as log:
        before = log.stats()
        assert tuple(before.latencies) == TIMED
        for _ in range(10):
            fill(log, 3)
            log.commit()
        after = log.stats()
        samples = {name: one.samples for name, one in after.latencies.items()}
        commits = after.commits - before.commits
        assert samples["commit"] - before.latencies["commit"].samples == commits == 10
        assert samples["device_write"] >= 10
        assert samples["device_sync"] >= 10
        commit, sync = after.latencies["commit"], after.latencies["device_sync"]
        assert commit.total_ns >= sync.total_ns


def test_a_commit_that_outlives_a_call_is_timed_whole(tmp_path: Path) -> None:
    """A commit that a later call went on with counts from where it began."""
    device = FaultyDevice(MemoryDevice(), [Rule("hold", "sync", nth=1)])
    with FasterLog.open(tmp_path / "wal", device=device, trust_device=True) as log:
        before = log.stats().latencies
        log.append(b"slow")
        with pytest.raises(DeadlineError):
            log.commit(timeout=0.0)
        while not device.stats()["waiting"]:  # ends: the call has asked for the sync
            log.wait_committed(log.committed.until, timeout=0.001)
        waiting = threading.Thread(target=log.commit)
        waiting.start()
        device.release()
        waiting.join()
        after = log.stats().latencies
        commit, sync = (
            (after[name].samples - before[name].samples, after[name].total_ns)
            for name in ("commit", "device_sync")
        )
        assert commit[0] == sync[0] == 1
        assert commit[1] - before["commit"].total_ns >= sync[1]


def test_a_commit_with_nothing_to_do_is_not_timed(place: Path) -> None:
    """What is durable already costs nothing, and says nothing of durations."""
    with open_log(place) as log:
        fill(log, 3)
        log.commit()
        before = log.stats().latencies["commit"]
        log.commit(log.committed.until)
        assert log.stats().latencies["commit"] == before


def test_figures_go_through_json(place: Path) -> None:
    """`to_dict` has every figure in JSON's words, also of a follower."""
    with open_log(place) as log:
        fill(log, 3)
        log.commit()
        with follower(place) as reader:
            for stats in (log.stats(), reader.stats()):
                said = stats.to_dict()
                assert json.loads(json.dumps(said)) == said
                names = {one.name for one in fields(LogStats)}
                assert set(said) == names | {"uncommitted_bytes"}
                read = {
                    name: Histogram.from_dict(one)
                    for name, one in said["latencies"].items()
                }
                assert read == stats.latencies
            assert reader.stats().latencies["commit"].samples == 0
