# SPDX-License-Identifier: MIT
"""
Which traps of docs/traps.md have a test, and which are open.

Run as a program it lists them; `test_traps.py` compares the two sides.
"""

from __future__ import annotations

import re

import house

MARK = re.compile(r"\bmark\.trap\(([^)]*)\)")
PY_ID = re.compile(r"\b[XT]\d\d\b")
C_ID = re.compile(r"(?<![A-Za-z0-9\\])[XTxt]\d\d(?![0-9A-Za-z])")
ROW = re.compile(r"^\| ([XT]\d\d) \| (.+?) \| (.+?) \|$", re.MULTILINE)


def listed(section: str) -> dict[str, str]:
    """Give the ids and mistakes of a section of docs/traps.md."""
    page = house.text(house.ROOT / "docs" / "traps.md")
    body = page.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    return {trap: f"{area}: {mistake}" for trap, area, mistake in ROW.findall(body)}


def carried() -> dict[str, set[str]]:
    """Give each id that a test carries, with the files of those tests."""
    found: dict[str, set[str]] = {}
    for path in house.files(".py", ".c"):
        parts = path.relative_to(house.ROOT).parts
        source = house.text(path)
        if path.suffix == ".c" and parts[:2] == ("native", "tests"):
            ids = C_ID.findall(source)
        elif path.suffix == ".py" and {"tests", "integration-tests"} & set(parts):
            ids = PY_ID.findall(" ".join(MARK.findall(source)))
        else:
            continue
        for trap in ids:
            found.setdefault(trap.upper(), set()).add(house.name(path))
    return found


def main() -> None:
    """Print each trap with the files of its tests, then those that have none."""
    tests = carried()
    rows = {**listed("Guarded"), **listed("Open")}
    for trap in (trap for trap in rows if trap in tests):
        print(f"{trap}  {', '.join(sorted(tests[trap]))}")
    for trap in (trap for trap in rows if trap not in tests):
        print(f"{trap}  no test    {rows[trap]}")


if __name__ == "__main__":
    main()
