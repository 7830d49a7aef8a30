# SPDX-License-Identifier: MIT
"""
What is read before a durable log is open: slots, commit records, and the log's end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pyfaster.errors import ConfigError, CorruptLogError, UnsupportedFormatError
from pyfaster.flog import (
    ATTACHMENT_MAX,
    FIRST,
    HEADER,
    LIVES_MAX,
    Damage,
    Found,
    Life,
    LogDevice,
    NativeLog,
    Slot,
    record_of,
    recover,
    slot_bytes,
    slot_of,
)

PAGE = 4096
LIVES = (Life(1, 64, 4096), Life(5, 8192, 12_288), Life(6, 16_384))
SLOT = Slot(9, 77, PAGE, 64, 16_384, 12, LIVES, b"cursors")


class Shelf:
    """A device that keeps its bytes when it is closed."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)

    def read(self, offset: int, buffer: memoryview) -> int:
        """Give what there is."""
        part = self.data[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def write(self, offset: int, buffer: memoryview) -> int:
        """Keep it."""
        end = offset + len(buffer)
        self.data.extend(bytes(max(0, end - len(self.data))))
        self.data[offset:end] = buffer
        return len(buffer)

    def sync(self) -> None:
        """Nothing."""

    def truncate_before(self, offset: int) -> None:
        """Keep everything."""

    close = sync


def new(device: Any) -> NativeLog:
    """Open a new log."""
    return NativeLog(
        LogDevice(device),
        log_id=7,
        page_size=PAGE,
        lives=[Life(1, FIRST)],
        begin=FIRST,
        committed=FIRST,
        number=0,
    )


def found(device: Any, **other: Any) -> Found:
    """Recover from the log's beginning."""
    given = {"log_id": 7, "page_size": PAGE, "life": Life(1, FIRST)}
    place = LogDevice(device)
    try:
        return recover(place, **{**given, "start": FIRST, "number": 0, **other})
    finally:
        place.close()


# --- slots --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "slot",
    [
        SLOT,
        replace(SLOT, attachment=b""),
        replace(SLOT, attachment=bytes(range(256)) * (ATTACHMENT_MAX // 256)),
        replace(SLOT, attachment=b"a" * 10 * ATTACHMENT_MAX),
        replace(SLOT, lives=(Life(1, FIRST),), begin=5000, until=5000),
        replace(
            SLOT,
            lives=(
                *(Life(i, 4096 * i, 4096 * (i + 1)) for i in range(1, LIVES_MAX)),
                Life(LIVES_MAX, 4096 * LIVES_MAX),
            ),
            begin=4096 * LIVES_MAX,
            until=4096 * LIVES_MAX,
        ),
    ],
)
def test_slots_come_back(slot: Slot) -> None:
    """What is put into bytes is read from them, also with zeros behind."""
    data = slot_bytes(slot)
    assert slot_of(data) == slot
    assert slot_of(bytearray(data + bytes(-len(data) % 4096))) == slot


@pytest.mark.fault("F34")
def test_any_flipped_bit_of_a_slot_is_found() -> None:
    """A slot with one bit changed is refused, wherever it is."""
    data = slot_bytes(SLOT)
    for at in range(len(data)):
        for bit in (1, 128):
            wrong = bytearray(data)
            wrong[at] ^= bit
            with pytest.raises((CorruptLogError, UnsupportedFormatError)):
                slot_of(wrong)


@pytest.mark.fault("F42")
def test_a_slot_that_ends_early() -> None:
    """A part of a slot is none, however long; nor are zeros."""
    data = slot_bytes(SLOT)
    for size in range(len(data)):
        with pytest.raises((CorruptLogError, UnsupportedFormatError)):
            slot_of(data[:size])
    with pytest.raises(CorruptLogError, match="a slot") as caught:
        slot_of(bytes(4096))
    assert caught.value.damage is None


@pytest.mark.parametrize(
    "wrong",
    [
        replace(SLOT, lives=()),
        replace(SLOT, page_size=5),
        replace(SLOT, lives=LIVES[::-1]),
        replace(SLOT, lives=(Life(1, FIRST, 64), *LIVES)),
    ],
)
def test_slots_that_make_no_sense(wrong: Slot) -> None:
    """They are not written."""
    with pytest.raises(ConfigError):
        slot_bytes(wrong)


def test_a_record_is_an_entry_of_its_own() -> None:
    """What is no commit record is refused."""
    for wrong in (b"", b"entry", bytes(39), bytes(range(64))):
        with pytest.raises(CorruptLogError):
            record_of(wrong)


# --- recovery -----------------------------------------------------------------------


def test_what_was_committed_is_found() -> None:
    """Recovery gives the last commit, with its cookie, its attachment and a count."""
    shelf = Shelf()
    with new(shelf) as log:
        log.attach(b"attached")
        log.append_many([b"x" * 100] * 100)
        commit = log.commit_strong(b"cookie")
    seen = found(shelf)
    assert (seen.number, seen.until) == (commit.number, commit.until)
    assert seen.entries == 100
    assert (seen.cookie, seen.attachment) == (b"cookie", b"attached")
    assert (seen.cut_entries, seen.begin) == (0, FIRST)
    assert FIRST < seen.record < commit.until
    assert seen.damage is None or seen.damage.address >= commit.until


def test_a_recovered_log_goes_on() -> None:
    """A new life begins behind what was found; all lives are read in order."""
    shelf, lives, number = Shelf(), [Life(1, FIRST)], 0
    for generation in range(1, 6):
        first = lives[-1].first
        with NativeLog(
            LogDevice(shelf),
            log_id=7,
            page_size=PAGE,
            lives=lives,
            begin=FIRST,
            committed=first,
            number=number,
        ) as log:
            log.append(b"life %d" % generation)
            log.commit()
            log.append(b"never committed")
            before = [b"life %d" % (i + 1) for i in range(generation)]
            assert [entry.payload for entry in log.scan()] == before
        seen = found(shelf, life=lives[-1], start=first, number=number)
        number = seen.number
        lives[-1] = replace(lives[-1], until=seen.until)
        unit = 4096
        lives.append(Life(generation + 1, -(-seen.until // unit) * unit))


def test_an_empty_log() -> None:
    """Nothing on the device is no damage: the log ends where it began."""
    seen = found(Shelf())
    assert (seen.number, seen.until, seen.entries, seen.record) == (0, FIRST, 0, 0)
    assert (seen.cookie, seen.attachment, seen.begin) == (b"", b"", 0)


@pytest.mark.fault("F35")
def test_damage_before_a_durable_commit_is_an_error() -> None:
    """What later records call durable must be whole; behind the last one it is cut."""
    shelf = Shelf()
    ends = []
    with new(shelf) as log:
        addresses = []
        for i in range(3):
            addresses.append(log.append(b"entry %d" % i))
            ends.append(log.commit().until)
    for number, address in enumerate(addresses):
        wrong = Shelf(bytes(shelf.data))
        wrong.data[address + HEADER] ^= 1
        if number < 2:
            with pytest.raises(CorruptLogError, match=f"{address:,}") as caught:
                found(wrong)
            damage = caught.value.damage
            assert isinstance(damage, Damage)
            assert (damage.address, damage.what) == (address, "checksum")
            assert damage.expected != damage.found
        else:
            seen = found(wrong)
            assert seen.until <= ends[1]
            assert seen.number == 2
            assert seen.damage is not None
            assert seen.damage.address == address


@pytest.mark.fault("F45")
def test_another_log_s_bytes_are_none_of_ours() -> None:
    """Entries of another log, or of another life, do not verify."""
    shelf = Shelf()
    with new(shelf) as log:
        log.append_and_commit(b"entry")
    assert found(shelf, log_id=8).entries == 0
    assert found(shelf, life=Life(2, FIRST)).entries == 0


def test_a_device_is_taken_once() -> None:
    """Recovery leaves the device to its owner; a log takes it for good."""
    place = LogDevice(Shelf())
    recover(place, log_id=7, page_size=PAGE, life=Life(1, FIRST), start=FIRST, number=0)
    log = NativeLog(
        place,
        log_id=7,
        page_size=PAGE,
        lives=[Life(1, FIRST)],
        begin=FIRST,
        committed=FIRST,
        number=0,
    )
    with log, pytest.raises(RuntimeError, match="belongs to a log"):
        recover(
            place, log_id=7, page_size=PAGE, life=Life(1, FIRST), start=FIRST, number=0
        )


def test_a_follower_sees_what_is_committed() -> None:
    """A log for reading finds later commits of its writer when it looks."""
    shelf = Shelf()
    with new(shelf) as log:
        log.append_and_commit(b"first")
        seen = found(shelf)
        reader = NativeLog(
            LogDevice(shelf),
            log_id=7,
            page_size=PAGE,
            lives=[Life(1, FIRST)],
            begin=FIRST,
            committed=seen.until,
            number=seen.number,
            read_only=True,
        )
        with reader:
            scan = reader.scan()
            assert [entry.payload for entry in scan] == [b"first"]
            assert reader.follow() is None
            log.append(b"second")
            assert reader.follow() is None
            wanted = log.commit()
            commit = reader.follow()
            assert commit is not None
            assert commit.number == wanted.number
            assert reader.committed == commit
            assert [entry.payload for entry in scan] == [b"second"]
