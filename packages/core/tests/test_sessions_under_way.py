# SPDX-License-Identifier: MIT
"""Sessions that end while their updates are on their way: each counts exactly once."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from pyfaster import PENDING
from pyfaster.errors import DeadlineError
from pyfaster.testing import FaultyDevice, Rule

pytestmark = pytest.mark.fault("F76")

KEYS = 2000
STARTED = 100
#: So many of them wait until the device is released; the others overtake them.
HELD = 20


class Held:
    """A durable store whose first reads of the device wait for a release."""

    def __init__(self, place: Any, **settings: Any) -> None:
        self.place = place
        self.device = FaultyDevice(place.device, [Rule("hold", "read", times=HELD)])
        self.store = place.open(device=self.device, page_size=4096, **settings)
        self.store.upsert_many(list(range(KEYS)), [0] * KEYS)
        self.store.evict()

    def begin(self) -> Any:
        """A session with updates of as many keys under way; these are its first."""
        session = self.store.session("x")
        for key in range(STARTED):
            assert session.start_rmw(key, 1, merge="add") is PENDING
        ended = session.complete_pending(timeout=30)
        for _ in range(STARTED - HELD):
            assert next(ended).error is None
        ended.close()
        assert (session.pending, session.serial) == (HELD, STARTED)
        return session

    def expect(self, store: Any) -> None:
        """Each update has counted once, and the session goes on behind them all."""
        with store.resume("x") as session:
            assert session.serial == STARTED
        expected = [1] * STARTED + [0] * (KEYS - STARTED)
        assert store.read_many(list(range(KEYS))) == expected

    def release(self) -> None:
        """Let the device go on, and have the patience that this may take."""
        self.store.reconfigure(close_timeout=60)
        self.device.release()

    def expect_after_all(self) -> None:
        """The same now, from a checkpoint, and in the next life."""
        self.expect(self.store)
        assert self.store.checkpoint().sessions == {"x": STARTED}
        self.store.close(checkpoint=False)
        with self.place.open() as store:
            assert store.recovery.sessions == {"x": STARTED}
            self.expect(store)

    def end(self) -> None:
        """Close what is left."""
        self.device.release()
        self.store.close(checkpoint=False)


@pytest.fixture
def held(place: Any) -> Iterator[Held]:
    """A store whose device waits."""
    held = Held(place)
    yield held
    held.end()


@pytest.fixture
def hasty(place: Any) -> Iterator[Held]:
    """The same, with little patience, and room for two sessions."""
    held = Held(place, sessions_max=2)
    held.store.reconfigure(close_timeout=0.05)
    yield held
    held.end()


def test_a_session_does_not_close_before_its_updates(held: Held) -> None:
    """Closing in no time raises and changes nothing; later it closes, all done."""
    session = held.begin()
    for _ in range(2):
        with pytest.raises(DeadlineError, match=f"{HELD} updates .* stays open"):
            session.close(timeout=0)
    assert not session.closed
    assert session.pending == HELD
    held.device.release()
    session.close()
    assert session.closed
    held.store.checkpoint()
    session.wait_committed(timeout=30)
    assert session.committed_serial == STARTED
    held.expect_after_all()


def test_what_ended_while_a_session_did_not_close_is_given(held: Held) -> None:
    """complete_pending goes on as if close had not been called."""
    session = held.begin()
    with pytest.raises(DeadlineError):
        session.close(timeout=0.05)
    held.device.release()
    ended = [one.key for one in session.complete_pending(timeout=30)]
    assert sorted(ended) == list(range(HELD))
    with session:
        assert session.rmw(KEYS - 1, 0, merge="add") == 0


def dropped(held: Held) -> None:
    """Begin, and drop the session."""
    session = held.begin()
    del session
    gc.collect()


def dropped_in_a_cycle(held: Held) -> None:
    """The same, left to the collector."""
    cycle: list[Any] = [held.begin()]
    cycle.append(cycle)
    del cycle
    gc.collect()


def ended_with_its_thread(held: Held) -> None:
    """The same by a thread that ends."""
    thread = threading.Thread(target=dropped, args=(held,))
    thread.start()
    thread.join()


def left_by_a_loop(held: Held) -> None:
    """The same by tasks that are cancelled when their loop ends."""

    async def work() -> None:
        session = held.store.async_session("x")
        await session.__aenter__()
        begun = [session.rmw(key, 1, "add") for key in range(STARTED)]
        await asyncio.gather(*(begun[key] for key in range(HELD, STARTED)))
        assert session.serial == STARTED
        for one in begun[:HELD]:
            one.close()

    asyncio.run(work())
    gc.collect()


WAYS = [dropped, dropped_in_a_cycle, ended_with_its_thread, left_by_a_loop]
each_way = pytest.mark.parametrize("end", WAYS, ids=lambda way: way.__name__)


@each_way
def test_a_dropped_session_is_resumed_whole(
    end: Callable[[Held], None], held: Held
) -> None:
    """Whoever resumes it waits for the updates that it has left."""
    end(held)
    timer = threading.Timer(0.05, held.device.release)
    timer.start()
    held.expect_after_all()
    timer.join()


@each_way
def test_a_dropped_session_is_not_resumed_too_early(
    end: Callable[[Held], None], hasty: Held
) -> None:
    """While the device is stuck, resuming gives up; then it goes on."""
    end(hasty)
    with pytest.raises(DeadlineError, match=r"dropped were still on their way"):
        hasty.store.resume("x")
    assert hasty.store.rmw(KEYS - 1, 0, merge="add") == 0  # the store goes on
    hasty.release()
    hasty.expect_after_all()


@each_way
def test_a_checkpoint_has_what_a_dropped_session_has_left(
    end: Callable[[Held], None],
    held: Held,
    hurried: Callable[[], AbstractContextManager[None]],
) -> None:
    """It fails while the device is stuck; then its commit point is the last update."""
    end(held)
    with hurried(), pytest.raises(DeadlineError, match="'x'"):
        held.store.checkpoint()
    held.device.release()
    assert held.store.checkpoint().sessions == {"x": STARTED}
    held.expect_after_all()


@each_way
def test_closing_a_store_keeps_what_a_dropped_session_has_left(
    end: Callable[[Held], None], held: Held
) -> None:
    """Its updates are in the last checkpoint, which is taken for them."""
    held.store.checkpoint()
    end(held)
    held.device.release()
    held.store.close()
    with held.place.open() as store:
        held.expect(store)


def test_a_stuck_session_does_not_keep_a_store_open(held: Held) -> None:
    """Without a last checkpoint it closes when its time is over."""
    dropped(held)
    held.store.close(timeout=0.05, checkpoint=False)
    assert held.store.closed


def test_an_async_session_does_not_close_before_its_updates(held: Held) -> None:
    """It stays open, also when nobody awaits them any more, and closes when done."""

    async def work() -> None:
        session = held.store.async_session("x")
        await session.__aenter__()
        begun = [session.rmw(key, 1, "add") for key in range(STARTED)]
        tasks = [asyncio.ensure_future(one) for one in begun]
        await asyncio.gather(*tasks[HELD:])
        with pytest.raises(DeadlineError, match=f"{HELD} updates .* stays open"):
            await session.close(timeout=0.01)
        assert not session.closed
        for task in tasks[: HELD // 2]:
            task.cancel()
        await asyncio.gather(*tasks[: HELD // 2], return_exceptions=True)
        with pytest.raises(DeadlineError, match=f"{HELD} updates .* stays open"):
            await session.close(timeout=0.01)
        held.device.release()
        await session.close()
        assert session.closed
        assert [await task for task in tasks[HELD // 2 : HELD]] == [1] * (HELD // 2)
        held.store.checkpoint()
        await session.wait_committed(timeout=30)

    asyncio.run(work())
    held.expect_after_all()


def test_a_place_is_free_when_a_dropped_session_is_done(hasty: Held) -> None:
    """With no place left the next session waits for the dropped one, too."""
    dropped(hasty)
    with pytest.raises(DeadlineError, match=r"dropped were still on their way"):
        hasty.store.session()
    hasty.release()
    with hasty.store.session() as session:
        assert session.read(KEYS - 1) == 0
    hasty.expect_after_all()
