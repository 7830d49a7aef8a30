# SPDX-License-Identifier: MIT
"""
A process whose log makes entries durable one by one, and a bare loop beside it.

Whatever was acknowledged must be there, which is seen to outside of the clock.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from array import array
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bars.bare import Bare
from benchmarks.bars.logged import check_count, scan_batches
from benchmarks.figures import percentile
from benchmarks.logs.base import entry
from benchmarks.logs.ours import open_log
from benchmarks.rounds import WrongAnswerError, number

#: Appends before the first round, so that the first segment is there.
WARMING = 8

#: Appends of a turn, where several take turns.
TURN = 100


class Commits:
    """
    The role "log-commits".
    """

    def __init__(self, command: dict[str, object], folder: Path) -> None:
        self._folder = folder
        self._tasks = number(command, "tasks")
        self._seconds = number(command, "milliseconds") / 1000
        self._issued = 0
        self._log: Any = open_log(str(command["scheme"]), folder / "log")
        for _ in range(WARMING):
            self._log.append_and_commit(self._next())
        self._sector = self._bytes_of_one()

    def handle(self, command: dict[str, object]) -> dict[str, object]:
        """
        Do "alone", "threads" or "tasks", so often.
        """
        count = number(command, "count")
        do = str(command["do"])
        work: Callable[[int], dict[str, object]] = {
            "alone": self._alone,
            "threads": lambda count: self._many(self._threads, count),
            "tasks": lambda count: self._many(self._all_tasks, count),
        }[do]
        gc.collect()
        gc.disable()
        try:
            answer = work(count)
        finally:
            gc.enable()
        self._check()
        return answer

    def _alone(self, count: int) -> dict[str, object]:
        """
        Let the bare loop, a thread and a task take turns, a few appends each: what
        slows the disk down meets all of them.
        """
        with (
            Bare(self._folder, self._sector, count) as bare,
            asyncio.Runner() as runner,
        ):
            kinds: dict[str, Callable[[Limit], array[int]]] = {
                "bare": lambda limit: time_calls(bare.write_next, limit),
                "thread": self._thread,
                "task": lambda limit: runner.run(self._task(limit)),
            }
            spent = take_turns(kinds, count, self._seconds * len(kinds))
        return {
            "ok": True,
            "sector": self._sector,
            **{name: figures_of(one) for name, one in spent.items()},
        }

    def _many(self, work: Callable[[Limit], None], count: int) -> dict[str, object]:
        """
        Let many append at once; give how many appends there were in a second.
        """
        limit = Limit(count, self._seconds)
        before = self._log.stats()
        work(limit)
        syncs = self._log.stats().syncs - before.syncs
        return {
            "ok": True,
            "rate": limit.done / limit.spent,
            "for_a_sync": limit.done / max(1, syncs),
        }

    def _next(self) -> bytes:
        self._issued += 1
        return entry(self._issued)

    def _bytes_of_one(self) -> int:
        """
        Give how much a durable append of one entry writes.
        """
        before = int(self._log.committed.until)
        self._log.append_and_commit(self._next())
        return int(self._log.committed.until) - before

    def _check(self) -> None:
        """
        See that all that was acknowledged is durable, and there.
        """
        stats = self._log.stats()
        if stats.committed < stats.tail:
            raise WrongAnswerError(f"durable is {stats.committed}, not {stats.tail}")
        check_count(scan_batches(self._log), self._issued)

    # --- who appends ----------------------------------------------------------------

    def _thread(self, limit: Limit) -> array[int]:
        append, following = self._log.append_and_commit, self._next
        return time_calls(lambda: append(following()), limit)

    def _threads(self, limit: Limit) -> None:
        """
        So many threads, which begin together.
        """
        gate = threading.Barrier(self._tasks)
        append, failures = self._log.append_and_commit, []
        parts: list[int] = [0] * self._tasks

        def work(which: int) -> None:
            try:
                gate.wait()
                while limit.more():
                    append(entry(parts[which]))
                    parts[which] += 1
            except BaseException as failure:
                failures.append(failure)

        threads = [
            threading.Thread(target=work, args=(which,)) for which in range(self._tasks)
        ]
        limit.begin()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        limit.end()
        if failures:
            raise failures[0]
        # What threads count together may miss a few.
        limit.done = sum(parts)
        self._issued += limit.done

    async def _task(self, limit: Limit) -> array[int]:
        append, following = self._log.append_and_commit_async, self._next
        return await time_awaits(lambda: append(following()), limit)

    def _all_tasks(self, limit: Limit) -> None:
        """
        So many tasks of one event loop.
        """
        asyncio.run(self._work_in_tasks(limit))

    async def _work_in_tasks(self, limit: Limit) -> None:
        append, following = self._log.append_and_commit_async, self._next

        async def work() -> None:
            while limit.more():
                await append(following())

        limit.begin()
        async with asyncio.TaskGroup() as group:
            for _ in range(self._tasks):
                group.create_task(work())
        limit.end()

    def close(self) -> None:
        """
        Close the log.
        """
        self._log.close()


class Limit:
    """
    How often something is done: so many times, unless the time is over before.

    Args:
        count: How many times.

        seconds: How long at most.

    Attributes:
        done: How many were begun.

        spent: Seconds from `begin` to `end`.
    """

    def __init__(self, count: int, seconds: float) -> None:
        self.count = count
        self.done = 0
        self.spent = 0.0
        self._seconds = seconds
        self._begin = 0.0

    def begin(self) -> None:
        """
        Start the clock.
        """
        self._begin = time.perf_counter()

    def more(self) -> bool:
        """
        Whether it is to be done once more, which is then counted.
        """
        if self.done >= self.count:
            return False
        if self.done and time.perf_counter() - self._begin >= self._seconds:
            return False
        self.done += 1
        return True

    def end(self) -> None:
        """
        Stop the clock.
        """
        self.spent = time.perf_counter() - self._begin


def time_calls(work: Callable[[], object], limit: Limit) -> array[int]:
    """
    Call over and over; give the nanoseconds of each.
    """
    spent, clock = array("q"), time.perf_counter_ns
    limit.begin()
    while limit.more():
        begin = clock()
        work()
        spent.append(clock() - begin)
    limit.end()
    return spent


async def time_awaits(
    work: Callable[[], Awaitable[object]], limit: Limit
) -> array[int]:
    """
    Likewise, for what is awaited.
    """
    spent, clock = array("q"), time.perf_counter_ns
    limit.begin()
    while limit.more():
        begin = clock()
        await work()
        spent.append(clock() - begin)
    limit.end()
    return spent


def take_turns(
    kinds: Mapping[str, Callable[[Limit], array[int]]], count: int, seconds: float
) -> dict[str, array[int]]:
    """
    Let each do a turn, over and over; give the nanoseconds of each one's calls.

    Args:
        count: Calls of each.

        seconds: How long at most, for all of them, but for the turns begun.
    """
    spent = {name: array("q") for name in kinds}
    end = time.perf_counter() + seconds
    for first in range(0, count, TURN):
        for name, work in kinds.items():
            spent[name].extend(work(Limit(min(TURN, count - first), seconds)))
        if time.perf_counter() >= end:
            break
    return spent


def figures_of(spent: array[int]) -> dict[str, float]:
    """
    Give how many there were in a second, and percentiles of their times.
    """
    ordered = np.sort(np.array(spent, dtype=np.int64))
    return {
        "appends/s": len(ordered) / float(ordered.sum()) * 1e9,
        "p50, us": percentile(ordered, 0.5) / 1e3,
        "p99, us": percentile(ordered, 0.99) / 1e3,
        "mean, us": float(ordered.mean()) / 1e3,
    }
