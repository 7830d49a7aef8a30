# SPDX-License-Identifier: MIT
"""
The `pyfaster` command.

Exit status: 0 when all went well; 1 when a result is wrong, a plugin failed, or
pyfaster raised an error; 2 when the command was used wrongly. With `--json` a command
writes one JSON object to standard output and nothing else there.
"""

from __future__ import annotations

import json
import platform
import random
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, cast

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
from rich.table import Table

import pyfaster
from pyfaster import _cabi
from pyfaster._registry import BUILT_IN, Plugin, Registry, clash
from pyfaster._registry import registry as process_registry

WRONG = 1

AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON object.")]


def version(as_json: AsJson = False) -> None:
    """
    Show the versions that matter in a report.
    """
    facts = {
        "pyfaster": pyfaster.__version__,
        "interface": _cabi.ABI,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        for name, value in facts.items():
            typer.echo(f"{name} {value}")


def plugins(as_json: AsJson = False) -> None:
    """
    List plugins, what they offer, and what is wrong with them.

    The exit status is 1 when a plugin failed.
    """
    registry = process_registry
    registry.commands()
    rows = [(plugin, offered(registry, plugin)) for plugin in _asked(registry)]
    if as_json:
        data = [{**asdict(plugin), "offers": offers} for plugin, offers in rows]
        typer.echo(json.dumps({"plugins": data}, indent=2))
    else:
        show_plugins(rows, Console(markup=False))
    if any(plugin.errors for plugin, _ in rows):
        raise typer.Exit(WRONG)


def _asked(registry: Registry) -> tuple[Plugin, ...]:
    """
    All plugins, after each was asked what it offers.
    """
    registry.load()
    for hook in ("pyfaster_devices", "pyfaster_codecs", "pyfaster_hashes"):
        registry.offers(hook)
    return registry.plugins()


def offered(registry: Registry, plugin: Plugin) -> dict[str, list[str]]:
    """
    The names that one plugin offers, by kind.
    """

    def of(hook: str) -> list[Any]:
        return [one.thing for one in registry.offers(hook) if one.plugin is plugin]

    return {
        "devices": [scheme.name for scheme in of("pyfaster_devices")],
        "codecs": [name for one in of("pyfaster_codecs") for name in one.names],
        "hashes": [choice.name for choice in of("pyfaster_hashes")],
        "commands": [
            name
            for name, offer in registry.commands().items()
            if offer.plugin is plugin
        ],
    }


def show_plugins(
    rows: list[tuple[Plugin, dict[str, list[str]]]], console: Console
) -> None:
    """
    Print plugins for people.
    """
    table = Table()
    for heading in ("plugin", "distribution", "version", "came as", "status", "offers"):
        table.add_column(heading, overflow="fold")
    for plugin, offers in rows:
        said = [
            f"{kind}: {', '.join(names)}" for kind, names in offers.items() if names
        ]
        table.add_row(
            plugin.name,
            plugin.distribution or "-",
            plugin.version or "-",
            plugin.source,
            plugin.status,
            "\n".join(said) or "-",
        )
    console.print(table)
    for plugin, _ in rows:
        for error in plugin.errors:
            console.print(f"{plugin}: {error}", style="red", soft_wrap=True)


def stats(
    keys: Annotated[
        int, typer.Option(min=1, help="How many keys there are.")
    ] = 100_000,
    operations: Annotated[
        int, typer.Option(min=0, help="How many operations follow the filling.")
    ] = 200_000,
    memory: Annotated[str, typer.Option(help='Budget, as in "64MiB".')] = "",
    seed: Annotated[int, typer.Option(help="Chooses the operations.")] = 1,
    as_json: AsJson = False,
) -> None:
    """
    Run a short workload in memory and show the store's figures.

    Fills a store of int keys and values, then does reads, merges, upserts and deletes
    in equal parts on random keys. What a program of yours would see in `store.stats()`
    is what is shown, so this tells how memory and index behave for so many keys.
    """
    begin = perf_counter()
    with pyfaster.open(key=int, value=int, memory=memory or None) as store:
        store.upsert_many(range(keys), range(keys))
        with store.session("workload") as session:
            run_workload(session, keys, operations, random.Random(seed))
        figures = {**asdict(store.stats()), "live_keys": store.count()}
        figures["memory_bytes"] = store.stats().memory_bytes
    figures["seconds"] = round(perf_counter() - begin, 3)
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    table = Table("figure", "value", title=f"{keys:,} keys, {operations:,} operations")
    table.columns[1].justify = "right"
    for name, value in figures.items():
        exact = isinstance(value, bool) or not isinstance(value, int)
        table.add_row(name, str(value) if exact else f"{value:,}")
    Console().print(table)


def run_workload(
    session: pyfaster.Session[int, int], keys: int, operations: int, dice: random.Random
) -> None:
    """
    Read, merge, upsert and delete in equal parts, on random keys.
    """
    for number in range(operations):
        key = dice.randrange(keys)
        if number % 4 == 0:
            session.read(key)
        elif number % 4 == 1:
            session.rmw(key, 1, merge="add")
        elif number % 4 == 2:
            session.upsert(key, number)
        else:
            session.delete(key)


def demo_wordcount(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            exists=True,
            file_okay=False,
            help="Where to look for .py files; the standard library when left out.",
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


def demo_larger_than_memory(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            exists=True,
            file_okay=False,
            help="Where a directory is made for it; the system's when left out.",
        ),
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
    from pyfaster._config import parse_size
    from pyfaster._demo import _larger, _regions

    try:
        budget = cast("int", parse_size(memory))
    except ValueError as error:
        raise pyfaster.ConfigError(f"memory: {error}") from error
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


def demo_log(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            exists=True,
            file_okay=False,
            help="What is copied; Python's own modules when left out.",
        ),
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


def make_app(registry: Registry) -> typer.Typer:
    """
    The command with its own subcommands and those that plugins bring.
    """
    app = typer.Typer(
        name="pyfaster",
        help="An embedded key-value store: demonstrations, figures, plugins.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    demo = typer.Typer(
        no_args_is_help=True, help="Demonstrations that check themselves."
    )
    demo.command("wordcount")(demo_wordcount)
    demo.command("larger-than-memory")(demo_larger_than_memory)
    demo.command("log")(demo_log)
    own: dict[str, Any] = {
        "demo": demo,
        "plugins": plugins,
        "stats": stats,
        "version": version,
    }
    for name, command in own.items():
        add_command(app, name, command)
    for name, offer in registry.commands().items():
        if name in own:
            builtin = next(p for p in registry.plugins() if p.source == BUILT_IN)
            registry.blame(offer.plugin, clash(name, [builtin, offer.plugin]))
        else:
            add_plugin_command(app, name, offer.thing, offer.plugin, registry)
    return app


def add_command(app: typer.Typer, name: str, command: Any) -> None:
    """
    Put a function or a group of functions into the command.
    """
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name)
    else:
        app.command(name)(command)


def add_plugin_command(
    app: typer.Typer, name: str, command: Any, plugin: Plugin, registry: Registry
) -> None:
    """
    Put a plugin's subcommand into the command, unless it is none.
    """
    if callable(command) or isinstance(command, typer.Typer):
        add_command(app, name, command)
    else:
        registry.blame(plugin, f"pyfaster_cli gave {command!r} for {name!r}")


def main() -> None:
    """
    Run the command with the process's arguments, and end the process.
    """
    app = make_app(process_registry)
    try:
        app()
    except pyfaster.FasterError as error:
        Console(stderr=True).print(
            f"pyfaster: {error}", style="red", markup=False, soft_wrap=True
        )
        sys.exit(WRONG)


__all__ = ["main", "make_app"]
