# SPDX-License-Identifier: MIT
"""
Every example of the pages and of the docstrings runs, and prints what it says.

A block that needs more than the core says so in its first line (see examples.py). Here
is held which of them run in which environment, so that none is left out unseen.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

import examples
import house
import pyfaster
import walk

GROUPS = tomllib.loads(house.text(house.ROOT / "pyproject.toml"))["dependency-groups"]
#: What nox installs wherever these tests run.
TOOLS = (
    *GROUPS["test-plugins"],
    *(one for one in GROUPS["test"] if isinstance(one, str)),
)
EVERYWHERE = {re.split(r"\W", need)[0] for need in TOOLS} & set(examples.NEEDS)
PLUGINS = {package.name for package in house.PACKAGES} & set(examples.NEEDS)
#: May be in no environment of nox: such blocks run where somebody has it.
OPTIONAL = {"diskcache", "lmdb", "pyarrow", "rocksdict"}
#: What the imports of a block show it to need; the core's own dependencies are there.
SHOWN_BY = {
    **{module: need for need, module in examples.NEEDS.items()},
    "msgspec": "codecs",
    "opentelemetry": "observability",
    "xxhash": "codecs",
}
CORE = {"pyfaster", "pydantic"}

PYTHON_PAGES = examples.pages("python")
WALKS = [page for page in PYTHON_PAGES if walk.is_walk(page)]
HERE = [
    page
    for page in PYTHON_PAGES
    if page not in WALKS and examples.chosen(page, examples.installed())
]
CONSOLE_PAGES = [page for page in examples.pages("console") if page not in WALKS]


def test_every_fence_is_found() -> None:
    """No page hides an example from this test by its fence or its marks."""
    marks = {"python": {"needs", "file"}, "console": {"status", "needs", "beside"}}
    for language, known in marks.items():
        for page in house.files(".md"):
            found = examples.blocks(page, language)
            fences = re.findall(
                rf"^[ \t]*[`~]{{3,}}[ \t]*{language}", house.text(page), re.M
            )
            assert len(found) == len(fences), house.name(page)
            assert [block.line for block in found if block.marks.keys() - known] == []


def test_blocks_say_what_they_need() -> None:
    """A block's marks cover its imports, and name only what is known."""
    breaches = []
    for page in PYTHON_PAGES:
        for block in examples.blocks(page, "python"):
            foreign = imported(block.text) - CORE - sys.stdlib_module_names
            foreign -= written(page)
            lacking = {SHOWN_BY.get(name, name) for name in foreign} - block.needs
            unknown = block.needs - examples.NEEDS.keys()
            if lacking or unknown:
                breaches.append((house.name(page), block.line, lacking, unknown))
    assert breaches == []


def written(page: Path) -> set[str]:
    """Give the modules that a page's reader writes to files."""
    names = (block.marks.get("file", "") for block in examples.blocks(page, "python"))
    return {Path(name).stem for name in names if name}


def imported(source: str) -> set[str]:
    """Give the top packages that some code imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_nox_runs_every_block() -> None:
    """Each block runs in the environment with all plugins, but for what is optional."""
    have = EVERYWHERE | PLUGINS | OPTIONAL
    for page in PYTHON_PAGES:
        assert examples.chosen(page, have) == examples.blocks(page, "python")


def test_pages_that_every_environment_runs() -> None:
    """What they need beyond the core is said: files, checkpoints, the log, a scrape."""
    core = house.ROOT / "packages" / "core" / "README.md"
    assert examples.chosen(core, ()) == examples.blocks(core, "python") != []
    page = house.ROOT / "docs" / "settings.md"
    have = {"devices-file", "fasterlog"}
    assert examples.chosen(page, have) == examples.blocks(page, "python") != []
    readme = house.ROOT / "README.md"
    have = {"devices-file", "checkpoint", "fasterlog", "observability"}
    assert examples.chosen(readme, have) == examples.blocks(readme, "python") != []
    guide = house.ROOT / "docs" / "guide.md"
    have |= EVERYWHERE | OPTIONAL
    assert examples.chosen(guide, have) == examples.blocks(guide, "python") != []


def test_what_this_environment_must_have(request: pytest.FixtureRequest) -> None:
    """What nox installs is here: the tools always, a plugin where its tests run."""
    tested = {
        plugin for plugin in PLUGINS if f"packages/{plugin}/tests" in args(request)
    }
    assert (EVERYWHERE | tested) - examples.installed() == set()


def args(request: pytest.FixtureRequest) -> set[str]:
    """Give the folders that this run of pytest was asked to test."""
    return {Path(arg).as_posix() for arg in request.config.args}


@pytest.mark.parametrize("page", HERE, ids=house.name)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    """A page's blocks run in order, in a process of their own, without a warning."""
    program = Path(examples.__file__)
    done = python("-W", "error", program, page, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = [block.line for block in examples.chosen(page, examples.installed())]
    assert json.loads(done.stdout) == expected


def python(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run this interpreter in a folder, where no other process's store is found."""
    about = {"COLUMNS": "200", "PYTHONUTF8": "1"}
    with tempfile.TemporaryDirectory(prefix="pf-") as sockets:  # their paths are short
        return subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=folder,
            env={**os.environ, **about, "XDG_RUNTIME_DIR": sockets},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )


@pytest.mark.parametrize("page", WALKS, ids=house.name)
def test_a_page_can_be_walked_through(page: Path, tmp_path: Path) -> None:
    """Files are written and commands run as the page has them, killed ones included."""
    blocks = examples.blocks(page, "python")
    assert [block.line for block in blocks if "file" not in block.marks] == []
    steps = walk.walk(page, tmp_path, examples.installed())
    assert steps == len(walk.steps(page, examples.installed()))


def test_a_new_user_has_something_to_walk_through() -> None:
    """The page for new users is walked, to its end where all plugins are."""
    page = house.ROOT / "docs" / "getting-started.md"
    assert page in WALKS
    both = examples.blocks(page, "python") + examples.blocks(page, "console")
    assert len(walk.steps(page, EVERYWHERE | PLUGINS)) == len(both)


@pytest.mark.parametrize("page", CONSOLE_PAGES, ids=house.name)
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path) -> None:
    """Commands end with the status that the page says, and print what it shows."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "one.py").write_text("total = total + one\n")
    if {"checkpoint", "devices-file"} <= examples.installed():
        with pyfaster.open(tmp_path / "counts", key=str, value=int) as store:
            store["apples"] = 3
    if {"fasterlog", "devices-file"} <= examples.installed():
        logs = importlib.import_module("pyfaster_fasterlog")
        with logs.FasterLog.open(tmp_path / "wal") as log:
            log.append(b"apples")
            log.complete()
    checker = doctest.OutputChecker()
    for block in examples.blocks(page, "console"):
        if block.needs - examples.installed():
            continue
        for words, output in walk.commands(block):
            assert words[0] == "pyfaster"
            done = python("-m", *words, folder=tmp_path)
            status = int(block.marks.get("status", "0"))
            assert done.returncode == status, (words, done.stderr)
            printed = done.stdout if status == 0 else done.stderr
            same = checker.check_output(output, printed, doctest.ELLIPSIS)
            assert same, f"{words}\nexpected:\n{output}\nprinted:\n{printed}"


def modules() -> dict[str, str]:
    """Give the installed packages' modules with examples, each with its source."""
    found = {}
    for source in sorted(house.ROOT.glob("packages/*/src")):
        for path in sorted(source.rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            if ">>> " in house.text(path) and find_spec(parts[0]):
                words = parts[:-1] if parts[-1] == "__init__" else parts
                found[".".join(words)] = house.text(path)
    return found


MODULES = modules()


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_docstrings_run(name: str) -> None:
    """Every `>>>` of a module is run, none is overlooked, and each gives its result."""
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0
    assert results.attempted == MODULES[name].count(">>> ") > 0


@pytest.mark.once
def test_docstrings_of_every_package_are_looked_at() -> None:
    """The full environment finds the modules of all distributions."""
    modules = house.ROOT.glob("packages/*/src/*/__init__.py")
    expected = {path.parent.name for path in modules}
    assert len(expected) == len(house.PACKAGES)
    missing = {name for name in expected if not find_spec(name)}
    assert missing == set()
