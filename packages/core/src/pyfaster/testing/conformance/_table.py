# SPDX-License-Identifier: MIT
"""
`struct faster_device` as memory: its fields, its functions, and one request's end.

This is the suite's own reading of faster/device.h. It does not go through the core, so
that a table which the core would refuse can still be looked at, and so that the words
a device says are seen before anybody has judged them.
"""

from __future__ import annotations

import ctypes
from ctypes import c_int, c_int32, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any

ABI = 1
DONE = 0x600D

#: Names of the bits of `capabilities`, the lowest first.
CAPABILITIES = (
    "volatile",
    "discards",
    "truncates",
    "flushes",
    "forks",
    "shared",
    "powersafe",
    "driven",
)

#: What file offsets are everywhere: 63 bits.
OFFSET_MAX = (1 << 63) - 1

#: `void (*done)(void *context, int32_t status, uint64_t bytes)`
Done = ctypes.CFUNCTYPE(None, c_void_p, c_int32, c_uint64)


class Completion(ctypes.Structure):
    """
    `struct faster_completion`.
    """

    _fields_ = (("done", Done), ("context", c_void_p))


_completion = ctypes.POINTER(Completion)
_transfer = (c_void_p, c_uint64, c_void_p, c_uint64, _completion)

#: The functions of the table and their types, in its order.
FUNCTIONS: dict[str, Any] = {
    "read": ctypes.CFUNCTYPE(c_int, *_transfer),
    "write": ctypes.CFUNCTYPE(c_int, *_transfer),
    "sync": ctypes.CFUNCTYPE(c_int, c_void_p, _completion),
    "truncate_before": ctypes.CFUNCTYPE(c_int, c_void_p, c_uint64),
    "poll": ctypes.CFUNCTYPE(c_int, c_void_p),
    "wait": ctypes.CFUNCTYPE(c_int, c_void_p, c_uint32),
    "close": ctypes.CFUNCTYPE(c_int, c_void_p),
}


class Table(ctypes.Structure):
    """
    `struct faster_device`.
    """

    _fields_ = (
        ("abi", c_uint32),
        ("size", c_uint32),
        ("context", c_void_p),
        ("capabilities", c_uint64),
        ("sector_size", c_uint32),
        ("alignment", c_uint32),
        ("capacity", c_uint64),
        ("max_io", c_uint64),
        ("atomic_unit", c_uint32),
        ("reserved", c_uint32),
        *FUNCTIONS.items(),
    )


@dataclass(frozen=True, slots=True)
class Facts:
    """
    What a table says of its device; the names are those of `struct faster_device`.
    """

    abi: int
    size: int
    capabilities: int
    sector_size: int
    alignment: int
    capacity: int
    max_io: int
    atomic_unit: int
    reserved: int
    missing: tuple[str, ...]

    def declares(self, name: str) -> bool:
        """
        Whether the table has the capability of that name.
        """
        return bool(self.capabilities >> CAPABILITIES.index(name) & 1)


#: Of a device whose table could not be made.
UNKNOWN = Facts(0, 0, 0, 0, 0, 0, 0, 0, 0, tuple(FUNCTIONS))


def facts_of(table: Table) -> Facts:
    """
    Read a table's fields, and which of its functions are NULL.
    """
    names = [name for name in Facts.__slots__ if name != "missing"]
    fields = {name: int(getattr(table, name)) for name in names}
    missing = tuple(name for name in FUNCTIONS if not getattr(table, name))
    return Facts(missing=missing, **fields)


def is_power_of_two(number: int) -> bool:
    """
    Whether exactly one bit is set.
    """
    return number > 0 and number & (number - 1) == 0
