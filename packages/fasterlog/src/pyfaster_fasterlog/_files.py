# SPDX-License-Identifier: MIT
"""
Where a log's slots are kept: small files that are rewritten in place.

`SlotFiles` is the contract. `DiskSlots` keeps it in a directory of the file system:
nothing is opened by a path, every name is one of ours and is looked up in an open
directory, links are not followed, and only a regular file with one name is used. Where
the system has no such calls, the directory's path stands in for its descriptor and the
checks are the same.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pyfaster.checkpoints import sync_descriptor
from pyfaster.errors import CorruptLogError, DeviceError

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: The slots, in the order in which they are made.
SLOT_NAMES = ("slot-a", "slot-b")

#: More bytes than any slot has: what is longer is damaged.
SLOT_BYTES_MAX = 4 << 20

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_COMMON = _NOFOLLOW | _CLOEXEC | _BINARY
_READ = os.O_RDONLY | _COMMON | getattr(os, "O_NONBLOCK", 0)
_WRITE = os.O_WRONLY | _COMMON | getattr(os, "O_NONBLOCK", 0)
_FOLDER = os.O_RDONLY | _NOFOLLOW | _CLOEXEC | getattr(os, "O_DIRECTORY", 0)
_HAS_DIR_FD = os.open in os.supports_dir_fd

#: What the system says of something that is not what its name promises.
_ODD = (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.EMLINK)


class SlotFile(Protocol):
    """
    A slot's file, open for writing.
    """

    def write(self, data: Buffer, /) -> None:
        """
        Write all of the bytes at the file's beginning.
        """
        ...

    def sync(self) -> None:
        """
        Make bytes and length survive a power cut.
        """
        ...

    def close(self) -> None:
        """
        Close the file.
        """
        ...


@runtime_checkable
class SlotFiles(Protocol):
    """
    Files by name, which a log keeps its slots in; one thread at a time calls.
    """

    def read(self, name: str, /) -> bytes | None:
        """
        Give a file's bytes; None when it is not there.
        """
        ...

    def create(self, name: str, /) -> SlotFile:
        """
        Begin a new, empty file.

        Raises:
            FileExistsError: There is one.
        """
        ...

    def open(self, name: str, /) -> SlotFile:
        """
        Open a file to be written over.

        Raises:
            FileNotFoundError: There is none.
        """
        ...

    def sync(self) -> None:
        """
        Make the names survive a power cut.
        """
        ...

    def close(self) -> None:
        """
        End; nothing is called behind it.
        """
        ...


class DiskFile:
    """
    A slot's file on a disk.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def write(self, data: Buffer, /) -> None:
        """
        Write all of the bytes at the file's beginning.
        """
        assert self._descriptor is not None
        rest = memoryview(data).cast("B")
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        while len(rest):
            count = os.write(self._descriptor, rest)
            if count <= 0:
                raise OSError(errno.EIO, "a write moved nothing")
            rest = rest[count:]

    def sync(self) -> None:
        """
        Make bytes and length survive a power cut.
        """
        assert self._descriptor is not None
        sync_descriptor(self._descriptor)

    def close(self) -> None:
        """
        Close the file; a second call does nothing.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            with suppress(OSError):
                self.close()


class DiskSlots:
    """
    Slots in a directory of the file system.

    Args:
        directory: It is made for the first slot when it is missing, its parent is not.

        read_only: Nothing is made or changed.

    Raises:
        CorruptLogError: Something that is no directory has the name.

        DeviceError: It cannot be opened.
    """

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        self.directory = directory
        self._folder: int | None = None
        self._parent_synced = read_only
        self._enter()

    def _enter(self) -> None:
        """
        Open the directory, if it is there.
        """
        with self._said_of(""), suppress(FileNotFoundError):
            if not stat.S_ISDIR(os.lstat(self.directory).st_mode):
                raise _odd(self.directory, "no directory")
            if _HAS_DIR_FD:
                self._folder = os.open(self.directory, _FOLDER)

    @contextmanager
    def _said_of(self, name: str) -> Iterator[None]:
        """
        Turn what the system says into our errors, but for files that are there or not.
        """
        where = self.directory / name if name else self.directory
        try:
            yield
        except (FileExistsError, FileNotFoundError, DeviceError):
            raise
        except OSError as error:
            if error.errno in _ODD:
                what = "no regular file of one name" if name else "no directory"
                raise _odd(where, what) from None
            raise DeviceError(
                error.errno or errno.EIO, f"{str(where)!r}: {error.strerror}"
            ) from error

    def _open(self, name: str, flags: int) -> int:
        if name not in SLOT_NAMES:
            raise ValueError(f"{name!r} is not the name of a slot")
        if self._folder is not None:
            return os.open(name, flags, 0o600, dir_fd=self._folder)
        path = self.directory / name
        if not _NOFOLLOW and path.is_symlink():
            raise _odd(path, "no regular file of one name")
        return os.open(path, flags, 0o600)

    def _open_regular(self, name: str, flags: int) -> int:
        descriptor = self._open(name, flags)
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            return descriptor
        os.close(descriptor)
        raise _odd(self.directory / name, "no regular file of one name")

    def read(self, name: str, /) -> bytes | None:
        """
        Give a file's bytes; None when it is not there.
        """
        with self._said_of(name):
            try:
                descriptor = self._open_regular(name, _READ)
            except FileNotFoundError:
                return None
            try:
                if os.fstat(descriptor).st_size > SLOT_BYTES_MAX:
                    raise _odd(self.directory / name, "longer than any slot")
                with open(descriptor, "rb", closefd=False) as file:
                    return file.read(SLOT_BYTES_MAX)
            finally:
                os.close(descriptor)

    def create(self, name: str, /) -> DiskFile:
        """
        Begin a new, empty file, and the directory when it is missing.
        """
        if self._folder is None:
            with self._said_of(""), suppress(FileExistsError):
                self.directory.mkdir(0o700)
            self._enter()
        with self._said_of(name):
            return DiskFile(self._open(name, _WRITE | os.O_CREAT | os.O_EXCL))

    def open(self, name: str, /) -> DiskFile:
        """
        Open a file to be written over.
        """
        with self._said_of(name):
            return DiskFile(self._open_regular(name, _WRITE))

    def sync(self) -> None:
        """
        Make the names survive a power cut; the directory's own, too, the first time.
        """
        if self._folder is None:
            return  # where directories cannot be opened, closing a file is enough
        with self._said_of(""):
            sync_descriptor(self._folder)
            if not self._parent_synced:
                home = self.directory.parent
                _sync_folder(home)
                _sync_folder(home.resolve().parent)
                self._parent_synced = True

    def close(self) -> None:
        """
        Close the directory; a second call does nothing.
        """
        folder, self._folder = self._folder, None
        if folder is not None:
            os.close(folder)

    def __del__(self) -> None:
        if hasattr(self, "_folder"):
            self.close()


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, _FOLDER & ~_NOFOLLOW)
    try:
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)


def _odd(path: Path, what: str) -> CorruptLogError:
    return CorruptLogError(
        f"{str(path)!r} is {what}; links are not followed, and nothing was changed: "
        "move it away, or bring back the log's own file"
    )


__all__ = ["SLOT_NAMES", "DiskFile", "DiskSlots", "SlotFile", "SlotFiles"]
