# SPDX-License-Identifier: MIT
"""
Plain records by a format of the standard library's `struct`.

Theory of operation. Only little-endian formats with standard sizes are taken, so the
bytes mean the same on every machine. A format serves keys when each of its bit patterns
is a different object: then arrays of records can be handed to the store as they are and
still name the same keys as the tuples do. Floats (-0.0 equals 0.0, NaN equals nothing)
and bools (a stray byte 2 is true as well) have no such form. Padding is written as
zeros; as arrays may carry anything in it, a padded format takes tuples only.
"""

from __future__ import annotations

import re
import struct
from collections import namedtuple
from collections.abc import Iterable
from typing import Any, Generic, TypeVar, overload

from pyfaster.errors import CodecError, ConfigError
from pyfaster_codecs._show import show

T = TypeVar("T", bound=tuple[Any, ...])

PREFIX = "struct:"

#: Items a format may have; a name that was read from a file is not trusted.
FIELDS_MAX = 4096

_FORMAT = re.compile(r"<\s*(?:\d*[A-Za-z?]\s*)*")
_ITEM = re.compile(r"(\d*)([A-Za-z?])")
_SAME = {"l": "i", "L": "I"}  # the same standard sizes, so one name for both
_DTYPES = {
    "c": "S1", "b": "i1", "B": "u1", "?": "?", "h": "<i2", "H": "<u2", "i": "<i4",
    "I": "<u4", "q": "<i8", "Q": "<u8", "e": "<f2", "f": "<f4", "d": "<f8",
}  # fmt: skip
_VALUE_TYPES = {
    "b": "i8", "B": "u8", "h": "i16", "H": "u16", "i": "i32", "I": "u32", "q": "i64",
    "Q": "u64", "f": "f32", "d": "f64",
}  # fmt: skip
_FLOATS = "efd"
_NAMEDTUPLE: Any = namedtuple  # its names vary, which type checkers refuse


class Struct(Generic[T]):
    """
    The codec of fixed-size records by a struct format.

    Args:
        layout: A format as for `struct.Struct`; it must begin with "<".

        fields: Names of the items: a class made with `typing.NamedTuple`, or names
            as for `collections.namedtuple`. Without it records are plain tuples. The
            names are not written to disk.

    Attributes:
        not_a_key_because: Why its objects may not be keys; None when they may.

    Raises:
        ConfigError: The format is not portable, or fields and items do not match.

    Example:
        >>> codec = Struct("<IH", ("id", "kind"))
        >>> codec.decode(codec.encode((7, 2))).id
        7
    """

    __slots__ = (
        "_bools", "_checks", "_codes", "_make", "_pack", "_pads", "_record",
        "_unpack", "canonical", "dtype", "name", "not_a_key_because", "size",
        "value_type",
    )  # fmt: skip

    native: None = None

    @overload
    def __init__(self: Struct[tuple[Any, ...]], layout: str) -> None: ...
    @overload
    def __init__(self: Struct[T], layout: str, fields: type[T]) -> None: ...
    @overload
    def __init__(self: Struct[Any], layout: str, fields: Iterable[str]) -> None: ...
    def __init__(
        self, layout: str, fields: type[T] | Iterable[str] | None = None
    ) -> None:
        items = _parse(layout)
        normal = "<" + "".join(_spell(count, code) for count, code in items)
        packer = struct.Struct(normal)
        self.name = PREFIX + normal
        self.size: int | None = packer.size
        self._pack, self._unpack = packer.pack, packer.unpack
        self._codes, self._bools, self._pads = _expand(items)
        self._record = _record_type(fields, len(self._codes), normal)
        self._make: Any = tuple if self._record is None else self._record._make
        self._checks = [
            (index, code) for index, code in enumerate(self._codes) if _checked(code)
        ]
        self.not_a_key_because = _obstacle(self._codes)
        self.canonical = self.not_a_key_because is None
        self.dtype = None if self._pads else _dtype(self._codes, self._record)
        alone = self._codes[0] if len(self._codes) == 1 and not self._pads else ""
        self.value_type = _VALUE_TYPES.get(alone, "opaque")

    def __repr__(self) -> str:
        return f"Struct({self.name.removeprefix(PREFIX)!r})"

    def encode(self, value: T, /) -> bytes:
        """
        Give the bytes of a tuple.

        Raises:
            TypeError: It is no tuple, or an item is not of its field's type.

            ValueError, OverflowError: An item does not fit its field, or there are
                too many or too few.
        """
        if not isinstance(value, tuple):
            raise TypeError(
                f"{self.name}: expected a tuple of {len(self._codes)}, found "
                f"{type(value).__name__}"
            )
        if len(value) != len(self._codes):
            raise ValueError(
                f"{self.name}: expected {len(self._codes)} items, found {len(value)}"
            )
        for index, code in self._checks:
            self._check(value[index], index, code)
        try:
            return self._pack(*value)
        except (struct.error, OverflowError) as exc:
            raise self._explain(value, exc) from exc

    def decode(self, data: bytes, /) -> T:
        """
        Give the tuple of some bytes.

        Raises:
            ValueError: They are too many or too few, a bool is neither 0 nor 1, or
                padding is not zero.
        """
        if len(data) != self.size:
            raise ValueError(
                f"{self.name}: a record has {self.size} bytes, found {len(data)}"
            )
        for offset in self._bools:
            if data[offset] > 1:
                raise ValueError(
                    f"{self.name}: byte {offset} is {data[offset]}, not a bool (0 or 1)"
                )
        for offset, count in self._pads:
            if any(data[offset : offset + count]):
                raise ValueError(f"{self.name}: padding at byte {offset} is not zero")
        record: T = self._make(self._unpack(data))
        return record

    def _check(self, item: object, index: int, code: str) -> None:
        """What `struct` would take and change without a word."""
        if code == "?":
            good, wanted = isinstance(item, bool), "a bool"
        elif code in _FLOATS:
            good, wanted = isinstance(item, (float, int)), "a float"
        else:
            good, wanted = isinstance(item, (bytes, bytearray)), "bytes"
        if not good:
            raise TypeError(
                f"{self._place(index)}: expected {wanted}, found {type(item).__name__}"
            )
        if isinstance(item, (bytes, bytearray)) and len(item) != int(code[:-1]):
            raise ValueError(
                f"{self._place(index)}: expected exactly {code[:-1]} bytes, found "
                f"{len(item)}; pad or cut them yourself"
            )
        if isinstance(item, int) and code in _FLOATS:
            self._check_exact(item, index, code)

    def _check_exact(self, item: int, index: int, code: str) -> None:
        try:
            (stored,) = struct.unpack("<" + code, struct.pack("<" + code, item))
        except (struct.error, OverflowError):
            raise _misfit(self._place(index), item, code) from None
        if stored != item:
            raise ValueError(
                f"{self._place(index)}: the int {show(item)} would become {stored}; "
                "pass a float if that is meant"
            )

    def _explain(self, value: tuple[Any, ...], exc: Exception) -> Exception:
        """Find the item that `struct` refused and say what is wrong with it."""
        for index, (item, code) in enumerate(zip(value, self._codes, strict=True)):
            try:
                struct.pack("<" + code, item)
            except (struct.error, OverflowError):
                return _misfit(self._place(index), item, code)
        return ValueError(f"{self.name}: {exc}")

    def _place(self, index: int) -> str:
        names = () if self._record is None else self._record._fields
        return f"{self.name}: item {names[index] if names else index}"


def _misfit(place: str, item: object, code: str) -> Exception:
    if code == "c" and isinstance(item, bytes):
        return ValueError(f"{place}: expected 1 byte, found {len(item)}")
    if code != "c" and (isinstance(item, int) or code in _FLOATS):
        return OverflowError(f"{place}: {show(item)} does not fit {code!r}")
    return TypeError(f"{place}: {type(item).__name__} does not fit {code!r}")


def struct_by_name(name: str) -> Struct[tuple[Any, ...]]:
    """
    Make the codec that a stored name means.

    Raises:
        ConfigError: No codec of this version has that name.
    """
    codec = Struct(name.removeprefix(PREFIX))
    if codec.name != name:
        raise ConfigError(f"{name!r} is no codec's name; did you mean {codec.name!r}?")
    return codec


def _parse(layout: object) -> list[tuple[int, str]]:
    """Split a format into counts and codes, neighbours of one code joined."""
    if not isinstance(layout, str):
        raise CodecError(
            f"a struct format is a str such as '<IHd', found {type(layout).__name__}"
        )
    if layout[:1] in (">", "!"):
        raise ConfigError(
            f"struct format {layout!r} is big-endian; stored data is little-endian on "
            f"every machine: write '<{layout[1:]}'"
        )
    if layout[:1] != "<":
        bare = layout.lstrip("@=")
        raise ConfigError(
            f"struct format {layout!r} has the byte order, sizes or padding of this "
            f"machine; begin with '<' for fixed ones: '<{bare}'"
        )
    if not _FORMAT.fullmatch(layout):
        raise ConfigError(f"struct format {layout!r} is malformed; example: '<IHd'")
    items: list[tuple[int, str]] = []
    for digits, letter in _ITEM.findall(layout):
        code = _SAME.get(letter, letter)
        if code not in _DTYPES and code not in "sx":
            raise ConfigError(_bad_code(layout, code))
        count = int(digits or "1") if len(digits) < 10 else FIELDS_MAX << 20
        if code != "s" and items and items[-1][1] == code:
            count += items.pop()[0]
        if count or code == "s":
            items.append((count, code))
    _check_extent(layout, items)
    return items


def _bad_code(layout: str, code: str) -> str:
    if code in "nNP":
        return (
            f"struct format {layout!r}: {code!r} differs between machines; use 'q' or "
            "'Q'"
        )
    if code == "p":
        return f"struct format {layout!r}: 'p' is not supported; use 's', or bytes"
    return f"struct format {layout!r}: there is no code {code!r}"


def _check_extent(layout: str, items: list[tuple[int, str]]) -> None:
    fields = sum(1 if code == "s" else n for n, code in items if code != "x")
    if fields == 0:
        raise ConfigError(f"struct format {layout!r} holds no items; example: '<IHd'")
    if fields > FIELDS_MAX:
        raise ConfigError(
            f"struct format {layout!r} has {fields} items; at most {FIELDS_MAX} are "
            "allowed: use a numpy dtype with an array field"
        )
    if (0, "s") in items:
        raise ConfigError(f"struct format {layout!r}: '0s' holds nothing; leave it out")
    if any(count >= 1 << 30 for count, _ in items):
        raise ConfigError(f"struct format {layout!r} is larger than any page")


def _spell(count: int, code: str) -> str:
    return code if count == 1 and code != "s" else f"{count}{code}"


def _expand(
    items: list[tuple[int, str]],
) -> tuple[list[str], list[int], list[tuple[int, int]]]:
    """Give the codes one by one, where bools are, and where padding is."""
    codes: list[str] = []
    bools: list[int] = []
    pads: list[tuple[int, int]] = []
    offset = 0
    for count, code in items:
        if code == "x":
            pads.append((offset, count))
        elif code == "s":
            codes.append(f"{count}s")
        else:
            codes += [code] * count
            bools += range(offset, offset + count) if code == "?" else ()
        offset += struct.calcsize(f"<{count}{code}")
    return codes, bools, pads


def _checked(code: str) -> bool:
    return code == "?" or code in _FLOATS or code.endswith("s")


def _obstacle(codes: list[str]) -> str | None:
    if any(code in _FLOATS for code in codes):
        return (
            "it has a float, and -0.0 equals 0.0 but has other bytes; scale it to an "
            "integer"
        )
    if "?" in codes:
        return "it has a bool, which more than one byte can mean; use 'B'"
    return None


def _record_type(
    fields: type[Any] | Iterable[str] | None, count: int, layout: str
) -> Any:
    record: Any = fields
    if fields is None:
        return None
    if isinstance(fields, type):
        if not (issubclass(fields, tuple) and hasattr(fields, "_make")):
            raise CodecError(
                f"fields={fields.__name__} is not made with typing.NamedTuple; pass "
                "such a class, or the names of the items"
            )
    else:
        names = fields.split() if isinstance(fields, str) else list(fields)
        try:
            record = _NAMEDTUPLE("Record", names)
        except (TypeError, ValueError) as exc:
            raise ConfigError(f"fields={names!r}: {exc}") from exc
    if len(record._fields) != count:
        raise ConfigError(
            f"{len(record._fields)} fields ({', '.join(record._fields)}) do not name "
            f"the {count} items of {layout!r}"
        )
    return record


def _dtype(codes: list[str], record: Any) -> list[tuple[str, str]]:
    names = [f"f{i}" for i in range(len(codes))] if record is None else record._fields
    kinds = [_DTYPES.get(code) or f"S{code[:-1]}" for code in codes]
    return list(zip(names, kinds, strict=True))
