# SPDX-License-Identifier: MIT
"""
Where a store lives: its device, and the directory that it has taken for itself.

A directory belongs to one process at a time. The lock is the system's, on the directory
itself, so it goes with the process however that ends, and deleting files does not undo
it. A file holds the holder's process id for the message that a second one gets; it is
locked, too, for file systems that lock no directories. Its name says what lives there:
a store never opens the directory of a durable log, nor a log that of a store. What else
a directory holds is the device's business.
"""

from __future__ import annotations

import errno
import os
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyfaster._cabi_devices import device_fields
from pyfaster._devices import PythonDeviceServer, device_address
from pyfaster.errors import ConfigError, DeviceError, StoreLockedError
from pyfaster.protocols import DeviceFailure

try:
    import fcntl
except ImportError:  # Windows: there the device's own open files exclude others
    fcntl = None  # type: ignore[assignment]

LOCK_NAME = "store.lock"
LOG_LOCK_NAME = "log.lock"
CHECKPOINTS_NAME = "checkpoints"
BEGUN_NAME = "checkpoints.begun"
LOG_NAME = "log"

#: The lock file of what may live in a directory, and how to open that.
_KINDS = {
    LOCK_NAME: ("store", "pyfaster.open()"),
    LOG_LOCK_NAME: ("log", "pyfaster_fasterlog.FasterLog.open()"),
}

#: What systems say that lock no directories.
_NO_LOCK = {errno.EBADF, errno.EINVAL, errno.ENOTSUP, errno.EISDIR}

#: Directories that this process has open, by device and inode: where the system has no
#: lock, the same process must not get in twice all the same.
_taken: set[tuple[int, int]] = set()

#: Those that a child must let go, or the lock would outlive the process that took it.
_open: weakref.WeakSet[Directory] = weakref.WeakSet()
_watching: list[bool] = []


def fresh_id() -> int:
    """
    A number for a store that nobody else has; never 0.
    """
    return int.from_bytes(os.urandom(8), "little") | 1


def _let_go_in_child() -> None:
    """
    After fork(), in the child: the directories are the parent's.
    """
    for directory in list(_open):
        directory.close()


def _watch_forks() -> None:
    """
    See to that, from the first directory on.
    """
    if not _watching and hasattr(os, "register_at_fork"):
        _watching.append(True)
        os.register_at_fork(after_in_child=_let_go_in_child)


class Directory:
    """
    A directory that this process has to itself until `close`.

    Args:
        where: Its path; it is made when it is missing, its parent is not.

        lock_name: The file that is locked, which says what lives there: "store.lock",
            or "log.lock" for a durable log.

    Raises:
        StoreLockedError: Somebody has it open, here or in another process.

        ConfigError: Something of another kind lives there.

        DeviceError: It cannot be made or opened.
    """

    def __init__(self, where: str, *, lock_name: str = LOCK_NAME) -> None:
        self._lock_name = lock_name
        self._key: tuple[int, int] | None = None
        self._file: int | None = None
        self._place: int | None = None
        self.path = Path(where)
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            self._refuse_others()
            self._lock()
        except ConfigError:
            self.close()
            raise
        except OSError as error:
            self.close()
            if isinstance(error, StoreLockedError):
                raise
            raise DeviceError(
                error.errno or errno.EIO,
                f"directory {where!r}: {error.strerror}; give a directory that this "
                "process may write to, whose parent exists",
            ) from error

    def _refuse_others(self) -> None:
        """
        Refuse a directory that something of another kind lives in.
        """
        for name, (kind, way) in _KINDS.items():
            if name != self._lock_name and os.path.lexists(self.path / name):
                raise ConfigError(
                    f"directory {str(self.path)!r} holds a {kind} of pyfaster's "
                    f"({name} is there); open it with {way}, or give another directory"
                )

    def _lock(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        self._file = os.open(self.path / self._lock_name, flags | os.O_CLOEXEC, 0o600)
        if hasattr(os, "O_DIRECTORY"):
            self._place = os.open(self.path, os.O_DIRECTORY | os.O_CLOEXEC)
        self._take(self._place)
        self._take(self._file)
        found = os.fstat(self._file if self._place is None else self._place)
        key = (found.st_dev, found.st_ino)
        if key in _taken:
            raise self._locked("this process")
        _taken.add(key)
        self._key = key
        _watch_forks()
        _open.add(self)
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def _take(self, file: int | None) -> None:
        """
        Lock an open file or directory for this process, where the system can.
        """
        if fcntl is None or file is None:
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._locked(self._holder()) from None
        except OSError as error:  # the file is locked all the same
            if file != self._place or error.errno not in _NO_LOCK:
                raise

    def _holder(self) -> str:
        text = b""
        with suppress(OSError):
            text = os.pread(self._file or 0, 32, 0)
        digits = text.strip().decode("ascii", "replace")
        return f"process {digits}" if digits.isdigit() else "another process"

    def _locked(self, holder: str) -> StoreLockedError:
        kind, _ = _KINDS[self._lock_name]
        return StoreLockedError(
            errno.EWOULDBLOCK,
            f"directory {str(self.path)!r}: {holder} has a {kind} open there; close "
            "that one, or use another directory",
        )

    def log_files(self) -> list[Path]:
        """
        The files of a log that lie there.
        """
        return sorted((self.path / LOG_NAME).glob("*.seg"))

    def refuse_checkpoints(self) -> None:
        """
        Refuse to begin anew where checkpoints are kept.

        Raises:
            ConfigError: There are some.
        """
        kept = self.path / CHECKPOINTS_NAME
        begun = os.path.lexists(self.path / BEGUN_NAME)
        if begun or (kept.is_dir() and any(kept.iterdir())):
            raise ConfigError(
                f"directory {str(self.path)!r} holds checkpoints of a durable store, "
                "which durable=False would make useless; open another directory"
            )

    def close(self) -> None:
        """
        Let others have the directory; a second call does nothing.
        """
        if self._key is not None:
            _taken.discard(self._key)
            self._key = None
        for file in (self._file, self._place):
            if file is not None:
                os.close(file)
        self._file = self._place = None

    def __del__(self) -> None:
        if hasattr(self, "_file"):  # a store that was collected without close()
            self.close()


class Home:
    """
    A store's device and directory, kept until the core has closed the device.

    Attributes:
        name: How the store was opened: "file:data", ":memory:".

        device: The device, or None for a store in memory.

        store_id: Seeds the checksums of its records.

        unit: What the device writes as one; known when it was handed over.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.unit = 1
        self.device: Any = None
        self.store_id = 0
        self._directory: Directory | None = None
        self._kept: object = None

    @classmethod
    def of_device(
        cls,
        device: object,
        name: str,
        store_id: int,
        directory: Directory | None = None,
    ) -> Home:
        """
        The home of a store on a device.
        """
        home = cls(name)
        home.device = device
        home.store_id = store_id
        home._directory = directory
        return home

    def hand_over(self) -> int:
        """
        Give the address of the device's table, which is the core's from now on; 0 for
        a store in memory.
        """
        if self.device is None:
            return 0
        address, self._kept = device_address(self.device)
        fields = device_fields(address)
        self.unit = max(fields["sector_size"], fields["alignment"], 1)
        return address

    def own(self, directory: Directory | None) -> None:
        """
        Keep a directory from now on, until `close`.
        """
        self._directory = directory

    @property
    def device_failures(self) -> tuple[DeviceFailure, ...]:
        """
        The last requests that a device in Python did not serve, the oldest first.
        """
        if not isinstance(self._kept, PythonDeviceServer):
            return ()
        return tuple(self._kept.failures)

    def cause(self, start: int, end: int) -> BaseException | None:
        """
        What a device in Python raised last when these bytes were to be written.

        Args:
            start: The first byte, as an address of the log.

            end: The byte behind the last.

        Returns:
            The exception; None for a device in C, or when it is not kept any more.
        """
        for failure in reversed(self.device_failures):
            above = failure.offset + failure.length > start
            if failure.kind == "write" and failure.offset < end and above:
                return failure.error
        return None

    def close(self) -> None:
        """
        Let the directory go, once the device is closed; a second call does nothing.
        """
        if self._directory is not None:
            self._directory.close()
            self._directory = None


__all__ = ["Directory", "Home", "fresh_id"]
