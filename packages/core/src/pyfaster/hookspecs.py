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
from typing import TYPE_CHECKING, Any, Literal

import pluggy

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

    from pyfaster._store import FasterKv
    from pyfaster.checkpoints import CheckpointProvider
    from pyfaster.protocols import CodecProvider, HashChoice, Inspector, LiveStores

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


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing that `pyfaster doctor` looked at.

    Attributes:
        name: What was looked at, in a word or two: "io_uring", "free space".

        status: "ok"; "note" for what is worth knowing; "warning" for what may hurt;
            "failure" for what will.

        found: What was found, with its figures.

        advice: What to do about it; empty when there is nothing to do.
    """

    name: str
    status: Literal["ok", "note", "warning", "failure"]
    found: str
    advice: str = ""


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
def pyfaster_settings() -> Mapping[str, type[BaseModel]]:  # type: ignore[empty-body]
    """
    Give the tables of the configuration file that are this plugin's: the name of each,
    and a pydantic model of what may be in it.

    Called when a table is met that is not pyfaster's own, and by `pyfaster config`. The
    values reach the plugin by `store.plugin_settings(name)`.
    Example: `return {"audit": AuditTable}`.
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
def pyfaster_log_opened(log: Any) -> None:
    """
    Be told of a durable log that is ready, from the thread that opened it.

    Example: `print(log.stats())`. An exception is kept apart from the log.
    """


@hookspec
def pyfaster_log_closed(log: Any) -> None:
    """
    Be told of a durable log that was closed, from the thread that closed it.

    Example: `totals.pop(log.name)`. An exception is kept apart from the log.
    """


@hookspec
def pyfaster_event(event: object) -> None:
    """
    Be told of a typed event of `pyfaster.events`.

    A store that is opened while a plugin implements this has a thread that tells what
    happens there, in order: `PageTurned`, `PagesFlushed` and `PagesEvicted` of the log,
    `LogSpilled` when the first pages have left memory; `IndexGrowing`, `IndexGrown` and
    `IndexSaturated` of the index; `DeviceRetried` and `DeviceFailed` of requests,
    `WritesStopped` and `WritesResumed` of how writing stands; `OperationSampled` and
    `PendingCompleted` of some operations; `EventsLost` when plugins do not keep up.
    By the thread that opens the store: `DeviceFallback`, another device serves;
    `RecoveryDone`, `RecoveryFellBack`, `LogDiscarded`, what it was opened from. By the
    one that takes a checkpoint, or tries: `CheckpointPhase`, `CheckpointTaken` and
    `CheckpointFailed`. None comes from inside an operation.
    Example: `events.append(event)`.
    """


@hookspec
def pyfaster_cli() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """
    Give subcommands of the `pyfaster` command: name to function or typer.Typer.

    Called when the command starts. Example: `return {"log": log_app}`.
    """


@hookspec
def pyfaster_inspectors() -> Iterable[Inspector]:  # type: ignore[empty-body]
    """
    Give who can read what a directory holds, without opening it: see
    `pyfaster.protocols.Inspector`.

    Called by `pyfaster info` and `pyfaster verify`.
    Example: `return [LogInspector()]`.
    """


@hookspec
def pyfaster_doctor(  # type: ignore[empty-body]
    directory: Path | None,
) -> Iterable[Finding]:
    """
    Look at what this plugin needs of the machine, and of a directory when there is
    one. What is written there is small, and removed again; nothing takes seconds.

    Called by `pyfaster doctor`.
    Example: `return [Finding("io_uring", "ok", "the kernel has it")]`.
    """


@hookspec(firstresult=True)
def pyfaster_live() -> LiveStores | None:
    """
    Give who reads the figures of stores that run in other processes: see
    `pyfaster.protocols.LiveStores`.

    Called by `pyfaster stats`; the first plugin that answers serves.
    Example: `return Sockets()`.
    """
