# SPDX-License-Identifier: MIT
"""Everything at once while checkpoints are taken, on files: each update counts once."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import pyfaster
from pyfaster.errors import CorruptionError

KEYS = 600
#: Each session adds to a lane of its own of every counter.
LANE = 1 << 15


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A directory for a store, where devices of files are installed."""
    pytest.importorskip("pyfaster_checkpoint")
    pytest.importorskip("pyfaster_devices_file")
    return tmp_path / "data"


def open_at(where: Path, **settings: Any) -> pyfaster.FasterKv[int, bytes]:
    """Open a store of counters, padded so that most of them are on the device."""
    given = {"memory": "1MiB", "page_size": "16KiB", "segment_size": "1MiB", **settings}
    return pyfaster.open(where, key=int, value=bytes, **given)


def worker(kind: int, name: str, store: Any, rng: random.Random, count: int) -> None:
    """Do so many updates; update n appends its number to key plan(n)."""
    if kind == 2:
        asyncio.run(tasks(name, store, rng, count))
        return
    with store.session(name) as session:
        while session.serial < count:
            first = session.serial + 1
            size = min(rng.randrange(1, 20), count - first + 1)
            numbers = range(first, first + size)
            keys = [plan(name, number) for number in numbers]
            words = [word(name, number) for number in numbers]
            if kind == 0:
                session.rmw_many(keys, words, merge="append")
            else:
                for key, value in zip(keys, words, strict=True):
                    session.start_rmw(key, value, "append")
                for ended in session.complete_pending():
                    assert ended.status == 0, ended


async def tasks(name: str, store: Any, rng: random.Random, count: int) -> None:
    """The same in an event loop."""
    async with store.async_session(name) as session:
        for first in range(1, count + 1, 10):
            asked = [
                session.rmw(plan(name, number), word(name, number), "append")
                for number in range(first, min(first + 10, count + 1))
            ]
            for one in asked:
                await one


def plan(name: str, number: int) -> int:
    """Which key an update is for."""
    return (number * 7919 + ord(name[-1])) % KEYS


def word(name: str, number: int) -> bytes:
    """What an update appends: whose it is, and its number."""
    return f"{name}{number:06} ".encode()


def check(store: Any, points: dict[str, int], where: str) -> None:
    """Every key has exactly the words up to the commit points, in each one's order."""
    found: dict[str, list[int]] = {name: [] for name in points}
    for key, value in store.items():
        last: dict[str, int] = {}
        for text in value[PAD:].decode().split():
            name, number = text[:2], int(text[2:])
            assert plan(name, number) == key, where
            assert number > last.get(name, 0), f"{where}: {name} out of order"
            last[name] = number
            found[name].append(number)
    for name, numbers in found.items():
        assert sorted(numbers) == list(range(1, points[name] + 1)), f"{where}: {name}"


#: In front of the words, so that what is there is larger than memory.
PAD = 3000


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["snapshot", "fold-over", "auto"])
def test_a_prefix_of_each_session_whatever_it_does(where: Path, kind: str) -> None:
    """Batches, started operations and tasks on cold keys, all under way at once."""
    seed, count = 4, 1500
    names = ["a0", "b1", "c2"]
    with open_at(where, checkpoint_on_close=False, keep_checkpoints=50) as store:
        store.upsert_many(list(range(KEYS)), bytes(PAD))
        store.checkpoint(kind)
        work = [
            threading.Thread(
                target=worker,
                args=(int(name[1]), name, store, random.Random(seed), count),
            )
            for name in names
        ]
        for thread in work:
            thread.start()
        infos = []
        while any(thread.is_alive() for thread in work) and len(infos) < 40:
            infos.append(store.checkpoint(kind))
        for thread in work:
            thread.join()
    for info in infos[:: max(1, len(infos) // 3)][::-1]:
        points = {name: info.sessions.get(name, 0) for name in names}
        with open_at(
            where, recover=info.token, checkpoint_on_close=False, keep_checkpoints=50
        ) as store:
            assert store.recovery.token == info.token
            check(store, points, f"seed {seed}, {info.token}, {points}")


def copy_all(source: Path, target: Path) -> None:
    """Copy a directory; what the store removes or renames meanwhile is left out."""
    for folder, _, names in os.walk(source):
        place = target / Path(folder).relative_to(source)
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            with suppress(FileNotFoundError):
                shutil.copyfile(Path(folder, name), place / name)


@pytest.mark.fault("F95")
def test_a_copy_taken_while_it_runs(where: Path, tmp_path: Path) -> None:
    """A copied directory gives a published checkpoint, or is refused; never less."""
    stop = threading.Event()

    def write(store: Any) -> None:
        with store.session("w") as session:
            number = 0
            while not stop.is_set() and number < 1_000_000:
                number += 1
                session.upsert(number % KEYS, bytes(PAD) + b"%d" % number)

    with open_at(where, keep_checkpoints=3) as store:
        store.upsert_many(list(range(KEYS)), bytes(PAD))
        known = {store.checkpoint("snapshot").token}
        writer = threading.Thread(target=write, args=(store,))
        writer.start()
        try:
            refused = copies(store, where, tmp_path, known)
        finally:
            stop.set()
            writer.join()
    assert refused < 5


def copies(store: Any, where: Path, room: Path, known: set[str]) -> int:
    """Copy the directory while checkpoints are taken; how many copies were refused."""
    refused = 0
    for turn in range(5):
        copy = room / f"copy{turn}"
        future = store.checkpoint("snapshot", wait=False)
        copy_all(where, copy)
        known.add(future.result(60).token)
        try:
            with open_at(copy, checkpoint_on_close=False) as other:
                assert other.recovery.token in known
                assert other.count() == KEYS
        except CorruptionError:
            refused += 1
    return refused


def test_files_of_a_damaged_checkpoint_are_passed_over(where: Path) -> None:
    """The device is opened anew for the one before, and the store goes on from it."""
    with open_at(where, checkpoint_on_close=False, keep_checkpoints=5) as store:
        tokens = []
        for turn in range(3):
            store.upsert_many(list(range(KEYS)), bytes(PAD) + b"%d" % turn)
            tokens.append(store.checkpoint("snapshot").token)
    file = where / "checkpoints" / tokens[2] / "snapshot.dat"
    data = bytearray(file.read_bytes())
    data[-100] ^= 4
    file.write_bytes(data)
    (where / "checkpoints" / tokens[1] / "snapshot.dat").unlink()
    for _ in range(2):
        with open_at(where, keep_checkpoints=5) as store:
            assert store[7] == bytes(PAD) + b"0"
            assert store.recovery.token == tokens[0]
            passed = {one.token for one in store.recovery.passed_over}
            assert passed == {tokens[1], tokens[2]}
    with open_at(where, keep_checkpoints=5) as store:
        store[7] = b"new"
    with open_at(where) as store:
        assert store[7] == b"new"
        assert store.count() == KEYS
        assert store.recovery.passed_over == ()
