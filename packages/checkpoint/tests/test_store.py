# SPDX-License-Identifier: MIT
"""With the core itself: each checkpoint recovers, and damage gives no wrong value."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import pytest
from disk_kit import opened
from memory_files import MemoryFiles

from pyfaster.errors import CorruptionError, FasterError


def work(session: Any, state: dict[int, int], random: Random, count: int) -> None:
    """Change a store and a dict in the same way."""
    for _ in range(count):
        key, value = random.randrange(300), random.randrange(1 << 40)
        if value % 10 == 0:
            session.delete(key)
            state.pop(key, None)
        else:
            session.upsert(key, value)
            state[key] = value


def content(store: Any) -> dict[int, int]:
    """Everything in a store."""
    return dict(store.items())


@pytest.mark.trap("X07", "X10")
@pytest.mark.parametrize("seed", range(6))
def test_every_checkpoint_recovers(seed: int) -> None:
    """Of several checkpoints of all kinds in several lives each recovers to its own
    state, and the newest by itself."""
    random = Random(seed)
    data, files = bytearray(), MemoryFiles()
    state: dict[int, int] = {}
    held: dict[str, dict[int, int]] = {}
    for life in range(3):
        with opened(data, files) as store:
            assert content(store) == state
            with store.session("a") as session:
                for _ in range(4):
                    work(session, state, random, 200)
                    kind = random.choice(
                        ["auto", "auto", "snapshot", "fold-over", "index"]
                    )
                    info = store.checkpoint(kind)
                    if info.kind != "index":
                        held[info.token] = dict(state)
                        newest = info.token
                work(session, dict(state), random, 50)
        state = dict(held[newest])
        with opened(bytearray(data), copied(files)) as store:
            assert store.recovery.token == newest, life
            assert content(store) == state
    for token, expected in held.items():
        with opened(bytearray(data), copied(files), recover=token) as store:
            assert content(store) == expected


def copied(files: MemoryFiles) -> MemoryFiles:
    """The same files, apart."""
    other = MemoryFiles()
    other.places = copy.deepcopy(files.places)
    return other


class Two:
    """A store's bytes with two checkpoints, and what each of them holds."""

    def __init__(self, kind: str) -> None:
        self.data, self.files = bytearray(), MemoryFiles()
        random, state = Random(11), {}
        with opened(self.data, self.files) as store, store.session("a") as session:
            for key in range(300):
                session.upsert(key, key)
                state[key] = key
            store.flush()
            self.older, self.old = store.checkpoint("fold-over").token, dict(state)
            work(session, state, random, 150)
            self.newer, self.new = store.checkpoint(kind).token, dict(state)

    def check(self, data: bytearray, files: MemoryFiles) -> str:
        """Open it: one of the two states comes, or an error that says why not."""
        try:
            with opened(data, files) as store:
                token = store.recovery.token
                expected = {self.older: self.old, self.newer: self.new}[token]
                if token == self.older:
                    passed = [each.token for each in store.recovery.passed_over]
                    assert self.newer in passed
                for key in range(300):
                    try:
                        found = store.get(key)
                    except CorruptionError:
                        continue  # a record on the device: its own key only
                    assert found == expected.get(key)
                return str(token)
        except FasterError as error:
            return type(error).__name__


@pytest.mark.once
@pytest.mark.fault("F32", "F33", "F34", "F36")
@pytest.mark.parametrize("kind", ["snapshot", "incremental", "fold-over"])
def test_flipped_bits_in_the_files(kind: str) -> None:
    """One other bit in a checkpoint's files: the newest or the older state, exactly."""
    two = Two(kind)
    random = Random(5)
    for name, whole in two.files.places[two.newer].items():
        step = max(len(whole) // 60, 1)
        for at in range(0, len(whole), step):
            files = copied(two.files)
            place = min(at + random.randrange(step), len(whole) - 1)
            files.places[two.newer][name][place] ^= 1 << random.randrange(8)
            token = two.check(bytearray(two.data), files)
            assert token == (two.newer if name == "index.dat" else two.older), name


@pytest.mark.once
@pytest.mark.fault("F31")
@pytest.mark.parametrize("kind", ["snapshot", "fold-over"])
def test_flipped_bits_in_the_log(kind: str) -> None:
    """One other bit of the log: a state, exactly, or an error for what it is in."""
    two = Two(kind)
    random = Random(6)
    seen = set()
    for at in range(0, len(two.data), 61):
        data = bytearray(two.data)
        data[at] ^= 1 << random.randrange(8)
        seen.add(two.check(data, copied(two.files)))
    assert seen <= {two.newer, two.older, "CorruptCheckpointError"}
    assert two.newer in seen


@pytest.mark.fault("F42", "F43", "F44")
@pytest.mark.parametrize("kind", ["snapshot", "incremental", "fold-over"])
def test_cut_and_lengthened_files(kind: str) -> None:
    """A file that is cut, missing or longer: the newest without its copy of the index,
    or the older one."""
    two = Two(kind)
    for name, whole in two.files.places[two.newer].items():
        sizes = [0, 1, 31, 32, len(whole) // 2, len(whole) - 1]
        for size in [*sizes, len(whole) + 1, len(whole) + 4096]:
            files = copied(two.files)
            data = files.places[two.newer][name]
            del data[size:]
            data.extend(bytes(size - len(data)))
            token = two.check(bytearray(two.data), files)
            assert token == (two.newer if name == "index.dat" else two.older), name


@pytest.mark.fault("F42")
def test_a_log_that_is_cut() -> None:
    """A device that ends too early is an error or an older state, never zeros."""
    two = Two("fold-over")
    for size in range(0, len(two.data), 257):
        token = two.check(two.data[:size], copied(two.files))
        assert token in (two.newer, two.older, "CorruptCheckpointError"), size
