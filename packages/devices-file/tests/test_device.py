# SPDX-License-Identifier: MIT
"""The device does what faster/device.h says, cached and direct."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from file_kit import SEGMENT, names, pattern, probe, settings

from pyfaster.errors import ClosedError, InterfaceMismatchError
from pyfaster.protocols import NativeDevice
from pyfaster.testing import Probe
from pyfaster_devices_file import FileDevice

CACHED = {"direct": False}
DIRECT = {"direct": True}
BOTH = pytest.mark.parametrize("how", [CACHED, DIRECT], ids=["cached", "direct"])
UNIT = 4096


@BOTH
def test_what_was_written_is_read(place: Path, how: dict[str, bool]) -> None:
    """Ranges inside, across and over whole segments come back as they were written."""
    data = pattern(5 * SEGMENT)
    with probe(place, **how) as device:
        assert device.put(0, data) == 0
        for offset in (0, UNIT, SEGMENT - UNIT, SEGMENT, 2 * SEGMENT - 2 * UNIT):
            for size in (UNIT, 3 * UNIT, SEGMENT, 2 * SEGMENT + UNIT):
                assert device.get(offset, size) == data[offset : offset + size]


@BOTH
def test_reopening_reads_back(place: Path, how: dict[str, bool]) -> None:
    """What was synced is there for the next device, of either kind."""
    data = pattern(2 * SEGMENT + UNIT)
    with probe(place, **how) as device:
        assert device.put(0, data) == 0
        assert device.flush() == 0
    for again in (CACHED, DIRECT):
        with probe(place, generation=2, **again) as device:
            assert device.get(0, 2 * SEGMENT + UNIT) == data


def test_reads_end_where_the_log_ends(place: Path) -> None:
    """A read is short where the last file ends, and empty beyond it."""
    with probe(place) as device:
        assert device.get(0, 100) == b""
        assert device.put(0, b"abc") == 0
        assert device.get(1, 3) == b"bc\0"
        assert device.get(SEGMENT - 9, 100) == bytes(9)
        assert device.get(SEGMENT, 100) == b""
        assert device.get(SEGMENT * 1000, 100) == b""


@BOTH
def test_holes_read_as_zeros(place: Path, how: dict[str, bool]) -> None:
    """Bytes that were never written below others read as zeros, in whole files too."""
    end = 3 * SEGMENT + 2 * UNIT
    data = pattern(UNIT)
    with probe(place, **how) as device:
        assert device.put(UNIT, data) == 0
        assert device.put(end, data) == 0
        wanted = bytes(UNIT) + data + bytes(end - 2 * UNIT) + data
        wanted += bytes(4 * SEGMENT - len(wanted))
        assert device.get(0, 9 * SEGMENT) == wanted
    assert len(names(place)) == 4
    with probe(place, **how) as device:
        assert device.get(0, 9 * SEGMENT) == wanted


def test_the_first_write_may_be_anywhere(place: Path) -> None:
    """A log that begins late makes no files below, until something is written there."""
    with probe(place) as device:
        assert device.put(5 * SEGMENT, b"late") == 0
        assert len(names(place)) == 1
        assert device.get(2 * SEGMENT, SEGMENT) == bytes(SEGMENT)
        assert device.put(3 * SEGMENT, b"early") == 0
        assert len(names(place)) == 3
        assert device.get(3 * SEGMENT, 5) == b"early"
        assert device.get(5 * SEGMENT, 4) == b"late"


def test_too_far_a_write_is_refused(place: Path) -> None:
    """A write that would need more files than are kept open fails and makes none."""
    with probe(place) as device:
        assert device.put(0, b"x") == 0
        assert device.put(SEGMENT << 30, b"x") == -27
        assert len(names(place)) == 1


def test_truncation(place: Path) -> None:
    """Whole files below the offset go, lowest first; what is above is untouched."""
    data = pattern(4 * SEGMENT)
    with probe(place) as device:
        assert device.put(0, data) == 0
        assert device.truncate_before(0) == 0
        assert device.truncate_before(2 * SEGMENT - 1) == 0
        assert names(place) == [f"{n * SEGMENT:020x}.seg" for n in (1, 2, 3)]
        assert device.truncate_before(SEGMENT) == 0
        assert device.get(SEGMENT, 3 * SEGMENT) == data[SEGMENT:]
        with pytest.raises(FileNotFoundError):
            device.get(0, 10)
    with probe(place) as device:
        assert device.get(SEGMENT, 3 * SEGMENT) == data[SEGMENT:]
        with pytest.raises(FileNotFoundError):
            device.get(SEGMENT - 10, 20)


def test_truncation_of_everything(place: Path) -> None:
    """A log may be cut off wholly and go on behind."""
    with probe(place) as device:
        assert device.put(0, pattern(2 * SEGMENT)) == 0
        assert device.truncate_before(7 * SEGMENT + 5) == 0
        assert names(place) == []
        assert device.put(8 * SEGMENT, b"on") == 0
        assert device.get(8 * SEGMENT, 2) == b"on"
        assert device.put(SEGMENT, b"late") == 0
        assert names(place) == [f"{8 * SEGMENT:020x}.seg"]


def test_zero_bytes(place: Path) -> None:
    """Requests of no bytes succeed and make no file."""
    with probe(place) as device:
        assert device.put(5, b"") == 0
        assert device.get(5, 0) == b""
        assert device.flush() == 0
    assert names(place) == []


def test_ranges_that_do_not_exist_are_refused(place: Path) -> None:
    """A range that wraps or leaves 63 bits is refused and never completed."""
    with probe(place) as device:
        for offset in ((1 << 63) - 1, (1 << 64) - 4096, 1 << 63):
            for ticket in (
                device.read(offset, 4096),
                device.write(offset, b"x" * 4096),
            ):
                known = device.result(ticket)
                assert (known.result, known.completions) == (-22, 0)


def test_direct_transfers_are_aligned(place: Path) -> None:
    """A direct device refuses what is not aligned, and says what it needs."""
    with probe(place, **DIRECT) as device:
        unit = device.facts.alignment
        assert unit in (512, 1024, 2048, 4096)
        for ticket in (
            device.read(1, unit),
            device.read(0, unit + 1),
            device.write(unit, b"x"),
            device.read(0, unit, misalignment=1),
        ):
            assert device.result(ticket).result == -22
        assert device.put(unit, bytes(unit)) == 0


def test_facts(place: Path) -> None:
    """The table says what the device promises, and no more."""
    with probe(place) as device:
        assert device.facts.capabilities == {"truncates", "flushes", "driven"}
        assert device.facts.alignment == 1
        assert device.facts.sector_size >= 512
        assert device.facts.sector_size & (device.facts.sector_size - 1) == 0
        assert (device.facts.capacity, device.facts.atomic_unit) == (0, 0)


def test_completions_come_once(place: Path) -> None:
    """Every request is completed once, never before its submission has returned."""
    with probe(place, threads=2) as device:
        tickets = [device.write(n * UNIT, bytes([n]) * UNIT) for n in range(64)]
        tickets += [device.sync() for _ in range(8)]
        for ticket in tickets:
            known = device.wait(ticket)
            assert (known.completions, known.inside, known.overrun) == (1, False, False)
        assert device.completed == device.submitted == len(tickets)


def test_poll_and_wait_count(place: Path) -> None:
    """All completions are reported once, by poll or by wait, as far as they say."""
    counted = 0
    with probe(place) as device:
        assert device.poll() == 0
        for number in range(40):
            device.write(number * UNIT, bytes(UNIT))
        for _ in range(10_000):
            if counted == 40:
                break
            counted += device.device_wait(60.0)
        assert counted == 40
        assert device.poll() == 0


def test_wait_with_nothing_to_wait_for(place: Path) -> None:
    """Where nothing is in flight a wait does not sleep."""
    with probe(place) as device:
        assert device.device_wait(3600.0) == 0


def test_close_finishes_what_is_in_flight(place: Path) -> None:
    """Closing completes every accepted request before it returns."""
    device = probe(place, threads=1)
    data = pattern(UNIT)
    tickets = [device.write(n * UNIT, data) for n in range(200)]
    tickets.append(device.sync())
    assert device.close() == 0
    assert {device.result(ticket).completions for ticket in tickets} == {1}
    with probe(place) as again:
        assert again.get(0, 200 * UNIT) == data * 200
        assert again.completed == again.submitted


def test_the_object(place: Path) -> None:
    """The object fits the protocol, says what it found, and is handed over once."""
    device = FileDevice(place, settings(threads=3))
    assert isinstance(device, NativeDevice)
    assert (device.threads, device.direct, device.segment_size) == (3, False, SEGMENT)
    assert repr(device) == f"<FileDevice {str(place)!r}, cached, 3 threads>"
    with pytest.raises(InterfaceMismatchError, match="interface 2"):
        device.__faster_device__(2)
    with Probe(device):
        with pytest.raises(ClosedError):
            device.__faster_device__(1)
    device.close()


def test_an_object_that_nobody_took(place: Path) -> None:
    """A device that was not handed over is closed by close, or with the object."""
    device = FileDevice(place, settings())
    device.close()
    device.close()
    with pytest.raises(ClosedError):
        device.__faster_device__(1)
    for _ in range(50):
        FileDevice(place, settings(threads=64))


@BOTH
def test_against_a_model(place: Path, how: dict[str, bool]) -> None:
    """Random writes, reads, syncs and reopenings agree with an array of bytes."""
    seed = 20_260_731
    print(f"seed={seed}")
    chance = random.Random(seed)
    model = bytearray()
    device = probe(place, **how)
    for _ in range(1_000):
        offset = chance.randrange(8 * SEGMENT // UNIT) * UNIT
        size = chance.randrange(1, 40) * UNIT
        action = chance.choices(("write", "read", "sync", "reopen"), (5, 5, 1, 1))[0]
        if action == "write":
            data = chance.randbytes(size)
            assert device.put(offset, data) == 0
            model.extend(bytes(max(0, offset + size - len(model))))
            model[offset : offset + size] = data
        elif action == "read":
            found = device.get(offset, size)
            wanted = bytes(model[offset : offset + size])
            assert found[: len(wanted)] == wanted
            assert not any(found[len(wanted) :])
        elif action == "sync":
            assert device.flush() == 0
        else:
            assert device.close() == 0
            device = probe(place, **how)
    assert device.get(0, len(model)) == model
    device.close()
