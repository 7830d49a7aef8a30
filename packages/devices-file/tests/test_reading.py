# SPDX-License-Identifier: MIT
"""
A device that only reads: beside the owner of the directory, and changing nothing.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from file_kit import (
    HEADER,
    SEGMENT,
    descriptors,
    faulty,
    later,
    names,
    pattern,
    probe,
    segment,
    settings,
)
from mount_kit import stamps

from pyfaster.errors import (
    ConfigError,
    CorruptionError,
    DeviceError,
    UnsupportedFormatError,
)
from pyfaster.testing._probe import DONE
from pyfaster_devices_file import FileDevice
from pyfaster_devices_file._cabi import CALLS

DATA = pattern(3 * SEGMENT)

#: What a reader asks of the system; all other calls would change something.
READING = {
    "open_directory",
    "list_directory",
    "open_file",
    "measure_file",
    "align_file",
    "read_file",
    "close_file",
}


@pytest.fixture
def written(place: Path) -> Path:
    """A log of three segments, beside what an interrupted owner leaves behind."""
    with probe(place) as device:
        assert device.put(0, DATA) == 0
        assert device.flush() == 0
    (place / "log" / f"{3 * SEGMENT:020x}.new").write_bytes(b"half a head")
    (place / "log" / "probe.new").write_bytes(b"")
    return place


@pytest.mark.parametrize("direct", [False, "try"])
def test_nothing_changes(written: Path, direct: object) -> None:
    """Every byte is read; no name, byte, time or mode is another one afterwards."""
    before = stamps(written)
    device, faults = faulty(written, read_only=True, direct=direct)
    with device:
        assert device.facts.capabilities == {"shared", "driven"}
        assert device.get(0, len(DATA)) == DATA
        assert device.put(0, bytes(HEADER)) == -errno.EROFS
        assert device.put(3 * SEGMENT, bytes(HEADER)) == -errno.EROFS
        assert device.flush() == -errno.EROFS
        assert device.truncate_before(2 * SEGMENT) == -errno.EROFS
        assert device.get(0, len(DATA)) == DATA
        assert device.get(3 * SEGMENT, SEGMENT) == b""
        assert device.close() == 0
    assert stamps(written) == before
    assert {call for call in CALLS if faults.calls(call)} == READING


def test_many_readers_beside_the_owner(written: Path) -> None:
    """Any number may be open, and the owner writes, syncs and truncates."""
    with probe(written) as owner, ExitStack() as stack:
        opened = [probe(written, read_only=True) for _ in range(5)]
        readers = [stack.enter_context(reader) for reader in opened]
        assert owner.put(0, DATA[::-1]) == 0
        assert owner.flush() == 0
        for reader in readers:
            assert reader.get(0, len(DATA)) == DATA[::-1]
        assert owner.truncate_before(2 * SEGMENT) == 0
        assert [path.name for path in (written / "log").glob("*.seg")] == [
            f"{2 * SEGMENT:020x}.seg"
        ]
        for reader in readers:  # what was open before stays
            assert reader.get(0, len(DATA)) == DATA[::-1]
        with probe(written, read_only=True) as late:
            ticket = late.read(0, SEGMENT)
            assert late.wait(ticket).code == -errno.ENOENT
            assert late.get(2 * SEGMENT, SEGMENT) == DATA[::-1][2 * SEGMENT :]


def test_segments_that_appear_later(place: Path) -> None:
    """A reader finds what its owner adds when it is asked for, in any order."""
    with probe(place) as owner, probe(place, read_only=True) as reader:
        assert reader.get(0, SEGMENT) == b""
        assert owner.put(0, DATA) == 0
        assert reader.get(2 * SEGMENT, SEGMENT) == DATA[2 * SEGMENT :]
        assert reader.get(3 * SEGMENT, SEGMENT) == b""
        (place / "log" / f"{3 * SEGMENT:020x}.new").write_bytes(b"under way")
        assert reader.get(3 * SEGMENT, SEGMENT) == b""
        assert owner.truncate_before(SEGMENT) == 0
        assert reader.wait(reader.read(0, SEGMENT)).code == -errno.ENOENT
        assert reader.wait(reader.read(SEGMENT, 2 * SEGMENT)).code == DONE
        assert reader.get(SEGMENT, 2 * SEGMENT) == DATA[SEGMENT:]


def test_a_gap_is_filled_when_it_is_wanted(place: Path) -> None:
    """Segments between those that a reader has opened are looked for as well."""
    with probe(place) as owner, probe(place, read_only=True) as reader:
        assert owner.put(0, DATA) == 0
        assert reader.get(0, 10) == DATA[:10]
        assert reader.get(2 * SEGMENT, 10) == DATA[2 * SEGMENT :][:10]
        assert reader.get(0, len(DATA)) == DATA


@pytest.mark.parametrize("call", ["open_file", "measure_file"])
def test_a_segment_that_goes_while_it_is_opened(written: Path, call: str) -> None:
    """An owner may cut the log off meanwhile: the others are read, that one is gone."""
    gone = {"open_file": -errno.ENOENT, "measure_file": 0}[call]
    before = descriptors()
    device, faults = faulty(written, [(call, gone, 1, 1)], read_only=True)
    with device:
        assert device.get(SEGMENT, 2 * SEGMENT) == DATA[SEGMENT:]
        later(faults, call, gone)
        assert device.wait(device.read(0, SEGMENT)).code == -errno.ENOENT
        assert device.get(0, SEGMENT) == DATA[:SEGMENT]  # it was there all the time
    assert descriptors() == before


def test_what_is_missing_is_not_made(place: Path, tmp_path: Path) -> None:
    """Without a log there is nothing to look at, and nothing is begun."""
    with pytest.raises(DeviceError, match="no log to look at") as caught:
        probe(place, read_only=True)
    assert (caught.value.errno, caught.value.status) == (errno.ENOENT, -errno.ENOENT)
    assert list(tmp_path.iterdir()) == []
    place.mkdir()
    with pytest.raises(DeviceError, match="no log to look at"):
        probe(place, read_only=True)
    assert list(place.iterdir()) == []


def test_nothing_can_be_fresh(written: Path) -> None:
    """A reader cannot begin anew."""
    before = stamps(written)
    with pytest.raises(ConfigError, match="contradict"):
        probe(written, read_only=True, fresh=True)
    assert stamps(written) == before


@pytest.mark.fault("F34")
@pytest.mark.fault("F42")
@pytest.mark.fault("F45")
def test_what_is_not_ours_is_refused(written: Path) -> None:
    """Another store's files, a damaged header and a file cut short, and no repair."""
    for damage, kind in (
        (lambda: None, UnsupportedFormatError),
        (lambda: os.truncate(segment(written, SEGMENT), HEADER + 1), CorruptionError),
        (lambda: segment(written).write_bytes(bytes(HEADER)), CorruptionError),
    ):
        damage()
        before = stamps(written)
        count = descriptors()
        store = 8 if kind is UnsupportedFormatError else settings().store_id
        for direct in (False, "try"):
            with pytest.raises(kind):
                probe(written, read_only=True, store_id=store, direct=direct)
        assert stamps(written) == before
        assert descriptors() == count


@pytest.mark.fault("F42")
def test_what_appears_damaged_is_an_error(place: Path) -> None:
    """A file that appears under a segment's name and is none is no end of the log."""
    with probe(place) as owner, probe(place, read_only=True) as reader:
        assert owner.put(0, DATA[:SEGMENT]) == 0
        segment(place, SEGMENT).write_bytes(b"nothing of ours")
        assert reader.get(0, SEGMENT) == DATA[:SEGMENT]
        ticket = reader.read(SEGMENT, SEGMENT)
        assert reader.wait(ticket).code == -errno.EILSEQ
        segment(place, SEGMENT).unlink()
        assert reader.get(SEGMENT, SEGMENT) == b""


@pytest.mark.fault("F89")
@pytest.mark.parametrize("direct", [False, "try"])
def test_links_are_not_followed(written: Path, direct: object) -> None:
    """A symbolic link, a second name and a pipe under a segment's name are refused."""
    outside = written.parent / "outside"
    segment(written).rename(outside)
    for make in (
        lambda: segment(written).symlink_to(outside),
        lambda: segment(written).hardlink_to(outside),
        lambda: os.mkfifo(segment(written)),
        lambda: segment(written).mkdir(),
    ):
        make()
        with pytest.raises(CorruptionError, match="not a regular file with one name"):
            probe(written, read_only=True, direct=direct)
        if segment(written).is_dir():
            break
        segment(written).unlink()


@pytest.mark.fault("F82")
def test_direct_is_tried_on_what_is_there(written: Path, place: Path) -> None:
    """Without direct transfers it is a ConfigError, or the cache; nothing is made."""
    before = stamps(written)
    for call in ("open_file", "align_file", "read_file"):
        rule = (call, -errno.EINVAL, 1, 1)
        with pytest.raises(ConfigError, match="no direct transfers"):
            faulty(written, [rule], read_only=True, direct=True)
        device, _ = faulty(written, [rule], read_only=True, direct="try")
        with device:
            assert device.facts.alignment == 1
            assert device.get(1, 10) == DATA[1:11]
    rule = ("align_file", 2 * HEADER, 1, 1)
    with pytest.raises(ConfigError, match="need an alignment of 8,192 bytes"):
        faulty(written, [rule], read_only=True, direct=True)
    assert stamps(written) == before


def test_direct_without_a_segment(place: Path) -> None:
    """Where nothing is to try it on, who insists gets the widest alignment."""
    probe(place).close()
    for direct, alignment in ((True, HEADER), ("try", 1), (False, 1)):
        device = FileDevice(place, settings(read_only=True, direct=direct))
        assert (device.direct, device.alignment) == (direct is True, alignment)
        device.close()
    assert names(place) == []


@pytest.mark.parametrize("call", sorted(READING))
def test_every_call_may_fail(written: Path, call: str) -> None:
    """Whatever the system refuses is told; nothing leaks, and nothing changes."""
    before, count = stamps(written), descriptors()
    counting, faults = faulty(written, read_only=True)
    counting.close()
    for number in range(1, faults.calls(call) + 1):
        rules = [(call, -errno.EIO, number, 1)]
        if call == "close_file":
            device, _ = faulty(written, rules, read_only=True)
            assert device.close() in (0, -errno.EIO)
        else:
            with pytest.raises(DeviceError):
                faulty(written, rules, read_only=True)
        assert descriptors() == count
    assert stamps(written) == before


def test_the_object_says_so(written: Path) -> None:
    """Whoever is given the device can ask whether it only reads."""
    for only in (False, True):
        device = FileDevice(written, settings(read_only=only))
        assert device.read_only is only
        device.close()
