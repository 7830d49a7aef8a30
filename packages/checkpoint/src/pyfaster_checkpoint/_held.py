# SPDX-License-Identifier: MIT
"""
Files of checkpoints that stay open, so that they can be read when they are removed.

Whoever looks through a store that is open elsewhere sees its checkpoints go. A file
that was opened once has its bytes until it is closed.
"""

from __future__ import annotations

from pathlib import Path

from pyfaster_checkpoint._file_handles import DiskReader
from pyfaster_checkpoint._files import DiskFiles

#: No more are held; others are opened anew each time.
HELD_MAX = 256


class HeldFiles(DiskFiles):
    """
    The same files, only read, each opened once. One thread uses them.

    Args:
        directory: Where the checkpoints are.
    """

    def __init__(self, directory: Path) -> None:
        self._held: dict[tuple[str, str], _Held] = {}
        super().__init__(directory, read_only=True)

    def open(self, token: str, name: str, /) -> DiskReader:
        """
        Open a file, or give the one that is open.
        """
        held = self._held.get((token, name))
        if held is not None:
            return held
        reader = super().open(token, name)
        if len(self._held) >= HELD_MAX:
            return reader
        return self._held.setdefault((token, name), _Held(reader))

    def close(self) -> None:
        """
        Close all files, and the directory.
        """
        while self._held:
            self._held.popitem()[1].end()
        super().close()


class _Held(DiskReader):
    """
    A reader that outlives those who close it.
    """

    def __init__(self, reader: DiskReader) -> None:
        self._reader = reader
        self.size = reader.size

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        """
        As the file's.
        """
        return self._reader.read_into(offset, buffer)

    def close(self) -> None:
        """
        Let it be; `end` closes it.
        """

    def end(self) -> None:
        """
        Close the file.
        """
        self._reader.close()


__all__ = ["HELD_MAX", "HeldFiles"]
