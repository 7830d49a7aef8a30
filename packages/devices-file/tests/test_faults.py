# SPDX-License-Identifier: MIT
"""
What the device does when the system fails: every row of the fault model that is its.

The rules name the calls that fail (`faulty_os.h`); where the machine can be made to
fail by itself (descriptors, files cut by others), it is.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from file_kit import (
    HEADER,
    SEGMENT,
    Rule,
    descriptors,
    faulty,
    later,
    names,
    pattern,
    probe,
    segment,
)

from pyfaster.testing import Probe

DATA = pattern(2 * SEGMENT)
UNIT = 4096
BOTH = pytest.mark.parametrize("direct", [False, True], ids=["cached", "direct"])


#: What short transfers move; a direct one moves whole sectors, here perhaps fewer than
#: the device was told to keep to.
SHORT = pytest.mark.parametrize(
    ("part", "direct"),
    [
        *((part, False) for part in (1, 511, 4096, 5000, SEGMENT - 1)),
        *((part, True) for part in (512, 4096, 4608, SEGMENT - 512)),
    ],
)
#: Direct transfers that the device keeps to 4,096 bytes, whatever the disk needs.
COARSE: list[Rule] = [("align_file", 4096, 1, 1)]


# --- transfers --------------------------------------------------------------------


@pytest.mark.fault("F01")
@SHORT
def test_short_writes_go_on(place: Path, part: int, direct: bool) -> None:
    """The rest of a short write is written; a direct one goes on from a sector."""
    device, faults = faulty(place, COARSE if direct else [], direct=direct)
    with device:
        later(faults, "write_file", part, after=1, count=3)
        assert device.put(0, DATA) == 0
        assert device.get(0, len(DATA)) == DATA


@pytest.mark.fault("F01")
def test_writes_of_one_byte_each(place: Path) -> None:
    """However short all writes are, each one counts as long as it moves something."""
    device, faults = faulty(place)
    with device:
        assert device.put(0, b"") == 0
        later(faults, "write_file", 1, after=1, count=0)
        assert device.put(0, DATA[:500]) == 0
        assert device.get(0, 500) == DATA[:500]
        assert faults.calls("write_file") == 1 + 500


@pytest.mark.fault("F02")
@BOTH
def test_writes_of_nothing_end(place: Path, direct: bool) -> None:
    """A write that goes on moving nothing is an I/O error after a bounded time."""
    device, faults = faulty(place, direct=direct)
    with device:
        assert device.put(0, DATA) == 0
        before = faults.calls("write_file")
        later(faults, "write_file", 0, count=0)
        assert device.put(0, DATA) == -errno.EIO
        assert faults.calls("write_file") - before == 16


@pytest.mark.fault("F02")
def test_a_few_writes_of_nothing_do_not_matter(place: Path) -> None:
    """A write that moves nothing for a while, and then does, is whole."""
    device, faults = faulty(place)
    with device:
        assert device.put(0, bytes(UNIT)) == 0
        later(faults, "write_file", 0, count=15)
        assert device.put(0, DATA) == 0
        assert device.get(0, len(DATA)) == DATA


@pytest.mark.fault("F03")
@SHORT
def test_short_reads_go_on(place: Path, part: int, direct: bool) -> None:
    """The rest of a short read is read; the result is the same."""
    device, faults = faulty(place, COARSE if direct else [], direct=direct)
    with device:
        assert device.put(0, DATA) == 0
        later(faults, "read_file", part, count=3)
        assert device.get(0, len(DATA)) == DATA
        assert device.get(UNIT, SEGMENT) == DATA[UNIT : UNIT + SEGMENT]


@pytest.mark.fault("F04")
@pytest.mark.parametrize("size", [0, 4096, HEADER + UNIT - 1, HEADER + UNIT])
@BOTH
def test_a_file_cut_while_open(place: Path, size: int, direct: bool) -> None:
    """Reading what a cut file has lost is an error, and never gives zeros."""
    with probe(place, direct=direct) as device:
        assert device.put(0, DATA) == 0
        for base in (0, SEGMENT):
            os.truncate(segment(place, base), size)
            for length in (UNIT, SEGMENT - UNIT):
                with pytest.raises(OSError, match="reading") as caught:
                    device.get(base + UNIT, length)
                assert caught.value.errno == errno.EIO


@pytest.mark.fault("F05")
@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EROFS])
def test_one_failed_write(place: Path, code: int) -> None:
    """A failed write is reported as it is, is not repeated, and can be made again."""
    device, faults = faulty(place)
    with device:
        assert device.put(0, DATA) == 0
        before = faults.calls("write_file")
        later(faults, "write_file", -code)
        ticket = device.write(0, DATA[::-1])
        known = device.wait(ticket)
        assert (known.code, known.bytes, known.completions) == (-code, 0, 1)
        assert faults.calls("write_file") == before + 1
        assert device.put(0, DATA[::-1]) == 0
        assert device.flush() == 0
        assert device.get(0, len(DATA)) == DATA[::-1]


@pytest.mark.fault("F05")
def test_a_write_that_fails_in_its_second_segment(place: Path) -> None:
    """A write over two files fails as a whole when the second part does."""
    device, faults = faulty(place)
    with device:
        assert device.put(0, bytes(2 * SEGMENT)) == 0
        later(faults, "write_file", -errno.EIO, after=1)
        known = device.wait(device.write(0, DATA))
        assert (known.code, known.bytes) == (-errno.EIO, SEGMENT)


@pytest.mark.fault("F06")
def test_all_writes_fail(place: Path) -> None:
    """With a disk that takes nothing every write fails, reads go on, close returns."""
    device, faults = faulty(place)
    assert device.put(0, DATA) == 0
    later(faults, "write_file", -errno.EIO, count=0)
    tickets = [device.write(n * UNIT, bytes(UNIT)) for n in range(100)]
    assert {device.wait(ticket).code for ticket in tickets} == {-errno.EIO}
    assert device.get(0, len(DATA)) == DATA
    assert device.close() == 0


@pytest.mark.fault("F07")
def test_one_failed_read(place: Path) -> None:
    """A failed read is reported, not repeated, and the next one is whole."""
    device, faults = faulty(place)
    with device:
        assert device.put(0, DATA) == 0
        later(faults, "read_file", -errno.EIO)
        known = device.wait(device.read(0, len(DATA)))
        assert (known.code, known.completions) == (-errno.EIO, 1)
        assert device.get(0, len(DATA)) == DATA
        assert device.flush() == 0


@pytest.mark.fault("F08")
def test_a_range_that_cannot_be_read(place: Path) -> None:
    """Where one file cannot be read, the others can."""
    with probe(place) as device:
        assert device.put(0, DATA) == 0
        os.truncate(segment(place), HEADER)
        for _ in range(3):
            with pytest.raises(OSError, match="reading"):
                device.get(0, UNIT)
            assert device.get(SEGMENT, SEGMENT) == DATA[SEGMENT:]


@pytest.mark.parametrize("call", ["read_file", "write_file"])
@pytest.mark.parametrize("code", [errno.EINTR, errno.EAGAIN])
def test_interrupted_transfers(place: Path, call: str, code: int) -> None:
    """EINTR and EAGAIN are tried again, for a bounded time."""
    device, faults = faulty(place)
    with device:
        assert device.put(0, DATA) == 0
        later(faults, call, -code, count=15)
        assert device.put(0, DATA[::-1]) == 0
        assert device.get(0, len(DATA)) == DATA[::-1]
        before = faults.calls(call)
        later(faults, call, -code, count=0)
        ticket = device.read(0, 9) if call == "read_file" else device.write(0, b"x")
        assert device.wait(ticket).code == -code
        assert faults.calls(call) - before == 16


# --- a full disk ------------------------------------------------------------------


@pytest.mark.fault("F09")
def test_a_full_disk(place: Path) -> None:
    """A write into a full disk fails with that status, and succeeds once there is."""
    device, faults = faulty(place)
    with device:
        assert device.put(0, DATA) == 0
        later(faults, "write_file", 100)
        later(faults, "write_file", -errno.ENOSPC, after=1, count=5)
        known = device.wait(device.write(0, DATA))
        assert known.code == -errno.ENOSPC
        assert [device.put(0, DATA) for _ in range(5)] == [-errno.ENOSPC] * 4 + [0]
        assert device.flush() == 0
        assert device.get(0, len(DATA)) == DATA


@pytest.mark.fault("F10")
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["allocate_file", "write_file", "resize_file"])
def test_no_room_for_a_new_segment(place: Path, call: str, code: int) -> None:
    """A segment that cannot be made leaves nothing, and is made when there is room."""
    device, faults = faulty(place, preallocate=True)
    with device:
        assert device.put(0, DATA[:SEGMENT]) == 0
        before = descriptors()
        later(faults, call, -code)
        assert device.put(SEGMENT, DATA[SEGMENT:]) == -code
        assert len(names(place)) == 1
        assert descriptors() == before
        assert device.get(SEGMENT, SEGMENT) == b""
        assert device.put(SEGMENT, DATA[SEGMENT:]) == 0
        assert device.flush() == 0
        assert device.get(0, len(DATA)) == DATA


def test_preallocation_where_there_is_none(place: Path) -> None:
    """A file system that cannot preallocate is no reason to fail."""
    device, _ = faulty(
        place, [("allocate_file", -errno.EOPNOTSUPP, 1, 0)], preallocate=True
    )
    with device:
        assert device.put(0, DATA) == 0


# --- syncs ------------------------------------------------------------------------


def poisoned(device: Probe, code: int) -> None:
    """See that nothing is promised any more, and that reads go on."""
    assert [device.flush() for _ in range(3)] == [-code] * 3
    assert device.put(0, b"x") == -code
    assert device.put(9 * SEGMENT, b"x") == -code
    assert device.truncate_before(SEGMENT) == -code
    assert device.get(0, SEGMENT) == DATA[:SEGMENT]


@pytest.mark.fault("F12")
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_the_first_failed_sync_is_the_last(place: Path, code: int) -> None:
    """After a sync has failed once, no file is synced again and nothing succeeds."""
    device, faults = faulty(place)
    with device:
        assert device.put(0, DATA) == 0
        assert device.flush() == 0
        assert device.put(0, DATA) == 0
        later(faults, "sync_file", -code)
        before = faults.calls("sync_file")
        assert device.flush() == -code
        poisoned(device, code)
        assert faults.calls("sync_file") == before + 1


@pytest.mark.fault("F12")
def test_syncs_that_waited_fail_too(place: Path) -> None:
    """Of many syncs at once none succeeds after one has failed."""
    device, faults = faulty(place, threads=4)
    with device:
        assert device.put(0, DATA) == 0
        later(faults, "sync_file", -errno.EIO)
        tickets = [device.sync() for _ in range(50)]
        assert {device.wait(ticket).code for ticket in tickets} == {-errno.EIO}


def test_interrupted_syncs(place: Path) -> None:
    """A sync that was interrupted is made again and is no failure."""
    device, faults = faulty(place)
    with device:
        assert device.put(0, DATA) == 0
        later(faults, "sync_file", -errno.EINTR, count=3)
        assert device.flush() == 0
        assert device.flush() == 0


@pytest.mark.fault("F16")
@pytest.mark.parametrize("call", ["sync_directory", "sync_file"])
def test_a_new_segment_that_cannot_be_synced(place: Path, call: str) -> None:
    """A write is not acknowledged when its new file or its name may be lost."""
    device, faults = faulty(place)
    with device:
        assert device.put(0, DATA[:SEGMENT]) == 0
        later(faults, call, -errno.EIO)
        assert device.put(SEGMENT, DATA[SEGMENT:]) == -errno.EIO
        assert names(place) == [f"{0:020x}.seg"]
        poisoned(device, errno.EIO)


@pytest.mark.fault("F16")
def test_a_truncation_that_cannot_be_synced(place: Path) -> None:
    """A truncation whose directory is not synced fails, and so does all after it."""
    device, faults = faulty(place)
    with device:
        assert device.put(0, DATA) == 0
        later(faults, "sync_directory", -errno.EIO)
        assert device.truncate_before(SEGMENT) == -errno.EIO
        assert device.flush() == -errno.EIO
        assert device.get(SEGMENT, SEGMENT) == DATA[SEGMENT:]


@pytest.mark.fault("F15")
def test_an_error_that_only_close_reports(place: Path) -> None:
    """What the system says when a file is closed is what close returns."""
    device, faults = faulty(place, threads=1)
    assert device.put(0, DATA) == 0
    before = descriptors()
    later(faults, "close_file", -errno.EIO)
    assert device.close() == -errno.EIO
    assert before - descriptors() == 3


def test_a_sync_covers_what_was_written_and_no_more(place: Path) -> None:
    """Only files that were written to are synced, and the old ones once."""
    device, faults = faulty(place)
    with device:
        assert device.put(0, DATA) == 0
        made = faults.calls("sync_file")
        assert made == 2
        assert device.flush() == 0
        assert faults.calls("sync_file") == made + 2
        assert device.flush() == 0
        assert device.put(SEGMENT, b"x") == 0
        assert device.flush() == 0
        assert faults.calls("sync_file") == made + 3
    device, faults = faulty(place)
    with device:
        assert device.flush() == 0
        assert device.flush() == 0
        assert faults.calls("sync_file") == 2
