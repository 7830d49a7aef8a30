# SPDX-License-Identifier: MIT
"""
The codecs of Python's own types, and the provider that hands them out.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest

from pyfaster import Bytes, UInt64, _hot
from pyfaster._builtin_codecs import BUILTIN, hot_codec
from pyfaster.protocols import NATIVE_KINDS, VALUE_TYPES, Codec, CodecProvider


def codec(spec: object) -> Any:
    found = BUILTIN.codec_for(spec)
    assert found is not None
    return found


SPECS = (bytes, str, int, float, "uint64", "bytes[16]")


@pytest.mark.parametrize("spec", SPECS)
def test_every_builtin_codec_fits_the_protocol(spec: object) -> None:
    """Name, size, value type and native kind are among those the protocols allow."""
    one = codec(spec)
    assert isinstance(one, Codec)
    assert one.value_type in VALUE_TYPES
    assert one.native in NATIVE_KINDS
    assert one.canonical
    assert BUILTIN.codec_for(one.name) == one
    assert hash(BUILTIN.codec_for(one.name)) == hash(one)


def test_names_are_those_written_to_disk() -> None:
    """A stable name never changes: stores on disk carry it."""
    assert [codec(spec).name for spec in SPECS] == [
        "bytes",
        "utf8",
        "int64",
        "float64",
        "uint64",
        "bytes[16]",
    ]
    assert isinstance(BUILTIN, CodecProvider)


@pytest.mark.parametrize(
    ("spec", "value", "data"),
    [
        (bytes, b"", b""),
        (bytes, b"a\0b", b"a\0b"),
        (str, "", b""),
        (str, "a\0\u00e9\U0001f600", "a\0\u00e9\U0001f600".encode()),
        (int, 0, bytes(8)),
        (int, -1, b"\xff" * 8),
        (int, 2**63 - 1, struct.pack("<q", 2**63 - 1)),
        (int, -(2**63), struct.pack("<q", -(2**63))),
        ("uint64", 2**64 - 1, b"\xff" * 8),
        ("uint64", 0, bytes(8)),
        (float, 1.5, struct.pack("<d", 1.5)),
        (float, -1.0, struct.pack("<d", -1.0)),
        (float, math.inf, struct.pack("<d", math.inf)),
        ("bytes[3]", b"abc", b"abc"),
    ],
)
def test_encode_and_decode_are_inverse(spec: object, value: Any, data: bytes) -> None:
    """The bytes are the documented ones, and give the object back."""
    one = codec(spec)
    assert one.encode(value) == data
    assert one.decode(data) == value
    assert type(one.decode(data)) is type(value)


def test_bytes_like_objects_serve_as_bytes() -> None:
    """bytearray and contiguous memoryviews are accepted, other buffers are not."""
    one = codec(bytes)
    assert one.encode(bytearray(b"ab")) == b"ab"
    assert one.encode(memoryview(b"abcd")[1:3]) == b"bc"
    with pytest.raises(BufferError):
        one.encode(memoryview(b"abcd")[::2])


class Index:
    """Something with __index__, as numpy's integers are."""

    def __index__(self) -> int:
        return 7


def test_integers_come_by_index() -> None:
    """What says it is an integer by __index__ is taken as one."""
    assert codec(int).encode(Index()) == struct.pack("<q", 7)
    assert codec("uint64").encode(Index()) == struct.pack("<q", 7)


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        (int, True),
        (int, 1.0),
        (int, "1"),
        (int, None),
        ("uint64", False),
        (float, True),
        (float, "1"),
        (float, None),
        (str, b"a"),
        (str, 1),
        (bytes, "a"),
        (bytes, [1, 2]),
        (bytes, 3),
        ("bytes[1]", "a"),
    ],
)
def test_wrong_types_are_named(spec: object, value: object) -> None:
    """The message names what was expected and what was found."""
    one = codec(spec)
    expected = {"i64": "int", "u64": "int", "f64": "float"}
    word = expected.get(one.value_type, "str" if spec is str else "bytes")
    with pytest.raises(TypeError) as caught:
        one.encode(value)
    assert str(caught.value) == (
        f"value: expected {word}, found {type(value).__name__}"
    )


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        (int, 2**63),
        (int, -(2**63) - 1),
        ("uint64", -1),
        ("uint64", 2**64),
        (float, 10**400),
    ],
)
def test_numbers_out_of_range_overflow(spec: object, value: int) -> None:
    """A number that does not fit is refused, never wrapped."""
    with pytest.raises(OverflowError):
        codec(spec).encode(value)


def test_lone_surrogates_are_refused() -> None:
    """Text that UTF-8 cannot carry raises the usual error."""
    with pytest.raises(UnicodeEncodeError):
        codec(str).encode("\ud800")


@pytest.mark.parametrize("data", [b"", b"ab", b"abcd"])
def test_fixed_sizes_are_exact(data: bytes) -> None:
    """Bytes(3) takes and gives three bytes, no more and no fewer."""
    with pytest.raises(ValueError, match="exactly 3 bytes"):
        Bytes(3).encode(data)
    with pytest.raises(ValueError, match="exactly 3 bytes"):
        Bytes(3).decode(data)


@pytest.mark.parametrize("spec", [int, float, UInt64.name])
def test_numbers_decode_from_eight_bytes_only(spec: object) -> None:
    """Bytes of another length are no number."""
    for size in (0, 7, 9):
        with pytest.raises(ValueError, match="exactly 8 bytes"):
            codec(spec).decode(bytes(size))


def test_keys_of_float_are_canonical() -> None:
    """As keys: no -0.0, no NaN, and no integer that float64 would round."""
    key = hot_codec(codec(float), key=True)
    assert key.encode(-0.0) == key.encode(0.0) == key.encode(0) == bytes(8)
    assert key.encode(2**53) == struct.pack("<d", 2.0**53)
    with pytest.raises(ValueError, match="nan equals no key"):
        key.encode(math.nan)
    with pytest.raises(ValueError, match="no equal float64"):
        key.encode(2**53 + 1)
    value = hot_codec(codec(float))
    assert value.encode(-0.0) == struct.pack("<d", -0.0)
    assert value.encode(2**53 + 1) == struct.pack("<d", 2.0**53)


def test_bytes_needs_a_size() -> None:
    """A size is an int that is not negative."""
    for wrong in ("3", 3.0, True, None):
        with pytest.raises(TypeError):
            Bytes(wrong)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(ValueError, match="not negative"):
        Bytes(-1)
    assert repr(Bytes(16)) == "Bytes(16)"
    assert Bytes(16) == codec("bytes[16]") != Bytes(17)


@pytest.mark.parametrize(
    "spec", [bool, list, None, 3, "bool", "bytes[0]", "bytes[-1]", "bytes[x]", "BYTES"]
)
def test_what_is_not_built_in_has_no_codec(spec: object) -> None:
    """The provider says None, so that others are asked."""
    assert BUILTIN.codec_for(spec) is None


def test_codecs_in_python_are_checked() -> None:
    """A Python codec's bytes must be bytes, of its size; its errors pass through."""
    good = _hot.Codec("python", 2, lambda o: o, lambda d: d.decode())
    assert good.encode(b"ab") == b"ab"
    assert good.decode(b"ab") == "ab"
    with pytest.raises(ValueError, match="exactly 2 bytes, found 3"):
        good.encode(b"abc")
    with pytest.raises(TypeError, match="expected bytes from encode, found str"):
        good.encode("ab")
    broken = _hot.Codec("python", None, lambda o: 1 // o, bytes)
    with pytest.raises(ZeroDivisionError):
        broken.encode(0)


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("nothing",), ValueError),
        (("fixed_bytes",), ValueError),
        (("fixed_bytes", -1), ValueError),
        (("python",), TypeError),
        (("python", 3, bytes, 3), TypeError),
        (("fixed_bytes", "3"), TypeError),
        ((3,), TypeError),
    ],
)
def test_descriptions_of_codecs_are_checked(
    args: tuple[Any, ...], error: type[Exception]
) -> None:
    """A codec that could not work is refused when it is made."""
    with pytest.raises(error):
        _hot.Codec(*args)
