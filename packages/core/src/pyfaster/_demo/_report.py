# SPDX-License-Identifier: MIT
"""
How a demonstration's result is shown: tables and bars in a terminal, or JSON.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from pyfaster._demo._survival import Survival
from pyfaster._demo._wordcount import Wordcount

BAR_WIDTH = 40
DIFFERENCES_SHOWN = 10
MIB = 1 << 20


def as_json(result: Wordcount) -> str:
    """
    The whole result, as one JSON object.
    """
    data = asdict(result)
    for way, shown in zip(result.ways, data["ways"], strict=True):
        shown["operations_per_second"] = way.operations_per_second
        shown["top"] = dict(way.top)
    if result.survival is not None:
        data["survival"]["correct"] = result.survival.correct
    data["correct"] = result.correct
    return json.dumps(data, indent=2)


def show(result: Wordcount, console: Console) -> None:
    """
    Print the result for people.
    """
    console.print(
        f"{result.words:,} words, {result.distinct:,} of them distinct, in "
        f"{result.files:,} files below {result.directory}",
        highlight=False,
        markup=False,
    )
    for sentence in result.skipped:
        console.print(f"left out: {sentence}", style="yellow", markup=False)
    console.print(bars(result.ways[-1].top))
    console.print(rates(result))
    if result.survival is not None:
        show_survival(result.survival, console)
    show_differences(result, console)
    if result.missing is not None:
        console.print(
            f"not shown: how a count survives its process. {result.missing}",
            style="yellow",
            markup=False,
        )


def bars(top: tuple[tuple[str, int], ...]) -> Table:
    """
    The most frequent words as bars.
    """
    table = Table(title=f"the {len(top)} most frequent words", box=None)
    table.add_column("word", justify="right", style="cyan")
    table.add_column("count", justify="right")
    table.add_column("", no_wrap=True)
    most = max((count for _, count in top), default=1)
    for word, count in top:
        table.add_row(word, f"{count:,}", "█" * max(1, count * BAR_WIDTH // most))
    return table


def rates(result: Wordcount) -> Table:
    """
    What each way took.
    """
    table = Table(title=f"{result.threads} threads, batches of {result.batch:,}")
    for heading in ("way", "operations", "seconds", "operations/s", "memory"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for way in result.ways:
        table.add_row(
            way.name,
            f"{way.operations:,}",
            f"{way.seconds:.2f}",
            f"{way.operations_per_second:,.0f}",
            f"{way.memory_bytes / MIB:,.1f} MiB",
        )
    return table


def show_survival(survival: Survival, console: Console) -> None:
    """
    Print what a kill took and what it did not.
    """
    table = Table(title=f"killed by SIGKILL after checkpoint {survival.checkpoints}")
    table.add_column("session")
    for heading in ("words", "promised", "survived", "counted after"):
        table.add_column(heading, justify="right")
    for one in survival.sessions:
        figures = (one.words, one.promised, one.committed, one.words - one.committed)
        table.add_row(one.name, *(f"{figure:,}" for figure in figures))
    console.print(table)
    console.print(
        f"recovered checkpoint {survival.token} in "
        f"{survival.recovery_seconds:.2f} seconds",
        highlight=False,
    )
    for one in survival.sessions:
        if one.committed < one.promised:
            console.print(f"{one.name} lost what was promised", style="bold red")
    if survival.correct:
        console.print("every count is right after the kill, too", style="green")


def show_differences(result: Wordcount, console: Console) -> None:
    """
    Say whether every count is right, and which are not.
    """
    wrong = result.differences
    if not wrong:
        console.print(
            f"every count of both ways equals collections.Counter's "
            f"({result.distinct:,} words)",
            style="green",
            highlight=False,
        )
        return
    console.print(f"{len(wrong):,} counts are wrong:", style="bold red")
    for one in wrong[:DIFFERENCES_SHOWN]:
        console.print(
            f"  {one.way}: {one.word}: expected {one.expected}, found {one.found}",
            style="red",
            markup=False,
        )
    if len(wrong) > DIFFERENCES_SHOWN:
        console.print(f"  and {len(wrong) - DIFFERENCES_SHOWN:,} more", style="red")
