# SPDX-License-Identifier: MIT
"""
What `pyfaster doctor` is told of a directory: whether transfers can pass the cache.
"""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
from pathlib import Path

from pyfaster.hookspecs import Finding

_NAME = "direct transfers"

#: What is tried, the finest first.
_ALIGNMENTS = (512, 4096)

_ADVICE = 'leave direct= as it is, or give direct="try"'


def direct_found(directory: Path) -> Finding:
    """
    Try direct transfers with a file that has no name, or loses it at once.
    """
    if not hasattr(os, "O_DIRECT"):
        return Finding(_NAME, "note", "the system has none", _ADVICE)
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            found = _finest(file.fileno())
    except OSError as error:
        return Finding(_NAME, "note", f"could not be tried ({error.strerror})", _ADVICE)
    if not found:
        return Finding(_NAME, "note", "the file system has none", _ADVICE)
    return Finding(_NAME, "ok", f"aligned to {found:,} bytes")


def _finest(descriptor: int) -> int:
    """
    The finest alignment that the file system takes; 0 when it takes none.

    Raises:
        OSError: The system has no way to tell.
    """
    try:
        direct = os.open(
            f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC
        )
    except OSError as error:
        if error.errno == errno.EINVAL:
            return 0
        raise
    try:
        return next((size for size in _ALIGNMENTS if _moves(direct, size)), 0)
    finally:
        os.close(direct)


def _moves(direct: int, size: int) -> bool:
    """
    Whether a block of such a size can be written at such an offset, and read.
    """
    with mmap.mmap(-1, mmap.PAGESIZE) as page:
        block = memoryview(page)[:size]
        try:
            written = os.pwritev(direct, [block], size)
            return written == size == os.preadv(direct, [block], size)
        except OSError:
            return False
        finally:
            block.release()


__all__ = ["direct_found"]
