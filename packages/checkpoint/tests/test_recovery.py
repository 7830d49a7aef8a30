# SPDX-License-Identifier: MIT
"""What was taken is what comes back: each kind, chains, fallback, several lives."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest
from fake_engine import FakeCheckpoint, recovered
from fake_store import FakeStore
from keeper_kit import fill, make, scribble

from pyfaster_checkpoint import _blocks, _merge, _pump


@pytest.mark.parametrize("kind", ["fold-over", "snapshot"])
@pytest.mark.parametrize("flushed", [0, 300, 700])
def test_a_checkpoint_comes_back(kind: str, flushed: int) -> None:
    """The recovered state is that of the moment when sessions went over."""
    keeper, _ = make()
    store = FakeStore()
    store.session("a")
    for key in range(40):
        store.put(key, key * 3, "a")
    store.flush(flushed)
    store.during = lambda phase: store.put(5, len(phase), "a")
    engine = FakeCheckpoint(store)
    info = keeper.take(engine, kind, cookie=b"here")
    assert engine.ended == [True]
    back, report = recovered(keeper, store.disk)
    assert back.state() == engine.expected
    assert report.cookie == b"here"
    assert report.sessions == info.sessions
    assert info.kind == kind


@pytest.mark.parametrize("seed", range(12))
def test_chains_come_back(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every member of a chain of incremental checkpoints recovers to its own state."""
    monkeypatch.setattr(_pump, "_LARGE", seed % 2 * 100)
    monkeypatch.setattr(_blocks, "_WINDOW", 50 + seed * 300)
    monkeypatch.setattr(_merge, "_RUN", 256 * (1 + seed % 4))
    keeper, files = make(keep=20)
    store = FakeStore()
    store.session("a")
    fill(store, seed, 60, 30)
    taken = []
    for step in range(10):
        engine = FakeCheckpoint(store, restarts=step % 3)
        store.during = partial(scribble, store)
        info = keeper.take(engine, "auto")
        store.during = lambda phase: None
        taken.append((info, engine.expected))
        fill(store, seed + step, 15, 30)
    kinds = [info.kind for info, _ in taken]
    assert kinds == ["snapshot", *["incremental"] * 7, "snapshot", "incremental"]
    for info, expected in taken:
        keeper, _ = make(files)
        back, report = recovered(keeper, store.disk, info.token)
        assert back.state() == expected
        assert report.token == info.token


@pytest.mark.parametrize("seed", range(6))
def test_several_lives(seed: int) -> None:
    """A store that is recovered, goes on, and is recovered again keeps its state."""
    random = Random(seed)
    keeper, files = make()
    store = FakeStore()
    store.session("a")
    expected: dict[int, int] = {}
    generations = set()
    for life in range(8):
        fill(store, seed * 100 + life, 30, 25)
        for _ in range(random.randrange(3)):
            engine = FakeCheckpoint(store)
            store.during = partial(scribble, store)
            keeper.take(
                engine, random.choice(["auto", "snapshot", "fold-over", "index"])
            )
            store.during = lambda phase: None
            expected = engine.expected or expected
        fill(store, seed * 100 + life + 50, 10, 25)
        keeper, _ = make(files)
        back, _ = recovered(keeper, store.disk)
        if back is not None:
            assert back.state() == expected
            generations.add(back.generations[-1][1])
            store = back
    assert len(generations) > 3
