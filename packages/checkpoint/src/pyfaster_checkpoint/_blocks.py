# SPDX-License-Identifier: MIT
"""
The blocks of a checkpoint's files, taken apart in Python.

Recovery has the core verify blocks. This module does the same for stores that are not
open, and cuts files into whole blocks for both. A size is believed only as far as the
file has bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import xxhash

from pyfaster.checkpoints import Block, FileReader
from pyfaster.errors import CorruptionError

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: magic, part, format, number, bytes of payload, flags, hash.
HEADER = struct.Struct("<IHHQIIQ")
PLACE = struct.Struct("<QQ")

#: Bytes of a header that are hashed: all but the hash.
HASHED = 24
MAGIC = 0x4B4C4246
FORMAT = 1
LAST = 1

#: The largest page, and the words in front of it.
PAYLOAD_MAX = (1 << 30) + 64

#: The number of each part in a block's header: of the format, as the core has them.
PARTS = {"index": 1, "pages": 2, "delta": 3}

_CORRUPT = -5001
_WINDOW = 4 << 20


class Verify(Protocol):
    """
    What takes the first block of a buffer apart: the core's, or `next_block`.
    """

    def __call__(
        self, data: Buffer, /, *, seed: int, part: str, number: int
    ) -> Block | None: ...


def block_hash(header: Buffer, payload: Buffer, seed: int) -> int:
    """
    Give the hash of a block: of its payload, seeded with that of its header.
    """
    inner = xxhash.xxh3_64_intdigest(memoryview(header)[:HASHED], seed)
    return xxhash.xxh3_64_intdigest(memoryview(payload), inner)


def peek(data: memoryview, part: str, number: int) -> Block | None:
    """
    Take a block's header apart without looking at the payload.

    Returns:
        The block; None when not even the header is there.

    Raises:
        CorruptionError: It cannot be the header of this block.
    """
    if len(data) < HEADER.size:
        return None
    magic, kind, form, found, size, flags, _ = HEADER.unpack_from(data)
    fits = (magic, kind, form, found) == (MAGIC, PARTS[part], FORMAT, number)
    ends = flags == LAST and size == 0
    goes_on = flags == 0 and 0 < size <= PAYLOAD_MAX and size % 8 == 0
    if not fits or not (ends or goes_on):
        raise CorruptionError(
            f"block {number:,} is damaged or another", status=_CORRUPT
        )
    return Block(HEADER.size, size, HEADER.size + size, ends)


def next_block(data: Buffer, /, *, seed: int, part: str, number: int) -> Block | None:
    """
    Verify the block at the beginning of a buffer, as the core does.
    """
    view = memoryview(data).cast("B")
    block = peek(view, part, number)
    if block is None or len(view) < block.whole:
        return None
    computed = block_hash(view, view[block.payload : block.whole], seed)
    (found,) = struct.unpack_from("<Q", view, HASHED)
    if found != computed:
        raise CorruptionError(
            f"block {number:,} has hash {found:#018x}, computed {computed:#018x}",
            status=_CORRUPT,
        )
    return block


#: Where a block begins in its file, and its payload.
Payload = tuple[int, memoryview]


class Damage(Exception):
    """
    A file is not the stream that it should be; `offset` says where.
    """

    def __init__(self, what: str, offset: int) -> None:
        super().__init__(what)
        self.offset = offset


class BlockFile:
    """
    A file of blocks, read from its beginning in windows of whole blocks.

    Args:
        reader: The file.

        part: Which stream it holds.

        reuse: Whether memory that was handed out is used again when the next window but
            one is made; else it is its owner's for as long as he has it.

    Attributes:
        large: Whether it is worth a thread that reads ahead.

    Not safe for several threads at once.
    """

    def __init__(self, reader: FileReader, part: str, *, reuse: bool = False) -> None:
        self.large = reader.size > _WINDOW
        self._reader = reader
        self._part = part
        self._reuse = reuse
        self._buffer = bytearray()
        self._spare = bytearray()  # handed out before; its memory is used again
        self._offset = 0  # of the file, behind what the buffer holds
        self._held = 0  # bytes in the buffer
        self._used = 0  # of them, handed out
        self._number = 0  # of the next block
        self.ended = False

    @property
    def offset(self) -> int:
        """
        Where in the file the window begins that was handed out last.
        """
        return self._offset - self._held

    def windows(self) -> Iterator[memoryview]:
        """
        Give the file in pieces of whole blocks, unverified but for their headers. The
        next may be made by another thread while one is used.

        Raises:
            Damage: The file does not consist of blocks.
        """
        while not self.ended:
            self._forget()
            self._used = self._whole()
            yield memoryview(self._buffer)[: self._used]

    def batches(self, seed: int, verify: Verify) -> Iterator[list[Payload]]:
        """
        Give the payloads of the blocks of each window, verified, with where in the file
        their blocks begin.

        Raises:
            Damage: A block is damaged, or is missing.
        """
        number = 0
        for window in self.windows():
            batch: list[Payload] = []
            at, begin = 0, self.offset
            while at < len(window):
                rest = window[at:]
                try:
                    block = verify(rest, seed=seed, part=self._part, number=number)
                except CorruptionError as error:
                    raise Damage(str(error), begin + at) from None
                if block is None:
                    raise Damage(f"block {number:,} is cut short", begin + at)
                if not block.last:
                    batch.append((begin + at, rest[block.payload : block.whole]))
                at += block.whole
                number += 1
            yield batch

    def blocks(self, seed: int, verify: Verify) -> Iterator[memoryview]:
        """
        Give the payloads of the blocks, verified.

        Raises:
            Damage: A block is damaged, or is missing.
        """
        for batch in self.batches(seed, verify):
            for _, payload in batch:
                yield payload

    def _whole(self) -> int:
        """
        Fill the buffer; give how many bytes of whole blocks it begins with.
        """
        self._fill()
        size = 0
        view = memoryview(self._buffer)[: self._held]
        while size < self._held and not self.ended:
            at = self.offset + size
            try:
                block = peek(view[size:], self._part, self._number)
            except CorruptionError as error:
                raise Damage(str(error), at) from None
            if block is None or block.whole > self._held - size:
                if size:
                    break
                self._make_room(block, at)
                view = memoryview(self._buffer)[: self._held]
                continue
            size += block.whole
            self._number += 1
            self.ended = block.last
        if not size:
            raise Damage("it ends before its last block", self.offset)
        if self.ended and self.offset + size != self._reader.size:
            raise Damage("there are bytes behind its last block", self.offset + size)
        return size

    def _make_room(self, block: Block | None, at: int) -> None:
        """
        Read on until a block that is larger than the buffer is there.
        """
        wanted = HEADER.size if block is None else block.whole
        if wanted > self._reader.size - at:
            raise Damage(f"it ends inside block {self._number:,}", at)
        larger = bytearray(wanted)
        larger[: self._held] = memoryview(self._buffer)[: self._held]
        self._buffer = larger
        self._fill()
        if self._held < wanted:
            raise Damage(f"it ends inside block {self._number:,}", at)

    def _fill(self) -> None:
        view = memoryview(self._buffer)[self._held :]
        if len(view):
            count = self._reader.read_into(self._offset, view)
            self._offset += count
            self._held += count

    def _forget(self) -> None:
        """
        Leave the window that was handed out to its owner, and keep what is behind it.
        """
        rest = memoryview(self._buffer)[self._used : self._held]
        left = min(max(self._reader.size - self._offset, 0), _WINDOW)
        buffer = self._spare if self._reuse else bytearray()
        if len(buffer) - len(rest) < max(left // 2, HEADER.size):
            buffer = bytearray(max(len(rest) + left, HEADER.size))
        buffer[: len(rest)] = rest
        self._spare, self._buffer = self._buffer, buffer
        self._held, self._used = len(rest), 0


def page_place(payload: memoryview) -> tuple[int, memoryview]:
    """
    Take the payload of a block of part "pages" apart: an address and the log's bytes.

    Raises:
        CorruptionError: It makes no sense.
    """
    if len(payload) < PLACE.size:
        raise CorruptionError("a piece of the log without a place", status=_CORRUPT)
    address, length = PLACE.unpack_from(payload)
    data = payload[PLACE.size :]
    if length != len(data) or address % 8 or address + length > 1 << 63:
        raise CorruptionError(
            f"a piece of the log at {address:#x} of {length:,} bytes has {len(data):,}",
            status=_CORRUPT,
        )
    return address, data


def delta_places(payload: memoryview) -> Iterator[tuple[int, memoryview]]:
    """
    Take the payload of a block of part "delta" apart: addresses and records.

    Raises:
        CorruptionError: It makes no sense.
    """
    at = 0
    while at < len(payload):
        if len(payload) - at < PLACE.size:
            raise CorruptionError("a record without a place", status=_CORRUPT)
        address, extent = PLACE.unpack_from(payload, at)
        at += PLACE.size
        if not 0 < extent <= len(payload) - at or extent % 8 or address % 8:
            raise CorruptionError(
                f"a record at {address:#x} of {extent:,} bytes does not fit its block",
                status=_CORRUPT,
            )
        yield address, payload[at : at + extent]
        at += extent
