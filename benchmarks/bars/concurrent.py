# SPDX-License-Identifier: MIT
"""
Many reads in flight in one event loop, through an asynchronous session.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

Answer = tuple[float, list[bytes | None]]


def runner_of(name: str) -> Callable[[Coroutine[Any, Any, Answer]], Answer]:
    """
    Give what runs a coroutine in an event loop of a kind: "asyncio" or "uvloop".
    """
    if name == "asyncio":
        return asyncio.run
    loop: Any = importlib.import_module(name)

    def run(work: Coroutine[Any, Any, Answer]) -> Answer:
        with asyncio.Runner(loop_factory=loop.new_event_loop) as runner:
            return runner.run(work)

    return run


def read_concurrently(loop: str, store: Any, keys: list[int], tasks: int) -> Answer:
    """
    Read keys with so many tasks, each of which has one read in flight.

    Returns:
        Seconds, and the values in the order of the keys.
    """
    return runner_of(loop)(_read_all(store, keys, tasks))


async def _read_all(store: Any, keys: list[int], tasks: int) -> Answer:
    values: list[bytes | None] = [None] * len(keys)
    left = iter(range(len(keys)))
    async with store.async_session() as session:
        read = session.read

        async def work() -> None:
            for place in left:
                values[place] = await read(keys[place])

        gc.collect()
        begin = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(tasks):
                group.create_task(work())
        return time.perf_counter() - begin, values
