# SPDX-License-Identifier: MIT
"""Objects as MessagePack: they come back, or are refused before they are stored."""

from __future__ import annotations

import enum
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, ForwardRef, NewType, Optional, Union
from uuid import UUID

import codec_shapes as shapes
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyfaster
from pyfaster.errors import CodecError, ConfigError
from pyfaster.protocols import Codec
from pyfaster_codecs import MsgPack

#: Passed where a datetime is declared, so of no declared type.
DAY: Any = date(2024, 5, 1)
NOON = datetime(2024, 5, 1, 12)


class Sub(shapes.Box):
    """A subclass with one field more."""

    extra: int = 5


class Meeting(msgspec.Struct, rename="pascal"):
    """Its fields have other names where they are encoded."""

    start: datetime


class Mixed(enum.Enum):
    """Not stored as it is: ints and texts."""

    A = 1
    B = "b"


class Points(enum.Enum):
    """Not stored as it is: tuples."""

    ORIGIN = (0, 0)


class Flags(enum.Enum):
    """Not stored as it is: bools."""

    ON = True
    OFF = False


class Changing(msgspec.Struct):
    """Becomes another object whenever it is read."""

    n: int

    def __post_init__(self) -> None:
        self.n += 1


def flat(value: Any) -> list[Any]:
    """Give what a container holds; NaN differs from itself, but looks the same."""
    if isinstance(value, shapes.Bare):
        return [value.x]
    if isinstance(value, dict):
        return list(value.items())
    return list(value) if isinstance(value, (list, set)) else [value]


@pytest.mark.parametrize(("kind", "objects"), shapes.KEYS + shapes.VALUES)
@given(data=st.data())
def test_objects_come_back(kind: Any, objects: Any, data: st.DataObject) -> None:
    """What is encoded is decoded as an equal object of the same type and bytes."""
    codec = MsgPack(kind, name="it")
    value = data.draw(objects)
    encoded = codec.encode(value)
    back = codec.decode(encoded)
    assert back == value
    assert type(back) is type(value) or kind is float or kind is int | float
    assert codec.encode(back) == encoded
    assert msgspec.msgpack.decode(encoded, type=kind) == value


@given(st.binary(max_size=40))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    """Bytes of any kind give an object of the type, or a ValueError."""
    for kind in (shapes.Order, shapes.Entry, tuple[int, str], datetime, Decimal):
        codec: MsgPack[Any] = MsgPack(kind, name="it")
        try:
            back = codec.decode(data)
        except ValueError:
            continue
        assert msgspec.msgpack.decode(data, type=kind) == back or back != back


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x01\x02", b"\x91" * 100_000, b"\xa2a", b"\x92\x01"]
)
def test_damaged_bytes_are_refused(data: bytes) -> None:
    """Cut, trailing, unknown and endlessly nested data give a ValueError."""
    with pytest.raises(ValueError, match="msgpack:it"):
        MsgPack(Any, name="it").decode(data)


@pytest.mark.parametrize(
    ("kind", "value", "error"),
    [
        (int, True, TypeError), (int, 1.0, TypeError), (int, "1", TypeError),
        (int, 2**64, OverflowError), (int, -(2**63) - 1, OverflowError),
        (int, 10**400, OverflowError), (str, b"a", TypeError),
        (str, "\ud800", ValueError),
        (shapes.Positive, -1, ValueError), (shapes.Color, "green", ValueError),
        (shapes.Color, "red", TypeError), (list[int], (1, 2), TypeError),
        (list[list[int]], [(1,)], TypeError), (tuple[int, int], [1, 2], TypeError),
        (tuple[int, int], (1, 2, 3), ValueError), (shapes.Pair, (1,), TypeError),
        (dict[str, int], {"a": "b"}, TypeError), (dict[str, int], {1: 1}, TypeError),
        (shapes.Entry, {"id": 1, "name": "", "more": 2}, ValueError),
        (shapes.Entry, {"id": 1}, ValueError), (shapes.Box, {"items": []}, TypeError),
        (shapes.Box, Sub([1]), TypeError), (list[shapes.Box], [Sub([1])], TypeError),
        (list[shapes.Box], [shapes.Box([1], math.nan), Sub([1])], TypeError),
        (shapes.Box, shapes.Box(["a"]), TypeError),
        (Decimal, "1.0", TypeError), (Any, Decimal(1), TypeError),
        (Any, (1, 2), TypeError), (Any, object(), TypeError), (Any, 1j, TypeError),
        (Any, {"a": {"b": (1,)}}, TypeError), (set[int], [1], TypeError),
        (Changing, Changing(1), ValueError),
        (time, time(1, tzinfo=timezone(timedelta(seconds=3601))), ValueError),
    ],
)  # fmt: skip
def test_what_would_change_is_refused(kind: Any, value: Any, error: type) -> None:
    """An object that would not come back as it is is refused on writing."""
    with pytest.raises(error, match="msgpack:it"):
        MsgPack(kind, name="it").encode(value)


def test_the_message_says_where() -> None:
    """An error inside an object names the place and both types."""
    with pytest.raises(TypeError, match=r"it\['a'\]\[1\]: found tuple, .* list"):
        MsgPack(dict[str, list[Any]], name="it").encode({"a": [0, (1, 2)]})
    with pytest.raises(TypeError, match=r"it\[0\]: expected int, found str"):
        MsgPack(list[int], name="it").encode(["x"])


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (datetime, DAY, "it: expected datetime, found date"),
        (date, NOON, "it: expected date, found datetime"),
        (time, DAY, "it: expected time, found date"),
        (timedelta, "1 s", "it: expected timedelta, found str"),
        (UUID, "7", "it: expected UUID, found str"),
        (Decimal, DAY, "it: expected Decimal, found date"),
        (bytes, DAY, "it: expected bytes, found date"),
        (datetime | None, DAY, "it: expected datetime, found date"),
        (list[datetime], [NOON, DAY], r"it\[1\]: expected datetime, found date"),
        (dict[str, datetime], {"a": NOON, "b": DAY},
         r"it\[\.\.\.\]: expected datetime, found date"),
        (dict[datetime, int], {DAY: 1}, "it: a key: expected datetime, found date"),
        (Meeting, Meeting(DAY), r"it\.Start: expected datetime, found date"),
        (list[Meeting], [Meeting(NOON), Meeting(DAY)],
         r"it\[1\]\.Start: expected datetime, found date"),
        (dict[str, int], {1: 2}, "it: a key: expected str, found int"),
        (dict[str, int], {(1,): 2}, "it: a key: expected str, found tuple"),
        (dict[int, int], {"1": 2}, "it: a key: expected int, found str"),
        (list[dict[str, int]], [{"a": 1}, {None: 2}],
         r"it\[1\]: a key: expected str, found NoneType"),
        (set[date], {NOON}, r"it\[0\]: expected date, found datetime"),
        (list[int], {1: 2}, "it: expected list, tuple or set, found dict"),
        (shapes.Entry, {"id": 1, "name": 2}, r"it\.name: expected str, found int"),
    ],
)  # fmt: skip
def test_the_message_names_both_types(kind: Any, value: Any, text: str) -> None:
    """What is of another type is a TypeError: the place, the declared, the found."""
    with pytest.raises(TypeError, match=f"^msgpack:{text}$"):
        MsgPack(kind, name="it").encode(value)


def test_a_time_that_cannot_be_stored_is_a_value_error() -> None:
    """A time whose zone is not of whole minutes is of the right type."""
    odd = NOON.timetz().replace(tzinfo=timezone(timedelta(seconds=3601)))
    with pytest.raises(ValueError, match="would come back as"):
        MsgPack(time, name="it").encode(odd)


def test_an_object_that_contains_itself_is_refused() -> None:
    """Endless nesting is an error, not a crash."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="contains itself"):
        MsgPack(Any, name="it").encode(endless)


def test_nan_comes_back() -> None:
    """NaN is not equal to itself, and still survives wherever it stands."""
    values: list[tuple[Any, Any]] = [
        (float, math.nan),
        (Decimal, Decimal("NaN")),
        (Decimal, Decimal("sNaN")),
        (list[float], [1.0, math.nan]),
        (dict[str, float], {"a": math.nan}),
        (set[float], {math.nan, 1.0}),
        (dict[float, int], {math.nan: 1, 2.0: 3}),
        (shapes.Box, shapes.Box([], math.nan)),
        (shapes.Bare, shapes.Bare(math.nan)),
    ]
    for kind, value in values:
        codec = MsgPack(kind, name="it")
        back = codec.decode(codec.encode(value))
        assert sorted(map(repr, flat(back))) == sorted(map(repr, flat(value)))


def test_an_int_is_a_float_where_floats_are_declared() -> None:
    """An int given for a float is stored as the float it equals."""
    codec = MsgPack(list[float])
    assert codec.encode([1]) == codec.encode([1.0])
    assert (
        MsgPack(shapes.Bare).decode(MsgPack(shapes.Bare).encode(shapes.Bare(1))).x == 1
    )


def test_zoned_times_come_back_as_the_instant() -> None:
    """A datetime with a zone comes back equal, in UTC."""
    codec = MsgPack(datetime)
    value = datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert codec.decode(codec.encode(value)) == value
    assert codec.decode(codec.encode(value)).tzinfo is UTC


def test_containers_without_order_have_one_form() -> None:
    """Dicts with str keys and sets have the same bytes however they were filled."""
    ab = MsgPack(dict[str, int])
    assert ab.encode({"a": 1, "b": 2}) == ab.encode({"b": 2, "a": 1})
    sets = MsgPack(set[int])
    assert sets.encode({8, 0, 1}) == sets.encode({1, 0, 8})


@pytest.mark.parametrize(
    ("kind", "one", "two"),
    [
        (dict[int, int], {1: 1, 2: 2}, {2: 2, 1: 1}),
        (Any, {"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (list[Any], [1], [1.0]),
        (dict[str, Any], {"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (tuple[dict[str, int], Any], ({"a": 1, "b": 2}, 0), ({"b": 2, "a": 1}, 0)),
        (list[Any], [0.0], [-0.0]),
        (Decimal, Decimal("1.0"), Decimal("1.00")),
    ],
)
def test_equal_values_may_have_other_bytes(kind: Any, one: Any, two: Any) -> None:
    """The types that the page warns of: compare-and-set can miss an equal value."""
    codec = MsgPack(kind, name="it")
    assert one == two
    assert codec.encode(one) != codec.encode(two)
    with pyfaster.open(key=int, value=codec) as store, store.session() as session:
        session.upsert(1, one)
        assert not session.compare_and_set(1, two, two)
        assert session.compare_and_set(1, one, two)


def test_the_contract_is_met() -> None:
    """A MsgPack fits the protocol; its size varies and nothing merges."""
    codec = MsgPack(shapes.Order, name="order-v2")
    assert isinstance(codec, Codec)
    assert (codec.name, codec.size, codec.dtype) == ("msgpack:order-v2", None, None)
    assert (codec.value_type, codec.native) == ("opaque", None)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (shapes.Order, "Order"), (list, "list"), (list[int], "list[int]"),
        (dict[str, list[shapes.Order]], "dict[str,list[Order]]"),
        (Union[str, int, None], "None|int|str"),  # noqa: UP007 - the old form
        (Optional[int], "None|int"),  # noqa: UP045 - the old form
        (int | str, "int|str"), (str | int, "int|str"),
        (tuple[int, ...], "tuple[int,...]"),
        (shapes.Positive, "int"), (NewType("Id", int), "int"), (Any, "Any"),
        (None, "None"), (tuple[()], "tuple[]"),
    ],
)  # fmt: skip
def test_names_follow_from_types(kind: Any, name: str) -> None:
    """A type gives a name of simple names, the same for all spellings of it."""
    assert MsgPack(kind).name == f"msgpack:{name}"


def test_a_name_is_no_import_path() -> None:
    """No module's name gets into a name, and a name may be given no dots."""
    assert "codec_shapes" not in MsgPack(shapes.Order).name
    for bad in ("shapes.Order", "shapes:Order", "", "a b", "é", "x" * 101, 7):
        with pytest.raises(ConfigError, match="name"):
            MsgPack(shapes.Order, name=bad)


def test_a_type_without_a_simple_name_needs_one() -> None:
    """Where no name follows from the type, the error asks for one."""
    odd = type("Größe", (msgspec.Struct,), {})
    with pytest.raises(CodecError, match="name='order'"):
        MsgPack(odd)
    assert MsgPack(odd, name="size").name == "msgpack:size"


@pytest.mark.parametrize(
    ("kind", "text"),
    [(list[complex], "does not know complex"), (complex, "does not know complex"),
     (Path, "does not know Path"), (3, "cannot be stored"), (msgspec.Raw, "Raw"),
     (list[ForwardRef("Missing")], "Missing"), (str | bytes, "str-like"),
     (Mixed, "all of them ints"), (Points, "all its members texts"),
     (tuple[int, Points], "codec for it"), (Flags, "all of them ints")],
)  # fmt: skip
def test_other_types_are_refused(kind: Any, text: str) -> None:
    """A type that msgspec cannot check is refused, with the way out."""
    with pytest.raises(CodecError, match=text):
        MsgPack(kind, name="it")
