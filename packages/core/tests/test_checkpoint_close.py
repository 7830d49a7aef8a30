# SPDX-License-Identifier: MIT
"""The checkpoint on close, those in the background, those that are given up."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

import pyfaster
from pyfaster import _durable
from pyfaster.events import CheckpointTaken


class Told:
    """A plugin that lets a test wait for events."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self._changed = threading.Condition()

    @pyfaster.hookimpl
    def pyfaster_event(self, event: object) -> None:
        """Write it down."""
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait_for(self, kind: type, count: int) -> None:
        """Wait until there were so many of a kind."""
        with self._changed:
            assert self._changed.wait_for(
                lambda: sum(isinstance(one, kind) for one in self.events) >= count, 60
            )


@pytest.fixture
def told() -> Any:
    """What plugins are told in this test."""
    plugin = Told()
    pyfaster.register(plugin, name="told")
    yield plugin
    pyfaster.unregister("told")


def tokens(place: Any) -> list[str]:
    """The checkpoints' directories."""
    return sorted(path.name for path in place.checkpoints.iterdir() if path.is_dir())


def test_closing_keeps_everything(place: Any) -> None:
    """What was written before a clean close is there."""
    with place.open() as store:
        store.update({key: key for key in range(100)})
    with place.open() as store:
        assert len(store) == 100
        assert store.recovery is not None


def test_closing_without_news_takes_none(place: Any) -> None:
    """Looking at a store, or resuming a session, makes no new checkpoint."""
    with place.open():
        pass
    assert tokens(place) == []
    with place.open() as store:
        store[1] = 1
        store.checkpoint("snapshot")
    assert len(tokens(place)) == 1
    for _ in range(2):
        with place.open() as store:
            assert store[1] == 1
            with store.session("a"):
                pass
    assert len(tokens(place)) == 1
    with place.open() as store:
        store[1] = 2  # in place or not: the next life sees it
    with place.open() as store:
        assert store[1] == 2


@pytest.mark.parametrize("how", ["setting", "argument"])
def test_the_last_checkpoint_can_be_left_out(place: Any, how: str) -> None:
    """By checkpoint_on_close=False, or close(checkpoint=False)."""
    store = place.open(checkpoint_on_close=how != "setting")
    store[1] = 1
    store.close(checkpoint=None if how == "setting" else False)
    assert tokens(place) == []
    with place.open(checkpoint_on_close=False) as store:
        assert store.recovery is None
        store[1] = 1
        store.close(checkpoint=True)
    assert len(tokens(place)) == 1


def failing(store: Any, times: int) -> Callable[[], None]:
    """Make a store's next syncs of a directory fail; gives what ends that."""
    files = store._durability.keeper._files
    real, left = files.sync, [times]

    def sync(token: str) -> None:
        if left[0] > 0:
            left[0] -= 1
            raise OSError(5, "of the test")
        real(token)

    files.sync = sync
    return lambda: left.__setitem__(0, 0)


@pytest.mark.fault("F16")
def test_a_last_checkpoint_that_fails_keeps_the_store_open(place: Any) -> None:
    """close() may be repeated when the cause is gone, and nothing is lost."""
    store = place.open()
    store[1] = 1
    repair = failing(store, 100)
    for _ in range(2):
        with pytest.raises(pyfaster.CheckpointFailedError):
            store.close()
        assert not store.closed
        store[2] = 2
    repair()
    store.close()
    with place.open() as store:
        assert dict(store.items()) == {1: 1, 2: 2}


def test_a_with_statement_ends_the_store_in_any_case(place: Any) -> None:
    """The failure of the last checkpoint is raised, and the place is free again."""
    with pytest.raises(pyfaster.CheckpointFailedError):
        with place.open() as store:
            store[1] = 1
            store.checkpoint()
            store[2] = 2
            failing(store, 100)
    assert store.closed
    with place.open() as store:
        assert dict(store.items()) == {1: 1}


def test_the_background_takes_them_when_something_has_changed(
    place: Any, told: Told
) -> None:
    """Again and again; and close() ends the thread."""
    before = set(threading.enumerate())
    store = place.open(checkpoint_every=0.001)
    session = store.session("a")
    for round_ in range(1, 4):
        session.upsert(1, round_)
        session.wait_committed(timeout=60)
        told.wait_for(CheckpointTaken, round_)
        assert session.committed_serial == round_
    session.close()
    store.close()
    assert store._durability.repeater.stop(0)
    taken = [one for one in told.events if isinstance(one, CheckpointTaken)]
    assert len({one.info.token for one in taken}) == len(taken) == 3
    del store, session
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()


def test_the_background_does_not_keep_a_store(place: Any) -> None:
    """A store that nobody holds any more is collected, with the usual warning."""
    store = place.open(checkpoint_every=3600.0)
    thread = store._durability.repeater._thread
    with pytest.warns(ResourceWarning):
        del store
        gc.collect()
    thread.join(60)
    assert not thread.is_alive()


def test_a_checkpoint_under_way_ends_before_the_store(place: Any) -> None:
    """close() waits for it."""
    store = place.open()
    store[1] = 1
    inside, go_on = threading.Event(), threading.Event()

    def pause(progress: Any) -> None:
        inside.set()
        go_on.wait(60)

    future = store.checkpoint("snapshot", wait=False, progress=pause)
    inside.wait(60)
    closing = threading.Thread(target=store.close)
    closing.start()
    go_on.set()
    assert future.result(60).kind == "snapshot"
    closing.join()
    assert store.closed


def test_a_checkpoint_that_takes_too_long_is_given_up(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """close() waits as long as it was told to, and the store closes all the same."""
    monkeypatch.setattr(_durable, "GRACE_S", 60.0)  # it notices, however slowly
    store = place.open(checkpoint_on_close=False)
    store[1] = 1
    inside = threading.Event()

    def pause(progress: Any) -> None:
        if progress.phase == "prepare":
            inside.set()
            assert store._life.ending.wait(60)  # until the store gives it up

    future = store.checkpoint("snapshot", wait=False, progress=pause)
    inside.wait(60)
    store.close(0)
    with pytest.raises(pyfaster.CheckpointFailedError, match="given up"):
        future.result(60)
    assert store.closed
    assert tokens(place) == []


def test_a_checkpoint_that_does_not_even_notice(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """close() says so, the store stays, and close() may be repeated."""
    monkeypatch.setattr(_durable, "GRACE_S", 0.01)
    store = place.open(checkpoint_on_close=False)
    store[1] = 1
    inside, go_on = threading.Event(), threading.Event()

    def pause(progress: Any) -> None:
        inside.set()
        go_on.wait(60)

    future = store.checkpoint("snapshot", wait=False, progress=pause)
    inside.wait(60)
    with pytest.raises(pyfaster.DeadlineError, match="repeated"):
        store.close(0)
    assert not store.closed
    go_on.set()
    future.exception(60)
    store.close()


def test_no_checkpoint_begins_behind_a_close(place: Any) -> None:
    """A thread that asks while the store is being closed is told so."""
    store = place.open()
    store[1] = 1
    raised: list[BaseException | None] = []

    class Late:
        @pyfaster.hookimpl
        def pyfaster_event(self, event: object) -> None:
            if isinstance(event, CheckpointTaken):
                raised.append(store.checkpoint(wait=False).exception(60))

    pyfaster.register(Late(), name="late")
    try:
        store.close()
    finally:
        pyfaster.unregister("late")
    assert [type(one) for one in raised] == [pyfaster.ClosedError]


@pytest.mark.fault("F56", "F57")
def test_a_session_that_holds_a_phase_up_is_named(
    place: Any, hurried: Callable[[], AbstractContextManager[None]]
) -> None:
    """The deadline's error names it; the store goes on, and so does the next one."""
    inside, go_on = threading.Event(), threading.Event()

    class Slow:
        """A device whose reads wait."""

        def __getattr__(self, name: str) -> Any:
            return getattr(shelf, name)

        def read(self, offset: int, buffer: memoryview) -> int:
            """Wait, then read."""
            inside.set()
            go_on.wait(60)
            return int(shelf.read(offset, buffer))

    shelf = place.device
    with place.open() as store:
        store.update({key: key for key in range(100)})
    place.device = Slow()
    go_on.set()
    with place.open(checkpoint_on_close=False) as store:
        store.evict()
        go_on.clear()
        inside.clear()
        session = store.session("slow")
        thread = threading.Thread(target=session.rmw, args=(7, 1, "add"))
        thread.start()
        inside.wait(60)
        with hurried(), pytest.raises(pyfaster.DeadlineError, match="'slow'"):
            store.checkpoint("snapshot")
        store[1000] = 1
        go_on.set()
        thread.join()
        store.checkpoint("snapshot")
    with place.open() as store:
        assert (store[7], store[1000]) == (8, 1)
