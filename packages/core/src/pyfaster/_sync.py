# SPDX-License-Identifier: MIT
"""
Making what was written to an open file survive a power cut.
"""

from __future__ import annotations

import errno
import os
import sys

try:
    import fcntl
except ImportError:  # Windows, whose fsync is all there is
    fcntl = None  # type: ignore[assignment]


def sync_descriptor(descriptor: int) -> None:
    """
    Make what was written survive a power cut, as far as the system can be asked to.

    Args:
        descriptor: Of a file or, where the system allows that, of a directory.

    Raises:
        OSError: As the system does. What was not synced may be lost for good: trying
            again proves nothing.

    Cost: a sync; GIL released.
    """
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                raise
    os.fsync(descriptor)


__all__ = ["sync_descriptor"]
