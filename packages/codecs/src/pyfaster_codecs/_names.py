# SPDX-License-Identifier: MIT
"""
Stable names: what a codec may be called on disk.

A name says what bytes mean, never where code lives: nothing is imported because a file
names it. Letters, digits, "_" and "-" make a part; ":" stands between a family and its
member ("acme:point"). A dot is refused, so no name can be a module's path.
"""

from __future__ import annotations

import re
import types
import typing

from pyfaster.errors import CodecError, ConfigError
from pyfaster.protocols import NATIVE_KINDS

#: The families of this distribution.
FAMILIES = ("struct", "numpy", "msgpack", "json")

#: What a name may not begin with: the families, and what the core calls its own.
RESERVED = frozenset(
    (*FAMILIES, *NATIVE_KINDS, "utf8", "int", "uint", "float", "pyfaster"),
)

NAME_LENGTH_MAX = 100

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(:[A-Za-z0-9_-]+)*")
_LITERAL = re.compile(r"[A-Za-z0-9_-]+")
_SCHEMA = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def check_name(name: object) -> str:
    """
    Give a user's codec name back if it may be written to disk.

    Raises:
        ConfigError: It may not; the message says which rule it breaks.
    """
    head = name.partition(":")[0] if isinstance(name, str) else ""
    if head in RESERVED:
        raise ConfigError(
            f"the codec name {name!r} begins with {head!r}, which belongs to pyfaster; "
            f"put a name of your own first, such as 'my:{head}'"
        )
    return _check_text(name, _NAME, 'such as "point" or "acme:point-2"')


def check_schema(name: object) -> str:
    """
    Give a schema's name back if it may follow "msgpack:" or "json:".

    Raises:
        ConfigError: It may not.
    """
    return _check_text(name, _SCHEMA, 'such as "Order" or "order-v2"')


def _check_text(name: object, pattern: re.Pattern[str], example: str) -> str:
    if not isinstance(name, str):
        raise ConfigError(
            f"a codec's name is a str, {example}; found {type(name).__name__}"
        )
    if len(name) > NAME_LENGTH_MAX:
        raise ConfigError(
            f"the codec name {name[:20]!r}... has {len(name)} characters; at most "
            f"{NAME_LENGTH_MAX} are allowed"
        )
    if not pattern.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be a codec's name: use a letter, then letters, digits, "
            f"'_' and '-' of ASCII, {example}; no dots, since a name on disk is never "
            "an import path"
        )
    return name


def type_label(kind: object) -> str:
    """
    Give the name of a type's schema: simple names, no modules.

    "Order" for a class, "list[Order]" for a generic; the members of a union are
    sorted, since their order means nothing.

    Raises:
        CodecError: The type has no simple name of ASCII letters.
    """
    label = _label(kind)
    if label is None or len(label) > NAME_LENGTH_MAX:
        raise CodecError(
            f"no stable name follows from the type {kind!r}: give one, as in "
            "MsgPack(type, name='order')"
        )
    return label


def _label(kind: object) -> str | None:
    if kind is None or kind is type(None):
        return "None"
    if kind is Ellipsis:
        return "..."
    if isinstance(kind, typing.NewType):
        return _label(kind.__supertype__)
    value = getattr(kind, "__value__", None)  # a `type X = ...` statement's
    if value is not None and not isinstance(kind, type):
        return _label(value)
    origin = typing.get_origin(kind)
    if origin is not None:
        return _generic_label(kind, origin)
    name = getattr(kind, "__name__", None)
    return name if isinstance(name, str) and _SCHEMA.fullmatch(name) else None


def _generic_label(kind: object, origin: object) -> str | None:
    arguments = typing.get_args(kind)
    if origin is typing.Annotated:
        return _label(arguments[0])
    if origin is typing.Literal:
        if not all(_LITERAL.fullmatch(str(part)) for part in arguments):
            return None
        return f"Literal[{','.join(sorted(repr(part) for part in arguments))}]"
    labels = [_label(part) for part in arguments]
    known = [label for label in labels if label is not None]
    if len(known) < len(labels):
        return None
    if origin in (typing.Union, types.UnionType):
        return "|".join(sorted(known))
    head = _label(origin)
    return None if head is None else f"{head}[{','.join(known)}]"
