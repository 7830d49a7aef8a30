# SPDX-License-Identifier: MIT
"""Bytes of the log that are damaged, cut off, or too many."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from log_kit import HEADER, crash, fill, flip, open_log, payloads, reopen, segment_of

from pyfaster.errors import CorruptLogError, DeviceError, FasterError
from pyfaster.flog import Damage
from pyfaster.testing import FaultyDevice, MemoryDevice, Rule
from pyfaster_fasterlog import FasterLog


def crashed(place: Path, *, committed: int, more: int) -> list[int]:
    """Make a log that crashed behind a commit; give the addresses of all entries."""
    log = open_log(place)
    addresses = fill(log, committed)
    log.commit()
    addresses += fill(log, more)
    log.close(commit=False)
    return addresses


@pytest.mark.fault("F35")
@pytest.mark.parametrize("where", ["length", "kind", "checksum", "payload"])
def test_damage_below_a_commit_is_an_error(place: Path, where: str) -> None:
    """A bit of a committed entry that is another one is told when it is read, with its
    address; what lies before it is read, and nothing is cut off."""
    with open_log(place) as log:
        at = fill(log, 40)
    path, offset = segment_of(place, at[20])
    flip(path, offset + {"length": 0, "kind": 4, "checksum": 8, "payload": 16}[where])
    with reopen(place) as log:
        found: list[bytes] = []
        with pytest.raises(CorruptLogError) as caught:
            found.extend(entry.payload for entry in log.scan())
        assert len(found) == 20
        assert isinstance(caught.value.damage, Damage)
        assert caught.value.damage.address == at[20]
        assert len(payloads(log, at[21])) == 19
        with pytest.raises(CorruptLogError):
            log.read(at[20])
        with pytest.raises(CorruptLogError):
            list(log.scan(at[15]).batches())


@pytest.mark.fault("F35")
def test_damage_between_commits_behind_a_slot_is_an_error(place: Path) -> None:
    """What a later commit record calls durable is no tail: opening is refused, nothing
    is changed, and going back to the slot's commit is offered."""
    log = open_log(place)
    at = fill(log, 10)
    log.commit()
    log.append_and_commit(b"second")
    log.append_and_commit(b"third")
    crash(log)
    path, offset = segment_of(place, at[5])
    whole = path.read_bytes()
    flip(path, offset + 20)
    before = path.read_bytes()
    with pytest.raises(CorruptLogError, match="recover=0"):
        reopen(place)
    assert path.read_bytes() == before
    path.write_bytes(whole)
    with reopen(place) as log:
        assert len(payloads(log)) == 12


@pytest.mark.fault("F35")
def test_going_back_before_damage(place: Path) -> None:
    """With damage that a later commit covers, the log can be had as of the slot."""
    with open_log(place) as log:
        fill(log, 10)
    with reopen(place) as log:
        number = log.committed.number
        at = fill(log, 10)
        log.commit()
        log.append_and_commit(b"later")
        log.append_and_commit(b"later still")
        log.close(commit=False)
    path, offset = segment_of(place, at[5])
    flip(path, offset + 20)
    with pytest.raises(CorruptLogError):
        reopen(place)
    with reopen(place, recover=number) as log:
        assert [int(payload) for payload in payloads(log)] == list(range(10))
        log.append(b"new")
    with reopen(place) as log:
        assert len(payloads(log)) == 11


@pytest.mark.fault("F35")
def test_damage_behind_the_last_commit_is_cut_off(place: Path) -> None:
    """A bit of an entry that nothing committed: the log ends at its commit."""
    at = crashed(place, committed=20, more=20)
    path, offset = segment_of(place, at[30])
    flip(path, offset + 20)
    with reopen(place) as log:
        assert len(payloads(log)) == 20
        assert log.recovery is not None
        assert log.recovery.number >= 1


@pytest.mark.fault("F35")
def test_every_bit_of_a_small_log(place: Path) -> None:
    """Whichever bit of a small log flips, what is read is what was written, an error,
    or for the last commit's record what came before it; never anything else."""
    with open_log(place) as log:
        log.append(b"first entry")
        log.commit()
        log.append(b"")
        log.append(b"third")
        end = log.commit().until
    path, offset = segment_of(place, 64)
    kept = shutil.copytree(place, place.with_name("kept"))
    given = [b"first entry", b"", b"third"]
    dice = random.Random(5)
    spots = dice.sample(range(offset, offset - 64 + end), 60)
    spots += range(offset, offset + 40, 5)
    for spot in spots:
        shutil.rmtree(place)
        shutil.copytree(kept, place)
        flip(path, spot, 1 << dice.randrange(8))
        with reopen(place) as log:
            found: list[bytes] = []
            try:
                found.extend(entry.payload for entry in log.scan())
            except CorruptLogError:
                assert found == given[: len(found)], spot
            else:
                assert found == given, spot


@pytest.mark.fault("F42")
def test_a_segment_cut_anywhere(place: Path) -> None:
    """A log whose file was cut off, wherever, is refused or read up to there."""
    at = crashed(place, committed=40, more=5)
    path, _ = segment_of(place, 64)
    whole = path.read_bytes()
    used = HEADER + at[-1]
    kept = shutil.copytree(place, place.with_name("kept"))
    for length in [*range(0, used, 97), len(whole) - 1]:
        shutil.rmtree(place)
        shutil.copytree(kept, place)
        path.write_bytes(whole[:length])
        try:
            log = reopen(place)
        except FasterError:
            continue
        with log:
            found: list[int] = []
            try:
                found.extend(int(entry.payload) for entry in log.scan())
            except FasterError:
                assert len(found) < 40
            assert found == list(range(len(found)))


@pytest.mark.fault("F42")
def test_a_slot_cut_anywhere(place: Path) -> None:
    """A slot that was cut off is not used, unless only padding is missing."""
    with open_log(place) as log:
        fill(log, 40)
    for name in ("slot-a", "slot-b"):
        path = place / "commits" / name
        whole = path.read_bytes()
        size = len(whole.rstrip(b"\0"))
        for length in [*range(0, size, 7), size, size + 100]:
            path.write_bytes(whole[:length])
            with reopen(place) as log:
                assert len(payloads(log)) == 40
            whole = path.read_bytes()


@pytest.mark.fault("F42")
def test_zeros_in_the_place_of_committed_bytes(place: Path) -> None:
    """Committed bytes that have become zeros are an error, not the log's end."""
    with open_log(place) as log:
        at = fill(log, 40)
    path, offset = segment_of(place, at[10])
    data = bytearray(path.read_bytes())
    data[offset : offset + 5000] = bytes(5000)
    path.write_bytes(data)
    with reopen(place) as log:
        with pytest.raises(CorruptLogError):
            payloads(log)


@pytest.mark.fault("F43")
def test_garbage_behind_the_end_is_ignored(place: Path) -> None:
    """Bytes behind the last commit, whatever they are, are no entries."""
    at = crashed(place, committed=30, more=0)
    path, offset = segment_of(place, at[-1])
    data = bytearray(path.read_bytes())
    dice = random.Random(11)
    begin = HEADER + -(-(offset - HEADER + 200) // 4096) * 4096
    for _ in range(20):
        data[begin : begin + 3000] = dice.randbytes(3000)
        path.write_bytes(data)
        log = reopen(place)
        assert [int(payload) for payload in payloads(log)] == list(range(30))
        crash(log)


@pytest.mark.fault("F43")
def test_entries_of_an_earlier_life_do_not_come_back(place: Path) -> None:
    """What was cut off never passes for entries, though its bytes are whole and lie
    where the next ones would."""
    log = open_log(place)
    fill(log, 10)
    kept = log.commit().until
    ghosts = fill(log, 30)
    log.commit()
    path, _ = segment_of(place, ghosts[0])
    stale = path.read_bytes()
    log.truncate_suffix(kept)
    log.append_and_commit(b"new")
    crash(log)
    data = bytearray(path.read_bytes())
    begin = HEADER + kept + 4096
    data[begin:] = stale[begin:]
    path.write_bytes(data)
    with reopen(place) as log:
        assert [bytes(p).strip() for p in payloads(log)][10:] == [b"new"]


@pytest.mark.fault("F43")
def test_a_longer_file_is_ignored(place: Path) -> None:
    """A segment with garbage behind its end is as good as before, and goes on."""
    crashed(place, committed=30, more=0)
    path, _ = segment_of(place, 64)
    with open(path, "ab") as file:
        file.write(b"garbage" * 100)
    with reopen(place) as log:
        assert len(payloads(log)) == 30
        log.append_many([b"x" * 1000] * 100)
    with reopen(place) as log:
        assert len(payloads(log)) == 130


def test_the_report_says_what_was_cut(place: Path) -> None:
    """Whole entries that nothing committed are counted, and their end is told."""
    log = open_log(place, memory="256KiB")
    fill(log, 10)
    log.commit()
    log.append_many([b"x" * 1000] * 300)  # several pages go to the device by themselves
    crash(log)
    with reopen(place) as log:
        report = log.recovery
        assert report is not None
        assert len(payloads(log)) == 10
        assert report.entries == 10
        assert report.until <= report.cut_until
        assert (report.cut_entries > 0) == (report.cut_until > report.until)
        assert isinstance(log, FasterLog)


@pytest.mark.trap("T22")
@pytest.mark.fault("F02")
def test_a_read_that_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    """A scan whose device refuses a read says so and does not spin; asked again it goes
    on where it was."""
    device = FaultyDevice(MemoryDevice(), [Rule("fail", "read", nth=3, times=1)])
    log = FasterLog.open(
        tmp_path / "wal", device=device, trust_device=True, page_size="64KiB"
    )
    with log:
        fill(log, 3000)
        log.commit()
        found: list[int] = []
        errors = 0
        scan = log.scan()
        while len(found) < 3000 and errors < 10:
            try:
                found.extend(int(entry.payload) for entry in scan)
            except DeviceError:
                errors += 1
                begin = log.scan().position if not found else scan.position
                scan = log.scan(begin)
        assert errors == 1
        assert found == list(range(3000))


@pytest.mark.trap("T23")
def test_commit_records_are_no_entries(place: Path) -> None:
    """However many commits there are, an iteration meets none of their records unless
    asked, no entry is missed between them, and the last one is found."""
    with open_log(place) as log:
        for number in range(300):
            log.append_and_commit(b"%d" % number)
        last = log.committed
        assert list(map(int, payloads(log))) == list(range(300))
        kinds = [entry.kind for entry in log.scan(commits=True)]
        assert kinds.count(2) >= 300
        crash(log)
    with reopen(place) as log:
        assert list(map(int, payloads(log))) == list(range(300))
        assert log.recovery is not None
        assert log.recovery.number == last.number
