# SPDX-License-Identifier: MIT
"""
What this distribution tells pyfaster: the device scheme "uring".
"""

from __future__ import annotations

from pyfaster.hookspecs import DeviceScheme, hookimpl
from pyfaster_devices_uring._fallback import open_uring


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
    return [DeviceScheme("uring", open_uring, promised)]
