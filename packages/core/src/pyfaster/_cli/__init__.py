# SPDX-License-Identifier: MIT
"""
The `pyfaster` command.

Exit status: 0 when all went well; 1 when a result is wrong, a plugin failed, or
pyfaster raised an error; 2 when the command was used wrongly; 130 when it was
interrupted. With `--json` a command writes JSON to standard output and nothing else
there. This file puts the command together; each verb has a module of its own, which is
imported when the verb is used.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyfaster._version import __version__
from pyfaster.errors import FasterError

if TYPE_CHECKING:
    from pyfaster._registry import Offer, Registry

WRONG = 1
INTERRUPTED = 130  # what shells give for SIGINT

#: The core's verbs, and where each is: the module below this one, and the name in it.
OWN = {
    "bench": "_bench:bench",
    "config": "_config:config_app",
    "demo": "_demo:app",
    "doctor": "_doctor:doctor",
    "info": "_info:info",
    "plugins": "_plugins:plugins",
    "stats": "_stats:stats",
    "verify": "_info:verify",
    "version": "_plugins:version",
}

#: The shells' completion asks the command itself, by this variable.
ENV_COMPLETE = "_PYFASTER_COMPLETE"


def _show_version(wanted: bool) -> None:
    """
    Say the version and end, when that is wanted.
    """
    if wanted:
        _say_version()
        raise typer.Exit


def _say_version() -> None:
    typer.echo(f"pyfaster {__version__}")


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """
    An embedded key-value store: look at it, measure it, see that it works.
    """


def make_app(registry: Registry, *, only: str | None = None) -> typer.Typer:
    """
    The command with its own verbs and those that plugins bring.

    Args:
        registry: Knows the plugins.

        only: One of `OWN`, to make a command of that verb alone; no plugin is loaded
            for it, and no module of another verb.
    """
    app = typer.Typer(
        name="pyfaster", no_args_is_help=True, pretty_exceptions_enable=False
    )
    app.callback()(_options)
    for name in OWN if only is None else (only,):
        module, _, thing = OWN[name].partition(":")
        command = getattr(import_module(f"{__name__}.{module}"), thing)
        add_command(app, name, command)
    if only is None:
        for name, offer in plugin_commands(registry).items():
            add_command(app, name, offer.thing)
    return app


def add_command(app: typer.Typer, name: str, command: Any) -> None:
    """
    Put a function or a group of functions into the command.
    """
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name)
    else:
        app.command(name)(command)


def plugin_commands(registry: Registry) -> Mapping[str, Offer]:
    """
    The verbs that plugins bring, without those that cannot be taken; whoever brings
    such a one is blamed for it.
    """
    from pyfaster._registry import BUILT_IN, clash

    found = {}
    for name, offer in registry.commands().items():
        command, plugin = offer.thing, offer.plugin
        if name in OWN:
            builtin = next(p for p in registry.plugins() if p.source == BUILT_IN)
            registry.blame(plugin, clash(name, [builtin, plugin]))
        elif callable(command) or isinstance(command, typer.Typer):
            found[name] = offer
        else:
            registry.blame(plugin, f"pyfaster_cli gave {command!r} for {name!r}")
    return found


def _only(arguments: Iterable[str]) -> str | None:
    """
    The verb of the core's that the arguments begin with; None when all are needed.
    """
    word = next(iter(arguments), "")
    return word if word in OWN and ENV_COMPLETE not in os.environ else None


def _say_what_the_output_can() -> None:
    """
    Have a "?" in the place of what the encoding of standard output cannot say, such as
    the bars of a picture in ASCII.
    """
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and not out.encoding.startswith("utf"):
        out.reconfigure(errors="replace")


def main() -> None:
    """
    Run the command with the process's arguments, and end the process.
    """
    words = sys.argv[1:]
    _say_what_the_output_can()
    try:
        if words == ["--version"]:  # spares the plugins, and what typer reads them with
            _say_version()
        elif words == ["version"]:
            from pyfaster._cli._plugins import version

            version()
        else:
            from pyfaster._registry import registry

            make_app(registry, only=_only(words))(prog_name="pyfaster")
    except BrokenPipeError:  # nobody reads any more, as behind `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(WRONG)
    except (FasterError, OSError) as error:
        from pyfaster._cli._common import complain

        complain(str(error))
        sys.exit(WRONG)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


__all__ = ["main", "make_app"]
