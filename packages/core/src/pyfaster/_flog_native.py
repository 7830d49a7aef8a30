# SPDX-License-Identifier: MIT
"""
A durable log that is open: what `pyfaster.flog` gives as `NativeLog`.

Its hot operations are `pyfaster._hot`'s; how it waits, and how it ends, is
`_flog_lifetime`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from pyfaster import _cabi_flog as cabi
from pyfaster._flog_lifetime import LogLifetime
from pyfaster._flog_recovery import LogDevice
from pyfaster._flog_values import Commit, Life
from pyfaster.errors import SessionBusyError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from pyfaster._histogram import Histogram


class NativeLog(LogLifetime):
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

    Cost: memory for the pages, and a thread once something is to be flushed.

    Source: Chandramouli et al., SIGMOD 2018, on the hybrid log, and DeWitt et al.,
    SIGMOD 1984, on group commit; `native/src/flog/`.
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

            LogAddressError: The address is above the log's end.

            ReadOnlyError, ClosedError: The log is only read, or closed.

        Units: seconds.

        Cost: at most one write and one sync of the device, GIL released; none when all
        of it is durable.

        Source: `native/src/flog/commit.c`.
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

        Raises:
            ValueTooLargeError: The cookie is longer, or than an eighth of
                `payload_max`.

            DurabilityError, DeadlineError, ReadOnlyError, ClosedError: As from
                `commit`.

        Units: seconds.

        Cost: one write and one sync of the device, GIL released.

        Source: `native/src/flog/commit.c`.
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
        Have a thread of the log's own commit soon.

        Args:
            until: Up to this address; 0: all that was appended.

        Raises:
            LogAddressError: The address is above the log's end.

            DurabilityError, ReadOnlyError, ClosedError: As from `commit`.

            OSError: That thread cannot be started.

        Cost: waits for nothing.

        Source: `native/src/flog/committer.c`.
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

        Units: seconds.

        Cost: GIL released.
        """

        def step(slice_ms: int) -> int:
            return cabi.flog_wait_committed(self.address, seen, slice_ms)

        return self._wait("waiting for commits", step, timeout, late=False)

    def wait_room(self, timeout: float | None = None) -> bool:
        """
        Wait until appending is worth another attempt.

        Args:
            timeout: In seconds; None: as long as it takes.

        Returns:
            Whether it is; False when the time has passed.

        Raises:
            DurabilityError: Writing has failed; there never will be room.

            ClosedError: The log was closed.

        Units: seconds.

        Cost: GIL released.
        """

        def step(slice_ms: int) -> int:
            return cabi.flog_wait(self.address, slice_ms)

        return self._wait("waiting for room", step, timeout, late=False)

    def notify(self, descriptor: int) -> None:
        """
        Write a 1 of 64 bits to a descriptor whenever more is durable, and when the log
        fails or is closed.

        Args:
            descriptor: An eventfd, or a socket; it stays open until `notify_end`.

        Raises:
            StoreFullError: The log has 4,096 of them, which is the most.

            ClosedError: The log was closed.

        Cost: one write of 8 bytes for each later commit.
        """
        self._check("notifying", cabi.flog_notify(self.address, descriptor))

    def notify_end(self, descriptor: int) -> None:
        """
        Write nothing more to a descriptor that `notify` was given; once this has
        returned, it may be closed.

        Args:
            descriptor: It; one that is not known is no mistake.
        """
        cabi.flog_notify_end(self.address, descriptor)

    def attach(self, data: Buffer) -> None:
        """
        Have every later commit record carry some bytes.

        Args:
            data: At most `ATTACHMENT_MAX` bytes, and a quarter of `payload_max`.

        Raises:
            ValueTooLargeError: There are more.

            ReadOnlyError, ClosedError: The log is only read, or closed.

        Shape: data borrowed for the call.

        Cost: copies it; each commit record is longer by it.
        """
        self._check("attaching", cabi.flog_attach(self.address, data))

    # --- truncating

    def begin_at(self, address: int) -> None:
        """
        Let the log begin further on, in memory only: slots are to say so next.

        Args:
            address: An entry's, or the end of what is committed; a lower one than now
                changes nothing.

        Raises:
            LogAddressError: No whole entry begins there, or it is not committed.

            DeviceError, ReadOnlyError, ClosedError: It cannot be read; the log is only
                read, or closed.

        Cost: one read of the device, GIL released.

        Source: `native/src/flog/cut.c`.
        """
        self._check("truncating", cabi.flog_begin_at(self.address, address))

    def free_space(self) -> None:
        """
        Give the device's space below the log's beginning back, once slots say so.

        Raises:
            DeviceError: The device failed; the space may be there or not.

            ReadOnlyError, ClosedError: The log is only read, or closed.

        Cost: waits for the device, GIL released.
        """
        self._check("truncating", cabi.flog_free_space(self.address))

    def suspend(self, timeout: float | None = None) -> None:
        """
        Keep everybody from appending and committing, until `resume` or `restart`, and
        wait until all is durable.

        Args:
            timeout: In seconds; None: as long as it takes.

        Raises:
            DeadlineError: It takes longer, and the log goes on.

            SessionBusyError: Another thread does it.

            DurabilityError: Writing has failed.

            ReadOnlyError, ClosedError: The log is only read, or closed.

        Units: seconds.

        Cost: at most one write and one sync of the device, GIL released.

        Source: `native/src/flog/cut.c`.
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
        Let everybody append and commit again, after `suspend`; else do nothing.
        """
        cabi.flog_resume(self.address)

    def restart(self, lives: Sequence[Life], number: int) -> None:
        """
        Cut the end off: go on with other lives after `suspend`, which this ends.

        Args:
            lives: Ascending; the last one is new, and begins where the log ends then.

            number: Of the last commit.

        Raises:
            LogAddressError: The lives do not fit the log, or it is not suspended; it
                stays as it is.

        Cost: no request of the device.

        Source: `native/src/flog/cut.c`.
        """
        self._check("truncating", cabi.flog_restart(self.address, lives, number))

    def poison(self, errno: int) -> None:
        """
        Stop for good, as a failed write does: for who could not write a slot.

        Args:
            errno: Why, which `failure` tells from then on.
        """
        cabi.flog_poison(self.address, -abs(errno))

    # --- the rest

    def follow(self) -> Commit | None:
        """
        Of a log that is only read: look whether its writer has committed more.

        Returns:
            What is durable then; None: no more than before.

        Raises:
            CorruptLogError: Something that had been made durable is damaged.

            DeviceError: The device cannot be read.

            LogAddressError: The log is not only read.

            ClosedError: It was closed.

        Cost: reads what was committed since, GIL released.

        Source: `native/src/flog/recover.c`.
        """
        status, commit = cabi.flog_follow(self.address)
        self._check("following", status)
        return None if status == cabi.NOT_FOUND else commit

    def stats(self) -> dict[str, int]:
        """
        Take figures, by the names of `struct faster_flog_stats`.

        Units: bytes, and counts since the log was opened.
        """
        return cabi.flog_stats(self.address)

    def histograms(self) -> dict[str, Histogram]:
        """
        Take how long things took, by the names of `enum faster_flog_timed`.
        """
        return cabi.flog_histograms(self.address)


__all__ = ["NativeLog"]
