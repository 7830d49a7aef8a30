# SPDX-License-Identifier: MIT
"""
The subcommands `pyfaster top` and `pyfaster dashboard`.

Exit status: 0 when all went well; 1 when there is no store to look at; 2 when the
command was used wrongly. With `--json` one object is written. Ctrl-C ends the live view
and is no failure.
"""

from __future__ import annotations

import json
import threading
from typing import Annotated, Any

import typer

from pyfaster_observability import client
from pyfaster_observability._rates import Between

#: Lines that a whole picture may have.
TALL = 46

AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON object.")]


class View:
    """
    Snapshots of one place, each with what happened since the one before.

    Args:
        where: As in `client.resolve`.
    """

    def __init__(self, where: str | None) -> None:
        self._path, self._name = client.resolve(where)
        self._before: client.Snapshot | None = None

    def take(self) -> list[tuple[client.LiveStore, Between]]:
        """
        Take another snapshot.

        Returns:
            Each store with what happened in it since the last call, or since it was
            opened the first time.
        """
        now = self.last = client.ask(self._path)
        before = self._before
        old = {} if before is None else {one.name: one for one in before.stores}
        found = []
        for store in now.stores:
            if self._name not in (None, store.name):
                continue
            was = old.get(store.name)
            if before is None or was is None:
                found.append((store, Between(None, store.stats, {})))
            else:
                seconds = max(1e-9, (now.clock_ns - before.clock_ns) / 1e9)
                found.append((store, Between(seconds, store.stats, was.stats)))
        self._before = now
        return found


def top(
    where: Annotated[
        str | None,
        typer.Argument(
            metavar="[WHERE]",
            help="A store's directory or name, a process, or a socket.",
        ),
    ] = None,
    every: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds between two looks.")
    ] = 1.0,
    once: Annotated[
        bool, typer.Option("--once", help="Look twice, draw once, and end.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """
    Watch a store of another process while it runs.

    The store has to be open there with socket=True. Ends with Ctrl-C.
    """
    view = View(where)
    if as_json:
        typer.echo(json.dumps(as_object(view)))
        return
    from rich.console import Console

    console = Console(markup=False, highlight=False, emoji=False)
    if once or not console.is_terminal:
        view.take()
        threading.Event().wait(every)
        console.print(drawn(view, console.width))
        return
    live(view, console, every)


def as_object(view: View) -> dict[str, Any]:
    """
    A snapshot as one object.
    """
    stores = [
        {
            "name": store.name,
            "stats": store.stats,
            "config": store.config,
            "events": store.events,
        }
        for store, _ in view.take()
    ]
    last = view.last
    return {
        "pyfaster": last.pyfaster,
        "pid": last.pid,
        "time_ns": last.time_ns,
        "stores": stores,
    }


def drawn(view: View, width: int, height: int = TALL) -> Any:
    """
    Draw all stores of a place, one beneath the other, for so many cells and lines.
    """
    from rich.console import Group
    from rich.text import Text

    from pyfaster.pictures import WIDTH
    from pyfaster_observability._top import picture

    found = view.take()
    if not found:
        return Text(f"process {view.last.pid} has no such store open any more")
    cells = max(16, min(WIDTH, width - 2))
    compact = height < TALL * len(found)
    return Group(
        *(
            picture(view.last, one, between, cells, compact=compact)
            for one, between in found
        )
    )


def live(view: View, console: Any, every: float) -> None:
    """
    Draw anew in place until Ctrl-C, or until the process is gone.
    """
    from rich.live import Live

    waiting = threading.Event()
    with Live(console=console, screen=True, auto_refresh=False) as screen:
        try:
            while True:
                now = drawn(view, console.width, console.height)
                screen.update(now, refresh=True)
                waiting.wait(every)
        except KeyboardInterrupt:
            return


def dashboard(
    as_json: AsJson = False,
) -> None:
    """
    Show where the Grafana dashboard is, to be imported there.
    """
    from pyfaster_observability._dashboard import dashboard_path

    path = str(dashboard_path())
    typer.echo(json.dumps({"dashboard": path}) if as_json else path)


COMMANDS = {"dashboard": dashboard, "top": top}


__all__ = ["COMMANDS"]
