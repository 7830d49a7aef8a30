# SPDX-License-Identifier: MIT
"""
Checkpoints in a directory of the file system.

Nothing is opened by a path: every name is one of ours and is looked up in an open
directory, links are not followed, and only a regular file with one name is read. Where
the system has no such calls, the directory's path stands in for its descriptor and the
checks are the same.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from pyfaster.errors import ReadOnlyError
from pyfaster_checkpoint._file_handles import DiskReader, DiskWriter, sync_descriptor
from pyfaster_checkpoint._manifest import FILES, MANIFEST, MANIFEST_NEW
from pyfaster_checkpoint._parse import is_token
from pyfaster_checkpoint._problems import damaged, refused, reported

T = TypeVar("T")

#: The file whose being there pins a checkpoint.
PIN = "pin"

#: The file whose being there says that the store went back to an older checkpoint.
LEFT = "left"

#: The file in a store's directory that says that it had a checkpoint.
BEGUN = "checkpoints.begun"

#: What else may lie beside checkpoints, where a store has no folder for them.
_BESIDE = frozenset({BEGUN, "store.lock"})

#: Names that a checkpoint's directory may hold; nothing else is looked at.
NAMES = frozenset({MANIFEST, MANIFEST_NEW, PIN, LEFT, *FILES})

_HAS_DIR_FD = {os.open, os.mkdir, os.unlink, os.rmdir, os.rename} <= os.supports_dir_fd
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_READ = os.O_RDONLY | _NOFOLLOW | _CLOEXEC | getattr(os, "O_NONBLOCK", 0) | _BINARY
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _CLOEXEC | _BINARY
_FOLDER = os.O_RDONLY | _NOFOLLOW | _DIRECTORY | _CLOEXEC

#: What the system says of something that is not what its name promises.
_ODD = (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.EMLINK)


class DiskFiles:
    """
    Checkpoints in a directory.

    Args:
        directory: It is made when it is missing, its parent is not.

        read_only: Nothing is made or changed.

    Raises:
        CorruptCheckpointError: Something else has the name.

        OSError: It cannot be made or opened.

    Any thread may call any method.
    """

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        self.directory = directory
        self._read_only = read_only
        self._lock = threading.Lock()
        self._root: int | None = None
        self._made = not read_only and _make_folder(directory)
        with suppress(FileNotFoundError):
            self._check_folder()
            if _HAS_DIR_FD:
                self._root = os.open(directory, _FOLDER)

    def _check_folder(self) -> None:
        if not stat.S_ISDIR(os.lstat(self.directory).st_mode):
            raise reported(
                "",
                f"checkpoints in {str(self.directory)!r}: it is no directory; links "
                "are not followed; give the directory itself",
            )

    @property
    def _missing(self) -> bool:
        return _HAS_DIR_FD and self._root is None

    def _may_write(self) -> None:
        if self._read_only or self._missing:
            raise ReadOnlyError(
                f"checkpoints in {str(self.directory)!r} were opened for reading"
            )

    @contextmanager
    def _place(self, token: str) -> Iterator[_Place]:
        """
        Open the directory of a checkpoint.
        """
        _check_token(token)
        if self._missing:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), token)
        place = _Place(self.directory / token, token)
        try:
            if _HAS_DIR_FD:
                with _said_of(token, ""):
                    place.descriptor = os.open(token, _FOLDER, dir_fd=self._root)
            elif not stat.S_ISDIR(os.lstat(place.path).st_mode):
                raise damaged(token, "", "it is no directory; links are not followed")
            yield place
        finally:
            place.close()

    def tokens(self) -> list[str]:
        """
        The names of ours, whatever has them.
        """
        return sorted(filter(is_token, self._entries()))

    def strangers(self) -> list[str]:
        """
        Other names than ours, which are ignored; those in a checkpoint's directory
        behind its name.
        """
        names = set(self._entries()) - _BESIDE
        found = [name for name in names if not is_token(name)]
        for token in self.tokens():
            with suppress(OSError, ValueError), self._place(token) as place:
                found += [f"{token}/{name}" for name in place.names() - NAMES]
        return sorted(found)

    def _entries(self) -> list[str]:
        if self._missing:
            return []
        with self._lock:  # who lists an open directory moves its one position
            return _entries(self.directory if self._root is None else self._root)

    def make(self, token: str, /) -> None:
        """
        Make a checkpoint's directory, and have its name survive.
        """
        self._may_write()
        _check_token(token)
        if _HAS_DIR_FD:
            os.mkdir(token, 0o700, dir_fd=self._root)
        else:
            (self.directory / token).mkdir(0o700)
        self.sync_root()

    def names(self, token: str, /) -> list[str]:
        """
        The files of ours in a checkpoint's directory.
        """
        with self._place(token) as place:
            return sorted(place.names() & NAMES)

    def create(self, token: str, name: str, /) -> DiskWriter:
        """
        Begin a new file.
        """
        self._may_write()
        _check_name(name)
        with self._place(token) as place:
            return DiskWriter(place.call(os.open, name, _NEW, 0o600))

    def open(self, token: str, name: str, /) -> DiskReader:
        """
        Open a file; only a regular one of a single name.
        """
        _check_name(name)
        with self._place(token) as place, _said_of(token, name):
            place.refuse_links(name)
            descriptor = place.call(os.open, name, _READ)
            try:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                    raise damaged(token, name, "it is no regular file of one name")
                return DiskReader(descriptor, found.st_size)
            except BaseException:
                os.close(descriptor)
                raise

    def rename(self, token: str, old: str, new: str, /) -> None:
        """
        Give a file another name, in one step.
        """
        self._may_write()
        _check_name(old)
        _check_name(new)
        with self._place(token) as place:
            place.rename(old, new)

    def sync(self, token: str, /) -> None:
        """
        Have the names in a checkpoint's directory survive a power cut.
        """
        with self._place(token) as place:
            place.sync()

    def sync_root(self) -> None:
        """
        Have the names of the checkpoints survive a power cut.
        """
        if self._root is not None:
            sync_descriptor(self._root)

    def remove(self, token: str, name: str, /) -> None:
        """
        Remove a file, if it is there.
        """
        self._may_write()
        _check_name(name)
        with suppress(FileNotFoundError), self._place(token) as place:
            place.call(os.unlink, name)

    def remove_token(self, token: str, /) -> None:
        """
        Remove a checkpoint's directory, which must be empty, if it is there.
        """
        self._may_write()
        _check_token(token)
        with suppress(FileNotFoundError):
            if _HAS_DIR_FD:
                os.rmdir(token, dir_fd=self._root)
            else:
                (self.directory / token).rmdir()

    def unmake(self) -> None:
        """
        Remove the directory, if this has made it and nothing is in it.
        """
        made, self._made = self._made, False
        if made:
            with suppress(OSError):
                self.directory.rmdir()

    def close(self) -> None:
        """
        Close the directory; a second call does nothing.
        """
        with self._lock:
            root, self._root = self._root, None
        if root is not None:
            os.close(root)

    def __del__(self) -> None:
        if hasattr(self, "_root"):  # a store that was collected without close()
            self.close()


class _Place:
    """
    The open directory of a checkpoint, by descriptor or, without such calls, by path.
    """

    def __init__(self, path: Path, token: str) -> None:
        self.path = path
        self.token = token
        self.descriptor: int | None = None

    def call(self, function: Callable[..., T], name: str, *rest: int) -> T:
        """
        Call a function of `os` on a name in the directory.
        """
        if self.descriptor is None:
            return function(self.path / name, *rest)
        return function(name, *rest, dir_fd=self.descriptor)

    def names(self) -> set[str]:
        """
        All names.
        """
        return set(_entries(self.path if self.descriptor is None else self.descriptor))

    def refuse_links(self, name: str) -> None:
        """
        Refuse a link where opening would follow it.
        """
        if not _NOFOLLOW and stat.S_ISLNK(os.lstat(self.path / name).st_mode):
            raise damaged(self.token, name, "it is a link; links are not followed")

    def rename(self, old: str, new: str) -> None:
        """
        Rename inside the directory.
        """
        if self.descriptor is None:
            (self.path / old).replace(self.path / new)
        else:
            os.rename(old, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def sync(self) -> None:
        """
        Sync the directory; where directories cannot be opened, renaming is enough.
        """
        if self.descriptor is not None:
            sync_descriptor(self.descriptor)

    def close(self) -> None:
        """
        Close it.
        """
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


@contextmanager
def _said_of(token: str, name: str) -> Iterator[None]:
    """
    Turn what the system says of links, pipes and directories into our error.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _ODD:
            raise
        what = "no directory" if not name else "no regular file of one name"
        text = f"it is {what} ({error.strerror}); links are not followed"
        raise damaged(token, name, text) from None


def _make_folder(directory: Path) -> bool:
    """
    Make the directory of all checkpoints, and have its name survive; whether it was
    missing.
    """
    try:
        directory.mkdir(0o700)
    except FileExistsError:
        return False
    if _HAS_DIR_FD:
        parent = os.open(directory.parent, os.O_RDONLY | _DIRECTORY | _CLOEXEC)
        try:
            sync_descriptor(parent)
        finally:
            os.close(parent)
    return True


def _entries(directory: Path | int) -> list[str]:
    with os.scandir(directory) as found:
        return [entry.name for entry in found]


def _check_token(token: str) -> None:
    if not is_token(token):
        raise refused(f"{token!r} is not the name of a checkpoint")


def _check_name(name: str) -> None:
    if name not in NAMES:
        raise refused(f"{name!r} is not the name of a checkpoint's file")


__all__ = ["BEGUN", "LEFT", "NAMES", "PIN", "DiskFiles"]
