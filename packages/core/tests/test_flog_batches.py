# SPDX-License-Identifier: MIT
"""
Many entries of a durable log in one call: written in a batch, read in pieces.
"""

from __future__ import annotations

import array
import gc
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from pyfaster.errors import ClosedError, ValueTooLargeError
from pyfaster.flog import FIRST, HEADER, Life, LogDevice, LogScan, NativeLog
from pyfaster.testing import MemoryDevice

PAGE = 1 << 16


def new(**settings: Any) -> NativeLog:
    """Open a new log."""
    given = {"log_id": 7, "page_size": PAGE, "number": 0, **settings}
    given = {"lives": [Life(1, FIRST)], "begin": FIRST, "committed": FIRST, **given}
    return NativeLog(LogDevice(MemoryDevice()), **given)


def payloads(log: NativeLog) -> list[bytes]:
    """Commit, and give all that is there."""
    log.commit()
    return [entry.payload for entry in log.scan()]


def some(count: int, seed: int = 1) -> list[bytes]:
    """Entries of many sizes."""
    return [bytes([i % 251]) * (i * seed % 97) for i in range(count)]


def packed(entries: list[bytes]) -> tuple[bytes, array.array[int]]:
    """The same as one buffer with offsets."""
    offsets = array.array("Q", [0])
    for entry in entries:
        offsets.append(offsets[-1] + len(entry))
    return b"".join(entries), offsets


# --- writing ------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 4095, 4096, 4097, 10_000])
@pytest.mark.parametrize("form", ["list", "tuple", "iterator", "mixed", "buffer"])
def test_a_batch_is_appended_in_order(count: int, form: str) -> None:
    """However a batch comes, and however long it is, its entries are there in order."""
    entries = some(count)
    addresses = np.zeros(count, "<u8")
    given: dict[str, Any] = {"addresses": addresses}
    batch: Any = entries
    if form == "tuple":
        batch = tuple(entries)
    elif form == "iterator":
        batch = iter(entries)
    elif form == "mixed":
        kinds = (bytes, bytearray, memoryview)
        batch = [kinds[i % 3](entry) for i, entry in enumerate(entries)]
    elif form == "buffer":
        batch, given["offsets"] = packed(entries)
    with new() as log:
        end = log.append_many(batch, **given)
        assert (end == 0) == (count == 0)
        assert payloads(log) == entries
        assert [entry.address for entry in log.scan()] == addresses.tolist()
        assert count == 0 or end == max(entry.next for entry in log.scan())


@pytest.mark.parametrize("form", ["list", "buffer"])
def test_large_entries_among_small_ones(form: str) -> None:
    """Entries that are not gathered keep their places among those that are."""
    sizes = [10, 40_000, 0, 32_768, 32_767, 5, 60_000, 60_000, 1]
    entries = [bytes([i]) * size for i, size in enumerate(sizes)]
    with new() as log:
        if form == "list":
            log.append_many(entries)
        else:
            data, offsets = packed(entries)
            log.append_many(data, offsets=offsets)
        assert payloads(log) == entries


def test_offsets_may_begin_anywhere() -> None:
    """Bytes before the first offset and behind the last are no entries."""
    with new() as log:
        signed: Any = np.array([2, 2, 5, 9], "<i8")
        log.append_many(b"0123456789", offsets=signed)
        log.append_many(b"ab", offsets=memoryview(array.array("Q", [1])))
        log.append_many(b"abc", offsets=bytes(8) + (3).to_bytes(8, "little"))
        assert payloads(log) == [b"", b"234", b"5678", b"abc"]


@pytest.mark.parametrize(
    "wrong",
    [
        array.array("Q", []),
        array.array("Q", [0, 3, 2]),
        array.array("Q", [0, 11]),
        array.array("Q", [11]),
        array.array("Q", [0, 1 << 63]),
        array.array("I", [0, 1]),
        array.array("d", [0.0, 1.0]),
        b"1234567",
        np.zeros(4, "<u4"),
    ],
)
def test_offsets_that_make_no_sense(wrong: Any) -> None:
    """Such offsets are refused before anything is appended."""
    with new() as log:
        with pytest.raises(ValueError):
            log.append_many(b"0123456789", offsets=wrong)
        with pytest.raises(TypeError):
            log.append_many(b"012", offsets=5)  # type: ignore[arg-type]  # tested
        assert log.stats()["entries"] == 0


def test_later_offsets_are_looked_at_first() -> None:
    """A mistake far behind changes nothing, either."""
    offsets: Any = np.arange(0, 100_001, dtype="<u8")
    offsets[-1] = 5
    with new() as log:
        with pytest.raises(ValueError) as caught:
            log.append_many(bytes(100_000), offsets=offsets)
        assert getattr(caught.value, "done", 0) == 0
        with pytest.raises(TypeError):
            log.append_many([*some(9000), 5])  # type: ignore[list-item]  # tested
        with pytest.raises(ValueTooLargeError) as too_large:
            log.append_many([*some(9000), bytes(PAGE)])
        assert too_large.value.done == 0  # type: ignore[attr-defined]  # of a batch
        assert log.stats()["entries"] == 0


@pytest.mark.parametrize(
    "wrong", [bytearray(16), np.zeros(3, "<u4"), np.zeros(3), memoryview(b"x" * 24)]
)
def test_room_for_addresses_is_looked_at(wrong: Any) -> None:
    """Room that is short, read-only or of another type is refused."""
    with new() as log:
        with pytest.raises((ValueError, BufferError)):
            log.append_many([b"a", b"b", b"c"], addresses=wrong)
        data, offsets = packed([b"a", b"b", b"c"])
        with pytest.raises((ValueError, BufferError)):
            log.append_many(data, offsets=offsets, addresses=wrong)
        assert log.stats()["entries"] == 0


@pytest.mark.parametrize("form", ["list", "buffer"])
def test_an_atomic_batch_lies_in_one_page(form: str) -> None:
    """Nothing comes between its entries, and one that fits no page is refused."""
    with new() as log:
        for number in range(20):
            entries = [bytes([number]) * 400 for _ in range(100)]
            addresses = array.array("Q", bytes(8 * 100))
            if form == "list":
                log.append_many(entries, atomic=True, addresses=addresses)
            else:
                data, offsets = packed(entries)
                log.append_many(data, offsets=offsets, atomic=True, addresses=addresses)
            steps = {b - a for a, b in pairwise(addresses)}
            assert steps == {416}
            assert addresses[0] // PAGE == (addresses[-1] + 415) // PAGE
        before = log.stats()["entries"]
        for large in ([b"x" * 400] * 200, [b""] * (PAGE // HEADER)):
            with pytest.raises(ValueTooLargeError):
                log.append_many(large, atomic=True)
            data, offsets = packed(large)
            with pytest.raises(ValueTooLargeError):
                log.append_many(data, offsets=offsets, atomic=True)
        assert log.stats()["entries"] == before


def test_many_threads_append_batches() -> None:
    """Batches of several threads keep their order each, and atomic ones stay whole."""
    threads, each = 6, 30
    with new() as log:
        start = threading.Barrier(threads)

        def work(number: int) -> None:
            start.wait(60)
            for i in range(each):
                batch = [b"%d %d %d" % (number, i, j) for j in range(50)]
                log.append_many(batch, atomic=number % 2 == 0)

        workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        found = payloads(log)
    for number in range(threads):
        mine = [data for data in found if data.startswith(b"%d " % number)]
        wanted = [b"%d %d %d" % (number, i, j) for i in range(each) for j in range(50)]
        assert mine == wanted
        if number % 2 == 0:
            for i in range(each):
                at = found.index(b"%d %d 0" % (number, i))
                assert found[at : at + 50] == wanted[50 * i : 50 * (i + 1)]


def test_entries_that_close_their_log() -> None:
    """A sequence is the user's code, which may close the log: that is an error."""
    log = new()

    def entries() -> Iterator[bytes]:
        yield b"first"
        log.close()
        yield b"second"

    with pytest.raises(ClosedError):
        log.append_many(entries())


def test_arguments_have_names() -> None:
    """What is no argument is refused by name or number."""
    with new() as log:
        call: Any = log.append_many
        with pytest.raises(TypeError):
            call()
        with pytest.raises(TypeError):
            call([b""], other=1)
        with pytest.raises(TypeError):
            call([b""], entries=[b""])
        with pytest.raises(TypeError):
            call([b""], None, False, None, 5)
        assert log.stats()["entries"] == 0


# --- reading ------------------------------------------------------------------------


def test_pieces_hold_all_entries() -> None:
    """Pieces give the same as entries do, in numbers, views and copies."""
    entries = some(20_000)
    with new() as log:
        log.append_many(entries)
        log.commit()
        wanted = [(entry.address, entry.payload) for entry in log.scan()]
        assert [payload for _, payload in wanted] == entries
        found = []
        for piece in log.scan().batches():
            starts, sizes = np.asarray(piece.starts), np.asarray(piece.sizes)
            assert (starts.dtype, sizes.dtype) == (np.dtype("u4"), np.dtype("u4"))
            assert len(piece) == len(starts) == len(sizes) > 0
            copies = piece.payloads()
            assert [bytes(view) for view in piece] == copies
            ends = starts.tolist(), (starts + sizes).tolist()
            assert [
                bytes(piece.data[a:b]) for a, b in zip(*ends, strict=True)
            ] == copies
            addresses = (starts.astype("u8") + piece.address - HEADER).tolist()
            found += list(zip(addresses, copies, strict=True))
        assert found == wanted


def test_pieces_and_entries_of_one_scan() -> None:
    """A scan may change from one to the other and back."""
    entries = some(5000)
    with new() as log:
        log.append_many(entries)
        log.commit()
        scan = log.scan()
        found: list[bytes] = []
        while True:
            found += [entry.payload for _, entry in zip(range(7), scan, strict=False)]
            position = scan.position
            piece = scan.next_piece()
            if piece is None:
                break
            assert piece.address >= position or len(piece.payloads()) > 0
            found += piece.payloads()
        assert found == entries


def test_a_piece_outlives_everything() -> None:
    """Its bytes stay while it, or a view of it, is held: scan and log may be gone."""
    entries = some(1000)
    log = new()
    log.append_many(entries)
    log.commit()
    scan = log.scan()
    piece = scan.next_piece()
    assert piece is not None
    copies, view = piece.payloads(), piece[3]
    data, starts = piece.data, np.asarray(piece.starts)
    del scan
    log.close()
    del log
    gc.collect()
    assert piece.payloads() == copies
    del piece
    gc.collect()
    assert bytes(view) == copies[3]
    assert bytes(data[starts[3] : starts[3] + len(copies[3])]) == copies[3]


def test_what_is_lent_cannot_be_written() -> None:
    """Views are read-only, and an index outside of a piece is refused."""
    with new() as log:
        log.append_and_commit(b"entry")
        piece = log.scan().next_piece()
        assert piece is not None
        for view in (piece.data, piece.starts, piece.sizes, piece[0]):
            assert view.readonly
            assert view.contiguous
            with pytest.raises(TypeError):
                view[0] = 1
        with pytest.raises(TypeError):
            memoryview(piece)  # type: ignore[arg-type]  # its views are what lends
        assert bytes(piece[-1]) == b"entry"
        for wrong in (1, -2, 1 << 40):
            with pytest.raises(IndexError):
                piece[wrong]


def test_a_closed_scan_refuses() -> None:
    """close() gives its memory back; a second one does nothing."""
    with new() as log:
        log.append_and_commit(b"entry")
        with log.scan() as scan:
            assert log.stats()["scans"] == 1
            assert next(scan).payload == b"entry"
        scan.close()
        assert log.stats()["scans"] == 0
        for use in (next, LogScan.next_piece, lambda scan: scan.position):
            with pytest.raises(ClosedError):
                use(scan)
