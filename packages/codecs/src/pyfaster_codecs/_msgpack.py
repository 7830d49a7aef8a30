# SPDX-License-Identifier: MIT
"""
Objects as MessagePack, checked against a declared type.

Everything that msgspec knows can be stored: its Structs, Python's containers and
scalars, dataclasses, TypedDicts, NamedTuples, enums. An object is encoded, decoded as
the declared type, and what comes out is encoded again: so nothing is stored that cannot
be read, and one object has one form. The class is never named on disk; a schema is
known by a name of its own.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar, overload

import msgspec
from msgspec import inspect as mi

from pyfaster.errors import CodecError
from pyfaster_codecs._complaints import complaint
from pyfaster_codecs._fidelity import require_same, same
from pyfaster_codecs._keys import bare, key_obstacle, walk
from pyfaster_codecs._names import check_schema, type_label

T = TypeVar("T")

PREFIX = "msgpack:"

_encode_unordered = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_ENUM_ADVICE = (
    "; give all its members texts, or give all of them ints, or write a codec for it "
    "with pyfaster_codecs.codec"
)


class MsgPack(Generic[T]):
    """
    The codec of a type as MessagePack.

    Args:
        kind: The declared type: a class, `list[int]`, `int | None`, ...

        name: What the schema is called on disk; the simple name of the type when
            not given. Give one when the class may be renamed.

    Attributes:
        not_a_key_because: Why its objects may not be keys; None when they may.

    Raises:
        CodecError: msgspec does not know the type, or no name follows from it.

        ConfigError: The name may not be written to disk.

    Example:
        >>> MsgPack(tuple[str, int]).encode(("a", 1)).hex()
        '92a16101'
    """

    __slots__ = (
        "_decode", "_encode", "_kind", "canonical", "name", "not_a_key_because",
    )  # fmt: skip

    size: int | None = None
    value_type = "opaque"
    native: None = None
    dtype: None = None

    @overload
    def __init__(self, kind: type[T], *, name: str | None = None) -> None: ...
    @overload
    def __init__(
        self: MsgPack[Any], kind: object, *, name: str | None = None
    ) -> None: ...
    def __init__(self, kind: object, *, name: str | None = None) -> None:
        tree = _type_tree(kind)
        label = type_label(kind) if name is None else check_schema(name)
        self.name = PREFIX + label
        self._kind = kind
        order = "deterministic" if _can_be_ordered(tree) else None
        self._encode = msgspec.msgpack.Encoder(
            order=order,  # type: ignore[arg-type]  # a literal, chosen above
            uuid_format="bytes",
        ).encode
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self.not_a_key_because = key_obstacle(tree)
        self.canonical = self.not_a_key_because is None

    def __repr__(self) -> str:
        return f"MsgPack({self._kind!r}, name={self.name.removeprefix(PREFIX)!r})"

    def encode(self, value: T, /) -> bytes:
        """
        Give the bytes of an object.

        Raises:
            TypeError: It, or something in it, is not of the declared type.

            ValueError, OverflowError: It breaks a constraint, or would not come back
                as it is.
        """
        try:
            back: Any = self._decode(self._encode_as_given(value))
        except msgspec.DecodeError as exc:
            raise complaint(value, exc, self.name) from exc
        except RecursionError as exc:
            raise ValueError(
                f"{self.name}: the object contains itself or is nested too deeply"
            ) from exc
        except UnicodeEncodeError as exc:
            raise ValueError(f"{self.name}: {exc}") from exc
        except (TypeError, OverflowError) as exc:
            raise type(exc)(f"{self.name}: {exc}") from exc
        if not same(value, back):
            require_same(value, back, self.name)
        return self._encode(back)

    def _encode_as_given(self, value: object) -> bytes:
        """Encode what may be of another type; then the decoder says what is wrong."""
        try:
            return self._encode(value)
        except TypeError:  # also a dict that cannot be sorted, where none is declared
            return _encode_unordered(value)

    def decode(self, data: bytes, /) -> T:
        """
        Give the object of some bytes.

        Raises:
            ValueError: They are not MessagePack, or not of the declared type.
        """
        try:
            value: T = self._decode(data)
        except msgspec.MsgspecError as exc:
            raise ValueError(f"{self.name}: {exc}") from exc
        except RecursionError as exc:
            raise ValueError(f"{self.name}: the data is nested too deeply") from exc
        return value


def _type_tree(kind: object) -> mi.Type:
    try:
        tree = mi.type_info(kind)
        msgspec.msgpack.Decoder(kind)
    except (TypeError, NameError) as exc:
        advice = _ENUM_ADVICE if str(exc).startswith("Enums") else ""
        raise CodecError(
            f"{kind!r} cannot be stored as MessagePack: {exc}{advice}"
        ) from exc
    for node in walk(tree):
        if isinstance(node, mi.CustomType):
            raise CodecError(
                f"{kind!r} cannot be stored as MessagePack: msgspec does not know "
                f"{node.cls.__qualname__}; use a msgspec.Struct or a dataclass, or "
                "write a codec for it with pyfaster_codecs.codec"
            )
        if isinstance(node, mi.RawType):
            raise CodecError(
                f"{kind!r} holds msgspec.Raw, which is not checked; use bytes"
            )
    return tree


def _can_be_ordered(tree: mi.Type) -> bool:
    """Whether all dicts have str keys; msgspec can sort only those."""
    return not any(
        isinstance(node, mi.AnyType)
        or (
            isinstance(node, mi.DictType)
            and not isinstance(bare(node.key_type), mi.StrType)
        )
        for node in walk(tree)
    )


def known_to_msgspec(kind: object) -> bool:
    """
    Say whether a type is msgspec's business at its top level.

    So are types that it knows and refuses: `MsgPack` then says why.
    """
    try:
        return not isinstance(mi.type_info(kind), mi.CustomType)
    except (TypeError, NameError):
        return True
