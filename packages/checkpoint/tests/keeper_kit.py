# SPDX-License-Identifier: MIT
"""Keepers over files in memory, and stores with something in them."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from fake_engine import FakeCheckpoint
from fake_store import FakeStore
from memory_files import MemoryFiles

from pyfaster.checkpoints import CheckpointSettings
from pyfaster_checkpoint import Keeper


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def make(
    files: Any = None, clock: Clock | None = None, **settings: Any
) -> tuple[Keeper, Any]:
    """A keeper on files in memory, and the files."""
    files = MemoryFiles() if files is None else files
    chosen = CheckpointSettings("test", **settings)
    return Keeper(files, chosen, clock=clock or Clock()), files


def fill(store: FakeStore, seed: int, count: int, keys: int = 25) -> None:
    """Write some keys, and flush now and then."""
    random = Random(seed)
    store.session("a")
    for _ in range(count):
        store.put(random.randrange(keys), random.randrange(1 << 40), "a")
        if random.random() < 0.02:
            store.flush(store.tail - random.randrange(400))


def scribble(store: FakeStore, phase: str) -> None:
    """Write a little in every phase of a checkpoint."""
    fill(store, len(phase), 3)


def filled(seed: int = 1, count: int = 60) -> FakeStore:
    """A store with something in it, that is written to in every phase."""
    store = FakeStore()
    fill(store, seed, count)
    store.during = partial(scribble, store)
    return store


def take(keeper: Keeper, store: FakeStore, kind: str, **more: Any) -> Any:
    """Take a checkpoint; give it with the state that it holds."""
    engine = FakeCheckpoint(store)
    info = keeper.take(engine, kind, **more)
    assert engine.ended == [True]
    return info, engine.expected
