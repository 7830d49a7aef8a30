# SPDX-License-Identifier: MIT
"""What type checkers say about the file device; this file is checked, never run."""

from __future__ import annotations

from typing import assert_type

from pyfaster.protocols import DeviceSettings, NativeDevice
from pyfaster_devices_file import FileDevice, open_file

settings = DeviceSettings(store_id=1, options={"threads": 8, "direct": "try"})
device = open_file("data", settings)
assert_type(device, FileDevice)
assert_type(device.direct, bool)
assert_type(device.sector_size, int)
native: NativeDevice = device
