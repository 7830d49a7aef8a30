# SPDX-License-Identifier: MIT
"""Checkpoints are taken while sessions work, and a store is recovered from them."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

import pyfaster
from pyfaster.checkpoints import Progress
from pyfaster.events import (
    CheckpointFailed,
    CheckpointTaken,
    RecoveryDone,
    RecoveryFellBack,
)

KINDS = ("fold-over", "snapshot", "incremental")
STATES = ("snapshot", "fold-over", "auto")


class Told:
    """A plugin that writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    @pyfaster.hookimpl
    def pyfaster_event(self, event: object) -> None:
        """Write it down."""
        self.events.append(event)

    def of(self, kind: type) -> list[Any]:
        """Those of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def told() -> Any:
    """What plugins are told in this test."""
    plugin = Told()
    pyfaster.register(plugin, name="told")
    yield plugin
    pyfaster.unregister("told")


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_checkpoint_holds_is_recovered(place: Any, kind: str) -> None:
    """All updates before it are there, and none behind it."""
    with place.open(checkpoint_on_close=False) as store:
        with store.session("ingest") as session:
            for key in range(2000):
                session.upsert(key, key)
            store.checkpoint("snapshot")
            for key in range(0, 2000, 50):
                session.upsert(key, -key)
            session.delete(7)
            info = store.checkpoint(kind)
            for key in range(3000):
                session.upsert(key, 1)
    assert info.kind == kind
    with place.open() as store:
        assert store.recovery is not None
        assert store.recovery.token == info.token
        assert store.recovery.passed_over == ()
        expected = {key: -key if key % 50 == 0 else key for key in range(2000)}
        del expected[7]
        assert dict(store.items()) == expected


@pytest.mark.parametrize("kind", STATES)
def test_lives_follow_each_other(place: Any, kind: str) -> None:
    """What several lives of a store have written adds up, larger than memory too."""
    seed = 20261122
    rng = random.Random(seed)
    expected: dict[int, int] = {}
    for life in range(6):
        with place.open() as store:
            assert dict(store.items()) == expected, f"seed {seed}, life {life}"
            keys = [rng.randrange(30_000) for _ in range(12_000)]
            store.upsert_many(keys, [life] * len(keys))
            expected.update(dict.fromkeys(keys, life))
            for key in rng.sample(sorted(expected), 50):
                assert store.delete(key)
                del expected[key]
            store.checkpoint(kind)
            key = rng.randrange(30_000)
            store[key] = expected[key] = 10 + life
    with place.open() as store:
        assert dict(store.items()) == expected, f"seed {seed}"


def test_values_of_any_size_are_recovered(place: Any) -> None:
    """The same for records of varying size."""
    types: dict[str, Any] = {"key": str, "value": bytes}
    expected = {f"key {i}": b"x" * (i * 7 % 900) for i in range(900)}
    with place.open(**types) as store:
        store.update(expected)
        store.checkpoint("snapshot")
        for key in list(expected)[::10]:
            expected[key] += b"more"
            store.rmw(key, b"more", merge="append")
    with place.open(**types) as store:
        assert dict(store.items()) == expected


@pytest.mark.parametrize("kind", STATES)
def test_a_checkpoint_is_a_prefix_of_every_session(place: Any, kind: str) -> None:
    """Threads that write meanwhile find all up to their commit point, none behind."""
    threads, rounds = 4, 4
    stop = threading.Event()
    serials: dict[str, int] = {}

    def write(store: Any, name: str, base: int) -> None:
        with store.session(name) as session:
            while not stop.is_set() or session.serial < 2000:
                number = session.serial + 1
                session.upsert(base + number % 500, number)
                if number >= 200_000:
                    break
            serials[name] = session.serial

    with place.open(checkpoint_on_close=False, memory="4MiB") as store:
        work = [
            threading.Thread(target=write, args=(store, f"t{i}", i * 1000))
            for i in range(threads)
        ]
        for thread in work:
            thread.start()
        infos = [store.checkpoint(kind) for _ in range(rounds)]
        stop.set()
        for thread in work:
            thread.join()
    points = infos[-1].sessions
    with place.open(memory="4MiB") as store:
        assert store.recovery.sessions == points
        for i in range(threads):
            last = points.get(f"t{i}", 0)
            assert 0 <= last <= serials[f"t{i}"]
            expected = {n % 500: n for n in range(max(1, last - 499), last + 1)}
            base = i * 1000
            values = {key: store.read(base + key) for key in range(500)}
            found = {key: one for key, one in values.items() if one is not None}
            assert found == expected, f"session t{i}, commit point {last}"


def test_what_is_said_of_a_checkpoint(place: Any, told: Told) -> None:
    """It has the user's cookie, sizes, sessions and phases; plugins are told."""
    seen: list[Progress] = []
    with place.open(checkpoint_on_close=False) as store:
        with store.session("a") as session:
            session.upsert(1, 1)
            info = store.checkpoint(
                "snapshot", cookie=b"offset 17", progress=seen.append
            )
        assert info.cookie == b"offset 17"
        assert info.sessions == {"a": 1}
        assert info.size == sum(info.files.values()) > 0
        assert set(info.phases) >= {"prepare", "in-progress", "wait-flush"}
        assert all(seconds >= 0 for seconds in info.phases.values())
        assert {"prepare", "persist"} <= {each.phase for each in seen}
        (listed,) = store.checkpoints()
        assert (listed.token, listed.cookie) == (info.token, info.cookie)
        assert store.validate(info.token).ok
        assert store.validate(info.token, deep=True).ok
    assert [event.info.token for event in told.of(CheckpointTaken)] == [info.token]
    with place.open() as store:
        assert store.recovery.cookie == b"offset 17"
    (done,) = told.of(RecoveryDone)
    assert done.report.token == info.token


def test_a_checkpoint_can_be_waited_for_later(place: Any) -> None:
    """With wait=False a future comes back; two at once are taken one by one."""
    with place.open() as store:
        store[1] = 1
        futures = [store.checkpoint("snapshot", wait=False) for _ in range(3)]
        infos = [future.result(60) for future in futures]
        assert sorted(info.sequence for info in infos) == [1, 2, 3]


@pytest.mark.fault("F93")
def test_a_second_checkpoint_waits_or_is_told(place: Any) -> None:
    """Whoever has no time to wait for the one that is being taken is told so."""
    with place.open() as store:
        store[1] = 1
        told: list[str] = []

        def ask(progress: Progress) -> None:
            if told:
                return
            told.append("")
            with pytest.raises(pyfaster.CheckpointBusyError, match="asked for by"):
                store.checkpoint()
            with pytest.raises(pyfaster.CheckpointBusyError, match="inside"):
                store.close()
            for call in (store.prune, lambda: store.pin(""), lambda: store.unpin("")):
                with pytest.raises(pyfaster.CheckpointBusyError, match="asked for by"):
                    call()
            later = store.checkpoint(wait=False, timeout=0)
            with pytest.raises(pyfaster.CheckpointBusyError, match="being taken"):
                later.result(60)
            told.append("asked")

        store.checkpoint("snapshot", progress=ask)
        assert told == ["", "asked"]
        assert len(store.checkpoints()) == 1


def test_a_callback_that_raises_fails_its_checkpoint_only(
    place: Any, told: Told
) -> None:
    """The error is chained, the store goes on, and the next one is complete."""

    def fail(progress: Progress) -> None:
        if progress.phase == "wait-flush":
            raise ZeroDivisionError("of the user")

    with place.open() as store:
        store[1] = 1
        with pytest.raises(pyfaster.CheckpointFailedError) as caught:
            store.checkpoint("snapshot", progress=fail)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert store.checkpoints() == ()
        store[2] = 2
        store.checkpoint("snapshot")
    assert len(told.of(CheckpointFailed)) == 1
    with place.open() as store:
        assert dict(store.items()) == {1: 1, 2: 2}


def test_older_ones_go_and_pinned_ones_stay(place: Any) -> None:
    """keep_checkpoints of the newest stay, and what is pinned."""
    with place.open(keep_checkpoints=2) as store:
        tokens = []
        for i in range(5):
            store[i] = i
            tokens.append(store.checkpoint("snapshot").token)
            if i == 1:
                store.pin(tokens[1])
        kept = [info.token for info in store.checkpoints()]
        assert kept == [tokens[4], tokens[3], tokens[1]]
        store.unpin(tokens[1])
        assert set(store.prune(keep=1)) == {tokens[3], tokens[1]}
        assert [info.token for info in store.checkpoints()] == [tokens[4]]


def test_a_damaged_checkpoint_is_passed_over_and_told(place: Any, told: Told) -> None:
    """The one before serves; nobody is left to think that it was the newest."""
    with place.open(checkpoint_on_close=False) as store:
        store[1] = 1
        first = store.checkpoint("fold-over").token
        store[2] = 2
        second = store.checkpoint("snapshot").token
    damaged = place.checkpoints / second / "snapshot.dat"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    with place.open() as store:
        assert dict(store.items()) == {1: 1}
        assert store.recovery.token == first
        assert [one.token for one in store.recovery.passed_over] == [second]
        (event,) = told.of(RecoveryFellBack)
        assert event.token == second
        assert "snapshot.dat" in event.reason
    with place.open(recover=first) as store:
        assert dict(store.items()) == {1: 1}


def test_nothing_usable_is_never_an_empty_store(place: Any) -> None:
    """When all are damaged, opening fails; what is there is left as it is."""
    with place.open(checkpoint_on_close=False) as store:
        store[1] = 1
        token = store.checkpoint("snapshot").token
    manifest = place.checkpoints / token / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    before = sorted(path.name for path in place.checkpoints.rglob("*"))
    for _ in range(2):
        with pytest.raises(pyfaster.CorruptCheckpointError):
            place.open()
    after = sorted(path.name for path in place.checkpoints.rglob("*"))
    assert after == before


def test_one_of_several_checkpoints_can_be_chosen(place: Any) -> None:
    """recover= takes a token; the store goes on from there, and so do later ones."""
    with place.open(keep_checkpoints=10, checkpoint_on_close=False) as store:
        tokens = []
        for i in range(3):
            store[i] = i
            tokens.append(store.checkpoint("fold-over").token)
    with place.open(recover=tokens[1], keep_checkpoints=10) as store:
        assert dict(store.items()) == {0: 0, 1: 1}
        store[9] = 9
    with place.open(keep_checkpoints=10) as store:
        assert dict(store.items()) == {0: 0, 1: 1, 9: 9}
    with pytest.raises(pyfaster.CheckpointNotFoundError):
        place.open(recover="0" * 16 + "-" + "0" * 16)
    with pytest.raises(pyfaster.ConfigError, match='recover="none"'):
        place.open(recover="none")


def test_an_index_alone_commits_nothing(place: Any) -> None:
    """A copy of the index is no state; the store is recovered from the one before."""
    with place.open(checkpoint_on_close=False) as store:
        with store.session("a") as session:
            session.upsert(1, 1)
            store.checkpoint("fold-over")
            session.upsert(2, 2)
            info = store.checkpoint("index")
            assert info.sessions == {}
            assert session.committed_serial == 1
    with place.open() as store:
        assert dict(store.items()) == {1: 1}


@pytest.mark.fault("F52")
def test_an_interrupt_ends_its_checkpoint_only(place: Any) -> None:
    """Ctrl-C while one is taken goes to who asked; the store and its place are well."""

    def interrupt(progress: Progress) -> None:
        if progress.phase == "in-progress":
            raise KeyboardInterrupt

    with place.open() as store:
        store[1] = 1
        with pytest.raises(KeyboardInterrupt):
            store.checkpoint("snapshot", progress=interrupt)
        assert store.checkpoints() == ()
        store[2] = 2
    with place.open() as store:
        assert dict(store.items()) == {1: 1, 2: 2}
