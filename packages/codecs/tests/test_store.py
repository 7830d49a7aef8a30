# SPDX-License-Identifier: MIT
"""Codecs at work in a store: single objects, batches of arrays, merges, refusals."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import codec_shapes as shapes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import pyfaster
from pyfaster.errors import CodecError, ConfigError, MergeError, MergeOverflowError
from pyfaster_codecs import Json, MsgPack, Numpy, Struct, codec

POINT = np.dtype([("x", "<i4"), ("y", "<i4"), ("tag", "S4")])
PADDED = np.dtype([("a", "u1"), ("b", "<i4")], align=True)


class Note(BaseModel):
    """A model."""

    text: str


class NoEncode(Numpy):
    """A codec that fails when an object is encoded or decoded one by one."""

    __slots__ = ()

    def encode(self, value: Any, /) -> bytes:
        """Fail."""
        raise AssertionError("an array was encoded item by item")

    def decode(self, data: bytes, /) -> Any:
        """Fail."""
        raise AssertionError("an array was decoded item by item")


def plain(one: Any) -> Any:
    """Give a numpy record as a tuple; it refuses to be compared with one."""
    return one.item() if isinstance(one, np.void) else one


RECORDS: list[tuple[Any, Any, dict[Any, Any]]] = [
    (shapes.Pair, list[int], {shapes.Pair(1, "a"): [1, 2], shapes.Pair(1, "b"): []}),
    (shapes.Order, dict[str, float], {shapes.Order(1, "a"): {"x": 0.5}}),
    (tuple[int, str], Decimal, {(1, "a"): Decimal("1.50"), (2, ""): Decimal("-0")}),
    (date, datetime, {date(2024, 5, 1): datetime(2024, 5, 1, 12, tzinfo=UTC)}),
    (shapes.Color, Note, {shapes.Color.RED: Note(text="é")}),
    (Struct("<IH"), Struct("<d?"), {(1, 2): (0.5, True), (3, 4): (-0.0, False)}),
    (Struct("<q2x"), str, {(-1,): "minus one"}),
    (np.dtype("<u2"), shapes.Box, {np.uint16(7): shapes.Box([1], 2.0)}),
    (POINT, np.dtype("<f4"), {(1, -1, b"ab"): np.float32(0.5)}),
    (PADDED, bool, {(1, -1): True}),
    (np.dtype("M8[s]"), np.dtype("U3"), {np.datetime64(5, "s"): np.str_("abc")}),
    ("struct:<2I", 'numpy:[["a","<i4"],["",4]]', {(1, 2): (3,)}),
]


@pytest.mark.parametrize(("key", "value", "records"), RECORDS)
def test_every_kind_of_codec_serves_a_store(key: Any, value: Any, records: Any) -> None:
    """What is put in comes out, by key, by scanning and in a list, and goes away."""
    with pyfaster.open(key=key, value=value) as store, store.session() as session:
        store.update(records)
        assert len(store) == len(records)
        for one, expected in records.items():
            assert plain(store[one]) == expected
            assert one in store
        listed = session.read_many(list(records))
        assert [plain(one) for one in listed] == list(records.values())
        assert {plain(k): plain(v) for k, v in store.items()} == records
        assert set(store) == set(store.keys())
        for one in records:
            del store[one]
        assert len(store) == 0


@given(
    st.dictionaries(
        st.tuples(st.integers(-99, 99), st.integers(0, 9), st.binary(max_size=3)),
        st.floats(width=32, allow_nan=False),
        max_size=200,
    ),
    st.integers(1, 7),
)
def test_arrays_and_objects_name_the_same_keys(
    records: dict[Any, float], step: int
) -> None:
    """Keys that go in as an array come out one by one, and the other way round."""
    kept = {(x, y, tag.rstrip(b"\0")): v for (x, y, tag), v in records.items()}
    keys = np.array(list(kept), dtype=POINT)
    values = np.array(list(kept.values()), dtype="<f4")
    with (
        pyfaster.open(key=POINT, value=np.dtype("<f4")) as store,
        store.session() as session,
    ):
        session.upsert_many(keys[::step], values[::step])
        for index in range(len(keys)):
            expected = values[index] if index % step == 0 else None
            assert session.read(keys[index]) == expected
            assert session.read(keys[index].item()) == expected
        got, found = session.read_many(keys)
        assert found.tolist() == [i % step == 0 for i in range(len(keys))]
        assert (got[found] == values[::step]).all()
        assert session.delete_many(list(kept)) == found.tolist()
        assert len(store) == 0


def test_arrays_are_not_taken_apart() -> None:
    """A batch of arrays never calls the codec, and gives arrays of the dtype."""
    with (
        pyfaster.open(key=NoEncode(POINT), value=NoEncode("<i8")) as store,
        store.session() as session,
    ):
        keys = np.zeros(1000, dtype=POINT)
        keys["x"] = np.arange(1000)
        session.upsert_many(keys, np.arange(1000, dtype="<i8"))
        session.rmw_many(keys, np.ones(1000, dtype="<i8"), merge="add")
        out = np.empty(1000, dtype="<i8")
        values, found = session.read_many(keys, out=out)
        assert values is out
        assert found.all()
        assert (out == np.arange(1, 1001)).all()
        with pytest.raises(AssertionError, match="item by item"):
            session.read((1, 2, b""))


def test_struct_formats_take_arrays() -> None:
    """Records of a struct format go into batches as structured arrays."""
    keys = Struct("<IH", ["id", "kind"])
    with (
        pyfaster.open(key=keys, value=Struct("<q")) as store,
        store.session() as session,
    ):
        array = np.array([(1, 2), (3, 4)], dtype=keys.dtype)
        session.upsert_many(array, np.array([(10,), (20,)], dtype=[("f0", "<i8")]))
        assert session.read((3, 4)) == (20,)
        assert session.rmw((3, 4), (5,), merge="add") == (25,)
        values, _ = session.read_many(array)
        assert values.tolist() == [(10,), (25,)]


def test_arrays_of_another_dtype_are_refused() -> None:
    """Arrays are never cast, and padded dtypes take lists only."""
    with (
        pyfaster.open(key=np.dtype("<i4"), value=PADDED) as store,
        store.session() as session,
    ):
        keys = np.arange(3, dtype="<i4")
        with pytest.raises(TypeError, match="convert the array"):
            session.read_many(keys.astype("<i8"))
        with pytest.raises(TypeError, match="pass a list"):
            session.upsert_many(keys, np.zeros(3, dtype=PADDED))
        session.upsert_many(keys, [(1, 2), (3, 4), (5, 6)])
        assert session.read(1) == np.array((3, 4), dtype=PADDED)


@pytest.mark.parametrize(
    "dtype", ["<i1", "<i2", "<i4", "<i8", "<u1", "<u2", "<u4", "<u8", "<f4", "<f8"]
)
def test_numbers_of_every_width_merge(dtype: str) -> None:
    """Merges compute in the width of the dtype; integers refuse to overflow."""
    kind = np.dtype(dtype)
    with pyfaster.open(key=int, value=kind) as store:
        assert store.rmw(1, 40, merge="add") == 40
        assert store.rmw(1, kind.type(2), merge="add") == 42
        assert store.rmw(1, 50, merge="max") == 50
        assert store.rmw(1, 3, merge="min") == 3
        assert store[1].dtype == kind
        if kind.kind in "iu":
            assert store.rmw(1, 4, merge="bit_or") == 7
            store[1] = np.iinfo(kind).max
            with pytest.raises(MergeOverflowError):
                store.rmw(1, 1, merge="add")
            assert store[1] == np.iinfo(kind).max


def test_numbers_merge_under_keys_of_any_size() -> None:
    """Values that are numbers merge also where keys vary in size."""
    with pyfaster.open(key=tuple[int, str], value=np.dtype("<i2")) as store:
        assert store.rmw((1, "a"), 40, merge="add") == 40
        assert store.rmw((1, "a"), 2, merge="add") == 42
        with pytest.raises(MergeOverflowError):
            store.rmw((1, "a"), 2**15 - 1, merge="add")


def test_records_do_not_merge_as_numbers() -> None:
    """Values that are no single number have no arithmetic."""
    with pyfaster.open(key=int, value=POINT) as store, pytest.raises(MergeError):
        store.rmw(1, (1, 2, b""), merge="add")


@pytest.mark.parametrize(
    "spec",
    [float | int, list[int], set[str], dict, dict[str, int], Decimal, datetime, Any,
     shapes.Box, shapes.Noted, shapes.Sparse, shapes.Modulo, shapes.Entry, Note,
     np.dtype("<f8"), np.float32, np.dtype("?"), Struct("<d"), Struct("<?"),
     np.dtype([("a", "<i4"), ("b", "<f4")]), tuple[int, float],
     codec(name="mine", encode=bytes, decode=bytes)],
)  # fmt: skip
def test_these_are_refused_as_keys(spec: Any) -> None:
    """What cannot promise equal bytes for equal objects is refused when opening."""
    with pytest.raises(CodecError, match="may not serve keys"):
        pyfaster.open(key=spec, value=int)
    with pyfaster.open(key=int, value=spec) as store:
        assert len(store) == 0


@pytest.mark.parametrize(
    "spec", [np.dtype(">i4"), np.dtype("O"), list[complex], "msgpack:X", "struct:I", 5]
)
def test_these_are_refused_altogether(spec: Any) -> None:
    """What has no portable bytes is refused as a value too."""
    with pytest.raises(ConfigError):
        pyfaster.open(key=int, value=spec)


def test_a_refused_object_changes_nothing() -> None:
    """An object that cannot be stored leaves the old one, and takes no serial."""
    with (
        pyfaster.open(key=shapes.Pair, value=list[int]) as store,
        store.session() as session,
    ):
        session.upsert(shapes.Pair(1), [1])
        before = session.serial
        for key, value in (
            (shapes.Pair(1), ["x"]),
            (shapes.Pair(1), (1, 2)),
            (shapes.Pair(True), [1]),
            ((1, "", 0), [1]),
        ):
            with pytest.raises((TypeError, ValueError)):
                session.upsert(key, value)
        assert session.serial == before
        assert session.read(shapes.Pair(1)) == [1]


def test_values_compare_by_what_they_hold() -> None:
    """Compare-and-set finds equal dicts and sets however they were filled."""
    with pyfaster.open(key=int, value=dict[str, set[int]]) as store:
        store[1] = {"a": {1, 8}, "b": set()}
        assert store.compare_and_set(1, {"b": set(), "a": {8, 1}}, {}) is True
        assert store[1] == {}


@pytest.mark.parametrize("hash", ["xxh3", "xxh64"])
def test_stores_open_with_each_hash(hash: str) -> None:
    """A store finds its keys with the core's hash and with the added one."""
    with pyfaster.open(key=tuple[int, int], value=str, hash=hash) as store:
        store.update({(i, i * i): str(i) for i in range(2000)})
        assert all(store[i, i * i] == str(i) for i in range(2000))
        assert store.config.hash == hash


def test_made_codecs_are_used_as_they_are() -> None:
    """Codecs passed as key= and value= need not be registered."""
    names = MsgPack(shapes.Pair, name="pair-v2"), Json(Note, name="note-v2")
    with pyfaster.open(key=names[0], value=names[1]) as store:
        store[shapes.Pair(1, "a")] = Note(text="x")
        assert store[shapes.Pair(1, "a")] == Note(text="x")
        assert store.key_codec.name == "msgpack:pair-v2"
        assert store.value_codec.name == "json:note-v2"
