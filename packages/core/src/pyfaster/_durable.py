# SPDX-License-Identifier: MIT
"""
What a durable store has beside its core: a keeper of checkpoints, and who may ask it.

Theory of operation: one lock admits one checkpoint at a time; whoever comes meanwhile
waits for it, as long as it is ready to wait. What has changed since the last checkpoint
is told from the core's counters and the sessions' serial numbers as they were before it
began, so a checkpoint on close is left out only where it would say nothing new. A store
that is being closed lets a checkpoint under way come to its end, and gives it up when
the time is over.
"""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from numbers import Real
from typing import TYPE_CHECKING, Any

from pyfaster import _cabi, _cabi_checkpoint
from pyfaster._checkpoint import CoreCheckpoint, Life
from pyfaster._checkpoint_values import KINDS
from pyfaster._commits import ANONYMOUS
from pyfaster._config import TIMEOUT_MAX_S
from pyfaster.errors import (
    CheckpointBusyError,
    ClosedError,
    ConfigError,
    DeadlineError,
)

if TYPE_CHECKING:
    from pyfaster._phases import Phases
    from pyfaster.checkpoints import (
        CheckpointInfo,
        CheckpointKeeper,
        RecoveryReport,
        Repeater,
    )

AUTO = "auto"

#: How long a checkpoint that is given up may take to notice, in seconds.
GRACE_S = 10.0

#: Figures of the core that tell of changes.
_UPDATES = ("upserts", "inserts", "rmws", "deletes", "compares")


class Durability:
    """
    The checkpoints of an open store.

    Args:
        life: What the core's side needs.

        keeper: Who keeps them.

        report: What the store was recovered from, if it was.

        events: Told before the store was there, which is to be said now.

    Attributes:
        repeater: Who takes them in the background, if anybody does.

        closing: Whether no new one may begin.
    """

    def __init__(
        self,
        life: Life,
        keeper: CheckpointKeeper,
        report: RecoveryReport | None,
        events: Iterable[object] = (),
    ) -> None:
        self.life = life
        self.keeper = keeper
        self.report = report
        self.events = tuple(events)
        self.repeater: Repeater | None = None
        self._admits = threading.Lock()
        self._owner: int | None = None  # the thread that takes one
        self.closing = False
        self._saved = 0  # updates when the last one began
        self._forgotten = 0  # names of sessions so far
        self._dropped = 0  # of them, when the last one began
        self._warned = False
        self._sessions: Callable[[], Iterable[Any]] = tuple

    def attend(self, sessions: Callable[[], Iterable[Any]]) -> None:
        """
        Begin: nothing has changed yet.

        Args:
            sessions: Gives the store's sessions.
        """
        self._sessions = sessions
        self._saved = self._updates()

    def _updates(self) -> int:
        """
        How many updates have changed something.
        """
        figures = _cabi.kv_stats(self.life.kv)
        return sum(figures[name] for name in _UPDATES)

    @property
    def changed(self) -> bool:
        """
        Whether a checkpoint would say something new: something may have changed since
        the last one began, a session was forgotten, or one with a name has updates that
        none commits.
        """
        if self._updates() != self._saved or self._forgotten != self._dropped:
            return True
        commits = self.life.commits
        serials = commits.issued()
        with self.life.lock:
            for session in self._sessions():
                if not session.closed:
                    serials[session.number] = session.serial
        return any(
            serial > commits.serial_of(number)
            for number, serial in serials.items()
            if 0 < number < ANONYMOUS
        )

    # --- one checkpoint -------------------------------------------------------------

    def take(
        self,
        kind: str,
        cookie: bytes,
        timeout: float,
        phases: Phases,
        *,
        last: bool = False,
    ) -> CheckpointInfo:
        """
        Take a checkpoint, after one that is under way.

        Args:
            kind: As in `FasterKv.checkpoint`.

            cookie: Likewise.

            timeout: For waiting and taking together.

            phases: Are told how far it is.

            last: It is the one on close.

        Raises:
            CheckpointBusyError: Another one took all the time.

            ClosedError: The store is being closed.
        """
        deadline = time.monotonic() + timeout
        self._admit(timeout)
        try:
            if self.closing and not last:
                raise self._closed()
            updates, forgotten = self._updates(), self._forgotten
            engine = CoreCheckpoint(self.life)
            phases.begin(engine)
            left = max(0.0, deadline - time.monotonic())
            try:
                info = self.keeper.take(
                    engine, kind, cookie=cookie, timeout=left, progress=phases
                )
            finally:
                engine.end(False)
            phases.finish()
            if info.kind != "index":
                self._saved, self._dropped = updates, forgotten
                self.life.commits.failure = None
            return info
        finally:
            self._dismiss()

    def take_later(self, take: Callable[[], CheckpointInfo]) -> Future[CheckpointInfo]:
        """
        Let a thread of its own take one.
        """
        future: Future[CheckpointInfo] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                info = take()
            except BaseException as error:  # noqa: BLE001 - it is the future's result
                future.set_exception(error)
            else:
                future.set_result(info)

        thread = threading.Thread(target=run, name="pyfaster-checkpoint", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter ends, or there are too many
            run()
        return future

    def failed(self, error: Exception) -> None:
        """
        One in the background could not be taken: keep why, and warn of the first.
        """
        if self.closing and isinstance(error, ClosedError):
            return
        self.life.commits.failure = error
        if self._warned:
            return
        self._warned = True
        with suppress(RuntimeWarning):  # the next one is to be tried all the same
            warnings.warn(
                f"store {self.life.name!r}: a checkpoint in the background failed, and "
                f"others may: {type(error).__name__}: {error}; see "
                "store.checkpoint_failure",
                RuntimeWarning,
                stacklevel=2,
            )

    def refuse_inside(self, what: str) -> None:
        """
        Refuse what would wait for the checkpoint that it is called from.

        Raises:
            CheckpointBusyError: It is called by the progress of one.
        """
        if self._owner == threading.get_ident():
            raise self._busy(f"{what}() was asked for by the one that is being taken")

    def _admit(self, timeout: float) -> None:
        self.refuse_inside("checkpoint")
        if not self._admits.acquire(timeout=timeout):
            why = f"it was not at its end after {timeout:g} seconds"
            raise self._busy(why, "wait for it, or allow more time")
        self._owner = threading.get_ident()

    def _dismiss(self) -> None:
        self._owner = None
        self._admits.release()

    def _busy(
        self, why: str, advice: str = "call it when that one is complete"
    ) -> CheckpointBusyError:
        return CheckpointBusyError(
            f"store {self.life.name!r}: another checkpoint is being taken, and {why}; "
            f"{advice}"
        )

    def _closed(self) -> ClosedError:
        return ClosedError(
            f"store {self.life.name!r} is being closed; it takes no more checkpoints"
        )

    # --- the end --------------------------------------------------------------------

    def quiesce(self, timeout: float) -> None:
        """
        Let a checkpoint under way end, or give it up; none begins after it.

        Raises:
            DeadlineError: It did not even notice that it was given up.

            CheckpointBusyError: It is the one that calls.
        """
        deadline = time.monotonic() + timeout
        if self._owner == threading.get_ident():
            raise self._busy("the store cannot be closed from inside it")
        self.closing = True
        if self._ended(deadline):
            return
        self.life.ending.set()
        try:
            if not self._ended(time.monotonic() + GRACE_S):
                raise DeadlineError(
                    f"store {self.life.name!r}: a checkpoint under way did not end in "
                    f"{timeout:g} seconds, nor when it was given up; close() may be "
                    "repeated"
                )
        finally:
            self.life.ending.clear()

    def _ended(self, deadline: float) -> bool:
        left = max(0.0, deadline - time.monotonic())
        if self.repeater is not None and not self.repeater.stop(left):
            return False
        left = max(0.0, deadline - time.monotonic())
        if not self._admits.acquire(timeout=left):
            return False
        self._admits.release()
        return True

    def reopen(self) -> None:
        """
        Closing has failed, and the store is as it was, but for the background.
        """
        self.closing = False

    def close(self) -> None:
        """
        End, when the core has been closed; a second call does nothing.
        """
        self.closing = True
        self.life.commits.end()
        self.keeper.close()

    # --- sessions -------------------------------------------------------------------

    def forget(self, name: str) -> bool:
        """
        Drop a closed session's name; whether there was one. The caller holds the lock.
        """
        names = self.life.names
        if name not in names:
            return False
        _cabi_checkpoint.session_forget(self.life.kv, names.number_of(name))
        self.life.commits.forget(names.forget(name))
        self._forgotten += 1
        return True


def check_request(kind: object, cookie: object, timeout: float | None) -> None:
    """
    Refuse what makes no sense.

    Raises:
        ConfigError: A kind that there is not, or a timeout below 0.

        TypeError: The cookie is not bytes, or the timeout no number.
    """
    if kind != AUTO and kind not in KINDS:
        kinds = ", ".join(map(repr, (AUTO, *KINDS)))
        raise ConfigError(f"kind={kind!r}: there are {kinds}")
    if not isinstance(cookie, bytes):
        raise TypeError(f"a cookie is bytes, found {type(cookie).__name__}")
    check_seconds("timeout", timeout, TIMEOUT_MAX_S)


def check_seconds(name: str, seconds: Any, limit: float = math.inf) -> None:
    """
    Refuse a number of seconds that is none.

    Args:
        name: The argument's, for messages.

        seconds: What was given; None is right.

        limit: How many there may be.

    Raises:
        ConfigError: It is below 0 or more than the limit.

        TypeError: It is no number.
    """
    if seconds is None:
        return
    is_number = not isinstance(seconds, bool) and isinstance(seconds, Real)
    if not is_number:
        found = f"{name}={seconds!r}, a {type(seconds).__name__}"
        raise TypeError(f"{found}: give seconds as a number, or None")
    if not 0 <= seconds <= limit:
        most = "or more" if limit == math.inf else f"to {limit:.0f}"
        raise ConfigError(f"{name}={seconds!r}: give seconds from 0 {most}, or None")


def check_keep(keep: object) -> None:
    """
    Refuse what is no number of checkpoints.

    Raises:
        ConfigError: It is below 1.

        TypeError: It is no whole number.
    """
    if keep is None:
        return
    if not isinstance(keep, int) or isinstance(keep, bool):
        found = f"keep={keep!r}, a {type(keep).__name__}"
        raise TypeError(f"{found}: give the number of checkpoints that stay, or None")
    if keep < 1:
        raise ConfigError(f"keep={keep!r}: at least 1 checkpoint stays")


__all__ = ["AUTO", "Durability", "check_keep", "check_request", "check_seconds"]
