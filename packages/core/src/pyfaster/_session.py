# SPDX-License-Identifier: MIT
"""
A session: one logical thread of operations with serial numbers of its own.

The operations on one key are the C type's, and run without a Python frame; those that
find their record on the device only wait for it with the GIL released. Here are the
lifetime, the ends of operations that were started, the batches' dispatch to `_batch`,
and the views.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from pyfaster import _batch, _cabi, _hot
from pyfaster import _merges as _merges  # tells the C module the names of merges
from pyfaster._builtin_codecs import hot_codec
from pyfaster._pending import Completed
from pyfaster.errors import ClosedError, ConfigError, DeadlineError, core_error

if TYPE_CHECKING:
    from typing import Self

    from pyfaster._commits import Commits
    from pyfaster.protocols import Codec

K = TypeVar("K")
V = TypeVar("V")

_STATUS = _cabi.enumerators("faster_status")
_NOT_FOUND = _STATUS["FASTER_NOT_FOUND"]
_RETRY = _STATUS["FASTER_RETRY"]

#: How long closing waits for operations on their way unless told, in seconds.
DRAIN_S = 30.0
#: Between two looks at signals and deadlines.
_SLICE_MS = 50

_hot.set_error_factory(core_error)


class Session(_hot.Session[K, V]):
    """
    One thread of operations on a store; not to be used by two threads at once.

    Made by `FasterKv.session`. A second thread that comes while an operation runs gets
    `SessionBusyError`, and nothing has happened.

    Attributes:
        name: What `FasterKv.session` was given.

        serial: The serial number of the last update; 0 before the first. Each update
            takes the next one, whether it changed something or not.

        pending: How many started operations are on their way to the device.

        busy: How many started operations the core has not handed over: those on their
            way, and those that have ended since `complete_pending` looked last.
    """

    __slots__ = ("_columns", "_commits", "_ended", "_name", "_number", "closed")

    #: Whether `close` has been called.
    closed: bool
    _name: str | None
    _columns: _batch.Columns
    #: What the core has handed over and `complete_pending` has not given yet.
    _ended: deque[tuple[Any, ...]]
    #: What checkpoints know it by; 0 where there are none.
    _number: int
    _commits: Commits | None

    def __new__(
        cls,
        kv: _cabi.Kv,
        key_codec: Codec[K],
        value_codec: Codec[V],
        *,
        name: str | None = None,
        page_size: int = 0,
        number: int = 0,
        serial: int = 0,
        commits: Commits | None = None,
    ) -> Self:
        """
        Open a session.

        Args:
            kv: The store's handle; it is kept until the session is collected.

            key_codec: How keys become bytes.

            value_codec: How values become bytes.

            name: What to call it.

            page_size: The store's, in bytes, which errors quote; 0 when unknown.

            number: What checkpoints know it by; 0 for nothing.

            serial: Behind which it goes on.

            commits: Where its commit points are told.
        """
        key = hot_codec(key_codec, key=True)
        value = hot_codec(value_codec)
        address = open_address(kv, number, serial)
        self = super().__new__(
            cls, address, kv, key, value, kv.handle, page_size, kv.waits
        )
        self._columns = _batch.Columns(
            _batch.Column("keys", key_codec, key),
            _batch.Column("values", value_codec, value),
        )
        self._ended = deque()
        self._name = name
        self._number = number
        self._commits = commits
        self.closed = False
        return self

    @property
    def name(self) -> str | None:
        """
        What the session is called.
        """
        return self._name

    @property
    def number(self) -> int:
        """
        What checkpoints know the session by; 0 where there are none.
        """
        return self._number

    @property
    def committed_serial(self) -> int:
        """
        The last serial number that a crash cannot take back.

        Checkpoints commit updates; in a store that takes none it is 0. After
        `FasterKv.resume` it says which updates the store still has: go on with the
        next one.
        """
        commits = self._commits
        return 0 if commits is None else commits.serial_of(self._number)

    def wait_committed(
        self, serial: int | None = None, timeout: float | None = None
    ) -> None:
        """
        Wait until a crash cannot take back the session's updates.

        It takes no checkpoint: another thread does, or `checkpoint_every` of the
        settings. Other threads may wait for a session that is in use.

        Args:
            serial: Up to which; the session's last when None.

            timeout: How long to wait; for ever when None.

        Raises:
            DeadlineError: No checkpoint committed it in time.

            ClosedError: The store was closed before one did.

            ConfigError: There is something to wait for, and it would never come: the
                store takes no checkpoints.

        Units: seconds.
        """
        wanted = self.serial if serial is None else serial
        if wanted > self.committed_serial:
            commits = what_commits(self._commits, wanted, timeout)
            commits.wait(self._number, wanted, timeout)

    # --- many items -----------------------------------------------------------------

    def read_many(self, keys: Any, *, out: Any = None, as_buffers: bool = False) -> Any:
        """
        Read many keys in one call.

        Args:
            keys: A sequence of keys; or, where keys have a fixed size, a numpy array or
                another buffer of them; or an object with the Arrow C data interface.

            out: Where values go: a writable contiguous buffer. Rows of absent keys are
                left as they were.

            as_buffers: Whether to return buffers where a list would be returned.

        Returns:
            For a sequence, or where values vary in size: a list, None for the absent.

            For arrays where keys and values have a fixed size, and with `out` or
            `as_buffers`: (values, found).

            Where sizes vary, with `out` or `as_buffers`: (data, offsets, found); value
            i is data[offsets[i]:offsets[i + 1]].

        Raises:
            TypeError: An array's dtype is not exactly that of the keys.

            ValueError: `out` has no room.

            FasterError: Its attribute `done` tells how many keys were read.

        Shape: found bool (n,); values of the values' dtype (n,); data uint8; offsets
        int64 (n + 1,), as Arrow has them. Numpy arrays if keys or `out` are, else
        memoryviews.

        Cost: one C call, GIL released for more than 64 keys; no Python object per item
        unless a list is returned.
        """
        return _batch.read_many(self, self._columns, keys, out, as_buffers)

    def upsert_many(self, keys: Any, values: Any) -> None:
        """
        Set many values in one call.

        Args:
            keys: As in `read_many`.

            values: In any of these forms, as many as keys; or one value for all.

        Raises:
            TypeError, ValueError, OverflowError: Something cannot be encoded; nothing
                was changed.

            FasterError: Its attribute `done` tells how many items were set.

        Cost: as `read_many`.
        """
        _batch.upsert_many(self, self._columns, keys, values)

    def rmw_many(
        self,
        keys: Any,
        inputs: Any,
        *,
        merge: str | _hot.Merge,
        returning: bool = False,
    ) -> Any:
        """
        Merge many inputs into values in one call, in order.

        Args:
            keys: As in `read_many`; a key may occur more than once.

            inputs: As the values of `upsert_many`.

            merge: What `native_merge` gave, or a name: "add", "min", "max" of numbers;
                "bit_or", "bit_and" of integers; "append" to bytes and texts of varying
                size; "set_if_absent"; "put_newest", which keeps the value with the
                larger unsigned number in its first 8 bytes.

            returning: Whether the new values are wanted.

        Returns:
            None; or, with `returning`, the new values: an array for arrays where sizes
            are fixed, else a list.

        Raises:
            FasterError: Its attribute `done` tells how many items were merged.

        Cost: as `read_many`.
        """
        return _batch.rmw_many(self, self._columns, keys, inputs, merge, returning)

    def delete_many(self, keys: Any) -> Any:
        """
        Remove many keys in one call; tell for each whether it was there.

        Args:
            keys: As in `read_many`.

        Returns:
            A list of bool; for arrays and other buffers a bool array.

        Cost: as `read_many`.
        """
        return _batch.delete_many(self, self._columns, keys)

    # --- operations that end later --------------------------------------------------

    def complete_pending(
        self, *, wait: bool = True, timeout: float | None = None
    ) -> Iterator[Completed[K]]:
        """
        Give the started operations that have ended, in the order of their ends.

        Reads of `start_read` and its like that have to ask the device are all under way
        at the same time; what they give comes from here, each once: what a loop that
        breaks off has not come to is given by the next call. Operations of the session
        that wait by themselves are not among them.

        Args:
            wait: Whether to go on until all have ended; else only those that have now.

            timeout: How long to wait, from the call on; for ever when None.

        Raises:
            DeadlineError: Some are still on their way. Those that have ended were given
                before; `complete_pending` may be called again.

            SessionBusyError: Another thread is inside the session.

        Units: seconds.

        Cost: one C call for many, GIL released while it waits.
        """
        if timeout is not None and not timeout >= 0:
            raise ConfigError(f"timeout={timeout!r}: give seconds, or None")
        deadline = None if timeout is None else time.monotonic() + timeout
        self._ended.extend(self.finished(0))
        return self._complete(wait, timeout, deadline)

    def _complete(
        self, wait: bool, timeout: float | None, deadline: float | None
    ) -> Iterator[Completed[K]]:
        ended = self._ended
        while True:
            while ended:
                yield Completed(*ended.popleft())
            if not wait or not self.busy:
                return
            left = _SLICE_MS if deadline is None else left_ms(deadline)
            ended.extend(self.finished(min(left, _SLICE_MS)))
            if not ended and left == 0:
                raise DeadlineError(
                    f"complete_pending: {self.busy:,} operations were still on their "
                    f"way after {timeout:g} seconds; call it again, or allow more time"
                )

    # --- views ----------------------------------------------------------------------

    @contextmanager
    def read_view(self, key: K) -> Iterator[memoryview]:
        """
        Look at an encoded value where it is.

        Raises:
            KeyError: The key is absent.

        Shape: uint8, read-only; borrowed from the store if the record cannot change any
        more, else a copy. Valid inside the `with` statement.

        Cost: C calls through cffi, no copy where it borrows.
        """
        encoded = self.key_codec.encode(key)
        status, view = _cabi.view_open(self.owner, self.address, encoded)
        while status == _RETRY:
            _cabi.session_wait(self.address)
            status, view = _cabi.view_open(self.owner, self.address, encoded)
        if view is None and status != _NOT_FOUND:
            view = _batch.read_encoded(self, self._columns, key)
        if view is None:
            raise KeyError(key)
        try:
            yield view
        finally:
            # What was made from the view keeps it, and the record, until it is dropped.
            with suppress(BufferError):
                _cabi.view_close(view)

    # --- lifetime -------------------------------------------------------------------

    def close(self, timeout: float = DRAIN_S) -> None:
        """
        Close the session and give its slot back; a second call does nothing.

        Operations that were started are waited for, and what they gave is dropped.

        A session that is dropped without it leaves its updates to the store, which
        brings them to their end; those that wait for their turn without a serial
        number do not take place.

        Args:
            timeout: How long to wait for those; reads that are still on their way then
                are given up.

        Raises:
            DeadlineError: Updates are still on their way. The session stays open, and
                `close` and `complete_pending` may be called again.

            SessionBusyError: Another thread is inside the session.

        Units: seconds.
        """
        if self.closed:
            return
        deadline = time.monotonic() + timeout
        with suppress(ClosedError):
            while self.busy and (left := left_ms(deadline)) > 0:
                self._ended.extend(self.finished(min(left, _SLICE_MS)))
            _cabi.session_drain(self.address, left_ms(deadline))
        if _cabi.session_updates(self.address) or not self.end():
            raise still_open(_cabi.session_updates(self.address), timeout)
        if self._commits is not None:
            self._commits.note(self._number, self.serial)
        self.abandon(None)
        self._ended.clear()
        self.closed = True

    def __enter__(self) -> Self:
        """
        Give the session itself.
        """
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """
        Close the session.
        """
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<{type(self).__name__} {self._name!r}, serial {self.serial}, {state}>"


def still_open(updates: int, timeout: float) -> DeadlineError:
    """
    Why a session does not close.
    """
    return DeadlineError(
        f"close: {updates:,} updates were still on their way after {timeout:g} "
        "seconds, so the session stays open: close it again, or allow more time; one "
        "that is dropped leaves them to the store"
    )


def open_address(kv: _cabi.Kv, number: int, serial: int) -> int:
    """
    Open a session in the core; with a number that checkpoints know it by, if any.
    """
    if not number:
        return _cabi.session_open(kv)
    from pyfaster import _cabi_checkpoint  # a store without checkpoints needs none

    return _cabi_checkpoint.session_resume(kv, number, serial)


def what_commits(
    commits: Commits | None, serial: int, timeout: float | None
) -> Commits:
    """
    Who tells of commit points, for somebody who waits for one.

    Raises:
        ConfigError: Nobody does, or the timeout makes no sense.
    """
    if timeout is not None and not timeout >= 0:
        raise ConfigError(f"timeout={timeout!r}: give seconds, or None")
    if commits is None:
        raise ConfigError(
            f"wait_committed: update {serial:,} is not committed and will not be: "
            "that takes a checkpoint, and this store takes none; open a durable one, "
            "and give the thread a session of its own with store.session()"
        )
    return commits


def left_ms(deadline: float) -> int:
    """
    How many milliseconds there are until then, rounded up; 0 when it has passed.
    """
    return max(0, math.ceil((deadline - time.monotonic()) * 1000))


__all__ = [
    "DRAIN_S",
    "Session",
    "left_ms",
    "open_address",
    "still_open",
    "what_commits",
]
