# SPDX-License-Identifier: MIT
"""
The plain loops: what a program gets that writes a file or reads it, and nothing else.

They go through the system's cache, as most programs do. Before files are read they
leave that cache, once they have reached the disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SPAN = 4 << 20

Parts = Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Plain:
    """
    A file that was written: the time until its bytes were handed over, and until they
    were durable.

    Units: seconds.
    """

    write_seconds: float
    seconds: float


def write_plainly(folder: Path, size: int) -> Plain:
    """
    Write so many bytes to a new file, a span in each call, sync it, and remove it.
    """
    data = memoryview(os.urandom(SPAN))
    path = folder / "plain-writes"
    begin = time.perf_counter()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        left = size
        while left:
            left -= os.write(descriptor, data[: min(left, SPAN)])
        written = time.perf_counter()
        os.fsync(descriptor)
        synced = time.perf_counter()
    finally:
        os.close(descriptor)
        path.unlink()
    return Plain(written - begin, synced - begin)


def read_plainly(parts: Parts) -> float:
    """
    Read the first bytes of files, a span in each call; give bytes in a second.

    Raises:
        OSError: One is shorter than that.
    """
    buffer = memoryview(bytearray(SPAN))
    begin = time.perf_counter()
    for name, size in parts:
        descriptor = os.open(name, os.O_RDONLY)
        try:
            left = size
            while left:
                got = os.readv(descriptor, [buffer[: min(left, SPAN)]])
                if not got:
                    raise OSError(f"{name} has {size - left} bytes, not {size}")
                left -= got
        finally:
            os.close(descriptor)
    return sum(size for _, size in parts) / (time.perf_counter() - begin)


def drop(names: Iterable[str]) -> None:
    """
    Let files leave the system's cache.
    """
    for name in names:
        descriptor = os.open(name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def can_drop() -> bool:
    """
    Whether this system lets a program say so.
    """
    return hasattr(os, "posix_fadvise")
