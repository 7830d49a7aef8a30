# SPDX-License-Identifier: MIT
"""What the tests of this package share: opening a device on a hand, with faults."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pyfaster.protocols import DeviceSettings
from pyfaster.testing import Probe
from pyfaster_devices_file import FileDevice

if TYPE_CHECKING:
    from pyfaster_devices_file._cabi import Faults

SEGMENT = 64 << 10
HEADER = 4096
STORE = 0x0123456789ABCDEF

#: A rule: the call, what it gives, the first call that is meant, how many (0: all).
Rule = tuple[str, int, int, int]


def settings(**changes: object) -> DeviceSettings:
    """Give settings for small segments; what is no field of them is an option."""
    fields = {
        "store_id": STORE,
        "generation": 1,
        "segment_size": SEGMENT,
        "fresh": False,
        "read_only": False,
    }
    options = {name: changes[name] for name in changes if name not in fields}
    values = {name: changes.get(name, fields[name]) for name in fields}
    return DeviceSettings(options=options, **values)  # type: ignore[arg-type]


def probe(place: Path, **changes: object) -> Probe:
    """Open a device and put it on a hand."""
    return Probe(FileDevice(place, settings(**changes)))


def faulty(
    place: Path, rules: Iterable[Rule] = (), **changes: object
) -> tuple[Probe, Faults]:
    """Open a device on a system that fails by rules; more can be added later."""
    from pyfaster_devices_file import _cabi

    faults = _cabi.faults(rules)
    return Probe(FileDevice(place, settings(**changes), faults=faults)), faults


def later(
    faults: Faults, call: str, result: int, after: int = 0, count: int = 1
) -> None:
    """Make a call fail that comes after those made so far and `after` more."""
    faults.add(call, result, faults.calls(call) + after + 1, count)


def pattern(size: int, seed: int = 1) -> bytes:
    """Give bytes that are the same for the same seed, and unlike any others."""
    return random.Random(seed).randbytes(size)


def segment(place: Path, base: int = 0) -> Path:
    """Give the path of a segment file."""
    return place / "log" / f"{base:020x}.seg"


def names(place: Path) -> list[str]:
    """Give the names in the folder of the log."""
    return sorted(path.name for path in (place / "log").iterdir())


def descriptors() -> int:
    """How many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no path is wanted


def crc32c(data: bytes) -> int:
    """Compute CRC-32C bit by bit, as the standard words it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
