# SPDX-License-Identifier: MIT
"""
The verb `stats`: the figures of a store that runs in another process.

They come through what a plugin brings by the hook `pyfaster_live`, which here is all
that is known of sockets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyfaster._cli._common import AsJson, console, write_json
from pyfaster.pictures import ABSENT, duration_text, plain_text, size_text

if TYPE_CHECKING:
    from pyfaster._histogram import Histogram

#: What is shown together, in this order; what is in no group comes at the end.
GROUPS = {
    "operations": (
        "operations",
        "hit_rate",
        "pending_rate",
        "retries",
        "reads_pending",
        "updates_pending",
        "pending",
    ),
    "memory": ("memory", "memory_used", "memory_limit"),
    "log": (
        "address_begin",
        "address_head",
        "address_safe_read_only",
        "address_read_only",
        "address_flushed",
        "address_tail",
        "regions",
        "pages_evicted",
    ),
    "index": (
        "index_buckets",
        "index_entries",
        "index_load",
        "index_overflow",
        "index_growths",
        "index_growing",
        "index_saturated",
    ),
    "device": (
        "device_reads",
        "device_read_bytes",
        "device_writes",
        "device_write_bytes",
        "device_syncs",
        "device_retries",
        "device_errors",
        "reads_in_flight",
        "writes_in_flight",
    ),
    "read cache": (
        "cache_hits",
        "cache_insertions",
        "cache_evictions",
    ),
    "others": (
        "sessions",
        "epoch",
        "epoch_lag",
        "events_waiting",
        "events_lost",
    ),
}

#: Told in other words, in the groups above.
_ELSEWHERE = {
    "operation_counts",
    "latencies",
    "sample_every",
    "memory_bytes",
    "log_bytes",
    "index_bytes",
    "cache_bytes",
    "pending_bytes",
    "session_bytes",
    "epoch_safe",
    "reads_hit",
    "reads_missed",
    "upserts",
    "inserts",
    "inserts_found",
    "rmws",
    "deletes",
    "deletes_missed",
    "compares",
    "compares_refused",
    "failed",
}

_BYTES = {"memory", "memory_used", "memory_limit", "regions"}


def stats(
    where: Annotated[
        str | None,
        typer.Argument(
            metavar="[WHERE]",
            help="A process's number, a store's directory or name, or a socket.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """
    Show the figures of a store that runs in another process.

    It must have been opened there with socket=True, which the plugin
    pyfaster-observability serves. WHERE may be left out when there is only one.
    """
    from pyfaster._registry import registry
    from pyfaster.errors import PluginMissingError, pip_line

    live = registry.live_stores()
    if live is None:
        raise PluginMissingError(
            "figures of stores in other processes come with pyfaster-observability: "
            + pip_line("observability")
        )
    found = live.figures(where)
    if as_json:
        write_json(found)
    else:
        show(found)


def show(found: Mapping[str, Any]) -> None:
    """
    Print figures for people.
    """
    from rich.table import Table

    figures: Mapping[str, Any] = found["stats"]
    table = Table("figure", "value", title=plain_text(str(found["store"])))
    table.caption = f"process {found['pid']}"
    table.columns[1].justify = "right"
    for heading, rows in grouped(figures):
        table.add_row(heading, "", style="bold")
        for name, value in rows:
            table.add_row(f"  {plain_text(name)}", value)
        table.add_section()
    screen = console()
    screen.print(table)
    times = timed(figures)
    if times:
        table = Table("latency", "timed", "mean", "p50", "p99", "p99.9")
        for column in table.columns[1:]:
            column.justify = "right"
        for name, histogram in times:
            quantiles = (histogram.quantile(part) for part in (0.5, 0.99, 0.999))
            means = (histogram.mean_ns, *quantiles)
            table.add_row(
                plain_text(name), f"{histogram.samples:,}", *map(duration_text, means)
            )
        screen.print(table)


def grouped(
    figures: Mapping[str, Any],
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """
    The figures by what they are about: headings, each with names and texts.
    """
    shown = set(_ELSEWHERE)
    for heading, names in GROUPS.items():
        rows: list[tuple[str, str]] = []
        if heading == "operations":
            counts = figures.get("operation_counts") or {}
            rows += [(name, text(name, one)) for name, one in counts.items() if one]
        rows += (row for name in names for row in _rows(name, figures))
        shown.update(names)
        if heading == "others":
            rest = [name for name in figures if name not in shown]
            rows += (row for name in rest for row in _rows(name, figures))
        if rows:
            yield heading, rows


def _rows(name: str, figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if name not in figures:
        return
    value = figures[name]
    if isinstance(value, Mapping):
        for part, one in value.items():
            yield f"{name} {part}", text(name, one)
    else:
        yield name, text(name, value)


def text(name: str, value: object) -> str:
    """
    A figure as people read it.
    """
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "memory_limit" and not value:
        return "none"
    if name.endswith("_rate") and isinstance(value, (int, float)):
        return f"{value:.1%}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, int) and (name in _BYTES or name.endswith("_bytes")):
        return size_text(value)
    return f"{value:,}" if isinstance(value, int) else plain_text(str(value))


def timed(figures: Mapping[str, Any]) -> list[tuple[str, Histogram]]:
    """
    The histograms that have something in them.
    """
    from pyfaster._histogram import Histogram

    found = figures.get("latencies") or {}
    histograms = [(name, Histogram.from_dict(one)) for name, one in found.items()]
    return [(name, one) for name, one in histograms if one.samples]


__all__ = ["stats"]
