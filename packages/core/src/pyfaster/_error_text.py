# SPDX-License-Identifier: MIT
"""
The words of errors' messages: keys as they fit into one, and the figures behind it.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

#: What a key may measure at most, in bytes, in a store of varying sizes.
KEY_SIZE_MAX = 65_535

#: How much of a key a message shows.
SHOWN = 40


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where an operation ran, with the figures that its errors quote.

    Attributes:
        name: What to call the store or session in a message.

        memory: The store's memory budget in bytes; 0 when it has none.

        page_size: The store's page size in bytes.

        sessions_max: How many sessions the store may have at once.
    """

    name: str
    memory: int = 0
    page_size: int = 0
    sessions_max: int = 0

    def __str__(self) -> str:
        return self.name


def opening(where: object, key: object) -> str:
    """
    The beginning of a message.
    """
    return f"{where}: key {show(key)}" if key is not None else f"{where}"


def show(key: object) -> str:
    """
    A key as it fits into a message.
    """
    if isinstance(key, (bytes, bytearray, memoryview)):
        head = bytes(key[:SHOWN])
        text, size = repr(head), len(key)
    else:
        whole = repr(key)
        text, size = whole[:SHOWN], len(whole)
    return text if size <= SHOWN else f"{text}... ({size} long)"


def size_of(key: object) -> int | None:
    """
    How many bytes a key has when it is stored, where that can be told.
    """
    if isinstance(key, str):
        return len(key.encode("utf-8", "surrogatepass"))
    return len(key) if isinstance(key, (bytes, bytearray)) else None


def figures_of(
    status: int, where: object, key: object, size: int | None, limit: int | None
) -> str:
    """
    The numbers behind a failure, as " (...)", or nothing.
    """
    parts: list[str] = []
    if status == -5009:
        if size is None:
            size = size_of(key)
        limit = KEY_SIZE_MAX if limit is None else limit
    if size is not None:
        parts.append(f"it has {size:,} bytes")
    if limit is not None:
        parts.append(f"at most {limit:,} bytes are allowed")
    if isinstance(where, Place):
        if status in (-5005, -errno.ENOMEM) and where.memory:
            parts.append(f"the budget is {where.memory:,} bytes")
        if status == -5008 and where.sessions_max:
            parts.append(f"there are {where.sessions_max:,}")
        if status == -5010 and where.page_size:
            parts.append(f"a record must fit a page of {where.page_size:,} bytes")
    return f" ({'; '.join(parts)})" if parts else ""


__all__ = ["KEY_SIZE_MAX", "Place", "figures_of", "opening", "show"]
