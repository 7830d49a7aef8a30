# SPDX-License-Identifier: MIT
"""
The subcommand `pyfaster log`.

All of it only reads, takes no lock, and may be used while the log is open elsewhere.
Exit status: 0 when all is well; 1 when something is damaged, or there is no log; 2 when
the command was used wrongly. With `--json` one object is written; `tail` writes one for
each entry, a line each.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pyfaster.flog import KINDS, Entry, record_of
from pyfaster.pictures import plain_text
from pyfaster_fasterlog._follower import LogFollower
from pyfaster_fasterlog._log import FasterLog
from pyfaster_fasterlog._place import Place, place_of
from pyfaster_fasterlog._verify import verify

WRONG = 1

#: Bytes of a payload that people are shown, unless they ask for more.
SHOWN = 60

Directory = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", exists=True, file_okay=False, help="The log's directory."
    ),
]
Device = Annotated[str, typer.Option(help="The scheme of the log's device.")]
Start = Annotated[
    int, typer.Option("--from", min=0, help="The address of the first entry.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON object.")]
Width = Annotated[
    int, typer.Option(min=1, help="Bytes of each payload that are shown.")
]

app = typer.Typer(no_args_is_help=True, help="The durable log in a directory.")


@app.command("stat")
def stat(
    directory: Directory, device: Device = "file", as_json: AsJson = False
) -> None:
    """
    Show what a log's slots and its end say.
    """
    with reading(directory, device) as log:
        facts = {"directory": str(directory), **facts_of(log)}
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        table = Table("what", "value")
        for name, value in facts.items():
            table.add_row(name, plain_text(shown(value), keep="\n"))
        Console(markup=False).print(table)
    if facts["slot_problems"]:
        raise typer.Exit(WRONG)


@app.command("dump")
def dump(
    directory: Directory,
    start: Start = 0,
    count: Annotated[int, typer.Option(min=0, help="At most so many; 0: all.")] = 0,
    commits: Annotated[
        bool, typer.Option("--commits", help="Show commit records, too.")
    ] = False,
    width: Width = SHOWN,
    device: Device = "file",
    as_json: AsJson = False,
) -> None:
    """
    Show committed entries, the oldest first.

    The exit status is 1 when one is damaged.
    """
    with reading(directory, device) as log:
        entries = iter(log.scan(start, commits=commits))
        some = islice(entries, count) if count else entries
        if as_json:
            rows = [entry_data(entry) for entry in some]
            data = {"directory": str(directory), "entries": rows}
            typer.echo(json.dumps(data, indent=2))
        else:
            for entry in some:
                typer.echo(entry_line(entry, width))


@app.command("verify")
def verify_(
    directory: Directory, device: Device = "file", as_json: AsJson = False
) -> None:
    """
    Look through all of a log: its slots, its files, and every entry.

    Nothing is changed, and the log may be open meanwhile. The exit status is 1 when
    something is wrong.
    """
    if not look_through(directory, device, as_json=as_json):
        raise typer.Exit(WRONG)


@app.command("tail")
def tail(
    directory: Directory,
    start: Annotated[
        int | None,
        typer.Option(
            "--from", min=0, help="An entry's address; 0: the log's beginning."
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=0, help="End after so many; 0: never.")] = 0,
    width: Width = SHOWN,
    device: Device = "file",
    as_json: Annotated[
        bool, typer.Option("--json", help="Write one JSON object a line.")
    ] = False,
) -> None:
    """
    Show entries as they are committed, until the log is completed.

    Begins at the log's end, unless told.
    """
    with reading(directory, device) as log:
        place = log.committed.until if start is None else start
        entries = log.follow(place, skip_truncated=True)
        for entry in islice(entries, count) if count else entries:
            if as_json:
                typer.echo(json.dumps(entry_data(entry)))
            else:
                typer.echo(entry_line(entry, width))


# --- what they share ----------------------------------------------------------------


def facts_of(log: LogFollower) -> dict[str, Any]:
    """
    Give what a log's slots and its end say.
    """
    found = log.recovery
    return {
        "begin": log.begin,
        "committed": log.committed.until,
        "number": log.committed.number,
        "generation": log.generation,
        "lives": len(log.lives),
        "completed": log.completed,
        "cookie": base64.b64encode(found.cookie).decode(),
        "slot": found.slot,
        "slot_number": found.slot_number,
        "slot_problems": [asdict(each) for each in found.slots],
        "uncommitted_entries": found.cut_entries,
        "cursors": dict(log.cursors()),
    }


def look_through(
    directory: Path, device: str, *, as_json: bool, kind: str = ""
) -> bool:
    """
    Look through all of a log, and write what was found; whether all is well.

    Args:
        directory: Its directory.

        device: Its device's scheme.

        as_json: Write one JSON object.

        kind: Is told in that object, unless it is empty.
    """
    place = take(directory, device)
    try:
        with progress(hidden=as_json) as notice:
            report = verify(
                place,
                lambda: FasterLog.open(directory, device=device, read_only=True),
                notice,
            )
    finally:
        place.close()
    if as_json:
        data = {**asdict(report), **({"kind": kind} if kind else {}), "ok": report.ok}
        typer.echo(json.dumps(data, indent=2))
    else:
        for finding in report.findings:
            typer.echo(plain_text(f"{finding.where}: {finding.what}"))
        for note in report.notes:
            typer.echo(plain_text(note))
        typer.echo(
            f"{report.entries:,} entries with {report.payload_bytes:,} bytes, "
            f"{report.commits:,} commits: {'good' if report.ok else 'damaged'}"
        )
    return report.ok


def take(directory: Path, device: str) -> Place:
    """
    Find a log's place, to look at it alone.
    """
    place = place_of(
        directory, device, None, options={}, segment_size=0, read_only=True
    )
    place.take()
    return place


@contextmanager
def reading(directory: Path, device: str) -> Iterator[LogFollower]:
    """
    Open a log for reading.
    """
    with FasterLog.open(directory, device=device, read_only=True) as log:
        yield log


@contextmanager
def progress(*, hidden: bool) -> Iterator[Any]:
    """
    Show on standard error how far something is.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=hidden,
    )
    with bar:
        task = bar.add_task("entries")
        yield lambda done, total: bar.update(task, completed=done, total=total)


def entry_data(entry: Entry) -> dict[str, Any]:
    """
    Give an entry as JSON knows it.
    """
    data: dict[str, Any] = {"address": entry.address, "next": entry.next}
    if entry.kind == KINDS["commit"]:
        record = record_of(entry.payload)
        cookie = base64.b64encode(record.cookie).decode()
        data["commit"] = {
            "number": record.number,
            "begin": record.begin,
            "until": record.until,
            "cookie": cookie,
        }
    else:
        data["payload"] = base64.b64encode(entry.payload).decode()
    return data


def entry_line(entry: Entry, width: int) -> str:
    """
    Give an entry as people read it.
    """
    if entry.kind == KINDS["commit"]:
        record = record_of(entry.payload)
        return plain_text(
            f"{entry.address} commit {record.number} until {record.until}"
            + (f" {record.cookie!r}" if record.cookie else "")
        )
    size = len(entry.payload)
    text = repr(entry.payload[:width])[1:]
    return f"{entry.address} {size} {text}{'...' if size > width else ''}"


def shown(value: object) -> str:
    """
    Give a fact as people read it.
    """
    if isinstance(value, dict):
        return "\n".join(f"{name}: {at:,}" for name, at in value.items()) or "-"
    if isinstance(value, list):
        return "\n".join(f"{one['name']}: {one['reason']}" for one in value) or "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value) or "-"


#: Name to subcommand; what the hook `pyfaster_cli` gives.
COMMANDS: dict[str, Any] = {"log": app}

__all__ = ["COMMANDS"]
