# SPDX-License-Identifier: MIT
"""Taking: the order of what is written, and what is left when something fails."""

from __future__ import annotations

import errno
import threading
from typing import Any

import pytest
from fake_engine import FakeCheckpoint, recovered
from keeper_kit import filled, make, take

from pyfaster.checkpoints import Progress
from pyfaster.errors import (
    CheckpointBusyError,
    CheckpointFailedError,
    ConfigError,
    DeadlineError,
    DeviceError,
    ForkedError,
)
from pyfaster_checkpoint import Keeper, _pump

ONE = "000000000000000"


def short(events: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Events without the token, each one of a run of equal ones."""
    plain = [(each[0], *each[2:]) for each in events]
    return [each for at, each in enumerate(plain) if plain[at - 1 : at] != [each]]


def test_the_order_of_publication() -> None:
    """Data is durable before the manifest is written, the manifest before it has its
    name, and the name before anybody is told."""
    keeper, files = make()
    store = filled()
    take(keeper, store, "snapshot")
    files.events.clear()
    engine = FakeCheckpoint(store)
    real = engine.end

    def end(published: bool) -> None:
        files.note("end", "", str(published))
        real(published)

    engine.end = end  # type: ignore[method-assign]
    keeper.take(engine, "incremental")
    assert short(files.events) == [
        ("make",),
        ("create", "delta.dat"),
        ("write", "delta.dat"),
        ("create", "snapshot.dat"),
        ("write", "snapshot.dat"),
        ("sync", "delta.dat"),
        ("close", "delta.dat"),
        ("sync", "snapshot.dat"),
        ("close", "snapshot.dat"),
        ("sync-names",),
        ("create", "manifest.tmp"),
        ("write", "manifest.tmp"),
        ("sync", "manifest.tmp"),
        ("close", "manifest.tmp"),
        ("rename", "manifest.tmp", "manifest.json"),
        ("sync-names",),
        ("end", "True"),
    ]


def test_the_order_of_removal() -> None:
    """An older checkpoint goes after the new one is complete: its manifest first and
    for good, then its files, then its place."""
    keeper, files = make(keep=1)
    store = filled()
    first, _ = take(keeper, store, "snapshot")
    files.events.clear()
    second, _ = take(keeper, store, "snapshot")
    events = files.events
    done = events.index(("rename", second.token, "manifest.tmp", "manifest.json"))
    assert events[done + 1] == ("sync-names", second.token)
    assert events[done + 2 :] == [
        ("remove", first.token, "manifest.json"),
        ("sync-names", first.token),
        ("remove", first.token, "index.dat"),
        ("remove", first.token, "manifest.json"),
        ("remove", first.token, "snapshot.dat"),
        ("remove-token", first.token),
        ("sync-root",),
    ]


def steps(kind: str) -> int:
    """How many things are done to files while a checkpoint is taken."""
    keeper, files = make(keep=1)
    store = filled()
    take(keeper, store, "snapshot")
    before = len(files.events)
    take(keeper, store, kind)
    return len(files.events) - before


def attempt(keeper: Keeper, engine: FakeCheckpoint, kind: str) -> Exception | None:
    """Take a checkpoint; give what it failed with."""
    try:
        keeper.take(engine, kind)
    except CheckpointFailedError as error:
        return error
    return None


@pytest.mark.once
@pytest.mark.fault("F10", "F11", "F12", "F16")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("kind", ["snapshot", "incremental", "fold-over", "index"])
@pytest.mark.parametrize("large", [1, 1 << 20])
def test_any_failure_fails_this_checkpoint_only(
    kind: str, number: int, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the system refuses, the checkpoint fails or is complete; the one before
    it recovers, nothing is left over, no sync is repeated, and the next one works."""
    monkeypatch.setattr(_pump, "_LARGE", large)  # who writes: another thread, or this
    for step in range(steps(kind)):
        keeper, files = make(keep=1)
        store = filled()
        first, expected = take(keeper, store, "snapshot")
        files.events.clear()
        left = [step]

        def fail(event: tuple[str, ...], left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise OSError(number, f"no {event[0]}")

        files.fail = fail
        engine = FakeCheckpoint(store)
        problem = attempt(keeper, engine, kind)
        files.fail = lambda event: None
        syncs = [event for event in files.events if event[0] == "sync"]
        assert len(syncs) == len(set(syncs)), syncs
        if problem is not None:
            assert isinstance(problem.__cause__, OSError)
            assert engine.ended == [False]
            assert store.fuzzy_start is None
            (known,) = keeper.checkpoints()
            assert known.token == first.token
            again, _ = make(files)
            back, report = recovered(again, store.disk)
            assert (back.state(), report.token) == (expected, first.token)
        after, held = take(keeper, store, "snapshot")
        again, _ = make(files)
        back, report = recovered(again, store.disk)
        assert (back.state(), report.token) == (held, after.token)
        assert not report.passed_over


@pytest.mark.fault("F11")
def test_a_full_disk_leaves_no_files() -> None:
    """What a failed checkpoint has written is removed."""
    keeper, files = make()
    store = filled()
    take(keeper, store, "snapshot")
    before = {token: set(place) for token, place in files.places.items()}

    def fail(event: tuple[str, ...]) -> None:
        if event[0] == "write":
            raise OSError(errno.ENOSPC, "no space")

    files.fail = fail
    with pytest.raises(CheckpointFailedError, match=r"no space.*can be used"):
        keeper.take(FakeCheckpoint(store), "incremental")
    assert {token: set(place) for token, place in files.places.items()} == before


@pytest.mark.fault("F16")
def test_names_that_could_not_be_synced_stay_untouched() -> None:
    """After the last sync of a directory has failed, its files stay for this life: a
    power cut may bring the manifest back, and then it must be whole."""
    keeper, files = make(keep=1)
    store = filled()
    take(keeper, store, "snapshot")
    count = [0]

    def fail(event: tuple[str, ...]) -> None:
        count[0] += event[0] == "sync-names"
        if event[0] == "sync-names" and count[0] == 2:
            raise OSError(errno.EIO, "not synced")

    files.fail = fail
    with pytest.raises(CheckpointFailedError):
        keeper.take(FakeCheckpoint(store), "snapshot")
    files.fail = lambda event: None
    (stuck,) = [
        token for token in files.places if "manifest.json" not in files.names(token)
    ]
    assert files.names(stuck) == ["index.dat", "snapshot.dat"]
    for _ in range(3):
        take(keeper, store, "snapshot")
    assert files.names(stuck) == ["index.dat", "snapshot.dat"]
    assert files.events.count(("sync-names", stuck)) == 2
    later, _ = make(files, keep=1)
    recovered(later, store.disk)
    take(later, store, "snapshot")
    assert stuck not in files.places


@pytest.mark.parametrize("where", ["begin", "prepare", "index", "wait-flush", "pages"])
def test_failures_of_the_core(where: str) -> None:
    """An error of the core ends the checkpoint, whatever phase it comes in."""
    keeper, files = make()
    store = filled()
    problem = DeviceError(errno.EIO, "the device failed")
    engine = FakeCheckpoint(store, {where: problem})
    with pytest.raises(CheckpointFailedError) as caught:
        keeper.take(engine, "snapshot")
    assert caught.value.__cause__ is problem
    assert engine.ended == [False]
    assert files.places == {}
    take(keeper, store, "snapshot")


@pytest.mark.parametrize("kind", [DeadlineError, CheckpointBusyError, ForkedError])
def test_some_errors_come_as_they_are(kind: type[Exception]) -> None:
    """A deadline names the session that held the phase up: the error is the core's."""
    keeper, files = make()
    problem = kind("session 'x' holds it up")
    engine = FakeCheckpoint(filled(), {"prepare": problem})
    with pytest.raises(kind) as caught:
        keeper.take(engine, "snapshot")
    assert caught.value is problem
    assert engine.ended == [False]
    assert files.places == {}


def test_an_interrupt_leaves_nothing() -> None:
    """Also what is no Exception ends the checkpoint cleanly, and goes on."""
    keeper, files = make()
    engine = FakeCheckpoint(filled(), {"wait-flush": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        keeper.take(engine, "snapshot")
    assert engine.ended == [False]
    assert files.places == {}


def test_a_deadline_that_has_passed() -> None:
    """Without time left nothing is begun, or what was begun is ended."""
    keeper, files = make()
    engine = FakeCheckpoint(filled())
    with pytest.raises(DeadlineError, match="allow more time"):
        keeper.take(engine, "snapshot", timeout=0)
    assert files.places == {}
    assert engine.ended == [False]


@pytest.mark.fault("F93")
def test_one_at_a_time() -> None:
    """A second checkpoint waits for the first, and is told when that takes too long."""
    keeper, _ = make()
    store = filled()
    inside, go = threading.Event(), threading.Event()

    def hold(phase: str) -> None:
        if phase == "wait-flush":
            inside.set()
            go.wait()

    store.during = hold
    results: list[Any] = []
    first = threading.Thread(
        target=lambda: results.append(take(keeper, store, "snapshot"))
    )
    first.start()
    inside.wait()
    with pytest.raises(CheckpointBusyError, match="another checkpoint"):
        keeper.take(FakeCheckpoint(store), "snapshot", timeout=0)
    assert keeper.checkpoints() == ()
    go.set()
    first.join()
    assert [info.token for info in keeper.checkpoints()] == [results[0][0].token]


def test_progress_and_durations() -> None:
    """The caller is told of each phase and of bytes, and gets how long each took."""
    keeper, _ = make()
    told: list[Progress] = []
    info, _ = take(keeper, filled(), "snapshot", progress=told.append)
    phases = [each.phase for each in told if not each.done]
    assert phases == [
        "index-copy",
        "prepare",
        "in-progress",
        "wait-flush",
        "persist",
        "sync",
        "publish",
    ]
    assert {each.phase for each in told if each.done} == {"index-copy", "wait-flush"}
    assert set(info.phases) == {"begin", *phases}
    assert all(taken >= 0 for taken in info.phases.values())


@pytest.mark.parametrize("at", range(1, 10))
def test_progress_may_end_it(at: int) -> None:
    """What the caller's function raises fails the checkpoint, at any call."""
    keeper, files = make()
    calls = [0]

    def tell(progress: Progress) -> None:
        calls[0] += 1
        if calls[0] == at:
            raise LookupError("enough")

    engine = FakeCheckpoint(filled())
    with pytest.raises(CheckpointFailedError, match="enough"):
        keeper.take(engine, "snapshot", progress=tell)
    assert engine.ended == [False]
    assert files.places == {}


def test_what_is_in_it() -> None:
    """A checkpoint says what the caller gave and what the core said."""
    keeper, _ = make()
    store = filled()
    info, _ = take(keeper, store, "snapshot", cookie=b"\x00mine")
    (known,) = keeper.checkpoints()
    assert known.phases == {}
    assert known.token == info.token
    assert known.cookie == info.cookie == b"\x00mine"
    assert known.sessions == info.sessions
    assert set(info.sessions) == {"a"}
    assert known.files == info.files
    assert sum(info.files.values()) == info.size > 0
    assert (info.kind, info.version, info.sequence) == ("snapshot", 1, 1)
    assert info.created == 1_000_000
    assert info.token.startswith(f"{ONE}1-")


def test_orders_that_are_refused() -> None:
    """An unknown kind and a large cookie are refused before anything is done."""
    keeper, files = make()
    engine = FakeCheckpoint(filled())
    with pytest.raises(ConfigError, match="kind is 'full'"):
        keeper.take(engine, "full")
    with pytest.raises(ConfigError, match="cookie has"):
        keeper.take(engine, "snapshot", cookie=bytes((1 << 20) + 1))
    assert files.events == []
    assert engine.ended == []


@pytest.mark.parametrize("length", [0, 1, -1])
def test_lengths_are_compared_before_it_counts(length: int) -> None:
    """A file that has not the bytes that were written fails the checkpoint."""
    keeper, files = make()

    def cut(event: tuple[str, ...]) -> None:
        if event[0] == "open" and event[2] == "snapshot.dat":
            data = files.places[event[1]][event[2]]
            if length < 0:
                del data[length:]
            else:
                data.extend(bytes(length))

    files.fail = cut
    engine = FakeCheckpoint(filled())
    if length:
        with pytest.raises(CheckpointFailedError, match="that were written"):
            keeper.take(engine, "snapshot")
    else:
        keeper.take(engine, "snapshot")
    assert engine.ended == [not length]


def test_which_kind_auto_is() -> None:
    """The first of a life is a snapshot; then what is based on it, until the chain is
    long, or after one that nothing can be based on."""
    keeper, files = make()
    store = filled()
    kinds = [take(keeper, store, "auto")[0].kind for _ in range(9)]
    assert kinds == ["snapshot", *["incremental"] * 7, "snapshot"]
    take(keeper, store, "fold-over")
    assert take(keeper, store, "incremental")[0].kind == "snapshot"
    assert take(keeper, store, "incremental")[0].kind == "incremental"
    later, _ = make(files)
    back, _ = recovered(later, store.disk)
    assert take(later, back, "incremental")[0].kind == "snapshot"


def test_an_old_base_is_not_used() -> None:
    """Each attempt takes a version; after many that failed a snapshot is taken."""
    keeper, _ = make()
    store = filled()
    take(keeper, store, "snapshot")
    for _ in range(101):
        with pytest.raises(CheckpointFailedError):
            keeper.take(FakeCheckpoint(store, {"pages": OSError("no")}), "auto")
    assert take(keeper, store, "auto")[0].kind == "snapshot"


def test_a_damaged_base_is_not_used() -> None:
    """Nothing is based on a checkpoint that has been damaged since."""
    keeper, files = make()
    store = filled()
    info, _ = take(keeper, store, "snapshot")
    del files.places[info.token]["snapshot.dat"][-1:]
    assert take(keeper, store, "auto")[0].kind == "snapshot"


@pytest.mark.trap("T20")
def test_clean_up_that_fails_fails_nothing() -> None:
    """What cannot be removed is told, and is tried again; checkpoints go on, and are as
    incremental as before."""
    told: list[Any] = []
    keeper, files = make(keep=1, announce=told.append)
    store = filled()
    take(keeper, store, "snapshot")
    first, _ = take(keeper, store, "fold-over")

    def fail(event: tuple[str, ...]) -> None:
        if event[0] == "remove":
            raise OSError(errno.EPERM, "not allowed")

    files.fail = fail
    take(keeper, store, "snapshot")
    take(keeper, store, "snapshot")
    assert take(keeper, store, "auto")[0].kind == "incremental"
    assert {event.token for event in told} >= {first.token}
    assert all(isinstance(event.error, OSError) for event in told)
    files.fail = lambda event: None
    last, _ = take(keeper, store, "fold-over")
    assert list(files.places) == [last.token]
