# SPDX-License-Identifier: MIT
"""
A device in Python while a store is opened on it, perhaps in several attempts.
"""

from __future__ import annotations

import errno
from typing import Any


class Lasting:
    """
    A device in Python that is closed when the opening has come to its end, and not
    with each attempt; one that is only looked at is not written either.
    """

    def __init__(self, device: Any, *, read_only: bool) -> None:
        self._device = device
        self._read_only = read_only
        self._wants_close = False
        self.closes = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def write(self, offset: int, buffer: memoryview) -> Any:
        """
        Write, if that may be.
        """
        self._refuse()
        return self._device.write(offset, buffer)

    def sync(self) -> Any:
        """
        Sync, if that may be.
        """
        self._refuse()
        return self._device.sync()

    def truncate_before(self, offset: int) -> Any:
        """
        Let bytes go, if that may be.
        """
        self._refuse()
        return self._device.truncate_before(offset)

    def _refuse(self) -> None:
        if self._read_only:
            raise OSError(errno.EROFS, "the store was opened with read_only=True")

    def close(self) -> None:
        """
        Close the device, if the attempt was the last one.
        """
        self._wants_close = True
        if self.closes:
            self._device.close()

    def give_up(self) -> None:
        """
        Close a device that an attempt was to close.
        """
        if self._wants_close and not self.closes:
            self.closes = True
            self._device.close()


__all__ = ["Lasting"]
