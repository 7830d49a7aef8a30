# SPDX-License-Identifier: MIT
"""
A durable log's native half, for those who build a log of it.

Theory of operation: entries of bytes are appended in memory, by any number of threads,
and a commit makes durable what was appended before. The log lies on one device. Where
it begins and which lives it had is kept in two slots outside of it, which whoever uses
this module writes to files of its own: always the data first, then the older slot. At
opening it reads the newer valid slot, and `recover` follows the log from there to its
last commit. What is appended then belongs to a new life, whose slots are durable before
its first entry.

`NativeLog` has its operations from `pyfaster._hot` and the rest from here. A directory,
its lock, names of cursors and asynchronous forms are left to others.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from math import ceil
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pyfaster import _cabi_flog as cabi
from pyfaster import _hot
from pyfaster._bell import Bell, give_bell, take_bell
from pyfaster._flog_errors import log_error
from pyfaster._flog_recovery import (
    LogDevice,
    record_of,
    recover,
    slot_bytes,
    slot_of,
)
from pyfaster._flog_values import (
    DAMAGES,
    FIRST,
    HEADER,
    Commit,
    CommitRecord,
    Damage,
    Found,
    Life,
    Slot,
)
from pyfaster._hot import Entry, LogScan, Piece
from pyfaster.errors import SessionBusyError

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: What a log takes at most.
COOKIE_MAX = cabi.COOKIE_MAX
ATTACHMENT_MAX = cabi.ATTACHMENT_MAX
LIVES_MAX = cabi.LIVES_MAX

#: The kinds of entries, by name.
KINDS = cabi.KINDS

#: Between two looks for signals.
_SLICE_MS = 50

#: How long closing waits for calls that are under way.
_CLOSE_S = 60.0


# --- the log ------------------------------------------------------------------------


class NativeLog(_hot.Log):
    """
    A log that is open. Any thread may call any method; a scan is one thread's.

    Args:
        device: Is the log's from now on, also when opening fails.

        log_id: Seeds the checksums of entries.

        page_size: A power of two from 4 KiB to 1 GiB, for the log's life; 0: 4 MiB.
            No entry is larger.

        memory: For pages on their way to the device; 0: 8 pages.

        lives: Ascending; appends go to the last one.

        begin: Where the log begins.

        committed: Everything below is durable; of a writer the last life's first.

        number: Of the last commit.

        commit_bytes: Commit by itself when so much waits; 0: never.

        commit_ms: Commit by itself when entries have waited so long; 0: never.

        commits_in_flight: Commits begun and not durable, at most; 0: 1.

        read_only: Nothing is appended; another process may do so.

    Raises:
        ConfigError: A setting is out of range.

        DeviceError: EINVAL: the device's unit does not fit the log.

    Units: bytes, and ms.
    """

    def __new__(
        cls,
        device: LogDevice,
        *,
        log_id: int,
        page_size: int = 0,
        memory: int = 0,
        lives: Sequence[Life],
        begin: int,
        committed: int,
        number: int,
        commit_bytes: int = 0,
        commit_ms: int = 0,
        commits_in_flight: int = 0,
        read_only: bool = False,
    ) -> Self:
        """
        Open it.
        """
        address, handle = cabi.flog_open(
            device.hand_over(),
            lives,
            log_id=log_id,
            page_size=page_size,
            memory=memory,
            begin=begin,
            committed=committed,
            number=number,
            commit_bytes=commit_bytes,
            commit_ms=commit_ms,
            commits_in_flight=commits_in_flight,
            read_only=int(read_only),
        )
        self = super().__new__(cls, address, handle, device.owner)
        self._ended = False
        return self

    _ended: bool

    # --- committing

    def commit(self, until: int = 0, timeout: float | None = None) -> Commit:
        """
        Make everything below an address durable; concurrent calls share a sync.

        Args:
            until: The address; 0: all that was appended before the call.

            timeout: In seconds; None: as long as it takes.

        Returns:
            What is durable then.

        Raises:
            DurabilityError: Writing has failed, and nothing more becomes durable.

            DeadlineError: It takes longer; nothing is lost, call again.

        Cost: waits for the device, GIL released.
        """
        commit, place = Commit(0, 0), until

        def step(slice_ms: int) -> int:
            nonlocal commit, place
            status, commit = cabi.flog_commit(self.address, place, slice_ms)
            if (
                status == cabi.TIMEOUT and place == 0
            ):  # who appends on is not waited for
                place = cabi.flog_stats(self.address)["address_tail"]
            return status

        self._wait("commit", step, timeout)
        return commit

    def commit_strong(self, cookie: Buffer, timeout: float | None = None) -> Commit:
        """
        The same for all that was appended before, with a number and a record of its
        own that carries a cookie.

        Args:
            cookie: At most `COOKIE_MAX` bytes.

            timeout: As for `commit`; after a DeadlineError there may be a record.

        Returns:
            Its number, and the address behind its record.
        """
        own = Commit(0, 0)

        def step(slice_ms: int) -> int:
            nonlocal own
            if own.until:  # the record is there, and not durable yet
                return cabi.flog_commit(self.address, own.until, slice_ms)[0]
            status, own = cabi.flog_commit_strong(self.address, cookie, slice_ms)
            return status

        self._wait("commit", step, timeout)
        return own

    def request(self, until: int = 0) -> None:
        """
        Have a thread of the log's own commit up to an address (0: all) soon.
        """
        self._check("commit", cabi.flog_request(self.address, until))

    @property
    def committed(self) -> Commit:
        """
        What is durable.
        """
        return cabi.flog_committed(self.address)

    @property
    def failure(self) -> tuple[int, int, int] | None:
        """
        Why nothing becomes durable any more, as a status (-errno, mostly), and from
        which address to which; None while all is well.
        """
        failed = cabi.flog_failed(self.address)
        return failed if failed[0] else None

    def wait_committed(self, seen: int, timeout: float | None = None) -> bool:
        """
        Wait until something beyond an address is durable.

        Args:
            seen: The address.

            timeout: In seconds; None: as long as it takes.

        Returns:
            Whether it is; False when the time has passed.

        Raises:
            DurabilityError: It never will be.

            ClosedError: The log was closed.
        """

        def step(slice_ms: int) -> int:
            return cabi.flog_wait_committed(self.address, seen, slice_ms)

        return self._wait("waiting for commits", step, timeout, late=False)

    def wait_room(self, timeout: float | None = None) -> bool:
        """
        Wait until appending is worth another attempt.
        """

        def step(slice_ms: int) -> int:
            return cabi.flog_wait(self.address, slice_ms)

        return self._wait("waiting for room", step, timeout, late=False)

    def notify(self, descriptor: int) -> None:
        """
        Write a 1 of 64 bits to a descriptor whenever more is durable, and when the log
        fails or is closed. It may have at most 64.
        """
        self._check("notifying", cabi.flog_notify(self.address, descriptor))

    def notify_end(self, descriptor: int) -> None:
        """
        No more, once this has returned.
        """
        cabi.flog_notify_end(self.address, descriptor)

    def attach(self, data: Buffer) -> None:
        """
        Have every later commit record carry some bytes, at most `ATTACHMENT_MAX`.
        """
        self._check("attaching", cabi.flog_attach(self.address, data))

    # --- truncating

    def begin_at(self, address: int) -> None:
        """
        Let the log begin at an entry, or at the end of what is committed; in memory
        only. A lower address than now changes nothing.
        """
        self._check("truncating", cabi.flog_begin_at(self.address, address))

    def free_space(self) -> None:
        """
        Give the device's space below the log's beginning back, once slots say so.
        """
        self._check("truncating", cabi.flog_free_space(self.address))

    def suspend(self, timeout: float | None = None) -> None:
        """
        Keep everybody from appending and committing, and wait until all is durable.

        Raises:
            DeadlineError: It takes longer, and the log goes on.
        """

        def step(slice_ms: int) -> int:
            return cabi.flog_suspend(self.address, slice_ms)

        try:
            self._wait("suspending", step, timeout)
        except SessionBusyError:
            raise
        except BaseException:
            self.resume()
            raise

    def resume(self) -> None:
        """
        The opposite.
        """
        cabi.flog_resume(self.address)

    def restart(self, lives: Sequence[Life], number: int) -> None:
        """
        Go on with other lives, of which the last one is new, after `suspend`.
        """
        self._check("truncating", cabi.flog_restart(self.address, lives, number))

    def poison(self, errno: int) -> None:
        """
        Stop for good, as a failed write does.
        """
        cabi.flog_poison(self.address, -abs(errno))

    # --- the rest

    def follow(self) -> Commit | None:
        """
        Of a read-only log: look whether its writer has committed more; None: no.
        """
        status, commit = cabi.flog_follow(self.address)
        self._check("following", status)
        return None if status == cabi.NOT_FOUND else commit

    def stats(self) -> dict[str, int]:
        """
        Take figures, by the names of `struct faster_flog_stats`.
        """
        return cabi.flog_stats(self.address)

    @property
    def closed(self) -> bool:
        """
        Whether `close` has succeeded.
        """
        return self._ended

    def close(self, timeout: float | None = _CLOSE_S) -> None:
        """
        End it, without a commit; a second call does nothing. Calls that are waiting
        get ClosedError.

        Raises:
            DeadlineError: A call under way did not end in time; call again.
        """
        if not self._ended:
            self._wait("closing", self._close_step, timeout)
            self._ended = True

    def _close_step(self, slice_ms: int) -> int:
        return cabi.flog_close(self.address, slice_ms)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_ended", True):
            warnings.warn(
                "a log was collected without close(); use it in a with statement",
                ResourceWarning,
                stacklevel=2,
            )

    def _check(self, where: str, status: int) -> None:
        if status < 0:
            raise log_error(self, status, where)

    def _wait(
        self,
        where: str,
        step: Callable[[int], int],
        timeout: float | None,
        *,
        late: bool = True,
    ) -> bool:
        """
        Call something that waits until it is done, in slices, between which signals
        are noticed.

        Args:
            where: Begins the message of an error.

            step: Is given milliseconds, gives a status.

            timeout: In seconds, or None.

            late: Whether it is an error when the time has passed.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _SLICE_MS
            if end is not None:
                left = max(0, min(left, ceil((end - time.monotonic()) * 1000)))
            status = step(left)
            if status != cabi.TIMEOUT:
                self._check(where, status)
                return True
            if end is not None and time.monotonic() >= end:
                if late:
                    raise log_error(self, status, where)
                return False


_hot.set_log_errors(log_error)

__all__ = [
    "ATTACHMENT_MAX",
    "COOKIE_MAX",
    "DAMAGES",
    "FIRST",
    "HEADER",
    "KINDS",
    "LIVES_MAX",
    "Bell",
    "Commit",
    "CommitRecord",
    "Damage",
    "Entry",
    "Found",
    "Life",
    "LogDevice",
    "LogScan",
    "NativeLog",
    "Piece",
    "Slot",
    "give_bell",
    "record_of",
    "recover",
    "slot_bytes",
    "slot_of",
    "take_bell",
]
