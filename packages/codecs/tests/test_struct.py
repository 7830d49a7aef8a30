# SPDX-License-Identifier: MIT
"""Struct formats: tuples come back, formats have one name, nothing changes silently."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfaster.errors import CodecError, ConfigError
from pyfaster.protocols import Codec
from pyfaster_codecs import Struct

INTEGERS = {"b": 8, "h": 16, "i": 32, "l": 32, "q": 64}


class Point(NamedTuple):
    """A record with names."""

    x: int
    y: int


def item(code: str) -> st.SearchStrategy[Any]:
    """Objects that fit a format code."""
    if code in INTEGERS:
        half = 1 << (INTEGERS[code] - 1)
        return st.integers(-half, half - 1)
    if code.lower() in INTEGERS:
        return st.integers(0, (1 << INTEGERS[code.lower()]) - 1)
    widths = {"e": 16, "f": 32, "d": 64}
    if code in widths:
        return st.floats(width=widths[code], allow_nan=False)
    if code == "?":
        return st.booleans()
    size = 1 if code == "c" else int(code[:-1])
    return st.binary(min_size=size, max_size=size)


CODES = st.sampled_from([*"cbB?hHiIlLqQefd", "1s", "5s"])
INTEGER_CODES = st.sampled_from([*"cbBhHiIlLqQ", "1s", "5s"])


@given(st.lists(st.tuples(CODES, st.integers(0, 3)), min_size=1).flatmap(
    lambda parts: st.tuples(
        st.just(parts), st.tuples(*(item(code) for code, _ in parts))
    )
))  # fmt: skip
def test_tuples_come_back(case: Any) -> None:
    """What is encoded is decoded, with the size declared and padding of zeros."""
    parts, value = case
    codec = Struct("<" + "".join(f"{code} {pad}x" for code, pad in parts))
    data = codec.encode(value)
    assert len(data) == codec.size
    assert codec.decode(data) == value
    assert codec.encode(codec.decode(data)) == data


@given(st.lists(INTEGER_CODES, min_size=1), st.data())
def test_a_key_format_has_no_two_forms(codes: list[str], data: st.DataObject) -> None:
    """Every bit pattern of a canonical format is an object of its own."""
    codec = Struct("<" + "".join(codes))
    size = codec.size or 0
    pattern = data.draw(st.binary(min_size=size, max_size=size))
    assert codec.canonical
    assert codec.encode(codec.decode(pattern)) == pattern


@given(st.lists(INTEGER_CODES, min_size=1), st.data())
def test_equal_tuples_have_equal_bytes(codes: list[str], data: st.DataObject) -> None:
    """A tuple, a named one, and one with True for 1 are the same key."""
    codec = Struct("<" + "".join(codes), [f"a{i}" for i in range(len(codes))])
    value = data.draw(st.tuples(*(item(code) for code in codes)))
    disguised = tuple(bool(one) if one in (0, 1) else one for one in value)
    record = codec.decode(codec.encode(value))
    assert record == value == disguised
    assert codec.encode(record) == codec.encode(disguised) == codec.encode(value)


@given(st.lists(CODES, min_size=1), st.data())
def test_arrays_have_the_same_bytes(codes: list[str], data: st.DataObject) -> None:
    """An array of the codec's dtype lays a tuple out as the codec does."""
    codec = Struct("<" + "".join(codes))
    value = data.draw(st.tuples(*(item(code) for code in codes)))
    array = np.array([value], dtype=np.dtype(codec.dtype))
    assert array.itemsize == codec.size
    assert array.tobytes() == codec.encode(value)


def test_the_contract_is_met() -> None:
    """A Struct fits the protocol, and names its bytes, not its Python class."""
    codec = Struct("<2i", Point)
    assert isinstance(codec, Codec)
    assert codec.name == "struct:<2i"
    assert (codec.size, codec.canonical, codec.native) == (8, True, None)
    assert codec.dtype == [("x", "<i4"), ("y", "<i4")]
    assert codec.decode(codec.encode(Point(1, -1))) == Point(1, -1)
    assert isinstance(codec.decode(bytes(8)), Point)


@pytest.mark.parametrize(
    ("written", "name"),
    [("<II", "<2I"), ("< I I", "<2I"), ("<L", "<I"), ("<lI", "<iI"), ("<s", "<1s"),
     ("<xx2xI", "<4xI"), ("<0HI", "<I"), ("<3s3s", "<3s3s")],
)  # fmt: skip
def test_a_layout_has_one_name(written: str, name: str) -> None:
    """Spellings of the same layout give the same stable name."""
    assert Struct(written).name == f"struct:{name}"
    assert Struct(name).name == f"struct:{name}"


@pytest.mark.parametrize(
    ("layout", "value_type"),
    [("<b", "i8"), ("<h", "i16"), ("<l", "i32"), ("<q", "i64"), ("<B", "u8"),
     ("<H", "u16"), ("<I", "u32"), ("<Q", "u64"), ("<f", "f32"), ("<d", "f64"),
     ("<e", "opaque"), ("<?", "opaque"), ("<qq", "opaque"), ("<qx", "opaque"),
     ("<8s", "opaque")],
)  # fmt: skip
def test_single_numbers_can_be_merged(layout: str, value_type: str) -> None:
    """A format of one number says which; all others are opaque."""
    assert Struct(layout).value_type == value_type


@pytest.mark.parametrize(
    "layout",
    ["I", "@I", "=I", ">I", "!I", "<", "<4x", "<0I", "<n", "<N", "<P", "<p", "<0s",
     "<y", "<I-", "<3", "", "<5000B", "<99999999999s", "<2147483648s"],
)  # fmt: skip
def test_other_formats_are_refused(layout: str) -> None:
    """A format that is not portable, empty or malformed is refused with a sentence."""
    with pytest.raises(ConfigError, match="struct format"):
        Struct(layout)


@pytest.mark.parametrize("layout", [b"<I", 3, None])
def test_a_format_is_text(layout: Any) -> None:
    """Anything but a str is refused as a codec error."""
    with pytest.raises(CodecError, match="is a str"):
        Struct(layout)


def test_the_native_order_is_answered_with_the_fixed_one() -> None:
    """The message says what to write instead."""
    with pytest.raises(ConfigError, match="begin with '<' for fixed ones: '<IH'"):
        Struct("@IH")


@pytest.mark.parametrize(
    "fields", [("a",), ("a", "a"), ("a", "1b"), ("a", "class"), "a b c", tuple, (1, 2)]
)
def test_fields_must_fit(fields: Any) -> None:
    """Names that are too few, too many or no names, and other classes, are refused."""
    with pytest.raises(ConfigError):
        Struct("<IH", fields)


@pytest.mark.parametrize(
    ("layout", "value", "error"),
    [
        ("<IH", [1, 2], TypeError), ("<IH", 5, TypeError), ("<IH", (1,), ValueError),
        ("<IH", (1, 2, 3), ValueError), ("<IH", (1, 1 << 16), OverflowError),
        ("<IH", (-1, 1), OverflowError), ("<IH", (1.0, 1), TypeError),
        ("<IH", ("1", 1), TypeError), ("<I", (b"1",), TypeError),
        ("<?", (1,), TypeError), ("<3s", (b"ab",), ValueError),
        ("<3s", (b"abcd",), ValueError), ("<3s", ("abc",), TypeError),
        ("<c", (b"ab",), ValueError), ("<c", (5,), TypeError),
        ("<f", (1e300,), OverflowError), ("<e", (1e9,), OverflowError),
        ("<d", ("1",), TypeError), ("<d", (2**53 + 1,), ValueError),
        ("<f", (2**24 + 1,), ValueError), ("<d", (10**400,), OverflowError),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(layout: str, value: Any, error: type) -> None:
    """Nothing is cut, padded, cast or rounded away without a word."""
    with pytest.raises(error, match="struct:<"):
        Struct(layout).encode(value)


def test_the_message_names_the_field() -> None:
    """An error says which item of the record it means."""
    with pytest.raises(OverflowError, match=r"item y: 4294967296 does not fit 'i'"):
        Struct("<2i", Point).encode(Point(1, 1 << 32))


@pytest.mark.parametrize(
    ("layout", "data"),
    [("<I", b""), ("<I", b"12345"), ("<?", b"\2"), ("<B2x", b"\1\0\1")],
)
def test_other_bytes_are_refused(layout: str, data: bytes) -> None:
    """Bytes that no object has are not decoded."""
    with pytest.raises(ValueError, match="struct:<"):
        Struct(layout).decode(data)


@pytest.mark.parametrize("layout", ["<d", "<If", "<e", "<?", "<I?"])
def test_floats_and_bools_are_no_keys(layout: str) -> None:
    """A format with more than one form for an object does not claim to be canonical."""
    codec = Struct(layout)
    assert not codec.canonical
    assert codec.not_a_key_because


def test_the_refusal_of_floats_is_needed() -> None:
    """Equal floats have other bytes, and both come back as they were."""
    codec = Struct("<d")
    assert (0.0,) == (-0.0,)
    assert codec.encode((0.0,)) != codec.encode((-0.0,))
    back = codec.decode(codec.encode((-0.0,)))
    assert struct.pack("<d", *back) == struct.pack("<d", -0.0)


def test_padded_formats_take_no_arrays() -> None:
    """Arrays could carry anything in the padding, so a padded format has no dtype."""
    codec = Struct("<Bx")
    assert codec.dtype is None
    assert codec.canonical
