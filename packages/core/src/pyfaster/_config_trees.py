# SPDX-License-Identifier: MIT
"""
What was said, by whom, and what holds of it: a file, the environment, a program.

Theory of operation: each of them is a tree of tables. A leaf is a value together with
where it was said. To lay one tree over another is to lay table over table and to let
the stronger leaf stand; so each value that is left still knows where it is from, and
what is wrong with it is told with that.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyfaster.errors import ConfigError

#: What the names of environment variables begin with that are settings.
PREFIX = "PYFASTER__"

FILE = "file"
ENVIRONMENT = "environment"
PROGRAM = "program"

Steps = tuple[str, ...]
Tree = dict[str, Any]  # of trees and leaves


@dataclass(frozen=True, slots=True)
class Leaf:
    """
    A value, and who said it.

    Attributes:
        value: The value.

        kind: "file", "environment" or "program".

        where: The file's name, the variable, or the keyword.
    """

    value: Any
    kind: str
    where: str


def lay_over(under: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """
    Lay one tree over another.
    """
    laid = dict(under)
    for name, node in over.items():
        below = laid.get(name)
        both = isinstance(below, dict) and isinstance(node, dict)
        laid[name] = lay_over(below or {}, node) if both else node
    return laid


def leaves(node: Any) -> Iterator[Leaf]:
    """
    All leaves of a tree.
    """
    if isinstance(node, Leaf):
        yield node
    else:
        for below in node.values():
            yield from leaves(below)


def plain(node: Any) -> Any:
    """
    A tree's values.
    """
    if isinstance(node, Leaf):
        return node.value
    return {name: plain(below) for name, below in node.items()}


def node_at(tree: Any, steps: Steps) -> Any:
    """
    What is at the end of some steps, or as far along them as there is something.
    """
    for step in steps:
        if not isinstance(tree, dict) or step not in tree:
            return tree
        tree = tree[step]
    return tree


def grow(steps: Steps, value: Any, kind: str, where: str) -> Tree:
    """
    The tree that has a value at the end of some steps. A mapping becomes a tree of its
    own, whose leaves a stronger word may replace one by one.
    """
    node: Any
    if isinstance(value, Mapping):
        node = {}
        for name, one in value.items():
            below = f"{where}.{name}" if kind != ENVIRONMENT else where
            node |= grow((str(name),), one, kind, below)
    else:
        node = Leaf(value, kind, where)
    for step in reversed(steps):
        node = {step: node}
    made: Tree = node
    return made


def read_file(path: str | os.PathLike[str]) -> Tree:
    """
    What a TOML file says.

    Raises:
        ConfigError: The file cannot be read, or is not TOML.
    """
    name = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            tables = tomllib.load(file)
    except OSError as error:
        raise ConfigError(
            f"config file {name}: {error.strerror}; give the path of a TOML file, or a "
            "StoreConfig"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {name}: {error}") from error
    tree: Tree = {}
    for table, value in tables.items():
        tree |= grow((table,), value, FILE, f"{name}: {table}")
    return tree


def read_environment(environ: Mapping[str, str], wrong: list[str]) -> Tree:
    """
    What the environment says; of variables with other names nothing is thought.

    Args:
        environ: The environment.

        wrong: Gets a sentence for each variable that names no setting at all, or says
            again what another one says.
    """
    said: dict[Steps, str] = {}
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        steps = tuple(name[len(PREFIX) :].lower().split("__"))
        if not all(steps):
            wrong.append(
                f"environment variable {name}: it is to name a table and a setting, "
                f"as in {PREFIX}STORE__MEMORY"
            )
        elif steps in said:
            wrong.append(
                f"environment variables {said[steps]} and {name} are one setting; "
                "remove one"
            )
        else:
            said[steps] = name
    tree: Tree = {}
    for steps in sorted(said, key=len):  # what is said of a part stands over the whole
        name = said[steps]
        tree = lay_over(tree, grow(steps, read_value(environ[name]), ENVIRONMENT, name))
    return tree


def read_value(text: str) -> Any:
    """
    A variable's value: what TOML reads it as, or else the text itself.
    """
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return found["value"] if found.keys() == {"value"} else text


def variable(steps: Steps) -> str:
    """
    The environment variable for a setting.
    """
    return PREFIX + "__".join(step.upper() for step in steps)


__all__ = [
    "ENVIRONMENT",
    "FILE",
    "PREFIX",
    "PROGRAM",
    "Leaf",
    "Steps",
    "Tree",
    "grow",
    "lay_over",
    "leaves",
    "node_at",
    "plain",
    "read_environment",
    "read_file",
    "read_value",
    "variable",
]
