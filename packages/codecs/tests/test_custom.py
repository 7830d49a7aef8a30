# SPDX-License-Identifier: MIT
"""Codecs that users write: held to their contract, and registered once by name."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import date
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from pyfaster.errors import CodecError, ConfigError
from pyfaster.protocols import Codec
from pyfaster_codecs import CustomCodec, Json, MsgPack, codec, register, unregister
from pyfaster_codecs._plugin import registered
from pyfaster_codecs._providers import Registered


class Account(BaseModel):
    """A model."""

    owner: str


def address(**changes: Any) -> CustomCodec[IPv4Address]:
    """A codec of addresses, with changed settings."""
    settings: dict[str, Any] = {
        "name": "ipv4",
        "encode": lambda value: value.packed,
        "decode": IPv4Address,
        "size": 4,
        "canonical": True,
        **changes,
    }
    return codec(**settings)


@pytest.fixture
def clean() -> Iterator[None]:
    """Leave no codec of a test registered."""
    before = set(registered.names)
    yield
    for name in {*registered.names, "msgpack:Account", "json:Account"} - before:
        unregister(name)


@given(st.ip_addresses(v=4))
def test_objects_come_back(value: IPv4Address) -> None:
    """What the two functions do is what the codec does; equal gives equal."""
    made = address()
    assert made.decode(made.encode(value)) == value
    assert made.encode(IPv4Address(int(value))) == made.encode(value)


def test_the_contract_is_met() -> None:
    """What `codec` makes fits the protocol and has what was declared."""
    made = address(value_type="u32", dtype=">u4")
    assert isinstance(made, Codec)
    assert (made.name, made.size, made.canonical) == ("ipv4", 4, True)
    assert (made.value_type, made.native, made.dtype) == ("u32", None, ">u4")
    assert codec(name="x", encode=bytes, decode=bytes).canonical is False


@pytest.mark.parametrize("name", ["point", "acme:point-2", "A", "a_b:c:D-1"])
def test_names_that_may_be_written(name: str) -> None:
    """Letters, digits, "_", "-" and ":" between parts make a name."""
    assert address(name=name).name == name


@pytest.mark.parametrize(
    "name",
    ["", "1a", "a.b", "pkg.mod:Class", "a b", "é", "a:", ":a", "a::b", "a/b", "a\n",
     "a" * 101, None, 5, "struct", "struct:<I", "numpy:x", "msgpack:Order", "json:x",
     "bytes", "str", "utf8", "int64", "int", "float64:x", "fixed_bytes", "pyfaster:x"],
)  # fmt: skip
def test_names_that_may_not(name: Any) -> None:
    """Dots, other characters and pyfaster's own names are refused."""
    with pytest.raises(ConfigError, match="name"):
        address(name=name)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"encode": 5}, CodecError, "encode=5 cannot be called"),
        ({"decode": None}, CodecError, "decode=None cannot be called"),
        ({"size": -1}, ConfigError, "size=-1"), ({"size": True}, ConfigError, "size"),
        ({"size": 4.0}, ConfigError, "size=4.0"),
        ({"value_type": "i128"}, ConfigError, "choose one of"),
        ({"value_type": "i64"}, ConfigError, "say size=8"),
        ({"value_type": "i64", "size": None}, ConfigError, "say size=8"),
        ({"value_type": "text"}, ConfigError, "leave size out"),
        ({"dtype": "<i8"}, ConfigError, "have 8 bytes, not size=4"),
        ({"dtype": "nonsense"}, ConfigError, "dtype='nonsense'"),
    ],
)  # fmt: skip
def test_settings_must_agree(changes: dict[str, Any], error: type, text: str) -> None:
    """Settings that contradict each other are refused when the codec is made."""
    with pytest.raises(error, match=text):
        address(**changes)


@pytest.mark.parametrize(
    ("encode", "error", "text"),
    [
        (lambda value: "text", TypeError, "encode gave str, not bytes"),
        (lambda value: b"123", ValueError, "gave 3 bytes, but size=4"),
        (lambda value: value.missing, TypeError, "encode failed for IPv4Address"),
        (lambda value: struct.pack("<I", 1 << 40), ValueError, "encode failed"),
        (lambda value: {}[value], ValueError, "KeyError"),
        (lambda value: int("x"), ValueError, "invalid literal"),
        (lambda value: (1 << 40).to_bytes(4, "little"), OverflowError, "too big"),
    ],
)  # fmt: skip
def test_a_failing_encode_is_named(encode: Any, error: type, text: str) -> None:
    """Whatever the user's function does wrong is an error of the documented kinds."""
    with pytest.raises(error, match=text):
        address(encode=encode).encode(IPv4Address("10.0.0.1"))


@pytest.mark.parametrize(
    ("decode", "data", "text"),
    [
        (IPv4Address, b"123", "expected 4 bytes, found 3"),
        (lambda data: {}[data], b"1234", "decode failed: KeyError"),
        (lambda data: data + "", b"1234", "decode failed: TypeError"),
        (lambda data: struct.unpack("<Q", data), b"1234", "decode failed: error"),
    ],
)  # fmt: skip
def test_a_failing_decode_is_named(decode: Any, data: bytes, text: str) -> None:
    """Bytes that cannot be decoded always give a ValueError."""
    with pytest.raises(ValueError, match=text):
        address(decode=decode).decode(data)


def test_buffers_count_as_bytes() -> None:
    """An encode that gives a bytearray or a memoryview is taken; bytes are stored."""
    for kind in (bytearray, memoryview):
        made = address(encode=lambda value, kind=kind: kind(value.packed))
        assert type(made.encode(IPv4Address("10.0.0.1"))) is bytes


def test_registered_codecs_are_found() -> None:
    """A codec is found by its name and by the types it serves, and by nothing else."""
    known, made = Registered(), address()
    known.add(made, (IPv4Address,))
    known.add(made, (IPv4Address,))
    assert known.names == ("ipv4",)
    assert known.codec_for("ipv4") is made
    assert known.codec_for(IPv4Address) is made
    for other in ("ipv6", date, 5, None, [1]):
        assert known.codec_for(other) is None


def test_two_codecs_of_one_name_are_refused() -> None:
    """A second codec of a name, or for a type, is refused with both in the message."""
    known = Registered()
    known.add(address(), (IPv4Address,))
    with pytest.raises(ConfigError, match="two codecs are named 'ipv4'"):
        known.add(address())
    with pytest.raises(ConfigError, match="served by the codec 'ipv4'; 'other'"):
        known.add(address(name="other"), (IPv4Address,))
    assert known.names == ("ipv4",)
    known.drop("ipv4")
    known.add(address(name="other"), (IPv4Address,))
    assert known.names == ("other",)


@pytest.mark.parametrize(
    ("thing", "types"),
    [(5, ()), (IPv4Address, ()), (object(), ()), (address(), (int,)),
     (address(), (bytes,)), (address(), ("text",)), (address(), (list[int],))],
)  # fmt: skip
def test_what_cannot_be_registered(thing: Any, types: Any) -> None:
    """Things that are no codec, and types that the core serves, are refused."""
    known = Registered()
    with pytest.raises(CodecError):
        known.add(thing, types)
    assert known.names == ()


def test_a_strange_codec_may_not_take_our_names() -> None:
    """A codec of another make is held to the rules for names too."""

    class Strange:
        name, size, canonical = "struct:<I", 4, True
        value_type, native, dtype = "opaque", None, None

        def encode(self, value: bytes, /) -> bytes:
            return value

        def decode(self, data: bytes, /) -> bytes:
            return data

    with pytest.raises(ConfigError, match="belongs to pyfaster"):
        Registered().add(Strange())


@pytest.mark.usefixtures("clean")
def test_register_returns_what_it_was_given() -> None:
    """`register` is a function and a decorator."""
    made = address()
    assert register(made, types=(IPv4Address,)) is made
    assert registered.codec_for("ipv4") is made

    @register(types=(date,))
    class Days:
        """Dates as day numbers."""

        name, size, canonical = "acme:days", 4, True
        value_type, native, dtype = "opaque", None, None

        def encode(self, value: date, /) -> bytes:
            return value.toordinal().to_bytes(4, "little")

        def decode(self, data: bytes, /) -> date:
            return date.fromordinal(int.from_bytes(data, "little"))

    found = registered.codec_for(date)
    assert isinstance(found, Days)
    assert found.decode(found.encode(date(2024, 1, 1))) == date(2024, 1, 1)


@pytest.mark.usefixtures("clean")
def test_families_can_be_registered_by_name() -> None:
    """A registered MsgPack or Json is found by its stored name."""
    for made in (MsgPack(dict[str, int], name="Account"), Json(Account)):
        register(made)
        assert registered.codec_for(made.name) is made
        assert made.name not in registered.names
