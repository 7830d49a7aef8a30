# SPDX-License-Identifier: MIT
"""
Walking through a store's live records, a bounded piece at a time.

A scan holds no session and no lock between two pieces: each piece is one call into the
core through the session of the thread that asks for it, so a scan may be dropped
anywhere, or be handed to another thread. Buffers have a fixed size and grow only for a
record that is larger than all of them.
"""

from __future__ import annotations

import errno
import os
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pyfaster import _cabi
from pyfaster._buffers import Results
from pyfaster.errors import (
    ConfigError,
    CorruptionError,
    CorruptRecordError,
    DeviceError,
    FasterError,
)

if TYPE_CHECKING:
    from pyfaster._session import Session

K = TypeVar("K")
V = TypeVar("V")

#: Records asked for at once: enough to make the call cheap, few enough to stay small.
CHUNK_RECORDS = 1024
#: Room for one piece's keys, and for its values.
CHUNK_BYTES = 256 << 10
#: Addresses of a log are below this.
_ADDRESSES = 1 << 64


class Column:
    """
    Where one piece's keys or values arrive.

    Args:
        size: Encoded size of each, or None when it varies.

        fixed: True when the store's layout is fixed.
    """

    __slots__ = ("_data", "_offsets", "_size", "results")

    def __init__(self, size: int | None, *, fixed: bool) -> None:
        self._size = size if fixed else None
        self._offsets: array[int] | None = None
        if self._size is None:
            self._offsets = array("Q", bytes(8 * (CHUNK_RECORDS + 1)))
            self._data = bytearray(CHUNK_BYTES)
        else:
            self._data = bytearray(self._size * self.records())
        self.results = self._results()

    def records(self) -> int:
        """
        How many records one piece may have.
        """
        if not self._size:
            return CHUNK_RECORDS
        return max(1, min(CHUNK_RECORDS, CHUNK_BYTES // self._size))

    def make_room(self, size: int) -> None:
        """
        Grow for a record that did not fit.
        """
        if size > len(self._data):
            self._data = bytearray(1 << (size - 1).bit_length())
            self.results = self._results()

    def _results(self) -> Results:
        return Results(self._data, offsets=self._offsets)

    def pieces(self, found: int) -> Iterator[bytes]:
        """
        The first so many encoded items.
        """
        data = bytes(memoryview(self._data)[: self._end(found)])
        if self._offsets is not None:
            ends = self._offsets
            return (data[ends[i] : ends[i + 1]] for i in range(found))
        size = self._size or 0
        return (data[i * size : (i + 1) * size] for i in range(found))

    def _end(self, found: int) -> int:
        if self._offsets is not None:
            return self._offsets[found]
        return found * (self._size or 0)


@dataclass(frozen=True, slots=True)
class ScanCursor:
    """
    Where a scan stands, to go on from later: three numbers, safe to keep.

    Attributes:
        position: The next address to look at; 0 at the beginning.

        end: The log's tail when the scan began.

        store: Which store it belongs to; each time a store is opened it is another
            one, as the log begins anew.
    """

    position: int = 0
    end: int = 0
    store: int = 0


@dataclass(frozen=True, slots=True)
class Origin:
    """
    What a scan has to know of its store.

    Attributes:
        name: What to call it in messages.

        store: Its number, which its cursors carry.

        page_size: The unit of its log, in bytes.

        handle: What must live as long as the scan.
    """

    name: str
    store: int
    page_size: int
    handle: object = None

    def admit(self, cursor: object) -> ScanCursor:
        """
        Give a cursor of this store to begin with; the beginning for None.

        Raises:
            ConfigError: It is another store's, or nobody's.
        """
        if cursor is None or cursor == ScanCursor():
            return ScanCursor(store=self.store)
        if not isinstance(cursor, ScanCursor):
            found = type(cursor).__name__
            raise ConfigError(
                f"{self.name}: cursor: expected what a scan's `cursor` gave, found "
                f"{found}"
            )
        if cursor.store != self.store:
            raise ConfigError(
                f"{self.name}: {cursor} is of another store, or of an earlier opening "
                "of this one; begin anew with scan()"
            )
        places = (cursor.position, cursor.end)
        if not all(isinstance(one, int) and 0 <= one < _ADDRESSES for one in places):
            raise self.strange(cursor)
        return cursor

    def strange(self, cursor: ScanCursor) -> ConfigError:
        """
        The error for a cursor that no scan of this store can have given.
        """
        return ConfigError(
            f"{self.name}: {cursor} is no place of this store's log; use the `cursor` "
            "of a scan unchanged, or begin anew with scan()"
        )

    def lost(self, error: FasterError, position: int) -> FasterError:
        """
        The error for what a scan could not give.

        Args:
            error: What the core reported.

            position: Where the scan goes on: behind the damage.
        """
        damaged = isinstance(error, CorruptionError)
        why = "fails its checksum or its bounds"
        if not damaged:
            why = f"could not be read from the device: {os.strerror(-error.status)}"
        if position % self.page_size == 0:
            start = position - self.page_size
            text = (
                f"{self.name}: scan: the page of the log from byte {start:,} to "
                f"{position:,} {why}; go on with the same scan: of the keys whose "
                "values are in this page, those that it has not given are missing"
            )
        else:
            text = (
                f"{self.name}: scan: whether the record of the log that ends at byte "
                f"{position:,} is still valid is in a page that {why}; go on with the "
                "same scan: the key of this record is missing"
            )
        if damaged:
            return CorruptRecordError(text, status=error.status)
        return DeviceError(-error.status, text, status=error.status)


class Scan:
    """
    One pass over the live records of a store.

    Args:
        origin: What is scanned.

        session: Gives the calling thread's session.

        key_size: Encoded size of keys, or None when it varies.

        value_size: The same for values.

        with_values: Whether values are wanted.

        cursor: Where to begin; None for the beginning.

    Raises:
        ConfigError: The cursor is not one of this store.
    """

    def __init__(
        self,
        origin: Origin,
        session: Callable[[], Session[Any, Any]],
        key_size: int | None,
        value_size: int | None,
        *,
        with_values: bool,
        cursor: ScanCursor | None = None,
    ) -> None:
        fixed = key_size is not None and value_size is not None
        self._start = start = origin.admit(cursor)
        self._origin = origin
        self._session = session
        self._places = array("Q", bytes(8 * CHUNK_RECORDS))
        self._cursor = _cabi.Cursor(
            start.position, start.end, self._places, origin.handle
        )
        self._keys = Column(key_size, fixed=fixed)
        self._values = Column(value_size, fixed=fixed) if with_values else None
        self._records = self._keys.records()
        if self._values is not None:
            self._records = min(self._records, self._values.records())

    def advance(self, limit: int = CHUNK_RECORDS) -> int:
        """
        Fetch the next piece, at most `limit` records.

        Returns:
            How many there are now; 0 at the end.

        Raises:
            CorruptRecordError, DeviceError: A page could not be read; the next call
                goes on behind it.

            ConfigError: The cursor that the scan began with is no place of the log.
        """
        count = min(limit, self._records)
        while True:
            found, need_key, need_value = self._ask(count)
            if found or not (need_key or need_value):
                return found
            self._keys.make_room(need_key)
            if self._values is not None:
                self._values.make_room(need_value)

    def _ask(self, count: int) -> tuple[int, int, int]:
        values = self._values
        try:
            return _cabi.scan_next(
                self._session().address,
                self._cursor,
                self._keys.results,
                None if values is None else values.results,
                count,
            )
        except (CorruptionError, DeviceError) as error:
            position = self._cursor.position
            if error.status == -errno.EINVAL and position == self._start.position:
                raise self._origin.strange(self._start) from error
            raise self._origin.lost(error, position) from error

    def place(self, row: int) -> ScanCursor:
        """
        Where to go on behind a row of the last piece.
        """
        return ScanCursor(self._places[row], self._cursor.end, self._origin.store)

    def here(self) -> ScanCursor:
        """
        Where the scan goes on: at first where it was told to begin, and after that
        behind the last piece, or behind what could not be read.
        """
        cursor = self._cursor
        return ScanCursor(cursor.position, cursor.end, self._origin.store)

    def keys(self) -> Iterator[bytes]:
        """
        All encoded keys.
        """
        while found := self.advance():
            yield from self._keys.pieces(found)

    def values(self) -> Iterator[bytes]:
        """
        All encoded values.
        """
        for _, value in self.items():
            yield value

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """
        All encoded keys with their values.
        """
        for piece in self.pieces():
            yield from piece

    def count(self) -> int:
        """
        How many records there are.
        """
        total = 0
        while found := self.advance():
            total += found
        return total

    def pieces(self) -> Iterator[Iterator[tuple[bytes, bytes]]]:
        """
        Encoded keys with their values, a piece at a time.
        """
        values = self._values
        if values is None:
            raise TypeError("this scan was begun without values")
        while found := self.advance():
            yield zip(self._keys.pieces(found), values.pieces(found), strict=True)


class Scanner(Iterator[tuple[K, V]], Generic[K, V]):
    """
    The live records of a store, one by one, with a place to go on from.

    Made by `FasterKv.scan`.

    Attributes:
        cursor: Where the scan stands: where it began, then behind what was given last,
            and after an error behind what could not be read.
    """

    cursor: ScanCursor

    def __init__(
        self, scan: Scan, key: Callable[[bytes], K], value: Callable[[bytes], V]
    ) -> None:
        self._scan = scan
        self._key = key
        self._value = value
        self._rows: Iterator[tuple[bytes, bytes]] = iter(())
        self._row = -1
        self.cursor = scan.here()

    def __iter__(self) -> Scanner[K, V]:
        """
        Give the scanner itself.
        """
        return self

    def __next__(self) -> tuple[K, V]:
        """
        Give the next record.

        Raises:
            CorruptRecordError, DeviceError: A page could not be read, and keys are
                missing; the message says which. The next step goes on behind it.
        """
        row = next(self._rows, None)
        while row is None:
            try:
                found = next(self._scan.pieces(), None)
            except (CorruptionError, DeviceError):
                self.cursor = self._scan.here()
                raise
            if found is None:
                raise StopIteration
            self._rows = found
            self._row = -1
            row = next(self._rows, None)
        self._row += 1
        self.cursor = self._scan.place(self._row)
        return self._key(row[0]), self._value(row[1])


__all__ = ["Origin", "Scan", "ScanCursor", "Scanner"]
