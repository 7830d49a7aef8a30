# SPDX-License-Identifier: MIT
"""What type checkers say about codecs; this file is checked, never run."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any, NamedTuple, assert_type

import msgspec
from pydantic import BaseModel

from pyfaster.protocols import Codec
from pyfaster_codecs import (
    CustomCodec,
    Json,
    MsgPack,
    Numpy,
    Struct,
    codec,
    reference_hash,
    register,
)


class Point(NamedTuple):
    """A record."""

    x: int
    y: int


class Order(msgspec.Struct, frozen=True):
    """A schema."""

    id: int


class Note(BaseModel):
    """A model."""

    text: str


def wants(one: Codec[Any]) -> None:
    """Take any codec."""


def structs() -> None:
    """A Struct knows the class of its records."""
    plain, named = Struct("<2i"), Struct("<2i", Point)
    assert_type(plain.decode(b""), tuple[Any, ...])
    assert_type(named.decode(b""), Point)
    named.encode(Point(1, 2))
    named.encode(5)  # type: ignore[arg-type]  # not a Point
    assert_type(Struct("<2i", ["x", "y"]).decode(b""), Any)
    wants(plain)
    wants(named)


def objects() -> None:
    """A MsgPack or Json knows the class of its objects."""
    orders: Codec[Order] = MsgPack(Order)
    assert_type(orders.decode(b""), Order)
    assert_type(MsgPack(list[int]).decode(b""), list[int])
    assert_type(MsgPack(int | None, name="maybe").decode(b""), Any)
    MsgPack(Order).encode("text")  # type: ignore[arg-type]  # not an Order
    notes: Codec[Note] = Json(Note, name="note")
    assert_type(notes.decode(b""), Note)
    Json(Order)  # type: ignore[type-var]  # no pydantic model
    wants(Numpy("<i4"))


def own() -> None:
    """A codec of two functions has the type that they have."""

    def pack(value: IPv4Address) -> bytes:
        return value.packed

    def unpack(data: bytes) -> IPv4Address:
        return IPv4Address(data)

    made = codec(name="ipv4", encode=pack, decode=unpack, size=4)
    assert_type(made, CustomCodec[IPv4Address])
    assert_type(register(made, types=(IPv4Address,)), CustomCodec[IPv4Address])
    wants(made)
    codec(name="bad", encode=pack, decode=str)  # type: ignore[misc]  # not one type
    assert_type(reference_hash("xxh3", b"", 1), int)


@register(types=(Point,))
class Points:
    """A codec written as a class keeps its type."""

    name = "acme:point"
    size: int | None = 8
    canonical = True
    value_type = "opaque"
    native: None = None
    dtype: object = None

    def encode(self, value: Point, /) -> bytes:
        """Give the bytes."""
        return bytes(value)

    def decode(self, data: bytes, /) -> Point:
        """Give the point."""
        return Point(*data)


assert_type(Points(), Points)
