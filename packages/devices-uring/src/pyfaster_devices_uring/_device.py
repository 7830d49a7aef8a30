# SPDX-License-Identifier: MIT
"""
The device object: what pyfaster is given for the scheme "uring".

The work is done in C (`csrc/uring_device.c`); an object holds the device until the core
takes it. Nothing of C is loaded before the first device is opened.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pyfaster.errors import ClosedError, ForkedError, InterfaceMismatchError
from pyfaster.protocols import DeviceSettings
from pyfaster_devices_uring._options import (
    check_segment_size,
    config_error,
    parse_options,
)
from pyfaster_devices_uring._problems import refusal

if TYPE_CHECKING:
    from pyfaster_devices_uring._cabi import Facts, Script

#: The interface that the C side was written against.
ABI = 1

_ABI_STATUS = -5002
_WORD = (1 << 64) - 1


class UringDevice:
    """
    A log in files of equal size in one directory, moved by io_uring.

    The core closes what it was given; a device that was never handed over is closed by
    `close`, or with the object. The files are those of the device "file", which may
    open them as well.

    Args:
        path: The store's directory; it is made, its parent is not. The files are in
            its folder `log`.

        settings: Whose segments these are, whether those that are there go (`fresh`),
            whether nothing at all is made, changed or removed (`read_only`), and
            `options`: `depth` (1024), `direct`
            ("try", True or False), `preallocate` (False), `fallback` (True; only
            `open_uring` heeds it).

    Attributes:
        path: As it was given.

        depth: How many requests may be in the kernel at once.

        direct: Whether bytes are moved past the system's cache.

        alignment: Of offsets, lengths and memory; 1 when not direct.

        sector_size: What the disk writes as one.

        segment_size: Bytes of the log in one file.

        read_only: Whether it only reads, beside another process or on a read-only file
            system; writing, syncing and truncating are then refused with `EROFS`.

        restricted: Whether the kernel refuses all but reads, writes and flushes from
            this device's ring.

    Raises:
        ConfigError: An option is wrong, or the file system cannot do what it asks.

        UnsupportedFormatError: The files are of another store, version or segment size.

        CorruptionError: A file's header is damaged.

        DeviceError: The system refused something; a `RingRefusedError` when that is
            io_uring itself.

    Cost: opening makes a ring, syncs three directories and reads one block of each
    file; the first request starts a thread.

    Source: `csrc/uring_device.c`, `csrc/turns.c`, `csrc/ring.c`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        settings: DeviceSettings,
        *,
        script: Script | None = None,
    ) -> None:
        options = parse_options(settings.options)
        check_segment_size(settings.segment_size)
        for name in ("store_id", "generation"):
            if not 0 <= getattr(settings, name) <= _WORD:
                raise config_error(f"{name} does not fit 64 bits")
        self.path = os.fspath(path)
        if not self.path or "\0" in self.path:
            raise config_error(f"{self.path!r} is no path of a directory")
        if settings.fresh and settings.read_only:
            raise config_error("fresh=True and read_only=True contradict each other")
        self._cabi = cabi = _load(self.path)
        self._handle = cabi.uring_open(
            os.fsencode(self.path), settings, options, script
        )
        self._taken = False
        facts = cabi.uring_facts(self._handle)
        self.depth: int = facts.depth
        self.direct: bool = facts.direct
        self.alignment: int = facts.alignment
        self.sector_size: int = facts.sector_size
        self.segment_size = settings.segment_size
        self.read_only = settings.read_only
        self.restricted: bool = facts.restricted

    def __faster_device__(self, abi: int, /) -> int:
        """
        Hand the device over; whoever takes it closes it.

        Raises:
            ClosedError: It was handed over before, or is closed.

            InterfaceMismatchError: The core speaks another interface.
        """
        if abi != ABI:
            raise InterfaceMismatchError(
                f"uring device: the core speaks device interface {abi}, this one "
                f"{ABI}; install pyfaster and pyfaster-devices-uring in versions that "
                "belong together",
                status=_ABI_STATUS,
            )
        if self._taken:
            raise ClosedError("the device was handed over before, or is closed")
        self._taken = True
        address: int = self._handle.address
        return address

    def facts(self) -> Facts:
        """
        Give what the device is and has done; still known when it is closed.
        """
        found: Facts = self._cabi.uring_facts(self._handle)
        return found

    def close(self) -> None:
        """
        Close a device that nobody has taken; else do nothing.

        Raises:
            DeviceError: The system could not keep what was written.

            ForkedError: The device was opened by the parent of this process.
        """
        if self._taken:
            return
        self._taken = True
        self._cabi.uring_close(self._handle)

    def __del__(self) -> None:
        if hasattr(self, "_taken"):
            with suppress(ForkedError):  # it is the parent's to close
                self.close()

    def __repr__(self) -> str:
        how = "direct" if self.direct else "cached"
        return f"<UringDevice {self.path!r}, {how}, depth {self.depth}>"


def _load(path: str) -> Any:
    """
    The boundary; a system without the compiled module has no io_uring either.
    """
    try:
        from pyfaster_devices_uring import _cabi
    except ModuleNotFoundError as error:
        if error.name != "pyfaster_devices_uring._uring":
            raise
        why = "this system has no io_uring"
        raise refusal(errno.ENOSYS, f"uring device {path}", why) from error
    return _cabi
