# SPDX-License-Identifier: MIT
"""
Reading the source tree for the checks of this folder.

Nothing here needs a build or a tool: Python is read with `ast`, C by a scanner that
knows comments, strings, preprocessor lines and braces, and nothing of the language.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
NATIVE = ROOT / "native"
CORE = NATIVE / "src"
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))

#: Folders that hold results, not sources.
_RESULTS = {"build", "dist", "results", "__pycache__"}
_HIDDEN_SOURCES = {".ci", ".github"}

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_NOT_CODE = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)
_PREPROCESSOR = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Function:
    """A function's place: its name and its first and last line."""

    name: str
    first: int
    last: int

    @property
    def length(self) -> int:
        """How many lines it has, braces and signature included."""
        return self.last - self.first + 1


def _has_sources(folder: str) -> bool:
    hidden = folder.startswith(".") and folder not in _HIDDEN_SOURCES
    return not (hidden or folder in _RESULTS or folder.endswith(".egg-info"))


def _sources() -> Iterator[Path]:
    """Walk the tree, but enter no folder of results: builds run beside the tests."""
    for place, folders, names in os.walk(ROOT):
        folders[:] = filter(_has_sources, folders)
        yield from (path for path in map(Path(place).joinpath, names) if path.is_file())


@cache
def files(*endings: str) -> tuple[Path, ...]:
    """Give the tree's files whose names end like this; never an empty list."""
    chosen = tuple(sorted(path for path in _sources() if path.name.endswith(endings)))
    assert chosen, f"no file of the tree ends with {endings}"
    return chosen


@cache
def text(path: Path) -> str:
    """Give a file's text."""
    return path.read_text(encoding="utf-8")


def name(path: Path) -> str:
    """Give a file's path from the root of the tree, as messages show it."""
    return path.relative_to(ROOT).as_posix()


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


@cache
def c_code(source: str) -> str:
    """Blank out comments, literals and preprocessor lines; lines keep their numbers."""
    return _PREPROCESSOR.sub(_blank, _NOT_CODE.sub(_blank, source))


def c_comments(source: str) -> list[tuple[int, str]]:
    """Give the comments of a C file, each with the line where it begins."""
    return [
        (source.count("\n", 0, match.start()) + 1, match[0])
        for match in _COMMENT.finditer(source)
    ]


def c_functions(source: str) -> Iterator[Function]:
    """Give the functions that a C file defines."""
    code = c_code(source)
    depth, begin = 0, 0
    head = ""
    for at, char in enumerate(code):
        if char == "{":
            if depth == 0:
                head = code[begin:at]
            depth += 1
        elif char == "}":
            depth -= 1
        if depth == 0 and char in "};":
            found = re.search(r"(\w+)\s*\(", head)
            if char == "}" and found and "=" not in head:
                start = begin + len(head) - len(head.lstrip())
                first = code.count("\n", 0, start) + 1
                yield Function(found[1], first, code.count("\n", 0, at) + 1)
            begin, head = at + 1, ""


def py_functions(source: str) -> Iterator[Function]:
    """Give the functions and methods that a Python file defines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function(node.name, node.lineno, node.end_lineno or node.lineno)


def essay(source: str) -> str:
    """Give a C header's opening essay: its second comment."""
    comments = c_comments(source)
    return comments[1][1] if len(comments) > 1 else ""


def level(header: Path) -> int | None:
    """Give the level that a header of the core states."""
    stated = re.search(r"^ \* Level (\d)\.", text(header), re.MULTILINE)
    return int(stated[1]) if stated else None


def concepts() -> dict[str, list[Path]]:
    """Give the core's concepts: folders that have a header."""
    found = {path.name: sorted(path.glob("*.h")) for path in sorted(CORE.iterdir())}
    return {concept: headers for concept, headers in found.items() if headers}


def statuses() -> dict[str, tuple[int, str]]:
    """Give the statuses of status.h: name to number and sentence."""
    pattern = re.compile(r"(FASTER_\w+) =\s+(-?\d+),?\s*/\* (.*?) \*/", re.DOTALL)
    found = pattern.findall(text(NATIVE / "include" / "faster" / "status.h"))
    return {
        word: (int(number), re.sub(r"\s+(?:\* )?", " ", sentence))
        for word, number, sentence in found
    }
