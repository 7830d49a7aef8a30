# SPDX-License-Identifier: MIT
"""
What this distribution tells pyfaster: the scheme "sample".
"""

from __future__ import annotations

from pyfaster.hookspecs import DeviceScheme, hookimpl
from pyfaster.protocols import DeviceSettings
from sample_device._device import BLOCK, SampleDevice


def open_sample(where: str, settings: DeviceSettings) -> SampleDevice:
    """
    Open the device in a folder, which is made if it is not there.

    Args:
        where: The folder.

        settings: Of its options the device knows `block_size`.

    Raises:
        ValueError: An option is unknown or makes no sense, or the folder belongs to
            another store.
    """
    options = dict(settings.options)
    block_size = options.pop("block_size", BLOCK)
    if options:
        unknown = ", ".join(sorted(options))
        raise ValueError(f"sample: unknown options: {unknown}; block_size is known")
    if type(block_size) is not int:
        raise ValueError(f"sample: block_size is {block_size!r}, not a number")
    return SampleDevice(where, store_id=settings.store_id, block_size=block_size)


@hookimpl
def pyfaster_devices() -> list[DeviceScheme]:
    """
    Give the one scheme of this plugin.
    """
    return [DeviceScheme("sample", open_sample, {"durable": True})]
