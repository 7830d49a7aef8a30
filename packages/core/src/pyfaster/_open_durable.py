# SPDX-License-Identifier: MIT
"""
Opening a store that survives its process.

Theory of operation: first the directory is taken, then a keeper of its checkpoints is
asked what to recover from; only then is the device opened, with the store's number and
a generation that nothing on it has, and then the core, with the addresses of the plan.
A checkpoint that turns out to be damaged while it is read is given up: everything is
closed, and the keeper is asked again without it. What was passed over is in the report
and told as an event. Where there are checkpoints and none is usable, opening fails and
nothing was changed; it never begins anew.
"""

from __future__ import annotations

import errno
import os
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyfaster import _cabi
from pyfaster._checkpoint import CoreRecovery, Life
from pyfaster._checkpoint_values import (
    CheckpointSettings,
    PassedOver,
    RecoveryPlan,
    RecoveryReport,
)
from pyfaster._commits import Commits, SessionNames
from pyfaster._devices import is_device
from pyfaster._durable import Durability
from pyfaster._home import CHECKPOINTS_NAME, Directory, Home, fresh_id
from pyfaster._lasting import Lasting
from pyfaster._open import Opened, Request, layout_of, open_core
from pyfaster._registry import registry
from pyfaster.checkpoints import CheckpointFiles, CheckpointKeeper, CheckpointProvider
from pyfaster.errors import (
    CheckpointNotFoundError,
    ConfigError,
    CorruptCheckpointError,
    DeviceError,
    FasterError,
    PluginError,
    PluginMissingError,
    pip_line,
)
from pyfaster.events import LogDiscarded, RecoveryDone, RecoveryFellBack
from pyfaster.hookspecs import DeviceScheme
from pyfaster.protocols import DeviceSettings, NativeDevice

if TYPE_CHECKING:
    from pyfaster._config import StoreConfig

#: How often opening begins again without what turned out to be damaged.
_ATTEMPTS = 1000
#: How long a core that could not be recovered is given to close, in milliseconds.
_CLOSE_MS = 60_000
#: Names of `enum faster_layout`.
_LAYOUTS = {1: "fixed", 2: "varlen"}


def open_durable(request: Request, place: tuple[Any, str], checkpoints: Any) -> Opened:
    """
    Open a store with its checkpoints.

    Args:
        request: What the user asked for.

        place: A device scheme and what follows it; or a device and "".

        checkpoints: Where they are kept; None for the folder of the directory.
    """
    opening = _Opening(request, place)
    try:
        opening.take_place(checkpoints)
        return opening.open()
    except BaseException:
        opening.give_up()
        raise


class _Opening:
    """
    One opening, until it has succeeded or failed.
    """

    def __init__(self, request: Request, place: tuple[Any, str]) -> None:
        self.request = request
        self.config = request.config
        self.device, self.where = place
        self.scheme = self.device if isinstance(self.device, DeviceScheme) else None
        if self.scheme is not None:
            self.name = f"{self.scheme.name}:{self.where}"
        else:
            self.name = type(self.device).__name__
            if is_device(self.device) and not isinstance(self.device, NativeDevice):
                self.device = Lasting(self.device, read_only=self.config.read_only)
        self.keeper: CheckpointKeeper | None = None
        self.directory: Directory | None = None
        self.events: list[object] = []
        self.passed: list[PassedOver] = []

    # --- the place ------------------------------------------------------------------

    def take_place(self, checkpoints: Any) -> None:
        """
        Take the directory, and ask for a keeper of its checkpoints.
        """
        provider = _provider(self.name)
        config = self.config
        self._check_scheme()
        files: CheckpointFiles
        where: str | None = self.where if self._in_directory else None
        if checkpoints is not None and not isinstance(checkpoints, (str, os.PathLike)):
            if not isinstance(checkpoints, CheckpointFiles):
                raise ConfigError(
                    f"checkpoints={checkpoints!r}: give a directory, or what meets "
                    "pyfaster.checkpoints.CheckpointFiles"
                )
            self._take_directory(where)
            files = checkpoints
        else:
            place = self._directory_of(checkpoints)
            where = where or str(place)
            files = self._files_at(provider, place)
        settings = CheckpointSettings(
            name=self.name,
            keep=config.keep_checkpoints,
            keep_for=config.keep_for,
            timeout=config.checkpoint_timeout,
            read_only=config.read_only,
            threads=max(1, min(8, os.cpu_count() or 1)),
            announce=_announce,
            directory=where,
        )
        try:
            self.keeper = provider.keeper(files, settings)
        except BaseException:
            files.close()
            raise

    def _files_at(self, provider: CheckpointProvider, where: Path) -> CheckpointFiles:
        try:
            return provider.files_at(where, read_only=self.config.read_only)
        except FasterError:
            raise
        except OSError as error:
            raise DeviceError(
                error.errno or errno.EIO,
                f"directory {str(where)!r}: {error.strerror}; give a directory that "
                "this process may write to, whose parent exists",
            ) from error

    @property
    def _in_directory(self) -> bool:
        return self.scheme is not None and bool(
            self.scheme.capabilities.get("directory")
        )

    def _check_scheme(self) -> None:
        if not self.config.read_only or isinstance(self.device, Lasting):
            return
        if self.scheme is None:
            can = getattr(self.device, "read_only", False)
        else:
            can = self.scheme.capabilities.get("read_only")
        if not can:
            raise ConfigError(
                f"{self.name!r}: this device cannot be opened for reading alone; open "
                "the store without read_only=True, where no other process has it"
            )

    def _directory_of(self, checkpoints: Any) -> Path:
        """
        Where checkpoints are kept, whose directory is taken for this process.
        """
        if self._in_directory:
            self._take_directory(self.where)
            if checkpoints is None:
                return Path(self.where) / CHECKPOINTS_NAME
        elif checkpoints is None:
            raise ConfigError(
                f"path={self.name!r}: the device has no directory; say where "
                "checkpoints are kept with checkpoints="
            )
        else:
            self._take_directory(os.fspath(checkpoints))
        return Path(checkpoints)

    def _take_directory(self, where: str | None) -> None:
        if where is None or self.config.read_only:
            return  # a mount disturbs nobody
        self.directory = Directory(where)

    # --- the attempts ---------------------------------------------------------------

    def open(self) -> Opened:
        """
        Open the store, from the newest checkpoint that can be read to its end.
        """
        config, keeper = self.config, self.keeper
        assert keeper is not None
        wanted = self._wanted(keeper)
        exclude: set[str] = set()
        for _ in range(_ATTEMPTS):
            layout = layout_for(self.request, config, page_size=None)
            plan = keeper.plan(wanted, layout, exclude=exclude)
            if plan is None and config.read_only:
                raise CheckpointNotFoundError(
                    f"{self.name!r} holds no checkpoint to look at; open it without "
                    "read_only=True to begin one"
                )
            try:
                return self._attempt(plan, keeper)
            except CorruptCheckpointError as error:
                self._pass_over(error, wanted, exclude)
        raise AssertionError("there are fewer checkpoints than that")

    def _wanted(self, keeper: CheckpointKeeper) -> str:
        """
        What to recover from: "latest", or a token. Where old data is refused and none
        is found, the latest is asked for, too: the keeper knows whether there was one.

        Raises:
            ConfigError: Old data is refused, and there is some.
        """
        config = self.config
        if config.read_only:
            return config.checkpoint or "latest"
        if config.recover != "none":
            return config.recover
        found = keeper.checkpoints()
        if found:
            raise ConfigError(
                f'recover="none": {self.name!r} holds {len(found)} checkpoints, the '
                f'newest {found[0].token}; open it with recover="latest", or use '
                "another directory"
            )
        return "latest"

    def _pass_over(
        self, error: CorruptCheckpointError, wanted: str, exclude: set[str]
    ) -> None:
        """
        Go on without what is damaged, if that may be.
        """
        token = error.token
        if not token or token in exclude or token == wanted:
            raise error
        if isinstance(self.device, NativeDevice):
            error.add_note(
                "the device object served the first attempt; open the store anew with "
                "another object and recover= an older checkpoint"
            )
            raise error
        exclude.add(token)
        self.passed.append(PassedOver(token, str(error)))

    def _attempt(self, plan: RecoveryPlan | None, keeper: CheckpointKeeper) -> Opened:
        config = config_for(self.config, plan)
        sizes = layout_of(self.request, config.page_size)
        if plan is None:
            random = secrets.randbits(32)
            generations: tuple[tuple[int, int], ...] = ((0, 1 << 32 | random),)
            store_id = fresh_id()
            recovery = {}
        else:
            generations, store_id = plan.generations, plan.store_id
            recovery = {
                "log_start": plan.log_start,
                "log_until": plan.log_until,
                "version": plan.version + 1,
            }
        home = self._open_device(config, store_id, generations[-1][1], plan is None)
        kv = open_core(self.request, config, sizes, home, generations, **recovery)
        began = time.monotonic_ns()
        try:
            report = self._recover(kv, config, plan, keeper)
        except BaseException:
            with suppress(FasterError):
                kv.close(_CLOSE_MS)
            raise
        layout = layout_for(self.request, config, page_size=config.page_size)
        life = _life(self.name, kv, home, plan, layout, generations, config)
        home.own(self.directory)
        if isinstance(self.device, Lasting):
            self.device.closes = True
        said = self._said(report, time.monotonic_ns() - began)
        durability = Durability(life, keeper, report, said)
        return Opened(kv, home, config, durability)

    def _open_device(
        self, config: StoreConfig, store_id: int, generation: int, fresh: bool
    ) -> Home:
        if self.scheme is None:
            return Home.of_device(self.device, self.name, store_id)
        if fresh and self.directory is not None and self._in_directory:
            files = self.directory.log_files()
            if files:
                size = sum(file.stat().st_size for file in files)
                now = time.time_ns()
                self.events = [LogDiscarded(self.name, len(files), size, time_ns=now)]
        settings = DeviceSettings(
            store_id=store_id,
            generation=generation,
            segment_size=config.segment_size,
            fresh=fresh,
            read_only=config.read_only,
            options=dict(config.device_options),
        )
        device = self.scheme.factory(self.where, settings)
        return Home.of_device(device, self.name, store_id)

    def _recover(
        self,
        kv: _cabi.Kv,
        config: StoreConfig,
        plan: RecoveryPlan | None,
        keeper: CheckpointKeeper,
    ) -> RecoveryReport | None:
        if plan is None:
            return None
        engine = CoreRecovery(
            kv, name=self.name, store_id=plan.store_id, page_size=config.page_size
        )
        try:
            report = keeper.recover(plan, engine)
        except DeviceError as error:
            if config.read_only and error.errno == errno.EROFS:
                raise ConfigError(
                    f"{self.name!r}: what checkpoint {plan.token} keeps beside the log "
                    "has to fit into memory where nothing may be written; raise memory="
                ) from error
            raise
        finally:
            engine.free()
        known = {one.token for one in report.passed_over}
        more = tuple(one for one in self.passed if one.token not in known)
        return replace(report, passed_over=(*more, *report.passed_over))

    def _said(self, report: RecoveryReport | None, duration_ns: int) -> list[object]:
        """
        What plugins are to be told once there is a store.
        """
        said = list(self.events)
        if report is not None:
            now = time.time_ns()
            said += [
                RecoveryFellBack(self.name, one.token, one.reason, time_ns=now)
                for one in report.passed_over
            ]
            said.append(RecoveryDone(self.name, report, duration_ns, time_ns=now))
        return said

    def give_up(self) -> None:
        """
        Let go what was taken.
        """
        if self.keeper is not None:
            self.keeper.close()
        if isinstance(self.device, Lasting):
            self.device.give_up()
        if self.directory is not None:
            self.directory.close()


def _provider(name: str) -> CheckpointProvider:
    """
    Who brings keepers of checkpoints.

    Raises:
        PluginMissingError: Nobody does.

        PluginError: What a plugin gave is none.
    """
    provider = registry.checkpoint_provider()
    if provider is None:
        raise PluginMissingError(
            f"path={name!r}: a store that survives its process needs a plugin for "
            f"checkpoints, and none is installed; {pip_line('checkpoint')}, or open it "
            "with durable=False to use the device only as room beyond memory"
        )
    if not isinstance(provider, CheckpointProvider):
        raise PluginError(
            f"pyfaster_checkpoint_provider gave {provider!r}, which does not meet "
            "pyfaster.checkpoints.CheckpointProvider"
        )
    return provider


def _announce(event: object) -> None:
    """
    Tell plugins of what a keeper has to say; nobody else is to blame if one raises.
    """
    registry.tell("pyfaster_event", event=event)


def config_for(config: StoreConfig, plan: RecoveryPlan | None) -> StoreConfig:
    """
    The settings, with what the checkpoint decides where the user has said nothing.
    """
    if plan is None:
        return config.on_device()
    given = {name: getattr(config, name) for name in config.model_fields_set}
    given.setdefault("page_size", plan.layout["page_size"])
    given.setdefault("segment_size", plan.segment_size)
    return type(config)(**given).on_device()


def layout_for(
    request: Request, config: StoreConfig, *, page_size: int | None
) -> Mapping[str, object]:
    """
    What a manifest says of a store's layout.

    Args:
        request: What the user asked for.

        config: The settings.

        page_size: In bytes; None for the one that the user has given, if any.
    """
    given = config.page_size if "page_size" in config.model_fields_set else None
    # Whether a record fits a page is asked when the size of pages is known.
    sizes = layout_of(request, page_size or given or 1 << 30)
    fixed = _LAYOUTS[sizes["layout"]] == "fixed"
    return {
        "layout": _LAYOUTS[sizes["layout"]],
        "key_size": sizes["key_size"] if fixed else None,
        "value_size": sizes["value_size"] if fixed else None,
        "page_size": page_size or given,
        "hash": config.hash,
        "key_codec": request.key_codec.name,
        "value_codec": request.value_codec.name,
        "value_type": request.value_codec.value_type,
    }


def _life(
    name: str,
    kv: _cabi.Kv,
    home: Home,
    plan: RecoveryPlan | None,
    layout: Mapping[str, object],
    generations: tuple[tuple[int, int], ...],
    config: StoreConfig,
) -> Life:
    points = {} if plan is None else dict(plan.sessions)
    return Life(
        name=name,
        kv=kv,
        unit=home.unit,
        store_id=home.store_id,
        generations=generations,
        skips=() if plan is None else plan.skips,
        layout=layout,
        segment_size=config.segment_size,
        names=SessionNames(points, 1 if plan is None else plan.next_session_id),
        commits=Commits(dict(points.values())),
        lock=threading.RLock(),
    )


__all__ = ["open_durable"]
