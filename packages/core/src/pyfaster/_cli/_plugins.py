# SPDX-License-Identifier: MIT
"""
The verbs `version` and `plugins`: what is installed.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

import pyfaster
from pyfaster._cli._common import WRONG, AsJson, console, write_json

if TYPE_CHECKING:
    from rich.console import Console

    from pyfaster._registry import Plugin, Registry


def versions() -> dict[str, object]:
    """
    The versions that matter in a report.
    """
    import platform

    from pyfaster import _cabi

    return {
        "pyfaster": pyfaster.__version__,
        "interface": _cabi.ABI,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
    }


def version(as_json: AsJson = False) -> None:
    """
    Show the versions that matter in a report.
    """
    facts = versions()
    if as_json:
        write_json(facts)
    else:
        for name, value in facts.items():
            typer.echo(f"{name} {value}")


def plugins(as_json: AsJson = False) -> None:
    """
    List plugins, what they offer, and what is wrong with them.

    The exit status is 1 when a plugin failed.
    """
    from pyfaster._cli import plugin_commands
    from pyfaster._registry import registry

    plugin_commands(registry)  # who brings a wrong one is blamed for it
    rows = [(plugin, offered(registry, plugin)) for plugin in asked(registry)]
    if as_json:
        data = [{**asdict(plugin), "offers": offers} for plugin, offers in rows]
        write_json({"plugins": data})
    else:
        show_plugins(rows, console())
    if any(plugin.errors for plugin, _ in rows):
        raise typer.Exit(WRONG)


def asked(registry: Registry) -> tuple[Plugin, ...]:
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
    rows: list[tuple[Plugin, dict[str, list[str]]]], screen: Console
) -> None:
    """
    Print plugins for people.
    """
    from rich.table import Table

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
    screen.print(table)
    for plugin, _ in rows:
        for error in plugin.errors:
            screen.print(f"{plugin}: {error}", style="red", soft_wrap=True)


__all__ = ["plugins", "version"]
