# SPDX-License-Identifier: MIT
"""
Open files: one that is written from its beginning on, one that is read anywhere.
"""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

from pyfaster.checkpoints import sync_descriptor

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: Some systems move no more in one call, and silently less.
_CALL_MAX = 1 << 30

#: After so many bytes the system is asked to begin with them, so that the sync does not
#: find all of them unwritten.
_BEGIN_AFTER = 8 << 20


class DiskWriter:
    """
    A new file; one thread uses it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        self._failed: OSError | None = None
        self._written = 0
        self._begun = 0
        self._dropped = 0

    def _open(self) -> int:
        if self._descriptor is None:
            raise ValueError("the file is closed")
        return self._descriptor

    def write(self, data: Buffer, /) -> None:
        """
        Append all of the bytes.
        """
        rest = memoryview(data).cast("B")
        descriptor = self._open()
        while len(rest):
            count = os.write(descriptor, rest[:_CALL_MAX])
            if count <= 0:
                raise OSError(errno.EIO, "a write moved nothing")
            rest = rest[count:]
            self._written += count
        if self._written - self._begun >= _BEGIN_AFTER:
            self._begin_writing(descriptor)

    def _begin_writing(self, descriptor: int) -> None:
        """
        Let the system write what it has, and forget what it was asked to write the time
        before: nobody reads it soon, and removing the file is quick.
        """
        if hasattr(os, "posix_fadvise"):
            length = self._written - self._dropped
            os.posix_fadvise(descriptor, self._dropped, length, os.POSIX_FADV_DONTNEED)
        self._dropped, self._begun = self._begun, self._written

    def sync(self) -> None:
        """
        Make the bytes and the length survive a power cut; asked once after a failure,
        the system may claim success that it did not have, so it is not asked again.
        """
        if self._failed is not None:
            raise self._failed
        try:
            sync_descriptor(self._open())
        except OSError as error:
            self._failed = error
            raise

    def close(self) -> None:
        """
        Close the file; an error is one of writing.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def abandon(self) -> None:
        """
        Close the file, whatever the system says.
        """
        try:
            self.close()
        except OSError:
            return

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self.abandon()


class DiskReader:
    """
    A file that is there; any thread may read.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor: int | None = descriptor
        self._lock = threading.Lock()
        self.size = size

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        """
        Fill the buffer; give how many bytes there were, fewer only at the end.
        """
        if self._descriptor is None:
            raise ValueError("the file is closed")
        done, view = 0, buffer.cast("B")
        while done < len(view):
            count = self._read(offset + done, view[done : done + _CALL_MAX])
            if count == 0:
                break
            done += count
        return done

    def _read(self, offset: int, view: memoryview) -> int:
        descriptor = self._descriptor
        assert descriptor is not None
        if hasattr(os, "preadv"):
            return os.preadv(descriptor, [view], offset)
        with self._lock:  # a place of its own for each thread is what preadv is for
            os.lseek(descriptor, offset, os.SEEK_SET)
            data = os.read(descriptor, len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """
        Close the file; a second call does nothing.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self.close()


__all__ = ["DiskReader", "DiskWriter", "sync_descriptor"]
