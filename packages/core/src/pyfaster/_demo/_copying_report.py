# SPDX-License-Identifier: MIT
"""
How the copy of a tree through a log is shown: a table of producers, or JSON.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from pyfaster._demo._copying import Copying

DIFFERENCES_SHOWN = 10
MIB = 1 << 20


def as_json(result: Copying) -> str:
    """
    The whole result, as one JSON object.
    """
    data = {**asdict(result), "kills": result.kills, "correct": result.correct}
    return json.dumps(data, indent=2)


def show(result: Copying, console: Console) -> None:
    """
    Print the result for people.
    """
    console.print(
        f"{result.entries:,} entries, {result.bytes / MIB:,.1f} MiB, of "
        f"{result.files:,} files below {result.directory}, seed {result.seed}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    console.print(producers(result))
    if result.correct:
        console.print(
            f"in {result.seconds:.1f} seconds, with {result.kills} producers killed, "
            f"the follower has copied all {result.entries:,} entries: nothing that was "
            "acknowledged is lost, and nothing is there twice",
            style="green",
            highlight=False,
            soft_wrap=True,
        )
        return
    console.print("what is wrong:", style="bold red")
    for sentence in result.differences[:DIFFERENCES_SHOWN]:
        console.print(f"  {sentence}", style="red", markup=False, soft_wrap=True)
    more = len(result.differences) - DIFFERENCES_SHOWN
    if more > 0:
        console.print(f"  and {more:,} more", style="red")


def producers(result: Copying) -> Table:
    """
    What each producer found and left.
    """
    table = Table(title="producers of one log")
    for heading in ("producer", "found", "cut off", "acknowledged", "end"):
        table.add_column(heading, justify="left" if heading == "end" else "right")
    for number, life in enumerate(result.lives, start=1):
        end = "killed by SIGKILL" if life.killed else "completed the log"
        figures = (number, life.found, life.cut, life.acknowledged)
        table.add_row(*(f"{figure:,}" for figure in figures), end)
    return table
