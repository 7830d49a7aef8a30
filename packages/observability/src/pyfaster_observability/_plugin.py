# SPDX-License-Identifier: MIT
"""
What this distribution tells pyfaster: what a store's settings ask for, the live view,
and who reads figures of stores in other processes.

It hears no events: a store runs a thread for whoever does. The listener is registered
when somebody wants to know.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyfaster.hookspecs import hookimpl

if TYPE_CHECKING:
    from pyfaster import FasterKv
    from pyfaster.protocols import LiveStores


@hookimpl
def pyfaster_cli() -> Mapping[str, Any]:
    """
    Give the subcommand, which only the command loads.
    """
    from pyfaster_observability._cli import COMMANDS

    return COMMANDS


@hookimpl
def pyfaster_live() -> LiveStores:
    """
    Give what reads sockets.
    """
    from pyfaster_observability.client import Sockets

    return Sockets()


@hookimpl
def pyfaster_store_opened(store: FasterKv[Any, Any]) -> None:
    """
    Do what the store's settings ask for.
    """
    config = store.config
    if config.telemetry:
        from pyfaster_observability._instrument import control

        control.take_single(store)
    if config.socket:
        from pyfaster_observability._instrument import control
        from pyfaster_observability._socket import server

        server.add(store, config.socket)
        control.listen(store)


@hookimpl
def pyfaster_store_closed(store: FasterKv[Any, Any]) -> None:
    """
    Let go what is known of a store.
    """
    _forget(store)


@hookimpl
def pyfaster_log_closed(log: Any) -> None:
    """
    Let go what is known of a log.
    """
    _forget(log)


def _forget(thing: object) -> None:
    """
    Let go what is known of one that is closed; what was never needed is not imported.
    """
    loaded = sys.modules.get("pyfaster_observability._instrument")
    if loaded is not None:
        loaded.control.forget(thing)
