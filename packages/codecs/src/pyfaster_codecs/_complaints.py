# SPDX-License-Identifier: MIT
"""
What is wrong with an object that was refused, said about the object.

msgspec judges the encoded form, where a date is a text and a tuple an array, and says
so. Here its sentence becomes one about what was given: which type is declared, which
was found, and where. It runs only after an object was refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

_GOT = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<found>[^`]+)`")
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+)\]|\[\.\.\.\]")

#: Types that are encoded as text or bytes: how the complaint about such text begins.
_TEXTS: dict[str, type] = {
    "Invalid RFC3339 encoded datetime": datetime,
    "Invalid RFC3339 encoded date": date,
    "Invalid RFC3339 encoded time": time,
    "Invalid ISO8601 duration": timedelta,
    "Invalid UUID": UUID,
    "Invalid decimal string": Decimal,
}

#: What the encoded form's types are in Python.
_WORDS = {"array": "list, tuple or set", "object": "dict or class with fields",
          "null": "None"}  # fmt: skip


def complaint(value: object, error: msgspec.DecodeError, name: str) -> Exception:
    """
    Make the error for an object whose encoded form was refused.

    Args:
        value: The object.

        error: What msgspec found in its encoded form.

        name: The codec's stable name.

    Returns:
        A TypeError where something is of another type than declared; else a ValueError.
    """
    sentence, _, at = str(error).partition(" - at ")
    in_key = at.startswith("`key` in ")
    path = at.removeprefix("`key` in ").strip("`")
    found = _objects_at(value, path)
    if in_key:
        found = [key for one in found if isinstance(one, dict) for key in one]
    place = f"{name}{path.removeprefix('$')}: {'a key: ' if in_key else ''}"
    got = _GOT.fullmatch(sentence)
    if got is not None:
        kinds = {type(one).__name__ for one in found}
        kind = kinds.pop() if len(kinds) == 1 else got["found"]
        return TypeError(f"{place}expected {_in_python(got['wanted'])}, found {kind}")
    wanted = next((_TEXTS[text] for text in _TEXTS if sentence.startswith(text)), None)
    odd = [one for one in found if wanted is not None and not _is_a(one, wanted)]
    if wanted is not None and odd:
        return TypeError(
            f"{place}expected {wanted.__name__}, found {type(odd[0]).__name__}"
        )
    return ValueError(f"{name}: {error}")


def _in_python(words: str) -> str:
    return " | ".join(_WORDS.get(word, word) for word in words.split(" | "))


def _is_a(one: object, wanted: type) -> bool:
    """Whether an object is of a type; a datetime counts as no date."""
    return isinstance(one, wanted) and not (
        wanted is date and isinstance(one, datetime)
    )


def _objects_at(value: object, path: str) -> list[object]:
    """All objects that a path may mean: "[...]" is any item."""
    found = [value]
    for step in _STEP.finditer(path):
        found = [inner for one in found for inner in _follow(one, step)]
    return found


def _follow(one: Any, step: re.Match[str]) -> Iterator[object]:
    name, index = step["name"], step["index"]
    if name is not None:
        if isinstance(one, dict):
            yield from (item for key, item in one.items() if key == name)
        else:
            name = _attribute(one, name)
            yield from (getattr(one, part) for part in (name,) if hasattr(one, part))
    elif isinstance(one, dict):
        yield from one.values()
    elif isinstance(one, (set, frozenset)):
        yield from one
    elif isinstance(one, (list, tuple)):
        yield from one if index is None else one[int(index) : int(index) + 1]


def _attribute(one: object, name: str) -> str:
    """The field that a Struct encodes under a name."""
    if isinstance(one, msgspec.Struct):
        fields = zip(one.__struct_encode_fields__, one.__struct_fields__, strict=True)
        return dict(fields).get(name, name)
    return name
