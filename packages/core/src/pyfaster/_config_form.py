# SPDX-License-Identifier: MIT
"""
The configuration file as text: what one begins with, its values, its JSON schema.

All of it is derived from the tables' models (`_config_tables`).
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Field, create_model
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pyfaster._config_tables import NONE, is_model, sentences
from pyfaster._sizes import parse_size, show_size
from pyfaster.errors import PluginError

WIDTH = 88

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}

HEAD = """\
# Settings of pyfaster. A line that begins with "#" and a name is a default: remove the
# "#" to say otherwise. Variables of the environment, PYFASTER__STORE__MEMORY for memory
# in [store], win over this file, and what the program says wins over both. A size is a
# number of bytes, or a text such as "512MiB"; times are in seconds.
"""


# --- values -------------------------------------------------------------------------


def show_value(value: object) -> str:
    """
    A value as TOML writes it.

    Raises:
        ValueError: TOML has no such value.
    """
    if value is None:
        return _quote(NONE)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, Mapping):
        pairs = [f"{show_key(key)} = {show_value(one)}" for key, one in value.items()]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(show_value, value))}]"
    raise ValueError(f"{value!r} cannot be written in TOML")


def _quote(text: str) -> str:
    written = "".join(
        _ESCAPES.get(one, one if one.isprintable() else f"\\U{ord(one):08x}")
        for one in text
    )
    return f'"{written}"'


def show_key(key: object) -> str:
    """
    A name as TOML writes it.
    """
    name = str(key)
    return name if _BARE.fullmatch(name) else _quote(name)


# --- what is said of a setting ------------------------------------------------------


def parts_of(annotation: Any) -> Iterator[tuple[Any, list[Any]]]:
    """
    The types that a setting may have, each with what is said of it.
    """
    if get_origin(annotation) is Annotated:
        inner, *said = get_args(annotation)
        for kind, more in parts_of(inner):
            yield kind, [*more, *_flat(said)]
    elif get_origin(annotation) in (Union, UnionType):
        for one in get_args(annotation):
            yield from parts_of(one)
    else:
        yield annotation, []


def _flat(said: list[Any]) -> Iterator[Any]:
    for one in said:
        if isinstance(one, FieldInfo):
            yield from one.metadata
        else:
            yield one


def describe(field: FieldInfo) -> str:
    """
    The type of a setting, and its range.
    """
    words = []
    for kind, said in parts_of(field.annotation):
        said = [*said, *field.metadata]
        size = _is_size(said)
        word = "a size" if size else _KINDS.get(kind, "")
        if get_origin(kind) is Literal:
            word = " or ".join(show_value(one) for one in get_args(kind))
        elif not word:
            word = "a table" if _is_table(kind) else "a value"
        words.append(word + _range(said, size=size))
    return " or ".join(dict.fromkeys(words))


def _is_size(said: list[Any]) -> bool:
    return any(getattr(one, "func", None) is parse_size for one in said)


def show_setting(field: FieldInfo, value: object) -> str:
    """
    A setting's value as TOML writes it, a size with its unit.
    """
    parts = parts_of(field.annotation)
    size = any(_is_size([*said, *field.metadata]) for _, said in parts)
    if size and isinstance(value, int) and value and value % 1024 == 0:
        return show_value(show_size(value))
    return show_value(value)


_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    NoneType: f'"{NONE}"',
}


def _is_table(kind: Any) -> bool:
    kind = get_origin(kind) or kind
    return isinstance(kind, type) and issubclass(kind, (Mapping, BaseModel))


def _range(said: list[Any], *, size: bool) -> str:
    """
    From where to where.
    """
    ends = {"ge": "from {}", "gt": "above {}", "le": "to {}", "lt": "below {}"}
    words = []
    for name, text in ends.items():
        for one in said:
            end = getattr(one, name, None)
            if end is not None:
                words.append(
                    text.format(show_size(end) if size and end else f"{end:,}")
                )
    return f" {' '.join(words)}" if words else ""


# --- the file to begin with ---------------------------------------------------------


def form(models: Mapping[str, type[BaseModel]]) -> str:
    """
    A file with every setting, each as a comment that has its default.
    """
    parts = [HEAD]
    for name, model in models.items():
        parts.append(_table((name,), model))
    return "\n".join(parts)


def _table(path: tuple[str, ...], model: type[BaseModel]) -> str:
    said = sentences(model)
    lines = [*_comment(_purpose(model)), f"[{'.'.join(map(show_key, path))}]"]
    below = []
    for key, field in model.model_fields.items():
        kind = field.annotation
        if is_model(kind):
            below.append(_table((*path, key), kind))
            continue
        lines += ["", *_comment(said.get(key, ""))]
        kind_said = describe(field)
        lines += [*_comment(f"{kind_said[0].upper()}{kind_said[1:]}.")]
        lines.append(_default(key, field))
    return "\n".join([*lines, "", *below])


def _comment(text: str) -> list[str]:
    lead = "# "
    return textwrap.wrap(text, WIDTH, initial_indent=lead, subsequent_indent=lead)


def _default(key: str, field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return f"# {show_key(key)} has no default: it is to be given."
    try:
        return f"#{show_key(key)} = {show_setting(field, value)}"
    except ValueError:
        return f"# {show_key(key)} is {value!r}, which TOML has no word for."


# --- the schema for editors ---------------------------------------------------------


def schema(models: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """
    The JSON schema of the file.

    Raises:
        PluginError: A plugin's model has none.
    """
    for name, model in models.items():
        try:
            model.model_json_schema()
        except PydanticInvalidForJsonSchema as error:
            raise PluginError(f"table [{name}] of a plugin: {error.message}") from error
    fields: dict[str, Any] = {
        name: (model, Field(default=None, description=_purpose(model)))
        for name, model in models.items()
    }
    whole = create_model("pyfaster", __config__={"extra": "forbid"}, **fields)
    made: dict[str, Any] = _speakable(whole.model_json_schema())
    for table in made["properties"].values():
        table.pop("default", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _purpose(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().partition("\n")[0]


def _speakable(node: Any) -> Any:
    """
    A schema in which "none" stands for what TOML has no word for.
    """
    if isinstance(node, list):
        return [_speakable(one) for one in node]
    if not isinstance(node, dict):
        return node
    if node == {"type": "null"}:
        return {"const": NONE}
    said = {name: _speakable(one) for name, one in node.items()}
    if "default" in said and said["default"] is None:
        said["default"] = NONE
    return said


__all__ = ["describe", "form", "schema", "show_key", "show_setting", "show_value"]
