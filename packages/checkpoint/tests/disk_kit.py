# SPDX-License-Identifier: MIT
"""A store whose log is in memory and outlives it, beside its checkpoints' files."""

from __future__ import annotations

from typing import Any

from memory_files import MemoryFiles

import pyfaster

SETTINGS: dict[str, Any] = {
    "key": int,
    "value": int,
    "memory": "2MiB",
    "page_size": 4096,
    "checkpoint_on_close": False,
    "keep_checkpoints": 20,
}


class Disk:
    """A device in memory whose bytes stay when it is closed."""

    def __init__(self, data: bytearray) -> None:
        self.data = data

    def read(self, offset: int, buffer: memoryview, /) -> int:
        """Read."""
        piece = self.data[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def write(self, offset: int, buffer: memoryview, /) -> int:
        """Write."""
        self.data.extend(bytes(max(offset - len(self.data), 0)))
        self.data[offset : offset + len(buffer)] = buffer
        return len(buffer)

    def sync(self) -> None:
        """Nothing to do."""

    def truncate_before(self, offset: int, /) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


def opened(data: bytearray, files: MemoryFiles, **more: Any) -> Any:
    """Open a store on such bytes and files."""
    return pyfaster.open(device=Disk(data), checkpoints=files, **{**SETTINGS, **more})
