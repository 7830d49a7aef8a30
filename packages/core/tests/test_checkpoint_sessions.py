# SPDX-License-Identifier: MIT
"""Sessions go on where a checkpoint has left them, and can wait for their commit."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import warnings
from typing import Any

import pytest

import pyfaster
from pyfaster._commits import Commits, SessionNames
from pyfaster.errors import (
    ClosedError,
    ConfigError,
    DeadlineError,
    ForkedError,
    SessionBusyError,
    UnknownSessionError,
)


def test_a_session_goes_on_behind_its_commit_point(place: Any) -> None:
    """Exactly once: what is repeated from there on gives the state without a crash."""
    work = [(n % 7, n) for n in range(1, 101)]
    with place.open(checkpoint_on_close=False) as store:
        with store.session("ingest") as session:
            for key, amount in work[:60]:
                session.rmw(key, amount, merge="add")
            store.checkpoint()
            for key, amount in work[60:90]:
                session.rmw(key, amount, merge="add")
            assert (session.serial, session.committed_serial) == (90, 60)
    with place.open() as store:
        session = store.resume("ingest")
        assert session.serial == session.committed_serial == 60
        for key, amount in work[session.committed_serial :]:
            session.rmw(key, amount, merge="add")
        session.close()
        expected: dict[int, int] = {}
        for key, amount in work:
            expected[key] = expected.get(key, 0) + amount
        assert dict(store.items()) == expected
    with place.open() as store:
        assert store.recovery.sessions == {"ingest": 100}


def test_a_name_is_known_as_long_as_the_store_lives(place: Any) -> None:
    """Also one that was not opened for several lives keeps its number and its point."""
    with place.open() as store:
        with store.session("a") as a, store.session("b") as b:
            a.upsert(1, 1)
            b.upsert(2, 2)
            assert a.number != b.number
            numbers = (a.number, b.number)
    for life in range(3):
        with place.open() as store:
            with store.session("b") as b:
                assert (b.number, b.serial) == (numbers[1], 1 + life)
                b.upsert(2, life)
    with place.open() as store:
        with store.resume("a") as a, store.session("c") as c:
            assert (a.number, a.serial, a.committed_serial) == (numbers[0], 1, 1)
            assert c.number not in numbers


def test_a_name_is_resumed_only_if_it_is_known(place: Any) -> None:
    """A mistyped name does not begin a session whose updates would count twice."""
    with place.open() as store:
        with pytest.raises(UnknownSessionError, match="'ingest'"):
            store.resume("ingest")
        with store.session("ingest") as session:
            session.upsert(1, 1)
            with pytest.raises(SessionBusyError):
                store.resume("ingest")
        with store.resume("ingest") as session:
            assert session.serial == 1
    with pyfaster.open() as store:
        with pytest.raises(ConfigError, match="no checkpoints"):
            store.resume("ingest")


@pytest.mark.fault("F61")
def test_a_session_that_was_closed_keeps_its_point(place: Any) -> None:
    """Closed before the checkpoint, closed during it, collected without close."""
    with place.open() as store:
        with store.session("closed") as session:
            session.upsert(1, 1)
        session = store.session("lost")
        session.upsert(2, 2)
        session.upsert(2, 3)
        del session
        gc.collect()
        during = store.session("during")
        during.upsert(3, 3)

        def close(progress: Any) -> None:
            if progress.phase == "in-progress":
                during.close()

        info = store.checkpoint("snapshot", progress=close)
        assert info.sessions == {"closed": 1, "lost": 2, "during": 1}
        with store.resume("lost") as session:
            assert session.committed_serial == 2


def test_a_name_can_be_forgotten(place: Any) -> None:
    """It leaves the next checkpoint; whoever uses it again begins anew."""
    with place.open() as store:
        with store.session("a") as session:
            session.upsert(1, 1)
            with pytest.raises(SessionBusyError):
                store.forget_session("a")
        store.checkpoint()
        store.forget_session("a")
        with pytest.raises(UnknownSessionError):
            store.forget_session("a")
        with pytest.raises(UnknownSessionError):
            store.resume("a")
        assert store.checkpoint().sessions == {}
        with store.session("a") as session:
            assert (session.serial, session.committed_serial) == (0, 0)
            assert session.number == 2


def test_forgetting_outlives_a_clean_close(place: Any) -> None:
    """It is a change: close() takes a checkpoint for it, and none for the next life."""
    with place.open() as store, store.session("a") as session:
        session.upsert(1, 1)
    with place.open() as store:
        store.forget_session("a")
        known = len(store.checkpoints())
    with place.open() as store:
        assert len(store.checkpoints()) == known + 1
        with pytest.raises(UnknownSessionError):
            store.resume("a")
    with place.open() as store:
        assert store.recovery.sessions == {}
        assert len(store.checkpoints()) == known + 1
    with pytest.raises(ClosedError):
        store.forget_session("a")


def test_updates_that_change_nothing_count(place: Any) -> None:
    """A serial number that was taken is not given again after a clean close."""
    with place.open() as store:
        with store.session("a") as session:
            assert not session.delete(1)
            assert not session.compare_and_set(1, 2, 3)
    with place.open() as store:
        assert store.resume("a").serial == 2


@pytest.mark.parametrize("name", ["ingest", None])
def test_a_thread_waits_until_its_updates_are_committed(
    place: Any, name: str | None
) -> None:
    """A session with a name, or without, is woken when the checkpoint is complete."""
    with place.open() as store:
        session = store.session(name)
        session.upsert(1, 1)
        with pytest.raises(DeadlineError, match="update 1 was not committed"):
            session.wait_committed(timeout=0)
        waits, done = threading.Event(), threading.Event()

        def wait() -> None:
            waits.set()
            session.wait_committed(timeout=60)
            done.set()

        thread = threading.Thread(target=wait)
        thread.start()
        waits.wait()
        assert not done.is_set()
        store.checkpoint()
        thread.join()
        assert done.is_set()
        assert session.committed_serial == 1
        session.wait_committed(timeout=0)
        session.close()
        session.wait_committed(1, timeout=0)


def test_a_task_waits_until_its_updates_are_committed(place: Any) -> None:
    """The loop goes on meanwhile; deadlines and cancelling leave nothing behind."""

    async def main() -> None:
        store = place.open()
        async with store.async_session("tasks") as session:
            await session.upsert(1, 1)
            with pytest.raises(DeadlineError):
                await session.wait_committed(timeout=0.001)
            cancelled = asyncio.ensure_future(session.wait_committed())
            waiting = asyncio.ensure_future(session.wait_committed())
            await asyncio.sleep(0)
            cancelled.cancel()
            future = store.checkpoint(wait=False)
            await waiting
            assert session.committed_serial == 1
            assert future.result(60).sessions == {"tasks": 1}
        store.close()

    asyncio.run(main())


def test_who_waits_is_told_of_the_end(place: Any) -> None:
    """A store that is closed without a checkpoint leaves nobody waiting."""
    store = place.open()
    session = store.session("a")
    session.upsert(1, 1)
    raised: list[BaseException] = []
    waits = threading.Event()

    def wait() -> None:
        waits.set()
        try:
            session.wait_committed(timeout=60)
        except ClosedError as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    waits.wait()
    store.close(checkpoint=False)
    thread.join()
    assert len(raised) == 1


def test_waiting_where_nothing_commits_is_refused() -> None:
    """A store in memory says at once that the wait would never end."""
    with pyfaster.open(key=int, value=int) as store, store.session() as session:
        session.wait_committed()
        session.upsert(1, 1)
        with pytest.raises(ConfigError, match="will not be"):
            session.wait_committed()
        with pytest.raises(ConfigError, match="timeout"):
            session.wait_committed(timeout=-1)


def test_sessions_without_a_name_leave_nothing_behind(place: Any) -> None:
    """Thousands that come and go are forgotten, and no manifest has them."""
    with place.open() as store:
        for key in range(1000):
            with store.session() as session:
                session.upsert(key, key)
        del session
        assert len(store._life.names._given) < 200
        assert store.checkpoint().sessions == {}
        assert len(store._life.names._given) == 0


def test_numbers_are_used_once() -> None:
    """A name keeps its number; a forgotten one's is not given again."""
    names = SessionNames({"a": (7, 70)}, 8)
    assert names.number_of("a") == 7
    assert (names.recovered(7), names.recovered(8)) == (70, 0)
    assert names.number_of("b") == 8
    assert names.forget("b") == 8
    assert names.number_of("b") == 9
    assert names.name_of(8) is None
    assert names.points({9: 5}) == {"a": (7, 70), "b": (9, 5)}
    assert names.points({9: 5, 7: 71}) == {"a": (7, 71), "b": (9, 5)}


def test_commit_points_never_go_back() -> None:
    """A late publication of an older point changes nothing."""
    commits = Commits({1: 10})
    commits.publish({1: 8, 2: 3})
    assert [commits.serial_of(number) for number in (1, 2, 3)] == [10, 3, 0]


@pytest.mark.fault("F62")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_is_refused_everything(place: Any) -> None:
    """After fork() every new call raises ForkedError, and waits for no lock."""
    with place.open() as store:
        session = store.session("a")
        session.upsert(1, 1)
        calls = [
            store.checkpoint,
            lambda: store.checkpoint(wait=False),
            store.checkpoints,
            lambda: store.validate("x"),
            store.prune,
            lambda: store.pin("x"),
            lambda: store.unpin("x"),
            lambda: store.forget_session("a"),
            lambda: store.resume("a"),
            lambda: session.wait_committed(),
            store.close,
        ]
        with store._lock, session._commits._changed:
            with warnings.catch_warnings():
                # The interpreter warns of forking with threads, which is tested here.
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if child == 0:
                refused = 0
                for call in calls:
                    try:
                        call()
                    except ForkedError:
                        refused += 1
                os._exit(refused)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == len(calls)
        assert store.checkpoint().sessions == {"a": 1}
