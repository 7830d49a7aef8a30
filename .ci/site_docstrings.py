# SPDX-License-Identifier: MIT
"""
Docstrings as the site shows them.

They are written for `help()`: examples begin with `>>>`, tables are drawn with `===`.
On the site such paragraphs become blocks of code, which keep their lines.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_DRAWN = re.compile(r"^(?:>>> |===)", re.MULTILINE)


def shown(text: str) -> str:
    """Give a docstring with fences around what must keep its lines."""
    return "\n\n".join(map(fenced, text.split("\n\n")))


def fenced(paragraph: str) -> str:
    """Give a paragraph, in a fence if it is an example or a table."""
    if not _DRAWN.match(paragraph):
        return paragraph
    language = "pycon" if paragraph.startswith(">>>") else "text"
    return f"```{language}\n{paragraph}\n```"


class Shown(griffe.Extension):
    """Makes every docstring ready for the site when it is loaded."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the text of an object that has one."""
        if obj.docstring:
            obj.docstring.value = shown(obj.docstring.value)
