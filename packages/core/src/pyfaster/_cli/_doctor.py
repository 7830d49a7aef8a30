# SPDX-License-Identifier: MIT
"""
The verb `doctor`: what of this machine, and of a directory, may hurt a store.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import pyfaster
from pyfaster._cli._common import WRONG, AsJson, console, place_argument, write_json

if TYPE_CHECKING:
    from pyfaster._cli._disk import DiskFigures
    from pyfaster.hookspecs import Finding

#: How findings are shown.
_STYLES = {"ok": "green", "note": "cyan", "warning": "yellow", "failure": "bold red"}

#: A quarter of the room that there is, and no more, is written for measuring.
_SHARE = 4


def doctor(
    directory: Annotated[
        Path | None,
        place_argument(
            "Where a store would live; only the machine is looked at without."
        ),
    ] = None,
    size: Annotated[
        int,
        typer.Option(
            "--mebibytes", min=1, max=1 << 14, help="How much is written to measure."
        ),
    ] = 64,
    as_json: AsJson = False,
) -> None:
    """
    Look at the machine, and at a directory, for what may hurt a store.

    The directory's file system, its speed, and what fsync does are measured with a
    file that is gone when this ends, however it does. The exit status is 1 when there
    is a failure.
    """
    figures: list[DiskFigures] = []
    findings = list(look(directory, size << 20, figures))
    failed = any(one.status == "failure" for one in findings)
    if as_json:
        write_json(
            {
                "directory": None if directory is None else str(directory),
                "ok": not failed,
                "findings": [asdict(one) for one in findings],
                "figures": asdict(figures[0]) if figures else None,
            }
        )
    else:
        show(findings)
    if failed:
        raise typer.Exit(WRONG)


def look(
    directory: Path | None, size: int, figures: list[DiskFigures]
) -> Iterator[Finding]:
    """
    Look at everything; what is measured is added to `figures`.
    """
    from pyfaster._cli import _machine
    from pyfaster._cli._plugins import asked
    from pyfaster._registry import registry

    yield from _machine.look_at_machine()
    if directory is not None:
        yield from look_at_directory(directory.resolve(), size, figures)
    asked(registry)
    found = registry.findings(directory)
    yield from _machine.versions_found(pyfaster.__version__, registry.plugins())
    yield from (offer.thing for offer in found)


def look_at_directory(
    directory: Path, size: int, figures: list[DiskFigures]
) -> Iterator[Finding]:
    """
    Look at the file system that a directory is on, and measure it.
    """
    from pyfaster._cli import _disk, _mounts, _verdicts
    from pyfaster._cli._directories import holder_of
    from pyfaster._cli._machine import read_system
    from pyfaster.hookspecs import Finding

    mounts = _mounts.parse_mounts(read_system(_mounts.TABLE) or "")
    mount = _mounts.mount_of(str(directory), mounts)
    yield _mounts.judge_mount(mount)
    holder = holder_of(directory)
    if holder.held:
        text = f"process {holder.pid or 'unknown'} has a store or log open there"
        advice = "what is measured below is what that one leaves; ask again without it"
        yield Finding("in use", "note", text, advice)
    room = _room(directory)
    if room is not None:
        yield _verdicts.space_found(*room)
        size = min(size, room[0] // _SHARE)
    try:
        yield _disk.locks_found(directory)
        measured = _disk.measure(directory, size)
    except OSError as error:
        text = f"{str(directory)!r} cannot be written to ({error.strerror})"
        advice = "give a directory that this user may write to"
        yield Finding("directory", "failure", text, advice)
        return
    figures.append(measured)
    yield from _verdicts.judge_speed(measured)
    medium = _verdicts.medium_of(mount.device if mount is not None else "")
    yield _verdicts.judge_sync(measured, medium)


def _room(directory: Path) -> tuple[int, int, int | None] | None:
    """
    The bytes that are free for this user, all bytes, and how many files more there may
    be; None where the system does not say.
    """
    if not hasattr(os, "statvfs"):
        return None
    found: Any = os.statvfs(directory)
    files = found.f_favail if found.f_files else None
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, files


def show(findings: list[Finding]) -> None:
    """
    Print findings for people.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table("what", "status", "found")
    table.columns[0].no_wrap = True
    table.columns[2].overflow = "fold"
    for one in findings:
        text = f"{one.found}\n-> {one.advice}" if one.advice else one.found
        status = Text(one.status, style=_STYLES[one.status])
        table.add_row(one.name, status, text)
    screen = console()
    screen.print(table)
    counts = [
        f"{sum(one.status == status for one in findings)} {status}"
        for status in reversed(_STYLES)
    ]
    screen.print(", ".join(counts))


__all__ = ["doctor"]
