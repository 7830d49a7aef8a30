# SPDX-License-Identifier: MIT
"""
What pyfaster asks of plugins: all hooks, on one page.

A plugin is a module or an object that a distribution names in its entry-point group
`pyfaster`, or that a program hands to `pyfaster.register`. It implements any of these
functions, each marked with `pyfaster.hookimpl`. Hooks that register something *return*
it and change nothing; none is called while an operation runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from pyfaster._store import FasterKv
    from pyfaster.checkpoints import CheckpointProvider
    from pyfaster.protocols import CodecProvider, HashChoice

#: The entry-point group, and pluggy's name for the project.
GROUP = "pyfaster"

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@dataclass(frozen=True, slots=True)
class DeviceScheme:
    """
    A kind of device, by the scheme that opens it ("file" for "file:data").

    Attributes:
        name: The scheme; lower-case letters, digits, "+", "-" and ".".

        factory: Called with what follows the scheme and a
            `pyfaster.protocols.DeviceSettings`; gives a `NativeDevice` or a
            `PythonDevice`.

        capabilities: What the device promises, by name. "directory": what follows the
            scheme is a directory, which a store then has to itself.
    """

    name: str
    factory: Any
    capabilities: Mapping[str, object] = field(default_factory=dict)


@hookspec
def pyfaster_devices() -> Iterable[DeviceScheme]:  # type: ignore[empty-body]
    """
    Give the device schemes that this plugin serves.

    Called once per process, when a scheme is asked for that is not built in.
    Example: `return [DeviceScheme("file", open_file, {"durable": True})]`.
    """


@hookspec
def pyfaster_codecs() -> Iterable[CodecProvider]:  # type: ignore[empty-body]
    """
    Give the codec providers of this plugin; see `pyfaster.protocols.CodecProvider`.

    Called once per process, when a type or name is asked for that is not built in.
    Example: `return [MyProvider()]`.
    """


@hookspec
def pyfaster_hashes() -> Iterable[HashChoice]:  # type: ignore[empty-body]
    """
    Give the hashes of keys that this plugin adds to `hash=`.

    Called once per process, when a name is asked for that is not built in.
    Example: `return [HashChoice("xxh64", native_id=2)]`.
    """


@hookspec(firstresult=True)
def pyfaster_checkpoint_provider() -> CheckpointProvider | None:
    """
    Give who takes, lists, validates and recovers checkpoints: what meets
    `pyfaster.checkpoints.CheckpointProvider`.

    Called when a durable store is opened; the first plugin that answers serves.
    Example: `return Provider()`.
    """


@hookspec
def pyfaster_store_opened(store: FasterKv[Any, Any]) -> None:
    """
    Be told of a store that is ready, from the thread that opened it.

    Example: `print(store.stats())`. An exception is kept apart from the store.
    """


@hookspec
def pyfaster_store_closed(store: FasterKv[Any, Any]) -> None:
    """
    Be told of a store that was closed, from the thread that closed it.

    Example: `totals.pop(store.name)`. An exception is kept apart from the store.
    """


@hookspec
def pyfaster_event(event: object) -> None:
    """
    Be told of a typed event of `pyfaster.events`.

    `IndexGrown` and `IndexSaturated`: the index grew, or may not grow. `LogSpilled`:
    the first pages have left memory. `WritesStopped` and `WritesResumed`: the device
    takes no writes, or takes them again. These are told by whoever asks for
    `store.stats()`, and before a store is closed. `DeviceFallback`: another device
    serves; told when a device is opened. `RecoveryDone`, `RecoveryFellBack`,
    `LogDiscarded`: what a durable store was opened from; told once it is open.
    `CheckpointTaken` and `CheckpointFailed` are told by the thread that took it, or
    tried. None comes from inside an operation.
    Example: `events.append(event)`.
    """


@hookspec
def pyfaster_cli() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """
    Give subcommands of the `pyfaster` command: name to function or typer.Typer.

    Called when the command starts. Example: `return {"log": log_app}`.
    """
