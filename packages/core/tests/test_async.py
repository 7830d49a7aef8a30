# SPDX-License-Identifier: MIT
"""Asynchronous sessions: right values, many at a time, and nothing blocks the loop."""

from __future__ import annotations

import asyncio
import errno
import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

import pyfaster
from pyfaster.errors import (
    ClosedError,
    DeadlineError,
    DeviceError,
)
from pyfaster.protocols import NativeDevice
from pyfaster.testing import FaultyDevice, MemoryDevice, Rule

Store = pyfaster.FasterKv[int, int]
Run = Callable[[Coroutine[Any, Any, Any]], Any]

KEYS = 8000

RUNNERS = ["asyncio"]
if importlib.util.find_spec("uvloop") is not None:
    RUNNERS.append("uvloop")


@pytest.fixture(params=RUNNERS)
def run(request: pytest.FixtureRequest) -> Run:
    """What runs a coroutine in a loop of its own."""
    found: Run = importlib.import_module(request.param).run
    return found


def opened(device: NativeDevice, keys: int = KEYS) -> Store:
    """A store whose keys, each with thrice itself, are all on the device."""
    store = pyfaster.open(
        key=int, value=int, device=device, memory="2MiB", page_size=4096
    )
    store.upsert_many(list(range(keys)), [3 * key for key in range(keys)])
    store.evict()
    return store


def test_each_operation_does_what_the_plain_one_does(run: Run) -> None:
    """Every operation on a key of the device, and then on one in memory."""

    async def work(store: Store) -> None:
        async with store.async_session("work") as s:
            assert s.name == "work"
            assert await s.read(1) == 3
            assert await s.read(KEYS) is None
            assert await s.read(KEYS, default=-1) == -1
            assert s.serial == 0
            for _ in range(2):
                assert await s.insert(2, 0) is False
                assert await s.compare_and_set(3, 0, 0) is False
                assert await s.rmw(4, 0, merge="add") == 12
                assert await s.delete(KEYS) is False
            assert await s.rmw(4, 1, "add") == 13
            assert await s.compare_and_set(4, 13, 14) is True
            assert await s.delete(5) is True
            await s.discard(6)
            await s.upsert(7, 1)
            assert await s.insert(KEYS, 1) is True
            assert await s.update(8, lambda value: value + 1) == 25
            assert await s.update(KEYS + 1, lambda value: value + 1, 5) == 6
            with pytest.raises(KeyError):
                await s.update(KEYS + 2, lambda value: value)
            wanted = [13 + 1, None, None, 1, 25, 27]
            assert await s.read_many([4, 5, 6, 7, 8, 9]) == wanted
            assert s.serial == 16
            assert s.pending == 0

    with opened(MemoryDevice()) as store:
        run(work(store))
        assert store.read_many([4, 5, KEYS]) == [14, None, 1]


def test_a_hit_does_not_go_through_the_loop(run: Run) -> None:
    """What memory answers has ended when the call returns."""

    async def work(store: Store) -> None:
        async with store.async_session() as s:
            for one, value in (
                (s.upsert(1, 10), None),
                (s.read(1), 10),
                (s.rmw(1, 1, "add"), 11),
                (s.insert(1, 0), False),
            ):
                with pytest.raises(StopIteration) as stop:
                    one.send(None)
                assert stop.value.value == value

    with pyfaster.open(key=int, value=int) as store:
        run(work(store))


def test_tuples_and_exceptions_are_values_like_others(run: Run) -> None:
    """A value that StopIteration would take apart comes back whole."""

    class Pair:
        name, size, dtype = "test.pair", None, None
        value_type, native, canonical = "opaque", None, False

        def encode(self, value: Any, /) -> bytes:
            return bytes(value)

        def decode(self, data: bytes, /) -> Any:
            return tuple(data)

    async def work(store: pyfaster.FasterKv[int, Any]) -> None:
        async with store.async_session() as s:
            await s.upsert(1, (2, 3))
            assert await s.read(1) == (2, 3)
            with pytest.raises(StopIteration) as stop:
                s.read(1).send(None)
            assert stop.value.value == (2, 3)

    with pyfaster.open(key=int, value=Pair()) as store:
        run(work(store))


def test_thousands_of_reads_of_one_group_end_right(run: Run) -> None:
    """A TaskGroup with a task for each of thousands of reads gets every value."""

    async def work(store: Store) -> None:
        async with store.async_session() as s:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(s.read(key)) for key in range(KEYS)]
            assert [task.result() for task in tasks] == [3 * k for k in range(KEYS)]
            assert await s.read_many(range(100)) == [3 * k for k in range(100)]
            assert list(await asyncio.gather(s.read(1), s.read(2))) == [3, 6]

    with opened(MemoryDevice()) as store:
        run(work(store))
        assert store.stats().device_reads >= KEYS // 2


def test_updates_take_place_in_the_order_of_the_calls(run: Run) -> None:
    """Merges of one key that were begun before any was awaited: order and serials."""

    async def work(store: Store) -> None:
        async with store.async_session() as s:
            begun = [s.rmw(5, 1, "add"), s.rmw(5, 10, "add")]
            last = s.upsert(5, 0)
            other = s.rmw(6, 1, "add")
            assert await other == 19
            await last
            assert [await one for one in begun] == [16, 26]
            assert await s.read(5) == 0
            assert s.serial == 4

    with opened(MemoryDevice()) as store:
        run(work(store))


def test_an_update_by_a_function_loses_nothing(run: Run) -> None:
    """Many tasks that change one value by a function: each change counts."""

    async def work(store: Store) -> None:
        async with store.async_session() as s:
            async with asyncio.TaskGroup() as group:
                for _ in range(50):
                    group.create_task(s.update(5, lambda value: value + 1))
            assert await s.read(5) == 65

    with opened(MemoryDevice()) as store:
        run(work(store))


def test_writing_more_than_memory_holds_does_not_block_the_loop(run: Run) -> None:
    """Updates that must wait for memory give way to the loop and end in order."""
    waiting: list[int] = []
    # What is to leave memory waits for the loop, so that nobody else makes room.
    device = FaultyDevice(MemoryDevice(), [Rule("hold", "write", times=None)])

    async def tick(s: pyfaster.AsyncSession[int, bytes]) -> None:
        while not s.closed:  # ends with the work
            waiting.append(s.busy)
            device.release()
            await asyncio.sleep(0)

    async def work(store: pyfaster.FasterKv[int, bytes]) -> None:
        async with store.async_session() as s:
            ticker = asyncio.ensure_future(tick(s))
            for first in range(0, 8000, 1000):
                begun = [
                    s.upsert(k, b"%8d" % k * 100) for k in range(first, first + 1000)
                ]
                begun += [s.upsert(first, b"last")]
                for one in begun:
                    await one
            assert s.serial == 8 * 1001
            assert await s.read(1000) == b"last"
            assert await s.read(7999) == b"%8d" % 7999 * 100
        await ticker

    with pyfaster.open(key=int, device=device, memory="1MiB", page_size=4096) as store:
        run(work(store))
        assert store.stats().pages_evicted > 0
    # The loop went round while updates waited, not only behind them.
    assert len([busy for busy in waiting if busy]) > 8


def test_no_update_passes_one_that_waits_for_memory(run: Run) -> None:
    """An update that could be done at once waits behind one that cannot; reads pass."""

    async def work(store: pyfaster.FasterKv[int, bytes], _: FaultyDevice) -> None:
        async with store.async_session() as s:
            begun, key = [], 0
            while s.busy == 0 and key < 4000:
                begun.append(s.upsert(key, bytes(1000)))
                key += 1
            assert s.busy == 1
            before = s.serial
            begun += [s.upsert(key - 2, b"1" * 1000), s.upsert(key - 1, b"2" * 1000)]
            assert s.busy == 3
            assert s.serial == before
            assert await s.read(key - 2) == bytes(1000)
            for one in begun:
                await one
            assert s.serial == before + 3
            assert await s.read(key - 2) == b"1" * 1000
            assert await s.read(key - 1) == b"2" * 1000

    rule = Rule("hold", "write", times=None)
    device = FaultyDevice(MemoryDevice(), [rule])
    with pyfaster.open(
        key=int,
        value=pyfaster.Bytes(1000),
        device=device,
        memory="512KiB",
        page_size=4096,
    ) as store:
        run(release_and(work, store, device))
        device.release()


def held(reads: int) -> FaultyDevice:
    """A device that keeps its first reads back until it is told to let go."""
    return FaultyDevice(MemoryDevice(), [Rule("hold", "read", times=reads)])


async def turns(count: int = 20) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_the_loop_runs_while_a_read_is_under_way(run: Run) -> None:
    """A read that the device holds keeps nobody else from running."""

    async def work(store: Store, device: FaultyDevice) -> None:
        async with store.async_session() as s:
            task = asyncio.ensure_future(s.read(1))
            await turns()
            assert not task.done()
            assert s.pending == 1
            assert await s.read(2) == 6
            assert device.release() == 1
            assert await task == 3

    device = held(1)
    with opened(device) as store:
        run(work(store, device))


def test_a_cancelled_task_leaves_a_usable_session(run: Run) -> None:
    """Cancelled reads and updates are forgotten; an update still takes place."""

    async def work(store: Store, device: FaultyDevice) -> None:
        async with store.async_session() as s:
            tasks = [
                asyncio.ensure_future(s.read(1)),
                asyncio.ensure_future(s.rmw(2, 1, "add")),
            ]
            await turns()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(one, asyncio.CancelledError) for one in results)
            assert s.pending == 0
            late = asyncio.ensure_future(s.rmw(2, 10, "add"))
            await turns()
            assert device.release() == 2
            assert await late == 17
            assert await s.read(1) == 3
            assert await s.read(2) == 17
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await s.read(3)
            assert await s.read(3) == 9

    device = held(2)
    with opened(device) as store:
        run(work(store, device))


def test_a_task_cancelled_after_the_end_changes_nothing(run: Run) -> None:
    """A task that is cancelled when its read has ended already is only cancelled."""

    async def work(store: Store, device: FaultyDevice) -> None:
        async with store.async_session() as s:
            for key in range(50):
                task = asyncio.ensure_future(s.read(key))
                await turns(key % 5)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    assert await task == 3 * key
            assert await s.read_many(range(100)) == [3 * k for k in range(100)]

    device = held(1)
    with opened(device) as store:
        device.release()
        run(asyncio.wait_for(release_and(work, store, device), 60))


async def release_and(work: Any, *needed: Any) -> None:
    """Let go what the device, the last of what is needed, holds, beside the work."""
    device: FaultyDevice = needed[-1]
    task = asyncio.ensure_future(work(*needed))
    while not task.done():  # ends with the work
        device.release()
        await asyncio.sleep(0)
    await task


def test_a_session_belongs_to_its_loop(run: Run) -> None:
    """Before `async with`, in another loop, or in no loop, it refuses."""

    async def leave(store: Store) -> pyfaster.AsyncSession[int, int]:
        session = store.async_session()
        with pytest.raises(RuntimeError, match="async with"):
            session.read(1)
        await session.__aenter__()
        with pytest.raises(RuntimeError, match="entered already"):
            await session.__aenter__()
        caught: list[BaseException] = []

        def elsewhere() -> None:
            try:
                session.upsert(1, 1)
            except RuntimeError as error:
                caught.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert "belongs to the event loop" in str(caught[0])
        return session

    async def use(session: pyfaster.AsyncSession[int, int]) -> None:
        with pytest.raises(RuntimeError, match="belongs to the event loop"):
            session.read(1)
        await session.close()

    with opened(MemoryDevice(), 100) as store:
        session = run(leave(store))
        with pytest.raises(RuntimeError, match="belongs to the event loop"):
            session.read(1)
        run(use(session))
        assert session.closed


@pytest.mark.fault("F07")
@pytest.mark.fault("F08")
def test_failures_of_the_device_reach_who_awaits(run: Run) -> None:
    """A read that fails once is repeated; one that fails for ever raises with errno."""
    rules = [
        Rule("fail", "read", nth=1),
        Rule("fail", "read", times=None, begin=4096, end=8192),
    ]

    async def work(store: Store) -> None:
        async with store.async_session() as s:
            assert await s.read(1) == 3
            asked = [s.read(key) for key in range(500)]
            ended = await asyncio.gather(*asked, return_exceptions=True)
            failed = [one for one in ended if isinstance(one, DeviceError)]
            assert 0 < len(failed) < 500
            assert {error.errno for error in failed} == {errno.EIO}
            for key, value in enumerate(ended):
                assert value == 3 * key or f"key {key}: the device" in str(value)

    device = FaultyDevice(MemoryDevice(), rules)
    with opened(device) as store:
        run(work(store))
        assert device.fired(0) == 1


def test_closing_waits_for_what_is_under_way(run: Run) -> None:
    """Leaving `async with` lets updates that nobody awaited take place."""

    async def work(store: Store) -> None:
        async with store.async_session() as s:
            begun = [s.rmw(key, 1, "add") for key in range(500)]
        assert s.closed
        assert [await one for one in begun] == [3 * key + 1 for key in range(500)]
        with pytest.raises(RuntimeError, match="async with"):
            s.read(1)
        await s.close()

    with opened(MemoryDevice()) as store:
        run(work(store))
        assert store.read_many(list(range(500))) == [3 * key + 1 for key in range(500)]


@pytest.mark.fault("F76")
def test_closing_beside_a_stuck_read_tells_everybody(run: Run) -> None:
    """With a read that never ends, close raises at its deadline, and so do waiters."""

    async def work(store: Store) -> None:
        session = store.async_session()
        await session.__aenter__()
        task = asyncio.ensure_future(session.read(1))
        await turns()
        assert await session.read(2) == 6
        with pytest.raises(DeadlineError, match="1 operations were still"):
            await session.close(timeout=0.05)
        with pytest.raises(ClosedError, match="before the operation ended"):
            await task
        assert session.closed

    device = FaultyDevice(MemoryDevice(), [Rule("never", "read")])
    store = opened(device)
    run(work(store))
    assert store.read(3) == 9
    store.close()


def test_a_store_that_is_closed_ends_its_sessions(run: Run) -> None:
    """Operations after the store's close raise ClosedError, and closing still works."""

    async def work(store: Store) -> None:
        async with store.async_session() as s:
            assert await s.read(1) == 3
            store.close()
            with pytest.raises(ClosedError):
                await s.read(2)

    run(work(opened(MemoryDevice(), 100)))


def test_a_failure_that_nobody_awaits_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operation that failed and is dropped shows as an unraisable exception."""
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda one: told.append(one.exc_value))

    async def work(store: Store) -> None:
        async with store.async_session() as s:
            s.rmw(1, 1, "add")

    device = FaultyDevice(MemoryDevice(), [Rule("fail", "read", times=None)])
    with opened(device) as store:
        run(work(store))
    assert [type(one) for one in told] == [DeviceError]
