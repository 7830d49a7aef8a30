# SPDX-License-Identifier: MIT
"""
The tags that the core's comments cite: every one is defined, every order has two ends.

I (invariants) and M (memory order) belong to one header and are cited by their number
in the same folder, or as `epoch.h I3` from elsewhere. The letters of the core's rules
(D, E, R, G, L, P) belong to docs/core-rules.md.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import house

pytestmark = pytest.mark.once

DEFINITION = re.compile(r"^ \*   ([IM]\d+)  ", re.MULTILINE)
CITATION = re.compile(r"(?:\b(\w+\.h) )?\b([IM]\d+)\b")
RULE = re.compile(r"(?<![\w.])([DERGLP]\d+)\b")
ORDERED = re.compile(r"memory_order_(?:acquire|release|acq_rel|seq_cst)\b")
TAG = re.compile(r"\b[IMDERGLP]\d+\b|'s\b")

SOURCES = [path for path in house.files(".c", ".h") if path.is_relative_to(house.CORE)]


@cache
def by_header() -> dict[str, set[str]]:
    """Give header's name -> the tags that it defines."""
    return {
        header.name: set(DEFINITION.findall(house.essay(house.text(header))))
        for headers in house.concepts().values()
        for header in headers
    }


def comments(path: Path) -> list[tuple[int, str]]:
    """Give a file's comments, but for a header's essay, where tags are defined."""
    source = house.text(path)
    found = house.c_comments(source)
    return [entry for entry in found if entry[1] != house.essay(source)]


def citations(path: Path) -> list[tuple[int, str | None, str]]:
    """Give what a file cites: the line, the header if it is named, and the tag."""
    return [
        (line, header or None, tag)
        for line, comment in comments(path)
        for header, tag in CITATION.findall(comment)
    ]


def owner(path: Path, header: str | None, tag: str) -> str | None:
    """
    Give the header that a citation means.

    One that is named, else the file's own header, else the folder's, else any other of
    the folder; None when none of these defines the tag.
    """
    tags = by_header()
    if header is not None:
        return header if tag in tags.get(header, set()) else None
    nearest = [f"{path.stem}.h", f"{path.parent.name}.h"]
    others = [other.name for other in sorted(path.parent.glob("*.h"))]
    meant = (name for name in nearest + others if tag in tags.get(name, set()))
    return next(meant, None)


def test_cited_tags_are_defined() -> None:
    """A cited I or M tag is defined in a header of the folder, or in the one named."""
    breaches = [
        f"{house.name(path)}:{line}: {header or path.parent.name} has no {tag}"
        for path in SOURCES
        for line, header, tag in citations(path)
        if owner(path, header, tag) is None
    ]
    assert not breaches, "\n" + "\n".join(breaches)


def test_orders_have_two_ends() -> None:
    """Every M tag is cited by at least two comments at the accesses that it orders."""
    ends = Counter(
        (owner(path, header, tag), tag)
        for path in SOURCES
        for _, header, tag in citations(path)
    )
    breaches = [
        f"{header} {tag} has {ends[header, tag]} ends"
        for header, tags in sorted(by_header().items())
        for tag in sorted(tags)
        if tag.startswith("M") and ends[header, tag] < 2
    ]
    assert not breaches, "\n" + "\n".join(breaches)


def test_ordered_accesses_carry_their_tag() -> None:
    """An access that is not relaxed has a comment with a tag beside or above it."""
    breaches = []
    for path in SOURCES:
        lines = house.text(path).splitlines()
        code = house.c_code(house.text(path)).splitlines()
        for number, line in enumerate(code):
            if not ORDERED.search(line):
                continue
            near = "\n".join(lines[max(0, number - 5) : number + 4])
            if not any(TAG.search(text) for _, text in house.c_comments(near)):
                breaches.append(f"{house.name(path)}:{number + 1}: {line.strip()}")
    assert not breaches, "\n" + "\n".join(breaches)


def test_relaxed_accesses_give_their_reason() -> None:
    """A relaxed access has a comment that says why that is enough."""
    breaches = []
    for path in SOURCES:
        lines = house.text(path).splitlines()
        code = house.c_code(house.text(path)).splitlines()
        for number, line in enumerate(code):
            lone = "memory_order_relaxed" in line and not re.match(
                r"\s*memory_order_relaxed\)", line
            )
            near = "\n".join(lines[max(0, number - 6) : number + 4])
            if lone and not re.search(r"relaxed[:,]|[Rr]elaxed .*:|as in|[IM]\d", near):
                breaches.append(f"{house.name(path)}:{number + 1}: {line.strip()}")
    assert not breaches, "\n" + "\n".join(breaches)


def test_cited_rules_are_in_the_docs() -> None:
    """A rule that the core's comments cite (E1, R3, ...) is in docs/core-rules.md."""
    rules = set(
        re.findall(
            r"^\*\*([DERGLP]\d+)\*\*",
            house.text(house.ROOT / "docs" / "core-rules.md"),
            re.MULTILINE,
        )
    )
    assert rules, "docs/core-rules.md defines no rule"
    breaches = [
        f"{house.name(path)}:{line}: {tag}"
        for path in SOURCES
        for line, comment in house.c_comments(house.text(path))
        for tag in RULE.findall(comment)
        if tag not in rules
    ]
    assert not breaches, "\n" + "\n".join(breaches)
