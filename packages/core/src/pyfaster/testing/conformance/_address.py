# SPDX-License-Identifier: MIT
"""
From a device, of either kind, to its table; without the core's opinion of the table.
"""

from __future__ import annotations

from typing import Any

from pyfaster.testing.conformance._table import ABI


def is_native(device: object) -> bool:
    """
    Whether a device has a table of its own.
    """
    return hasattr(device, "__faster_device__")


def address_of(device: Any) -> tuple[int, object]:
    """
    Take a device over, serving it if it is written in Python.

    Returns:
        The address of its table, and what must be kept as long as that is used.
    """
    owner = device if is_native(device) else _served(device)
    return int(owner.__faster_device__(ABI)), owner


def _served(device: Any) -> Any:
    # Imported here: a device with a table is checked without any of the core's code.
    from pyfaster._devices import PythonDeviceServer

    return PythonDeviceServer(device)
