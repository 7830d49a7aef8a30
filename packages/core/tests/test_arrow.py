# SPDX-License-Identifier: MIT
"""
Batches from the Arrow C data interface.

The arrays are made by hand, so no Arrow library is needed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pyfaster
from pyfaster import Bytes, UInt64, _hot
from pyfaster._session import Session


@pytest.fixture
def ints() -> Iterator[Session[int, int]]:
    """A session of a store of fixed size."""
    with pyfaster.open(key=int, value=int) as store, store.session() as session:
        yield session


@pytest.fixture
def texts() -> Iterator[Session[str, str]]:
    """A session of a store of varying size."""
    with pyfaster.open(key=str, value=str) as store, store.session() as session:
        yield session


class Schema(ctypes.Structure):
    """struct ArrowSchema, as the specification has it."""


Schema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_char_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.c_void_p),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]


class Array(ctypes.Structure):
    """struct ArrowArray, as the specification has it."""

    _fields_ = (
        ("length", ctypes.c_int64),
        ("null_count", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("buffers", ctypes.POINTER(ctypes.c_void_p)),
        ("children", ctypes.c_void_p),
        ("dictionary", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype = ctypes.py_object
new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


class Column:
    """
    An Arrow array made by hand; it lives as long as this object.
    """

    def __init__(
        self,
        kind: bytes,
        length: int,
        *buffers: bytes | None,
        offset: int = 0,
        nulls: int = 0,
        released: bool = False,
    ) -> None:
        self.held = [
            None if one is None else np.frombuffer(one, "u1") for one in buffers
        ]
        pointers = [None if one is None else one.ctypes.data for one in self.held]
        self.buffers = (ctypes.c_void_p * len(buffers))(*pointers)
        release = None if released else 1  # never called: the capsules own nothing
        self.schema = Schema(format=kind, release=release)
        self.array = Array(
            length=length,
            null_count=nulls,
            offset=offset,
            n_buffers=len(buffers),
            buffers=self.buffers,
            release=release,
        )

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[Any, Any]:
        return (
            new_capsule(ctypes.addressof(self.schema), b"arrow_schema", None),
            new_capsule(ctypes.addressof(self.array), b"arrow_array", None),
        )


def numbers(dtype: str, *values: float) -> bytes:
    return np.array(values, dtype).tobytes()


def test_arrow_numbers(ints: Session[int, int]) -> None:
    """Fixed columns are read where they are, slices included."""
    data = numbers("i8", 1, 2, 3, 4)
    ints.upsert_many(Column(b"l", 4, None, data), Column(b"l", 4, None, data))
    values, found = ints.read_many(Column(b"l", 2, None, data, offset=2))
    assert values.tolist() == [3, 4]
    assert found.tolist() == [True, True]
    assert ints.delete_many(Column(b"l", 1, None, data)).tolist() == [True]
    assert ints.read_many(Column(b"l", 0, None, None))[0].tolist() == []


@pytest.mark.parametrize(("kind", "width"), [(b"u", "i4"), (b"U", "i8")])
def test_arrow_texts(texts: Session[str, str], kind: bytes, width: str) -> None:
    """Text columns with offsets of 32 and of 64 bits, slices included."""
    ends = numbers(width, 0, 1, 1, 4, 6)
    column = Column(kind, 4, None, ends, b"abcdef")
    texts.upsert_many(column, column)
    assert texts.read_many(["a", "", "bcd", "ef"]) == ["a", "", "bcd", "ef"]
    part = Column(kind, 2, None, ends, b"abcdef", offset=2)
    assert texts.read_many(part) == ["bcd", "ef"]
    data, offsets, _ = texts.read_many(part, as_buffers=True)
    again = Column(b"U", 2, None, bytes(offsets), bytes(data))
    assert texts.read_many(again) == ["bcd", "ef"]
    assert texts.read_many(Column(kind, 0, None, None, None)) == []
    assert texts.delete_many(part).tolist() == [True, True]


@pytest.mark.parametrize(
    ("codec", "column", "keys"),
    [
        (UInt64, Column(b"L", 2, None, numbers("u8", 1, 2**63)), [1, 2**63]),
        (float, Column(b"g", 2, None, numbers("f8", 1.5, -0.0)), [1.5, 0.0]),
        (bytes, Column(b"z", 1, None, numbers("i4", 1, 3), b"abc"), [b"bc"]),
        (bytes, Column(b"Z", 1, None, numbers("i8", 0, 0), b""), [b""]),
        (Bytes(2), Column(b"w:2", 2, None, b"aabb"), [b"aa", b"bb"]),
    ],
)
def test_arrow_types_of_every_codec(
    codec: Any, column: Column, keys: list[Any]
) -> None:
    """Each builtin codec takes its own Arrow types."""
    with pyfaster.open(key=codec, value=int) as store, store.session() as session:
        session.upsert_many(column, 7)
        assert session.read_many(keys) == [7] * len(keys)


@pytest.mark.parametrize(
    ("column", "error"),
    [
        (Column(b"i", 1, None, numbers("i4", 1)), TypeError),
        (Column(b"L", 1, None, numbers("u8", 1)), TypeError),
        (Column(b"u", 1, None, numbers("i4", 0, 1), b"a"), TypeError),
        (Column(b"+s", 1, None), TypeError),
        (Column(b"", 1, None), TypeError),
        (Column(b"lx", 1, None, numbers("i8", 1)), TypeError),
        (Column(b"l", 2, b"\x01", numbers("i8", 1, 2), nulls=1), ValueError),
        (Column(b"l", 2, b"\x01", numbers("i8", 1, 2), nulls=-1), ValueError),
        (Column(b"l", 1, None, numbers("i8", 1), released=True), ValueError),
    ],
)
def test_other_arrow_columns_are_refused(
    ints: Session[int, int], column: Column, error: type[Exception]
) -> None:
    """Other types, nulls and released arrays never reach the core."""
    with pytest.raises(error, match="Arrow array"):
        ints.read_many(column)


def test_arrow_nulls_outside_a_slice_do_not_matter(ints: Session[int, int]) -> None:
    """Only the validity of the items themselves counts."""
    data = numbers("i8", 1, 2, 3)
    column = Column(b"l", 2, b"\x06", data, offset=1, nulls=-1)
    ints.upsert_many(column, column)
    assert ints.read_many([1, 2, 3]) == [None, 2, 3]


@pytest.mark.parametrize("ends", [(2, 1), (-1, 0), (0, 1, 0)])
def test_offsets_that_do_not_ascend_are_refused(
    texts: Session[str, str], ends: tuple[int, ...]
) -> None:
    """Damaged offsets raise instead of reading elsewhere."""
    column = Column(b"u", len(ends) - 1, None, numbers("i4", *ends), b"abc")
    with pytest.raises(ValueError, match="offsets must ascend"):
        texts.read_many(column)


class Chunked:
    """What has an Arrow stream only, as a chunked array has."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        raise AssertionError("a stream is not asked for")


def test_chunked_arrow_columns_are_explained(ints: Session[int, int]) -> None:
    """Data in chunks is refused with what to do."""
    with pytest.raises(TypeError, match="comes in chunks"):
        ints.read_many(Chunked())


def test_capsules_are_checked() -> None:
    """A capsule of another name is refused."""
    codec = _hot.Codec("int64", key=True)
    schema, items = Column(b"l", 1, None, numbers("i8", 1)).__arrow_c_array__()
    for pair in ((items, schema), (schema, schema), (1, 2), (None, items)):
        with pytest.raises((TypeError, ValueError)):
            _hot.arrow(codec, *pair)
