# SPDX-License-Identifier: MIT
"""Checkpoints in the background that fail: who is told, and for how long."""

from __future__ import annotations

import asyncio
import threading
import warnings
from typing import Any

import pytest

import pyfaster
from pyfaster import ConfigError, DeadlineError


class Turns:
    """A keeper's `take` that fails as long as it is told to."""

    def __init__(self, store: Any) -> None:
        self.take = store._durability.keeper.take
        self.error: Exception | None = ZeroDivisionError("no room")
        self.failed = threading.Semaphore(0)
        store._durability.keeper.take = self

    def __call__(self, *args: Any, **more: Any) -> Any:
        """Take one, or fail."""
        if self.error is not None:
            self.failed.release()
            raise self.error
        return self.take(*args, **more)

    def wait(self, times: int) -> None:
        """Wait until so many have failed, and the one before is known to have."""
        for _ in range(times):
            assert self.failed.acquire(timeout=60)


def failing(place: Any) -> tuple[Any, Turns]:
    """A store whose checkpoints in the background fail."""
    store = place.open(checkpoint_every=0.001, checkpoint_on_close=False)
    return store, Turns(store)


def test_a_failure_in_the_background_is_kept_and_named(place: Any) -> None:
    """The store has it, who waits in vain is told, and a warning comes once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        store, turns = failing(place)
        assert store.checkpoint_failure is None
        session = store.session("a")
        session.upsert(1, 1)
        turns.wait(3)
        found = [one for one in caught if one.category is RuntimeWarning]
    assert len(found) == 1
    assert "ZeroDivisionError: no room" in str(found[0].message)
    failure = store.checkpoint_failure
    assert failure is turns.error
    with pytest.raises(DeadlineError, match="ZeroDivisionError: no room") as late:
        session.wait_committed(timeout=0)
    assert late.value.__cause__ is failure
    store.close()
    assert store.checkpoint_failure is failure


def test_the_next_one_that_succeeds_ends_a_failure(
    place: Any, recwarn: pytest.WarningsRecorder
) -> None:
    """In the background or not; a copy of the index commits nothing and ends none."""
    store, turns = failing(place)
    with store:
        session = store.session("a")
        session.upsert(1, 1)
        turns.wait(2)
        turns.error = None
        session.wait_committed(timeout=60)
        store.checkpoint()
        found = [store.checkpoint_failure]
        store._durability.repeater.stop(60)
        store._durability.failed(KeyError("x"))
        store.checkpoint("index")
        found.append(store.checkpoint_failure)
        store.checkpoint()
        found.append(store.checkpoint_failure)
        assert list(map(type, found)) == [type(None), KeyError, type(None)]
        session.upsert(1, 2)
        with pytest.raises(DeadlineError, match="take one") as late:
            session.wait_committed(timeout=0)
        assert late.value.__cause__ is None


def test_a_warning_that_is_an_error_does_not_end_the_background(place: Any) -> None:
    """Where warnings are errors the next checkpoint is tried all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store, turns = failing(place)
        with store:
            store[1] = 1
            turns.wait(3)
            assert store.checkpoint_failure is turns.error


def test_a_task_that_waits_in_vain_is_told(
    place: Any, recwarn: pytest.WarningsRecorder
) -> None:
    """As a thread is."""

    async def main() -> None:
        store, turns = failing(place)
        async with store.async_session("a") as session:
            await session.upsert(1, 1)
            turns.wait(2)
            with pytest.raises(DeadlineError, match="no room") as late:
                await session.wait_committed(timeout=0)
            assert late.value.__cause__ is turns.error
        store.close()

    asyncio.run(main())


def test_only_a_durable_store_can_have_one() -> None:
    """In memory there is none."""
    with pyfaster.open(key=int, value=int) as store:
        assert store.checkpoint_failure is None


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"keep": 1.5}, TypeError),
        ({"keep": True}, TypeError),
        ({"keep": 0}, ConfigError),
        ({"keep_for": "3"}, TypeError),
        ({"keep_for": -1}, ConfigError),
        ({"keep_for": float("nan")}, ConfigError),
    ],
)
def test_arguments_that_make_no_sense_are_named(
    place: Any, given: dict[str, Any], error: type[Exception]
) -> None:
    """With the value that was found; nothing is removed."""
    [(name, value)] = given.items()
    with place.open() as store:
        store[1] = 1
        store.checkpoint()
        with pytest.raises(error, match=f"^{name}={value!r}"):
            store.prune(**given)
        with pytest.raises(TypeError, match=r"^timeout='3'"):
            store.checkpoint(timeout="3")
        assert len(store.checkpoints()) == 1


def test_a_memory_that_is_too_small_says_what_would_do(place: Any) -> None:
    """The store, the index's size, the budget and the way out; more memory opens it."""
    given = {"memory": "16MiB", "page_size": "4KiB", "expected_keys": 100_000}
    with place.open(**given) as store:  # nobody says how far an index grows by itself
        store.upsert_many(range(100_000), range(100_000))
        store.flush()
        buckets = store.stats().index_buckets
    with pytest.raises(pyfaster.StoreFullError) as caught:
        place.open()
    for part in (
        repr(store.name),
        f"{64 * buckets:,} bytes",
        "4 pages of 4,096",
        f"{1 << 20:,}",
        "more memory=",
        "index_fraction=",
    ):
        assert part in str(caught.value)
    with place.open(memory="16MiB") as store:
        assert len(store) == 100_000
