# SPDX-License-Identifier: MIT
"""
What a program says about plugins: load the installed ones, add and remove its own.
"""

from __future__ import annotations

from pyfaster._registry import registry


def load_plugins() -> tuple[str, ...]:
    """
    Load all installed plugins now, instead of when a name asks for them.

    Needed by programs that want plugins to hear of stores (metrics, traces) although
    no name in the program needs one.

    Returns:
        One sentence for each plugin that was left out or failed.
    """
    registry.load()
    return registry.failures()


def register(plugin: object, *, name: str | None = None) -> None:
    """
    Add a module or object that implements hooks of `pyfaster.hookspecs`.

    Args:
        plugin: What implements them, marked with `pyfaster.hookimpl`.

        name: What to call it in messages.

    Raises:
        PluginError: The name is taken, or an implementation does not fit its hook.
    """
    registry.register(plugin, name=name)


def unregister(name: str) -> None:
    """
    Remove what `register` added; an unknown name is ignored.
    """
    registry.unregister(name)


__all__ = ["load_plugins", "register", "unregister"]
