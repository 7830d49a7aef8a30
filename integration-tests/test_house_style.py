# SPDX-License-Identifier: MIT
"""
What CONTRIBUTING.md calls house style, as far as a machine can tell.

Each test collects every breach before it fails, so that one run shows them all.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import house

pytestmark = pytest.mark.once

FUNCTION_LINES = 70
C_LINES = 800
PY_LINES = 500
COLUMNS = 88

C_FILES = house.files(".c", ".h")
PY_FILES = house.files(".py", ".pyi")
SHIPPED = [path for path in PY_FILES if "src" in path.parts]
CORE_FILES = [path for path in C_FILES if path.is_relative_to(house.CORE)]
CORE_HEADERS = [path for path in CORE_FILES if path.suffix == ".h"]

#: What no file of the core may use, and why.
BANNED = {
    r"\bvolatile\b": "volatile orders nothing between threads",
    r"\b\w*printf\b": "the core prints nothing",
    r"\babort\b": "the core ends no process",
    r"(?<![\w])assert\s*\(": "faster_assert or a status",
    r"\b(?:u|nano|thrd_)?sleep\b": "the core waits for events",
    r"\bgetenv\b": "settings come from the caller",
    r"\batomic_(?:load|store|exchange|fetch_\w+?|compare_exchange_\w+?)\s*\("
    r"(?<!_explicit\()": "only the _explicit forms show their order",
}

#: What cffi compiles, and cffi itself.
COMPILED = {
    "cffi",
    "pyfaster._native",
    "pyfaster_devices_file._file",
    "pyfaster_devices_uring._uring",
}

#: The only files that see such modules, below packages/.
BOUNDARY = {
    "core/src/pyfaster/_cabi.py",
    "core/src/pyfaster/_cabi_checkpoint.py",
    "core/src/pyfaster/_cabi_devices.py",
    "core/src/pyfaster/_cabi_events.py",
    "core/src/pyfaster/_cabi_figures.py",
    "core/src/pyfaster/_cabi_flog.py",
    "core/src/pyfaster/_cabi_limits.py",
    "core/src/pyfaster/testing/_cabi.py",
    "devices-file/src/pyfaster_devices_file/_cabi.py",
    "devices-uring/src/pyfaster_devices_uring/_cabi.py",
}

HEADINGS = (
    "Purpose",
    "Model",
    "Invariants",
    "Ordering",
    "Progress",
    "Threads",
    "Errors",
    "Limits",
    "Source",
    "Tests",
)


def none_of(breaches: list[str]) -> None:
    """Fail with the whole list."""
    assert not breaches, "\n" + "\n".join(breaches)


def at(path: Path, line: int, what: str) -> str:
    """Say where something is, so that an editor can jump there."""
    return f"{house.name(path)}:{line}: {what}"


def test_scanner_measures_c_functions() -> None:
    """The C scanner finds functions, not structs, initialisers or quoted braces."""
    source = (
        "struct a {\n    int b;\n};\nstatic const int t[] = {1, 2};\n#define X {\n"
        "static int\nf(int a) {\n    /* } */\n    return g(\"}\", '}');\n}\n"
    )
    assert list(house.c_functions(source)) == [house.Function("f", 6, 10)]


def test_functions_are_short() -> None:
    """No function is longer than 70 lines."""
    breaches = []
    for path in C_FILES + PY_FILES:
        find = house.c_functions if path.suffix in (".c", ".h") else house.py_functions
        for function in find(house.text(path)):
            if function.length > FUNCTION_LINES:
                what = f"{function.name} has {function.length} lines"
                breaches.append(at(path, function.first, what))
    none_of(breaches)


def test_files_are_short() -> None:
    """C files have at most 800 lines and Python files 500; two files have less."""
    limits = {"conftest.py": 60, "noxfile.py": 120}
    breaches = []
    for path in C_FILES + PY_FILES:
        limit = limits.get(path.name, PY_LINES if path in PY_FILES else C_LINES)
        count = len(house.text(path).splitlines())
        if count > limit:
            breaches.append(at(path, limit, f"{count} lines, at most {limit}"))
    none_of(breaches)


def test_lines_are_narrow() -> None:
    """No line of C or Python is wider than 88 columns."""
    breaches = []
    for path in C_FILES + PY_FILES:
        for number, line in enumerate(house.text(path).splitlines(), 1):
            if len(line) > COLUMNS:
                breaches.append(at(path, number, f"{len(line)} columns"))
    none_of(breaches)


def test_sources_name_their_licence() -> None:
    """Every source file says MIT in one of its first lines."""
    endings = (".c", ".h", ".py", ".pyi", ".toml", ".yml", "CMakeLists.txt", "run")
    breaches = [
        at(path, 1, "no SPDX line")
        for path in house.files(*endings)
        if "SPDX-License-Identifier: MIT" not in house.text(path)[:120]
    ]
    none_of(breaches)


def test_distributions_share_one_licence_and_version() -> None:
    """Each distribution carries the licence, and all have the same version."""
    licence = house.text(house.ROOT / "LICENSE")
    assert all(house.text(path / "LICENSE") == licence for path in house.PACKAGES)
    found = set()
    for package in house.PACKAGES:
        places = [package / "pyproject.toml", *package.glob("src/*/_version.py")]
        joined = "\n".join(map(house.text, places))
        stated = re.findall(r'^(?:version|__version__) = "(.+)"', joined, re.MULTILINE)
        assert len(stated) == 1, (
            f"{package.name} states its version {len(stated)} times"
        )
        found.update(stated)
    assert len(found) == 1, f"the distributions have the versions {sorted(found)}"


def test_concepts_include_only_lower_levels() -> None:
    """A concept of the core includes itself, the public headers and lower levels."""
    levels = {}
    breaches = []
    for concept, headers in house.concepts().items():
        stated = {house.level(header) for header in headers}
        if len(stated) != 1 or None in stated:
            breaches.append(at(headers[0], 1, f"{concept} states the levels {stated}"))
        levels[concept] = house.level(headers[0]) or 0
    for path in CORE_FILES:
        own = path.relative_to(house.CORE).parts[0]
        for concept in re.findall(r'^#include "(\w+)/', house.text(path), re.MULTILINE):
            if concept in (own, "faster"):
                continue
            if levels[concept] >= levels.get(own, -1):
                what = f"{own} ({levels.get(own)}) includes {concept}"
                breaches.append(at(path, 1, f"{what} ({levels[concept]})"))
    none_of(breaches)


def test_headers_open_with_their_essay() -> None:
    """Every header of the core has all headings, in their order."""
    breaches = []
    for path in CORE_HEADERS:
        essay = house.essay(house.text(path))
        found = re.findall(r"^ \* ([A-Z][a-z]+)\b(?=\s*$|  | )", essay, re.MULTILINE)
        found = [word for word in found if word in HEADINGS]
        if found != list(HEADINGS):
            missing = [word for word in HEADINGS if word not in found]
            breaches.append(at(path, 1, f"missing {missing}, found {found}"))
    none_of(breaches)


def test_core_avoids_what_is_banned() -> None:
    """The core uses none of the banned words, and fences only in base/."""
    breaches = []
    for path in CORE_FILES:
        for number, line in enumerate(house.c_code(house.text(path)).splitlines(), 1):
            for pattern, why in BANNED.items():
                waits = path.name.startswith("thread_") and "wait" in why
                if re.search(pattern, line) and not waits:
                    breaches.append(at(path, number, f"{line.strip()}: {why}"))
            if "atomic_thread_fence" in line and path.parent.name != "base":
                breaches.append(at(path, number, "order belongs to the operation"))
    none_of(breaches)


def test_only_hot_c_includes_python() -> None:
    """`Python.h` is included by csrc/hot.c and by nothing else."""
    include = re.compile(r"^#include <Python\.h>", re.MULTILINE)
    found = [house.name(path) for path in C_FILES if include.search(house.text(path))]
    assert found == ["packages/core/csrc/hot.c"]


def test_stored_structs_have_asserted_layout() -> None:
    """Each struct of format/ asserts its size and offsets, and has no bit-field."""
    breaches = []
    for path in sorted((house.CORE / "format").glob("*.h")):
        code = house.c_code(house.text(path))
        flat = re.sub(r"\s+", " ", code)
        for struct, body in re.findall(r"^(struct \w+) \{(.*?)^\};", code, re.M | re.S):
            members = re.findall(r"(\w+)(?:\[\w*\])*;", body)
            wanted = [f"sizeof({struct})"]
            wanted += [f"offsetof({struct}, {member})" for member in members]
            for want in wanted:
                if not re.search(rf"static_assert\([^;]*{re.escape(want)}", flat):
                    breaches.append(at(path, 1, f"no static_assert with {want}"))
        if re.search(r"\w+\s*:\s*\d+\s*;", code):
            breaches.append(at(path, 1, "a bit-field"))
    none_of(breaches)


def imports(path: Path) -> Iterator[tuple[int, set[str]]]:
    """Give the imports of a file: the line, and all modules that it may mean."""
    for node in ast.walk(ast.parse(house.text(path))):
        if isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield node.lineno, {node.module or "", *names}
        elif isinstance(node, ast.Import):
            yield node.lineno, {alias.name for alias in node.names}


def test_ffi_stays_behind_the_boundary() -> None:
    """Of what is shipped only the boundary imports a cffi module, none cffi itself."""
    found = {
        house.name(path).removeprefix("packages/")
        for path in SHIPPED
        for _, names in imports(path)
        if names & COMPILED
    }
    assert found == BOUNDARY


def test_plugins_use_only_what_is_public() -> None:
    """No plugin of the tree imports a private module of the core."""
    sources = [path for path in SHIPPED if "packages/core/" not in house.name(path)]
    assert len({path.relative_to(house.ROOT).parts[1] for path in sources}) > 2
    breaches = [
        at(path, line, f"imports {name}")
        for path in sources
        for line, names in imports(path)
        for name in sorted(names)
        if re.match(r"pyfaster\._(?!_)", name)
    ]
    none_of(breaches)


def test_libraries_do_not_pickle() -> None:
    """No package reads or writes pickles, whose bytes can run code."""
    pattern = re.compile(
        r"^\s*(?:import|from) (?:pickle|marshal|shelve)\b", re.MULTILINE
    )
    none_of([house.name(path) for path in SHIPPED if pattern.search(house.text(path))])


def test_nothing_is_left_for_later() -> None:
    """No source says that something is to be done; only a platform skips a test."""
    skips = ["mark." + "skip(", "pytest." + "skip(", "mark." + "xfail"]
    words = ["TO" + "DO", "FIX" + "ME", "X" * 3, *skips]
    breaches = [
        at(path, number, line.strip())
        for path in house.files(".c", ".h", ".py", ".md", ".toml", ".yml")
        for number, line in enumerate(house.text(path).splitlines(), 1)
        if any(word in line for word in words)
    ]
    none_of(breaches)
