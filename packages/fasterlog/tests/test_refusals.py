# SPDX-License-Identifier: MIT
"""Files that are damaged, missing, swapped, of other formats, or odd."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from log_kit import (
    SLOTS,
    built,
    files_of,
    flip,
    follower,
    payloads,
    reopen,
    segment_of,
    slot,
)

from pyfaster._cabi import hash_bytes
from pyfaster.errors import (
    CorruptLogError,
    FasterError,
    UnsupportedFormatError,
)

pytest.importorskip("pyfaster_devices_file")


@pytest.mark.fault("F34")
@pytest.mark.parametrize("name", SLOTS)
def test_a_damaged_slot_is_replaced_by_the_other(place: Path, name: str) -> None:
    """Whichever slot is damaged, wherever: no entry is lost, the report names it, and
    it is good again."""
    built(place)
    whole = slot(place, name).read_bytes()
    size = len(whole.rstrip(b"\0"))
    for offset in range(0, size, 5):
        slot(place, name).write_bytes(whole)
        flip(slot(place, name), offset, 1 << offset % 8)
        with reopen(place) as log:
            assert len(payloads(log)) == 50
            assert log.recovery is not None
            (problem,) = log.recovery.slots
            assert problem.name == name
            assert log.recovery.slot != name
        whole = slot(place, name).read_bytes()
    with reopen(place) as log:
        assert log.recovery is not None
        assert log.recovery.slots == ()


@pytest.mark.fault("F44")
@pytest.mark.parametrize("name", SLOTS)
def test_a_missing_slot_is_made_anew(place: Path, name: str) -> None:
    """A log of which one slot is missing is whole."""
    built(place)
    slot(place, name).unlink()
    with reopen(place) as log:
        assert len(payloads(log)) == 50
    assert slot(place, name).exists()


@pytest.mark.fault("F34", "F44")
@pytest.mark.parametrize("damage", ["missing", "flipped", "empty", "folder"])
def test_a_log_without_slots_is_refused(place: Path, damage: str) -> None:
    """Where segments are and no slot is good, nothing is begun anew, and nothing is
    changed; the message has a way out."""
    built(place)
    if damage == "folder":
        shutil.rmtree(place / "commits")
    for name in SLOTS:
        if damage == "missing":
            slot(place, name).unlink()
        elif damage == "flipped":
            flip(slot(place, name), 40)
        elif damage == "empty":
            slot(place, name).write_bytes(b"")
    before = files_of(place)
    with pytest.raises(CorruptLogError, match="copy"):
        reopen(place)
    assert files_of(place) == before


@pytest.mark.fault("F44")
def test_a_missing_segment_is_refused(place: Path) -> None:
    """A file of committed entries that is gone is named, and nothing is changed."""
    built(place, 3000)
    bases = sorted((place / "log").glob("*.seg"))
    for lost in (bases[0], bases[len(bases) // 2]):
        kept = lost.read_bytes()
        lost.unlink()
        before = files_of(place)
        with pytest.raises(FasterError, match=lost.stem):
            reopen(place)
        assert files_of(place) == before
        lost.write_bytes(kept)
    with reopen(place) as log:
        assert len(payloads(log)) == 3000


@pytest.mark.fault("F44")
def test_all_segments_missing_are_refused(place: Path) -> None:
    """Slots that know of commits and no segment at all: refused."""
    built(place)
    shutil.rmtree(place / "log")
    with pytest.raises(CorruptLogError, match="all segments missing"):
        reopen(place)


@pytest.mark.fault("F45")
def test_slots_of_another_log_are_refused(tmp_path: Path) -> None:
    """With both slots of another log, opening is refused; with one, it is passed
    over."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    built(mine)
    built(other, 20)
    shutil.copy(slot(other, "slot-b"), slot(mine, "slot-b"))
    with reopen(mine) as log:
        assert len(payloads(log)) == 50
        assert log.recovery is not None
        assert "it is of the log" in log.recovery.slots[0].reason
    for name in SLOTS:
        shutil.copy(slot(other, name), slot(mine, name))
    before = files_of(mine)
    with pytest.raises(FasterError, match=r"another|other"):
        reopen(mine)
    assert files_of(mine) == before


@pytest.mark.fault("F45")
def test_segments_of_another_log_are_refused(tmp_path: Path) -> None:
    """A segment of another log is no part of this one."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    at = built(mine)[0]
    built(other)
    shutil.copy(segment_of(other, at)[0], segment_of(mine, at)[0])
    with pytest.raises(FasterError):
        reopen(mine)


@pytest.mark.fault("F46")
@pytest.mark.parametrize("number", [0, 2, 1 << 31])
def test_another_format_is_refused(place: Path, number: int) -> None:
    """Slots of an older or a newer format are refused with both numbers, and nothing is
    changed; while one of them is ours, that one serves."""
    built(place)
    for name in SLOTS:
        data = bytearray(slot(place, name).read_bytes())
        data[8:12] = number.to_bytes(4, "little")
        end = int.from_bytes(data[12:16], "little") - 8
        seed = int.from_bytes(data[:8], "little")
        data[end : end + 8] = hash_bytes(1, data[:end], seed).to_bytes(8, "little")
        slot(place, name).write_bytes(data)
        if name == "slot-a":
            with follower(place) as reader:
                assert len(payloads(reader)) == 50
                assert f"format {number}," in reader.recovery.slots[0].reason
    before = files_of(place)
    with pytest.raises(UnsupportedFormatError, match=f"format {number},.* format 1"):
        reopen(place)
    with pytest.raises(UnsupportedFormatError, match=f"format {number},.* format 1"):
        follower(place)
    assert files_of(place) == before


@pytest.mark.fault("F46")
def test_a_segment_of_another_format_is_refused(place: Path) -> None:
    """So is a segment, by its name."""
    at = built(place)[0]
    path, _ = segment_of(place, at)
    data = bytearray(path.read_bytes())
    data[8:12] = (2).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(FasterError, match=path.stem):
        reopen(place)
    assert path.read_bytes() == data


@pytest.mark.fault("F46")
def test_another_page_size_is_refused(place: Path) -> None:
    """The page size is the log's for good; both are named."""
    built(place)
    with pytest.raises(UnsupportedFormatError, match=r"65,536.*page_size=131,072"):
        reopen(place, page_size="128KiB")


@pytest.mark.fault("F89")
@pytest.mark.parametrize("kind", ["symlink", "hardlink", "fifo", "folder"])
@pytest.mark.parametrize("name", SLOTS)
def test_odd_slots_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    """A slot that is a link, a pipe or a folder is not used, nor what it leads to."""
    place = tmp_path / "wal"
    built(place)
    path = slot(place, name)
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    if kind == "symlink":
        path.symlink_to(elsewhere)
    elif kind == "hardlink":
        os.link(elsewhere, path)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    before = elsewhere.read_bytes()
    with pytest.raises(FasterError, match="no regular file"):
        reopen(place)
    assert elsewhere.read_bytes() == before


@pytest.mark.fault("F89")
def test_an_odd_folder_of_slots_is_refused(tmp_path: Path) -> None:
    """A link in the place of the folder is not followed."""
    place = tmp_path / "wal"
    built(place)
    (place / "commits").rename(tmp_path / "elsewhere")
    (place / "commits").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CorruptLogError, match="no directory"):
        reopen(place)


def test_strangers_are_left_alone(place: Path) -> None:
    """Other names in a log's directory are neither read nor changed."""
    built(place)
    names = [place / "notes.txt", place / "commits" / "slot-c", place / "log" / "x.seg"]
    for path in names:
        path.write_text("mine")
    with reopen(place) as log:
        assert len(payloads(log)) == 50
    assert [path.read_text() for path in names] == ["mine"] * 3
