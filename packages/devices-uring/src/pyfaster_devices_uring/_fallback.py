# SPDX-License-Identifier: MIT
"""
Opening the scheme "uring" where there may be no io_uring.

Kernels are built without it, containers and services forbid it, memory limits refuse
the ring. The files are those of the device "file", so that one takes over, and what
happened is told as an event: slower, but neither an error nor a secret.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyfaster import announce, open_device
from pyfaster.errors import DeviceError, PluginMissingError, pip_line
from pyfaster.events import DeviceFallback
from pyfaster.protocols import DeviceSettings, NativeDevice, PythonDevice
from pyfaster_devices_uring._device import UringDevice
from pyfaster_devices_uring._options import parse_options
from pyfaster_devices_uring._problems import RingRefusedError

if TYPE_CHECKING:
    from pyfaster_devices_uring._cabi import Script

#: Who takes over.
SUBSTITUTE = "file"


def open_uring(
    where: str, settings: DeviceSettings, *, script: Script | None = None
) -> NativeDevice | PythonDevice:
    """
    Open the device of "uring:where".

    Args:
        where: The store's directory.

        settings: Whose it is, and how to treat it.

        script: What answers in the kernel's place; for tests.

    Returns:
        A `UringDevice`; or, where the system refuses io_uring and `fallback` is not
        False, what the scheme "file" gives. Plugins are told of that by a
        `pyfaster.events.DeviceFallback`.

    Raises:
        DeviceError: The system refuses io_uring, and `fallback` is False.

        PluginMissingError: It does, and pyfaster-devices-file is not installed.

        FasterError: As `UringDevice`.
    """
    options = parse_options(settings.options)
    try:
        return UringDevice(where, settings, script=script)
    except RingRefusedError as error:
        if not options.fallback:
            raise
        return _substitute(where, settings, error)


def _substitute(
    where: str, settings: DeviceSettings, refused: DeviceError
) -> NativeDevice | PythonDevice:
    """
    Open the same directory by the scheme "file".
    """
    reason = str(refused.strerror)
    options = parse_options(settings.options).for_file()
    try:
        device = open_device(SUBSTITUTE, where, replace(settings, options=options))
    except PluginMissingError:
        raise PluginMissingError(
            f"{reason}, and the device that would take over is not installed: "
            f"{pip_line(SUBSTITUTE)} brings pyfaster-devices-file"
        ) from refused
    announce(DeviceFallback(asked=f"uring:{where}", used=SUBSTITUTE, reason=reason))
    return device
