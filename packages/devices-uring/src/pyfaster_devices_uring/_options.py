# SPDX-License-Identifier: MIT
"""
What may be said of a device as `device_options`, checked before anything is opened.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from pyfaster.errors import ConfigError

#: The limits of ring.h.
DEPTH_MIN = 64
DEPTH_MAX = 4096

#: The limits of segments.h.
SEGMENT_SIZE_MIN = 4 << 10
SEGMENT_SIZE_MAX = 1 << 40

_CONFIG = -5013


@dataclass(frozen=True, slots=True)
class Options:
    """
    The options of a uring device.

    Attributes:
        depth: How many results the ring has room for, and so about how many requests
            are in the kernel at once; a power of two from 64 to 4,096. More wait.

        direct: Move bytes past the system's cache; "try": where that is possible.

        preallocate: Have the disk space of a whole segment when it is begun.

        fallback: Use the device "file" where the system has no io_uring for us.
    """

    depth: int = 1024
    direct: bool | Literal["try"] = "try"
    preallocate: bool = False
    fallback: bool = True

    def for_file(self) -> dict[str, object]:
        """
        What of this the device "file" understands.
        """
        return {"direct": self.direct, "preallocate": self.preallocate}


def parse_options(given: Mapping[str, object]) -> Options:
    """
    Check what a user wrote.

    Raises:
        ConfigError: An option is unknown or has a value that it cannot have; all such
            mistakes are named.
    """
    known = [field.name for field in fields(Options)]
    mistakes = [_unknown(name, known) for name in given if name not in known]
    values: dict[str, Any] = {name: given[name] for name in known if name in given}
    mistakes += filter(None, (_judge(name, value) for name, value in values.items()))
    if mistakes:
        raise config_error("device options: " + "; ".join(mistakes))
    return Options(**values)


def check_segment_size(size: object) -> None:
    """
    Refuse a segment size that no file can have.

    Raises:
        ConfigError: It is no power of two between 4 KiB and 1 TiB.
    """
    if not _power_of_two(size, SEGMENT_SIZE_MIN, SEGMENT_SIZE_MAX):
        raise config_error(
            f"segment_size is {size!r}; it must be a power of two from 4 KiB to 1 TiB"
        )


def config_error(text: str) -> ConfigError:
    """
    Make the error for a wrong setting.
    """
    return ConfigError(text, status=_CONFIG)


def _power_of_two(value: object, low: int, high: int) -> bool:
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return low <= value <= high and value & (value - 1) == 0


def _unknown(name: object, known: list[str]) -> str:
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return f"{name!r} is unknown{meant} (there are {', '.join(known)})"


def _judge(name: str, value: object) -> str | None:
    """
    Say what is wrong with a value, or None.
    """
    if name == "depth":
        if _power_of_two(value, DEPTH_MIN, DEPTH_MAX):
            return None
        return f"depth is {value!r}; it must be a power of two from 64 to 4,096"
    if isinstance(value, bool) or (name == "direct" and value == "try"):
        return None
    allowed = 'True, False or "try"' if name == "direct" else "True or False"
    return f"{name} is {value!r}; it must be {allowed}"
