# SPDX-License-Identifier: MIT
"""
What the verbs of the command share: the option `--json`, and where they write.

rich, which draws tables, is imported when something is drawn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

#: The exit status when a result is wrong.
WRONG = 1

AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON object.")]


def write_json(members: Mapping[str, Any]) -> None:
    """
    Write one object.
    """
    typer.echo(json.dumps(members, indent=2, default=_plain))


def _plain(value: object) -> object:
    """
    What JSON does not know, as text.
    """
    return str(value) if isinstance(value, Path) else repr(value)


def console() -> Console:
    """
    Standard output, for tables; what is printed there is no markup.
    """
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False)


def error_console() -> Console:
    """
    Standard error, for progress and for what is wrong.
    """
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False, emoji=False)


def plain(text: str) -> str:
    """
    Give a text without anything that could steer a terminal: it may be a stranger's.
    """
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def complain(text: str) -> None:
    """
    Say on one line what is wrong.
    """
    line = " ".join(f"pyfaster: {text}".splitlines())
    error_console().print(plain(line), style="red", soft_wrap=True)


__all__ = [
    "WRONG",
    "AsJson",
    "complain",
    "console",
    "error_console",
    "plain",
    "write_json",
]
