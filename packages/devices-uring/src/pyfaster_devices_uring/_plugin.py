# SPDX-License-Identifier: MIT
"""
What this distribution tells pyfaster: the device scheme "uring", and whether the system
has what it needs.
"""

from __future__ import annotations

from pyfaster.hookspecs import DeviceScheme, Finding, hookimpl
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


@hookimpl
def pyfaster_doctor() -> list[Finding]:
    """
    Say whether this process can have a ring.
    """
    from pyfaster_devices_uring._doctor import ring_found

    return [ring_found()]
