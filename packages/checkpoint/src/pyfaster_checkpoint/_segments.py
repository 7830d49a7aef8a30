# SPDX-License-Identifier: MIT
"""
The log's files in a store's directory, read without the device that wrote them.

A segment is a block that says what the file is, and behind it the log's bytes from the
address that the file's name gives. Nothing here writes, and links are not followed.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from pyfaster_checkpoint._file_handles import DiskReader
from pyfaster_checkpoint._findings import StoreReport

LOG = "log"

HEADER_SIZE = 4096
FORMAT = 1

#: No segment has fewer bytes of the log.
SEGMENT_MIN = 4096
MAGIC = b"PYFSEG\r\n"

_NAME = re.compile(r"0000([0-9a-f]{16})\.seg")
_HEADER = struct.Struct("<8sIIQQQQ")
_CRC_AT = HEADER_SIZE - 4
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc32c(data: bytes | bytearray) -> int:
    """
    Give the CRC-32C (Castagnoli) of some bytes.
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def later_life(directory: Path) -> str | None:
    """
    Give the name of a segment that was made by a life of the store that had recovered
    a checkpoint, if there is one; the first life's generation has the counter 1.
    """
    try:
        names = [path.name for path in (directory / LOG).iterdir()]
    except OSError:
        return None
    for name in sorted(filter(_NAME.fullmatch, names), reverse=True):
        try:
            with open(os.open(directory / LOG / name, _FLAGS), "rb") as file:
                block = file.read(HEADER_SIZE)
        except OSError:
            continue
        if len(block) == HEADER_SIZE and _HEADER.unpack_from(block)[6] >> 33:
            stored = int.from_bytes(block[_CRC_AT:], "little")
            if block.startswith(MAGIC) and stored == crc32c(block[:_CRC_AT]):
                return f"{LOG}/{name}"
    return None


def segment_name(base: int) -> str:
    """
    Give the name of the file that begins at an address of the log.
    """
    return f"{base:020x}.seg"


class LogFiles:
    """
    The segments of a directory.

    Args:
        directory: The store's.

        report: Gets what is wrong with them.
    """

    def __init__(self, directory: Path, report: StoreReport) -> None:
        self._folder = directory / LOG
        self._report = report
        self._readers: dict[int, DiskReader] = {}
        self._missing: set[int] = set()
        self.segment_size = 0
        for base in self._bases():
            self._open(base)
        report.segments = len(self._readers)

    def _bases(self) -> list[int]:
        try:
            found = os.lstat(self._folder)
            if not stat.S_ISDIR(found.st_mode):
                self._report.add(LOG, "it is no directory; links are not followed")
                return []
            names = sorted(path.name for path in self._folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            self._report.add(LOG, f"it could not be looked at ({error.strerror})")
            return []
        return [int(match[1], 16) for match in map(_NAME.fullmatch, names) if match]

    def _open(self, base: int) -> None:
        name = f"{LOG}/{segment_name(base)}"
        try:
            descriptor = os.open(self._folder / segment_name(base), _FLAGS)
        except FileNotFoundError:
            return  # it went meanwhile
        except OSError as error:
            odd = error.errno in (errno.ELOOP, errno.ENXIO)
            text = "it is no regular file" if odd else "it could not be opened"
            self._report.add(name, f"{text} ({error.strerror})")
            return
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            self._readers[base] = DiskReader(descriptor, found.st_size)
        else:
            os.close(descriptor)
            self._report.add(name, "it is no regular file")

    def check(self, store_id: int, segment_size: int) -> None:
        """
        Compare what each file says of itself with what it must say.
        """
        self.segment_size = segment_size
        for base, reader in self._readers.items():
            name = f"{LOG}/{segment_name(base)}"
            for offset, what, expected, found in _problems(
                reader, base, store_id, segment_size
            ):
                self._report.add(name, what, offset, expected=expected, found=found)

    def next_after(self, address: int, until: int) -> int:
        """
        Give where the log goes on behind an address that is not there: at the next
        segment that is, or else at its end.
        """
        above = (base for base in self._readers if address < base < until)
        return min(above, default=until)

    def place(self, address: int) -> tuple[str, int]:
        """
        Give the file and the offset in it where an address of the log is.
        """
        base = address - address % self.segment_size if self.segment_size else 0
        return f"{LOG}/{segment_name(base)}", HEADER_SIZE + address - base

    def read(self, address: int, buffer: memoryview) -> int:
        """
        Fill a buffer with the log's bytes from an address on.

        Returns:
            How many bytes there were; what keeps the others away is in the report.
        """
        done = 0
        while done < len(buffer):
            at = address + done
            base = at - at % self.segment_size
            left = min(len(buffer) - done, base + self.segment_size - at)
            piece = buffer[done : done + left]
            count = self._read(base, HEADER_SIZE + at - base, piece)
            done += count
            if count < left:
                break
        return done

    def _read(self, base: int, offset: int, buffer: memoryview) -> int:
        name = f"{LOG}/{segment_name(base)}"
        reader = self._readers.get(base)
        if reader is None:
            if base not in self._missing:
                self._missing.add(base)
                self._report.add(name, "it is missing, and a checkpoint needs it")
            return 0
        try:
            return reader.read_into(offset, buffer)
        except OSError as error:
            self._report.add(name, f"it could not be read ({error.strerror})", offset)
            return 0

    def close(self) -> None:
        """
        Close all files.
        """
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()


def _problems(
    reader: DiskReader, base: int, store_id: int, segment_size: int
) -> Iterator[tuple[int | None, str, str, str]]:
    """
    Give what is wrong with a file: where, what, what was expected, what is there.
    """
    whole = HEADER_SIZE + segment_size
    if reader.size != whole:
        yield None, "its length is wrong", f"{whole:,} bytes", f"{reader.size:,} bytes"
    block = bytearray(HEADER_SIZE)
    try:
        count = reader.read_into(0, memoryview(block))
    except OSError as error:
        yield 0, f"it could not be read ({error.strerror})", "", ""
        return
    if count < HEADER_SIZE:
        return
    magic, form, size, store, at, length, _ = _HEADER.unpack_from(block)
    if magic != MAGIC:
        yield 0, "it is no segment", MAGIC.hex(), magic.hex()
        return
    if form != FORMAT:
        yield 8, "it has another format", str(FORMAT), str(form)
        return
    stored, computed = (
        int.from_bytes(block[_CRC_AT:], "little"),
        crc32c(block[:_CRC_AT]),
    )
    if stored != computed or size != HEADER_SIZE:
        text = "the checksum of its first block is wrong"
        yield _CRC_AT, text, f"{computed:#010x}", f"{stored:#010x}"
        return
    if store != store_id:
        yield 16, "it belongs to another store", f"{store_id:#018x}", f"{store:#018x}"
    if at != base:
        yield 24, "it is another segment than its name says", f"{base:#x}", f"{at:#x}"
    if length != segment_size:
        text = "it was made with another segment size"
        yield 32, text, f"{segment_size:,}", f"{length:,}"


__all__ = [
    "HEADER_SIZE",
    "LOG",
    "SEGMENT_MIN",
    "LogFiles",
    "crc32c",
    "later_life",
    "segment_name",
]
