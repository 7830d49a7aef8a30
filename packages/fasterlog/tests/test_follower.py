# SPDX-License-Identifier: MIT
"""Reading a log that another process, or another object, writes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from log_kit import (
    crash,
    files_of,
    fill,
    flip,
    follower,
    open_log,
    payloads,
    reopen,
    segment_of,
    slot,
)

from pyfaster.errors import (
    ClosedError,
    CorruptLogError,
    LogCutError,
    LogTruncatedError,
)
from pyfaster_fasterlog import _follower

WRITER = """
import sys
from pyfaster_fasterlog import FasterLog
with FasterLog.open(
    sys.argv[1], page_size="64KiB", segment_size="64KiB", memory="256KiB"
) as log:
    print("open", flush=True)
    for number in range(2000):
        log.append(b"%d" % number)
        if number % 50 == 0:
            log.commit()
    log.complete()
"""


def test_another_process_is_followed_to_the_end(place: Path) -> None:
    """A follower sees all that another process commits, while it does, and ends when
    the log is completed."""
    words = [sys.executable, "-c", WRITER, str(place)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        with follower(place) as log:
            found = [int(entry.payload) for entry in log.follow()]
        assert found == list(range(2000))
        assert writer.wait() == 0


def test_following_changes_nothing(place: Path) -> None:
    """Opening and reading modify no file and no directory, also behind a crash."""
    log = open_log(place)
    fill(log, 30)
    log.commit()
    fill(log, 10)
    crash(log)
    before = files_of(place, lock=True)
    with follower(place) as reader:
        assert len(payloads(reader)) == 30
        assert reader.refresh() == reader.committed
        assert reader.recovery.entries == 30
        assert reader.stats().committed == reader.committed.until
        assert reader.read(64) == b"0".rjust(100)
    assert files_of(place, lock=True) == before


def test_refresh_shows_more(place: Path) -> None:
    """What is committed is there after the next look, and not before it was."""
    with open_log(place) as log, follower(place) as reader:
        assert payloads(reader) == []
        fill(log, 5)
        assert reader.refresh().number == 0
        log.commit()
        assert reader.refresh() == log.committed
        assert len(payloads(reader)) == 5
        assert reader.wait_committed(reader.committed.until, timeout=0) is False
        log.cursor("c").save(log.committed.until)
        reader.refresh()
        assert dict(reader.cursors()) == dict(log.cursors())


def test_a_new_life_is_followed(place: Path) -> None:
    """When the writer opens the log again, a follower goes on behind what it saw."""
    log = open_log(place)
    fill(log, 10)
    log.commit()
    with follower(place) as reader:
        entries = reader.follow()
        found = [int(next(entries).payload) for _ in range(10)]
        for life in range(1, 4):
            crash(log)
            log = reopen(place)
            for number in range(life * 10, life * 10 + 10):
                log.append(b"%d" % number)
            log.commit()
            found += [int(next(entries).payload) for _ in range(10)]
            assert reader.generation == log.stats().generation
        log.complete()
        assert list(entries) == []
        assert found == list(range(40))
        assert reader.completed
    log.close()


def test_a_cut_is_noticed(place: Path) -> None:
    """A follower that has read what was cut off says so; one that has not, goes on."""
    with open_log(place) as log, follower(place) as reader:
        at = fill(log, 20)
        log.commit()
        reader.refresh()
        far, near = reader.follow(), reader.follow()
        for _ in range(20):
            next(far)
        log.truncate_suffix(at[10])
        log.append_and_commit(b"10")
        with pytest.raises(LogCutError):
            next(far)
        found = [int(entry.payload) for entry in reader.scan()]
        assert found == list(range(11))
        next(near)
        log.complete()


def test_truncation_is_noticed(place: Path) -> None:
    """A follower whose place was truncated reads on while it can, or says so; one that
    begins anew begins where the log does."""
    with open_log(place) as log, follower(place) as reader:
        at = fill(log, 3000)
        log.commit()
        log.truncate_until(at[2500])
        log.append_and_commit(b"3000")
        reader.refresh()
        reader.refresh()
        assert reader.begin == at[2500]
        assert [int(p) for p in payloads(reader)] == list(range(2500, 3001))
    with follower(place) as reader:
        assert reader.begin == at[2500]
        assert len(payloads(reader)) == 501
        with pytest.raises((LogTruncatedError, LogCutError, ValueError)):
            list(reader.scan(at[0]))


def test_a_task_follows(place: Path) -> None:
    """tail() of a follower waits without a thread, and ends."""

    async def main() -> None:
        with open_log(place) as log, follower(place) as reader:

            async def consume() -> list[int]:
                return [int(entry.payload) async for entry in reader.tail()]

            task = asyncio.create_task(consume())
            for number in range(20):
                await log.append_and_commit_async(b"%d" % number)
            log.complete()
            assert await task == list(range(20))

    asyncio.run(asyncio.wait_for(main(), 120))


@pytest.mark.fault("F34")
def test_a_reader_uses_the_other_slot(place: Path) -> None:
    """With one slot damaged a follower uses the other; with both it is refused."""
    with open_log(place) as log:
        fill(log, 10)
    flip(slot(place, "slot-a"), 30)
    with follower(place) as reader:
        assert len(payloads(reader)) == 10
        assert [each.name for each in reader.recovery.slots] == ["slot-a"]
    flip(slot(place, "slot-b"), 30)
    with pytest.raises(CorruptLogError, match="copy"):
        follower(place)


def test_a_closed_follower(place: Path) -> None:
    """close() is idempotent; what is asked later is a ClosedError."""
    open_log(place).close()
    reader = follower(place)
    assert "open" in repr(reader)
    reader.close()
    reader.close()
    assert reader.closed
    assert "closed" in repr(reader)
    with pytest.raises(ClosedError):
        reader.refresh()


@pytest.mark.parametrize("filled", [True, False])
def test_a_hole_that_a_writer_fills_is_no_damage(
    place: Path, monkeypatch: pytest.MonkeyPatch, *, filled: bool
) -> None:
    """A hole that is gone at the next look was the writer's; one that stays is told."""
    follow, looks = _follower.follow, 0
    with open_log(place) as log:
        addresses = fill(log, 10)
        log.commit()
        fill(log, 10)
        log.commit()
        hole = segment_of(place, addresses[4])
        flip(*hole)

        def looking(*words: Any) -> Any:
            nonlocal looks
            looks += 1
            try:
                return follow(*words)
            finally:
                if filled and looks == 1:
                    flip(*hole)

        monkeypatch.setattr(_follower, "follow", looking)
        if filled:
            with follower(place) as reader:
                assert len(payloads(reader)) == 20
        else:
            with pytest.raises(CorruptLogError, match=f"{addresses[4]:,}"):
                follower(place)
            flip(*hole)
        assert looks == 2
