# SPDX-License-Identifier: MIT
"""
The subcommand `pyfaster checkpoints`.

All but `prune` only read, take no lock, and may be used while the store is open
elsewhere. Exit status: 0 when all is well; 1 when something is damaged or there is
nothing; 2 when the command was used wrongly. With `--json` one object is written.
"""

from __future__ import annotations

import base64
import errno
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pyfaster.checkpoints import CheckpointInfo, CheckpointSettings
from pyfaster.checkpoints import Directory as Taken
from pyfaster.errors import DeviceError, FasterError
from pyfaster_checkpoint import _tables
from pyfaster_checkpoint._catalog import (
    Catalog,
    Entry,
    info_of,
    read_catalog,
    with_chains,
)
from pyfaster_checkpoint._events import CleanUpFailed
from pyfaster_checkpoint._files import DiskFiles
from pyfaster_checkpoint._keeper import Keeper
from pyfaster_checkpoint._manifest import members_of
from pyfaster_checkpoint._retention import removable
from pyfaster_checkpoint._validate import validate
from pyfaster_checkpoint._verify import is_store, place_of

WRONG = 1

Directory = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", exists=True, file_okay=False, help="The store's directory."
    ),
]
Token = Annotated[str, typer.Argument(metavar="[TOKEN]", help="Which checkpoint.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON object.")]

app = typer.Typer(no_args_is_help=True, help="The checkpoints in a store's directory.")


@app.command("list")
def list_(directory: Directory, as_json: AsJson = False) -> None:
    """
    List the checkpoints of a store, the newest first.

    The exit status is 1 when one is damaged, or there is none.
    """
    with reading(directory) as (files, catalog):
        entries = list(with_chains(catalog))
        infos = [info_of(entry) for entry in entries]
        strangers = files.strangers()
    if as_json:
        write(
            directory,
            checkpoints=[info_data(info) for info in infos],
            unfinished=list(catalog.unfinished),
            strangers=strangers,
        )
    else:
        left = [entry.token for entry in entries if entry.is_left]
        _tables.show_list(infos, left, Console(markup=False))
        _tables.show_rest(catalog.unfinished, strangers, Console(markup=False))
    if not infos or any(entry.is_damaged for entry in entries):
        raise typer.Exit(WRONG)


@app.command("show")
def show(directory: Directory, token: Token = "", as_json: AsJson = False) -> None:
    """
    Show all that one checkpoint says of itself; the newest, unless told which one.

    The exit status is 1 when it is damaged, or not there.
    """
    with reading(directory) as (_, catalog):
        entry = chosen(directory, catalog, token)
    if as_json:
        manifest = None if entry.manifest is None else members_of(entry.manifest)
        write(directory, checkpoint=info_data(info_of(entry)), manifest=manifest)
    else:
        _tables.show_one(entry, Console(markup=False))
    if entry.is_damaged:
        raise typer.Exit(WRONG)


@app.command("validate")
def validate_(
    directory: Directory,
    token: Token = "",
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Look through checkpoints: all of them, unless told which one.

    Manifests, the lengths of files, and what a checkpoint needs are looked at; every
    byte with --deep. The exit status is 1 when something is damaged, or there is none.
    """
    with reading(directory) as (files, catalog):
        entries = list(catalog.entries)
        if token or not entries:
            entries = [chosen(directory, catalog, token)]
        reports = [validate(files, catalog, entry, deep=deep) for entry in entries]
    if as_json:
        data = [{**asdict(report), "ok": report.ok} for report in reports]
        write(directory, checkpoints=data)
    else:
        _tables.show_reports(reports, Console(markup=False))
    if not all(report.ok for report in reports):
        raise typer.Exit(WRONG)


@app.command("prune")
def prune(
    directory: Directory,
    keep: Annotated[
        int, typer.Option(min=1, help="How many of the newest good ones stay.")
    ] = 2,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would go.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """
    Let older checkpoints go, and what unfinished ones have left behind.

    Those that are pinned stay, and those that a checkpoint which stays needs. Nothing
    is asked. It is refused while a store is open in the directory. The exit status is
    1 when something could not be removed, or there is no checkpoint.
    """
    failures: list[CleanUpFailed] = []
    if dry_run:
        with reading(directory) as (_, catalog):
            found = bool(catalog.entries)
            gone = removable(catalog, keep=keep, keep_for=None, now=time.time())
            left = list(catalog.unfinished)
    else:
        expect_store(directory)
        taken = Taken(str(directory))
        try:
            found, gone, left, failures = let_go(directory, keep)
        finally:
            taken.close()
    errors = [f"{each.token}: {each.error}".removeprefix(": ") for each in failures]
    if as_json:
        write(directory, dry_run=dry_run, removed=gone, unfinished=left, errors=errors)
    else:
        _tables.show_gone(gone, left, errors, dry_run, Console(markup=False))
    if errors or not found:
        raise typer.Exit(WRONG)


def let_go(
    directory: Path, keep: int
) -> tuple[bool, list[str], list[str], list[CleanUpFailed]]:
    """
    Remove what may go; whether there was anything, what went, and what would not.
    """
    failures: list[CleanUpFailed] = []

    def announce(event: object) -> None:
        if isinstance(event, CleanUpFailed):
            failures.append(event)

    settings = CheckpointSettings(str(directory), keep=keep, announce=announce)
    with of_system(directory):
        keeper = Keeper(DiskFiles(place_of(directory)), settings)
    try:
        with reading(directory) as (_, catalog):
            left = set(catalog.unfinished)
        gone = list(keeper.prune())
        left -= {event.token for event in failures}
        return bool(catalog.entries), gone, sorted(left), failures
    finally:
        keeper.close()


# --- what they share ----------------------------------------------------------------


def nothing(text: str) -> typer.Exit:
    """
    Say that there is nothing; give what ends the command.
    """
    _tables.say(Console(stderr=True, markup=False), f"pyfaster: {text}", style="red")
    return typer.Exit(WRONG)


def expect_store(directory: Path) -> None:
    """
    End the command where no store is.
    """
    if not is_store(directory):
        raise nothing(f"directory {str(directory)!r} holds no store")


@contextmanager
def reading(directory: Path) -> Iterator[tuple[DiskFiles, Catalog]]:
    """
    Read what checkpoints there are, changing nothing.
    """
    expect_store(directory)
    with of_system(directory):
        files = DiskFiles(place_of(directory), read_only=True)
    try:
        with of_system(directory):
            catalog = read_catalog(files)
        yield files, catalog
    finally:
        files.close()


@contextmanager
def of_system(directory: Path) -> Iterator[None]:
    """
    Turn what the system refuses into an error of ours.
    """
    try:
        yield
    except FasterError:
        raise
    except OSError as error:
        text = (
            f"directory {str(directory)!r}: {error.strerror}; look at who may read it"
        )
        raise DeviceError(error.errno or errno.EIO, text) from error


def chosen(directory: Path, catalog: Catalog, token: str) -> Entry:
    """
    Give the checkpoint that is meant.
    """
    if not catalog.entries:
        text = f"directory {str(directory)!r} holds no checkpoint"
        raise nothing(text)
    if not token:
        return next(with_chains(catalog))
    for entry in with_chains(catalog):
        if entry.token == token:
            return entry
    text = f"there is no checkpoint {token!r} in {str(directory)!r}"
    raise nothing(text)


def info_data(info: CheckpointInfo) -> dict[str, Any]:
    """
    Give a checkpoint as JSON knows it.
    """
    data = asdict(info)
    data["cookie"] = base64.b64encode(info.cookie).decode("ascii")
    del data["phases"]  # known only to who took it
    return data


def write(directory: Path, **members: Any) -> None:
    """
    Write one object.
    """
    typer.echo(json.dumps({"directory": str(directory), **members}, indent=2))


#: Name to subcommand; what the hook `pyfaster_cli` gives.
COMMANDS: dict[str, Any] = {"checkpoints": app}

__all__ = ["COMMANDS"]
