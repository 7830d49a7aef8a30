# SPDX-License-Identifier: MIT
"""
The examples of the pages, and running those of one page.

    python integration-tests/examples.py docs/guide.md

A block begins with ```python. Words behind that say what it needs beyond the core and
its dependencies: ```python needs=codecs,numpy. Blocks of a page share their names and
run in order. Where a line is `print(...)  # text`, the text is what must be printed.
Blocks of ```console hold commands behind `$` and what they print, with `...` for what
differs from run to run; ```console status=1 says how the commands end, needs= the same
as above. A store is in the folder "counts", and a completed durable log in "wal", where
what keeps them is installed. Pages with files (```python file=) are run by walk.py.
"""

from __future__ import annotations

import builtins
import json
import re
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import house

#: What a block may need, and the module that shows whether it is there.
NEEDS = {
    "checkpoint": "pyfaster_checkpoint",
    "codecs": "pyfaster_codecs",
    "devices-file": "pyfaster_devices_file",
    "diskcache": "diskcache",
    "fasterlog": "pyfaster_fasterlog",
    "lmdb": "lmdb",
    "numba": "numba",
    "numpy": "numpy",
    "observability": "pyfaster_observability",
    "pyarrow": "pyarrow",
    "rocksdict": "rocksdict",
}

_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHOWN = re.compile(r"^\s*print\(.*\)\s+# (.+)$")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page: its language, its marks, its first line's number and text."""

    language: str
    marks: dict[str, str]
    line: int
    text: str

    @property
    def needs(self) -> frozenset[str]:
        """What must be installed to run it."""
        return frozenset(filter(None, self.marks.get("needs", "").split(",")))


def blocks(page: Path, language: str) -> list[Block]:
    """Give the blocks of one language that a page has, in order."""
    source = house.text(page)
    return [
        Block(match[1], _marks(match[2]), source.count("\n", 0, match.start(3)), text)
        for match in _BLOCK.finditer(source)
        if match[1] == language and (text := match[3])
    ]


def _marks(words: str) -> dict[str, str]:
    pairs = (word.partition("=") for word in words.split())
    return {name: value for name, _, value in pairs}


def pages(language: str) -> list[Path]:
    """Give the tree's pages that have blocks of a language."""
    return [page for page in house.files(".md") if blocks(page, language)]


def installed() -> frozenset[str]:
    """Give what blocks may need and find here."""
    return frozenset(name for name, module in NEEDS.items() if find_spec(module))


def chosen(page: Path, have: Collection[str]) -> list[Block]:
    """Give the Python blocks of a page that run where `have` is installed."""
    return [block for block in blocks(page, "python") if block.needs <= set(have)]


def shown_lines(page: Path, block: Block) -> set[int]:
    """Give the numbers of the lines of a block that say what they print."""
    lines = house.text(page).splitlines()
    last = block.line + block.text.count("\n")
    return {number for number in range(block.line, last) if _SHOWN.match(lines[number])}


def _checking_print(page: Path, checked: set[int]) -> Callable[..., None]:
    """Make a print that compares with the comment behind it."""
    lines = house.text(page).splitlines()

    def checking_print(*values: object) -> None:
        number = sys._getframe(1).f_lineno - 1
        said = _SHOWN.match(lines[number])
        found = " ".join(map(str, values))
        if said is None:
            builtins.print(found, file=sys.stderr)
        elif said[1] != found:
            raise AssertionError(f"the page says {said[1]!r}, printed is {found!r}")
        else:
            checked.add(number)

    return checking_print


def run(page: Path, have: Collection[str]) -> list[int]:
    """Run a page's blocks in one namespace; give the lines at which they begin."""
    module = ModuleType("page")
    sys.modules[module.__name__] = module
    checked: set[int] = set()
    vars(module)["print"] = _checking_print(page, checked)
    ran = chosen(page, have)
    for block in ran:
        code = "\n" * block.line + block.text  # so that tracebacks name the page's line
        exec(compile(code, str(page), "exec"), vars(module))
        missed = shown_lines(page, block) - checked
        if missed:
            raise AssertionError(f"never printed: lines {[n + 1 for n in missed]}")
    return [block.line for block in ran]


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]).resolve(), installed())))
