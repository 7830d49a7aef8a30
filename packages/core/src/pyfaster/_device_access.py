# SPDX-License-Identifier: MIT
"""
What a device's plugin may ask of pyfaster: another plugin's device, and to tell of it.

A device that cannot be had where the program runs may let another one serve. Which
plugins there are is not the device's business, nor who listens: it asks for a scheme by
name, and says what it did.
"""

from __future__ import annotations

import warnings

from pyfaster import _registry
from pyfaster._resolve import device_for
from pyfaster.errors import PluginWarning
from pyfaster.protocols import DeviceSettings, NativeDevice, PythonDevice


def open_device(
    scheme: str, where: str, settings: DeviceSettings
) -> NativeDevice | PythonDevice:
    """
    Open a device by its scheme, as `pyfaster.open` does, but without a store.

    Args:
        scheme: The name before the colon: "file".

        where: What follows the colon. No directory is locked: that is a store's task.

        settings: Whose it is, and how to treat it.

    Returns:
        The device, which the caller hands on or closes.

    Raises:
        PluginMissingError: Nobody serves the scheme.

        PluginError: Two plugins claim it.

        FasterError: What opening the device raises.

    Cost: loads the installed plugins when that has not been done.
    """
    found = device_for(scheme, registry=_registry.registry)
    device: NativeDevice | PythonDevice = found.factory(where, settings)
    return device


def announce(event: object) -> None:
    """
    Tell all plugins of an event, by the hook `pyfaster_event`.

    Args:
        event: One of `pyfaster.events`, or a type of the caller's.

    Warns:
        PluginWarning: A plugin raised when it was told; the others were told too.
    """
    for plugin, error in _registry.registry.tell("pyfaster_event", event=event):
        warnings.warn(
            f"plugin {plugin!r} raised {type(error).__name__} in pyfaster_event: "
            f"{error}",
            PluginWarning,
            stacklevel=2,
        )


__all__ = ["announce", "open_device"]
