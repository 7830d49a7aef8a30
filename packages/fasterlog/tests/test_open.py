# SPDX-License-Identifier: MIT
"""Opening: new logs, locks, lives, and going back to a commit."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from log_kit import (
    SEGMENT,
    SLOTS,
    built,
    crash,
    files_of,
    fill,
    follower,
    open_log,
    payloads,
    reopen,
    slot,
)

import pyfaster
from pyfaster.errors import (
    ConfigError,
    StoreLockedError,
)
from pyfaster.testing import MemoryDevice
from pyfaster_fasterlog import CommitNotFoundError, FasterLog


def test_a_new_log_is_empty(place: Path) -> None:
    """A log begins where nothing is; it has no report, and both slots."""
    with open_log(place) as log:
        assert log.recovery is None
        assert payloads(log) == []
        assert log.committed.number == 0
        assert all(slot(place, name).stat().st_size % 4096 == 0 for name in SLOTS)
    with reopen(place) as log:
        assert log.recovery is not None
        assert log.recovery.entries == 0
        assert payloads(log) == []


def test_directories_are_private(place: Path) -> None:
    """What a log makes is for its user alone."""
    built(place)
    for path in [place, *place.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_one_log_at_a_time(place: Path) -> None:
    """A second opening is refused at once, here and in another process; after closing
    it is not."""
    program = (
        "import sys\n"
        "from pyfaster_fasterlog import FasterLog\n"
        "from pyfaster.errors import StoreLockedError\n"
        "try:\n"
        "    FasterLog.open(sys.argv[1])\n"
        "except StoreLockedError as error:\n"
        "    print(error)\n"
    )
    with open_log(place):
        with pytest.raises(StoreLockedError, match="has a log open"):
            open_log(place)
        done = subprocess.run(
            [sys.executable, "-c", program, str(place)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"process {os.getpid()} has a log open" in done.stdout
    reopen(place).close()


def test_a_store_and_a_log_do_not_share(tmp_path: Path) -> None:
    """A log's directory is refused as a store's, and the other way round."""
    pytest.importorskip("pyfaster_devices_file")
    place = tmp_path / "wal"
    built(place)
    before = files_of(place)
    with pytest.raises(ConfigError, match=r"FasterLog\.open"):
        pyfaster.open(f"file:{place}", key=int, value=int, durable=False)
    with pytest.raises(ConfigError, match=r"pyfaster\.open"):
        with pyfaster.open(
            f"file:{tmp_path / 'store'}", key=int, value=int, durable=False
        ):
            pass
        FasterLog.open(tmp_path / "store")
    assert files_of(place) == before


@pytest.mark.fault("F30")
def test_an_interrupted_beginning_is_begun_again(place: Path) -> None:
    """Whatever the making of a log left before its first slot was whole, a log is
    made; once the slot is, the log is that one."""
    made = place / "commits"
    made.mkdir(parents=True)
    first = slot(place, "slot-a")
    for left in (b"", b"\0" * 4096, b"\1" * 100):
        first.write_bytes(left)
        open_log(place).close()
        shutil.rmtree(place / "log")
        for name in SLOTS:
            slot(place, name).unlink()
    open_log(place).close()
    slot(place, "slot-b").unlink()
    with reopen(place) as log:
        log.append_and_commit(b"kept")
    with reopen(place) as log:
        assert payloads(log) == [b"kept"]


def test_each_opening_is_a_life(place: Path) -> None:
    """Generations grow with openings, but lives that wrote nothing are forgotten."""
    built(place)
    for number in range(5):
        with reopen(place) as log:
            assert log.stats().generation == 2 + number
            assert log.stats().lives <= 2
    with reopen(place) as log:
        log.append(b"more")
    with reopen(place) as log:
        assert log.stats().lives == 3
        assert len(payloads(log)) == 51


@pytest.mark.fault("F29", "F30")
def test_opening_again_and_again_changes_nothing(place: Path) -> None:
    """A log that crashed is the same however often it is opened and crashes again."""
    log = open_log(place)
    fill(log, 30)
    log.commit()
    fill(log, 10)
    crash(log)
    for _ in range(6):
        log = reopen(place)
        assert [int(payload) for payload in payloads(log)] == list(range(30))
        crash(log)


def test_a_commit_number_cuts_what_came_behind(place: Path) -> None:
    """recover=N keeps exactly what that commit covers, with its cookie, for good."""
    numbers = {}
    with open_log(place) as log:
        for count in range(1, 8):
            log.append(b"%d" % count)
            numbers[count] = log.commit(cookie=b"cookie %d" % count).number
    with reopen(place, recover=numbers[5]) as log:
        assert payloads(log) == [b"%d" % count for count in range(1, 6)]
        assert log.recovery is not None
        assert log.recovery.cookie == b"cookie 5"
        assert log.recovery.asked == log.recovery.number == numbers[5]
        log.append_and_commit(b"new")
    with reopen(place) as log:
        assert payloads(log) == [b"1", b"2", b"3", b"4", b"5", b"new"]
        assert log.recovery is not None
        assert log.recovery.asked is None
    with reopen(place, recover=numbers[2]) as log:
        assert payloads(log) == [b"1", b"2"]


def test_an_unknown_commit_number_is_refused(place: Path) -> None:
    """recover=N of a commit that is not there changes nothing."""
    with pytest.raises(CommitNotFoundError):
        open_log(place, recover=3)
    built(place)
    before = files_of(place)
    with pytest.raises(CommitNotFoundError, match="999"):
        reopen(place, recover=999)
    assert files_of(place) == before
    with reopen(place) as log:
        assert len(payloads(log)) == 50


def test_a_device_must_promise_to_keep(place: Path) -> None:
    """A device that does not say that its syncs hold is refused, unless trusted."""
    with pytest.raises(ConfigError, match="trust_device"):
        FasterLog.open(place, device=MemoryDevice())
    with FasterLog.open(place, device=MemoryDevice(), trust_device=True) as log:
        log.append_and_commit(b"trusted")
        assert payloads(log) == [b"trusted"]


def test_a_page_must_fit_the_device(place: Path) -> None:
    """A page of too few of the device's sectors is refused before anything is written,
    so that a larger one is not."""
    for size in (4096, 8192):
        with pytest.raises(ConfigError, match="writes 4,096 bytes as one"):
            FasterLog.open(place, device=Sectors(), page_size=size)
    with FasterLog.open(place, device=Sectors(), page_size=16384) as log:
        assert log.append_and_commit(b"entry") == log.begin


class Sectors:
    """A device in Python whose sectors have 4 KiB."""

    capabilities = ("flushes",)
    sector_size = 4096
    alignment = 4096

    def __init__(self) -> None:
        self.data = bytearray(1 << 20)

    def read(self, offset: int, buffer: memoryview) -> int:
        """Give bytes."""
        part = self.data[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def write(self, offset: int, buffer: memoryview) -> int:
        """Keep bytes."""
        self.data[offset : offset + len(buffer)] = buffer
        return len(buffer)

    def sync(self) -> None:
        """Nothing."""

    def truncate_before(self, offset: int) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


@pytest.mark.trap("T24")
def test_a_log_may_begin_anywhere(place: Path) -> None:
    """After truncation inside a page and a segment, all that is left is found."""
    at = built(place, 3000)
    for keep in (1, 700, 1400, 2999):
        with reopen(place) as log:
            log.truncate_until(at[keep])
        with reopen(place) as log:
            assert [int(p) for p in payloads(log)] == list(range(keep, 3000))
            assert log.begin == at[keep]
    first = min((place / "log").glob("*.seg"))
    assert int(first.stem, 16) == at[2999] // SEGMENT * SEGMENT


def test_a_reader_needs_a_log(tmp_path: Path) -> None:
    """Reading where no log is makes nothing."""
    with pytest.raises(ConfigError, match="holds no log"):
        follower(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no log"):
        follower(tmp_path / "empty")
    assert not list((tmp_path / "empty").iterdir())


@pytest.mark.trap("X15")
def test_an_empty_log_is_opened_again_and_again(place: Path) -> None:
    """A log that never had a commit needs no file, and no life is remembered for it;
    then it takes entries, life after life, and has all of them."""
    open_log(place).close()
    shutil.rmtree(place / "log", ignore_errors=True)
    for _ in range(5):
        log = reopen(place)
        assert log.stats().lives <= 2
        crash(log)
    for life in range(3):
        with reopen(place) as log:
            assert payloads(log) == [b"x" * 500] * (300 * life)
            log.append_many([b"x" * 500] * 300)  # several segments
    with reopen(place) as log:
        assert payloads(log) == [b"x" * 500] * 900


def test_lives_below_the_beginning_are_forgotten(place: Path) -> None:
    """Lives are remembered as long as the log has something of them."""
    at = built(place, 10)
    for number in range(5):
        with reopen(place) as log:
            at.append(log.append(b"%d" % number))
            log.commit()
            assert log.stats().lives == 2 + number
    with reopen(place) as log:
        log.truncate_until(at[12])
        log.truncate_suffix(at[13])
        assert log.stats().lives == 2
        assert payloads(log) == [b"2"]
    with reopen(place) as log:
        log.truncate_until(log.committed.until)
        assert payloads(log) == []
    with reopen(place) as log:
        assert log.stats().lives <= 2
        log.append_and_commit(b"new")
        assert payloads(log) == [b"new"]
