# SPDX-License-Identifier: MIT
"""
Batches: from the forms in which users have many items to the core's, and back.

Theory of operation: each side of a batch (keys, values, inputs) becomes `_hot.Items`,
borrowed from arrays and buffers, encoded from sequences. What comes back is a list when
Python objects went in, and buffers of the caller's or of ours otherwise. numpy is never
imported: whoever passes an array has done that.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyfaster import _hot

if TYPE_CHECKING:
    from pyfaster.protocols import Codec

    Session = _hot.Session[Any, Any]

#: Numbers of `enum operation` in csrc/batch.h.
READ, UPSERT, RMW, DELETE = range(4)

#: Formats of plain buffers that are an array of the dtype; all of 8 bytes.
_FORMATS = {"<i8": "qln", "<u8": "QLN", "<f8": "d"}
_ARROW = "__arrow_c_array__"
_CHUNKS = "__arrow_c_stream__"
_BYTE_FORMATS = ("B", "b", "c")
#: Room for a value of varying size before anything is known, in bytes.
_VALUE_GUESS = 32


@dataclass(frozen=True, slots=True)
class Column:
    """
    One side of a store: its keys, or its values.

    Attributes:
        role: "keys" or "values", for messages.

        codec: What the user chose.

        hot: What the C module encodes with.
    """

    role: str
    codec: Codec[Any]
    hot: _hot.Codec

    def items(self, source: Any) -> _hot.Items | None:
        """
        Borrow from an array or buffer; None when the source is a sequence of objects.

        Raises:
            TypeError: The source is an array of something else.
        """
        numpy = _numpy_of(source)
        if numpy is not None:
            return self._from_array(source, numpy)
        if hasattr(source, _ARROW):
            return _hot.arrow(self.hot, *source.__arrow_c_array__())
        if isinstance(source, (list, tuple)):
            return None
        try:
            view = memoryview(source)
        except TypeError:
            if hasattr(source, _CHUNKS):
                raise TypeError(
                    f"{self.role}: {type(source).__name__} comes in chunks; combine "
                    "them into one Arrow array, or pass chunk by chunk"
                ) from None
            return None
        with view:
            self._check_buffer(view)
        return _hot.borrow(self.hot, source)

    def _from_array(self, array: Any, numpy: Any) -> _hot.Items | None:
        if array.dtype == object:
            return None
        if isinstance(array, numpy.ma.MaskedArray):
            raise TypeError(f"{self.role}: a masked array holds no value where masked")
        expected, size = self.codec.dtype, self.codec.size
        rows = array.ndim == 2 and array.dtype == numpy.uint8 and array.shape[1] == size
        if expected is None and not (rows and size is not None):
            raise TypeError(
                f"{self.role}: an array of dtype {array.dtype} found, but the codec "
                f"{self.codec.name!r} has no dtype; pass a list"
            )
        numbers = isinstance(expected, str) and expected in _FORMATS
        if not rows or numbers:
            wanted = numpy.dtype(expected)
            if array.dtype != wanted:
                raise TypeError(
                    f"{self.role}: dtype {array.dtype} found, expected {wanted} "
                    f"({self.codec.name}); convert the array first"
                )
            if array.ndim != 1:
                raise TypeError(f"{self.role}: an array of 1 dimension is expected")
        if array.strides[0] < 0 or (rows and array.strides[1] != 1):
            array = numpy.ascontiguousarray(array)
        return _hot.borrow(self.hot, array)

    def _check_buffer(self, view: memoryview) -> None:
        """
        Refuse a buffer of other items than the codec's.
        """
        dtype, size = self.codec.dtype, self.codec.size
        found = f"{self.role}: a buffer of format {view.format!r} found"
        if size is None:
            raise TypeError(
                f"{found}, but items of the codec {self.codec.name!r} vary in size; "
                "pass a list, or an Arrow array"
            )
        if isinstance(dtype, str) and dtype in _FORMATS:
            fits = view.format in tuple(_FORMATS[dtype]) and view.itemsize == 8
            expected = f"format {_FORMATS[dtype][0]!r} ({self.codec.name})"
        else:
            fits = view.format in _BYTE_FORMATS
            expected = f"format 'B', {size} bytes an item ({self.codec.name})"
        if not fits:
            raise TypeError(f"{found}, expected {expected}")

    def rows(self, count: int, numpy: Any) -> Any:
        """
        Make room for items of fixed size, zeroed.
        """
        size = self.codec.size or 0
        if numpy is not None:
            return numpy.zeros(count, dtype=self.codec.dtype or f"|V{size}")
        room = memoryview(bytearray(count * size))
        dtype = self.codec.dtype
        if isinstance(dtype, str) and dtype in _FORMATS:
            return room.cast(_FORMATS[dtype][0])  # type: ignore[call-overload]
        return room


@dataclass(frozen=True, slots=True)
class Columns:
    """
    Both sides of a store.
    """

    keys: Column
    values: Column

    @property
    def fixed(self) -> bool:
        """
        Whether every record has the same size.
        """
        return self.keys.codec.size is not None and self.values.codec.size is not None


def _numpy_of(source: Any) -> Any:
    """
    The module numpy if the source is one of its arrays, else None.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(source, numpy.ndarray):
        return None
    return numpy


def _keys(columns: Columns, source: Any) -> tuple[Any, bool]:
    """
    The keys of a batch, and whether they came as a buffer.
    """
    if _is_one(columns.keys, source):
        kind = type(source).__name__
        raise TypeError(f"keys: expected many keys, found one {kind}; pass a list")
    items = columns.keys.items(source)
    return (tuple(source), False) if items is None else (items, True)


def _values(column: Column, source: Any, count: int) -> Any:
    """
    The values of a batch; one value stands for all.
    """
    if _is_one(column, source):
        return _hot.repeat(column.hot, source, count)
    items = column.items(source)
    return source if items is None else items


def _is_one(column: Column, source: Any) -> bool:
    """
    Whether something is one object, not many.
    """
    if isinstance(source, (list, tuple)):
        return False
    if isinstance(source, (str, bytes, Mapping)):
        return True
    if isinstance(source, (bytearray, memoryview)):
        return column.codec.size is None
    if _numpy_of(source) is not None:
        return bool(source.ndim == 0)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(source, numpy.generic):
        return True
    return not any(
        hasattr(source, name) for name in ("__iter__", "__buffer__", _ARROW, _CHUNKS)
    )


def _flags(count: int, numpy: Any) -> Any:
    if numpy is not None:
        return numpy.zeros(count, dtype=bool)
    return memoryview(bytearray(count)).cast("?")


def read_many(
    session: Session, columns: Columns, keys: Any, out: Any, as_buffers: bool
) -> Any:
    """
    See `Session.read_many`.
    """
    items, buffered = _keys(columns, keys)
    wanted = as_buffers or out is not None
    if not wanted and not (buffered and columns.fixed):
        return session.read_list(items)
    if not buffered:
        items = _hot.pack(columns.keys.hot, items)
    if not columns.fixed:
        return _read_varying(session, items, out)
    numpy = _numpy_of(keys) or _numpy_of(out)
    count = len(items)
    values = columns.values.rows(count, numpy) if out is None else out
    if out is not None:
        _check_out(columns.values, out, count)
    found = _flags(count, numpy)
    session.run(READ, None, items, None, values, None, found, 0)
    return values, found


def _check_out(column: Column, out: Any, count: int) -> None:
    """
    Refuse room for values that is not exactly an array of `count` of them.
    """
    if column.items(out) is None:
        raise TypeError(f"out: expected a buffer, found {type(out).__name__}")
    size = column.codec.size or 0
    found = memoryview(out).nbytes
    if found != count * size:
        raise ValueError(
            f"out: {count} values of {size} bytes need {count * size} bytes, "
            f"found {found}"
        )


def _read_varying(session: Session, items: _hot.Items, out: Any) -> Any:
    """
    Read values of varying size into one buffer, which grows if it is ours.
    """
    count = len(items)
    offsets = bytearray(8 * (count + 1))
    found = bytearray(count)
    data = bytearray(_VALUE_GUESS * count + 1) if out is None else out
    done = session.run(READ, None, items, None, data, offsets, found, 0)
    while done < count:
        if out is not None:
            room = memoryview(out).nbytes
            raise ValueError(
                f"out: {room} bytes hold the values of {done} of {count} keys"
            )
        data.extend(bytes(len(data)))
        done = session.run(READ, None, items, None, data, offsets, found, done)
    numpy = _numpy_of(out)
    ends = memoryview(offsets).cast("q")
    if numpy is None:
        return memoryview(data).cast("B")[: ends[count]], ends, _as_bool(found)
    whole = out.view(numpy.uint8).reshape(-1)
    return whole[: ends[count]], numpy.asarray(ends), numpy.asarray(_as_bool(found))


def _as_bool(flags: bytearray) -> Any:
    return memoryview(flags).cast("?")


def read_encoded(session: Session, columns: Columns, key: Any) -> memoryview | None:
    """
    Read one value's bytes, or None.
    """
    items = _hot.pack(columns.keys.hot, (key,))
    if not columns.fixed:
        data, _, found = _read_varying(session, items, None)
    else:
        data, found = bytearray(columns.values.codec.size or 0), bytearray(1)
        session.run(READ, None, items, None, data, None, found, 0)
    return memoryview(bytes(data)) if found[0] else None


def upsert_many(session: Session, columns: Columns, keys: Any, values: Any) -> None:
    """
    See `Session.upsert_many`.
    """
    items, _ = _keys(columns, keys)
    session.upsert_list(items, _values(columns.values, values, len(items)))


def rmw_many(
    session: Session,
    columns: Columns,
    keys: Any,
    inputs: Any,
    merge: str | _hot.Merge,
    returning: bool,
) -> Any:
    """
    See `Session.rmw_many`.
    """
    items, buffered = _keys(columns, keys)
    column = _inputs(columns.values, merge)
    packed = _values(column, inputs, len(items))
    if not (returning and buffered and columns.fixed):
        return session.rmw_list(items, packed, merge, returning)
    if not isinstance(packed, _hot.Items):
        packed = _hot.pack(column.hot, packed)
    values = columns.values.rows(len(items), _numpy_of(keys))
    session.run(RMW, merge, items, packed, values, None, None, 0)
    return values


def _inputs(values: Column, merge: str | _hot.Merge) -> Column:
    """
    The column of a merge's inputs: that of the values, unless the merge says otherwise.
    """
    if not isinstance(merge, _hot.Merge):
        return values
    if merge.input is None:
        return values
    _, codec = merge.keep
    return Column("inputs", codec, merge.input)


def delete_many(session: Session, columns: Columns, keys: Any) -> Any:
    """
    See `Session.delete_many`.
    """
    items, buffered = _keys(columns, keys)
    if not buffered:
        return session.delete_list(items)
    found = _flags(len(items), _numpy_of(keys))
    session.run(DELETE, None, items, None, None, None, found, 0)
    return found
