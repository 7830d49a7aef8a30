# SPDX-License-Identifier: MIT
"""The keeper: what it refuses, what it remembers, several threads, and its end."""

from __future__ import annotations

import errno
import gc
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fake_engine import LAYOUT_ANY, FakeCheckpoint, FakeRecovery, recovered
from fake_store import FakeStore
from keeper_kit import Clock, fill, filled, make, take
from memory_files import MemoryFiles

from pyfaster.checkpoints import CheckpointKeeper, CheckpointSettings, Progress
from pyfaster.errors import (
    CheckpointBusyError,
    CheckpointNotFoundError,
    ClosedError,
    ConfigError,
    CorruptCheckpointError,
    DeviceError,
    ReadOnlyError,
    UnsupportedFormatError,
)
from pyfaster_checkpoint import DiskFiles, Keeper
from pyfaster_checkpoint._background import Every

NOBODY = f"{7:016x}-{7:016x}"


def fits(keeper: CheckpointKeeper) -> CheckpointKeeper:
    """What type checkers and the core ask of a keeper."""
    return keeper


def test_nothing_is_no_checkpoint() -> None:
    """Where there is nothing there is no plan; an unknown token is an error."""
    keeper, _ = make()
    assert fits(keeper).plan("latest", LAYOUT_ANY) is None
    assert keeper.checkpoints() == ()
    assert keeper.prune() == ()
    for token in (NOBODY, "newest", "../x", ""):
        with pytest.raises(CheckpointNotFoundError, match="no checkpoint"):
            keeper.plan(token, LAYOUT_ANY)


def test_a_plan_says_how_to_open() -> None:
    """A plan has a new generation above all old ones, and what this recovery skips."""
    keeper, files = make()
    store = filled(count=70)
    store.flush(700)
    info, _ = take(keeper, store, "snapshot")
    plans = [make(files)[0].plan("latest", LAYOUT_ANY) for _ in range(3)]
    one = plans[0]
    assert one is not None
    assert one.token == info.token
    assert one.log_start == one.log_until - one.log_until % 256
    assert one.generations[:-1] == store.generations
    assert one.generations[-1][0] == one.log_until
    numbers = {plan.generations[-1][1] for plan in plans if plan is not None}
    assert len(numbers) == 3
    assert all(number >> 32 == 2 for number in numbers)
    (skip,) = one.skips
    assert skip[2] == one.version + 1
    assert skip[0] < skip[1]
    assert set(one.sessions) == {"a"}
    assert one.next_session_id == 2


def test_a_copy_of_the_index_is_no_state() -> None:
    """An index checkpoint alone is no store; it cannot be asked for either."""
    keeper, _ = make()
    store = filled()
    info, _ = take(keeper, store, "index")
    assert keeper.plan("latest", LAYOUT_ANY) is None
    with pytest.raises(UnsupportedFormatError, match="no state"):
        keeper.plan(info.token, LAYOUT_ANY)


def test_an_index_checkpoint_makes_recovery_shorter() -> None:
    """The newest copy of the index at or before a checkpoint serves it."""
    keeper, files = make()
    store = filled()
    take(keeper, store, "snapshot")
    index, _ = take(keeper, store, "index")
    fill(store, 3, 5)
    last, expected = take(keeper, store, "incremental")
    take(keeper, store, "index")
    back, report = recovered(make(files)[0], store.disk)
    assert back.state() == expected
    assert (report.token, report.index) == (last.token, index.token)


def test_recovery_tells_how_far_it_is() -> None:
    """Each part is told of, to its end; the report has bytes and durations."""
    keeper, files = make()
    store = filled(count=90)
    store.flush(1500)
    take(keeper, store, "snapshot")
    again, _ = make(files, threads=3)
    plan = again.plan("latest", LAYOUT_ANY)
    assert plan is not None
    told: list[Progress] = []
    engine = FakeRecovery(plan, bytearray(store.disk))
    report = again.recover(plan, engine, progress=told.append)
    phases = {each.phase for each in told}  # pages may come while the index does
    assert {"index", "pages"} <= phases <= {"index", "log", "pages"}
    for phase in phases:
        last = [each for each in told if each.phase == phase][-1]
        assert last.done == last.total > 0
    assert set(report.phases) == {"index", "log", "pages", "finish"}
    info = again.checkpoints()[0]
    assert report.file_bytes == info.size
    assert engine.calls[0] == "begin"
    assert engine.calls[-1] == "finish"


def ranges_of(calls: list[str]) -> list[tuple[int, int]]:
    """The ranges that were asked for, in order."""
    words = [each.split() for each in calls if each.startswith("log ")]
    return sorted((int(each[1]), int(each[2])) for each in words)


@pytest.mark.parametrize("threads", [1, 4])
def test_ranges(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a copy of the index the whole log is read, each byte once."""
    monkeypatch.setattr("pyfaster_checkpoint._recover._RANGE", 512)
    keeper, files = make()
    store = filled(count=150)
    info, expected = take(keeper, store, "fold-over")
    again, _ = make(files, threads=threads)
    key = f"{info.token}/index.dat"
    plan = again.plan("latest", LAYOUT_ANY, exclude=[key])
    assert plan is not None
    assert [each.token for each in plan.passed_over] == [key]
    engine = FakeRecovery(plan, bytearray(store.disk))
    report = again.recover(plan, engine)
    found = ranges_of(engine.calls)
    assert found[0][0] == 64
    assert found[-1][1] == plan.log_until
    assert all(one[1] == two[0] for one, two in pairwise(found))
    assert all(start % 512 == 0 for start, _ in found[1:])
    assert report.log_bytes == plan.log_until - 64
    assert engine.store is not None
    assert engine.store.state() == expected


def test_a_plan_of_somebody_else() -> None:
    """A keeper recovers by its own plans only."""
    keeper, files = make()
    store = filled()
    take(keeper, store, "snapshot")
    plan = make(files)[0].plan("latest", LAYOUT_ANY)
    assert plan is not None
    with pytest.raises(ConfigError, match="not of this keeper"):
        keeper.recover(plan, FakeRecovery(plan, store.disk))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.ENOMEM])
def test_what_could_not_be_looked_at_is_no_damage(number: int) -> None:
    """No descriptor or permission is an error of opening: an older state would come
    without need."""
    keeper, files = make()
    store = filled()
    take(keeper, store, "snapshot")
    take(keeper, store, "snapshot")

    def fail(event: tuple[str, ...]) -> None:
        if event[0] == "open":
            raise OSError(number, "not now")

    files.fail = fail
    with pytest.raises(DeviceError, match="not now") as caught:
        keeper.plan("latest", LAYOUT_ANY)
    assert caught.value.errno == number


@pytest.mark.fault("F08")
def test_what_cannot_be_read_is_damage() -> None:
    """A manifest that the device cannot read is passed over, as a damaged one."""
    keeper, files = make()
    store = filled()
    older, _ = take(keeper, store, "snapshot")
    newer, _ = take(keeper, store, "snapshot")

    def fail(event: tuple[str, ...]) -> None:
        if event == ("read", newer.token, "manifest.json"):
            raise OSError(errno.EIO, "unreadable")

    files.fail = fail
    plan = keeper.plan("latest", LAYOUT_ANY)
    assert plan is not None
    assert plan.token == older.token
    assert [each.token for each in plan.passed_over] == [newer.token]


def test_another_stores_checkpoints_are_foreign() -> None:
    """Checkpoints of another store are listed as such, never used and never removed."""
    keeper, files = make(keep=1)
    stranger = filled()
    stranger.store_id = 0x9999
    theirs, _ = take(keeper, stranger, "snapshot")
    ours = filled(2)
    keeper, _ = make(files, keep=1)
    take(keeper, ours, "snapshot")
    take(keeper, ours, "fold-over")
    last, expected = take(keeper, ours, "fold-over")
    known = {each.token: each.damage for each in keeper.checkpoints()}
    assert set(known) == {theirs.token, last.token}
    assert "belongs to store 0x0000000000009999" in known[theirs.token]
    back, report = recovered(make(files)[0], ours.disk)
    assert (back.state(), report.token) == (expected, last.token)


@pytest.mark.fault("F89", "F91")
def test_names_with_numbers_that_nobody_gave() -> None:
    """Places whose numbers could not be counted on from stop no checkpoint."""
    keeper, files = make()
    store = filled()
    files.places[f"{'f' * 16}-{1:016x}"] = {}
    files.places[f"{(1 << 62) + 1:016x}-{1:016x}"] = {"manifest.json": bytearray(b"?")}
    info, expected = take(keeper, store, "snapshot")
    assert info.sequence == 1
    back, report = recovered(make(files)[0], store.disk)
    assert (back.state(), report.token) == (expected, info.token)
    assert len(report.passed_over) == 1


def test_what_is_being_removed_is_no_damage() -> None:
    """A checkpoint that goes while it is looked at is not listed, nor as damaged."""
    keeper, files = make()
    store = filled()
    info, _ = take(keeper, store, "snapshot")

    def remove(event: tuple[str, ...]) -> None:
        if event[0] == "open" and event[2] != "manifest.json":
            files.places[info.token].clear()

    files.fail = remove
    assert keeper.checkpoints() == ()


def test_a_reader_changes_nothing() -> None:
    """A keeper for reading recovers and lists, and refuses all else."""
    keeper, files = make()
    store = filled()
    info, expected = take(keeper, store, "snapshot")
    files.events.clear()
    reader, _ = make(files, read_only=True)
    back, _ = recovered(reader, store.disk)
    assert back.state() == expected
    assert reader.validate(info.token, deep=True).ok
    calls: list[Any] = [
        lambda: reader.take(FakeCheckpoint(store), "snapshot"),
        reader.prune,
        lambda: reader.pin(info.token),
        lambda: reader.unpin(info.token),
    ]
    for call in calls:
        with pytest.raises(ReadOnlyError, match="opened for reading"):
            call()
    assert files.events == []


def test_after_its_end() -> None:
    """A closed keeper closes its files and refuses everything; twice is once."""
    keeper, files = make()
    store = filled()
    info, _ = take(keeper, store, "snapshot")
    keeper.close()
    keeper.close()
    assert files.closed
    calls: list[Any] = [
        keeper.checkpoints,
        keeper.prune,
        lambda: keeper.plan("latest", {}),
        lambda: keeper.take(FakeCheckpoint(store), "snapshot"),
        lambda: keeper.validate(info.token),
        lambda: keeper.pin(info.token),
    ]
    for call in calls:
        with pytest.raises(ClosedError, match="closed"):
            call()


@pytest.mark.fault("F93")
def test_many_threads(tmp_path: Path) -> None:
    """Checkpoints, lists, pins and removals by several threads: each call is whole."""
    files = DiskFiles(tmp_path / "checkpoints")
    keeper, _ = make(files, keep=2)
    store = FakeStore()
    fill(store, 1, 30)
    take(keeper, store, "snapshot")
    wrong: list[Exception] = []

    def work(number: int) -> None:
        try:
            for turn in range(6):
                if number < 2:
                    keeper.take(FakeCheckpoint(store), ("auto", "fold-over")[turn % 2])
                else:
                    look(keeper, number)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(each,)) for each in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert all(not each.damage for each in keeper.checkpoints())
    keeper.close()


def look(keeper: Any, number: int) -> None:
    """Do what does not write data; a checkpoint may be gone before it is used."""
    token = keeper.checkpoints()[-1].token
    calls = {2: keeper.pin, 3: keeper.unpin, 4: keeper.validate}
    try:
        calls[number](token)
        keeper.prune()
    except (CheckpointNotFoundError, FileNotFoundError):
        return


def test_on_disk(tmp_path: Path) -> None:
    """All of it on a real directory: taken, listed, validated, recovered, removed."""
    directory = tmp_path / "checkpoints"
    store = filled(count=300)
    keeper, _ = make(DiskFiles(directory), keep=2)
    expected: dict[int, int] = {}
    for kind in ("snapshot", "incremental", "fold-over", "index", "snapshot"):
        info, state = take(keeper, store, kind)
        assert keeper.validate(info.token, deep=True).ok
        expected = state or expected
    keeper.close()
    names = {path.name for path in directory.iterdir()}
    again, _ = make(DiskFiles(directory))
    back, report = recovered(again, store.disk)
    assert back.state() == expected
    assert {path.name for path in directory.iterdir()} == names
    assert report.passed_over == ()
    (directory / report.token / "snapshot.dat").unlink()
    back, later = recovered(again, store.disk)
    assert later.token != report.token
    assert [each.token for each in later.passed_over] == [report.token]
    again.close()


def test_every_so_often() -> None:
    """What is to be done is done again and again, errors are told, and it ends."""
    keeper, _ = make()
    done = threading.Semaphore(0)
    told: list[Exception] = []
    problem = CorruptCheckpointError("no")

    def call() -> None:
        done.release()
        if len(told) < 2:
            raise problem

    repeater = keeper.every(0.001, call, told.append)
    for _ in range(5):
        done.acquire()
    assert repeater.stop(60)
    assert repeater.stop(60)
    assert told == [problem, problem]


def test_it_may_be_stopped_from_inside() -> None:
    """Who is called may stop it, and does not wait for itself."""
    ended = threading.Event()
    every: list[Every] = []
    begun = threading.Event()

    def call() -> None:
        begun.wait()
        every[0].stop(60)
        ended.set()

    every.append(Every(0.001, call, lambda error: None))
    begun.set()
    assert ended.wait(60)
    assert every[0].stop(60)


def test_it_ends_with_who_has_it() -> None:
    """When nobody has it any more its thread ends, without being told."""
    every = Every(3600, lambda: None, lambda error: None)
    thread = every._thread
    del every
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e30])
def test_times_that_are_refused(seconds: float) -> None:
    """Not more than 0 seconds, or more than a thread can wait, are refused."""
    with pytest.raises(ConfigError, match="more than 0"):
        Every(seconds, lambda: None, lambda error: None)


class Gated(MemoryFiles):
    """Files whose removal waits until it is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.order: list[str] = []

    def remove(self, token: str, name: str, /) -> None:
        assert self.gate.wait(60)
        super().remove(token, name)

    def remove_token(self, token: str, /) -> None:
        super().remove_token(token)
        self.order.append("removed")

    def close(self) -> None:
        self.order.append("closed")
        super().close()


def test_older_ones_go_while_others_go_on() -> None:
    """Taking one does not wait for what it replaces; everything after that does."""
    files = Gated()
    settings = CheckpointSettings("test", keep=1)
    keeper = Keeper(files, settings, clock=Clock(), behind=True)
    store = filled()
    first, _ = take(keeper, store, "snapshot")
    second, _ = take(keeper, store, "snapshot")
    assert first.token in files.places  # its removal cannot have begun
    with pytest.raises(CheckpointBusyError, match="being removed"):
        keeper.take(FakeCheckpoint(store), "snapshot", timeout=0)
    files.gate.set()
    assert [one.token for one in keeper.checkpoints()] == [second.token]
    assert set(files.places) == {second.token}
    files.gate.clear()
    take(keeper, store, "snapshot")
    closing = threading.Thread(target=keeper.close)
    closing.start()
    files.gate.set()
    closing.join()
    assert files.order == ["removed", "removed", "closed"]
