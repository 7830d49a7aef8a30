# SPDX-License-Identifier: MIT
"""
What the subcommands show to people.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from pyfaster.checkpoints import CheckpointInfo, ValidationReport
from pyfaster.pictures import plain_text
from pyfaster_checkpoint._catalog import Entry, info_of
from pyfaster_checkpoint._findings import StoreReport

#: More sessions are only counted.
_SESSIONS_SHOWN = 20


def show_list(
    infos: Sequence[CheckpointInfo], left: Collection[str], console: Console
) -> None:
    """
    Show checkpoints, a line each; of some it is known that they were left behind.
    """
    if not infos:
        say(console, "there are no checkpoints")
        return
    table = Table("checkpoint", "kind", "taken", "bytes")
    table.columns[0].no_wrap = True
    table.columns[2].max_width = len("2026-01-31")
    table.columns[3].justify = "right"
    for info in infos:
        kind = f"{info.kind}\nversion {info.version}" if info.kind else "-"
        taken, size = when(info.created), f"{info.size:,}"
        state = _state(info, info.token in left)
        table.add_row(f"{info.token}\n{state}", kind, taken, size)
    console.print(table)
    for info in infos:
        if info.damage:
            say(console, info.damage, style="red")


def say(console: Console, text: str, style: str = "") -> None:
    """
    Show a line, which the terminal may wrap but nobody else.
    """
    console.print(plain_text(text), style=style, soft_wrap=True, highlight=False)


def _state(info: CheckpointInfo, left: bool) -> str:
    state = "left behind" if left else "damaged" if info.damage else "good"
    return state + (", pinned" if info.pinned else "")


def when(seconds: float) -> str:
    """
    Give a time as people read it.
    """
    if not 0 < seconds < 1 << 34:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def show_rest(
    unfinished: Sequence[str], strangers: Sequence[str], console: Console
) -> None:
    """
    Show what else there is.
    """
    for token in unfinished:
        say(console, f"{token}: unfinished, and counts not")
    for name in strangers:
        say(console, f"{name}: not of a store's making, and let be")


def show_one(entry: Entry, console: Console) -> None:
    """
    Show all of one checkpoint.
    """
    info, manifest = info_of(entry), entry.manifest
    table = Table("member", "value", title=info.token)
    rows: dict[str, object] = {
        "kind": info.kind or "-",
        "state": _state(info, entry.is_left),
        "version": info.version,
        "sequence": info.sequence,
        "taken": when(info.created),
        "based on": info.parent or "-",
        "bytes": f"{info.size:,}",
        "cookie": ascii(info.cookie),
    }
    if manifest is not None:
        at = manifest.addresses
        rows |= {f"file {each.name}": f"{each.length:,}" for each in manifest.files}
        rows["index of"] = manifest.index or "-"
        rows["store"] = f"{manifest.store_id:#018x}"
        rows |= {f"layout {key}": value for key, value in manifest.layout.items()}
        rows["segment size"] = f"{manifest.segment_size:,}"
        rows |= {key: f"{getattr(at, key):,}" for key in at.__slots__}
        rows["lives"] = len(manifest.generations)
        rows["left out"] = len(manifest.skips)
    shown = list(info.sessions.items())[:_SESSIONS_SHOWN]
    rows |= {f"session {name!a}": f"{serial:,}" for name, serial in shown}
    if len(info.sessions) > len(shown):
        rows["more sessions"] = f"{len(info.sessions) - len(shown):,}"
    for name, value in rows.items():
        table.add_row(name, "-" if value is None else plain_text(str(value)))
    console.print(table)
    if info.damage:
        say(console, info.damage, style="red")


def show_reports(reports: Sequence[ValidationReport], console: Console) -> None:
    """
    Show what looking through checkpoints has shown.
    """
    table = Table()
    table.add_column("checkpoint", no_wrap=True)
    table.add_column("state")
    table.add_column("bytes read", justify="right")
    for report in reports:
        state = "good" if report.ok else "damaged"
        table.add_row(report.token, state, f"{report.bytes_read:,}")
    console.print(table)
    for report in reports:
        for each in report.findings:
            where = f"{report.token}/{each.file}".rstrip("/")
            at = "" if each.offset is None else f" at byte {each.offset:,}"
            say(console, f"{where}{at}: {each.what}", style="red")


def show_gone(
    gone: Sequence[str],
    left: Sequence[str],
    errors: Sequence[str],
    dry_run: bool,
    console: Console,
) -> None:
    """
    Show what went, or would.
    """
    verb = "would go" if dry_run else "removed"
    for token in gone:
        say(console, f"{token}: {verb}")
    for token in left:
        say(console, f"{token}: unfinished, {verb}")
    if not gone and not left:
        say(console, "nothing may go")
    for error in errors:
        say(console, error, style="red")


def show_store(report: StoreReport, console: Console) -> None:
    """
    Show what looking through a store has shown.
    """
    table = Table("looked at", "count", title=plain_text(report.directory))
    table.columns[1].justify = "right"
    for heading, count in (
        ("checkpoints", report.checkpoints),
        ("bytes of their files", report.file_bytes),
        ("files of the log", report.segments),
        ("bytes of the log", report.log_bytes),
        ("records", report.records),
        ("entries of the index", report.entries),
        ("findings", len(report.findings) + report.more),
    ):
        table.add_row(heading, f"{count:,}")
    console.print(table)
    for note in report.notes:
        say(console, note)
    for each in report.findings:
        at = "" if each.offset is None else f" at byte {each.offset:,}"
        more = f"; expected {each.expected}" if each.expected else ""
        more += f", found {each.found}" if each.found else ""
        say(console, f"{each.file}{at}: {each.what}{more}", style="red")
    if report.more:
        say(console, f"and {report.more:,} findings more", style="red")
    if not report.checkpoints and not report.findings:
        say(console, "there are no checkpoints")


@contextmanager
def progress(*, hidden: bool) -> Iterator[Callable[[str, int, int], None]]:
    """
    Show bars on standard error, one for each thing that is being done.
    """
    tasks: dict[str, TaskID] = {}
    bars = Progress(
        TextColumn("{task.description:>11}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=hidden,
    )

    def notice(what: str, done: int, total: int) -> None:
        task = tasks.get(what)
        if task is None:
            task = tasks.setdefault(what, bars.add_task(what))
        bars.update(task, completed=done, total=total)

    with bars:
        yield notice


__all__ = [
    "progress",
    "show_gone",
    "show_list",
    "show_one",
    "show_reports",
    "show_rest",
    "show_store",
    "when",
]
