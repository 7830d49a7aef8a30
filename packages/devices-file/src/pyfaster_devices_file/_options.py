# SPDX-License-Identifier: MIT
"""
What may be said of a file device as `device_options`, checked before it is opened.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from pyfaster.errors import ConfigError

#: How many threads a device may have: FILE_DEVICE_THREADS_MAX of file_device.h.
THREADS_MAX = 64

#: The limits of segments.h.
SEGMENT_SIZE_MIN = 4 << 10
SEGMENT_SIZE_MAX = 1 << 40

_CONFIG = -5013


@dataclass(frozen=True, slots=True)
class Options:
    """
    The options of a file device.

    Attributes:
        threads: How many requests are worked on at once, 1 to 64.

        direct: Move bytes past the system's cache; "try": where that is possible.

        preallocate: Have the disk space of a whole segment when it is begun.
    """

    threads: int = 4
    direct: bool | Literal["try"] = False
    preallocate: bool = False


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
    if (
        isinstance(size, int)
        and not isinstance(size, bool)
        and SEGMENT_SIZE_MIN <= size <= SEGMENT_SIZE_MAX
        and size & (size - 1) == 0
    ):
        return
    raise config_error(
        f"segment_size is {size!r}; it must be a power of two from 4 KiB to 1 TiB"
    )


def config_error(text: str) -> ConfigError:
    """
    Make the error for a wrong setting.
    """
    return ConfigError(text, status=_CONFIG)


def _unknown(name: object, known: list[str]) -> str:
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return f"{name!r} is unknown{meant} (there are {', '.join(known)})"


def _judge(name: str, value: object) -> str | None:
    """
    Say what is wrong with a value, or None.
    """
    if name == "threads":
        whole = isinstance(value, int) and not isinstance(value, bool)
        if whole and value in range(1, THREADS_MAX + 1):
            return None
        return f"threads is {value!r}; it must be a whole number from 1 to 64"
    if isinstance(value, bool) or (name == "direct" and value == "try"):
        return None
    allowed = 'True, False or "try"' if name == "direct" else "True or False"
    return f"{name} is {value!r}; it must be {allowed}"
