# SPDX-License-Identifier: MIT
"""What type checkers say about durable logs; this file is checked, never run."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import assert_type

from pyfaster_fasterlog import (
    Commit,
    CommitPolicy,
    Cursor,
    Damage,
    DiskSlots,
    Entry,
    FasterLog,
    LogFollower,
    LogRecovered,
    LogRecovery,
    LogScan,
    LogStats,
    Piece,
    SlotFile,
    SlotFiles,
    SlotProblem,
)


def opening(path: Path) -> None:
    """What opening gives."""
    assert_type(FasterLog.open(path), FasterLog)
    assert_type(FasterLog.open(":memory:", page_size="64KiB"), FasterLog)
    assert_type(FasterLog.open(path, recover=7, commit=CommitPolicy()), FasterLog)
    assert_type(FasterLog.open(path, read_only=True), LogFollower)
    with FasterLog.open(path, device="uring") as log:
        assert_type(log, FasterLog)
        assert_type(log.recovery, LogRecovery | None)


def using(log: FasterLog) -> None:
    """What methods give."""
    assert_type(log.append(b"x"), int)
    assert_type(log.append_and_commit(bytearray(1)), int)
    assert_type(log.append_many([b"a", b"b"], atomic=True), int)
    assert_type(log.append_many(b"ab", offsets=array("Q", [0, 1, 2])), int)
    assert_type(log.commit(), Commit)
    assert_type(log.commit(cookie=b"c", timeout=1.5), Commit)
    assert_type(log.complete(), Commit)
    assert_type(log.scan(), LogScan)
    assert_type(log.scan().batches(), Iterator[Piece])
    assert_type(log.read(64), bytes)
    assert_type(log.follow(None), Iterator[Entry])
    assert_type(log.cursor("c"), Cursor)
    assert_type(log.cursors(), Mapping[str, int])
    assert_type(log.stats(), LogStats)
    for entry in log.scan(64, 128, read_ahead=2):
        assert_type(entry.payload, bytes)


async def awaiting(log: FasterLog) -> None:
    """What tasks get."""
    async with log:
        assert_type(await log.append_async(b"x"), int)
        assert_type(await log.append_and_commit_async(b"x"), int)
        assert_type(await log.append_many_async([b"x"]), int)
        assert_type(await log.commit_async(), Commit)
        assert_type(await log.read_async(64), bytes)
        async for entry in log.tail(skip_truncated=True):
            assert_type(entry, Entry)


def following(log: LogFollower) -> None:
    """What a follower gives."""
    assert_type(log.refresh(), Commit)
    assert_type(log.recovery, LogRecovery)
    assert_type(log.scan(), LogScan)
    log.append(b"x")  # type: ignore[attr-defined]


def contracts(path: Path, event: LogRecovered, recovery: LogRecovery) -> SlotFiles:
    """Each class fits its contract."""
    files: SlotFiles = DiskSlots(path)
    file: SlotFile = files.open("slot-a")
    file.close()
    assert_type(event.report, LogRecovery)
    assert_type(recovery.slots, tuple[SlotProblem, ...])
    assert_type(recovery.damage, Damage | None)
    return files


def refused(log: FasterLog, path: Path) -> None:
    """Mistakes that are seen before the program runs."""
    log.append("text")  # type: ignore[arg-type]
    log.commit(b"cookie")  # type: ignore[arg-type]
    FasterLog.open(path, recover="newest")  # type: ignore[call-overload]
    FasterLog.open(path, read_only=True, page_size=4096)  # type: ignore[call-overload]
