# SPDX-License-Identifier: MIT
"""
A checkpoint's log: the part that its files hold, and single records of all of it.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

from pyfaster.checkpoints import CheckpointFiles, FileReader, RecoveryEngine
from pyfaster_checkpoint._blocks import (
    HEADER,
    PLACE,
    BlockFile,
    delta_places,
    next_block,
    page_place,
)
from pyfaster_checkpoint._manifest import INDEX, Manifest
from pyfaster_checkpoint._merge import PAGES, Member, merged
from pyfaster_checkpoint._records import Shape, is_record
from pyfaster_checkpoint._segments import LogFiles

if TYPE_CHECKING:
    from typing_extensions import Buffer

_WORD = struct.Struct("<Q")

#: What is read of a record to see its key; longer keys are read anew.
_LOOK = 256


class _Blocks:
    """
    What merging asks of the core, done without it.
    """

    next_block = staticmethod(next_block)

    @staticmethod
    def image_apply(image: memoryview, address: int, delta: Buffer, /) -> int:
        """
        Put the records of a delta's payload into a piece of the log.
        """
        count, end = 0, address + len(image)
        for at, record in delta_places(memoryview(delta)):
            low, high = max(at, address), min(at + len(record), end)
            if low < high:
                image[low - address : high - address] = record[low - at : high - at]
                count += 1
        return count


class Image:
    """
    The log of a checkpoint, as its files and those of the log give it.

    Args:
        files: Of the checkpoints.

        log: Of the log.

        chain: The checkpoint, behind those that it is based on.

        shape: Of the records.
    """

    def __init__(
        self,
        files: CheckpointFiles,
        log: LogFiles,
        chain: tuple[Manifest, ...],
        shape: Shape,
    ) -> None:
        self._files = files
        self._log = log
        self._chain = chain
        self._shape = shape
        self._one = chain[-1]
        self._stack = ExitStack()
        self._members: list[Member] = []
        self._pieces: list[tuple[int, int, int, FileReader]] | None = None

    def __enter__(self) -> Image:
        for manifest in self._chain:
            readers = {}
            for entry in manifest.files:
                if entry.name != INDEX:
                    reader = self._files.open(manifest.token, entry.name)
                    self._stack.callback(reader.close)
                    readers[entry.name] = reader
            self._members.append((manifest, readers))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def tail(self, start: int) -> Iterator[tuple[int, memoryview]]:
        """
        Give the log from a page's beginning on, page by page, the last one cut.

        Args:
            start: At or below `log_until`, in its page.

        Raises:
            CorruptCheckpointError: A file is damaged.
        """
        size = self._shape.page_size
        page, held = bytearray(size), 0
        for data in self._bytes(start):
            at = 0
            while at < len(data):
                count = min(size - held, len(data) - at)
                page[held : held + count] = data[at : at + count]
                held, at = held + count, at + count
                if held == size:
                    yield start, memoryview(page)
                    start, held = start + size, 0
        if held:
            yield start, memoryview(page)[:held]

    def _bytes(self, start: int) -> Iterator[memoryview]:
        until = self._one.addresses.log_until
        if start < until:
            data = memoryview(bytearray(until - start))
            if self._log.read(start, data) < len(data):
                return  # the log has said so
            yield data
        engine = cast("RecoveryEngine", _Blocks())
        for _, piece in merged(engine, self._one, self._members):
            yield piece

    # --- single records -------------------------------------------------------------

    def look(self, address: int) -> tuple[int, bytes] | str:
        """
        Give the first word and the key of the record at an address, or what is there.
        """
        end = (address | self._shape.page_size - 1) + 1
        end = min(end, self._one.addresses.final)
        data = self._read(address, min(_LOOK, end - address))
        header = self._shape.header
        if len(data) < header:
            return "the end of the log"
        (info,) = _WORD.unpack_from(data)
        if not is_record(info, address):
            return f"{info:#018x}"
        extent, key = self._shape.measure(data, 0)
        if extent > end - address:
            return f"a record of {extent:,} bytes"
        if header + key > len(data):
            data = self._read(address, header + key)
        return info, bytes(data[header : header + key])

    def _read(self, address: int, size: int) -> memoryview:
        until = self._one.addresses.log_until
        data = memoryview(bytearray(size))
        done = 0
        if address < until:
            part = min(size, until - address)
            done = self._log.read(address, data[:part])
            if done < part:
                return data[:done]
        while done < size:
            count = self._read_piece(address + done, data[done:])
            if count == 0:
                break
            done += count
        return data[:done]

    def _read_piece(self, address: int, data: memoryview) -> int:
        pieces = self._places()
        at = bisect_right(pieces, address, key=lambda piece: piece[0]) - 1
        while at >= 0:
            first, length, offset, reader = pieces[at]
            if first <= address < first + length:
                count = min(len(data), first + length - address)
                return reader.read_into(offset + address - first, data[:count])
            at -= 1
        return 0

    def _places(self) -> list[tuple[int, int, int, FileReader]]:
        """
        Where in the files of the chain which part of the log is. What an update in
        place has changed since is not looked at: header and key stay as they are.
        """
        if self._pieces is None:
            self._pieces = []
            for manifest, readers in self._members:
                if PAGES not in readers:
                    continue
                offset = 0
                file = BlockFile(readers[PAGES], "pages")
                for payload in file.blocks(manifest.seed, next_block):
                    address, data = page_place(payload)
                    begin = offset + HEADER.size + PLACE.size
                    self._pieces.append((address, len(data), begin, readers[PAGES]))
                    offset += HEADER.size + len(payload)
            self._pieces.sort(key=lambda piece: piece[:3])
        return self._pieces


__all__ = ["Image"]
