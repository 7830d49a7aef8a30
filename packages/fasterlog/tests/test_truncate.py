# SPDX-License-Identifier: MIT
"""Both ends of a log cut off: what stays, what comes back, and in which order."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any

import pytest
from log_kit import SEGMENT, crash, fill, open_log, payloads, reopen

from pyfaster.errors import (
    DeviceError,
    DurabilityError,
    LogAddressError,
    LogCutError,
    LogTruncatedError,
)
from pyfaster_fasterlog import FasterLog
from pyfaster_fasterlog._slots import Slots


def segments(place: Path) -> list[int]:
    """Give where the log's files begin."""
    return sorted(int(path.stem, 16) for path in (place / "log").glob("*.seg"))


def test_space_comes_back(place: Path) -> None:
    """Whole segments below the new beginning are removed, and no other."""
    with open_log(place) as log:
        at = fill(log, 4000)
        log.commit()
        before = segments(place)
        log.truncate_until(at[2500])
        after = segments(place)
        assert after == [base for base in before if base + SEGMENT > at[2500]]
        assert list(map(int, payloads(log))) == list(range(2500, 4000))
        assert log.begin == at[2500]
        with pytest.raises(LogAddressError):
            log.read(at[2499])


def test_lower_addresses_change_nothing(place: Path) -> None:
    """A log never begins earlier again."""
    with open_log(place) as log:
        at = fill(log, 10)
        log.commit()
        log.truncate_until(at[5])
        writes = log.stats().slot_writes
        log.truncate_until(at[2])
        assert log.begin == at[5]
        assert log.stats().slot_writes == writes


@pytest.mark.parametrize("way", ["truncate_until", "truncate_suffix"])
def test_only_entries_begin_or_end_a_log(place: Path, way: str) -> None:
    """Addresses inside of entries, or not committed, are refused; nothing changes."""
    with open_log(place) as log:
        at = fill(log, 10)
        log.commit()
        later = log.append(b"later")
        for wrong in (at[3] + 8, at[3] + 1, later + 8, 1 << 45):
            with pytest.raises(LogAddressError):
                getattr(log, way)(wrong)
        log.append_and_commit(b"last")
        assert len(payloads(log)) == 12


def test_everything_may_be_truncated(place: Path) -> None:
    """A log that was truncated to its end is empty, and goes on."""
    with open_log(place) as log:
        fill(log, 10)
        log.truncate_until(log.commit().until)
        assert payloads(log) == []
        log.append_and_commit(b"new")
        assert payloads(log) == [b"new"]
    with reopen(place) as log:
        assert payloads(log) == [b"new"]


def test_truncation_is_durable_when_it_returns(place: Path) -> None:
    """A crash right behind a truncation takes nothing of it back."""
    log = open_log(place)
    at = fill(log, 3000)
    log.commit()
    log.truncate_until(at[1000])
    log.truncate_suffix(at[2000])
    crash(log)
    log = reopen(place)
    assert list(map(int, payloads(log))) == list(range(1000, 2000))
    crash(log)


def test_the_end_is_cut_off(place: Path) -> None:
    """What lies at or behind an address is gone; new entries follow what stays, and
    survive."""
    with open_log(place) as log:
        at = fill(log, 100)
        log.commit()
        log.truncate_suffix(at[40])
        assert list(map(int, payloads(log))) == list(range(40))
        new = log.append(b"40")
        assert new >= at[40]
        log.commit()
        log.truncate_suffix(at[20])
        log.append(b"20")
    with reopen(place) as log:
        assert list(map(int, payloads(log))) == list(range(21))


def test_all_may_be_cut_off(place: Path) -> None:
    """A log whose end is cut off at its beginning is empty, and goes on."""
    with open_log(place) as log:
        fill(log, 10)
        log.commit()
        log.truncate_suffix(log.begin)
        assert payloads(log) == []
        log.append_and_commit(b"new")
    with reopen(place) as log:
        assert payloads(log) == [b"new"]


def test_uncommitted_entries_are_cut_off_too(place: Path) -> None:
    """Entries behind the address that nobody committed are gone as well."""
    with open_log(place) as log:
        at = fill(log, 10)
        log.commit()
        fill(log, 10)
        log.truncate_suffix(at[5])
        log.commit()
        assert list(map(int, payloads(log))) == list(range(5))


def test_scans_notice(place: Path) -> None:
    """A scan whose place was cut off, or truncated, says so."""
    with open_log(place) as log:
        at = fill(log, 3000)
        log.commit()
        behind = log.scan(at[2000])
        next(behind)
        log.truncate_suffix(at[1500])
        with pytest.raises(LogCutError):
            for _ in behind:
                pass
        before = log.scan()
        next(before)
        log.truncate_until(at[1400])
        with pytest.raises(LogTruncatedError):
            for _ in before:
                pass


def test_others_append_meanwhile(place: Path) -> None:
    """Cutting the end off while others append and commit keeps all that is below, and
    all that came behind it: in the order of each, and without a gap to its end."""
    with open_log(place) as log:
        at = fill(log, 50)
        log.commit()
        start, cut = threading.Barrier(4), threading.Barrier(4)
        acknowledged: list[list[bytes]] = [[], [], []]

        def produce(who: int) -> None:
            for barrier, numbers in ((start, range(60)), (cut, range(60, 80))):
                barrier.wait()
                for number in numbers:
                    name = b"%d.%d" % (who, number)
                    log.append_and_commit(name)
                    acknowledged[who].append(name)

        threads = [threading.Thread(target=produce, args=(who,)) for who in range(3)]
        for thread in threads:
            thread.start()
        start.wait()
        for keep in (40, 30, 20):
            log.truncate_suffix(at[keep])
        noted = [len(names) for names in acknowledged]
        cut.wait()
        for thread in threads:
            thread.join()
        found = payloads(log)
        assert list(map(int, found[:20])) == list(range(20))
        rest = found[20:]
        assert len(rest) == len(set(rest))
        for who in range(3):
            mine = [name for name in rest if name.startswith(b"%d." % who)]
            whole = [b"%d.%d" % (who, number) for number in range(80)]
            assert acknowledged[who] == whole
            assert mine == whole[80 - len(mine) :]
            # what was acknowledged behind the last cut, but for one that it met
            assert len(mine) >= 80 - noted[who] - 1
            assert len(mine) >= 20


class Stopping:
    """Fails the nth write of a slot, in place of the method."""

    def __init__(self, nth: int) -> None:
        self.left = nth
        self.write = Slots._put

    def __call__(self, slots: Any, *args: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError(errno.ENOSPC, "no space")
        self.write(slots, *args)


def stop_slots(monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """Let the nth write of a slot from now on fail."""
    stopping = Stopping(nth)
    monkeypatch.setattr(Slots, "_put", lambda slots, *args: stopping(slots, *args))


@pytest.mark.parametrize("nth", [1, 2])
def test_space_stays_when_a_slot_cannot_be_written(
    place: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """No file goes before both slots say so; the log can be opened either way."""
    log = open_log(place)
    at = fill(log, 3000)
    log.commit()
    before = segments(place)
    stop_slots(monkeypatch, nth)
    with pytest.raises(DeviceError, match="no space"):
        log.truncate_until(at[2000])
    assert segments(place) == before
    crash(log)
    with reopen(place) as log:
        found = list(map(int, payloads(log)))
        assert found in (list(range(3000)), list(range(2000, 3000)))


@pytest.mark.parametrize("nth", [1, 2])
def test_a_cut_that_cannot_be_written_ends_the_log(
    place: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """When a slot cannot be written nothing more becomes durable; opened again, the
    log was cut off or not."""
    log = open_log(place)
    at = fill(log, 100)
    log.commit()
    stop_slots(monkeypatch, nth)
    with pytest.raises(DeviceError, match="no space"):
        log.truncate_suffix(at[50])
    with pytest.raises(DurabilityError):
        log.append_and_commit(b"never")
    crash(log)
    with reopen(place) as log:
        found = list(map(int, payloads(log)))
        assert found in (list(range(100)), list(range(50)))
        log.append_and_commit(b"0")


@pytest.mark.fault("F29")
@pytest.mark.parametrize("nth", [1, 2])
def test_an_opening_that_cannot_write_is_tried_again(
    place: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """Opening fails when a slot cannot be written, lets the directory go, and the next
    one finds the same."""
    log = open_log(place)
    fill(log, 30)
    log.commit()
    fill(log, 5)
    crash(log)
    with monkeypatch.context() as patch:
        stop_slots(patch, nth)
        with pytest.raises(DeviceError, match="no space"):
            reopen(place)
    with reopen(place) as log:
        assert list(map(int, payloads(log))) == list(range(30))
        assert isinstance(log, FasterLog)


def test_a_cursor_that_cannot_be_saved_stays(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed save leaves the position of before; the next save goes to the same
    slot, so the good one is never written over."""
    log = open_log(place)
    at = fill(log, 10)
    log.commit()
    cursor = log.cursor("c")
    cursor.save(at[2])
    with monkeypatch.context() as patch:
        stop_slots(patch, 1)
        with pytest.raises(DeviceError, match="no space"):
            cursor.save(at[5])
    assert cursor.saved == at[2]
    cursor.save(at[6])
    crash(log)
    with reopen(place) as log:
        assert log.cursors()["c"] == at[6]
