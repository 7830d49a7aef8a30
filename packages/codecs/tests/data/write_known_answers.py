# SPDX-License-Identifier: MIT
"""
Write known_answers.json beside this file: stable names, and the bytes of objects.

The file pins what is on users' disks. Run this only to add cases; a changed line means
that stored data cannot be read any more. The objects are here, the bytes in the file.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import numpy as np
from pydantic import BaseModel

from pyfaster_codecs import Json, MsgPack, Numpy, Struct, reference_hash

ANSWERS = Path(__file__).with_name("known_answers.json")


class Side(Enum):
    """An enum."""

    BUY = "buy"


class Pair(NamedTuple):
    """A named tuple."""

    left: int
    right: str


class Trade(msgspec.Struct, frozen=True):
    """A Struct."""

    id: int
    side: Side
    note: str | None = None


class Person(BaseModel):
    """A model."""

    name: str
    age: int | None = None


def cases() -> list[tuple[Any, list[Any]]]:
    """Give codecs, each with objects."""
    at = datetime(2024, 5, 1, 12, 30, 15, 250_000)
    aligned = np.dtype([("a", "u1"), ("b", "<i4")], align=True)
    nested = [("p", [("x", "<i2"), ("y", "<i2")], (2,)), ("tag", "S4")]
    return [
        (Struct("<IHd"), [(1, 2, 0.5), (2**32 - 1, 0, -0.0)]),
        (Struct("<q"), [(-1,), (2**63 - 1,)]),
        (Struct("<3s?xb"), [(b"abc", True, -1)]),
        (Struct("<2I", ["a", "b"]), [(1, 2)]),
        (Numpy("<i4"), [-2, 2**31 - 1]),
        (Numpy("|u1"), [255]),
        (Numpy("<f8"), [0.1]),
        (Numpy("S4"), [b"ab"]),
        (Numpy("U2"), ["é"]),
        (Numpy("M8[us]"), [np.datetime64(at, "us")]),
        (Numpy(aligned), [(1, -1)]),
        (Numpy(nested), [([(1, 2), (3, 4)], b"tag")]),
        (MsgPack(bool), [True, False]),
        (MsgPack(int), [0, 127, -33, 2**64 - 1, -(2**63)]),
        (MsgPack(str), ["", "é" * 20]),
        (MsgPack(float), [0.5, 1]),
        (MsgPack(list[int]), [[], [1, 2, 3]]),
        (MsgPack(dict[str, int]), [{"b": 2, "a": 1}]),
        (MsgPack(tuple[int, str]), [(1, "a")]),
        (MsgPack(set[str]), [{"b", "a", "c"}]),
        (MsgPack(int | str | None), [None, 5, "five"]),
        (MsgPack(date), [at.date()]),
        (MsgPack(datetime), [at, at.replace(tzinfo=UTC)]),
        (MsgPack(timedelta), [timedelta(-1, 5, 7)]),
        (MsgPack(UUID), [UUID(int=2**100 + 7)]),
        (MsgPack(Decimal), [Decimal("1.50")]),
        (MsgPack(Pair), [Pair(1, "a")]),
        (MsgPack(Side), [Side.BUY]),
        (MsgPack(Trade), [Trade(7, Side.BUY), Trade(8, Side.BUY, "n")]),
        (MsgPack(Trade, name="trade-v2"), [Trade(7, Side.BUY)]),
        (Json(Person), [Person(name="é", age=3), Person(name="")]),
    ]


def pattern(size: int) -> bytes:
    """Give bytes to hash, by their number."""
    return bytes(i * 131 % 256 for i in range(size))


def hashes() -> list[tuple[str, int, int]]:
    """Give what is hashed: name, how much of the pattern, seed."""
    sizes = [0, 1, 4, 8, 16, 17, 32, 128, 129, 240, 241, 1024, 1280]
    seeds = [0, 2**64 - 59]
    return [(name, n, s) for name in ("xxh3", "xxh64") for n in sizes for s in seeds]


def main() -> None:
    """Write the file."""
    codecs = [
        [codec.name, codec.canonical, [codec.encode(one).hex() for one in objects]]
        for codec, objects in cases()
    ]
    numbers = [
        [name, size, f"{seed:x}", f"{reference_hash(name, pattern(size), seed):016x}"]
        for name, size, seed in hashes()
    ]
    lines = [
        f"{json.dumps(key)}: [\n  " + ",\n  ".join(map(json.dumps, rows)) + "\n]"
        for key, rows in (("codecs", codecs), ("hashes", numbers))
    ]
    ANSWERS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
