# SPDX-License-Identifier: MIT
"""
Whether an object survives storing.

A serializer may take an object that comes back as something else: a tuple for a list, a
subclass with more fields, a key that the type does not know. `require_same` compares
what was given with what was read back, and says where they part. It runs only when `==`
has found a difference, so it costs nothing for the objects that survive.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from pyfaster_codecs._show import show

_ABSENT = object()


def require_same(given: Any, stored: Any, place: str) -> None:
    """
    Refuse an object that comes back as a different one; NaN may.

    Args:
        given: The object that was to be stored.

        stored: What its bytes give back.

        place: What to call it in a message.

    Raises:
        TypeError: Somewhere in it stands an object of another type than declared.

        ValueError: The types fit, but something gets lost.
    """
    if same(given, stored):
        return
    names = _field_names(stored)
    if names is not None:
        _require_same_class(given, stored, place)
        for name in names:
            pair = getattr(given, name, _ABSENT), getattr(stored, name, _ABSENT)
            require_same(*pair, f"{place}.{name}")
        _require_same_extras(given, stored, place)
    elif isinstance(stored, dict) and isinstance(given, dict):
        _require_same_dict(given, stored, place)
    elif isinstance(stored, (list, tuple)) and isinstance(given, type(stored)):
        _require_same_size(given, stored, place)
        for index, pair in enumerate(zip(given, stored, strict=True)):
            require_same(*pair, f"{place}[{index}]")
    elif isinstance(stored, (set, frozenset)) and isinstance(given, (set, frozenset)):
        _require_same_size(given, stored, place)
        if set(_no_nan(given)) != set(_no_nan(stored)):
            raise ValueError(f"{place}: the set would come back as {show(stored)}")
    elif not (_is_nan(given) and _is_nan(stored)) and not _one_instant(given, stored):
        _refuse(given, stored, place)


def same(given: object, stored: object) -> bool:
    """
    Compare; objects that refuse to be compared (a signalling NaN) are not the same.
    """
    try:
        return bool(given == stored)
    except ArithmeticError:
        return False


def _refuse(given: object, stored: object, place: str) -> None:
    if isinstance(given, type(stored)):
        raise ValueError(f"{place}: {show(given)} would come back as {show(stored)}")
    raise TypeError(
        f"{place}: found {type(given).__name__}, which would come back as "
        f"{type(stored).__name__}; pass a {type(stored).__name__}, or declare the type "
        "that is meant"
    )


def _field_names(stored: object) -> Iterator[str] | None:
    if isinstance(stored, msgspec.Struct):
        return iter(stored.__struct_fields__)
    if dataclasses.is_dataclass(stored):
        return (field.name for field in dataclasses.fields(stored))
    if _is_model(stored):
        fields: dict[str, object] = getattr(type(stored), "model_fields", {})
        return iter(fields)
    return None


def _is_model(stored: object) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(stored, pydantic.BaseModel)


def _require_same_class(given: object, stored: object, place: str) -> None:
    if type(given) is not type(stored):
        raise TypeError(
            f"{place}: found {type(given).__name__}, but {type(stored).__name__} is "
            "declared; a subclass would lose what it adds"
        )


def _require_same_extras(given: Any, stored: Any, place: str) -> None:
    extra = getattr(stored, "__pydantic_extra__", None)
    if extra is not None:
        require_same(given.__pydantic_extra__, extra, f"{place}.model_extra")


def _require_same_dict(given: Any, stored: Any, place: str) -> None:
    _require_same_size(given, stored, place)
    for key in _no_nan(given):
        if key not in stored:
            raise ValueError(f"{place}: the key {show(key)} would come back otherwise")
        require_same(given[key], stored[key], f"{place}[{show(key)}]")


def _require_same_size(given: Any, stored: Any, place: str) -> None:
    if len(given) != len(stored):
        raise ValueError(
            f"{place}: of its {len(given)} items {len(stored)} would come back"
        )


def _no_nan(items: Any) -> list[Any]:
    return [item for item in items if not _is_nan(item)]


def _one_instant(given: object, stored: object) -> bool:
    """Python calls zoned times of a repeated hour unequal to any in another zone."""
    if not (isinstance(given, datetime) and isinstance(stored, datetime)):
        return False
    if given.tzinfo is None or stored.tzinfo is None:
        return False
    return given.astimezone(UTC) == stored.astimezone(UTC)


def _is_nan(item: object) -> bool:
    if isinstance(item, Decimal):
        return item.is_nan()
    return isinstance(item, float) and math.isnan(item)
