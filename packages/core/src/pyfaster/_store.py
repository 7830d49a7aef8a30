# SPDX-License-Identifier: MIT
"""
The store: what `pyfaster.open` gives.

A `FasterKv` owns the core's handle, makes sessions, and is itself a mapping over one
implicit session per thread. Operations on one key are the session's, and `_delegate`
passes them on; this module adds none of its own. Settings are left to `_config`,
plugins to `_registry`, and everything that C does to `_cabi` and `_hot`.
"""

from __future__ import annotations

import errno
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from pyfaster import _cabi
from pyfaster._checkpoints_of import StoreCheckpoints
from pyfaster._delegate import SessionDelegate
from pyfaster._home import Home, fresh_id
from pyfaster._read_only import refuse
from pyfaster._reconfigure import StoreSettings
from pyfaster._scan import Origin, Scan, ScanCursor, Scanner
from pyfaster._session import Session, left_ms
from pyfaster._sessions import AnySession, Here, SessionMaker
from pyfaster._watching import Watching
from pyfaster.errors import (
    ConfigError,
    DeviceError,
    FasterError,
    Place,
    error_for,
)

if TYPE_CHECKING:
    from pyfaster._config import StoreConfig
    from pyfaster._durable import Durability
    from pyfaster._registry import Registry
    from pyfaster.protocols import Codec, DeviceFailure

K = TypeVar("K")
V = TypeVar("V")

_TIMEOUT_MAX = 86_400.0
_NOTHING: Any = object()


class FasterKv(
    SessionMaker[K, V],
    Watching,
    StoreCheckpoints,
    StoreSettings,
    SessionDelegate[K, V],
):
    """
    A store; any number of threads may use it at once.

    Made by `pyfaster.open`. Used as a mapping, or through `session()`, which is faster
    in loops and has serial numbers of its own.

    Attributes:
        name: How the store was opened: ":memory:", "file:data".

        config: Its settings.

        key_codec: How keys become bytes.

        value_codec: How values become bytes.
    """

    def __init__(
        self,
        kv: _cabi.Kv,
        *,
        name: str,
        home: Home,
        config: StoreConfig,
        key_codec: Codec[K],
        value_codec: Codec[V],
        registry: Registry,
        durability: Durability | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self.key_codec = key_codec
        self.value_codec = value_codec
        self._kv = kv
        self._home = home
        self._registry = registry
        self._pid = os.getpid()
        self._durability = durability
        self._life = None if durability is None else durability.life
        # A __del__ may open a session inside.
        self._lock = threading.RLock() if self._life is None else self._life.lock
        self._sessions: weakref.WeakSet[AnySession[K, V]] = weakref.WeakSet()
        self._implicit: weakref.WeakSet[Session[K, V]] = weakref.WeakSet()
        self._untold = [True]  # popped by whoever tells the plugins of the end
        self._begin_watching(name)
        self._popping: Iterator[K] | None = None  # under the lock
        number = home.store_id or fresh_id()
        self._origin = Origin(f"store {name!r}", number, config.page_size, kv.handle)
        ghost = weakref.ref(self)  # the store and its threads' locals are no cycle

        def open_for_thread() -> Session[K, V]:
            store = ghost()
            if store is None:
                raise error_for(_cabi.CLOSED, "a store that is gone")
            return store._open_implicit()

        self._here: Here[Session[K, V]] = Here(open_for_thread, deque())
        if durability is not None:
            sessions = self._sessions
            durability.attend(lambda: list(sessions))

    # --- lifetime -------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """
        Whether `close` has succeeded.
        """
        return self._kv.closed

    def close(
        self, timeout: float | None = None, *, checkpoint: bool | None = None
    ) -> None:
        """
        Close the store: calls in flight finish, new ones raise `ClosedError`.

        A second call does nothing. All data is gone, unless checkpoints keep it. A
        durable store takes a last one if something has changed since the one before;
        what other threads change while it is taken may not be in it.

        Args:
            timeout: How long to wait, for a checkpoint that is being taken, for updates
                that were started and for calls in flight together; `close_timeout` of
                the settings when None. A last checkpoint has `checkpoint_timeout`. A
                checkpoint under way that has not ended in time is given up; it notices
                between two pieces of its work and not while its progress callback runs,
                for which close waits up to 10 seconds more. Plugins that are being told
                of events are waited for, too, at least 10 seconds.

            checkpoint: Whether to take a last one; `checkpoint_on_close` of the
                settings when None.

        Raises:
            DeadlineError: A call in flight did not end in time; close may be repeated.

            CheckpointFailedError: The last checkpoint could not be taken; the store is
                still open. Close may be repeated, or called with `checkpoint=False`.

            ForkedError: The store belongs to the parent of this process.

        Units: seconds.

        Cost: may block up to the timeout.
        """
        self._refuse_fork("close")
        deadline = time.monotonic() + self._seconds(timeout)
        if not self.closed:
            with suppress(FasterError):
                self.stats()  # events that nobody has been told of yet
            if self._durability is not None:
                self._durability.quiesce(deadline - time.monotonic())
            self._drain(deadline)
            started = time.monotonic()
            self._take_last(checkpoint)
            deadline += time.monotonic() - started
        try:
            self._kv.close(left_ms(deadline))
        except FasterError as error:
            raise error_for(error.status, self._place()) from error
        if self._durability is not None:
            self._durability.close()
        self._home.close()
        self._end_listening(deadline - time.monotonic())
        try:
            self._untold.pop()
        except IndexError:
            return
        self.tell_plugins("pyfaster_store_closed")

    def _seconds(self, timeout: float | None) -> float:
        """
        How long to wait at most.
        """
        seconds = self.config.close_timeout if timeout is None else timeout
        if not 0 <= seconds <= _TIMEOUT_MAX:
            raise ConfigError(
                f"timeout={timeout!r}: give seconds from 0 to {_TIMEOUT_MAX:.0f}"
            )
        return seconds

    def _drain(self, deadline: float) -> None:
        """
        Let updates that were started take place, those of sessions that were dropped,
        too; a session that is in use sees to its own.
        """
        with self._lock:
            sessions = [one for one in self._sessions if not one.closed]
        for session in sessions:
            with suppress(FasterError):
                _cabi.session_drain(session.address, left_ms(deadline))
        _cabi.kv_drain(self._kv, left_ms(deadline))

    def __enter__(self) -> FasterKv[K, V]:
        """
        Give the store itself.
        """
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """
        Close the store; also when its last checkpoint fails, which is then raised.
        """
        try:
            self.close()
        except BaseException:
            kept = self._durability
            if not self.closed and kept is not None and not kept.closing:
                self.close(checkpoint=False)
            raise

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        codecs = f"{self.key_codec.name} -> {self.value_codec.name}"
        return f"<{type(self).__name__} {self.name!r} {codecs}, {state}>"

    # --- sessions -------------------------------------------------------------------

    def _session(self) -> Session[K, V]:
        return self._here.session

    def _refuse_fork(self, what: str) -> None:
        """
        Refuse before a lock is taken, which the parent may have held at the fork.
        """
        if os.getpid() != self._pid:
            raise error_for(_cabi.FORKED, f"{self._place()}: {what}")

    def _place(self) -> Place:
        return Place(
            f"store {self.name!r}",
            memory=self.config.memory or 0,
            page_size=self.config.page_size,
            sessions_max=self.config.sessions_max,
        )

    # --- scans ----------------------------------------------------------------------

    def __iter__(self) -> Iterator[K]:
        """
        The live keys, each once, while others may change the store.

        A key that is there from the first step to the last is given once; one that
        comes or goes meanwhile at most once.

        Cost: reads the log from begin to tail, a bounded piece at a time.
        """
        return map(self.key_codec.decode, self._scan(with_values=False).keys())

    def scan_items(self) -> Iterator[tuple[K, V]]:
        """
        As iteration, with the values.
        """
        key, value = self.key_codec.decode, self.value_codec.decode
        return ((key(k), value(v)) for k, v in self._scan(with_values=True).items())

    def scan_values(self) -> Iterator[V]:
        """
        As iteration, the values alone.
        """
        return map(self.value_codec.decode, self._scan(with_values=True).values())

    def count(self) -> int:
        """
        Count the live records by scanning.

        Cost: reads the log from begin to tail; no Python object per record.
        """
        return self._scan(with_values=False).count()

    def scan(self, cursor: ScanCursor | None = None) -> Scanner[K, V]:
        """
        Scan from where an earlier scan stood, or from the beginning.

        Args:
            cursor: The `cursor` of an earlier scan of this store, which has been open
                ever since.

        Returns:
            An iterator of (key, value); its `cursor` says after each step where to go
            on. What iteration promises holds for the whole that the pieces make up.

        Raises:
            ConfigError: The cursor is of another store, or of an earlier opening.

            CorruptRecordError, DeviceError: From a step: a page could not be read, and
                keys are missing; the message says which. The next step goes on behind
                it.
        """
        return Scanner(
            self._scan(with_values=True, cursor=cursor),
            self.key_codec.decode,
            self.value_codec.decode,
        )

    def _scan(self, *, with_values: bool, cursor: ScanCursor | None = None) -> Scan:
        return Scan(
            self._origin,
            self._session,
            self.key_codec.size,
            self.value_codec.size,
            with_values=with_values,
            cursor=cursor,
        )

    # --- the store as a whole -------------------------------------------------------

    def popitem(self) -> tuple[K, V]:
        """
        Remove some key, the oldest first, and give it with its value.

        Raises:
            KeyError: The store is empty.

        Cost: goes on where the last call of any thread stood, so emptying a store this
            way scans it about once. Not one step: a value that another thread sets
            between the reading and the removal is lost.
        """
        while True:
            key, fresh = self._next_to_pop()
            if key is _NOTHING:
                if fresh:
                    raise KeyError("popitem(): the store is empty")
                continue
            value = self.read(key, _NOTHING)
            if value is not _NOTHING and self.delete(key):
                return key, value

    def _next_to_pop(self) -> tuple[Any, bool]:
        """
        The next key of the scan that `popitem` shares, and whether it just began.
        """
        with self._lock:
            fresh = self._popping is None
            keys = iter(self) if self._popping is None else self._popping
            key = next(keys, _NOTHING)
            self._popping = None if key is _NOTHING else keys
        return key, fresh

    def flush(self, timeout: float | None = None) -> None:
        """
        Write everything that is in the log now to the device.

        Nothing happens to a store in memory. Written is not durable: that takes a
        checkpoint. Also tries again after writes have failed.

        Args:
            timeout: How long to wait; `close_timeout` of the settings when None.

        Raises:
            DeviceError: A write failed; nothing in memory is lost.

            DeadlineError: The device was not ready in time.

        Units: seconds.

        Cost: closes the sector that the tail is in, and waits for the device.
        """
        self._move_regions("flush", _cabi.kv_flush, timeout)

    def evict(self, timeout: float | None = None) -> None:
        """
        Write everything to the device and let it leave memory.

        For tests, and before a pause in which others need the memory. A page that a
        `read_view` is open on stays, and so does everything behind it.

        Args:
            timeout: As in `flush`.

        Raises:
            DeviceError, DeadlineError: As in `flush`.

        Cost: as `flush`; the tail's page is closed.
        """
        self._move_regions("evict", _cabi.kv_evict, timeout)

    def resume_writes(self) -> None:
        """
        Let writing to the device begin again after it has failed.

        What caused the failure must be gone; else it fails anew, with nothing lost.
        """
        _cabi.kv_resume(self._kv)

    @property
    def write_failure(self) -> DeviceError | None:
        """
        Why nothing is written to the device any more, or None.
        """
        status, start, end = _cabi.kv_failure(self._kv)
        if status == 0 or self.config.read_only:
            return None
        return self._failed_write(status, start, end)

    def _move_regions(
        self, what: str, move: Callable[[_cabi.Kv, int], int], timeout: float | None
    ) -> None:
        self._refuse_fork(what)
        if self.config.read_only:
            refuse(what)
        status = move(self._kv, round(self._seconds(timeout) * 1000))
        if status < 0:
            failure = self.write_failure if status != _cabi.CLOSED else None
            raise failure or error_for(status, self._place())

    def _failed_write(self, status: int, start: int, end: int) -> DeviceError:
        code = -status if status >= _cabi.SYSTEM_LOWEST else errno.EIO
        error = DeviceError(
            code,
            f"store {self.name!r}: writing the log's bytes {start:,} to {end:,} to the "
            f"device failed: {os.strerror(code)}; nothing in memory is lost: remove "
            "the cause, then call flush() or resume_writes()",
            status=status,
        )
        error.__cause__ = self._home.cause(start, end)
        return error

    @property
    def device_failures(self) -> tuple[DeviceFailure, ...]:
        """
        The last requests that a device in Python did not serve, the oldest first.

        At most 64, each with the exception and its traceback; none for other devices.
        """
        return self._home.device_failures

    def grow_index(self) -> None:
        """
        Start doubling the index now; it goes on while operations run.

        Raises:
            StoreFullError: The memory budget refuses.
        """
        if self.config.read_only:
            refuse("grow_index")
        try:
            _cabi.kv_grow_index(self._kv)
        except FasterError as error:
            raise error_for(error.status, self._place()) from error


__all__ = ["FasterKv"]
