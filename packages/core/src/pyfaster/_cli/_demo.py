# SPDX-License-Identifier: MIT
"""
The verbs `demo ...`: demonstrations that check themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from pyfaster._cli._common import WRONG, AsJson, budget_of, place_argument

app = typer.Typer(no_args_is_help=True, help="Demonstrations that check themselves.")


@app.command("wordcount")
def demo_wordcount(
    directory: Annotated[
        Path | None,
        place_argument(
            "Where to look for .py files; the standard library when left out."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=256, help="How many count.")] = 4,
    batch: Annotated[
        int, typer.Option(min=1, max=1 << 20, help="Words in one call.")
    ] = 4096,
    as_json: AsJson = False,
) -> None:
    """
    Count the words of Python files in a store, and check every count.

    Counts twice, with single operations and in batches, and once more in a process
    that is killed in the middle, where plugins for files and checkpoints are installed.
    Compares all with a collections.Counter; the exit status is 1 when a single count
    differs.
    """
    from pyfaster._demo import _report, _wordcount

    where = directory or _wordcount.standard_library()
    with progress_bars(hidden=as_json) as notice:
        result = _wordcount.wordcount(
            where, threads=threads, batch=batch, progress=notice
        )
    if as_json:
        typer.echo(_report.as_json(result))
    else:
        _report.show(result, Console())
    if not result.correct:
        raise typer.Exit(WRONG)


@app.command("larger-than-memory")
def demo_larger_than_memory(
    directory: Annotated[
        Path | None,
        place_argument("Where a directory is made for it; the system's when left out."),
    ] = None,
    device: Annotated[
        str, typer.Option(help='The device\'s scheme: "file", "uring", or another.')
    ] = "file",
    memory: Annotated[str, typer.Option(help='Budget, as in "64MiB".')] = "64MiB",
    times: Annotated[
        int, typer.Option(min=1, max=1024, help="How many budgets are written.")
    ] = 8,
    as_json: AsJson = False,
) -> None:
    """
    Keep several times more than memory holds, and check all of it.

    Writes records into a directory that is removed at the end, shows meanwhile which
    part of the log is where, and reads everything back. The exit status is 1 when a
    single record differs.
    """
    from pyfaster._demo import _larger, _regions

    budget = budget_of(memory)
    with _regions.Picture(Console(stderr=True), hidden=as_json) as notice:
        result = _larger.larger_than_memory(
            device, budget, times, directory, notice=notice
        )
    if as_json:
        typer.echo(_regions.as_json(result))
    else:
        _regions.show(result, Console())
    if result.wrong:
        raise typer.Exit(WRONG)


@app.command("log")
def demo_log(
    directory: Annotated[
        Path | None,
        place_argument("What is copied; Python's own modules when left out."),
    ] = None,
    kills: Annotated[
        int, typer.Option(min=0, max=1000, help="How many producers are killed.")
    ] = 6,
    batch: Annotated[
        int, typer.Option(min=1, max=1 << 20, help="Lines between two commits.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Chooses when producers are killed.")] = 1,
    as_json: AsJson = False,
) -> None:
    """
    Copy files line by line through a durable log, and kill who writes it.

    A process appends the lines and is killed by SIGKILL again and again; the next one
    goes on where the log ends. Another process follows the log and writes a copy. The
    exit status is 1 when a single byte of the copy differs.
    """
    from pyfaster._demo import _copying, _copying_report, _wordcount

    where = directory or _wordcount.standard_library()
    with progress_bars(hidden=as_json) as notice:
        result = _copying.copy_tree(
            where, kills=kills, batch=batch, seed=seed, progress=notice
        )
    if as_json:
        typer.echo(_copying_report.as_json(result))
    else:
        _copying_report.show(result, Console())
    if not result.correct:
        raise typer.Exit(WRONG)


class progress_bars:
    """
    Progress bars on standard error, one for each thing that is being done.
    """

    def __init__(self, *, hidden: bool) -> None:
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description:>13}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=hidden,
        )

    def __enter__(self) -> Callable[[str, int, int], None]:
        self._progress.start()
        return self._notice

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def _notice(self, what: str, done: int, total: int) -> None:
        task = self._tasks.get(what)
        if task is None:
            task = self._tasks.setdefault(what, self._progress.add_task(what))
        self._progress.update(task, completed=done, total=total)


__all__ = ["app"]
