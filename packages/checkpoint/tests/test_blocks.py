# SPDX-License-Identifier: MIT
"""Blocks: cut and verified in Python as the core does, whatever their sizes."""

from __future__ import annotations

import random
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fake_engine import frame, stream
from hypothesis import given
from hypothesis import strategies as st

from pyfaster.errors import CorruptionError
from pyfaster_checkpoint import _blocks
from pyfaster_checkpoint._ahead import Ahead
from pyfaster_checkpoint._blocks import (
    PAYLOAD_MAX,
    BlockFile,
    Damage,
    delta_places,
    next_block,
    page_place,
)

SEED = 0x0123456789ABCDEF


class Data:
    """A reader of bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.largest = 0

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        """Give a part."""
        self.largest = max(self.largest, len(buffer))
        piece = self.data[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Nothing to do."""


payloads = st.lists(
    st.integers(1, 40).map(lambda words: random.Random(words).randbytes(8 * words)),
    max_size=12,
)


@pytest.fixture(params=[32, 64, 100, 4 << 20], ids=str)
def window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How much is read at once."""
    monkeypatch.setattr(_blocks, "_WINDOW", request.param)
    return int(request.param)


@pytest.mark.parametrize("part", ["index", "pages", "delta"])
@pytest.mark.parametrize("ahead", [False, True])
def test_streams_come_back(part: str, ahead: bool, window: int) -> None:
    """The payloads of any stream come back in order, for any window."""

    @given(payloads)
    def check(some: list[bytes]) -> None:
        data = b"".join(stream(part, some, SEED))
        file = BlockFile(Data(data), part)
        with Ahead(file.batches(SEED, next_block), threaded=ahead) as batches:
            found = [each for batch in batches for each in batch]
        assert [bytes(payload) for _, payload in found] == some
        places = [offset for offset, _ in found]
        assert all(data[place : place + 4] == b"FBLK" for place in places)
        file = BlockFile(Data(data), part)
        assert [bytes(each) for each in file.blocks(SEED, next_block)] == some
        whole = BlockFile(Data(data), part).windows()
        assert b"".join(bytes(each) for each in whole) == data

    check()


@pytest.mark.fault("F33", "F32")
def test_every_flipped_bit_is_found(window: int) -> None:
    """No block with one other bit is believed."""
    some = [b"12345678", b"x" * 64, b"abcdefgh" * 3]
    data = b"".join(stream("pages", some, SEED))
    for at in range(len(data)):
        other = bytearray(data)
        other[at] ^= 1 << at % 8
        with pytest.raises(Damage):
            list(BlockFile(Data(bytes(other)), "pages").blocks(SEED, next_block))


@pytest.mark.fault("F42", "F43")
def test_every_cut_and_garbage(window: int) -> None:
    """A stream that ends anywhere else than at its end is damage."""
    data = b"".join(stream("delta", [b"12345678" * 5, b"x" * 8], SEED))
    for size in range(len(data)):
        with pytest.raises(Damage):
            list(BlockFile(Data(data[:size]), "delta").blocks(SEED, next_block))
    for more in (b"\0", bytes(32), data):
        with pytest.raises(Damage, match="behind its last block") as caught:
            list(BlockFile(Data(data + more), "delta").blocks(SEED, next_block))
        assert caught.value.offset == len(data)


@pytest.mark.fault("F45")
def test_blocks_of_another_place() -> None:
    """A block of another seed, part or place is refused."""
    block = frame("pages", 3, b"12345678", SEED)
    assert next_block(block, seed=SEED, part="pages", number=3) is not None
    others: list[dict[str, Any]] = [
        {"seed": SEED ^ 1, "part": "pages", "number": 3},
        {"seed": SEED, "part": "delta", "number": 3},
        {"seed": SEED, "part": "pages", "number": 2},
    ]
    for other in others:
        with pytest.raises(CorruptionError):
            next_block(block, **other)


def test_parts_of_blocks() -> None:
    """What is not all there yet is no damage."""
    block = frame("pages", 0, b"12345678" * 4, SEED)
    for size in range(len(block)):
        assert next_block(block[:size], seed=SEED, part="pages", number=0) is None
    found = next_block(block + b"more", seed=SEED, part="pages", number=0)
    assert found is not None
    assert (found.payload, found.size, found.whole, found.last) == (32, 32, 64, False)
    end = next_block(frame("pages", 1, b"", SEED), seed=SEED, part="pages", number=1)
    assert end is not None
    assert end.last


@pytest.mark.fault("F87")
@pytest.mark.parametrize("size", [8, 1 << 20, PAYLOAD_MAX, PAYLOAD_MAX + 8, 0xFFFFFFF8])
def test_hostile_sizes(size: int) -> None:
    """A size that the file has no bytes for is refused before memory is asked for."""
    head = struct.pack("<IHHQIIQ", 0x4B4C4246, 2, 1, 0, size, 0, 0)
    reader = Data(head)
    with pytest.raises(Damage):
        list(BlockFile(reader, "pages").blocks(SEED, next_block))
    assert reader.largest <= 64


def test_large_blocks_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that is larger than what is read at once comes whole."""
    monkeypatch.setattr(_blocks, "_WINDOW", 64)
    some = [bytes(range(256)) * 40, b"12345678", bytes(range(256)) * 80]
    data = b"".join(stream("pages", some, SEED))
    file = BlockFile(Data(data), "pages")
    assert [bytes(each) for each in file.blocks(SEED, next_block)] == some


def test_pieces_of_the_log() -> None:
    """A payload of part "pages" has a place and as many bytes as it says."""
    good = struct.pack("<QQ", 4096, 8) + b"12345678"
    address, data = page_place(memoryview(good))
    assert (address, bytes(data)) == (4096, b"12345678")
    for bad in (
        b"",
        b"1234567",
        struct.pack("<QQ", 4096, 16) + b"12345678",
        struct.pack("<QQ", 4096, 2**64 - 8) + b"12345678",
        struct.pack("<QQ", 4097, 8) + b"12345678",
        struct.pack("<QQ", 2**63, 8) + b"12345678",
    ):
        with pytest.raises(CorruptionError):
            page_place(memoryview(bad))


def test_changed_records() -> None:
    """A payload of part "delta" has records behind their places."""
    good = (
        struct.pack("<QQ", 64, 8)
        + b"12345678"
        + struct.pack("<QQ", 128, 16)
        + b"x" * 16
    )
    found = [(at, bytes(data)) for at, data in delta_places(memoryview(good))]
    assert found == [(64, b"12345678"), (128, b"x" * 16)]
    for bad in (
        good[:-1],
        good[:30],
        struct.pack("<QQ", 64, 0),
        struct.pack("<QQ", 64, 2**64 - 8) + b"12345678",
        struct.pack("<QQ", 65, 8) + b"12345678",
        struct.pack("<QQ", 64, 4) + b"1234",
    ):
        with pytest.raises(CorruptionError):
            list(delta_places(memoryview(bad)))


class Failing(Data):
    """A reader that fails behind its beginning."""

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        """Read, or fail."""
        if offset:
            raise OSError(5, "no reading")
        return super().read_into(offset, buffer)


@pytest.mark.parametrize("threaded", [False, True])
def test_errors_of_reading_ahead_are_raised(
    threaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the thread that reads ahead meets is raised in its place."""
    monkeypatch.setattr(_blocks, "_WINDOW", 100)
    file = BlockFile(Failing(b"".join(stream("pages", [b"x" * 24] * 9, SEED))), "pages")
    assert file.large
    found = []
    with Ahead(file.windows(), threaded=threaded) as ahead:
        with pytest.raises(OSError, match="no reading"):
            for window in ahead:
                found.append(bytes(window))
    assert len(found) == 1


def test_leaving_early() -> None:
    """Who stops in the middle waits for what is being made, and for nothing more."""
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(1, 100):
            made.append(number)
            yield number

    with Ahead(numbers(), threaded=True) as ahead:
        for number in ahead:
            if number == 3:
                break
    assert len(made) in (3, 4)
    names = [thread.name for thread in threading.enumerate()]
    assert not any(name.startswith("pyfaster-read-ahead") for name in names)
