# SPDX-License-Identifier: MIT
"""Code that must type-check: what users may rely on."""

from __future__ import annotations

from pathlib import Path

from pyfaster.protocols import DeviceSettings, NativeDevice, PythonDevice
from pyfaster_devices_uring import UringDevice, open_uring

settings = DeviceSettings(1, options={"depth": 256, "direct": "try"})

device: NativeDevice | PythonDevice = open_uring("data", settings)
ours = UringDevice(Path("data"), settings)
offered: NativeDevice = ours
direct: bool = ours.direct
depth: int = ours.depth
ours.close()
