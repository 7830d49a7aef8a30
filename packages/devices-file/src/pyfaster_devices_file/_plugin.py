# SPDX-License-Identifier: MIT
"""
What this distribution tells pyfaster: the device scheme "file", and whether a directory
has direct transfers.
"""

from __future__ import annotations

from pathlib import Path

from pyfaster.hookspecs import DeviceScheme, Finding, hookimpl
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


@hookimpl
def pyfaster_doctor(directory: Path | None) -> list[Finding]:
    """
    Say whether a directory has direct transfers.
    """
    from pyfaster_devices_file._doctor import direct_found

    return [] if directory is None else [direct_found(directory)]
