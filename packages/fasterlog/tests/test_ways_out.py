# SPDX-License-Identifier: MIT
"""What a log offers when something is damaged, cut off or asked for wrongly."""

from __future__ import annotations

import os
import shutil
from array import array
from functools import partial
from pathlib import Path

import pytest
from log_kit import (
    SEGMENT,
    SLOTS,
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
    ConfigError,
    CorruptLogError,
    ForkedError,
    LogAddressError,
    LogTruncatedError,
    ValueTooLargeError,
)
from pyfaster.flog import slot_of
from pyfaster_fasterlog import FasterLog


def damaged_behind_its_slot(place: Path, before: int) -> list[int]:
    """Make a log of 40 commits that no slot knows, and damage the entry behind some of
    them; give the commits' numbers."""
    log = open_log(place, slot_every=1 << 30)
    numbers = []
    for count in range(40):
        at = log.append(b"entry %d" % count)
        numbers.append(log.commit().number)
        if count == before:
            damaged = at
    crash(log)
    path, offset = segment_of(place, damaged)
    flip(path, offset + 17)
    return numbers


@pytest.mark.fault("F35")
@pytest.mark.parametrize("back", [0, 1, 17, 29])
def test_any_commit_before_damage_can_be_gone_back_to(place: Path, back: int) -> None:
    """With damage behind the newest slot, recover=N works for each commit that lies
    whole before it, and the log goes on from there."""
    numbers = damaged_behind_its_slot(place, before=30)
    with reopen(place, recover=numbers[back]) as log:
        kept = [b"entry %d" % count for count in range(back + 1)]
        assert payloads(log) == kept
        assert log.recovery is not None
        assert log.recovery.number == log.recovery.asked == numbers[back]
        log.append_and_commit(b"new")
    with reopen(place) as log:
        assert payloads(log) == [*kept, b"new"]


@pytest.mark.fault("F35")
def test_damage_names_the_last_whole_commit(place: Path) -> None:
    """The message says which commit is the last one before the damage, nothing is
    changed, and that commit can be had; one behind the damage cannot."""
    numbers = damaged_behind_its_slot(place, before=30)
    before = files_of(place)
    for settings in ({}, {"recover": numbers[30]}, {"recover": numbers[35]}):
        with pytest.raises(CorruptLogError, match=rf"recover={numbers[29]}\b") as told:
            reopen(place, **settings)
        assert told.value.damage is not None
        assert files_of(place) == before
    with reopen(place, recover=numbers[29]) as log:
        assert len(payloads(log)) == 30


@pytest.mark.fault("F35")
def test_damage_behind_a_slot_of_many_commits(place: Path) -> None:
    """The same where a slot knows some commits: those in front of it, and those
    between it and the damage."""
    with open_log(place) as log:
        for count in range(10):
            log.append_and_commit(b"%d" % count)
        known = log.committed.number
    log = reopen(place)
    for count in range(10, 30):
        at = log.append(b"%d" % count)
        number = log.commit().number
        if count == 20:
            damaged, last = at, number - 1
    crash(log)
    path, offset = segment_of(place, damaged)
    flip(path, offset + 16)
    kept = shutil.copytree(place, place.with_name("kept"))
    for asked, count in ((last, 20), (known + 3, 13), (known - 2, 8)):
        shutil.rmtree(place)
        shutil.copytree(kept, place)
        with reopen(place, recover=asked) as log:
            assert [int(payload) for payload in payloads(log)] == list(range(count))


def test_a_slot_knows_each_new_segment(place: Path) -> None:
    """Once a segment was begun the next look writes a slot, so its loss is told."""
    log = open_log(place)
    log.append_and_commit(b"first")
    log._keep_slots()
    assert slot_of(slot(place, "slot-b").read_bytes()).number == 0
    while log.committed.until <= SEGMENT + 4096:
        log.append_and_commit(b"x" * 4000)
    number = log.committed.number
    log._keep_slots()
    found = [slot_of(slot(place, name).read_bytes()).number for name in SLOTS]
    assert max(found) == number
    crash(log)
    path, _ = segment_of(place, SEGMENT)
    path.unlink()
    with pytest.raises(CorruptLogError, match=path.name):
        reopen(place)
    with pytest.raises(CorruptLogError, match=path.name):
        follower(place)


def test_cursors_behind_a_cut_move_to_the_next_life(place: Path) -> None:
    """A cursor at the cut or behind it stands where the next entry will; so truncating
    to the smallest cursor works, then and after reopening."""
    with open_log(place) as log:
        at = fill(log, 10, size=2)
        log.commit()
        log.cursor("before").save(at[2])
        log.cursor("at").save(at[5])
        log.cursor("behind").save(at[8])
        log.truncate_suffix(at[5])
        new = log.append_and_commit(b"new")
        assert dict(log.cursors()) == {"at": new, "before": at[2], "behind": new}
        log.drop_cursor("before")
    with reopen(place) as log:
        assert dict(log.cursors()) == {"at": new, "behind": new}
        log.truncate_until(min(log.cursors().values()))
        assert payloads(log) == [b"new"]


def test_cursors_in_gaps_move_when_a_log_is_opened(place: Path) -> None:
    """Going back to a commit leaves no cursor between two lives."""
    with open_log(place) as log:
        fill(log, 5, size=2)
        number = log.commit().number
        at = fill(log, 5, size=2)
        log.commit()
        log.cursor("c").save(at[3])
    for recover in (number, "latest"):
        with reopen(place, recover=recover) as log:
            log.truncate_until(min(log.cursors().values()))
            assert payloads(log, log.cursors()["c"]) == []
            assert log.cursor("c").position == log.begin


def test_only_places_of_entries_are_saved(place: Path) -> None:
    """A position inside of an entry is refused when it is saved, also one that the
    cursor was given before its end was cut off."""
    with open_log(place) as log:
        at = fill(log, 10)
        log.commit()
        cursor = log.cursor("c")
        with pytest.raises(LogAddressError, match="no entry's"):
            cursor.save(at[1] + 8)
        assert log.cursors() == {}
        for entry in cursor.scan():
            cursor.save(entry.next)
        last = cursor.position
        log.truncate_suffix(at[3])
        log.append_many([b"y" * 999] * 9)
        log.commit()
        with pytest.raises(LogAddressError):
            cursor.save(last)
        cursor.save(at[2])
        log.truncate_until(min(log.cursors().values()))


def test_whoever_starts_below_the_beginning_may_skip(place: Path) -> None:
    """With skip_truncated a start below the beginning is the beginning, in the process
    that writes and in others; without, it is an error."""
    with open_log(place) as log:
        at = fill(log, 20)
        log.commit()
        log.truncate_until(at[10])
        with follower(place) as other:
            for reader in (log, other):
                first = next(reader.follow(at[3], skip_truncated=True))
                assert first.address == at[10]
                with pytest.raises(LogTruncatedError):
                    next(reader.follow(at[3]))


def test_a_cookie_that_is_too_long_names_its_limit(place: Path) -> None:
    """4,096 bytes, or an eighth of the largest entry where pages are small."""
    with open_log(place) as log:
        with pytest.raises(ValueTooLargeError, match=r"4,097 bytes; at most 4,096"):
            log.commit(cookie=b"c" * 4097)
        log.commit(cookie=b"c" * 4096)
    with open_log(place.with_name("small"), page_size="16KiB") as log:
        most = log.payload_max // 8
        with pytest.raises(ValueTooLargeError, match=f"at most {most:,}"):
            log.commit(cookie=b"c" * (most + 1))
        log.commit(cookie=b"c" * most)


@pytest.mark.fault("F35")
def test_a_damaged_segment_is_a_damaged_log(place: Path) -> None:
    """What the device says of a file's header is a log's error, and says nothing of
    stores; a directory in its place is refused likewise."""
    with open_log(place) as log:
        fill(log, 10)
    path, _ = segment_of(place, 64)
    flip(path, 40)
    for opened in (reopen, follower):
        with pytest.raises(CorruptLogError, match="bring the file back") as told:
            opened(place)
        assert "checkpoint" not in str(told.value)
    path.unlink()
    path.mkdir()
    for opened in (reopen, follower):
        with pytest.raises(CorruptLogError):
            opened(place)


def test_a_follower_tells_slots_that_are_gone(place: Path) -> None:
    """Segments without slots are a damaged log, for readers, too."""
    with open_log(place) as log:
        fill(log, 10)
    for name in SLOTS:
        slot(place, name).unlink()
    with pytest.raises(CorruptLogError, match="slot-a is missing"):
        follower(place)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork()")
def test_a_forked_child_may_not_move_cursors(place: Path) -> None:
    """In a child of fork() cursors and truncation are refused as all else is."""
    with open_log(place) as log:
        at = fill(log, 3)
        log.commit()
        cursor = log.cursor("c")
        child = os.fork()
        if child == 0:
            told = 0
            for call in (cursor.save, partial(log.truncate_until, at[1])):
                try:
                    call()
                except ForkedError:
                    told += 1
            os._exit(told)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
        assert len(payloads(log)) == 3


def test_batches_in_a_buffer_need_offsets(place: Path) -> None:
    """One buffer without offsets, or with offsets in a list, is refused by a message
    that names what is needed."""
    with open_log(place) as log:
        for wrong in (b"abc", bytearray(b"abc"), b""):
            with pytest.raises(TypeError, match=r'offsets=array\("Q"'):
                log.append_many(wrong)
        with pytest.raises(TypeError, match=r'array\("Q"'):
            log.append_many(b"abc", offsets=[0, 1, 3])  # type: ignore[arg-type]
        assert log.append_many(b"abc", offsets=array("Q", [0, 1, 3])) > 0
        log.commit()
        assert payloads(log) == [b"a", b"bc"]


@pytest.mark.fault("F35")
def test_slots_of_an_earlier_life_are_refused(place: Path) -> None:
    """Slots from before later openings do not know what these wrote: the log is not
    opened with them, at no commit, and nothing is changed."""
    with open_log(place) as log:
        fill(log, 5)
    old = shutil.copytree(place / "commits", place.with_name("old"))
    for _ in range(2):
        with reopen(place) as log:
            fill(log, 5)
    new = shutil.copytree(place / "commits", place.with_name("new"))
    shutil.rmtree(place / "commits")
    shutil.copytree(old, place / "commits")
    before = files_of(place)
    for recover in ("latest", 1, 0):
        with pytest.raises(CorruptLogError, match="slots of the log's last life"):
            reopen(place, recover=recover)
    with pytest.raises(CorruptLogError, match="slots of the log's last life"):
        follower(place)
    assert files_of(place) == before
    shutil.rmtree(place / "commits")
    shutil.copytree(new, place / "commits")
    with reopen(place) as log:
        assert len(payloads(log)) == 15


def test_too_little_memory_says_what_to_give(place: Path) -> None:
    """Pages that only little memory made too small are told by both settings."""
    with pytest.raises(ConfigError, match=r"page_size=16,384 or more, or memory="):
        FasterLog.open(place, memory=10)
    FasterLog.open(place, memory=8 * 16_384).close()
