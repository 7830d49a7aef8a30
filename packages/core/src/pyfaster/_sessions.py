# SPDX-License-Identifier: MIT
"""
The sessions of a store: those that users open, and the implicit ones, one per thread,
given back when the thread ends.

Theory of operation of the implicit ones: each thread's session sits in a
`threading.local`. Beside it lies a lease, an object that nobody else holds; when the
thread ends, its locals are dropped, the lease dies, and its finalizer puts the session
into a deque from which the next new thread takes it. The finalizer may run at any
moment and in any thread, so it takes no lock: appending to a deque is one step.
"""

from __future__ import annotations

import threading
import time
import weakref
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeAlias, TypeVar

from pyfaster import _cabi
from pyfaster._session import Session, left_ms
from pyfaster._stats import SessionInfo
from pyfaster.errors import (
    ConfigError,
    DeadlineError,
    FasterError,
    Place,
    SessionBusyError,
    UnknownSessionError,
    error_for,
)

if TYPE_CHECKING:
    from pyfaster._async import AsyncSession
    from pyfaster._checkpoint import Life
    from pyfaster._config import StoreConfig
    from pyfaster.protocols import Codec

K = TypeVar("K")
V = TypeVar("V")
S = TypeVar("S")

#: Between two looks whether a name or a place is free.
_SLICE_MS = 50

AnySession: TypeAlias = "Session[K, V] | AsyncSession[K, V]"


class Lease(Generic[S]):
    """
    One thread's right to a session; gives it back when it dies.
    """

    __slots__ = ("_free", "session")

    def __init__(self, session: S, free: deque[S]) -> None:
        self.session = session
        self._free = free

    def __del__(self) -> None:
        self._free.append(self.session)


class Here(threading.local, Generic[S]):
    """
    The calling thread's session, as the attribute `session`.

    Args:
        make: Opens a session when no thread has left one.
    """

    def __init__(self, make: Callable[[], S], free: deque[S]) -> None:
        self._make = make
        self._free = free

    def __getattr__(self, name: str) -> S:
        # Only reached when the thread has no session yet.
        if name != "session":
            raise AttributeError(name)
        try:
            session = self._free.pop()
        except IndexError:
            session = self._make()
        self._lease = Lease(session, self._free)
        self.session: S = session
        return session


class SessionMaker(Generic[K, V]):
    """
    What a store opens sessions with.
    """

    config: StoreConfig
    key_codec: Codec[K]
    value_codec: Codec[V]
    _kv: _cabi.Kv
    _lock: threading.RLock
    _sessions: weakref.WeakSet[AnySession[K, V]]
    _implicit: weakref.WeakSet[Session[K, V]]
    _life: Life | None

    @abstractmethod
    def _refuse_fork(self, what: str) -> None: ...

    @abstractmethod
    def _place(self) -> Place: ...

    def session(self, name: str | None = None) -> Session[K, V]:
        """
        Open a session; use it in a `with` statement.

        Args:
            name: What to call it; a name is live once at a time. In a durable store a
                name is kept by checkpoints: a session of a name that was used before
                goes on behind that one's last update that the store has.

        Raises:
            SessionBusyError: A session of this name is open.

            TooManySessionsError: `sessions_max` sessions are open.

            DeadlineError: Updates of a session of this name that was dropped are not
                done, after `close_timeout` of the settings.

        Cost: one C call and a small allocation.
        """
        return self._open_named(self._kinds()[0], name, "session")

    def resume(self, name: str) -> Session[K, V]:
        """
        Open a session by a name that the store knows from before.

        Args:
            name: As given to `session` or `async_session` in this or an earlier life.

        Returns:
            The session. Its `committed_serial` says which of its updates the store
            has; repeat those behind it, and each counts once.

        Raises:
            UnknownSessionError: No checkpoint knows the name, nor was it used since.

            ConfigError: The store takes no checkpoints.

            SessionBusyError, TooManySessionsError, DeadlineError: As in `session`.
        """
        self._refuse_fork("resume")
        life = self._life
        if life is None:
            raise ConfigError(
                f"{self._place()}: it takes no checkpoints, so there is no session "
                "to resume; open a durable store"
            )
        return self._open_named(self._kinds()[0], name, "resume", known=life)

    def async_session(self, name: str | None = None) -> AsyncSession[K, V]:
        """
        Open a session for the tasks of one event loop; use it in an `async with`
        statement.

        Args:
            name: As in `session`.

        Raises:
            SessionBusyError, TooManySessionsError, DeadlineError: As in `session`.

            ConfigError: From `async with`: the running loop cannot watch a descriptor;
                the message names one that can.

        Cost: as `session`, and a descriptor that the loop watches.
        """
        return self._open_named(self._kinds()[1](), name, "async_session")

    def _kinds(self) -> tuple[type[Session[K, V]], Callable[[], Any]]:
        """
        The class of sessions, and what imports that of sessions for an event loop,
        which not everybody wants.
        """
        if self.config.read_only:
            from pyfaster import _read_only

            return _read_only.ReadOnlySession, _read_only.async_kind
        return Session, _async_kind

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """
        Refuse to be copied or pickled: there is one owner.
        """
        raise TypeError(
            f"{self._place()}: a store is neither copied nor pickled; give the other "
            "process its path, to open once this one is closed, or to mount with "
            "read_only=True"
        )

    def sessions(self) -> tuple[SessionInfo, ...]:
        """
        The sessions that are open, those that threads use implicitly included.
        """
        with self._lock:
            return tuple(
                SessionInfo(one.name, one.serial, one in self._implicit)
                for one in self._sessions
                if not one.closed
            )

    def _open_named(
        self,
        kind: Callable[..., S],
        name: str | None,
        what: str,
        *,
        known: Life | None = None,
    ) -> S:
        self._refuse_fork(what)
        if name is not None and (not isinstance(name, str) or not name):
            raise ConfigError(f"a session's name is a text, found {name!r}")

        def open_one() -> S:
            if known is not None and name not in known.names:
                raise UnknownSessionError(
                    f"{self._place()}: no session named {name!r} is known; "
                    f"store.session({name!r}) begins one"
                )
            if name is not None and any(
                other.name == name and not other.closed for other in self._sessions
            ):
                raise SessionBusyError(
                    f"{self._place()}: a session named {name!r} is open already; "
                    "close it first, or choose another name"
                )
            return self._open_session(kind, name)

        return self._when_free(open_one, what)

    def _when_free(self, open_one: Callable[[], S], what: str) -> S:
        """
        Open a session under the lock, once updates of a session that was dropped are
        done where they are in the way.

        Raises:
            DeadlineError: They were not in time.
        """
        seconds = self.config.close_timeout
        deadline = time.monotonic() + seconds
        while True:
            try:
                with self._lock:
                    return open_one()
            except SessionBusyError as error:
                if error.status != _cabi.BUSY:
                    raise  # that session is open
                if time.monotonic() >= deadline:
                    raise DeadlineError(
                        f"{self._place()}: {what}: updates of a session that was "
                        f"dropped were still on their way after {seconds:g} seconds; "
                        "the device is slow or stuck"
                    ) from error
            _cabi.kv_drain(self._kv, min(left_ms(deadline), _SLICE_MS))

    def _open_session(
        self, kind: Callable[..., S], name: str | None, *, counted: bool = True
    ) -> S:
        number, life = 0, self._life
        known: dict[str, Any] = {}
        if life is not None and counted:
            names = life.names
            number = names.unnamed() if name is None else names.number_of(name)
            serial = names.recovered(number)
            known = {"number": number, "serial": serial, "commits": life.commits}
        try:
            session = kind(
                self._kv,
                self.key_codec,
                self.value_codec,
                name=name,
                page_size=self.config.page_size,
                **known,
            )
        except FasterError as error:
            raise error_for(error.status, self._place()) from error
        self._sessions.add(session)  # type: ignore[arg-type]  # either kind
        if life is not None and number and name is None:
            life.names.keep(number, session)
            if life.names.crowded:
                life.drop_gone()
        return session

    def _open_implicit(self) -> Session[K, V]:
        self._refuse_fork("an operation")

        def open_one() -> Session[K, V]:
            kind = self._kinds()[0]
            session: Session[K, V] = self._open_session(kind, None, counted=False)
            self._implicit.add(session)
            return session

        return self._when_free(open_one, "an operation")


def _async_kind() -> Any:
    from pyfaster._async import AsyncSession

    return AsyncSession


__all__ = ["AnySession", "Here", "Lease", "SessionMaker"]
