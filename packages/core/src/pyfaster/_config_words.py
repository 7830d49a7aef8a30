# SPDX-License-Identifier: MIT
"""
What is said of settings that are wrong.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

UNKNOWN = "extra_forbidden"
_NAMED = re.compile(r"\b([a-z_]+)=")


@dataclass(frozen=True, slots=True)
class Mistake:
    """
    What is wrong with one setting, or with several together.

    Attributes:
        path: The setting's name, and what is below it; empty for several together.

        text: One sentence.

        unknown: Whether there is no such setting.
    """

    path: tuple[str, ...]
    text: str
    unknown: bool = False

    @property
    def named(self) -> tuple[str, ...]:
        """
        The settings that a sentence about several names, each once, as "name=".
        """
        return tuple(dict.fromkeys(_NAMED.findall(self.text)))

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.text}" if self.path else self.text


def mistakes_of(details: Iterable[ErrorDetails]) -> list[Mistake]:
    """
    What a model found wrong.
    """
    return [one for detail in details for one in _mistakes_of(detail)]


def _mistakes_of(detail: ErrorDetails) -> list[Mistake]:
    path = tuple(str(part) for part in detail["loc"] if _is_name(part))
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == UNKNOWN:
        return [Mistake(path, "there is no such setting", unknown=True)]
    if not path:
        return [Mistake((), line) for line in message.split("\n")]
    if detail["type"] in ("value_error", "missing"):
        return [Mistake(path, message)]
    return [Mistake(path, f"{message}, found {detail['input']!r}")]


def _is_name(part: object) -> bool:
    """
    Whether a part of a place is a setting's name, and none of a type in a union.
    """
    return not isinstance(part, str) or (part.isidentifier() and part not in _TYPES)


#: What pydantic calls the members of unions.
_TYPES = {"bool", "float", "int", "str"}


def once(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """
    One mistake for each setting: a union has one for each of its members.
    """
    found: dict[tuple[str, ...], Mistake] = {}
    together = []
    for mistake in mistakes:
        if mistake.path:
            before = found.setdefault(mistake.path, mistake)
            if before is not mistake and before.text != mistake.text:
                text = f"{before.text}; or {mistake.text}"
                found[mistake.path] = Mistake(mistake.path, text, mistake.unknown)
        else:
            together.append(mistake)
    return [*found.values(), *together]


def explain(sentences: Collection[object]) -> str:
    """
    One message for all that is wrong with some settings.
    """
    if len(sentences) == 1:
        return str(next(iter(sentences)))
    lines = "\n  ".join(map(str, sentences))
    return f"{len(sentences)} settings are wrong:\n  {lines}"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """
    The one that was meant, if any resembles it.
    """
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=cutoff)
    return near[0] if near else None


def unknown_setting(name: str, known: Collection[str]) -> str:
    """
    Say that there is no such setting, and which one was meant.
    """
    near = nearest(name, known)
    listed = ", ".join(sorted(known))
    hint = f"did you mean {near!r}?" if near else f"there are {listed}"
    return f"there is no setting {name!r}; {hint}"


__all__ = ["Mistake", "explain", "mistakes_of", "nearest", "once", "unknown_setting"]
