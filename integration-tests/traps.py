# SPDX-License-Identifier: MIT
"""
Which traps of docs/traps.md and faults of docs/faults.md have a test.

Run as a program it lists them; `test_traps.py` compares the two sides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import house


@dataclass(frozen=True)
class Page:
    """
    A page that lists ids, and the mark by which a test carries one.

    Attributes:
        mark: The marker's name; the page is its plural.

        letters: What ids begin with; two digits follow.
    """

    mark: str
    letters: str

    def __str__(self) -> str:
        return f"docs/{self.mark}s.md"

    @cached_property
    def _sections(self) -> dict[str, dict[str, str]]:
        row = rf"^\| ([{self.letters}]\d\d) \| (.+?) \| (.+?) \|$"
        page = house.text(house.ROOT / str(self))
        return {
            name: {one: f"{area}: {what}" for one, area, what in _rows(row, body)}
            for name, body in re.findall(
                r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL
            )
        }

    def listed(self, section: str) -> dict[str, str]:
        """Give the ids of a section, each with what it is."""
        return self._sections[section]

    def carried(self) -> dict[str, set[str]]:
        """Give each id that a test carries, with the files of those tests."""
        letters = self.letters + self.letters.lower()
        # Not the number types of the interface, FASTER_TYPE_F32 and F64, and not what
        # compilers call a processor, __x86_64__.
        in_c = re.compile(
            rf"(?<![A-Za-z0-9\\])(?<!TYPE_)(?<!__)[{letters}]\d\d(?![0-9A-Za-z])"
        )
        in_python = re.compile(rf"\b[{self.letters}]\d\d\b")
        marks = re.compile(rf"\bmark\.{self.mark}\(([^)]*)\)")
        found: dict[str, set[str]] = {}
        for path in house.files(".py", ".c"):
            parts = path.relative_to(house.ROOT).parts
            source = house.text(path)
            if path.suffix == ".c" and parts[:2] == ("native", "tests"):
                ids = in_c.findall(source)
            elif path.suffix == ".py" and {"tests", "integration-tests"} & set(parts):
                ids = in_python.findall(" ".join(marks.findall(source)))
            else:
                continue
            for one in ids:
                found.setdefault(one.upper(), set()).add(house.name(path))
        return found


def _rows(row: str, body: str) -> list[tuple[str, str, str]]:
    return re.findall(row, body, re.MULTILINE)


PAGES = (Page("trap", "XT"), Page("fault", "F"))


def main() -> None:
    """Print each id with the files of its tests, then those that have none."""
    for page in PAGES:
        tests = page.carried()
        rows = {**page.listed("Guarded"), **page.listed("Open")}
        for one in (one for one in rows if one in tests):
            print(f"{one}  {', '.join(sorted(tests[one]))}")
        for one in (one for one in rows if one not in tests):
            print(f"{one}  no test    {rows[one]}")


if __name__ == "__main__":
    main()
