# SPDX-License-Identifier: MIT
"""
The verb `bench`: a small benchmark with peers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyfaster._cli._common import (
    WRONG,
    AsJson,
    budget_of,
    console,
    error_console,
    place_argument,
    write_json,
)

if TYPE_CHECKING:
    from pyfaster._cli._contest import Outcome, Plan

PEERS = ("dict", "sqlite3")


def bench(
    directory: Annotated[
        Path | None,
        place_argument("Where a directory is made for it; in memory when left out."),
    ] = None,
    keys: Annotated[
        int, typer.Option(min=1, max=1 << 27, help="How many keys there are.")
    ] = 50_000,
    operations: Annotated[
        int, typer.Option(min=1, max=1 << 30, help="Operations in each phase.")
    ] = 50_000,
    batch: Annotated[
        int, typer.Option(min=1, max=10_000, help="Keys in one call of a batch.")
    ] = 1_000,
    threads: Annotated[
        int, typer.Option(min=1, max=64, help="How many share the operations.")
    ] = 1,
    rounds: Annotated[
        int, typer.Option(min=1, max=1_000, help="How often; medians are told.")
    ] = 3,
    memory: Annotated[str, typer.Option(help='Budget, as in "64MiB".')] = "",
    device: Annotated[
        str, typer.Option(help="The device's scheme, with a directory.")
    ] = "file",
    seed: Annotated[int, typer.Option(help="Chooses the keys.")] = 1,
    as_json: AsJson = False,
) -> None:
    """
    Measure a store beside a dict and SQLite, by the same work in the same run.

    Fills, reads, merges and upserts, one by one and in batches, with keys and values
    of int; in a directory takes a checkpoint, too. The exit status is 1 when they do
    not hold the same at the end.
    """
    from pyfaster._cli._contest import Plan, compete

    plan = Plan(keys, operations, batch, threads, rounds, seed, memory, device)
    budget_of(memory or "0")
    with progress(hidden=as_json) as notice:
        if directory is None:
            outcome = compete(plan, None, notice)
        else:
            with tempfile.TemporaryDirectory(
                prefix="pyfaster-bench-", dir=directory
            ) as folder:
                outcome = compete(plan, Path(folder), notice)
    if as_json:
        write_json(as_data(plan, directory, outcome))
    else:
        show(plan, outcome)
    if outcome.wrong:
        raise typer.Exit(WRONG)


@contextmanager
def progress(*, hidden: bool) -> Iterator[Callable[[int, int], None]]:
    """
    Show on standard error which round it is.
    """
    screen = error_console()
    if hidden or not screen.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=screen, transient=True) as bars:
        task = bars.add_task("rounds")
        yield lambda done, total: bars.update(task, completed=done, total=total)


def as_data(plan: Plan, directory: Path | None, outcome: Outcome) -> dict[str, Any]:
    """
    What came out, as JSON knows it.
    """
    phases = {}
    for phase, times in outcome.seconds.items():
        phases[phase] = {
            "operations": outcome.counts[phase],
            "seconds": times,
            "rates": {name: outcome.rate(phase, name) for name in times},
            "ratios": {
                name: outcome.ratio(phase, name) for name in PEERS if name in times
            },
        }
    return {
        "directory": None if directory is None else str(directory),
        "plan": asdict(plan),
        "phases": phases,
        "figures": outcome.figures,
        "wrong": outcome.wrong,
        "ok": not outcome.wrong,
    }


def show(plan: Plan, outcome: Outcome) -> None:
    """
    Print what came out for people.
    """
    from rich.table import Table

    title = f"{plan.keys:,} keys, {plan.operations:,} operations, "
    title += f"{plan.threads} threads, median of {plan.rounds} rounds"
    table = Table("phase", "pyfaster /s", *[f"{name} /s" for name in PEERS], "times")
    table.title = title
    for column in table.columns[1:]:
        column.justify = "right"
    for phase in outcome.seconds:
        rates = [outcome.rate(phase, name) for name in ("pyfaster", *PEERS)]
        ratios = [outcome.ratio(phase, name) for name in PEERS]
        table.add_row(
            phase,
            *("-" if rate is None else f"{rate:,.0f}" for rate in rates),
            " / ".join("-" if one is None else f"{one:.2f}" for one in ratios),
        )
    screen = console()
    screen.print(table)
    screen.print("times: how many times as fast as " + " / ".join(PEERS))
    for who in outcome.wrong:
        screen.print(f"{who} held something else than the dict", style="red")


__all__ = ["bench"]
