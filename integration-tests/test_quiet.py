# SPDX-License-Identifier: MIT
"""Only the command writes to a terminal: no library code does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import house

pytestmark = pytest.mark.once

#: Modules and folders that are the command's, by their names, where they are; what a
#: verb calls for that is told on a screen is beside it.
COMMANDS = {"_cli", "_demo", "__main__"}
SCREENS = {
    "core": {"pictures"},
    "checkpoint": {"_tables", "_inspector"},
    "observability": {"_top"},
}

#: Written to by whoever writes to a terminal.
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}
LIBRARIES = {"rich", "typer", "click", "curses"}
CALLS = {"print", "pprint", "input", "breakpoint"}
ECHOES = {"echo", "secho", "print_exception", "print_exc", "basicConfig"}


def sources() -> list[Path]:
    """Give the shipped modules that are no part of the command."""
    found = []
    for package in house.PACKAGES:
        for path in sorted(package.glob("src/**/*.py")):
            names = {*path.relative_to(package).parts[:-1], path.stem}
            barred = COMMANDS | SCREENS.get(package.name, set())
            if not names & barred:
                found.append(path)
    return found


def breaches(source: str) -> Iterator[tuple[int, str]]:
    """Give what in a source writes to a terminal: the line, and by what."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            word = ast.unparse(node)
            if word.startswith("sys.") and node.attr in STREAMS:
                yield node.lineno, word
        elif isinstance(node, ast.Import):
            yield from _imports(node.lineno, *(one.name for one in node.names))
        elif isinstance(node, ast.ImportFrom):
            yield from _imports(node.lineno, node.module or "")
            names = {one.name for one in node.names} if node.module == "sys" else set()
            yield from (
                (node.lineno, f"sys.{name}") for name in sorted(names & STREAMS)
            )
        elif isinstance(node, ast.Call):
            yield from _calls(node)


def _imports(line: int, *modules: str) -> Iterator[tuple[int, str]]:
    for module in modules:
        if module.split(".")[0] in LIBRARIES:
            yield line, f"import of {module}"


def _calls(node: ast.Call) -> Iterator[tuple[int, str]]:
    if isinstance(node.func, ast.Name) and node.func.id in CALLS:
        yield node.lineno, f"{node.func.id}()"
    if isinstance(node.func, ast.Attribute):
        word = node.func.attr
        if word in ECHOES:
            yield node.lineno, f".{word}()"
        if word == "write" and _is_descriptor_of_terminal(node):
            yield node.lineno, "os.write() to a terminal"


def _is_descriptor_of_terminal(node: ast.Call) -> bool:
    """Whether the first argument is the number 1 or 2, as in os.write(2, text)."""
    first = node.args[0] if node.args else None
    return isinstance(first, ast.Constant) and first.value in (1, 2)


def test_the_search_finds_what_writes() -> None:
    """Each way to write to a terminal is found, and what only looks like it is not."""
    writes = [
        "print('x')",
        "import sys; sys.stdout.write('x')",
        "import sys; out = sys.stderr",
        "from sys import stderr",
        "import typer; typer.echo('x')",
        "from rich.console import Console",
        "import rich.progress",
        "def call():\n    import typer",
        "import os; os.write(2, b'x')",
        "import traceback; traceback.print_exc()",
        "import logging; logging.basicConfig()",
    ]
    for source in writes:
        assert list(breaches(source)), source
    quiet = [
        "text = 'print(1)'",
        "file.write(b'x')",
        "result.stdout.read()",
        "from pyfaster.checkpoints import Progress; Progress()",
        "import richer",
        "import warnings; warnings.warn('x')",
    ]
    for source in quiet:
        assert list(breaches(source)) == [], source


def test_no_library_code_writes_to_a_terminal() -> None:
    """Outside the command no module of any distribution writes to a terminal."""
    paths = sources()
    assert len(paths) > 100
    found = [
        f"{house.name(path)}:{line}: {what}"
        for path in paths
        for line, what in breaches(house.text(path))
    ]
    assert found == []


def test_what_is_left_out_is_there() -> None:
    """Each module that may write exists, so that none is left out by a wrong name."""
    for package, names in SCREENS.items():
        folder = house.ROOT / "packages" / package
        there = {path.stem for path in folder.glob("src/**/*.py")}
        assert names <= there, package
