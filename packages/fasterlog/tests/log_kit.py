# SPDX-License-Identifier: MIT
"""Small logs in directories, and what may happen to their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyfaster_fasterlog import FasterLog, LogFollower

#: Several segments and pages with little data.
SMALL: dict[str, Any] = {
    "page_size": "64KiB",
    "segment_size": "64KiB",
    "memory": "256KiB",
}
SEGMENT = 64 << 10
HEADER = 4096


def open_log(place: Path, **settings: Any) -> FasterLog:
    """Open a small log in a directory."""
    given = {**SMALL, **settings}
    log: FasterLog = FasterLog.open(place, **given)
    return log


def reopen(place: Path, **settings: Any) -> FasterLog:
    """Open a log that is there, and say nothing of its sizes."""
    log: FasterLog = FasterLog.open(place, memory="256KiB", **settings)
    return log


def follower(place: Path) -> LogFollower:
    """Open a log for reading."""
    return FasterLog.open(place, read_only=True)


def payloads(log: FasterLog | LogFollower, start: int = 0) -> list[bytes]:
    """Give what is committed, in order."""
    return [entry.payload for entry in log.scan(start)]


def crash(log: FasterLog) -> None:
    """End a log as a crash of the process does."""
    log.close(commit=False)


def fill(log: FasterLog, count: int, size: int = 100) -> list[int]:
    """Append entries that differ; give their addresses."""
    return [log.append(str(number).encode().rjust(size)) for number in range(count)]


def segment_of(place: Path, address: int) -> tuple[Path, int]:
    """Give the file that has an address, and the place in it."""
    base = address - address % SEGMENT
    return place / "log" / f"{base:020x}.seg", HEADER + address - base


def flip(path: Path, offset: int, bit: int = 1) -> None:
    """Change one bit of a file."""
    with open(path, "r+b") as file:
        file.seek(offset)
        (value,) = file.read(1)
        file.seek(offset)
        file.write(bytes([value ^ bit]))


def slot(place: Path, name: str) -> Path:
    """Give the file of a slot."""
    return place / "commits" / name


SLOTS = ("slot-a", "slot-b")


def built(place: Path, count: int = 50) -> list[int]:
    """Make a log of some entries, and close it."""
    with open_log(place) as log:
        return fill(log, count)


def files_of(place: Path, *, lock: bool = False) -> dict[str, tuple[int, int, bytes]]:
    """Give of everything there when it was modified, when it or its name was changed,
    and a file's bytes; of the lock only that it is there, unless it is asked for.

    Not told is when something was read last: that is the system's to note, or not.
    """
    found = {}
    for path in sorted(place.rglob("*")):
        if path.name == "log.lock" and not lock:
            about = (0, 0, b"")
        else:
            stat = path.stat()
            data = path.read_bytes() if path.is_file() else b""
            about = (stat.st_mtime_ns, stat.st_ctime_ns, data)
        found[str(path.relative_to(place))] = about
    return found
