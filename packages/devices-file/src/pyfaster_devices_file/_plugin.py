# SPDX-License-Identifier: MIT
"""
What this distribution tells pyfaster: the device scheme "file".
"""

from __future__ import annotations

from pyfaster.hookspecs import DeviceScheme, hookimpl
from pyfaster_devices_file._device import open_file


@hookimpl
def pyfaster_devices() -> list[DeviceScheme]:
    """
    Give the scheme.
    """
    promised = {
        "directory": True,
        "durable": True,
        "read_only": True,
        "truncates": True,
        "fork_safe": False,
    }
    return [DeviceScheme("file", open_file, promised)]
