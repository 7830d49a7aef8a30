# SPDX-License-Identifier: MIT
"""numpy dtypes: what is taken, what comes back, and what is never cast."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pyfaster.errors import CodecError, ConfigError
from pyfaster.protocols import Codec
from pyfaster_codecs import Numpy
from pyfaster_codecs._layout import dtype_by_name

SCALARS = st.sampled_from(
    ["|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f2", "<f4",
     "<f8", "<c8", "<c16", "|S1", "|S5", "<U1", "<U4", "<M8[us]", "<m8[D]", "<M8[25s]"]
)  # fmt: skip
EXACT = st.sampled_from(
    ["|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "|S1", "|S5", "|V3",
     "<M8[us]", "<m8[D]"]
)  # fmt: skip


def structures(leaves: st.SearchStrategy[str]) -> st.SearchStrategy[np.dtype[Any]]:
    """Structured dtypes of some leaves, nested, with arrays in them, packed or not."""
    shapes = st.sampled_from([(), (2,), (2, 3)])

    def build(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        fields = st.lists(st.tuples(inner, shapes), min_size=1, max_size=4)
        return st.builds(
            lambda parts, align: np.dtype(
                [(f"f{i}", kind, shape) for i, (kind, shape) in enumerate(parts)],
                align=align,
            ),
            fields,
            st.booleans(),
        )

    return st.recursive(leaves.map(np.dtype), build, max_leaves=6)


@given(structures(SCALARS), st.data())
def test_scalars_and_records_come_back(
    dtype: np.dtype[Any], data: st.DataObject
) -> None:
    """What numpy holds is encoded and decoded bit for bit, with padding of zeros."""
    codec = Numpy(dtype)
    value = data.draw(hnp.arrays(dtype, (1,)))[0]
    encoded = codec.encode(value)
    back = codec.decode(encoded)
    assert len(encoded) == codec.size == dtype.itemsize
    assert back.dtype == np.asarray(value).dtype or dtype.kind in "SU"
    assert codec.encode(back) == encoded
    if codec.dtype is not None:
        assert np.array([value], dtype=dtype).tobytes() == encoded


@given(structures(EXACT), st.data())
def test_a_key_dtype_has_no_two_forms(
    dtype: np.dtype[Any], data: st.DataObject
) -> None:
    """Every bit pattern of a canonical, packed dtype is an object of its own."""
    codec = Numpy(dtype)
    assume(codec.dtype is not None)
    size = dtype.itemsize
    pattern = data.draw(st.binary(min_size=size, max_size=size))
    assert codec.canonical
    assert codec.encode(codec.decode(pattern)) == pattern


@given(structures(SCALARS))
def test_a_name_means_its_dtype(dtype: np.dtype[Any]) -> None:
    """The stable name alone gives the same dtype and the same name again."""
    codec = Numpy(dtype)
    made = dtype_by_name(codec.name)
    assert made == dtype
    assert Numpy(made).name == codec.name
    if codec.dtype is not None:
        assert np.dtype(codec.dtype) == dtype


@given(st.binary(min_size=8, max_size=8))
def test_padding_is_not_stored(pattern: bytes) -> None:
    """Records that differ in their padding only have the same bytes."""
    dtype = np.dtype([("a", "u1"), ("b", "<i4")], align=True)
    codec = Numpy(dtype)
    dirty = np.frombuffer(pattern, dtype=dtype)[0]
    assert codec.encode(dirty) == codec.encode((int(dirty["a"]), int(dirty["b"])))
    assert codec.dtype is None
    assert codec.canonical


def test_dirty_padding_is_not_decoded() -> None:
    """Bytes with something in the padding are no encoded record."""
    codec = Numpy(np.dtype([("a", "u1"), ("b", "<i4")], align=True))
    with pytest.raises(ValueError, match="padding"):
        codec.decode(b"\1\1\0\0\1\0\0\0")


@given(st.integers(-(2**70), 2**70), st.sampled_from(["|i1", "<u2", "<i4", "<u8"]))
def test_integers_fit_or_are_refused(number: int, dtype: str) -> None:
    """A Python int comes back equal, or is refused; it never wraps around."""
    codec, limits = Numpy(dtype), np.iinfo(dtype)
    if limits.min <= number <= limits.max:
        assert int(codec.decode(codec.encode(number))) == number
    else:
        with pytest.raises(OverflowError, match="does not fit"):
            codec.encode(number)


@given(st.integers(-128, 127))
def test_equal_integers_have_equal_bytes(number: int) -> None:
    """Equal integers of any type are the same key."""
    codec = Numpy("<i4")
    equal: list[Any] = [number, np.int8(number), np.int64(number), np.array(number)]
    equal += [bool(number)] if number in (0, 1) else []
    assert {codec.encode(one) for one in equal} == {codec.encode(number)}


def test_the_contract_is_met() -> None:
    """A Numpy fits the protocol; scalars say what merges may do with them."""
    codec = Numpy(np.int32)
    assert isinstance(codec, Codec)
    assert (codec.name, codec.size, codec.dtype) == ("numpy:<i4", 4, "<i4")
    assert (codec.value_type, codec.canonical) == ("i32", True)
    kinds = ["i1", "i2", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "f2", "c8"]
    types = [Numpy(kind).value_type for kind in kinds]
    assert types == ["i8", "i16", "i64", "u8", "u16", "u32", "u64", "f32", "f64",
                     "opaque", "opaque"]  # fmt: skip


@pytest.mark.parametrize(
    ("dtype", "error", "text"),
    [
        ("O", CodecError, "Python objects"),
        ([("a", "O")], CodecError, "Python objects"),
        (">i4", ConfigError, "astype"), ([("a", ">i4")], ConfigError, "astype"),
        ("g", CodecError, "differs between machines"),
        ("S", ConfigError, "no size"), (np.str_, ConfigError, "no size"),
        ("M8", ConfigError, "no unit"), (None, CodecError, "no numpy dtype"),
        ("nonsense", CodecError, "no numpy dtype"), (np.integer, CodecError, "dtype"),
        (("<i4", (2,)), ConfigError, "field"),
        ([(("title", "a"), "<i4")], ConfigError, "titles"), ([], ConfigError, "field"),
        ({"names": ["a", "b"], "formats": ["<i4", "<i4"], "offsets": [0, 2]},
         ConfigError, "overlaps"),
        ({"names": ["a", "b"], "formats": ["<i4", "<i4"], "offsets": [4, 0]},
         ConfigError, "order of their offsets"),
    ],
)  # fmt: skip
def test_other_dtypes_are_refused(dtype: Any, error: type, text: str) -> None:
    """What has no portable bytes of fixed size is refused, with the way out."""
    with pytest.raises(error, match=text):
        Numpy(dtype)


RECORD = [("id", "<u4"), ("tag", "S3"), ("at", "<f4", (2,))]


@pytest.mark.parametrize(
    ("dtype", "value", "error"),
    [
        ("<i4", 1.0, TypeError), ("<i4", np.float64(1), TypeError),
        ("<i4", "1", TypeError), ("<i4", [1], TypeError), ("<f4", "1", TypeError),
        ("<f4", 1e300, OverflowError), ("<f4", 10**300, OverflowError),
        ("<f8", 10**400, OverflowError), ("<f8", 2**53 + 1, ValueError),
        ("<f8", 1j, TypeError), ("?", 1, TypeError), ("S3", b"abcd", ValueError),
        ("S3", b"ab\0", ValueError), ("S2", np.bytes_(b"a\0"), ValueError),
        ("S3", "abc", TypeError),
        ("U3", b"a", TypeError),
        ("U3", "abcd", ValueError), ("U3", "a\0", ValueError),
        ("V3", b"ab", ValueError), ("V3", "abc", TypeError),
        ("M8[us]", np.datetime64(1, "s"), TypeError),
        ("M8[us]", 1, TypeError), ("m8[s]", np.datetime64(1, "s"), TypeError),
        (RECORD, (1, b"a"), ValueError), (RECORD, [1, b"a", [0.0, 0.0]], TypeError),
        (RECORD, (1, b"a", [0.0]), ValueError), (RECORD, (1, b"a", 0.0), TypeError),
        (RECORD, (1.5, b"a", [0.0, 0.0]), TypeError),
        (RECORD, (1, b"a", np.zeros(2)), TypeError),
        (RECORD, np.zeros((), [("id", "<u4")])[()], TypeError),
    ],
)  # fmt: skip
def test_nothing_is_cast(dtype: Any, value: Any, error: type) -> None:
    """An object of another kind is refused, as is one that would lose something."""
    with pytest.raises(error, match="numpy:"):
        Numpy(dtype).encode(value)


def test_python_objects_are_taken_where_nothing_is_lost() -> None:
    """A tuple of Python objects and the record that numpy makes have the same bytes."""
    codec = Numpy(RECORD)
    record = np.array((7, b"ab", [0.5, 2.0]), dtype=RECORD)
    for value in (record, record[()], (7, b"ab", (0.5, 2)), (7, b"ab", record["at"])):
        assert codec.encode(value) == record.tobytes()
    back = codec.decode(record.tobytes())
    assert (back["id"], back["tag"], back["at"].tolist()) == (7, b"ab", [0.5, 2.0])


@pytest.mark.parametrize(
    ("dtype", "data"),
    [("<i4", b"123"), ("<i4", b"12345"), ("<U1", b"\xff" * 4),
     ([("a", "<U1")], b"\xff" * 4)],
)  # fmt: skip
def test_other_bytes_are_refused(dtype: Any, data: bytes) -> None:
    """Bytes of another length, and characters outside Unicode, are not decoded."""
    with pytest.raises(ValueError, match="numpy:"):
        Numpy(dtype).decode(data)


@pytest.mark.parametrize("dtype", ["<f8", "<c8", "?", [("a", "<i4"), ("b", "<f4")]])
def test_floats_and_bools_are_no_keys(dtype: Any) -> None:
    """A dtype with more than one form for an object does not claim to be canonical."""
    codec = Numpy(dtype)
    assert not codec.canonical
    assert codec.not_a_key_because


@pytest.mark.parametrize(
    "name",
    ["numpy:", "numpy:i4", "numpy:>i4", "numpy:|O8", "numpy:<i4,<i4", "numpy:[",
     "numpy:[]", 'numpy:[["a"]]', 'numpy:[["a","<i4",[-1]]]', 'numpy:[["",4]]',
     'numpy:[["a", "<i4"]]', 'numpy:[["a","<i4"],["",0]]', 'numpy:[["a","|O8"]]',
     'numpy:[["a","<i4"],["a","<i4"]]', 'numpy:[["a",{"x":1}]]', 'numpy:["ab","cd"]',
     "numpy:" + "[" * 100_000, "numpy:|V9999999999"],
)  # fmt: skip
def test_other_names_are_refused(name: str) -> None:
    """A name that no dtype has is refused, however it is malformed."""
    with pytest.raises(ConfigError, match="does not name a dtype"):
        dtype_by_name(name)


def test_numpy_is_imported_by_those_who_use_it() -> None:
    """Importing the package, and serving other types, leaves numpy alone."""
    program = (
        "import sys, pyfaster_codecs as c, pyfaster_codecs._plugin as p\n"
        "[one.codec_for(list[int]) for one in p.pyfaster_codecs()]\n"
        "c.Struct('<I'); c.MsgPack(dict[str, int])\n"
        "assert 'numpy' not in sys.modules\n"
        "c.Numpy('<i4')\n"
        "assert 'numpy' in sys.modules\n"
    )
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_without_numpy_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where numpy is not installed, the error says what to install."""
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ImportError, match="pip install 'pyfaster-codecs"):
        Numpy("<i4")
