# SPDX-License-Identifier: MIT
"""
The picture of `pyfaster top`: one store, as two snapshots show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pyfaster.pictures import (
    ABSENT,
    REGIONS,
    WIDTH,
    duration_text,
    edges,
    regions,
    size_text,
    strip,
)
from pyfaster_observability._rates import TIMED, Between, number
from pyfaster_observability.client import LiveStore, Snapshot

BAR = 24
EVENTS_SHOWN = 6

#: What is told of an event, in this order, where it has it.
SAID = (
    *("kind", "phase", "operation", "info", "token", "report", "page", "address"),
    *("start", "end", "size", "buckets", "growths", "errno", "attempts"),
    *("reason", "message", "error", "count"),
)


def count(number: float | None) -> str:
    """
    A count or a rate for people.
    """
    if number is None:
        return ABSENT
    for unit, least in (("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if abs(number) >= least:
            return f"{number / (1e3 if unit == 'k' else least):,.1f}{unit}"
    return f"{number:,.0f}"


def part(number: float | None) -> str:
    """
    A part of a whole for people.
    """
    return ABSENT if number is None else f"{number:.1%}"


def bar(some: float, whole: float, style: str) -> Text:
    """
    A bar to scale; what is not nothing gets a cell at least.
    """
    cells = 0 if whole <= 0 else min(BAR, round(some * BAR / whole))
    cells = max(1, cells) if some > 0 else cells
    return Text("█" * cells, style).append("·" * (BAR - cells), "dim")


@dataclass(frozen=True, slots=True)
class Edges:
    """
    The addresses of a store in another process.
    """

    address_begin: int
    address_head: int
    address_flushed: int
    address_safe_read_only: int
    address_read_only: int
    address_tail: int

    @classmethod
    def of(cls, stats: Mapping[str, Any]) -> Edges:
        """
        Take them out of its figures.
        """
        return cls(*(int(number(stats, name)) for name in cls.__dataclass_fields__))


def log_part(between: Between, width: int, *, compact: bool) -> RenderableType:
    """
    The log's regions to scale, with addresses and sizes; the strip alone when compact.
    """
    addresses = Edges.of(between.now)
    marks = edges(addresses)
    table = Table(box=None, padding=(0, 1), show_header=True)
    for heading in ("", "region", "from", "size"):
        table.add_column(
            heading, justify="right" if heading in ("from", "size") else "left"
        )
    for (name, length), low in zip(regions(addresses).items(), marks, strict=False):
        letter, style = REGIONS[name]
        table.add_row(Text(letter, style), name, f"{low:,}", size_text(length))
    ends = f"begin {marks[0]:,}"
    last = f"tail {marks[-1]:,}"
    ruler = Text(ends + last.rjust(max(1, width - len(ends))))
    drawn: list[RenderableType] = [ruler, strip(addresses, width)]
    return Group(*drawn) if compact else Group(*drawn, table)


def memory_part(between: Between) -> RenderableType:
    """
    Memory by component, against the budget.
    """
    now = between.now
    found = now.get("memory")
    parts = found if isinstance(found, Mapping) else {}
    limit = number(now, "memory_limit")
    used = number(now, "memory_used")
    whole = max(limit, used, 1)
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column("component")
    table.add_column("bar")
    table.add_column("size", justify="right")
    for name in parts:
        held = number(parts, name)
        table.add_row(name, bar(held, whole, "cyan"), size_text(held))
    of = f"of {size_text(limit)}" if limit else "no limit"
    table.add_row("all", bar(used, whole, "green"), f"{size_text(used)} {of}")
    return table


def ever(between: Between, kind: str) -> bool:
    """
    Whether there were such operations since the store was opened.
    """
    since = Between(None, between.now, {})
    if kind == "pending":
        return bool(since.gain("reads_pending") + since.gain("updates_pending"))
    return any(rose for (one, _), rose in since.operations().items() if one == kind)


def operations_part(between: Between) -> RenderableType:
    """
    Rates and latencies of operations.
    """
    table = Table(box=None, padding=(0, 1))
    table.add_column("operation")
    for heading in ("each second", "outcomes", "p50", "p99"):
        table.add_column(heading, justify="right")
    told = between.operations()
    for kind in TIMED:
        outcomes = {name: rose for (one, name), rose in told.items() if one == kind}
        whole = sum(outcomes.values())
        histogram = between.histogram(kind)
        if kind == "pending":
            whole = between.gain("reads_pending") + between.gain("updates_pending")
        if not ever(between, kind):
            continue
        shares = ", ".join(
            f"{name} {part(rose / whole)}"
            for name, rose in outcomes.items()
            if rose and whole
        )
        table.add_row(
            kind,
            ABSENT if not between.seconds else count(whole / between.seconds),
            shares,
            duration_text(histogram.quantile(0.5)),
            duration_text(histogram.quantile(0.99)),
        )
    return table if table.row_count else Text("no operations", "dim")


def facts(pairs: Mapping[str, str]) -> Table:
    """
    A few facts, one beneath another.
    """
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column("what")
    table.add_column("value", justify="right")
    for name, value in pairs.items():
        table.add_row(name, value)
    return table


READS = ("reads_hit", "reads_missed")


def rates_part(between: Between) -> RenderableType:
    """
    Rates of the store as a whole, and of its device.
    """
    left = facts(
        {
            "reads that hit": part(between.part(READS[:1], READS)),
            "reads that waited": part(between.part(("reads_pending",), READS)),
            "cache hits": part(between.part(("cache_hits",), READS)),
            "pending now": count(number(between.now, "pending")),
            "sessions": count(number(between.now, "sessions")),
            "index load": f"{number(between.now, 'index_load'):.2f}",
        }
    )
    written, read = (
        between.rate("device_write_bytes"),
        between.rate("device_read_bytes"),
    )
    right = facts(
        {
            "device writes": f"{size_text(written)}/s",
            "device reads": f"{size_text(read)}/s",
            "write p50, p99": quantiles(between, "device_write"),
            "read p50, p99": quantiles(between, "device_read"),
            "sync p50, p99": quantiles(between, "device_sync"),
            "errors, retries": f"{count(number(between.now, 'device_errors'))}, "
            f"{count(number(between.now, 'device_retries'))}",
        }
    )
    return beside(left, right)


def quantiles(between: Between, kind: str) -> str:
    """
    The median and the 99th percentile of a histogram.
    """
    histogram = between.histogram(kind)
    return ", ".join(duration_text(histogram.quantile(part)) for part in (0.5, 0.99))


def beside(left: RenderableType, right: RenderableType) -> Table:
    """
    Two parts, side by side.
    """
    table = Table.grid(padding=(0, 3))
    table.add_row(left, right)
    return table


def ago(nanoseconds: float) -> str:
    """
    How long ago something was.
    """
    seconds = max(0.0, nanoseconds / 1e9)
    for unit, least in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= least:
            return f"{seconds / least:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def events_part(store: LiveStore, now_ns: int) -> RenderableType:
    """
    The last checkpoints and what else has happened, the newest first.
    """
    table = Table(box=None, padding=(0, 1), show_header=False)
    for _ in range(3):
        table.add_column(overflow="ellipsis", no_wrap=True)
    for event in store.events[-EVENTS_SHOWN:][::-1]:
        said = [
            f"{name} {event[name]}"
            for name in SAID
            if event.get(name) not in (None, "")
        ]
        took = event.get("duration_ns")
        if isinstance(took, (int, float)) and took:
            said.append(f"in {duration_text(took)}")
        table.add_row(ago(now_ns - event["time_ns"]), event["event"], ", ".join(said))
    return table if table.row_count else Text("no events yet", "dim")


def last_checkpoint(store: LiveStore, now_ns: int) -> str:
    """
    What became of the last checkpoint, in one line.
    """
    for event in reversed(store.events):
        if event["event"] in ("CheckpointTaken", "CheckpointFailed"):
            took = duration_text(number(event, "duration_ns"))
            what = "taken" if event["event"] == "CheckpointTaken" else "FAILED"
            return f"last checkpoint {what} {ago(now_ns - event['time_ns'])}, in {took}"
    return "no checkpoint among the last events"


def picture(
    snapshot: Snapshot,
    store: LiveStore,
    between: Between,
    width: int = WIDTH,
    *,
    compact: bool = False,
) -> Group:
    """
    Draw a store.

    Args:
        snapshot: What it is part of.

        store: The store.

        between: Its figures, and those before.

        width: Cells that the log's picture has.

        compact: Whether to leave out what a small terminal has no room for.
    """
    when = (
        "since it was opened"
        if between.seconds is None
        else (f"over {between.seconds:.1f} s")
    )
    title = (
        f"{store.name}  process {snapshot.pid}, pyfaster {snapshot.pyfaster}, {when}"
    )
    parts: list[RenderableType] = [Text(title, "bold"), Text()]
    for heading, drawn in (
        ("log", log_part(between, width, compact=compact)),
        ("memory", memory_part(between)),
        ("operations", operations_part(between)),
        ("rates and device", rates_part(between)),
        ("events", events_part(store, snapshot.time_ns)),
    ):
        parts += [Text(heading, "bold underline"), drawn, Text()]
    parts[-1] = Text(last_checkpoint(store, snapshot.time_ns), "dim")
    if compact:
        parts = [one for one in parts if not isinstance(one, Text) or one.plain]
    return Group(*parts)


__all__ = ["picture"]
