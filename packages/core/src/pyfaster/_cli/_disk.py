# SPDX-License-Identifier: MIT
"""
What `pyfaster doctor` measures in a directory: space, locks, speed, the cost of fsync.

All writing goes to one file that has no name, or loses it as soon as it is made, so
nothing is left however this ends. Bytes are bounded, and loops end after so many rounds
or when their time is over, whichever comes first.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from pyfaster._sync import sync_descriptor
from pyfaster.hookspecs import Finding

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: What is written at once when speed is measured, and when latency is.
PIECE = 1 << 20
BLOCK = 4096

#: Bounds of each measurement.
SECONDS = 1.0
ROUNDS = 100

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class DiskFigures:
    """
    What was measured; times are medians, and None is what could not be.

    Attributes:
        size: How many bytes were written and read.

        write_mib_s: Writing them from front to back and syncing once.

        read_mib_s: Reading them back, after the system was asked to forget them.

        rounds: How often a block was written for the figures below.

        write_us: Writing a block over another.

        sync_us: The same, and syncing it.

        sync_max_us: The slowest of these.

        dsync_us: Writing a block to a file that is opened with O_DSYNC.

    Units: microseconds, MiB a second.
    """

    size: int
    write_mib_s: float
    read_mib_s: float | None
    rounds: int
    write_us: float
    sync_us: float
    sync_max_us: float
    dsync_us: float | None


# --- measuring ------------------------------------------------------------------------


def measure(directory: Path, size: int) -> DiskFigures:
    """
    Measure in a file of the directory; see `DiskFigures`.

    Raises:
        OSError: The directory cannot be written to, or the device refuses.
    """
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        descriptor = file.fileno()
        written, write_seconds = _write_through(descriptor, size)
        read_seconds = _read_back(descriptor, written)
        alone = _rounds(descriptor, sync=False)
        synced = _rounds(descriptor, sync=True)
        return DiskFigures(
            size=written,
            write_mib_s=_speed(written, write_seconds),
            read_mib_s=None if read_seconds is None else _speed(written, read_seconds),
            rounds=len(synced),
            write_us=median(alone) * 1e6,
            sync_us=median(synced) * 1e6,
            sync_max_us=max(synced) * 1e6,
            dsync_us=_dsync(descriptor),
        )


def _speed(size: int, seconds: float) -> float:
    return size / _MIB / max(seconds, 1e-9)


def _write_through(descriptor: int, size: int) -> tuple[int, float]:
    """
    Write from front to back, sync once; how much it became, and how long it took.
    """
    piece = os.urandom(PIECE)
    begin = perf_counter()
    written = 0
    while written < size and (not written or perf_counter() - begin < SECONDS):
        written += os.write(descriptor, piece)
    sync_descriptor(descriptor)
    return written, perf_counter() - begin


def _read_back(descriptor: int, size: int) -> float | None:
    """
    Read all of it; None where the system cannot be asked to forget it before.
    """
    if not hasattr(os, "posix_fadvise"):
        return None
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    begin = perf_counter()
    at = 0
    while at < size and perf_counter() - begin < SECONDS:
        got = len(os.pread(descriptor, PIECE, at))
        if not got:
            break
        at += got
    seconds = perf_counter() - begin
    return seconds * size / at if at else None


def _rounds(descriptor: int, *, sync: bool) -> list[float]:
    """
    Write one block over itself again and again; how long each took.
    """
    block = os.urandom(BLOCK)
    times: list[float] = []
    end = perf_counter() + SECONDS
    while not times or (len(times) < ROUNDS and perf_counter() < end):
        begin = perf_counter()
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, block)
        if sync:
            sync_descriptor(descriptor)
        times.append(perf_counter() - begin)
    return times


def again(descriptor: int, flags: int) -> int | None:
    """
    Open an open file once more, with other flags; None where that cannot be done.
    """
    try:
        return os.open(f"/proc/self/fd/{descriptor}", flags | os.O_CLOEXEC)
    except (OSError, AttributeError):
        return None


def _dsync(descriptor: int) -> float | None:
    other = again(descriptor, os.O_RDWR | getattr(os, "O_DSYNC", 0))
    if other is None or not hasattr(os, "O_DSYNC"):
        return None
    try:
        return median(_rounds(other, sync=False)) * 1e6
    finally:
        os.close(other)


def locks_found(directory: Path) -> Finding:
    """
    Whether a lock keeps a second opener out, by which a store has its directory alone.
    """
    name = "locks"
    if sys.platform == "win32":
        return Finding(name, "note", "the device's own files exclude others here")
    with tempfile.TemporaryFile(dir=directory) as file:
        other = again(file.fileno(), os.O_RDWR)
        if other is None:
            return Finding(name, "note", "could not be tried here")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return Finding(name, "ok", "a second opener is kept out")
        except OSError as error:
            text = f"refused ({error.strerror})"
        else:
            text = "a second opener is let in"
        finally:
            os.close(other)
    advice = "see to it that one process alone opens a store there, or use another disk"
    return Finding(name, "failure", text, advice)


__all__ = ["DiskFigures", "locks_found", "measure"]
