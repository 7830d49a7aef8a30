# SPDX-License-Identifier: MIT
"""What tasks do with a log: share commits, are cancelled, live in several loops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from log_kit import fill, open_log, payloads, reopen

from pyfaster.errors import (
    ClosedError,
    ConfigError,
    DurabilityError,
    FasterError,
    LogAddressError,
)
from pyfaster.testing import FaultyDevice, MemoryDevice, Rule
from pyfaster_fasterlog import FasterLog, LogCompletedError
from pyfaster_fasterlog._pulse import ALONE, HELD_S


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine, with a bound that only a hang reaches."""
    asyncio.run(asyncio.wait_for(main, 120))


def test_tasks_share_commits(place: Path) -> None:
    """64 tasks that append and wait make far fewer commits than entries, and each is
    durable when its task goes on."""

    async def main() -> None:
        with open_log(place) as log:

            async def produce(who: int) -> None:
                for number in range(20):
                    address = await log.append_and_commit_async(
                        b"%d %d" % (who, number)
                    )
                    assert log.committed.until > address

            before = log.stats().commits
            await asyncio.gather(*map(produce, range(64)))
            assert log.stats().commits - before < 64 * 20 / 4
            assert len(payloads(log)) == 64 * 20

    run(main())
    with reopen(place) as log:
        assert len(payloads(log)) == 64 * 20


def test_every_form_has_one_for_tasks(place: Path) -> None:
    """What is appended, committed and read by tasks is as by threads."""

    async def main() -> None:
        async with open_log(place) as log:
            one = await log.append_async(b"one")
            await log.append_many_async([b"two", b"three"], atomic=True)
            assert log.committed.until <= one
            at = await log.commit_async()
            assert at == log.committed
            assert await log.commit_async() == at
            strong = await log.commit_async(cookie=b"cookie")
            assert strong.number > at.number
            assert await log.read_async(one) == b"one"
            view = memoryview(bytearray(16)).cast("Q")
            four = await log.append_and_commit_async(view)
            assert await log.read_async(four) == bytes(16)
            assert payloads(log) == [b"one", b"two", b"three", bytes(16)]

    run(main())
    with reopen(place) as log:
        assert log.recovery is not None
        assert log.recovery.cookie == b"cookie"


def test_a_task_waits_for_room(tmp_path: Path) -> None:
    """A task that appends much more than memory holds does not stop the loop: another
    one has its turn, without which nothing would be written and no room be made."""
    device = FaultyDevice(MemoryDevice(), [Rule("hold", "write")])
    settings: dict[str, Any] = {"page_size": "64KiB", "memory": "256KiB"}
    settings |= {"device": device, "trust_device": True}

    async def main() -> None:
        with FasterLog.open(tmp_path / "wal", **settings) as log:

            async def let_go() -> int:
                # ends: what is held keeps all of the memory
                while not (log.stats().room_waits and device.stats()["waiting"]):
                    await asyncio.sleep(0)
                return device.release()

            letting = asyncio.create_task(let_go())
            for number in range(3000):
                await log.append_async(str(number).encode().rjust(400))
            assert await letting == 1
            await log.commit_async()
            assert list(map(int, payloads(log))) == list(range(3000))

    run(main())


def test_a_cancelled_task_harms_nobody(place: Path) -> None:
    """Tasks that are cancelled while they wait stop waiting; the others' entries
    become durable, and so do theirs."""

    async def main() -> None:
        with open_log(place) as log:
            tasks = [
                asyncio.create_task(log.append_and_commit_async(b"%d" % number))
                for number in range(40)
            ]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            for task, result in zip(tasks[::2], done[::2], strict=True):
                assert task.cancelled() or isinstance(result, int)
            assert all(isinstance(result, int) for result in done[1::2])
            await log.commit_async()
            assert sorted(map(int, payloads(log))) == list(range(40))

    run(main())


def test_two_loops_use_one_log(place: Path) -> None:
    """Two loops in two threads append to one log; both are woken, again and again."""
    with open_log(place) as log:

        async def produce(who: int) -> None:
            async def one(task: int) -> None:
                for number in range(10):
                    await log.append_and_commit_async(b"%d" % (who * 1000 + number))

            await asyncio.gather(*map(one, range(8)))

        threads = [
            threading.Thread(target=lambda who=who: asyncio.run(produce(who)))
            for who in (1, 2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(payloads(log)) == 160


def test_loops_come_and_go(place: Path) -> None:
    """More loops than the core has descriptors for, one behind the other."""
    with open_log(place) as log:
        for number in range(70):

            async def main(number: int = number) -> None:
                await log.append_and_commit_async(b"%d" % number)

            asyncio.run(main())
        assert list(map(int, payloads(log))) == list(range(70))
        assert len(log._pulses) == 1


def test_closing_ends_those_who_wait(place: Path) -> None:
    """Tasks that follow a log get ClosedError when it is closed, in the same loop or
    from another thread."""

    async def main(other_thread: bool) -> None:
        log = open_log(place)

        async def follow() -> None:
            async for _ in log.tail():
                pass

        task = asyncio.create_task(follow())
        await log.append_and_commit_async(b"one")
        while not log._pulses or not any(p._watching for p in log._pulses.values()):
            await asyncio.sleep(0.001)  # until it waits
        if other_thread:
            await asyncio.to_thread(log.close)
        else:
            log.close()
        with pytest.raises(ClosedError):
            await task
        with pytest.raises(ClosedError):
            await log.append_and_commit_async(b"two")

    run(main(False))
    run(main(True))


@pytest.mark.trap("X16")
@pytest.mark.fault("F07")
def test_tasks_are_told_of_a_failure(tmp_path: Path) -> None:
    """When a sync fails, all who wait, and all who come later, get the same error; what
    was committed stays readable."""
    device = FaultyDevice(MemoryDevice(), [Rule("fail", "sync", nth=2, times=None)])
    log = FasterLog.open(tmp_path / "wal", device=device, trust_device=True)

    async def main() -> None:
        kept = log.append_and_commit(b"kept")
        results = await asyncio.gather(
            *(log.append_and_commit_async(b"lost") for _ in range(5)),
            return_exceptions=True,
        )
        assert all(isinstance(result, DurabilityError) for result in results), results
        with pytest.raises(DurabilityError):
            await log.commit_async(log.end)
        with pytest.raises(DurabilityError):
            await log.append_and_commit_async(b"later")
        with pytest.raises(DurabilityError):
            log.commit()
        with pytest.raises(DurabilityError):
            async for _ in log.tail(kept):
                pass
        assert payloads(log) == [b"kept"]

    run(main())
    with pytest.raises(FasterError):
        log.close()
    log.close()


def test_tasks_go_on_behind_a_cut(place: Path) -> None:
    """Tasks that append while the log's end is cut off, again and again, all end; and
    what they append last is there."""

    async def main() -> None:
        with open_log(place) as log:
            at = fill(log, 30)
            log.commit()

            async def produce(who: int) -> None:
                for _ in range(30):
                    await log.append_and_commit_async(b"%d" % who)

            tasks = [asyncio.create_task(produce(who)) for who in range(8)]
            for keep in (25, 20, 10):
                await asyncio.sleep(0)
                await asyncio.to_thread(log.truncate_suffix, at[keep])
            await asyncio.gather(*tasks)
            address = await log.append_and_commit_async(b"last")
            assert log.read(address) == b"last"
            assert list(map(int, payloads(log)[:10])) == list(range(10))

    run(main())


def test_tasks_of_a_completed_log(place: Path) -> None:
    """A completed log refuses tasks' entries, and commits nothing."""

    async def main() -> None:
        with open_log(place) as log:
            await log.append_async(b"one")
            at = log.complete()
            assert await log.commit_async() == at
            for form in (log.append_async, log.append_and_commit_async):
                with pytest.raises(LogCompletedError):
                    await form(b"two")
            with pytest.raises(LogCompletedError):
                await log.append_many_async([b"two"])

    run(main())


def test_a_loop_that_watches_nothing_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without add_reader there is an error that says what to do."""

    def refuse(*_: object) -> None:
        raise NotImplementedError

    with open_log(place) as log:

        async def main() -> None:
            with pytest.raises(ConfigError, match="SelectorEventLoop"):
                await log.append_and_commit_async(b"one")

        # the loop itself watches its own pipe before it is made blind
        with asyncio.Runner() as runner:
            monkeypatch.setattr(runner.get_loop(), "add_reader", refuse)
            runner.run(main())


def test_a_task_alone_commits_by_itself(place: Path) -> None:
    """A task that is alone and served quickly commits in the loop's thread; others get
    their turn all the same, and then form groups with it."""

    async def main() -> None:
        with open_log(place) as log:
            pulse = log._pulse()
            await log.append_and_commit_async(b"first")
            pulse._alone = ALONE
            assert pulse.may_hold()
            asked = pulse._asked_at
            await log.append_and_commit_async(b"alone")
            assert pulse._asked_at == asked
            pulse._alone, pulse._held = ALONE, 1.0
            other = asyncio.create_task(log.append_and_commit_async(b"other"))
            await log.append_and_commit_async(b"held")
            assert pulse._held == 0
            await other
            assert sorted(payloads(log)) == [b"alone", b"first", b"held", b"other"]

    run(main())


def test_a_commit_above_the_end_is_refused() -> None:
    """A task does not wait for what nobody has appended; a thread does not, either."""

    async def main() -> None:
        async with FasterLog.open(":memory:") as log:
            await log.append_and_commit_async(b"one")
            above = log.end + 1
            with pytest.raises(LogAddressError, match=f"{above:,}"):
                await log.commit_async(above)
            with pytest.raises(LogAddressError):
                log.commit(above)
            assert (await log.commit_async(log.end)).until == log.end

    run(main())


def test_a_slow_commit_is_not_made_in_the_loop() -> None:
    """Rounds count that served one, and quickly; a slow one puts an end to it."""
    with FasterLog.open(":memory:") as log:

        async def main() -> None:
            pulse = log._pulse()
            for _ in range(ALONE):
                assert not pulse.may_hold()
                pulse._serves_one, pulse._asked_at = True, float("inf")
                pulse._note_round()
            assert pulse.may_hold()
            assert not pulse.has_held(HELD_S / 2)
            assert pulse.may_hold()
            assert pulse.has_held(HELD_S * 2)
            assert not pulse.may_hold()
            pulse._note_round()
            assert not pulse.may_hold()
            pulse._alone = ALONE
            pulse._serves_one = False
            pulse._note_round()
            assert not pulse.may_hold()
            pulse._serves_one, pulse._asked_at = True, 0.0
            pulse._note_round()
            assert pulse._alone == 0

        run(main())
