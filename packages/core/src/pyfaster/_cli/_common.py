# SPDX-License-Identifier: MIT
"""
What the verbs of the command share: the option `--json`, and where they write.

rich, which draws tables, is imported when something is drawn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from pyfaster.pictures import plain_text

if TYPE_CHECKING:
    from rich.console import Console

#: The exit status when a result is wrong.
WRONG = 1

AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON object.")]


def place_argument(about: str) -> typer.models.ArgumentInfo:
    """
    An argument that is a directory which is there, and may be left out.

    Args:
        about: What it is for.
    """
    found: typer.models.ArgumentInfo = typer.Argument(
        metavar="[DIR]", exists=True, file_okay=False, help=about
    )
    return found


def budget_of(memory: str) -> int:
    """
    The bytes of a budget that was given as a text.

    Raises:
        ConfigError: It cannot be understood.
    """
    from pyfaster._sizes import parse_size
    from pyfaster.errors import ConfigError

    try:
        return cast("int", parse_size(memory))
    except ValueError as error:
        raise ConfigError(f"memory: {error}") from error


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


def complain(text: str) -> None:
    """
    Say on one line what is wrong.
    """
    line = " ".join(f"pyfaster: {text}".splitlines())
    error_console().print(plain_text(line), style="red", soft_wrap=True)


__all__ = [
    "WRONG",
    "AsJson",
    "budget_of",
    "complain",
    "console",
    "error_console",
    "place_argument",
    "write_json",
]
