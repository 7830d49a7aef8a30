# SPDX-License-Identifier: MIT
"""
Looking for mistakes in what was said, wherever it was said.

Every table is checked, whoever it is for, so that one file serves stores, logs and
plugins, and a mistake in it is found by the first that reads it. All that is wrong is
one error, each sentence with the place where the value was said.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, TypeAdapter, ValidationError

from pyfaster._config import Settings, StoreConfig
from pyfaster._config_tables import (
    LOG,
    NONE,
    OF_STORE,
    SCHEME,
    flat_names,
    is_model,
    meant,
    meant_table,
    nearest_below,
    own_tables,
    places,
    plugin_tables,
    takes_none,
)
from pyfaster._config_trees import (
    ENVIRONMENT,
    PROGRAM,
    Leaf,
    Steps,
    Tree,
    leaves,
    node_at,
    plain,
    variable,
)
from pyfaster._config_words import Mistake, explain, mistakes_of, once
from pyfaster.errors import ConfigError

if TYPE_CHECKING:
    from pyfaster._registry import Registry

_HINT = re.compile(r"did you mean ([a-z0-9_.]+)\?")

#: What a file may say for those who write, and who only looks has no use for.
_OF_WRITERS = ("recover", "checkpoint_every")


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What holds of all that was said.

    Attributes:
        config: The store's settings.

        scheme: The device of a path that names none; None when nobody said.

        log: What was said of a durable log, as [fasterlog] has it.

        plugins: The tables of plugins of which something was said.

        tree: All of it, with where it was said.
    """

    config: StoreConfig
    scheme: str | None
    log: Mapping[str, Any]
    plugins: Mapping[str, BaseModel]
    tree: Mapping[str, Any]


class Check:
    """
    All that is wrong with a tree of settings.

    Args:
        tree: What was said.

        registry: Asked for the tables of plugins, if there are such.

        complete: Asked in any case.

        file: The file that some of it is from, if there is one.

    Attributes:
        wrong: A sentence for each mistake.
    """

    def __init__(
        self,
        tree: Tree,
        registry: Registry,
        *,
        complete: bool = False,
        file: object = None,
    ) -> None:
        self.tree = tree
        self.wrong: list[str] = []
        self._file = (
            f"{os.fspath(file)}: " if isinstance(file, (str, os.PathLike)) else ""
        )
        self.models: dict[str, type[BaseModel]] = dict(own_tables())
        if complete or any(name not in self.models for name in tree):
            others = plugin_tables(registry)
            self.models |= {name: one.model for name, one in others.items()}

    # --- what is wrong --------------------------------------------------------------

    def blame(self, steps: Steps, text: str) -> None:
        """
        Write down what is wrong with a setting, and where it was said.
        """
        said = dict.fromkeys(leaf.where for leaf in leaves(node_at(self.tree, steps)))
        where = " and ".join(said) or f"{self._file}{'.'.join(steps)}"
        self.wrong.append(f"{where}: {text}")

    def _blame_together(self, mistake: Mistake) -> None:
        """
        Write down what is wrong with several settings of the store.
        """
        said = [
            f"{name} from {leaf.where}"
            for name in mistake.named
            if name in places()
            for leaf in leaves(self._said(places()[name]) or {})
            if leaf.kind != PROGRAM
        ]
        self.wrong.append(mistake.text + (f" ({', '.join(said)})" if said else ""))

    def _said(self, steps: Steps) -> Any:
        """
        What was said of a setting, or None.
        """
        table = self.tree.get(steps[0])
        return table.get(steps[1]) if isinstance(table, dict) else None

    def refuse(self) -> None:
        """
        Raise what is wrong, if anything is.
        """
        if self.wrong:
            raise ConfigError(explain(self.wrong))

    # --- what there is --------------------------------------------------------------

    def tables(self) -> None:
        """
        Look for tables and keys that there are not.
        """
        for name, node in self.tree.items():
            if name not in self.models:
                self.blame((name,), self._unknown_table(name))
            elif isinstance(node, Leaf):
                self.blame((name,), f"[{name}] is a table")

    def _unknown_table(self, name: str) -> str:
        hint = self._as_said((name,), meant_table(name, self.models))
        kind = "table" if isinstance(self.tree[name], dict) else "setting"
        return f"there is no {kind} {name!r}; {hint}"

    def _unknown(self, steps: Steps) -> None:
        table, key = steps[0], steps[1]
        if len(steps) > 2:
            near = nearest_below(steps, self.models)
            hint = f"did you mean {near}?" if near else "see its table"
            table, key = ".".join(steps[:-1]), steps[-1]
        else:
            hint = meant(table, key, self.models)
        hint = self._as_said(steps, hint)
        self.blame(steps, f"there is no setting {key!r} in [{table}]; {hint}")

    def _as_said(self, steps: Steps, hint: str) -> str:
        """
        A hint for whoever said it in the environment.
        """
        first = next(leaves(node_at(self.tree, steps)), None)
        name = _HINT.fullmatch(hint)
        if first is None or first.kind != ENVIRONMENT or name is None:
            return hint
        return f"did you mean {variable(tuple(name[1].split('.')))}?"

    def values(self, table: str) -> dict[str, Any]:
        """
        What was said in a table, with None for "none" where a file or the environment
        says it of a setting that may be None.
        """
        node = self.tree.get(table, {})
        return _values(node, self.models[table]) if isinstance(node, dict) else {}

    # --- the three parts ------------------------------------------------------------

    def store(self) -> tuple[StoreConfig | None, str | None]:
        """
        The settings of the store, and the device's scheme.
        """
        said: dict[str, Any] = {}
        scheme = None
        for table in OF_STORE:
            for key, value in self.values(table).items():
                name = flat_names().get((table, key))
                if (table, key) == ("device", SCHEME):
                    scheme = self._scheme(value)
                elif name is None:
                    self._unknown((table, key))
                else:
                    said[name] = value
        for name in self._of_no_use(said):
            del said[name]
        config, mistakes = self._checked(said)
        for mistake in mistakes:
            if mistake.path:
                self.blame(
                    (*places()[mistake.path[0]], *mistake.path[1:]), mistake.text
                )
            else:
                self._blame_together(mistake)
        return config, scheme

    def _checked(
        self, said: dict[str, Any]
    ) -> tuple[StoreConfig | None, list[Mistake]]:
        """
        The configuration, or all mistakes: those of settings together are found when
        the others are gone.
        """
        config, mistakes = StoreConfig.checked(cast(Settings, said))
        if config is not None:
            return config, []
        alone = {one.path[0] for one in mistakes if one.path}
        if alone:
            rest = {name: value for name, value in said.items() if name not in alone}
            mistakes += StoreConfig.checked(cast(Settings, rest))[1]
        return None, mistakes

    def _scheme(self, value: object) -> str | None:
        field = self.models["device"].model_fields[SCHEME]
        kind: TypeAdapter[str] = TypeAdapter(field.rebuild_annotation())
        try:
            return kind.validate_python(value)
        except ValidationError:
            self.blame(
                ("device", SCHEME), f'{value!r} is no scheme; give one such as "file"'
            )
            return None

    def _of_no_use(self, said: Mapping[str, Any]) -> list[str]:
        """
        What others said for those who write, where the program only looks.
        """
        looks = self._said(places()["read_only"])
        if not (isinstance(looks, Leaf) and looks.kind == PROGRAM and looks.value):
            return []
        return [
            name
            for name in _OF_WRITERS
            if name in said
            and all(one.kind != PROGRAM for one in leaves(self._said(places()[name])))
        ]

    def model(self, table: str) -> BaseModel | None:
        """
        The table of the log or of a plugin.
        """
        try:
            return self.models[table].model_validate(self.values(table))
        except ValidationError as error:
            for mistake in once(mistakes_of(error.errors())):
                steps = (table, *mistake.path)
                if mistake.unknown:
                    self._unknown(steps)
                else:
                    self.blame(steps, mistake.text)
        return None

    def log(self) -> dict[str, Any]:
        """
        What was said of the log, as its table has it.
        """
        if LOG not in self.tree:
            return {}
        table = self.model(LOG)
        said = table.model_fields_set if table is not None else ()
        return {name: getattr(table, name) for name in said}

    def plugins(self) -> dict[str, BaseModel]:
        """
        The tables of plugins of which something was said.
        """
        own = own_tables()
        found = {
            name: self.model(name)
            for name, node in self.tree.items()
            if name in self.models and name not in own and isinstance(node, dict)
        }
        return {name: one for name, one in found.items() if one is not None}

    def effective(self, table: str) -> dict[str, Any]:
        """
        All settings of a table, where nothing is wrong: what was said, and defaults.
        """
        said = self.values(table)
        model = self.models[table]
        if table not in OF_STORE:
            whole = model.model_validate(said) if _is_optional(model) or said else None
            return {
                key: None if whole is None else getattr(whole, key)
                for key in model.model_fields
            }
        config, scheme = self.store()
        assert config is not None
        return {
            key: getattr(config, flat_names()[table, key])
            if (table, key) in flat_names()
            else scheme or model.model_fields[key].get_default()
            for key in model.model_fields
        }

    def all(self) -> Asked | None:
        """
        Check everything; None when something is wrong.
        """
        self.tables()
        config, scheme = self.store()
        log, plugins = self.log(), self.plugins()
        if self.wrong or config is None:
            return None
        return Asked(config, scheme, log, plugins, self.tree)


def _is_optional(model: type[BaseModel]) -> bool:
    return not any(field.is_required() for field in model.model_fields.values())


def _values(node: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """
    What was said of a model's fields, and of those of the models in it.
    """
    found: dict[str, Any] = {}
    for key, below in node.items():
        field = model.model_fields.get(key)
        kind = None if field is None else field.annotation
        if field is not None and _is_none(below) and takes_none(field):
            found[key] = None
        elif isinstance(below, dict) and is_model(kind):
            found[key] = _values(below, kind)
        else:
            found[key] = plain(below)
    return found


def _is_none(node: object) -> bool:
    return isinstance(node, Leaf) and node.kind != PROGRAM and node.value == NONE


__all__ = ["Asked", "Check"]
