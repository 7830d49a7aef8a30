# SPDX-License-Identifier: MIT
"""The promise behind keys: equal objects have equal bytes, or the type is refused."""

from __future__ import annotations

from datetime import datetime, time, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any

import codec_shapes as shapes
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyfaster_codecs import MsgPack


def twins(value: Any) -> list[Any]:
    """Objects that equal one, made of other types or in other ways."""
    found: list[Any] = [value]
    if isinstance(value, bool):
        found += [int(value), float(value), shapes.Level(int(value))]
    elif isinstance(value, int):
        found += [int(str(int(value))), float(value), Decimal(value), Fraction(value)]
        found += [bool(value), shapes.Level(value)] if value in (0, 1) else []
        found += [-0.0] if value == 0 else []
    elif isinstance(value, str):
        found += ["".join(list(value))]
    elif isinstance(value, bytes):
        found += [bytearray(value), memoryview(value)]
    elif isinstance(value, (datetime, time)):
        found += [value.replace(fold=1), value.replace(fold=0)]
    elif isinstance(value, timedelta):
        found += [timedelta(value.days, value.seconds, value.microseconds)]
    elif isinstance(value, shapes.Order):
        found += [
            shapes.Order(a, b, c)
            for a in twins(value.id)
            for b in twins(value.code)[:2]
            for c in twins(value.parent)[:2]
        ]
    elif isinstance(value, tuple):
        found += [tuple(twins(item)[-1] for item in value), tuple(value)]
        found += [shapes.Pair(*value)] if len(value) == 2 else []
        for place, item in enumerate(value):
            found += [
                (*value[:place], twin, *value[place + 1 :]) for twin in twins(item)
            ]
    return [twin for twin in found if twin == value]


@pytest.mark.parametrize(("kind", "objects"), shapes.KEYS)
@given(data=st.data())
def test_equal_keys_have_equal_bytes(
    kind: Any, objects: Any, data: st.DataObject
) -> None:
    """Whatever equals a key has its bytes, or is refused; never other bytes."""
    codec = MsgPack(kind, name="it")
    assert codec.canonical
    assert codec.not_a_key_because is None
    value = data.draw(objects)
    encoded = codec.encode(value)
    for twin in twins(value):
        try:
            other = codec.encode(twin)
        except (TypeError, ValueError, OverflowError):
            continue
        assert other == encoded, (value, twin)


@pytest.mark.parametrize(("kind", "objects"), shapes.KEYS)
@given(data=st.data())
def test_unequal_keys_have_other_bytes(
    kind: Any, objects: Any, data: st.DataObject
) -> None:
    """Two keys share their bytes only when they are equal."""
    codec = MsgPack(kind, name="it")
    one, two = data.draw(objects), data.draw(objects)
    assert (codec.encode(one) == codec.encode(two)) == (one == two)


@pytest.mark.parametrize(("kind", "objects"), shapes.VALUES)
def test_other_types_are_no_keys(kind: Any, objects: Any) -> None:
    """A type that cannot promise it says so, and says why."""
    codec = MsgPack(kind, name="it")
    assert not codec.canonical
    assert codec.not_a_key_because
    assert not MsgPack(tuple[int, kind], name="it").canonical


@pytest.mark.parametrize(("kind", "one", "two"), shapes.WITNESSES)
def test_the_refusals_are_needed(kind: Any, one: Any, two: Any) -> None:
    """For each refused kind there are equal objects with other bytes."""
    codec = MsgPack(kind, name="it")
    assert one == two
    assert codec.encode(one) != codec.encode(two)
    assert not codec.canonical


def test_a_zone_makes_equal_times_differ() -> None:
    """Equal datetimes of one zone can be two instants: zones are refused."""

    class Berlin(tzinfo):
        def utcoffset(self, when: datetime | None) -> timedelta:
            return timedelta(hours=1 if when is not None and when.fold else 2)

    zone = Berlin()
    early = datetime(2024, 10, 27, 2, 30, tzinfo=zone)
    late = early.replace(fold=1)
    codec = MsgPack(datetime)
    assert early == late
    assert codec.encode(early) != codec.encode(late)
    assert not codec.canonical
    with pytest.raises(ValueError, match="no timezone"):
        MsgPack(shapes.NaiveDatetime, name="it").encode(early)


@given(st.integers(-(2**63), 2**64 - 1))
@example(0)
@example(1)
def test_a_number_is_no_other_type(number: int) -> None:
    """In an int key, True, floats and Decimals are refused though they are equal."""
    codec = MsgPack(int)
    for twin in (bool(number), float(number), Decimal(number), Fraction(number)):
        with pytest.raises(TypeError):
            codec.encode(twin)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (shapes.Box, "frozen=True"), (shapes.Noted, "NamedTuple"),
        (shapes.Sparse, "omit_defaults"), (shapes.Modulo, "its own __eq__"),
        (tuple[int, list[int]], "list"), (set[int], "sorted tuple"),
        (datetime, "tz=False"), (Decimal, "int of the smallest unit"),
        (tuple[float, ...], "its item is a float"), (int | bool, "True equals 1"),
        (Any, "declare its type"), (bytearray, "not for keys"),
    ],
)  # fmt: skip
def test_the_reason_names_the_way_out(kind: Any, reason: str) -> None:
    """The sentence says what is in the way and what to use instead."""
    assert reason in (MsgPack(kind, name="it").not_a_key_because or "")
