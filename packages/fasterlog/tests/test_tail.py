# SPDX-License-Identifier: MIT
"""Reading while the log grows, is truncated, and comes to its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from log_kit import fill, open_log, reopen

from pyfaster.errors import LogCutError, LogTruncatedError


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine, with a bound that only a hang reaches."""
    asyncio.run(asyncio.wait_for(main, 120))


def test_tails_see_everything_once(place: Path) -> None:
    """Consumers that begin before, while and after entries are committed see all of
    them, in order, and end when the log is completed."""

    async def main() -> None:
        with open_log(place) as log:

            async def consume() -> list[int]:
                return [int(entry.payload) async for entry in log.tail()]

            early = asyncio.create_task(consume())
            for number in range(300):
                await log.append_async(b"%d" % number)
                if number % 7 == 0:
                    await log.commit_async()
                if number == 150:
                    middle = asyncio.create_task(consume())
            log.complete()
            late = asyncio.create_task(consume())
            for task in (early, middle, late):
                assert await task == list(range(300))

    run(main())


def test_a_tail_ends_at_once_in_a_completed_log(place: Path) -> None:
    """A tail of a log that was completed in another life gives all, and ends."""
    with open_log(place) as log:
        fill(log, 10)
        log.complete()

    async def main() -> None:
        with reopen(place) as log:
            found = [int(entry.payload) async for entry in log.tail()]
            assert found == list(range(10))
            assert [int(entry.payload) for entry in log.follow()] == found

    run(main())


def test_a_tail_from_a_place(place: Path) -> None:
    """A tail begins at an entry; a cursor's at the cursor, which goes along."""

    async def main() -> None:
        with open_log(place) as log:
            at = fill(log, 20)
            log.commit()
            cursor = log.cursor("c")
            cursor.position = at[5]
            found = []
            async for entry in cursor.tail():
                assert cursor.position == entry.address
                found.append(int(entry.payload))
                if len(found) == 15:
                    log.append(b"20")
                    log.complete()
            assert found == list(range(5, 21))
            assert [int(e.payload) for e in log.follow(at[19])] == [19, 20]

    run(main())


@pytest.mark.parametrize("skip", [False, True])
def test_truncation_under_a_tail(place: Path, skip: bool) -> None:
    """A tail whose place was truncated says so, or goes on where the log begins."""

    async def main() -> None:
        with open_log(place) as log:
            at = fill(log, 3000)
            log.commit()
            tail = log.tail(skip_truncated=skip)
            assert int((await anext(tail)).payload) == 0
            log.truncate_until(at[2000])
            log.complete()
            if skip:
                rest = [int(entry.payload) async for entry in tail]
                assert rest[-1000:] == list(range(2000, 3000))
                assert rest == sorted(set(rest))
                assert len(rest) < 2999
                return
            with pytest.raises(LogTruncatedError):
                async for _ in tail:
                    pass

    run(main())


def test_a_cut_under_a_tail(place: Path) -> None:
    """A tail that has given what was cut off says so when it goes on."""

    async def main() -> None:
        with open_log(place) as log:
            at = fill(log, 2000)
            log.commit()
            tail = log.tail(at[1500])
            for _ in range(300):
                await anext(tail)
            log.truncate_suffix(at[1600])
            await log.append_and_commit_async(b"0")
            with pytest.raises(LogCutError):
                async for _ in tail:
                    pass

    run(main())


def test_a_tail_is_left_alone(place: Path) -> None:
    """A consumer that goes away, or is cancelled, leaves the log as it was."""

    async def main() -> None:
        with open_log(place) as log:
            fill(log, 10)
            log.commit()
            async for entry in log.tail():
                if int(entry.payload) == 3:
                    break

            async def consume() -> None:
                async for _ in log.tail():
                    pass

            task = asyncio.create_task(consume())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            log.append(b"10")
            log.complete()
            assert len([entry async for entry in log.tail()]) == 11

    run(main())


def test_followers_in_threads(place: Path) -> None:
    """A thread that follows waits, sees what others commit, and ends."""
    with open_log(place) as log:
        found: list[int] = []
        seen = threading.Event()

        def consume() -> None:
            for entry in log.follow():
                found.append(int(entry.payload))
                seen.set()

        thread = threading.Thread(target=consume)
        thread.start()
        log.append_and_commit(b"0")
        assert seen.wait(60)
        for number in range(1, 50):
            log.append(b"%d" % number)
        log.complete()
        thread.join()
        assert found == list(range(50))
