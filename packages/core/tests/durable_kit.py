# SPDX-License-Identifier: MIT
"""A place for durable stores, which outlives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyfaster


class Shelf:
    """A device in Python that keeps its bytes when it is closed."""

    def __init__(self) -> None:
        self.data = bytearray()

    def read(self, offset: int, buffer: memoryview) -> int:
        """Give what there is."""
        part = self.data[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def write(self, offset: int, buffer: memoryview) -> int:
        """Keep it."""
        end = offset + len(buffer)
        self.data.extend(bytes(max(0, end - len(self.data))))
        self.data[offset:end] = buffer
        return len(buffer)

    def sync(self) -> None:
        """Nothing."""

    def truncate_before(self, offset: int) -> None:
        """Keep everything."""

    close = sync


class Place:
    """Where a store is opened again and again."""

    def __init__(self, where: Path) -> None:
        self.device: Any = Shelf()
        self.checkpoints = where

    def open(self, **settings: Any) -> pyfaster.FasterKv[Any, Any]:
        """Open a store of integers, of a megabyte."""
        place = {"device": self.device, "checkpoints": self.checkpoints}
        given = {"key": int, "value": int, "memory": "1MiB", **place, **settings}
        return pyfaster.open(**given)
