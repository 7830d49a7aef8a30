# SPDX-License-Identifier: MIT
"""
The device: five methods and what it declares.
"""

from __future__ import annotations

import errno
import sqlite3
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

#: Bytes of a block unless the user says otherwise.
BLOCK = 4096

#: Flags of a row: how its bytes are kept.
PLAIN, DEFLATED = 0, 1

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS blocks (
    number INTEGER PRIMARY KEY, kind INTEGER NOT NULL, bytes BLOB NOT NULL
);
"""


class SampleDevice:
    """
    Blocks in the file `blocks.sqlite3` of a folder.

    Any thread may call it; calls wait for each other.

    Args:
        folder: Made if it is not there.

        store_id: Of the store that the bytes belong to.

        block_size: Bytes of one row before compression, a power of two from 512.

    Raises:
        ValueError: The block size makes no sense or is not that of the file, or the
            file belongs to another store.
    """

    sector_size = 512
    alignment = 1
    threads = 1
    capabilities = frozenset({"flushes", "truncates"})

    def __init__(
        self, folder: str | Path, *, store_id: int, block_size: int = BLOCK
    ) -> None:
        if block_size < 512 or block_size & (block_size - 1):
            raise ValueError(f"{block_size} is no power of two from 512")
        Path(folder).mkdir(exist_ok=True)
        self._size = block_size
        self._lock = threading.Lock()
        self._file = sqlite3.connect(
            Path(folder) / "blocks.sqlite3",
            check_same_thread=False,
            isolation_level=None,
        )
        try:
            self._prepare({"store_id": store_id, "block_size": block_size})
        except BaseException:
            self._file.close()
            raise

    def _prepare(self, facts: dict[str, int]) -> None:
        self._file.execute("PRAGMA synchronous = FULL")
        self._file.executescript(_TABLES)
        for name, value in facts.items():
            row = (name, str(value))
            self._file.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", row)
            query = "SELECT value FROM facts WHERE name = ?"
            (found,) = self._file.execute(query, (name,)).fetchone()
            if found != row[1]:
                raise ValueError(f"the file has {name} {found}, not {value}")
        self._file.execute("BEGIN")

    # --- the contract ---------------------------------------------------------------

    def read(self, offset: int, buffer: memoryview, /) -> int:
        """
        Fill the buffer; bytes that nobody wrote are zero.
        """
        done = 0
        with self._lock:
            for number, begin, end in self._parts(offset, len(buffer)):
                buffer[done : done + end - begin] = self._block(number)[begin:end]
                done += end - begin
        return done

    def write(self, offset: int, buffer: memoryview, /) -> int:
        """
        Write the whole buffer, or raise.
        """
        done = 0
        with self._lock:
            for number, begin, end in self._parts(offset, len(buffer)):
                part = buffer[done : done + end - begin]
                if end - begin == self._size:
                    block = bytes(part)
                else:
                    old = self._block(number)
                    block = b"".join((old[:begin], part, old[end:]))
                self._keep(number, block)
                done += end - begin
        return done

    def sync(self) -> None:
        """
        Commit; sqlite3 flushes its file.
        """
        with self._lock:
            self._file.execute("COMMIT")
            self._file.execute("BEGIN")

    def truncate_before(self, offset: int, /) -> None:
        """
        Let the blocks go that lie below the offset with all their bytes.
        """
        with self._lock:
            last = offset // self._size
            self._file.execute("DELETE FROM blocks WHERE number < ?", (last,))

    def close(self) -> None:
        """
        Commit and close the file.
        """
        with self._lock:
            self._file.execute("COMMIT")
            self._file.close()

    # --- blocks ---------------------------------------------------------------------

    def _parts(self, offset: int, length: int) -> Iterator[tuple[int, int, int]]:
        """
        Cut a range at the blocks' ends: number, and begin and end inside the block.
        """
        end = offset + length
        if end >= 1 << 63:
            raise OSError(errno.EINVAL, f"no such range: {length} bytes at {offset}")
        while offset < end:
            number, begin = divmod(offset, self._size)
            size = min(self._size - begin, end - offset)
            yield number, begin, begin + size
            offset += size

    def _block(self, number: int) -> bytes:
        query = "SELECT kind, bytes FROM blocks WHERE number = ?"
        row = self._file.execute(query, (number,)).fetchone()
        if row is None:
            return bytes(self._size)
        kind, kept = row
        block: bytes = zlib.decompress(kept) if kind == DEFLATED else kept
        if len(block) != self._size:
            raise OSError(errno.EIO, f"block {number} has {len(block)} bytes")
        return block

    def _keep(self, number: int, block: bytes) -> None:
        packed = zlib.compress(block, 1)
        smaller = len(packed) < len(block)
        row = (number, DEFLATED, packed) if smaller else (number, PLAIN, block)
        self._file.execute("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)", row)
