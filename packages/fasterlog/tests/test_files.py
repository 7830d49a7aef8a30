# SPDX-License-Identifier: MIT
"""Where slots are kept: the order of what is done to them, and files of others."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from log_kit import payloads

from pyfaster.errors import CorruptLogError, DeviceError
from pyfaster.flog import Life, Slot, slot_of
from pyfaster.testing import MemoryDevice
from pyfaster_fasterlog import DiskSlots, FasterLog, SlotFiles
from pyfaster_fasterlog._slots import Found, Slots, find_slots

SLOT = Slot(0, 7, 65536, 64, 64, 0, (Life(1, 64, 0),), b"")


class Kept:
    """Slots in memory, with a list of what was done."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self.calls: list[str] = []
        self.fail: Callable[[str], bool] = lambda _: False

    def note(self, call: str) -> None:
        """Remember a call, or let it fail."""
        if self.fail(call):
            raise OSError(errno.EIO, "no")
        self.calls.append(call)

    def read(self, name: str, /) -> bytes | None:
        """Give a file."""
        return bytes(self.files[name]) if name in self.files else None

    def create(self, name: str, /) -> KeptFile:
        """Make a file."""
        if name in self.files:
            raise FileExistsError(name)
        self.note(f"create {name}")
        self.files[name] = bytearray()
        return KeptFile(self, name)

    def open(self, name: str, /) -> KeptFile:
        """Open a file."""
        if name not in self.files:
            raise FileNotFoundError(name)
        return KeptFile(self, name)

    def sync(self) -> None:
        """Sync names."""
        self.note("sync names")

    def close(self) -> None:
        """End."""
        self.note("close")


class KeptFile:
    """One of them."""

    def __init__(self, kept: Kept, name: str) -> None:
        self.kept, self.name = kept, name

    def write(self, data: Any, /) -> None:
        """Write over it."""
        self.kept.note(f"write {self.name}")
        view = bytes(data)
        self.kept.files[self.name][: len(view)] = view

    def sync(self) -> None:
        """Sync it."""
        self.kept.note(f"sync {self.name}")

    def close(self) -> None:
        """Close it."""


def test_slots_are_made_one_behind_the_other() -> None:
    """The second slot is begun when the first one and its name are synced."""
    kept = Kept()
    files: SlotFiles = kept
    Slots(files, find_slots(files)).write_both(SLOT)
    assert kept.calls == [
        "create slot-a",
        "write slot-a",
        "sync slot-a",
        "sync names",
        "create slot-b",
        "write slot-b",
        "sync slot-b",
        "sync names",
    ]
    assert [slot_of(kept.files[name]).sequence for name in sorted(kept.files)] == [1, 2]


def test_the_older_slot_is_written() -> None:
    """Writes alternate, also when others found the slots; a slot never gets shorter."""
    kept = Kept()
    Slots(kept, Found()).write_both(SLOT)
    slots = Slots(kept, find_slots(kept))
    kept.calls.clear()
    slots.settle()
    assert kept.calls == ["sync slot-a", "sync slot-b"]
    long = Slot(0, 7, 65536, 64, 64, 0, SLOT.lives, b"x" * 9000)
    slots.write(long)
    slots.write(SLOT)
    slots.write(SLOT)
    assert [call for call in kept.calls if call.startswith("write")] == [
        "write slot-a",
        "write slot-b",
        "write slot-a",
    ]
    assert len(kept.files["slot-a"]) == 12288
    assert slot_of(kept.files["slot-a"]).attachment == b""
    assert slots.written == 3


@pytest.mark.parametrize("step", ["write", "sync"])
def test_a_slot_that_failed_is_written_again(step: str) -> None:
    """After a failure the same slot is written next; the good one is left alone."""
    kept = Kept()
    slots = Slots(kept, Found())
    slots.write_both(SLOT)
    good = bytes(kept.files["slot-b"])
    kept.fail = lambda call: call == f"{step} slot-a"
    for _ in range(3):
        with pytest.raises(DeviceError, match="slot-a"):
            slots.write(SLOT)
    assert kept.files["slot-b"] == good
    kept.fail = lambda _: False
    slots.write(SLOT)
    assert slot_of(kept.files["slot-a"]).sequence == 3
    assert kept.files["slot-b"] == good


def test_a_log_with_files_of_its_user() -> None:
    """With a device and files as objects a log needs no directory; it is there again
    with another device of the same contents."""
    kept = Kept()
    with FasterLog.open(device=MemoryDevice(), files=kept, trust_device=True) as log:
        log.append_and_commit(b"one")
        assert payloads(log) == [b"one"]
    assert kept.calls[-1] == "close"
    assert find_slots(kept).newest is not None


@pytest.mark.fault("F44")
def test_a_device_with_a_log_needs_its_slots() -> None:
    """Without slots a device is begun anew only if it is empty."""

    class Bytes:
        """A device in Python whose bytes stay."""

        capabilities = ("flushes",)

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

    device = Bytes()
    kept = Kept()
    with FasterLog.open(device=device, files=kept) as log:
        log.append_and_commit(b"one")
    with FasterLog.open(device=device, files=kept) as log:
        assert payloads(log) == [b"one"]
    with pytest.raises(CorruptLogError, match="not empty"):
        FasterLog.open(device=device, files=Kept())
    torn = Kept()
    torn.files["slot-a"] = bytearray(100)
    with FasterLog.open(device=Bytes(), files=torn) as log:
        log.append_and_commit(b"two")
        assert payloads(log) == [b"two"]


def test_only_names_of_slots_are_files(tmp_path: Path) -> None:
    """No other name is opened, and what is not there is said so."""
    files = DiskSlots(tmp_path / "commits")
    for wrong in ("slot-c", "../slot-a", "", "/etc/passwd"):
        for call in (files.read, files.create, files.open):
            with pytest.raises(ValueError, match="name of a slot"):
                call(wrong)
    assert files.read("slot-a") is None
    with pytest.raises(FileNotFoundError):
        files.open("slot-a")
    file = files.create("slot-a")
    file.write(b"bytes")
    file.sync()
    file.close()
    file.close()
    with pytest.raises(FileExistsError):
        files.create("slot-a")
    assert files.read("slot-a") == b"bytes"
    (tmp_path / "commits" / "slot-b").write_bytes(bytes(5 << 20))
    with pytest.raises(CorruptLogError, match="longer"):
        files.read("slot-b")
    files.sync()
    files.close()
    files.close()


def test_without_directory_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system has no such calls, paths serve, and links are not followed."""
    monkeypatch.setattr("pyfaster_fasterlog._files._HAS_DIR_FD", False)
    monkeypatch.setattr("pyfaster_fasterlog._files._NOFOLLOW", 0)
    files = DiskSlots(tmp_path / "commits")
    file = files.create("slot-a")
    file.write(b"bytes")
    file.sync()
    file.close()
    files.sync()
    assert files.read("slot-a") == b"bytes"
    (tmp_path / "commits" / "slot-b").symlink_to(tmp_path / "commits" / "slot-a")
    with pytest.raises(CorruptLogError, match="links"):
        files.read("slot-b")
    files.close()
