# SPDX-License-Identifier: MIT
"""
A device for pyfaster that keeps a store's log in files and moves it by io_uring.

`pyfaster.open("uring:data")` finds it by its scheme; `open_uring` makes one by hand.
The compiled module is loaded when the first device is opened, so that this package can
be imported anywhere.
"""

from pyfaster_devices_uring._device import UringDevice
from pyfaster_devices_uring._fallback import open_uring
from pyfaster_devices_uring._version import __version__

__all__ = ["UringDevice", "__version__", "open_uring"]
