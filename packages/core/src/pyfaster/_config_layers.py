# SPDX-License-Identifier: MIT
"""
From a file, the environment and a program's words to settings that hold.

Theory of operation: what the three said is laid one over the other (`_config_trees`):
the file below, the environment over it, the program on top. What is left is checked
(`_config_check`) and becomes a `StoreConfig`, the settings of a log, the tables of
plugins.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from pyfaster._config import StoreConfig
from pyfaster._config_check import Asked, Check
from pyfaster._config_tables import (
    LOG,
    meant_table,
    own_tables,
    places,
    plugin_tables,
)
from pyfaster._config_trees import (
    PROGRAM,
    Steps,
    Tree,
    grow,
    lay_over,
    read_environment,
    read_file,
)
from pyfaster._config_words import explain, mistakes_of, once, unknown_setting
from pyfaster.errors import ConfigError

if TYPE_CHECKING:
    from pyfaster._registry import Registry


def said_by(config: object, *, flat: Mapping[str, Steps]) -> Tree:
    """
    What `config=` says: the tree of a StoreConfig, of a mapping of keywords or tables,
    or of a file.

    Args:
        config: What was given.

        flat: The keywords that a mapping may have beside tables, and what they mean.

    Raises:
        ConfigError: It is none of these.
    """
    if config is None:
        return {}
    if isinstance(config, StoreConfig):
        said = {name: getattr(config, name) for name in config.model_fields_set}
        return of_keywords(said, flat, "config=")
    if isinstance(config, Mapping):
        return of_keywords(config, flat, "config=", tables=True)
    if isinstance(config, (str, os.PathLike)):
        return read_file(config)
    raise ConfigError(
        "config must be a StoreConfig, a mapping or the path of a TOML file, found "
        f"{type(config).__name__}"
    )


def of_keywords(
    said: Mapping[Any, Any],
    flat: Mapping[str, Steps],
    who: str,
    *,
    tables: bool = False,
    wrong: list[str] | None = None,
) -> Tree:
    """
    The tree of a program's words.

    Args:
        said: The words.

        flat: What each keyword means.

        who: How they were given.

        tables: Whether tables as a file has them may be among them.

        wrong: Gets a sentence for each keyword that there is not; None to raise them.

    Raises:
        ConfigError: There is no such keyword.
    """
    tree: Tree = {}
    unknown: list[str] = [] if wrong is None else wrong
    for name, value in said.items():
        if not isinstance(name, str):
            raise ConfigError(f"names of settings are texts, found {name!r}")
        is_table = tables and isinstance(value, Mapping)
        if is_table and (name in own_tables() or name not in flat):
            node = grow((name,), value, PROGRAM, f"{who} {name}")
        elif name in flat:
            node = grow(flat[name], value, PROGRAM, f"{who} {name}")
        else:
            unknown.append(f"{who} {name}: {unknown_setting(name, flat)}")
            continue
        tree = lay_over(tree, node)
    if unknown and wrong is None:
        raise ConfigError(explain(unknown))
    return tree


def resolve(
    config: object,
    settings: Mapping[str, Any],
    plugins: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    registry: Registry | None = None,
) -> Asked:
    """
    Put a store's configuration together.

    Args:
        config: A StoreConfig, a mapping, the path of a TOML file, or None.

        settings: What was given by keyword; the strongest.

        plugins: What was given for plugins, by table.

        environ: The environment; the process's when None.

        registry: Knows the plugins; the process's when None.

    Raises:
        ConfigError: The result is not a valid configuration.
    """
    said = said_by(config, flat=places())
    wrong: list[str] = []
    words = of_keywords(settings, places(), "keyword", wrong=wrong)
    if not isinstance(plugins, Mapping | None):
        raise ConfigError(f"plugins={plugins!r}: give a mapping of settings by table")
    for name, table in (plugins or {}).items():
        words = lay_over(words, _of_plugin(name, table))
    around = read_environment(os.environ if environ is None else environ, wrong)
    if isinstance(config, StoreConfig) and not (words or around or wrong):
        return Asked(config, None, {}, {}, said)
    tree = layered(config, said, around, words)
    check = Check(tree, _registry(registry), file=config)
    check.wrong += wrong
    asked = check.all()
    check.refuse()
    assert asked is not None
    return asked


def layered(config: object, said: Tree, around: Tree, words: Tree) -> Tree:
    """
    Lay them over each other: a file is the weakest, what a program says the strongest.
    """
    if isinstance(config, (str, os.PathLike)):
        return lay_over(lay_over(said, around), words)
    return lay_over(lay_over(around, said), words)


def _of_plugin(name: object, table: object) -> Tree:
    if not isinstance(name, str) or not isinstance(table, Mapping):
        raise ConfigError(
            f"plugins={{{name!r}: {table!r}}}: give a mapping of settings by table"
        )
    if name in own_tables():
        raise ConfigError(
            f"plugins={{{name!r}: ...}}: that table is pyfaster's own; give its "
            "settings as keywords"
        )
    return grow((name,), table, PROGRAM, f"plugins= {name}")


def log_settings(
    config: object,
    settings: Mapping[str, Any],
    *,
    environ: Mapping[str, str] | None = None,
    registry: Registry | None = None,
) -> dict[str, Any]:
    """
    Put the settings of a durable log together: those of the file's [fasterlog] and of
    the environment, and over them a program's words, which stay as they are.

    Args:
        config: A mapping, the path of a TOML file, or None.

        settings: What was given by keyword; the strongest.

        environ: As for `resolve`.

        registry: Likewise.

    Raises:
        ConfigError: The result is no valid configuration, or config= is none.
    """
    flat: dict[str, Steps] = {
        name: (LOG, name) for name in own_tables()[LOG].model_fields
    }
    if isinstance(config, StoreConfig):
        raise ConfigError("config: a StoreConfig is for stores; give a mapping or file")
    said = said_by(config, flat=flat)
    wrong: list[str] = []
    around = read_environment(os.environ if environ is None else environ, wrong)
    tree = layered(config, said, around, {})
    check = Check(tree, _registry(registry), file=config)
    check.wrong += wrong
    asked = check.all()
    check.refuse()
    assert asked is not None
    found = dict(asked.log)
    if settings.get("read_only", found.get("read_only")):
        found = {name: one for name, one in found.items() if name in _OF_READERS}
    options = settings.get("device_options")
    if isinstance(options, Mapping) and found.get("device_options"):
        settings = {
            **settings,
            "device_options": {**found["device_options"], **options},
        }
    return {**found, **settings}


#: What makes sense for a log that is only read.
_OF_READERS = frozenset({"device", "device_options", "read_only"})


def _registry(registry: Registry | None) -> Registry:
    if registry is not None:
        return registry
    from pyfaster._registry import registry as process_registry

    return process_registry


def checked(
    file: str | os.PathLike[str] | None,
    registry: Registry,
    *,
    environ: Mapping[str, str] | None = None,
    complete: bool = False,
) -> Check:
    """
    Look for all mistakes of a file and the environment.

    Args:
        file: The file, if there is one.

        registry: Knows the plugins.

        environ: The environment; the process's when None.

        complete: Whether all tables of plugins are wanted, also where nobody said
            anything of them.

    Raises:
        ConfigError: The file cannot be read.
    """
    said = {} if file is None else read_file(file)
    wrong: list[str] = []
    around = read_environment(os.environ if environ is None else environ, wrong)
    tree = lay_over(said, around)
    check = Check(tree, registry, complete=complete, file=file)
    check.wrong += wrong
    check.all()
    return check


def changed_by(config: StoreConfig, settings: Mapping[str, Any]) -> StoreConfig:
    """
    Give a configuration in which some settings are others; what was derived from the
    old ones stays as it is.

    Raises:
        ConfigError: The result is not a valid configuration.
    """
    said = {name: getattr(config, name) for name in config.model_fields_set}
    old = of_keywords({**said, "page_size": config.page_size}, places(), "keyword")
    tree = lay_over(old, of_keywords(settings, places(), "keyword"))
    check = Check(tree, _registry(None))
    full, _ = check.store()
    check.refuse()
    assert full is not None
    return full


def plugin_settings(
    name: str, given: Mapping[str, BaseModel], registry: Registry
) -> BaseModel:
    """
    A plugin's settings: what was given, or what its table is by default.

    Raises:
        ConfigError: No plugin brings such a table, or it cannot be left out.
    """
    if name in given:
        return given[name]
    tables = plugin_tables(registry)
    if name not in tables:
        hint = meant_table(name, tables) if tables else "no plugin brings one"
        raise ConfigError(f"no plugin brings the table {name!r}; {hint}")
    try:
        return tables[name].model()
    except ValidationError as error:
        text = "; ".join(map(str, once(mistakes_of(error.errors()))))
        raise ConfigError(f"table [{name}] was not given: {text}") from None


__all__ = [
    "Asked",
    "changed_by",
    "checked",
    "log_settings",
    "plugin_settings",
    "resolve",
]
