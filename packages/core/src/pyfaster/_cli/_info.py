# SPDX-License-Identifier: MIT
"""
The verbs `info` and `verify`: what a directory holds, and whether it is whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import pyfaster
from pyfaster._cli._common import (
    WRONG,
    AsJson,
    complain,
    console,
    place_argument,
    write_json,
)
from pyfaster.pictures import plain_text

Here = Annotated[
    Path,
    place_argument("The directory of a store or log; this one when left out."),
]
Directory = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="The directory of a store or log.",
    ),
]

#: More sessions or cursors than this are only counted for people.
_SHOWN = 20


def info(directory: Here = Path(), as_json: AsJson = False) -> None:
    """
    Show what a directory holds: a store or a log, how it is made, who has it open.

    Everything comes from the files, and nothing is changed: the store may be open in
    another process. The exit status is 1 when there is nothing, or it cannot be read.
    """
    facts = gather(directory)
    if as_json:
        write_json(facts)
    else:
        show(facts)
    if facts["problem"]:
        raise typer.Exit(WRONG)


def gather(directory: Path) -> dict[str, Any]:
    """
    All that `info` tells.

    Raises:
        ConfigError: There is nothing of pyfaster's in the directory.
    """
    from pyfaster._cli import _directories as places
    from pyfaster.errors import FasterError, pip_line

    kind, inspector = places.inspector_of(directory)
    if kind is None:
        raise places.nothing_in(directory)
    contents: Mapping[str, object] | None = None
    problem, hint = "", ""
    if inspector is None:
        extra = next(extra for name, extra in places.KINDS.values() if name == kind)
        hint = f"to see what is in it: {pip_line(extra)}"
    else:
        try:
            contents = inspector.describe(directory)
        except (FasterError, OSError) as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            problem = f"{inspector!r}: {type(error).__name__}: {error}"
    sizes = places.amounts(directory)
    return {
        "directory": str(directory),
        "kind": kind,
        "pyfaster": pyfaster.__version__,
        "lock": asdict(places.holder_of(directory)),
        "sizes": {name: asdict(amount) for name, amount in sizes.items()},
        "segments": places.segments_in(directory),
        "contents": contents,
        "hint": hint,
        "problem": problem,
    }


def show(facts: Mapping[str, Any]) -> None:
    """
    Print what was gathered for people.
    """
    from rich.table import Table

    table = Table("what", "value", title=plain_text(facts["directory"]))
    table.columns[0].no_wrap = True
    table.columns[1].overflow = "fold"
    table.add_row("kind", facts["kind"])
    table.add_row("pyfaster", f"{facts['pyfaster']} reads it")
    table.add_row("open", said_of_lock(facts["lock"]))
    for name, amount in facts["sizes"].items():
        text = f"{amount['bytes']:,} bytes in {amount['files']:,} files"
        if amount["disk_bytes"] < amount["bytes"]:
            text += f", {amount['disk_bytes']:,} on the disk"
        table.add_row(f"size of {name}", text)
    for heading, value in rows("segments", facts["segments"]):
        table.add_row(heading, value)
    for part, values in (facts["contents"] or {}).items():
        for heading, value in rows(part, values):
            table.add_row(heading, value)
    screen = console()
    screen.print(table)
    if facts["hint"]:
        screen.print(facts["hint"], soft_wrap=True)
    if facts["problem"]:
        complain(facts["problem"])


def said_of_lock(lock: Mapping[str, Any]) -> str:
    """
    Say who has it open.
    """
    pid = lock["pid"]
    if lock["held"]:
        return f"by process {pid}" if pid else "by another process"
    if lock["held"] is None:
        return f"not known here; process {pid} had it last" if pid else "not known here"
    return "by nobody"


def rows(part: str, value: object) -> Iterator[tuple[str, str]]:
    """
    One fact, or a part with several, as lines of a table.
    """
    if isinstance(value, Mapping):
        if not value:
            yield plain_text(part), "-"
        for number, (name, one) in enumerate(value.items()):
            if number == _SHOWN:
                yield f"more {plain_text(part)}", f"{len(value) - _SHOWN:,}"
                break
            yield from rows(f"{part} {name}", one)
    else:
        yield plain_text(part), shown(value)


def shown(value: object) -> str:
    """
    A value as people read it.
    """
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return plain_text(", ".join(map(str, value))) or "-"
    return plain_text(str(value))


def verify(directory: Directory, as_json: AsJson = False) -> None:
    """
    Look through all of a store or a log, whichever is in the directory.

    Nothing is changed, and it may be open meanwhile. The exit status is 1 when
    something is wrong, or there is nothing.
    """
    from pyfaster._cli._directories import need_inspector

    if not need_inspector(directory).verify(directory, as_json=as_json):
        raise typer.Exit(WRONG)


__all__ = ["info", "verify"]
