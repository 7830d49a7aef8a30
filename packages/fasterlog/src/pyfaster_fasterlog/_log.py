# SPDX-License-Identifier: MIT
"""
The log as users know it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

import pyfaster
from pyfaster.errors import (
    ConfigError,
    CorruptLogError,
    FasterError,
    LogAddressError,
    LogCutError,
)
from pyfaster.flog import Commit, Entry, LogScan, log_opened
from pyfaster_fasterlog import _tail
from pyfaster_fasterlog._async import AsyncLog
from pyfaster_fasterlog._cursors import Cursor
from pyfaster_fasterlog._follower import LogFollower, open_follower
from pyfaster_fasterlog._lives import check_place, next_lives
from pyfaster_fasterlog._open import open_log
from pyfaster_fasterlog._place import place_of
from pyfaster_fasterlog._report import LogRecovered
from pyfaster_fasterlog._settings import (
    LogSettings,
    ReaderSettings,
    configured,
    segment_size_of,
    settings_of,
)
from pyfaster_fasterlog._state import check_name

if TYPE_CHECKING:
    from typing_extensions import Buffer

    PathLike = str | os.PathLike[str]


class FasterLog(AsyncLog):
    """
    A durable log: entries of bytes that are appended at its end, and read in order.

    Made by `FasterLog.open`. Any number of threads, and of tasks of any number of event
    loops, may use it at once. What was appended is durable once a commit says so;
    commits are shared by all who wait for one. Once `complete` was called, whatever
    appends raises LogCompletedError, and what reads goes on.

    Units: addresses count bytes of the log from its first life on.

    Source: `pyfaster.flog.NativeLog` for entries and commits, whose work
    `native/src/flog/` does; places, slots and cursors are this package's.
    """

    @overload
    @classmethod
    def open(
        cls, path: PathLike | None = None, **settings: Unpack[LogSettings]
    ) -> Self: ...
    @overload
    @classmethod
    def open(
        cls, path: PathLike | None = None, **settings: Unpack[ReaderSettings]
    ) -> LogFollower: ...
    @classmethod
    def open(cls, path: PathLike | None = None, **settings: Any) -> Self | LogFollower:
        """
        Open a log, or begin one where none is.

        Args:
            path: Its directory, perhaps behind a scheme ("uring:wal"); ":memory:" for
                one that ends with the process.

            **settings: Those of `LogSettings`; with `read_only=True`, to read what
                another process writes, of `ReaderSettings`. One of them is `config`.

        Returns:
            The log, whose `recovery` says what was found; a `LogFollower` when only
            reading.

        Raises:
            StoreLockedError: It is open elsewhere.

            CorruptLogError: Something that was durable is damaged or missing. Nothing
                was changed.

            UnsupportedFormatError: It is of another format, or another log's.

            CommitNotFoundError: `recover` names a commit that is not there.

            ConfigError, PluginMissingError, DeviceError: As from `pyfaster.open`.

        Cost: reads what was committed behind the newest slot; writes both slots.

        Source: `native/src/flog/recover.c`.
        """
        given = configured(settings)
        place = place_of(
            path,
            settings.get("device"),
            given["files"],
            usual=given["device"],
            options=given["device_options"] or {},
            segment_size=segment_size_of(given),
            read_only=bool(given["read_only"]),
        )
        if place.read_only:
            return open_follower(place)
        log = open_log(cls, place, settings_of(given))
        log._announce()
        return log

    def _announce(self) -> None:
        """
        Tell plugins; where a warning is made an error, the log is closed.
        """
        try:
            log_opened(self)
            if self.recovery is not None:
                pyfaster.announce(LogRecovered(self.name, self.recovery))
        except BaseException:
            self.close()
            raise

    # --- committing -----------------------------------------------------------------

    def commit(
        self,
        until: int = 0,
        timeout: float | None = None,
        *,
        cookie: Buffer | None = None,
    ) -> Commit:
        """
        Wait until everything that was appended before is durable.

        Args:
            until: Only what is below this address; 0: everything. Not with a cookie.

            timeout: How long to wait; for ever when None.

            cookie: Make a commit of its own, which carries these bytes, at most 4 KiB:
                `recovery.cookie` tells the last one.

        Returns:
            The number of the commit, and the address below which everything is durable.

        Raises:
            DurabilityError: A write or a sync failed; no later one will succeed.

            DeadlineError: The time was over; nothing is lost.

            LogAddressError: `until` is above the log's end.

            LogCompletedError, ConfigError: A cookie, and the log was completed; or
                `until`, too.

            ValueTooLargeError: The cookie is too long.

        Units: seconds.

        Cost: at most one write and one sync of the device, GIL released.

        Source: DeWitt et al., SIGMOD 1984, on group commit; `native/src/flog/commit.c`.
        """
        if cookie is not None:
            if until:
                raise ConfigError(
                    f"commit: until={until:,} and a cookie: a commit with a cookie "
                    "covers all that was appended; leave one of them out"
                )
            if self.completed:
                self._refuse()
            return self._commit_with(cookie, timeout)
        if self.completed:
            return self.committed
        return super().commit(until, timeout)

    def complete(self, timeout: float | None = None) -> Commit:
        """
        Commit, and append nothing any more, for good: those who follow the log come to
        an end. A second call does nothing.

        Raises:
            DurabilityError, DeadlineError: As from `commit`; the log is not completed,
                or not known to be.

            DeviceError: The system refused to write a slot; likewise.

        Units: seconds.

        Cost: a commit; writes and syncs both slots.
        """
        with self._lock:
            if self.completed:
                return self.committed
            self.suspend(timeout)
            try:
                self._change(self._state.as_completed(), both=True)
                self._end_appending()
            finally:
                self.resume()
        self._wake_all()
        return self.committed

    # --- reading --------------------------------------------------------------------

    def tail(
        self, start: int | None = None, *, skip_truncated: bool = False
    ) -> AsyncIterator[Entry]:
        """
        Iterate over committed entries in a task, and wait for more, until the log is
        completed.

        Args:
            start: An entry's address; None for where the log begins.

            skip_truncated: Go on where the log begins when it was truncated beyond the
                place of this.

        Raises:
            LogTruncatedError: It was, and that is not wanted.

            LogCutError: The end was cut off below what was given already.

            DurabilityError, ClosedError: Nothing more will come.

            LogAddressError, CorruptLogError, DeviceError: As from `scan`.

        Cost: some entries at a time are read by a thread of the loop's.
        """
        return _tail.tail(self, start, skip_truncated=skip_truncated)

    def follow(  # type: ignore[override]  # the core's is of logs that only read
        self, start: int | None = None, *, skip_truncated: bool = False
    ) -> Iterator[Entry]:
        """
        As `tail`, for a thread: iterate over committed entries, and wait for more,
        until the log is completed. Raises as `tail` does.

        Cost: waits with the GIL released.
        """
        return _tail.follow(self, start, skip_truncated=skip_truncated)

    @property
    def _lives_seen(self) -> int:
        """
        How often the log's end was cut off, and one.
        """
        return len(self._cuts) + 1

    def _scan_again(self, seen: int, position: int) -> LogScan | None:
        """
        Give a scan that goes on behind the cuts that were made since; None when there
        were none.

        Raises:
            LogCutError: The place itself was cut off.
        """
        cuts = self._cuts[seen - 1 :]
        if not cuts:
            return None
        if position > min(cuts):
            raise LogCutError(
                f"log {self.name!r} was cut off at {min(cuts):,}, below {position:,}, "
                "where it was read: begin another scan"
            )
        return self.scan(position)

    # --- cursors --------------------------------------------------------------------

    def cursor(self, name: str) -> Cursor:
        """
        Give a cursor: where it was saved, or where the log begins. Nothing is stored
        before its first `save`.

        Raises:
            ConfigError: The name is empty, or longer than 255 bytes.

        Units: its position is an address; its name is counted in bytes of UTF-8.

        Cost: no request of the device.
        """
        check_name(name)
        with self._lock:
            position = self._state.cursors.get(name, 0)
            return Cursor(self, name, max(position, self.begin))

    def cursors(self) -> Mapping[str, int]:
        """
        Give the saved positions, by name.
        """
        return self._state.cursors

    def _save_cursor(self, name: str, position: int, era: int) -> None:
        """
        Have a cursor's position survive; see `Cursor.save`.
        """
        self._refuse_child()
        with self._lock:
            until = self.committed.until
            if not self.begin <= position <= until:
                raise LogAddressError(
                    f"cursor {name!r}: {position:,} is outside of what is committed, "
                    f"{self.begin:,} to {until:,}; commit before an entry's place is "
                    "saved"
                )
            if self._state.cursors.get(name) != position:
                if era != self._era and position not in (self.begin, until):
                    self._check_boundary(position)
                self._change(self._state.with_cursor(name, position))

    def drop_cursor(self, name: str) -> None:
        """
        Forget a cursor, durably; one that is not there is no mistake.

        Raises:
            DeviceError: The system refused to write a slot; the cursor is as before.

        Cost: writes and syncs a slot.
        """
        with self._lock:
            if name in self._state.cursors:
                self._change(self._state.without_cursor(name))

    # --- truncating -----------------------------------------------------------------

    def _check_boundary(self, address: int) -> None:
        """
        Refuse an address that no entry begins or ends at.
        """
        until = self.committed.until
        if not self.begin <= address <= until:
            raise LogAddressError(
                f"address {address:,} is outside of what is committed, {self.begin:,} "
                f"to {until:,}"
            )
        try:
            check_place(self._slot.lives, address)
            next(self.scan(address, commits=True), None)
        except (CorruptLogError, LogAddressError) as error:
            raise LogAddressError(
                f"address {address:,} is no entry's; addresses are what append() gave, "
                "and `address` and `next` of entries"
            ) from error

    def truncate_until(self, address: int) -> None:
        """
        Let the log begin at an address, and give the space below back.

        Args:
            address: An entry's, or its `next`; lower ones than `begin` change nothing.

        Raises:
            LogAddressError: It is no entry's, or not committed.

            DeviceError: The system refused to write a slot, or to remove a file; the
                log may begin there or where it did.

        Units: addresses are bytes of the log.

        Cost: writes and syncs both slots; what is given back are whole segments.

        Source: `native/src/flog/cut.c`.
        """
        self._refuse_child()
        with self._lock:
            if address <= self.begin:
                return
            self._check_boundary(address)
            state = self._state.within(address, self.committed.until)
            self.begin_at(address)
            self._save(both=True, begin=address, **self._attached(state))
            self._state = state
            self._attach()
            self.free_space()

    def truncate_suffix(self, address: int, timeout: float | None = None) -> None:
        """
        Cut off everything from an address on, for good. Whoever appends meanwhile
        waits.

        Args:
            address: An entry's, or its `next`.

            timeout: How long to wait for what is being appended and committed.

        Raises:
            LogAddressError: It is no entry's, or not committed.

            DeadlineError: The time was over, and nothing was cut off.

            LogCompletedError, DurabilityError: Nothing can be appended any more, so
                nothing is cut off.

            DeviceError: The system refused to write a slot. The log is closed to
                writing, and begins or ends as one of its slots says when it is opened
                again.

        Units: seconds.

        Cost: syncs the device, writes and syncs both slots.

        Source: `native/src/flog/cut.c`.
        """
        with self._lock:
            self._refuse_completed()
            self.suspend(timeout)
            try:
                self._check_boundary(address)
            except BaseException:
                self.resume()
                raise
            self._cut(address)
            self._cuts.append(address)
            self._era += 1
        self._wake_all()

    def _refuse_completed(self) -> None:
        if self.completed:
            self._refuse()

    def _cut(self, address: int) -> None:
        """
        Begin a new life where the log was cut off; nobody appends meanwhile.
        """
        at = self.committed
        try:
            older = (
                *self._slot.lives[:-1],
                replace(self._slot.lives[-1], until=at.until),
            )
            lives = next_lives(older, address, self.begin, self._unit)
            first = lives[-1].first
            state = self._state.cut_at(address, first)
            self._save(both=True, lives=lives, until=first, **self._attached(state))
            self.restart(lives, at.number)
        except BaseException as error:
            number = error.errno if isinstance(error, OSError) else None
            self.poison(number or 5)
            self.resume()
            raise
        self._state = state
        self._attach()

    # --- lifetime -------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """
        Close the log.
        """
        try:
            self.close()
        except FasterError:
            if error is None:
                raise

    async def close_async(self, timeout: float | None = 60.0) -> None:
        """
        Commit what was appended, and let the log go, in a thread of the loop's.
        Errors are those of `close`.
        """
        await asyncio.to_thread(self.close, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """
        Close the log.
        """
        try:
            await self.close_async()
        except FasterError:
            if error is None:
                raise


__all__ = ["FasterLog"]
