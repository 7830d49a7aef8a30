# SPDX-License-Identifier: MIT
"""The promise behind keys: equal objects have equal bytes, or the type is refused."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from itertools import combinations, product
from operator import or_
from typing import Any, Literal, NamedTuple

import codec_shapes as shapes
import msgspec
import pydantic
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pyfaster
from pyfaster.errors import CodecError
from pyfaster_codecs import MsgPack


class Note(pydantic.BaseModel):
    """Stored as JSON."""

    text: str


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


#: What stands in Literals here, with equal ones among them.
PARTS: list[Any] = [0, 1, 2, -1, False, True, None, "", "a", "1", "True"]


def nested(kind: Any) -> list[tuple[Any, Any]]:
    """Types that hold a type, each with how to make its object of an item."""
    fields = [("item", kind), ("more", int)]
    pair = NamedTuple("pair", fields)  # type: ignore[misc] # of a given type
    cell = msgspec.defstruct("cell", [("item", kind)], frozen=True)
    return [
        (kind, lambda item: item),
        (tuple[kind, str], lambda item: (item, "")),
        (tuple[kind, ...], lambda item: (item, item)),
        (tuple[tuple[kind], int], lambda item: ((item,), 1)),
        (pair, lambda item: pair(item, 1)),
        (cell, cell),
        (tuple[cell, ...], lambda item: (cell(item),)),  # type: ignore[valid-type]
    ]


@settings(max_examples=8)
@given(st.lists(st.sampled_from(PARTS), min_size=1, unique_by=repr), st.booleans())
@example([1, True], False)
@example([0, False], True)
def test_equal_members_of_literals_have_equal_bytes(
    parts: list[Any], apart: bool
) -> None:
    """Of any Literal, or union of them, wherever it stands: equal keys, equal bytes."""
    each: Any = [Literal[part] for part in parts]
    kind: Any = Literal[tuple(parts)]
    if apart:
        kind = reduce(or_, each)
    clash = any(one == two for one, two in combinations(parts, 2))
    for whole, make in nested(kind):
        codec = MsgPack(whole, name="it")
        assert codec.canonical != clash, whole
        if clash:
            continue
        for part, twin in product(parts, PARTS):
            try:
                other = codec.encode(make(twin))
            except (TypeError, ValueError):
                continue
            assert (other == codec.encode(make(part))) == (part == twin)


@pytest.mark.parametrize("kind", [one for one, *_ in shapes.WITNESSES])
def test_a_store_refuses_what_is_no_key(kind: Any) -> None:
    """Opening with such a key is an error that says what is in the way."""
    codec = MsgPack(kind, name="it")
    with pytest.raises(CodecError, match="may not serve keys") as caught:
        pyfaster.open(key=codec, value=int)
    assert codec.not_a_key_because
    assert str(codec.not_a_key_because) in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "way_out"),
    [
        (list[int], "use tuple"), (dict[str, int], "use a sorted tuple"),
        (set[int], "use a sorted tuple"), (Decimal, "use an int of the smallest unit"),
        (shapes.Noted, "use a NamedTuple or msgspec.Struct with frozen=True"),
        (shapes.Box, "give it frozen=True"), (shapes.Sparse, "leave the option out"),
        (shapes.Modulo, "use the generated one"), (datetime, "msgspec.Meta(tz=False)"),
        (tuple[float, int], "an int of the smallest unit, or key=float by itself"),
        (int | bool, "use one of the two"), (Literal[1, True], "use one of the two"),
        (shapes.Twins, "give each member its own value"),
        (Note, "use a NamedTuple"),
    ],
)  # fmt: skip
def test_the_error_at_open_names_the_way_out(kind: Any, way_out: str) -> None:
    """Whatever is refused as `key=` says what to use instead."""
    with pytest.raises(CodecError, match=re.escape(way_out)):
        pyfaster.open(key=kind, value=int)


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
