# SPDX-License-Identifier: MIT
"""
The store itself under the simulator: on a device in memory, with files in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import pyfaster
from crash.device import LoadedDevice
from crash.events import Recorder
from crash.files import SimFiles
from crash.image import Image
from crash.oracle import Plan, Points, Update, Value
from crash.subject import Log, Refused
from pyfaster.errors import (
    CheckpointFailedError,
    CorruptCheckpointError,
    CorruptionError,
)

T = TypeVar("T", bound="RealStore")

#: Small pages, so that a small log has many.
PAGE = 4096
#: What a store gets unless the workload says.
MEMORY = 1 << 20
#: So that the index is as small as it can be, and grows.
KEYS = 16


class RealStore:
    """
    A store that is open; `crash.subject.Running`.

    Args:
        log: Its device.

        files: Its checkpoints'.

        plan: Names the sessions.

        settings: Win over the simulator's.
    """

    def __init__(
        self,
        log: LoadedDevice,
        files: SimFiles,
        plan: Plan,
        settings: Mapping[str, Any],
    ) -> None:
        kind = bytes if plan.texts else int
        given = {"page_size": PAGE, "memory": MEMORY, "expected_keys": KEYS, **settings}
        self.store: pyfaster.FasterKv[Any, Any] = pyfaster.open(
            key=kind,
            value=kind,
            device=log.device,
            checkpoints=files,
            checkpoint_on_close=False,
            **given,
        )
        try:
            report = self.store.recovery
            self.points: Points = dict(report.sessions) if report is not None else {}
            self.sessions = [self.store.session(name) for name in plan.names]
            committed = {one.name: one.committed_serial for one in self.sessions}
            for name, point in self.points.items():
                if committed.get(name, point) != point:
                    raise AssertionError(f"{name} resumes behind {committed[name]}")
        except BaseException:
            self.close()
            raise

    def content(self) -> Mapping[Value, Value]:
        """
        Every key and its value.

        Raises:
            Refused: Damage was found.
        """
        found: dict[Value, Value] = {}
        try:
            for key, value in self.store.items():
                if key in found:
                    raise AssertionError(f"a scan gives {key!r} twice")
                found[key] = value
        except CorruptionError as error:
            raise Refused(str(error)) from error
        return found

    def reread(self, found: Mapping[Value, Value], keys: set[Value]) -> list[str]:
        """
        Look keys up through the index, also those that a scan did not give.
        """
        asked = sorted(keys.union(found))
        try:
            got = self.sessions[0].read_many(asked)
        except CorruptionError as error:
            raise Refused(str(error)) from error
        return [
            f"{key!r} is {found.get(key)!r} in a scan and {one!r} when it is read"
            for key, one in zip(asked, got, strict=True)
            if one != found.get(key)
        ]

    def perform(self, session: int, update: Update) -> int:
        """
        Do an update; give its serial number.
        """
        one = self.sessions[session]
        if update.verb == "upsert":
            one.upsert(update.key, update.value)
        elif update.verb == "delete":
            one.delete(update.key)
        else:
            one.rmw(update.key, update.value, merge=update.verb)
        return int(one.serial)

    def checkpoint(self, kind: str, step: Callable[[], None] | None = None) -> Points:
        """
        Take a checkpoint; its updates go on at each step of it.

        Raises:
            OSError: It failed.
        """
        call = None if step is None else lambda progress: step()
        try:
            return dict(self.store.checkpoint(kind, progress=call).sessions)
        except CheckpointFailedError as error:
            raise OSError(str(error)) from error

    def close(self) -> None:
        """
        End, without a checkpoint.
        """
        with suppress(OSError):
            self.store.close(checkpoint=False)


class RealSubject:
    """
    The store as it is shipped.

    Args:
        settings: Win over the simulator's.
    """

    reads_ahead = False

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self.settings = dict(settings or {})

    def tuned(self, settings: Mapping[str, Any]) -> RealSubject:
        """
        Give one whose stores have these settings, too.
        """
        return RealSubject({**self.settings, **settings})

    def log(self, image: Image, recorder: Recorder, **wishes: Any) -> Log:
        """
        A device of the core's own.
        """
        return LoadedDevice(image.log, **wishes)

    def start(self, log: Any, files: SimFiles, plan: Plan) -> RealStore:
        """
        Open a store.
        """
        return self.made(RealStore, log, files, plan)

    def made(self, kind: type[T], log: Any, files: SimFiles, plan: Plan) -> T:
        """
        Open a store of a kind.

        Raises:
            Refused: There are checkpoints, and none is usable.
        """
        try:
            return kind(log, files, plan, self.settings)
        except CorruptCheckpointError as error:
            raise Refused(str(error)) from error


__all__ = ["MEMORY", "PAGE", "RealStore", "RealSubject"]
