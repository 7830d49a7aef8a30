# SPDX-License-Identifier: MIT
"""
What others do between two steps of somebody who appends, commits or reads.

They append and commit behind an entry whose task has yet to wait for it; or they cut
the end off, and addresses are used again. Each does so at the one moment that is tried;
nothing waits for chance.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from log_kit import fill, open_log, payloads

from pyfaster.errors import (
    ClosedError,
    DeviceError,
    DurabilityError,
    FasterError,
    LogCutError,
)
from pyfaster.flog import Entry
from pyfaster.testing import FaultyDevice, MemoryDevice, Rule
from pyfaster_fasterlog import FasterLog
from pyfaster_fasterlog._tail import Reader


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine, with a bound that only a hang reaches."""
    asyncio.run(asyncio.wait_for(main, 120))


async def until_watched(log: FasterLog) -> None:
    """Let a tail come to where it waits."""
    while not log._pulse()._watching:  # ends: a tail that has nothing to read waits
        await asyncio.sleep(0)


async def cut(log: FasterLog, address: int) -> None:
    """Cut a log's end off, and have the loop see it."""
    await log.truncate_suffix_async(address)
    for _ in range(3):
        await asyncio.sleep(0)


# --- appends and commits ------------------------------------------------------------


def slowly(
    monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Have the next append be made elsewhere, and something happen behind it."""
    quickly = FasterLog.try_append

    async def later(self: FasterLog, data: bytes) -> int:
        monkeypatch.setattr(FasterLog, "try_append", quickly)
        address = self.append(data)
        await meanwhile()
        return address

    monkeypatch.setattr(FasterLog, "try_append", lambda *_: 0)
    monkeypatch.setattr(FasterLog, "_append_later", later)


def test_a_task_that_comes_late_keeps_nobody(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task whose entry is durable before it waits, behind one whose entry is not, has
    that one committed all the same."""

    async def main() -> None:
        with open_log(place) as log:
            loop = asyncio.get_running_loop()
            durable, go_on = loop.create_future(), loop.create_future()

            async def meanwhile() -> None:
                await asyncio.to_thread(log.commit)
                durable.set_result(None)
                await go_on

            slowly(monkeypatch, meanwhile)
            first = asyncio.ensure_future(log.append_and_commit_async(b"first"))
            await durable
            go_on.set_result(None)  # the first one's wait comes behind the next
            at = await log.append_and_commit_async(b"second")
            assert await first < at
            assert log.committed.until > at

    run(main())


def test_a_task_may_come_when_all_is_durable(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that others have committed before its task waits is durable at once."""

    async def main() -> None:
        with open_log(place) as log:
            await log.append_and_commit_async(b"so that the loop is told of commits")

            async def meanwhile() -> None:
                await asyncio.to_thread(log.commit)
                for _ in range(3):
                    await asyncio.sleep(0)

            slowly(monkeypatch, meanwhile)
            await log.append_and_commit_async(b"late")
            assert len(payloads(log)) == 2

    run(main())


# --- failures and ends --------------------------------------------------------------


@pytest.mark.fault("F12")
def test_a_tail_that_waits_is_told_of_a_failure(tmp_path: Path) -> None:
    """A sync that fails for somebody else's commit ends the tails that wait."""

    async def main() -> None:
        device = FaultyDevice(MemoryDevice(), [Rule("fail", "sync", nth=2, times=None)])
        log = FasterLog.open(tmp_path / "wal", device=device, trust_device=True)
        await log.append_and_commit_async(b"there")
        tail = log.tail()
        assert (await anext(tail)).payload == b"there"
        lost = asyncio.ensure_future(anext(tail))
        await until_watched(log)
        log.append(b"of another thread")
        with pytest.raises(DurabilityError):
            await asyncio.to_thread(log.commit)
        with pytest.raises(DurabilityError):
            await lost
        again = log.tail(log.committed.until)
        with pytest.raises(DurabilityError):
            await anext(again)
        with pytest.raises(FasterError):
            log.close()

    run(main())


def test_a_tail_of_a_log_that_has_failed_does_not_wait(place: Path) -> None:
    """Where all is durable and nothing can follow, a tail ends with what is known."""

    async def main() -> None:
        log = open_log(place)
        await log.append_and_commit_async(b"there")
        log.poison(errno.EIO)
        tail = log.tail()
        assert (await anext(tail)).payload == b"there"
        with pytest.raises(DurabilityError):
            await anext(tail)
        with suppress(FasterError):
            log.close()

    run(main())


def test_who_comes_when_the_log_is_closed_is_told(place: Path) -> None:
    """A task that comes to wait when nobody would tell it any more does not wait."""

    async def main() -> None:
        with open_log(place) as log:
            pulse = log._pulse()
            log.append(b"x")
            pulse.part(log)
            for wait in (pulse.wait, pulse.wait_among, pulse.watch):
                with pytest.raises(ClosedError):
                    wait(log.end)

    run(main())


def test_what_was_committed_last_is_told_before_the_end(place: Path) -> None:
    """A commit whose bell the loop has not heard yet counts when the log is closed."""

    async def main() -> None:
        with open_log(place) as log:
            pulse = log._pulse()
            log.append(b"x")
            waiting = pulse.wait(log.end)
            log.commit()
            pulse.part(log)
            await waiting

    run(main())


def test_a_commit_that_cannot_be_asked_for_is_an_error(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no thread can be started that commits, the task is told."""

    async def main() -> None:
        def request(self: FasterLog, until: int = 0) -> None:
            raise DeviceError("no thread", status=-errno.EAGAIN)

        with open_log(place) as log:
            with monkeypatch.context() as patch:
                patch.setattr(FasterLog, "request", request)
                with pytest.raises(DeviceError, match="no thread"):
                    await log.append_and_commit_async(b"x")
            await log.append_and_commit_async(b"y")
            assert payloads(log) == [b"x", b"y"]

    run(main())


# --- cuts ---------------------------------------------------------------------------


def test_between_an_append_and_its_wait(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task whose entry was cut off before it waited for it goes on."""

    async def main() -> None:
        with open_log(place) as log:
            at = fill(log, 30)
            log.commit()

            async def later(self: FasterLog, data: bytes) -> int:
                address = await asyncio.to_thread(self.append, data)
                await cut(self, at[3])
                return address

            with monkeypatch.context() as patch:
                patch.setattr(FasterLog, "try_append", lambda *_: 0)
                patch.setattr(FasterLog, "_append_later", later)
                assert await log.append_and_commit_async(b"gone") > at[-1]
            assert len(payloads(log)) == 3
            await log.append_and_commit_async(b"there")
            assert payloads(log)[3:] == [b"there"]

    run(main())


def test_before_a_new_loop_waits(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was to be committed is cut off before the loop has anybody who would tell:
    the wait for it ends."""

    async def main() -> None:
        with open_log(place) as log:
            at = fill(log, 30)
            log.commit()
            fill(log, 5)
            made = FasterLog._new_pulse

            def slow(self: FasterLog, loop: Any) -> Any:
                self.truncate_suffix(at[3])
                return made(self, loop)

            with monkeypatch.context() as patch:
                patch.setattr(FasterLog, "_new_pulse", slow)
                found = await log.commit_async()
            assert found.until == log.committed.until
            assert len(payloads(log)) == 3

    run(main())


def test_with_entries_behind_it_that_nobody_commits(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for the new end instead of the old one has it committed."""

    async def main() -> None:
        with open_log(place) as log:
            at = fill(log, 30)
            log.commit()
            attach = FasterLog._attach

            def attached(self: FasterLog) -> None:
                attach(self)
                self.append(b"of another thread")

            waiting = log._pulse().wait(log.end + 4096)
            with monkeypatch.context() as patch:
                patch.setattr(FasterLog, "_attach", attached)
                await cut(log, at[3])
            await waiting
            assert payloads(log)[3:] == [b"of another thread"]

    run(main())


def cutting(at: int, some: Callable[[Reader], list[Entry]]) -> Any:
    """Read as `some` does, and cut the end off when there was nothing to read."""

    def read(reader: Reader) -> list[Entry]:
        entries = some(reader)
        if not entries and reader._source._lives_seen == 1:
            assert isinstance(reader._source, FasterLog)
            reader._source.truncate_suffix(at)
        return entries

    return read


def test_between_a_tails_look_and_its_wait(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tail is told that its place is gone, also when nothing comes after the cut."""

    async def main() -> None:
        with open_log(place) as log:
            at = fill(log, 30)
            log.commit()
            monkeypatch.setattr(Reader, "some", cutting(at[3], Reader.some))
            seen = 0
            with pytest.raises(LogCutError):
                async for _ in log.tail():
                    seen += 1
            assert seen == 30

    run(main())


@pytest.mark.parametrize("more", [0, 2])
def test_between_a_followers_look_and_its_wait(
    place: Path, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    """The same for a thread, also when the log grows again below its place."""
    with open_log(place) as log:
        at = fill(log, 30)
        log.commit()
        read = cutting(at[3], Reader.some)

        def some(reader: Reader) -> list[Entry]:
            entries: list[Entry] = read(reader)
            if log._lives_seen == 2 and log.committed.until == at[3]:
                fill(log, more)
                log.commit()
            return entries

        monkeypatch.setattr(Reader, "some", some)
        with pytest.raises(LogCutError):
            for _ in log.follow():
                pass


def test_while_a_tail_waits(place: Path) -> None:
    """A tail that waits for more is told of a cut below its place, and one at the cut
    goes on with what comes."""

    async def main() -> None:
        with open_log(place) as log:
            at = fill(log, 30)
            log.commit()
            above, there = log.tail(at[-1]), log.tail(at[2])
            assert (await anext(above)).address == at[29]
            assert (await anext(there)).address == at[2]
            lost = asyncio.ensure_future(anext(above))
            await until_watched(log)
            await cut(log, at[3])
            with pytest.raises(LogCutError):
                await lost
            await log.append_and_commit_async(b"new")
            assert (await anext(there)).payload == b"new"
            await there.aclose()

    run(main())
