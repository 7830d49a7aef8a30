# SPDX-License-Identifier: MIT
"""
Writing a stream to a file: a piece is written and hashed by another thread while the
next one is copied out of the core.
"""

from __future__ import annotations

from concurrent.futures import Future
from types import TracebackType
from typing import Self

import xxhash

from pyfaster.checkpoints import FileWriter
from pyfaster_checkpoint._aside import Aside

#: Smaller pieces are written at once: handing them over would take longer.
_LARGE = 1 << 20


class Pump:
    """
    What is written to one file; used by one thread.

    Args:
        writer: The file.

    Attributes:
        size: How many bytes were written.

    Leaving it waits for the other thread, so that nobody uses the file afterwards.
    """

    def __init__(self, writer: FileWriter) -> None:
        self._writer = writer
        self._state = xxhash.xxh3_64()
        self._other = Aside("pyfaster-checkpoint-write")
        self._last: Future[None] | None = None
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._other.close()

    def put(self, piece: memoryview) -> None:
        """
        Write a piece behind the last one, whose memory is free when this returns; that
        of this one when the next call returns.
        """
        self.wait()
        self.size += len(piece)
        if len(piece) < _LARGE:
            self._write(piece)
            return
        self._last = self._other.ask(self._write, piece)

    def _write(self, piece: memoryview) -> None:
        self._writer.write(piece)
        self._state.update(piece)

    def wait(self) -> None:
        """
        Wait until all is written; raise what kept it from being so.
        """
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def hash(self) -> int:
        """
        Give the hash of all bytes, once they are written.
        """
        self.wait()
        return self._state.intdigest()


__all__ = ["Pump"]
