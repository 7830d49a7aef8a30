# SPDX-License-Identifier: MIT
"""
A device for pyfaster: compressed blocks in an sqlite3 file.

    pyfaster.open("sample:some/folder")

Theory of operation: the device is an array of blocks. A block that was written is a row
of a table, compressed if that makes it smaller; a block that was not is no row and
reads as zeros. Every call takes the lock, works inside sqlite3's transaction, and
`sync` commits it, which sqlite3 makes survive a power cut (`synchronous=FULL`).
"""

from __future__ import annotations

from sample_device._device import SampleDevice
from sample_device._plugin import pyfaster_devices

__all__ = ["SampleDevice", "pyfaster_devices"]
