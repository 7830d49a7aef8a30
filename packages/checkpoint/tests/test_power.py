# SPDX-License-Identifier: MIT
"""Power cuts, and syncs that fail or lie: what was told to be taken is there."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from fake_engine import FakeCheckpoint, recovered
from keeper_kit import fill, filled, make, take
from power_files import PowerFiles

from pyfaster.errors import CheckpointFailedError, CorruptCheckpointError

KINDS = ["snapshot", "incremental", "fold-over"]


@pytest.mark.fault("F26", "F27", "F28")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep", [1, 2])
def test_a_power_cut_at_any_moment(kind: str, keep: int) -> None:
    """Whatever is cut, when only what was synced is left: the last checkpoint that was
    told to be taken recovers, or the one that was on its way; nothing is damaged."""
    files = PowerFiles()
    keeper, _ = make(files, keep=keep)
    store = filled()
    first, one = take(keeper, store, "snapshot")
    fill(store, 6, 20)
    files.watching = True
    second, two = take(keeper, store, kind)
    files.watching = False
    states = {first.token: one, second.token: two}
    seen = []
    for left in [*files.cuts, files.cut()]:
        back, report = recovered(make(left)[0], store.disk)
        assert back.state() == states[report.token]
        assert report.passed_over == ()
        seen.append(report.token)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (first.token, second.token)


@pytest.mark.fault("F13", "F14")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reverts", [False, True])
def test_a_sync_that_fails(kind: str, reverts: bool) -> None:
    """When a sync fails, the bytes may stay in the cache or may not: the checkpoint
    fails, and the one before recovers, after a power cut and without one."""
    count = sum(event[0].startswith("sync") for event in _events(kind))
    for which in range(count):
        files = PowerFiles()
        keeper, _ = make(files, keep=1)
        store = filled()
        first, expected = take(keeper, store, "snapshot")
        files.fail = _failing(which)
        with pytest.raises(CheckpointFailedError):
            keeper.take(FakeCheckpoint(store), kind)
        files.fail = lambda event: None
        if reverts:
            files.revert()
        for left in (files.cut(), files.copy()):
            back, report = recovered(make(left)[0], store.disk)
            assert (back.state(), report.token) == (expected, first.token)
        last, state = take(keeper, store, kind)
        for left in (files.cut(), files.copy()):
            back, report = recovered(make(left)[0], store.disk)
            assert (back.state(), report.token) == (state, last.token)


def _events(kind: str) -> list[tuple[str, ...]]:
    """What is done before a checkpoint counts."""
    keeper, files = make(PowerFiles(), keep=9)
    store = filled()
    take(keeper, store, "snapshot")
    files.events.clear()
    take(keeper, store, kind)
    return list(files.events)


def _failing(which: int) -> Any:
    """Let one sync fail."""
    left = [which]

    def fail(event: tuple[str, ...]) -> None:
        if event[0].startswith("sync"):
            left[0] -= 1
            if left[0] == -1:
                raise OSError(errno.EIO, "not synced")

    return fail


@pytest.mark.fault("F17")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lies", [("sync",), ("sync-names",), ("sync", "sync-names")])
def test_a_sync_that_lies(kind: str, lies: tuple[str, ...]) -> None:
    """When syncs do nothing, a power cut may take the newest: an older state comes and
    it is told, or an error, never a wrong state."""
    files = PowerFiles()
    keeper, _ = make(files, keep=2)
    store = filled()
    states = {}
    files.watching = True
    for step in range(4):
        fill(store, step, 9)
        info, state = take(keeper, store, kind if step else "snapshot")
        states[info.token] = state
        files.lies = lies
    for left in [*files.cuts, files.cut(), files.copy()]:
        try:
            back, report = recovered(make(left)[0], store.disk)
        except CorruptCheckpointError:
            continue
        if back is not None:
            assert back.state() == states[report.token]
