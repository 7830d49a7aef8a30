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

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
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
    from pyfaster.checkpoints import (
        CheckpointInfo,
        CheckpointKeeper,
        ProgressCall,
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
        the last one began, or a session with a name has updates that none commits.
        """
        if self._updates() != self._saved:
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
        progress: ProgressCall | None,
        *,
        last: bool = False,
    ) -> CheckpointInfo:
        """
        Take a checkpoint, after one that is under way.

        Args:
            kind: As in `FasterKv.checkpoint`.

            cookie: Likewise.

            timeout: For waiting and taking together.

            progress: Likewise.

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
            updates = self._updates()
            engine = CoreCheckpoint(self.life)
            left = max(0.0, deadline - time.monotonic())
            try:
                info = self.keeper.take(
                    engine, kind, cookie=cookie, timeout=left, progress=progress
                )
            finally:
                engine.end(False)
            if info.kind != "index":
                self._saved = updates
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

        threading.Thread(target=run, name="pyfaster-checkpoint", daemon=True).start()
        return future

    def _admit(self, timeout: float) -> None:
        if self._owner == threading.get_ident():
            raise self._busy("it was asked for by the one that is being taken")
        if not self._admits.acquire(timeout=timeout):
            raise self._busy(f"it was not at its end after {timeout:g} seconds")
        self._owner = threading.get_ident()

    def _dismiss(self) -> None:
        self._owner = None
        self._admits.release()

    def _busy(self, why: str) -> CheckpointBusyError:
        return CheckpointBusyError(
            f"store {self.life.name!r}: another checkpoint is being taken, and {why}; "
            "wait for it, or allow more time"
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
        return True


def check_request(kind: object, cookie: object, timeout: float | None) -> None:
    """
    Refuse what makes no sense.

    Raises:
        ConfigError: A kind that there is not, or a timeout below 0.

        TypeError: The cookie is not bytes.
    """
    if kind != AUTO and kind not in KINDS:
        kinds = ", ".join(map(repr, (AUTO, *KINDS)))
        raise ConfigError(f"kind={kind!r}: there are {kinds}")
    if not isinstance(cookie, bytes):
        raise TypeError(f"a cookie is bytes, found {type(cookie).__name__}")
    if timeout is not None and not 0 <= timeout <= TIMEOUT_MAX_S:
        raise ConfigError(
            f"timeout={timeout!r}: give seconds from 0 to {TIMEOUT_MAX_S:.0f}, or None"
        )


__all__ = ["AUTO", "Durability", "check_request"]
