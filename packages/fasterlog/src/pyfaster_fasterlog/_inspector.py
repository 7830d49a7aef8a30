# SPDX-License-Identifier: MIT
"""
What `pyfaster info` and `pyfaster verify` are told of a log's directory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pyfaster_fasterlog._cli import facts_of, look_through, reading
from pyfaster_fasterlog._place import LOCK_NAME, SLOTS_NAME
from pyfaster_fasterlog._slots import FORMAT

#: Whose segments may be in a directory; logs on other devices are not told of here.
_DEVICE = "file"


class LogInspector:
    """
    Reads what a log's directory holds; it has no state of its own.
    """

    kind = "log"

    def holds(self, directory: Path, /) -> bool:
        """
        Whether something of a log is there.
        """
        names = (LOCK_NAME, SLOTS_NAME)
        return any(os.path.lexists(directory / name) for name in names)

    def describe(self, directory: Path, /) -> Mapping[str, object]:
        """
        Say what its slots and its end say.

        Raises:
            FasterError: It cannot be read.
        """
        with reading(directory, _DEVICE) as log:
            return {"format": FORMAT, **facts_of(log)}

    def verify(self, directory: Path, /, *, as_json: bool) -> bool:
        """
        Look through slots, files and entries.
        """
        return look_through(directory, _DEVICE, as_json=as_json, kind=self.kind)


__all__ = ["LogInspector"]
