# SPDX-License-Identifier: MIT
"""
What a disk gives to a loop that writes and syncs a sector, over and over.

As many bytes as a durable append of a log writes, one behind the other, each synced:
into a file in the same directory, of a segment's size, that is opened with the flags
which the segment's descriptor has, and is filled beforehand if the segment was.

It also lies on the disk in many parts if the segment does. A file system keeps the
first few in the inode (ext4: four); with more, every sync of a new block writes one
more block of metadata, so a log that was written for a while would be compared with a
younger file.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
import sys
from pathlib import Path

if sys.platform == "linux":
    import fcntl

#: Of a descriptor's flags, those that change how bytes get to the disk.
KEPT_FLAGS = (
    getattr(os, "O_DIRECT", 0) | getattr(os, "O_DSYNC", 0) | getattr(os, "O_SYNC", 0)
)

#: Where a file's first bytes tell what it is, as in a segment.
HEADER = 4096

#: So many parts are many, and so many are made.
EXTENTS_MANY = 4
EXTENTS_MADE = 8

#: Between two of them there is a hole of that size.
APART = 1 << 16

_FIEMAP = 0xC020660B
_FIEMAP_HEAD = struct.Struct("=QQIIII")

_DESCRIPTORS = Path("/proc/self/fd")
_FLAGS = re.compile(r"^flags:\s*([0-7]+)$", re.MULTILINE)


class Bare:
    """
    A file whose sectors are written and synced one behind the other.

    Args:
        folder: Where it is put; of the segments open below, the last is its example.

        sector: Bytes of a write.

        count: How many writes there will be at most.
    """

    def __init__(self, folder: Path, sector: int, count: int) -> None:
        example = example_below(folder)
        self._path = folder / "bare"
        self._at = HEADER
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | example.flags
        # Whole pages, as transfers past the cache want them aligned.
        self._data = mmap.mmap(-1, max(sector, mmap.PAGESIZE))
        self._data.write(os.urandom(sector))
        self._view = memoryview(self._data)[:sector]
        self._descriptor = os.open(self._path, flags, 0o600)
        end = HEADER + count * sector
        size = end + (EXTENTS_MADE + 1) * APART
        os.ftruncate(self._descriptor, max(example.size, size))
        if example.filled:
            self._fill(end)
        elif example.extents >= EXTENTS_MANY:
            self._scatter(end)
        os.fsync(self._descriptor)

    def _scatter(self, end: int) -> None:
        """
        Write single pages behind the place for sectors.
        """
        first = -(-end // APART) * APART
        with mmap.mmap(-1, mmap.PAGESIZE) as page:
            for at in range(EXTENTS_MADE):
                os.pwrite(self._descriptor, page, first + at * APART)

    def _fill(self, size: int) -> None:
        """
        Write zeros where sectors will go.
        """
        with mmap.mmap(-1, 1 << 20) as zeros:
            for at in range(0, size, len(zeros)):
                os.pwrite(self._descriptor, zeros, at)

    def write_next(self) -> None:
        """
        Write and sync a sector.
        """
        os.pwrite(self._descriptor, self._view, self._at)
        os.fdatasync(self._descriptor)
        self._at += len(self._view)

    def __enter__(self) -> Bare:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        self._path.unlink()
        self._view.release()
        self._data.close()


class Example:
    """
    How a segment is opened and prepared.

    Attributes:
        flags: Of its descriptor, as far as they matter.

        size: Of the file.

        filled: Whether its space was written before it is needed.

        extents: In how many parts it lies on the disk.
    """

    def __init__(self, flags: int, size: int, filled: bool, extents: int = 1) -> None:
        self.flags = flags & KEPT_FLAGS
        self.size = size
        self.filled = filled
        self.extents = extents


def extents_of(descriptor: int) -> int:
    """
    Give in how many parts a file lies on the disk; 1 where the system does not tell.
    """
    if sys.platform != "linux":
        return 1
    head = _FIEMAP_HEAD.pack(0, (1 << 64) - 1, 1, 0, 0, 0)
    try:
        said = fcntl.ioctl(descriptor, _FIEMAP, head)
    except OSError:
        return 1
    return max(1, int(_FIEMAP_HEAD.unpack(said)[3]))


def example_below(folder: Path) -> Example:
    """
    Find the last segment below a folder that this process has open.

    Without such a list of descriptors it is taken for a file like any other.
    """
    found: dict[str, int] = {}
    for link in _DESCRIPTORS.iterdir() if _DESCRIPTORS.is_dir() else ():
        try:
            target = str(link.readlink())
        except OSError:  # closed meanwhile: the listing's own, for one
            continue
        if target.endswith(".seg") and Path(target).is_relative_to(folder.resolve()):
            found[target] = int(link.name)
    if not found:
        return Example(0, 0, filled=False)
    last = max(found)
    said = Path(f"/proc/self/fdinfo/{found[last]}").read_text()
    flags = _FLAGS.search(said)
    state = Path(last).stat()
    filled = state.st_blocks * 512 >= state.st_size
    extents = extents_of(found[last])
    kept = int(flags[1], 8) if flags else 0
    return Example(kept, state.st_size, filled, extents)
