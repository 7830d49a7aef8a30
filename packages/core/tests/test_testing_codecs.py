# SPDX-License-Identifier: MIT
"""The suite of codecs passes codecs that keep their contract, and catches others."""

from __future__ import annotations

import struct
from itertools import count
from typing import Any

import pytest

import pyfaster
from pyfaster.protocols import Codec
from pyfaster.testing.codecs import check_codec
from pyfaster.testing.conformance import FAILED, NOT_APPLICABLE, PASSED


class Halves:
    """A right codec: multiples of a half as 32-bit numbers, so -0.0 is 0.0."""

    name = "test:halves"
    size: int | None = 4
    canonical = True
    value_type = "opaque"
    native: str | None = None
    dtype: object | None = None

    def encode(self, value: float, /) -> bytes:
        """Give the bytes of a float that is a multiple of a half."""
        if type(value) is not float or value * 2 != int(value * 2):
            raise TypeError(f"no multiple of a half: {value!r}")
        return struct.pack("<i", int(value * 2))

    def decode(self, data: bytes, /) -> float:
        """Give the float of some bytes."""
        if len(data) != 4:
            raise ValueError("halves have four bytes")
        return float(struct.unpack("<i", data)[0]) / 2


class Huge(Halves):
    """Says another size than it gives."""

    size = 8


class Unnamed(Halves):
    """Has no name."""

    name = ""


class Sizeless(Halves):
    """Has a dtype for arrays, and no fixed size."""

    size = None
    dtype = "<i4"


class Views(Halves):
    """Gives a bytearray."""

    def encode(self, value: float, /) -> Any:
        """Give the wrong type."""
        return bytearray(super().encode(value))


class Rounding(Halves):
    """Comes back as an int."""

    def decode(self, data: bytes, /) -> Any:
        """Give another type."""
        return int(super().decode(data))


class Losing(Halves):
    """Comes back as another number."""

    def decode(self, data: bytes, /) -> float:
        """Give another value."""
        return super().decode(data) + 1


class Counting(Halves):
    """Gives other bytes each time."""

    size = None
    counter = count()

    def encode(self, value: float, /) -> bytes:
        """Add a number that grows."""
        return super().encode(value) + bytes([next(self.counter) % 256])

    def decode(self, data: bytes, /) -> float:
        """Leave it out."""
        return super().decode(data[:4])


class Signed(Halves):
    """Keeps the sign of zero, and says that it is canonical."""

    size = 8

    def encode(self, value: float, /) -> bytes:
        """Give the float's own bytes."""
        super().encode(value)
        return struct.pack("<d", value)

    def decode(self, data: bytes, /) -> float:
        """Read them."""
        if len(data) != 8:
            raise ValueError("floats have eight bytes")
        return float(struct.unpack("<d", data)[0])


class Guessing(Halves):
    """Takes whatever looks like a number."""

    def encode(self, value: Any, /) -> bytes:
        """Convert."""
        return super().encode(float(value))


class Trusting(Halves):
    """Believes what it reads."""

    def decode(self, data: bytes, /) -> float:
        """Read what is there."""
        return super().decode(data[:4].ljust(4, b"\0"))


MUTANTS = {
    Huge: {"C-gives-bytes"},
    Unnamed: {"C-is-described"},
    Sizeless: {"C-is-described"},
    Views: {"C-gives-bytes"},
    Rounding: {"C-comes-back"},
    Losing: {"C-comes-back", "C-serves-values"},
    Counting: {"C-repeats", "C-is-canonical", "C-serves-keys"},
    Signed: {"C-is-canonical"},
    Guessing: {"C-refuses-foreign"},
    Trusting: {"C-refuses-damage"},
}
VALUES = [0.0, -0.0, 0.5, 2.0, -7.5]


def ids(codec: Codec[Any], status: str) -> set[str]:
    """Give the checks that ended in one way."""
    outcomes = check_codec(codec, VALUES, foreign=["1", 1, 0.3], damaged=[b""])
    return {one.id for one in outcomes if one.status == status}


def test_a_right_codec_passes_all_that_applies() -> None:
    """A codec without a dtype fails nothing, and one check says nothing of it."""
    assert ids(Halves(), FAILED) == set()
    assert ids(Halves(), NOT_APPLICABLE) == {"C-fits-arrays"}
    assert len(ids(Halves(), PASSED)) == 9


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_codec_is_caught(mutant: type[Halves]) -> None:
    """Each mutant fails at least the checks that are about its mistake."""
    assert MUTANTS[mutant] - ids(mutant(), FAILED) == set()


def test_a_failed_check_says_what_was_found() -> None:
    """The reason names the object and what came instead."""
    [failed] = [one for one in check_codec(Losing(), [2.0]) if one.id == "C-comes-back"]
    assert failed.reason == "2.0 came back as 3.0"


def test_codecs_that_may_be_no_keys_are_not_tried_as_such() -> None:
    """Two checks say nothing of a codec that is not canonical."""

    class Values(Signed):
        canonical = False

    outcomes = check_codec(Values(), VALUES)
    silent = {one.id for one in outcomes if one.status == NOT_APPLICABLE}
    assert {"C-is-canonical", "C-serves-keys"} <= silent
    assert not any(one.status == FAILED for one in outcomes)


@pytest.mark.parametrize(
    ("codec", "values"),
    [
        (pyfaster.Bytes(2), [b"ab", b"\0\0"]),
        (pyfaster.UInt64, [0, 2**64 - 1]),
    ],
)
def test_codecs_of_the_core_pass(codec: Any, values: list[object]) -> None:
    """The built-in codecs that are objects keep the contract."""
    assert [one for one in check_codec(codec, values) if one.status == FAILED] == []


def test_nothing_is_tried_without_values() -> None:
    """A suite that tries nothing is refused, since it would pass."""
    with pytest.raises(ValueError, match="some values"):
        check_codec(Halves(), [])
