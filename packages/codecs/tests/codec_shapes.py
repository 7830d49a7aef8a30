# SPDX-License-Identifier: MIT
"""Types and objects that several tests here store as MessagePack."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, Self, TypedDict
from uuid import UUID

import msgspec
from hypothesis import strategies as st


class Color(enum.Enum):
    """An enum of texts."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    """An enum whose members equal ints."""

    LOW = 0
    HIGH = 1


class Twins(int, enum.Enum):
    """Its members are equal, but are stored by their values."""

    def __new__(cls, value: int) -> Self:
        """Make a member that equals 7."""
        member = int.__new__(cls, 7)
        member._value_ = value
        return member

    ONE = 1
    TWO = 2


class Rights(enum.IntFlag):
    """A flag; alone or joined its members equal ints."""

    READ = 1
    WRITE = 2
    BOTH = 3


class Named(enum.StrEnum):
    """An enum whose members equal texts; one has two names."""

    ONE = "one"
    FIRST = "one"
    TWO = "two"


class Switch(NamedTuple):
    """Its item may be True or 1."""

    state: Literal[1, True]


class Setting(msgspec.Struct, frozen=True):
    """Its field may be False or 0."""

    state: Literal[0, False]


class Pair(NamedTuple):
    """Equal to a plain tuple."""

    left: int
    right: str = ""


class Order(msgspec.Struct, frozen=True):
    """Fit for a key: frozen, and of exact fields only."""

    id: int
    code: str = ""
    parent: Order | None = None


class Box(msgspec.Struct):
    """Not fit for a key: it can change."""

    items: list[int]
    weight: float = 0.0


class Bare(msgspec.Struct, eq=False):
    """Equal to itself only."""

    x: float


class Sparse(msgspec.Struct, frozen=True, omit_defaults=True):
    """Writes equal objects in different ways."""

    name: str = "abc"


class Modulo(msgspec.Struct, frozen=True):
    """Has an equality of its own."""

    x: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Modulo) and self.x % 10 == other.x % 10

    def __hash__(self) -> int:
        return self.x % 10


@dataclass(frozen=True)
class Noted:
    """A dataclass; its note does not count when it is compared."""

    x: int
    note: str = field(default="", compare=False)


class Entry(TypedDict):
    """A dict of known keys."""

    id: int
    name: str


NaiveDatetime = Annotated[datetime, msgspec.Meta(tz=False)]
NaiveTime = Annotated[time, msgspec.Meta(tz=False)]
Positive = Annotated[int, msgspec.Meta(gt=0)]
Titled = Annotated[str, msgspec.Meta(title="a name")]

INTS = st.integers(-(2**63), 2**64 - 1) | st.integers(-2, 2)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
ORDERS: st.SearchStrategy[Order] = st.recursive(
    st.builds(Order, INTS, TEXTS),
    lambda inner: st.builds(Order, INTS, TEXTS, inner),
    max_leaves=3,
)
SECONDS = st.integers(0, 86_399)
NAIVE = st.datetimes()
ZONES = st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))
AWARE = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ZONES)

#: Types that may be keys, each with its objects.
KEYS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, INTS),
    (str, TEXTS),
    (bytes, st.binary(max_size=8)),
    (bool, st.booleans()),
    (None, st.none()),
    (date, st.dates()),
    (timedelta, st.timedeltas()),
    (UUID, st.uuids()),
    (NaiveDatetime, NAIVE),
    (NaiveTime, st.times()),
    (Color, st.sampled_from(Color)),
    (Level, st.sampled_from(Level)),
    (Literal["a", "b"], st.sampled_from(["a", "b"])),
    (Literal[0, 1], st.sampled_from([0, 1])),
    (Literal[True, 2, "a"], st.sampled_from([True, 2, "a"])),
    (Literal[0] | Literal[True], st.sampled_from([0, True])),
    (Rights, st.sampled_from(list(Rights))),
    (Named, st.sampled_from(Named)),
    (Positive, st.integers(1, 2**64 - 1)),
    (Titled, TEXTS),
    (Pair, st.builds(Pair, INTS, TEXTS)),
    (Order, ORDERS),
    (int | str | None, INTS | TEXTS | st.none()),
    (tuple[int, str], st.tuples(INTS, TEXTS)),
    (tuple[int | None, ...], st.lists(INTS | st.none(), max_size=4).map(tuple)),
    (tuple[Pair, tuple[bool, Level]],
     st.tuples(st.builds(Pair, INTS),
               st.tuples(st.booleans(), st.sampled_from(Level)))),
]  # fmt: skip

FLOATS = st.floats(allow_nan=False)

#: Types for values only, each with its objects.
VALUES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (float, FLOATS),
    (Decimal, st.decimals(allow_nan=False)),
    (datetime, NAIVE | AWARE),
    (time, st.times()),
    (list[int], st.lists(INTS)),
    (list, st.lists(INTS | TEXTS | FLOATS)),
    (set[str], st.sets(TEXTS)),
    (frozenset[int], st.frozensets(INTS)),
    (dict[str, int], st.dictionaries(TEXTS, INTS)),
    (dict[int, list[str]], st.dictionaries(INTS, st.lists(TEXTS))),
    (Any, st.dictionaries(TEXTS, st.none() | st.booleans() | INTS | FLOATS)),
    (Box, st.builds(Box, st.lists(INTS), FLOATS)),
    (Noted, st.builds(Noted, INTS, TEXTS)),
    (Entry, st.builds(Entry, id=INTS, name=TEXTS)),
    (Sparse, st.builds(Sparse, TEXTS)),
    (list[Order | None], st.lists(ORDERS | st.none(), max_size=3)),
    (int | float, INTS | FLOATS),
    (bytearray, st.binary().map(bytearray)),
]

#: Equal objects that have other bytes: why a type is refused as a key.
WITNESSES: list[tuple[Any, Any, Any]] = [
    (float, 0.0, -0.0),
    (tuple[float], (0.0,), (-0.0,)),
    (Decimal, Decimal("1.0"), Decimal("1.00")),
    (int | float, 1, 1.0),
    (int | bool, 1, True),
    (Literal[1, 2] | bool, 1, True),
    (Level | bool, Level.HIGH, True),
    (Literal[1, True], 1, True),
    (Literal[0, False], 0, False),
    (Literal["a", 0, False, None], 0, False),
    (Literal[True] | int, 1, True),
    (Literal[True] | Literal[1, 2], 1, True),
    (Literal[False] | Level, Level.LOW, False),
    (tuple[str, Literal[1, True]], ("", 1), ("", True)),
    (tuple[Literal[1, True], ...], (1,), (True,)),
    (Annotated[Literal[1, True], "noted"] | None, 1, True),
    (Switch, Switch(1), Switch(True)),
    (Setting, Setting(0), Setting(False)),
    (tuple[Switch, int], (Switch(1), 1), (Switch(True), 1)),
    (dict[int, int], {1: 1, 2: 2}, {2: 2, 1: 1}),
    (Noted, Noted(1, "a"), Noted(1, "b")),
    (Modulo, Modulo(1), Modulo(11)),
    (Sparse, Sparse(), Sparse("".join(["a", "bc"]))),
    (
        time,
        time(12, tzinfo=UTC),
        time(13, tzinfo=timezone(timedelta(hours=1))),
    ),
]
