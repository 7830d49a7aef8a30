# SPDX-License-Identifier: MIT
"""
How a demonstration's result is shown: tables and bars in a terminal, or JSON.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

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
    data["correct"] = not result.differences
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
    show_differences(result, console)


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
