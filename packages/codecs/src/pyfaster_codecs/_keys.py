# SPDX-License-Identifier: MIT
"""
Which types may be keys when they are stored as MessagePack.

Theory of operation. A key is found by its bytes, so equal objects must always have
equal bytes. That is decided once, from the structure of the declared type, and only
where it can be promised: everything not listed here is refused. The codec helps by
encoding what the decoder gives back, so that one object has one form.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import inspect as mi

_SCALARS = (mi.NoneType, mi.BoolType, mi.IntType, mi.StrType, mi.BytesType,
            mi.DateType, mi.TimeDeltaType, mi.UUIDType)  # fmt: skip

#: Equalities that enums may have, each with what it compares.
_PLAIN_EQ: dict[Any, Callable[[Any], object]] = {
    object.__eq__: id,
    int.__eq__: int.__int__,
    str.__eq__: str.__str__,
}

_REASONS: dict[type, str] = {
    mi.FloatType: "is a float, and -0.0 equals 0.0 but has other bytes; use an int "
    "of the smallest unit, or key=float by itself",
    mi.DecimalType: "is a Decimal, and 1.0 equals 1.00 but has other bytes; use an int "
    "of the smallest unit",
    mi.ListType: "is a list, which can change after it was stored; use tuple",
    mi.ByteArrayType: "is a bytearray, which is not for keys, as it can change; use "
    "bytes",
    mi.MemoryViewType: "is a memoryview, which is not for keys, as it can change; use "
    "bytes",
    mi.AnyType: "may be anything; declare its type",
    mi.DataclassType: "is a dataclass, whose fields may be left out of its equality; "
    "use a NamedTuple or msgspec.Struct with frozen=True",
}
_OWN_EQ = "which has its own __eq__; use the generated one"
_NO_ORDER = "has no order of its own; use a sorted tuple"
_ZONED = (
    "may have a time zone, and equal times of different zones have other bytes; use "
    "Annotated[{0}, msgspec.Meta(tz=False)], or an int since the epoch"
)


def children(node: mi.Type) -> Iterator[tuple[str, mi.Type]]:
    """
    Give the types inside a type, each with what to call it in a message.
    """
    if isinstance(node, mi.Metadata):
        yield "it", node.type
    for name in ("item_type", "key_type", "value_type"):
        if hasattr(node, name):
            yield f"its {name.removesuffix('_type')}", getattr(node, name)
    members: tuple[mi.Type, ...] = getattr(node, "item_types", ())
    for number, member in enumerate((*members, *getattr(node, "types", ()))):
        yield f"its member {number}", member
    for field in getattr(node, "fields", ()):
        yield f"field {field.name!r}", field.type


def bare(node: mi.Type) -> mi.Type:
    """
    Give a type without what was written about it.
    """
    while isinstance(node, mi.Metadata):
        node = node.type
    return node


def walk(node: mi.Type) -> Iterator[mi.Type]:
    """
    Give a type and all types inside it, each class once.
    """
    seen: set[object] = set()
    stack = [node]
    while stack:
        top = stack.pop()
        kind = getattr(top, "cls", None)
        if kind is None or kind not in seen:
            seen.add(kind)
            yield top
            stack += (child for _, child in children(top))


def key_obstacle(node: mi.Type) -> str | None:
    """
    Say why objects of a type may not be keys, or None when they may.
    """
    return _obstacle(node, "it", set())


def _obstacle(node: mi.Type, place: str, seen: set[object]) -> str | None:
    if isinstance(node, _SCALARS):
        return None
    kind = getattr(node, "cls", None)
    if kind is not None:
        if kind in seen:
            return None  # a recursive type: its fields are being judged already
        seen.add(kind)
    found = _own_obstacle(node)
    if found:
        return f"{place} {found}"
    inner = (_obstacle(child, name, seen) for name, child in children(node))
    return next((reason for reason in inner if reason), None)


def _own_obstacle(node: mi.Type) -> str | None:
    """What is wrong with a type before its members are looked at."""
    if isinstance(node, mi.EnumType):
        return _enum_obstacle(node.cls)
    if isinstance(node, (mi.DateTimeType, mi.TimeType)):
        name = "datetime" if isinstance(node, mi.DateTimeType) else "time"
        return None if node.tz is False else _ZONED.format(name)
    if isinstance(node, (mi.UnionType, mi.LiteralType)):
        return _bool_obstacle(node)
    if isinstance(node, (mi.TupleType, mi.VarTupleType, mi.Metadata)):
        return None
    if isinstance(node, mi.NamedTupleType):
        plain = _origin(node.cls).__eq__ is tuple.__eq__
        return None if plain else f"is {node.cls.__name__}, {_OWN_EQ}"
    if isinstance(node, mi.StructType):
        return _struct_obstacle(_origin(node.cls))
    if isinstance(node, (mi.DictType, mi.TypedDictType, mi.SetType, mi.FrozenSetType)):
        return _NO_ORDER
    kind = type(node).__name__.removesuffix("Type")
    return _REASONS.get(type(node), f"is of the kind {kind}, which is not for keys")


def _origin(kind: Any) -> Any:
    return typing.get_origin(kind) or kind


def _struct_obstacle(kind: type[msgspec.Struct]) -> str | None:
    config, name = kind.__struct_config__, kind.__name__
    if not config.frozen or not config.eq:
        return f"is {name}, which can change or has no equality; give it frozen=True"
    if config.omit_defaults:
        return (
            f"is {name} with omit_defaults, which writes equal objects differently; "
            "leave the option out"
        )
    mine = kind.__mro__[: kind.__mro__.index(msgspec.Struct)]
    if any("__eq__" in vars(one) for one in mine):
        return f"is {name}, {_OWN_EQ}"
    return None


def _enum_obstacle(kind: type[Any]) -> str | None:
    compared = _PLAIN_EQ.get(kind.__eq__)
    if compared is None:
        return f"is {kind.__name__}, {_OWN_EQ}"
    members = {id(one): one for one in kind.__members__.values()}
    if len({compared(one) for one in members.values()}) < len(members):
        return (
            f"is {kind.__name__}, of which two members are equal but have other bytes; "
            "give each member its own value"
        )
    return None


def _bool_obstacle(node: mi.Type) -> str | None:
    """Whether a union or a Literal takes a bool, and an int that equals it."""
    members = list(_members(node))
    for flag in (True, False):
        bools = any(_takes_bool(member, flag) for member in members)
        if bools and any(_takes_int(member, int(flag)) for member in members):
            return (
                f"may be a bool or an int, and {flag} equals {int(flag)} but has other "
                "bytes; use one of the two"
            )
    return None


def _members(node: mi.Type) -> Iterator[mi.Type]:
    plain = bare(node)
    if isinstance(plain, mi.UnionType):
        for member in plain.types:
            yield from _members(member)
    else:
        yield plain


def _takes_bool(node: mi.Type, flag: bool) -> bool:
    if isinstance(node, mi.LiteralType):
        return any(value is flag for value in node.values)
    return isinstance(node, mi.BoolType)


def _takes_int(node: mi.Type, number: int) -> bool:
    if isinstance(node, mi.LiteralType):
        return any(type(value) is int and value == number for value in node.values)
    if isinstance(node, mi.EnumType):
        return issubclass(node.cls, int)
    return isinstance(node, mi.IntType)
