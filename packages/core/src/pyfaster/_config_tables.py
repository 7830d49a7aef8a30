# SPDX-License-Identifier: MIT
"""
The tables of the configuration file: their models, and what each says of itself.

Theory of operation: a table is a pydantic model. Those of the store are made here from
the fields of `StoreConfig`, by what `In` says of each; the log's is in `_config_log`;
others come from plugins, by the hook `pyfaster_settings`. What a file begins with, what
is shown of it, its JSON schema and the names of environment variables are derived from
these models and from nothing else. The sentence that explains a setting is its field's
description, or is taken from the docstring of its model.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard, get_args

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

from pyfaster._config import In, StoreConfig
from pyfaster._config_log import LogTable
from pyfaster._config_words import nearest
from pyfaster._registry import Plugin, Registry
from pyfaster.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterable

LOG = "fasterlog"

#: The tables of the store, in order, and what each is for.
OF_STORE = {
    "store": "What a store is, and the memory that it may take.",
    "log": "The log that holds the records.",
    "device": "Where the log is kept, if it is not in memory alone.",
    "checkpoint": "How the store survives its process.",
    "sessions": "Who uses the store.",
    "observability": "What can be seen of a running store.",
}

#: What stands for None, which a file cannot say.
NONE = "none"

SCHEME = "scheme"
_SCHEME_FIELD = (
    Annotated[str, Field(strict=True, pattern="^[a-z][a-z0-9+.-]+$")],
    Field(
        default="file",
        description="The device of a store whose path names none; in memory it means "
        "nothing.",
    ),
)

_ATTRIBUTE = re.compile(r"^(\w+): (.*?)(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)
_TABLE_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def place_of(field: FieldInfo) -> In:
    """
    Where the file has a field of `StoreConfig`.
    """
    return next(one for one in field.metadata if isinstance(one, In))


@cache
def flat_names() -> dict[tuple[str, str], str]:
    """
    The keyword for each table and key of the store.
    """
    found = {}
    for name, field in StoreConfig.model_fields.items():
        place = place_of(field)
        found[place.table, place.key or name] = name
    return found


@cache
def places() -> dict[str, tuple[str, str]]:
    """
    The table and the key for each keyword.
    """
    return {name: place for place, name in flat_names().items()}


@cache
def own_tables() -> dict[str, type[BaseModel]]:
    """
    The models of the tables that there are without plugins, in order.
    """
    said = sentences(StoreConfig)
    tables: dict[str, type[BaseModel]] = {}
    for table, purpose in OF_STORE.items():
        fields: dict[str, Any] = {SCHEME: _SCHEME_FIELD} if table == "device" else {}
        for (where, key), name in flat_names().items():
            if where == table:
                field = copy(StoreConfig.model_fields[name])
                field.description = said.get(name)
                fields[key] = (field.annotation, field)
        tables[table] = _table(table, purpose, fields)
    return {**tables, LOG: LogTable}


def _table(name: str, purpose: str, fields: dict[str, Any]) -> type[BaseModel]:
    """
    The model of one table. What it takes is for `StoreConfig` to say, so its fields
    have no validators that look at others.
    """
    config = ConfigDict(extra="forbid", frozen=True, title=name)
    made: type[BaseModel] = create_model(
        f"{name.capitalize()}Table", __config__=config, __doc__=purpose, **fields
    )
    return made


def sentences(model: type[BaseModel]) -> dict[str, str]:
    """
    What a model says of its fields: their descriptions, or its docstring's words.
    """
    text = inspect.cleandoc(model.__doc__ or "")
    _, _, rest = text.partition("\nAttributes:\n")
    rest = inspect.cleandoc("\n" + rest.partition("\n\nRaises:")[0])
    found = {name: " ".join(words.split()) for name, words in _ATTRIBUTE.findall(rest)}
    for name, field in model.model_fields.items():
        if field.description:
            found[name] = " ".join(field.description.split())
    return found


@dataclass(frozen=True, slots=True)
class PluginTable:
    """
    A table that a plugin brings.
    """

    plugin: Plugin
    model: type[BaseModel]


def plugin_tables(registry: Registry) -> dict[str, PluginTable]:
    """
    The tables that plugins bring; who answers wrongly is blamed and left out.

    Raises:
        PluginError: Two plugins claim one name.
    """
    from pyfaster._registry import clash

    found: dict[str, PluginTable] = {}
    for plugin, answer in registry.answers("pyfaster_settings"):
        if not isinstance(answer, Mapping):
            registry.blame(plugin, f"pyfaster_settings gave {answer!r}, not a mapping")
            continue
        for name, model in answer.items():
            flaw = _flaw(name, model)
            if flaw:
                registry.blame(plugin, f"pyfaster_settings gave {flaw}")
            elif name in found:
                raise PluginError(clash(name, [found[name].plugin, plugin]))
            else:
                found[name] = PluginTable(plugin, model)
    return found


def _flaw(name: object, model: object) -> str:
    """
    What is wrong with a table of a plugin's, or nothing.
    """
    if not isinstance(name, str) or not _TABLE_NAME.fullmatch(name):
        return f"the table {name!r}; names are of lower-case letters, digits and _"
    if name in own_tables():
        return f"the table {name!r}, which is pyfaster's own"
    if not isinstance(model, type) or not issubclass(model, BaseModel):
        return f"{model!r} for the table {name!r}, not a class of pydantic's BaseModel"
    return ""


def all_tables(registry: Registry) -> dict[str, type[BaseModel]]:
    """
    The models of all tables, those of plugins last.
    """
    others = plugin_tables(registry)
    return {**own_tables(), **{name: one.model for name, one in others.items()}}


def takes_none(field: FieldInfo) -> bool:
    """
    Whether a setting may be None.
    """
    return type(None) in get_args(field.annotation)


def meant(table: str, key: str, tables: Mapping[str, type[BaseModel]]) -> str:
    """
    Which setting was meant by one that there is not: "table.key", or the advice.
    """
    keys = list(tables[table].model_fields)
    near = nearest(key, keys)
    if near:
        return f"did you mean {table}.{near}?"
    others: dict[str, str] = {
        one: f"{where}.{one}"
        for where, model in tables.items()
        for one in model.model_fields
    }
    others |= {name: ".".join(place) for name, place in places().items()}
    near = nearest(key, others, cutoff=0.7)
    if near:
        return f"did you mean {others[near]}?"
    return f"[{table}] has {', '.join(keys)}"


def is_model(kind: object) -> TypeGuard[type[BaseModel]]:
    """
    Whether a type is a table by itself.
    """
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def nearest_below(
    steps: tuple[str, ...], tables: Mapping[str, type[BaseModel]]
) -> str | None:
    """
    Which setting of a table inside of a table was meant.
    """
    model: Any = tables[steps[0]]
    for step in steps[1:-1]:
        field = model.model_fields.get(step)
        model = None if field is None else field.annotation
        if not is_model(model):
            return None
    near = nearest(steps[-1], model.model_fields)
    return ".".join([*steps[:-1], near]) if near else None


def meant_table(name: str, tables: Iterable[str]) -> str:
    """
    Which table was meant by one that there is not.
    """
    if name in places():
        return f"did you mean {'.'.join(places()[name])}?"
    names = list(tables)
    near = nearest(name, names)
    return f"did you mean [{near}]?" if near else f"there are {', '.join(names)}"


__all__ = [
    "LOG",
    "NONE",
    "OF_STORE",
    "SCHEME",
    "PluginTable",
    "all_tables",
    "flat_names",
    "is_model",
    "meant",
    "meant_table",
    "nearest_below",
    "own_tables",
    "places",
    "plugin_tables",
    "sentences",
    "takes_none",
]
