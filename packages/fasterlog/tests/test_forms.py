# SPDX-License-Identifier: MIT
"""
What calls mean together: cookies, sizes, and the forms for tasks.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from pyfaster.errors import ConfigError, CorruptLogError, LogCutError
from pyfaster_fasterlog import CommitPolicy, FasterLog, LogCompletedError


def test_a_cookie_is_never_dropped(place: Path) -> None:
    """One that cannot be kept is refused, and so is one with an address."""
    with FasterLog.open(place) as log:
        end = log.append_and_commit(b"one")
        with pytest.raises(ConfigError, match="leave one of them out"):
            log.commit(end, cookie=b"mark")
        log.commit(cookie=b"mark")
        last = log.complete()
        with pytest.raises(LogCompletedError):
            log.commit(cookie=b"lost")
        assert log.commit() == last
    with FasterLog.open(place, read_only=True) as log:
        assert log.recovery is not None
        assert log.recovery.cookie == b"mark"


@pytest.mark.parametrize(
    ("text", "size"), [("1MiB", 1 << 20), ("32MB", 32_000_000), ("1.5KiB", 1536)]
)
def test_sizes_are_written_as_for_a_store(text: str, size: int) -> None:
    """What a store takes as a size, a log takes, too."""
    assert CommitPolicy(every_bytes=text).commit_bytes == size


def test_a_size_that_is_none_is_refused() -> None:
    """The message names the setting."""
    with pytest.raises(ConfigError, match="every_bytes"):
        CommitPolicy(every_bytes="many")


def test_everything_has_a_form_for_tasks(place: Path) -> None:
    """Truncation, completion and cursors hold no event loop up."""

    async def work() -> list[bytes]:
        async with FasterLog.open(place) as log:
            first = await log.append_and_commit_async(b"first")
            second = await log.append_and_commit_async(b"second")
            third = await log.append_and_commit_async(b"third")
            cursor = log.cursor("here")
            await cursor.save_async(second)
            assert cursor.saved == second
            await log.truncate_suffix_async(third)
            await log.truncate_until_async(second)
            assert log.begin == second > first
            done = await log.complete_async()
            assert log.completed
            assert log.committed == done
            return [entry.payload async for entry in log.tail()]

    assert asyncio.run(work()) == [b"second"]


def test_slots_of_an_older_life_are_refused(place: Path, tmp_path: Path) -> None:
    """Entries of a life that no slot knows are not taken for leftovers."""
    with FasterLog.open(place) as log:
        log.append_and_commit(b"first")
    shutil.copytree(place / "commits", tmp_path / "copy")
    for _ in range(2):
        with FasterLog.open(place) as log:
            log.append_and_commit(b"later")
    shutil.rmtree(place / "commits")
    shutil.copytree(tmp_path / "copy", place / "commits")
    with pytest.raises(CorruptLogError):
        FasterLog.open(place)


def test_what_was_read_ahead_is_not_given_behind_a_cut(place: Path) -> None:
    """Who follows a log gets nothing that was cut off, though it was in memory."""
    with FasterLog.open(place) as log:
        at = [log.append(b"%d" % number) for number in range(20)]
        log.commit()
        early, late = log.follow(), log.follow()
        assert [next(early).payload for _ in range(3)] == [b"0", b"1", b"2"]
        assert [next(late).payload for _ in range(8)][-1] == b"7"
        log.truncate_suffix(at[5])
        log.append_and_commit(b"new")
        assert [next(early).payload for _ in range(3)] == [b"3", b"4", b"new"]
        with pytest.raises(LogCutError):
            next(late)


def test_a_cookie_beside_many_cursors_survives(place: Path, tmp_path: Path) -> None:
    """What later commits have no room for is in a slot."""
    with FasterLog.open(place, page_size="16KiB", segment_size="1MiB") as log:
        address = log.append_and_commit(b"x")
        for number in range(14):
            log.cursor("c" * 240 + str(number)).save(address)
        log.commit(cookie=b"k" * 1000)
        log.append_and_commit(b"y")
        shutil.copytree(place, tmp_path / "crash")
    with FasterLog.open(tmp_path / "crash") as log:
        assert log.recovery is not None
        assert log.recovery.cookie == b"k" * 1000
        assert len(log.cursors()) == 14
