# SPDX-License-Identifier: MIT
"""
A device for pyfaster that keeps a store's log in files.

`pyfaster.open("file:data")` finds it by its scheme; `open_file` makes one by hand. The
compiled module is loaded when the first device is opened.
"""

from pyfaster_devices_file._device import FileDevice, open_file
from pyfaster_devices_file._version import __version__

__all__ = ["FileDevice", "__version__", "open_file"]
