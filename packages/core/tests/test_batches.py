# SPDX-License-Identifier: MIT
"""
Batches: every form of many keys and values, and what comes back for each.
"""

from __future__ import annotations

import array
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pyfaster
from pyfaster import Bytes, MergeOverflowError, UInt64
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


# --- sequences of objects -------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000])
def test_lists_of_any_length(count: int) -> None:
    """Every batch does for each item, in order, what the single operation does."""
    seed = 7_000 + count
    print(f"seed {seed}")
    dice = random.Random(seed)
    model: dict[str, str] = {}
    with pyfaster.open(key=str, value=str) as store, store.session() as session:
        keys = [f"k{dice.randrange(count + 1)}" for _ in range(count)]
        values = ["v" * dice.randrange(200) for _ in range(count)]
        session.upsert_many(keys, values)
        model.update(zip(keys, values, strict=True))
        asked = [*keys, "absent"]
        assert session.read_many(asked) == [model.get(key) for key in asked]
        new = session.rmw_many(keys, "!", merge="append", returning=True)
        expected = []
        for key in keys:
            model[key] += "!"
            expected.append(model[key])
        assert new == expected
        assert session.serial == 2 * count
        gone = []
        for key in asked:
            gone.append(model.pop(key, None) is not None)
        assert session.delete_many(asked) == gone
        assert session.read_many(asked) == [None] * len(asked)


def test_iterables_serve_as_sequences(texts: Session[str, str]) -> None:
    """Generators, dict views, sets and tuples are many objects."""
    data = {"a": "1", "b": "2"}
    texts.upsert_many(data.keys(), data.values())
    assert texts.read_many(key for key in ("a", "b", "c")) == ["1", "2", None]
    assert texts.read_many(("b",)) == ["2"]
    assert sorted(texts.read_many({"a", "b"})) == ["1", "2"]
    assert texts.read_many([]) == texts.delete_many([]) == []
    texts.upsert_many([], [])


def test_one_value_stands_for_all(
    ints: Session[int, int], texts: Session[str, str]
) -> None:
    """A single value or input is used for every key, and encoded once."""
    ints.upsert_many(range(5), 7)
    ints.rmw_many(range(5), 1, merge="add")
    ints.rmw_many(np.arange(5), np.int64(1), merge="add")
    ints.rmw_many([0, 0, 0], 1, merge="add")
    assert ints.read_many(list(range(6))) == [12, 9, 9, 9, 9, None]
    texts.upsert_many(["a", "b"], "xyz")
    texts.rmw_many(["a"], "", merge="append")
    assert texts.read_many(["a", "b"]) == ["xyz", "xyz"]


def test_results_of_merges_are_given_when_asked(ints: Session[int, int]) -> None:
    """`returning` gives each item's new value, in order."""
    assert ints.rmw_many([1, 2, 1], [5, 6, 7], merge="add") is None
    assert ints.rmw_many([1, 1], [1, 1], merge="add", returning=True) == [13, 14]


@pytest.mark.parametrize("keys", ["abc", b"abc", {"a": 1}, 3, None, 1.5])
def test_one_key_is_not_many(texts: Session[str, str], keys: Any) -> None:
    """A single object where many are expected is refused, text above all."""
    for call in (
        lambda: texts.read_many(keys),
        lambda: texts.upsert_many(keys, keys),
        lambda: texts.rmw_many(keys, "x", merge="append"),
        lambda: texts.delete_many(keys),
    ):
        with pytest.raises(TypeError, match="keys: expected many keys, found one"):
            call()


def test_counts_must_agree(ints: Session[int, int]) -> None:
    """As many values as keys; else nothing happens."""
    for keys, values in (
        ([1, 2], [1]),
        (np.arange(3), np.arange(2)),
        ([1, 2], np.arange(3)),
    ):
        with pytest.raises(ValueError, match="keys come with"):
            ints.upsert_many(keys, values)
        with pytest.raises(ValueError, match="keys come with"):
            ints.rmw_many(keys, values, merge="add")
    assert ints.serial == 0


def test_a_wrong_type_anywhere_changes_nothing(ints: Session[int, int]) -> None:
    """All items are encoded before the first is done."""
    with pytest.raises(TypeError, match="value: expected int, found str"):
        ints.upsert_many([1, 2, 3], [1, 2, "3"])
    with pytest.raises(OverflowError):
        ints.upsert_many([1, 2, 2**63], [1, 2, 3])
    assert ints.serial == 0
    assert ints.read_many([1, 2]) == [None, None]


@pytest.mark.parametrize("count", [10, 200])
@pytest.mark.parametrize("arrays", [False, True])
def test_an_error_in_the_middle_tells_how_far_it_came(
    ints: Session[int, int], count: int, arrays: bool
) -> None:
    """Items before the failed one are done, it and those behind are not."""
    ints.upsert(5, 2**63 - 1)
    keys: Any = np.arange(count) if arrays else list(range(count))
    for returning in (False, True):
        ints.delete_many([key for key in range(count) if key != 5])
        with pytest.raises(MergeOverflowError) as caught:
            ints.rmw_many(keys, 1, merge="add", returning=returning)
        assert caught.value.done == 5  # type: ignore[attr-defined]  # of batches only
        expected = [1] * 5 + [2**63 - 1] + [None] * (count - 6)
        assert ints.read_many(list(range(count))) == expected


# --- numpy ----------------------------------------------------------------------------


def test_arrays_of_fixed_size_come_back_as_arrays(ints: Session[int, int]) -> None:
    """(values, found) of the exact dtypes; rows of absent keys are zero."""
    ints.upsert_many(np.arange(100), np.arange(100) * 10)
    values, found = ints.read_many(np.arange(95, 105))
    assert values.dtype == np.int64
    assert found.dtype == np.bool_
    assert values.tolist() == [950, 960, 970, 980, 990, 0, 0, 0, 0, 0]
    assert found.tolist() == [True] * 5 + [False] * 5
    new = ints.rmw_many(np.arange(3), np.ones(3, "<i8"), merge="add", returning=True)
    assert new.dtype == np.int64
    assert new.tolist() == [1, 11, 21]
    gone = ints.delete_many(np.array([1, 2, 2, 500]))
    assert gone.dtype == np.bool_
    assert gone.tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("codec", "dtype", "values"),
    [
        (int, "<i8", [-(2**63), -1, 0, 2**63 - 1]),
        (UInt64, "<u8", [0, 1, 2**63, 2**64 - 1]),
        (float, "<f8", [-1.5, 0.25, 1e300, 3.0]),
        (Bytes(3), "|V3", [b"abc", b"a\0\0", b"\0\0\0", b"\0bc"]),
    ],
)
def test_arrays_and_objects_mean_the_same(
    codec: Any, dtype: str, values: list[Any]
) -> None:
    """What an array wrote, a single read finds, and the other way round."""
    column = np.array(values, dtype)
    with pyfaster.open(key=codec, value=codec) as store, store.session() as session:
        session.upsert_many(column, column)
        assert [session.read(value) for value in values] == values
        assert session.read_many(values) == values
        got, found = session.read_many(column)
        assert got.tobytes() == column.tobytes()
        assert got.dtype == column.dtype
        assert found.all()


@pytest.mark.parametrize(
    "keys",
    [
        np.arange(4, dtype="i4"),
        np.arange(4, dtype="u8"),
        np.arange(4, dtype=">i8"),
        np.arange(4, dtype="f8"),
        np.ones(4, dtype=bool),
        np.array(["1", "2"]),
        np.zeros((2, 2), dtype="i8"),
        np.zeros((2, 8), dtype="u1"),
        np.ma.masked_array(np.arange(4), [False, True, False, False]),
        np.arange(4).astype("M8[s]"),
    ],
    ids=str,
)
def test_other_dtypes_are_refused(ints: Session[int, int], keys: Any) -> None:
    """No silent casts: an array has the store's dtype, or TypeError says what is."""
    for call in (
        lambda: ints.read_many(keys),
        lambda: ints.upsert_many([1, 2, 3, 4], keys),
        lambda: ints.rmw_many(keys, 1, merge="add"),
        lambda: ints.delete_many(keys),
    ):
        with pytest.raises(TypeError):
            call()
    assert ints.serial == 0


def test_the_message_names_both_dtypes(ints: Session[int, int]) -> None:
    """Whoever passes int32 learns what is expected."""
    with pytest.raises(TypeError, match="keys: dtype int32 found, expected int64"):
        ints.read_many(np.arange(4, dtype="i4"))
    with pytest.raises(TypeError, match="values: dtype float64 found, expected int64"):
        ints.upsert_many(np.arange(4), np.ones(4))


def test_columns_and_slices_are_read_where_they_are(ints: Session[int, int]) -> None:
    """A stride, a reversal and a broadcast mean the items they show."""
    table = np.arange(30).reshape(10, 3)
    ints.upsert_many(table[:, 1], table[:, 2])
    assert ints.read_many(table[:, 1].tolist()) == table[:, 2].tolist()
    values, found = ints.read_many(table[::-1, 1])
    assert values.tolist() == table[::-1, 2].tolist()
    assert found.all()
    ints.upsert_many(np.arange(4), np.broadcast_to(np.int64(9), 4))
    assert ints.read_many([0, 1, 2, 3]) == [9] * 4
    assert ints.read_many(np.arange(0))[0].shape == (0,)


def test_rows_of_bytes_are_items_of_fixed_size() -> None:
    """A (n, size) array of uint8 is n items."""
    rows = np.arange(12, dtype="u1").reshape(4, 3)
    with (
        pyfaster.open(key=Bytes(3), value=Bytes(3)) as store,
        store.session() as session,
    ):
        session.upsert_many(rows, rows[::-1])
        session.upsert_many(np.asfortranarray(rows), rows[:, ::-1])
        assert session.read(bytes([0, 1, 2])) == bytes([2, 1, 0])
        with pytest.raises(TypeError, match="dtype"):
            session.read_many(np.zeros((2, 4), "u1"))
        with pytest.raises(TypeError, match="dtype"):
            session.read_many(np.zeros(2, "S3"))


def test_out_is_filled_in_place(ints: Session[int, int]) -> None:
    """`out` receives the values; rows of absent keys stay as they were."""
    ints.upsert_many([1, 3], [10, 30])
    out = np.full(3, -1)
    values, found = ints.read_many(np.array([1, 2, 3]), out=out)
    assert values is out
    assert out.tolist() == [10, -1, 30]
    assert found.tolist() == [True, False, True]
    values, found = ints.read_many([3, 3, 9], out=out)
    assert out.tolist() == [30, 30, 30]
    assert found.tolist() == [True, True, False]
    with pytest.raises(TypeError, match="dtype"):
        ints.read_many([1], out=np.zeros(1, "i4"))
    with pytest.raises(ValueError, match="need 8 bytes"):
        ints.read_many([1], out=np.zeros(2, "i8"))
    with pytest.raises((ValueError, BufferError)):
        ints.read_many([1, 2], out=np.zeros((2, 2), "i8")[:, 0])
    with pytest.raises(TypeError, match="out"):
        ints.read_many([1], out=[0])


def test_keys_of_float_are_canonical_in_arrays_too() -> None:
    """-0.0 in an array is the key 0.0; NaN is refused."""
    with pyfaster.open(key=float, value=float) as store, store.session() as session:
        keys = np.array([-0.0, 1.0])
        session.upsert_many(keys, keys)
        assert np.signbit(keys[0])
        assert repr(session.read(0.0)) == "-0.0"
        with pytest.raises(ValueError, match="NaN"):
            session.upsert_many(np.array([1.0, np.nan]), keys)
        session.upsert_many([1.0], np.array([np.nan]))
        assert repr(session.read(1.0)) == "nan"


def test_arrays_of_objects_are_sequences(texts: Session[str, str]) -> None:
    """An object array holds objects; a text array has no dtype of the store's."""
    texts.upsert_many(np.array(["a", "b"], object), np.array(["1", "2"], object))
    assert texts.read_many(["a", "b"]) == ["1", "2"]
    with pytest.raises(TypeError, match="no dtype; pass a list"):
        texts.read_many(np.array(["a"]))


# --- other buffers --------------------------------------------------------------------


def test_plain_buffers_serve_as_arrays(ints: Session[int, int]) -> None:
    """array.array and memoryviews of the right format need no numpy."""
    keys = array.array("q", [1, 2, 3])
    ints.upsert_many(keys, memoryview(keys))
    values, found = ints.read_many(array.array("q", [3, 4]))
    assert values.tolist() == [3, 0]
    assert found.tolist() == [True, False]
    out = array.array("q", [0, 0, 0])
    assert ints.read_many(keys, out=out)[0] is out
    assert out.tolist() == [1, 2, 3]
    assert ints.delete_many(keys).tolist() == [True] * 3
    for wrong in (array.array("i", [1]), array.array("Q", [1]), bytearray(8)):
        with pytest.raises(TypeError, match="buffer of format"):
            ints.read_many(wrong)


def test_bytes_in_a_row_are_items_of_fixed_size(texts: Session[str, str]) -> None:
    """A buffer of bytes is cut into items; one that does not divide is refused."""
    with (
        pyfaster.open(key=Bytes(2), value=Bytes(1)) as store,
        store.session() as session,
    ):
        session.upsert_many(bytearray(b"aabbcc"), memoryview(b"123"))
        assert session.read_many([b"aa", b"bb", b"cc"]) == [b"1", b"2", b"3"]
        values, found = session.read_many(memoryview(b"bbxx"))
        assert bytes(values) == b"2\0"
        assert found.tolist() == [True, False]
        with pytest.raises(ValueError, match="cut off"):
            session.read_many(bytearray(b"aab"))
        session.upsert_many(bytearray(b"aabb"), b"9")
        assert session.read(b"bb") == b"9"
    with pytest.raises(TypeError, match="expected many keys"):
        texts.read_many(bytearray(b"aa"))


@pytest.mark.parametrize("size", [0, 10, 100_000])
def test_values_of_varying_size_come_as_buffers(
    texts: Session[str, str], size: int
) -> None:
    """(data, offsets, found): ours grows as it must, the caller's raises."""
    texts.upsert_many(["a", "b", "c"], ["x" * size, "", "yz"])
    data, offsets, found = texts.read_many(["a", "n", "b", "c"], as_buffers=True)
    assert offsets.tolist() == [0, size, size, size, size + 2]
    assert bytes(data) == b"x" * size + b"yz"
    assert found.tolist() == [True, False, True, True]
    out = bytearray(size + 2)
    data, offsets, found = texts.read_many(["a", "c"], out=out)
    assert bytes(data) == bytes(out) == b"x" * size + b"yz"
    room = np.zeros(size + 10, "u1")
    data, offsets, found = texts.read_many(["c", "n"], out=room)
    assert isinstance(data, np.ndarray)
    assert data.tobytes() == b"yz"
    assert offsets.tolist() == [0, 2, 2]
    with pytest.raises(ValueError, match="the values of 1 of 2 keys"):
        texts.read_many(["a", "c"], out=bytearray(size + 1))


def test_objects_may_ask_for_buffers(ints: Session[int, int]) -> None:
    """On a store of fixed size `as_buffers` gives (values, found) for a list too."""
    ints.upsert(1, 5)
    values, found = ints.read_many([1, 2], as_buffers=True)
    assert values.tolist() == [5, 0]
    assert found.tolist() == [True, False]
