# SPDX-License-Identifier: MIT
"""
A store's checkpoints, as its user sees them.

The work is the keeper's (`pyfaster.checkpoints`), which a plugin brings; here is what
is asked of it, what plugins are told, and what a store without one answers.
"""

from __future__ import annotations

import threading
import time
import weakref
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Literal, overload

from pyfaster._cabi import CLOSED
from pyfaster._read_only import refuse
from pyfaster.errors import (
    CheckpointBusyError,
    ClosedError,
    ConfigError,
    Place,
    PluginMissingError,
    SessionBusyError,
    UnknownSessionError,
    error_for,
    pip_line,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from pyfaster._config import StoreConfig
    from pyfaster._durable import Durability
    from pyfaster._registry import Registry
    from pyfaster.checkpoints import (
        CheckpointInfo,
        ProgressCall,
        RecoveryReport,
        ValidationReport,
    )
    from pyfaster.events import StoreEvent


class StoreCheckpoints:
    """
    What a store does with checkpoints.
    """

    name: str
    config: StoreConfig
    _registry: Registry
    _durability: Durability | None
    _lock: threading.RLock
    _sessions: Any
    _no_background: weakref.finalize[..., Any] | None = None

    @abstractmethod
    def _refuse_fork(self, what: str) -> None: ...

    @abstractmethod
    def _place(self) -> Place: ...

    @abstractmethod
    def tell_plugins(self, hook: str, **said: object) -> None:
        """
        Tell plugins something.
        """

    @abstractmethod
    def _tell_event(self, event: StoreEvent) -> None: ...

    # --- taking ---------------------------------------------------------------------

    @overload
    def checkpoint(
        self,
        kind: str = "auto",
        wait: Literal[True] = True,
        *,
        cookie: bytes = b"",
        timeout: float | None = None,
        progress: ProgressCall | None = None,
    ) -> CheckpointInfo: ...
    @overload
    def checkpoint(
        self,
        kind: str = "auto",
        *,
        wait: Literal[False],
        cookie: bytes = b"",
        timeout: float | None = None,
        progress: ProgressCall | None = None,
    ) -> Future[CheckpointInfo]: ...
    @overload
    def checkpoint(
        self,
        kind: str = "auto",
        wait: bool = True,
        *,
        cookie: bytes = b"",
        timeout: float | None = None,
        progress: ProgressCall | None = None,
    ) -> CheckpointInfo | Future[CheckpointInfo]: ...
    def checkpoint(
        self,
        kind: str = "auto",
        wait: bool = True,
        *,
        cookie: bytes = b"",
        timeout: float | None = None,
        progress: ProgressCall | None = None,
    ) -> CheckpointInfo | Future[CheckpointInfo]:
        """
        Take a checkpoint; all sessions go on meanwhile.

        After a crash each session finds a prefix of its updates: all up to its commit
        point in the newest checkpoint, and none behind it.

        Args:
            kind: "fold-over": what is in memory is written to the log and becomes
                read-only. "snapshot": it is written to a file of its own, and stays
                mutable. "incremental": of that only what has changed since the last
                one. "index": a copy of the index alone, which makes recovery shorter
                and commits nothing. "auto": the provider's choice of the first three.

            wait: Whether to wait for it; else a thread of its own takes it.

            cookie: Bytes that are kept with it, and given back after recovery.

            timeout: How long it may take; `checkpoint_timeout` of the settings when
                None.

            progress: Called with a `pyfaster.checkpoints.Progress` now and then, by
                the thread that takes it. What it raises makes the checkpoint fail.

        Returns:
            What was taken; with `wait=False` a future of that.

        Raises:
            CheckpointFailedError: It could not be taken, for the reason chained. The
                store and older checkpoints are as they were.

            CheckpointBusyError: Others were taken all the time, or it is called by the
                progress of one.

            DeadlineError: It took too long; the message names the session that held it
                up, where one did.

            PluginMissingError, ConfigError: The store takes no checkpoints.

            ConfigError, TypeError: An argument that makes no sense.

        Units: seconds.

        Cost: writes what has changed since the last one, and waits until it is durable.
        """
        durability = self._durable("checkpoint", changes=True)
        from pyfaster._durable import check_request

        check_request(kind, cookie, timeout)
        seconds = self.config.checkpoint_timeout if timeout is None else timeout

        def take() -> CheckpointInfo:
            return self._take(durability, kind, cookie, seconds, progress)

        return take() if wait else durability.take_later(take)

    def _take(
        self,
        durability: Durability,
        kind: str,
        cookie: bytes = b"",
        timeout: float = 0.0,
        progress: ProgressCall | None = None,
        *,
        last: bool = False,
    ) -> CheckpointInfo:
        """
        Take one and tell the plugins of it.
        """
        from pyfaster._phases import Phases
        from pyfaster.events import CheckpointFailed, CheckpointTaken

        phases = Phases(self.name, self._tell_event, progress)
        try:
            info = durability.take(kind, cookie, timeout, phases, last=last)
        except (CheckpointBusyError, ClosedError):
            raise  # it was not even begun
        except Exception as error:
            failed = CheckpointFailed(
                self.name, kind, error, phases.duration_ns, time_ns=time.time_ns()
            )
            self.tell_plugins("pyfaster_event", event=failed)
            raise
        taken = CheckpointTaken(
            self.name, info, phases.duration_ns, time_ns=time.time_ns()
        )
        self.tell_plugins("pyfaster_event", event=taken)
        return info

    # --- those that there are -------------------------------------------------------

    def checkpoints(self) -> tuple[CheckpointInfo, ...]:
        """
        The checkpoints that there are, the newest first; damaged ones say so.
        """
        return self._durable("checkpoints").keeper.checkpoints()

    def validate(self, token: str, *, deep: bool = False) -> ValidationReport:
        """
        Look through a checkpoint.

        Args:
            token: Its name.

            deep: Whether every byte is read; else the manifest and the files' lengths.

        Raises:
            CheckpointNotFoundError: There is none of this name.
        """
        return self._durable("validate").keeper.validate(token, deep=deep)

    def prune(
        self, *, keep: int | None = None, keep_for: float | None = None
    ) -> tuple[str, ...]:
        """
        Let older checkpoints go, and give their names.

        Args:
            keep: How many of the newest stay; `keep_checkpoints` of the settings when
                None.

            keep_for: Seconds for which one stays however many there are; `keep_for` of
                the settings when None.

        What others need, and what is pinned, stays in any case.

        Raises:
            CheckpointBusyError: A checkpoint was being taken all the time, or is, and
                this is called by its progress; `pin` and `unpin` likewise.

            ConfigError, TypeError: An argument that makes no sense.
        """
        from pyfaster._durable import check_keep, check_seconds

        keeper = self._changing("prune").keeper
        check_keep(keep)
        check_seconds("keep_for", keep_for)
        return keeper.prune(keep=keep, keep_for=keep_for)

    def pin(self, token: str) -> None:
        """
        Keep a checkpoint until `unpin`, also when the store is opened again.

        Raises:
            CheckpointNotFoundError: There is none of this name.
        """
        self._changing("pin").keeper.pin(token)

    def unpin(self, token: str) -> None:
        """
        The opposite of `pin`; one that is not pinned is no error.
        """
        self._changing("unpin").keeper.unpin(token)

    @property
    def recovery(self) -> RecoveryReport | None:
        """
        What the store was recovered from when it was opened; None when it began empty.
        """
        return None if self._durability is None else self._durability.report

    @property
    def checkpoint_failure(self) -> Exception | None:
        """
        Why the last checkpoint in the background (`checkpoint_every`) could not be
        taken; None when it could, and when another one has been taken since.
        """
        kept = self._durability
        return None if kept is None else kept.life.commits.failure

    # --- sessions -------------------------------------------------------------------

    def forget_session(self, name: str) -> None:
        """
        Drop the name and the commit point of a session that nobody will resume.

        From the next checkpoint on it is as if it had never been; `close()` takes one
        for it.

        Raises:
            ClosedError: The store is closed.

            SessionBusyError: It is open.

            UnknownSessionError: No session has this name.

            PluginMissingError, ConfigError: The store takes no checkpoints.
        """
        durability = self._durable("forget_session", changes=True)
        with self._lock:
            if durability.life.kv.closed:
                raise error_for(CLOSED, self._place())
            live: Iterable[Any] = self._sessions
            if any(one.name == name and not one.closed for one in live):
                raise SessionBusyError(
                    f"{self._place()}: the session named {name!r} is open; close it "
                    "first"
                )
            if not durability.forget(name):
                raise UnknownSessionError(
                    f"{self._place()}: no session named {name!r} is known"
                )

    # --- inside ---------------------------------------------------------------------

    def _durable(self, what: str, *, changes: bool = False) -> Durability:
        """
        What keeps the checkpoints, for a call that may be made of it.

        Args:
            what: The call's name.

            changes: Whether it changes something.

        Raises:
            ForkedError: The store belongs to the parent of this process.

            ReadOnlyError: It would change what is only looked at.

            PluginMissingError: Nobody could.

            ConfigError: Nobody does.
        """
        self._refuse_fork(what)
        if changes and self.config.read_only:
            refuse(what)
        if self._durability is not None:
            return self._durability
        if self._registry.checkpoint_provider() is None:
            raise PluginMissingError(
                f"{self._place()}: {what}: no plugin for checkpoints is installed; "
                f"{pip_line('checkpoint')}"
            )
        raise ConfigError(
            f"{self._place()}: {what}: a store in memory, or one opened with "
            "durable=False, has nowhere to keep a checkpoint"
        )

    def _changing(self, what: str) -> Durability:
        """
        The same for a call that changes what is on disk, and waits for a checkpoint
        that is being taken: not for the one that it is called from.
        """
        durability = self._durable(what, changes=True)
        durability.refuse_inside(what)
        return durability

    def _take_last(self, wanted: bool | None) -> None:
        """
        Take the checkpoint on close, if it is wanted and would say something new.
        """
        durability, config = self._durability, self.config
        if durability is None or config.read_only:
            return
        if not (config.checkpoint_on_close if wanted is None else wanted):
            return
        if not durability.changed:
            return
        try:
            self._take(durability, "auto", timeout=config.checkpoint_timeout, last=True)
        except BaseException:
            durability.reopen()
            raise

    def _begin(self) -> None:
        """
        Say what opening has found, and take checkpoints from time to time.
        """
        if self._durability is not None:
            for event in self._durability.events:
                self.tell_plugins("pyfaster_event", event=event)
            self._begin_background()

    def _begin_background(self) -> None:
        """
        Take checkpoints from time to time, when something has changed.
        """
        durability, seconds = self._durability, self.config.checkpoint_every
        if durability is None or seconds is None:
            return
        ghost = weakref.ref(self)  # the thread does not keep the store

        def take() -> None:
            store = ghost()
            kept = None if store is None else store._durability
            if store is None or kept is None or not kept.changed:
                return
            store._take(kept, "auto", timeout=store.config.checkpoint_timeout)

        def failed(error: Exception) -> None:
            store = ghost()
            kept = None if store is None else store._durability
            if kept is not None:
                kept.failed(error)

        repeater = durability.keeper.every(seconds, take, failed)
        durability.repeater = repeater
        end = weakref.finalize(self, repeater.stop, 0.0)
        end.atexit = False  # the thread keeps no process alive
        self._no_background = end
        if durability.closing:  # close() has not seen it
            end()

    def _end_background(self) -> None:
        """
        Take no more checkpoints from time to time; one under way is not waited for.
        """
        durability, end = self._durability, self._no_background
        if durability is not None and end is not None:
            durability.repeater = self._no_background = None
            end()


__all__ = ["StoreCheckpoints"]
