# SPDX-License-Identifier: MIT
"""
What a numpy dtype looks like in bytes: which ones are taken, and how they are written.

A layout is spelled as JSON: "<i4" for a scalar, a list of [name, layout] or
[name, layout, shape] for a structured one, with ["", n] for n bytes of padding. The
spelling is ours, so that a name on disk does not depend on numpy's version.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from pyfaster.errors import CodecError, ConfigError, PluginMissingError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PREFIX = "numpy:"

#: No page is larger, so no record can be.
SIZE_MAX = 1 << 30

_SCALAR = re.compile(r"[<|][biufcSUVMm]\d{1,10}(\[\d*[A-Za-z]{1,2}\])?")
#: Kinds of which each bit pattern is a different object.
_EXACT_KINDS = "iuSUVMm"
_WIDTHS = {"f": (2, 4, 8), "c": (8, 16)}


def load_numpy() -> Any:
    """
    Import numpy, which is needed only by those who name a dtype.

    Raises:
        PluginMissingError: It is not installed.
    """
    try:
        import numpy
    except ImportError as exc:
        raise PluginMissingError(
            "numpy dtypes need numpy: pip install 'pyfaster-codecs[numpy]'"
        ) from exc
    return numpy


def check_dtype(dtype: np.dtype[Any]) -> None:
    """
    Refuse a dtype whose bytes do not mean the same on every machine.

    Raises:
        CodecError: It holds Python objects, or a kind that cannot be stored.

        ConfigError: It can be stored once it is written differently.
    """
    if dtype.hasobject:
        raise CodecError(
            f"{dtype} holds references to Python objects, which mean nothing on disk; "
            "give each field a size, such as 'S16', or use MsgPack"
        )
    if dtype.itemsize > SIZE_MAX:
        raise ConfigError(f"an item of {dtype.itemsize} bytes is larger than any page")
    if dtype.subdtype is not None:
        raise ConfigError(
            f"{dtype} is an array without a name; put it into a field: "
            f"[('values', {str(dtype.base)!r}, {dtype.shape})]"
        )
    if dtype.names is None:
        _check_scalar(dtype)
    else:
        _check_fields(dtype)


def _check_scalar(dtype: np.dtype[Any]) -> None:
    text = dtype.str
    plain = _SCALAR.fullmatch(text) is not None and dtype.isbuiltin != 2
    if text[0] == ">":
        raise ConfigError(
            f"{text!r} is big-endian; stored data is little-endian on every machine: "
            f"use '<{text[1:]}', and convert with array.astype('<{text[1:]}')"
        )
    if dtype.itemsize == 0:
        raise ConfigError(f"{dtype!r} has no size; say one, such as '{dtype.kind}16'")
    if dtype.kind in "Mm" and "[" not in text:
        raise ConfigError(f"{text!r} has no unit; say one, such as '{text}[us]'")
    if dtype.itemsize not in _WIDTHS.get(dtype.kind, (dtype.itemsize,)):
        raise CodecError(
            f"{dtype} differs between machines; use "
            f"'<{dtype.kind}{_WIDTHS[dtype.kind][-1]}'"
        )
    if not plain:
        raise CodecError(
            f"the dtype {dtype} cannot be stored; integers, floats, complex numbers, "
            "bools, 'S', 'U', 'V', datetime64 and structures of them can"
        )


def _check_fields(dtype: np.dtype[Any]) -> None:
    if len(dtype.fields or ()) > len(dtype.names or ()):
        raise ConfigError(f"{dtype} has fields with titles; leave titles out")
    free = 0
    for name, kind, offset in members(dtype):
        if offset < free:
            raise ConfigError(
                f"field {name!r} at byte {offset} overlaps the field before it, or "
                "stands before it; list the fields in the order of their offsets"
            )
        free = offset + kind.itemsize
        check_dtype(kind.base)
    if not dtype.names or dtype.itemsize == 0:
        raise ConfigError(f"{dtype} holds nothing; give it a field")


def members(dtype: np.dtype[Any]) -> list[tuple[str, np.dtype[Any], int]]:
    """
    Give a dtype's fields: name, dtype (an array's with its shape), offset.
    """
    fields: Any = dtype.fields
    return [(name, *fields[name][:2]) for name in dtype.names or ()]


def spell(dtype: np.dtype[Any]) -> str | list[Any]:
    """
    Write a checked dtype as plain lists and texts.
    """
    if dtype.names is None:
        return dtype.str
    parts: list[Any] = []
    end = 0
    for name, kind, offset in members(dtype):
        parts += [["", offset - end]] if offset > end else []
        shape = [list(kind.shape)] if kind.shape else []
        parts.append([name, spell(kind.base), *shape])
        end = offset + kind.itemsize
    return parts + ([["", dtype.itemsize - end]] if dtype.itemsize > end else [])


def dtype_name(dtype: np.dtype[Any]) -> str:
    """
    Give the stable name of a checked dtype.
    """
    spelled = spell(dtype)
    if isinstance(spelled, str):
        return PREFIX + spelled
    return PREFIX + json.dumps(spelled, separators=(",", ":"))


def dtype_by_name(name: str) -> np.dtype[Any]:
    """
    Make the dtype that a stored name means.

    Raises:
        ConfigError: No dtype of this version has that name.
    """
    text = name.removeprefix(PREFIX)
    try:
        spelled = json.loads(text) if text.startswith("[") else text
        made: np.dtype[Any] = _unspell(load_numpy(), spelled)
        check_dtype(made)
        known = dtype_name(made) == name
    except (ValueError, TypeError, OverflowError, RecursionError) as exc:
        raise ConfigError(f"{name[:60]!r} does not name a dtype: {exc}") from exc
    if not known:
        raise ConfigError(f"{name[:60]!r} does not name a dtype in its normal form")
    return made


def _unspell(np: Any, spelled: object) -> Any:
    if isinstance(spelled, str) and _SCALAR.fullmatch(spelled):
        return np.dtype(spelled)
    if not isinstance(spelled, list):
        raise ValueError(f"{spelled!r} is not a layout")
    names: list[str] = []
    formats: list[Any] = []
    offsets: list[int] = []
    end = 0
    for field, kind, *shape in spelled:
        if field == "":
            end += int(kind)
            continue
        made = _unspell(np, kind)
        made = np.dtype((made, tuple(shape[0]))) if shape else made
        names.append(field)
        formats.append(made)
        offsets.append(end)
        end += made.itemsize
    return np.dtype(
        {"names": names, "formats": formats, "offsets": offsets, "itemsize": end}
    )


def array_dtype(dtype: np.dtype[Any]) -> str | list[Any] | None:
    """
    Describe arrays of the dtype; None when their padding could carry anything.
    """
    return None if has_padding(dtype) else _description(dtype)


def _description(dtype: np.dtype[Any]) -> str | list[Any]:
    if dtype.names is None:
        return dtype.str
    return [
        (name, _description(kind.base), *([kind.shape] if kind.shape else []))
        for name, kind, _ in members(dtype)
    ]


def has_padding(dtype: np.dtype[Any]) -> bool:
    """
    Say whether some bytes of an item belong to no field.
    """
    if dtype.names is None:
        return False
    kinds = [kind for _, kind, _ in members(dtype)]
    if sum(kind.itemsize for kind in kinds) < dtype.itemsize:
        return True
    return any(has_padding(kind.base) for kind in kinds)


def data_mask(np: Any, dtype: np.dtype[Any]) -> npt.NDArray[np.uint8]:
    """
    Give one byte for each byte of an item: 255 for data, 0 for padding.
    """
    mask = np.full(dtype.itemsize, 0 if dtype.names else 255, dtype="u1")
    for _, kind, offset in members(dtype):
        part = np.tile(data_mask(np, kind.base), math.prod(kind.shape))
        mask[offset : offset + kind.itemsize] = part
    masked: npt.NDArray[np.uint8] = mask
    return masked


def key_obstacle(dtype: np.dtype[Any], path: str = "it") -> str | None:
    """
    Say why items may not be keys, or None when they may.
    """
    if dtype.names is None:
        if dtype.kind in _EXACT_KINDS:
            return None
        if dtype.kind == "b":
            return f"{path} is a bool, which more than one byte can mean; use 'u1'"
        return (
            f"{path} is a float, and -0.0 equals 0.0 but has other bytes; scale it to "
            "an integer, or use key=float"
        )
    for name, kind, _ in members(dtype):
        found = key_obstacle(kind.base, f"field {name!r}")
        if found:
            return found
    return None


def has_text(dtype: np.dtype[Any]) -> bool:
    """
    Say whether an item holds characters, which numpy reads without checking them.
    """
    if dtype.names is None:
        return dtype.kind == "U"
    return any(has_text(kind.base) for _, kind, _ in members(dtype))
