# SPDX-License-Identifier: MIT
"""
The device object: what pyfaster is given for the scheme "file".

The work is done in C (`csrc/file_device.c`); an object holds the device until the core
takes it. Nothing of C is loaded before the first device is opened.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pyfaster.errors import ClosedError, InterfaceMismatchError
from pyfaster.protocols import DeviceSettings
from pyfaster_devices_file._options import (
    check_segment_size,
    config_error,
    parse_options,
)

if TYPE_CHECKING:
    from pyfaster_devices_file._cabi import Faults

#: The interface that the C side was written against.
ABI = 1

_ABI_STATUS = -5002
_WORD = (1 << 64) - 1


class FileDevice:
    """
    A log in files of equal size in one directory, moved by a few threads.

    The core closes what it was given; a device that was never handed over is closed by
    `close`, or with the object.

    Args:
        path: The store's directory; it is made, its parent is not. The files are in
            its folder `log`.

        settings: Whose segments these are, whether those that are there go (`fresh`),
            whether nothing at all is made, changed or removed (`read_only`), and
            `options`: `threads` (4), `direct` (False, True or "try"), `preallocate`
            (False).

    Attributes:
        path: As it was given.

        threads: How many requests are worked on at once.

        direct: Whether bytes are moved past the system's cache.

        alignment: Of offsets, lengths and memory; 1 when not direct.

        sector_size: What the disk writes as one.

        segment_size: Bytes of the log in one file.

        read_only: Whether it only reads, beside another process or on a read-only file
            system; writing, syncing and truncating are then refused with `EROFS`.

    Raises:
        ConfigError: An option is wrong, or the file system cannot do what it asks.

        UnsupportedFormatError: The files are of another store, version or segment size.

        CorruptionError: A file's header is damaged.

        DeviceError: The system refused something.

    Cost: opening syncs three directories and reads one block of each file.

    Source: `csrc/segments_open.c`, `csrc/file_device.c`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        settings: DeviceSettings,
        *,
        faults: Faults | None = None,
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
        from pyfaster_devices_file import _cabi

        self._table, facts = _cabi.file_open(
            os.fsencode(self.path), settings, options, faults
        )
        self._taken = False
        self._process = os.getpid()
        self.threads = options.threads
        self.direct = facts.direct
        self.alignment = facts.alignment
        self.sector_size = facts.sector_size
        self.segment_size = settings.segment_size
        self.read_only = settings.read_only

    def __faster_device__(self, abi: int, /) -> int:
        """
        Hand the device over; whoever takes it closes it.

        Raises:
            ClosedError: It was handed over before, or is closed.

            InterfaceMismatchError: The core speaks another interface.
        """
        if abi != ABI:
            raise InterfaceMismatchError(
                f"file device: the core speaks device interface {abi}, this one {ABI}; "
                "install pyfaster and pyfaster-devices-file in versions that belong "
                "together",
                status=_ABI_STATUS,
            )
        if self._taken:
            raise ClosedError("the device was handed over before, or is closed")
        self._taken = True
        return self._table.address

    def close(self) -> None:
        """
        Close a device that nobody has taken; else, and in a forked child, whose parent
        it belongs to, do nothing.

        Raises:
            DeviceError: The system could not keep what was written.
        """
        if self._taken:
            return
        self._taken = True
        if os.getpid() != self._process:
            return
        from pyfaster_devices_file import _cabi

        _cabi.file_close(self._table)

    def __del__(self) -> None:
        if hasattr(self, "_taken"):
            self.close()

    def __repr__(self) -> str:
        how = "direct" if self.direct else "cached"
        return f"<FileDevice {self.path!r}, {how}, {self.threads} threads>"


def open_file(where: str, settings: DeviceSettings) -> FileDevice:
    """
    Open the device of "file:where".

    Args:
        where: The store's directory.

        settings: Whose it is, and how to treat it.

    Raises:
        FasterError: As `FileDevice`.
    """
    return FileDevice(where, settings)
