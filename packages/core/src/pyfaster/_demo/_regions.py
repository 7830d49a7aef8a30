# SPDX-License-Identifier: MIT
"""
The log of `demo larger-than-memory`, whose older part is on a device: as a picture in a
terminal, else as lines.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pyfaster._demo._larger import LargerThanMemory, Moment
from pyfaster.pictures import REGIONS, WIDTH, regions, strip

MIB = 1 << 20
#: Without a terminal, a line for each so great part of a step.
LINES_A_STEP = 4
DIFFERENCES_SHOWN = 10


def picture(moment: Moment) -> Group:
    """
    Draw a moment.
    """
    table = Table(box=None)
    table.add_column("")
    table.add_column("region")
    table.add_column("MiB", justify="right")
    for name, size in regions(moment.stats).items():
        letter, style = REGIONS[name]
        table.add_row(Text(letter, style), name, f"{size / MIB:,.1f}")
    return Group(
        Text(line(moment)),
        Text("begin").append("tail".rjust(WIDTH - len("begin"))),
        strip(moment.stats),
        table,
    )


def line(moment: Moment) -> str:
    """
    Tell a moment in one line.
    """
    stats = moment.stats
    share = moment.done / moment.total if moment.total else 1.0
    return (
        f"{moment.doing:<9}{share:>5.0%}  {moment.bytes_per_second / 1e6:,.0f} MB/s, "
        f"on the device {(stats.address_head - stats.address_begin) / MIB:,.1f} MiB, "
        f"in memory {(stats.address_tail - stats.address_head) / MIB:,.1f} MiB, "
        f"budget used {stats.memory_bytes / MIB:,.1f} of "
        f"{stats.memory_limit / MIB:,.1f} MiB"
    )


class Picture:
    """
    Shows moments: drawn anew in place in a terminal, else as a few lines of each step.
    """

    def __init__(self, console: Console, *, hidden: bool) -> None:
        self._console = console
        self._hidden = hidden
        self._moment: Moment | None = None
        self._told: tuple[str, int] | None = None
        self._live = Live(
            console=console, get_renderable=self._draw, refresh_per_second=8
        )
        self._drawing = console.is_terminal and not hidden

    def __enter__(self) -> Picture:
        if self._drawing:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._drawing:
            self._live.stop()

    def _draw(self) -> Group | Text:
        return Text("opening") if self._moment is None else picture(self._moment)

    def __call__(self, moment: Moment) -> None:
        """
        Show a moment.
        """
        self._moment = moment
        if self._drawing or self._hidden:
            return
        part = moment.doing, moment.done * LINES_A_STEP // max(1, moment.total)
        if part != self._told:
            self._told = part
            self._console.print(
                line(moment), highlight=False, markup=False, soft_wrap=True
            )


def as_json(result: LargerThanMemory) -> str:
    """
    The whole result, as one JSON object.
    """
    return json.dumps({**asdict(result), "correct": not result.wrong}, indent=2)


def show(result: LargerThanMemory, console: Console) -> None:
    """
    Print the result for people.
    """
    table = Table(
        title=f"{result.data_bytes / MIB:,.0f} MiB of log, "
        f"{result.memory_bytes / MIB:,.1f} of {result.memory / MIB:,.1f} MiB of "
        f"memory, device {result.device}"
    )
    for heading in ("step", "records", "seconds", "records/s"):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    for step in result.steps:
        rate = step.records / step.seconds if step.seconds else 0.0
        table.add_row(
            step.name, f"{step.records:,}", f"{step.seconds:.2f}", f"{rate:,.0f}"
        )
    console.print(table)
    if not result.wrong:
        console.print(
            f"all {result.records:,} records are there, each once and with its newest "
            f"value; {result.device_reads:,} reads went to the device",
            style="green",
            highlight=False,
        )
        return
    console.print(f"{result.wrong:,} records are wrong:", style="bold red")
    for sentence in result.differences[:DIFFERENCES_SHOWN]:
        console.print(f"  {sentence}", style="red", markup=False)
    if result.wrong > DIFFERENCES_SHOWN:
        console.print(f"  and {result.wrong - DIFFERENCES_SHOWN:,} more", style="red")
