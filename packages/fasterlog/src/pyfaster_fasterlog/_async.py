# SPDX-License-Identifier: MIT
"""
The forms of a log's methods for event loops; how tasks are woken is `_pulse`'s.

What has to wait for a disk or for room in memory is done by a thread of the loop's.
"""

from __future__ import annotations

import asyncio
from asyncio import get_running_loop
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pyfaster.errors import ClosedError, FasterError, LogAddressError
from pyfaster.flog import HEADER, Commit, NativeLog
from pyfaster_fasterlog._log_base import LogBase
from pyfaster_fasterlog._pulse import Loop, Pulse, is_own, turn

if TYPE_CHECKING:
    from typing_extensions import Buffer


class AsyncLog(LogBase):
    """
    A log that tasks of any number of event loops may use at once.

    Source: group commit is DeWitt et al., SIGMOD 1984; `native/src/flog/committer.c`
    commits, `_pulse` wakes the tasks.
    """

    #: How often the log's end was cut off.
    _era: int = 0
    _pulses: dict[Loop, Pulse]

    if TYPE_CHECKING:  # of the whole log, which tasks use by threads

        @property
        def _lives_seen(self) -> int: ...
        def complete(self, timeout: float | None = None) -> Commit: ...
        def truncate_until(self, address: int) -> None: ...
        def truncate_suffix(
            self, address: int, timeout: float | None = None
        ) -> None: ...

    def __init__(self, *_: object, **__: object) -> None:
        self._pulses = {}

    def _pulse(self) -> Pulse:
        """
        Give what wakes the running loop.

        Raises:
            ConfigError: The loop cannot watch a descriptor.
        """
        loop = get_running_loop()
        found = self._pulses.get(loop)
        return self._new_pulse(loop) if found is None else found

    def _new_pulse(self, loop: Loop) -> Pulse:
        with self._lock:
            for other, pulse in list(self._pulses.items()):
                if other.is_closed():
                    del self._pulses[other]
                    pulse.part(self)
            self._check_open()
            made = self._pulses[loop] = Pulse(self, loop)
            return made

    def _check_open(self) -> None:
        if self._is_over:
            raise ClosedError(f"log {self.name!r} is closed; open it again")

    @property
    def end(self) -> int:
        """
        Where the next entry goes.
        """
        return NativeLog.stats(self)["address_tail"]

    def _why_not(self) -> BaseException | None:
        """
        Give why nothing becomes durable any more; None while it does.
        """
        if self.completed:
            return self._error_of(self._refuse)
        if self.failure is None:
            return None
        seen = self.committed.until
        return self._error_of(NativeLog.wait_committed, self, seen, 0.0)

    def _error_of(self, call: Any, *args: Any, **named: Any) -> BaseException | None:
        try:
            call(*args, **named)
        except FasterError as error:
            return error
        return None

    # --- what tasks call ------------------------------------------------------------

    async def append_async(self, data: Buffer) -> int:
        """
        Append an entry, waiting for room in memory without holding the loop up.

        Returns:
            Its address. It is durable once something has committed it.

        Raises:
            ValueTooLargeError: There are more bytes than `payload_max`.

            DurabilityError, LogCompletedError, ClosedError: Nothing is appended any
                more: writing has failed, the log was completed, or closed.

        Cost: one copy; a thread of the loop's where there is no room.
        """
        return self.try_append(data) or await self._append_later(data)

    async def append_and_commit_async(self, data: Buffer) -> int:
        """
        Append an entry, and wait until it is durable. All tasks that do so at the same
        time share commits.

        Returns:
            Its address. A task that is cancelled while it waits has appended its entry
            all the same.

        Raises:
            ValueTooLargeError, DurabilityError, LogCompletedError, ClosedError: As from
                `append_async`.

            ConfigError: The loop cannot watch a descriptor.

        Cost: some microseconds beside the commit. While one task of a loop does this
        alone, and commits take less than a millisecond, they are made in the loop's own
        thread; other tasks have their turn at least each millisecond then, as long as
        the disk keeps that pace.
        """
        pulse = self._pulses.get(get_running_loop()) or self._pulse()
        if pulse.may_hold():
            return await self._append_here(data, pulse)
        found = self.try_append(data)
        address: int = found or await self._append_later(data)
        size = len(data) if type(data) is bytes else memoryview(data).nbytes
        end = (address + HEADER + size + 7) & -8
        await (pulse.wait(end) if found else pulse.wait_among(end))
        return address

    async def _append_here(self, data: Buffer, pulse: Pulse) -> int:
        """
        Append and commit in the loop's own thread.
        """
        pulse.inside = True
        try:
            begin = perf_counter()
            address = self.append_and_commit(data)
            if pulse.has_held(perf_counter() - begin):
                await turn()
            return address
        finally:
            pulse.inside = False

    async def _append_later(self, data: Buffer) -> int:
        """
        Append where there is no room now.
        """
        return await asyncio.to_thread(self.append, data)

    async def append_many_async(
        self,
        entries: Sequence[Buffer] | Buffer,
        *,
        offsets: Buffer | None = None,
        atomic: bool = False,
        addresses: Buffer | None = None,
    ) -> int:
        """
        Append many entries, in a thread of the loop's. Arguments, errors and shapes are
        those of `append_many`.

        Returns:
            The address behind the last one.
        """
        return await asyncio.to_thread(
            self.append_many,
            entries,
            offsets=offsets,
            atomic=atomic,
            addresses=addresses,
        )

    async def commit_async(
        self, until: int = 0, *, cookie: Buffer | None = None
    ) -> Commit:
        """
        Wait until everything that was appended before is durable.

        Args:
            until: Only what is below this address; 0: everything.

            cookie: As for `commit`: bytes for a commit of its own.

        Returns:
            What is durable then.

        Raises:
            DurabilityError: A write or a sync failed; no later one will succeed.

            LogAddressError: `until` is above the log's end.

            ClosedError: The log was closed.

            ConfigError: The loop cannot watch a descriptor.

        Cost: nothing when all of it is durable; else a commit that others share. With a
        cookie, a thread of the loop's.
        """
        if cookie is not None:
            return await asyncio.to_thread(self._commit_with, cookie)
        tail = self.end
        if until > tail:
            raise LogAddressError(
                f"commit: address {until:,} is above the log's end, {tail:,}; give one "
                "that an append has told"
            )
        end = until or tail
        at = self.committed
        if at.until >= end:
            return at
        error = self._why_not()
        if error is not None:
            raise error
        await self._pulse().wait_among(end)
        return self.committed

    async def complete_async(self, timeout: float | None = None) -> Commit:
        """
        Append nothing any more, for good, in a thread of the loop's; see `complete`.
        """
        return await asyncio.to_thread(self.complete, timeout)

    async def truncate_until_async(self, address: int) -> None:
        """
        Let the log begin at an address, in a thread of the loop's; see
        `truncate_until`.
        """
        await asyncio.to_thread(self.truncate_until, address)

    async def truncate_suffix_async(
        self, address: int, timeout: float | None = None
    ) -> None:
        """
        Cut the end off, in a thread of the loop's; see `truncate_suffix`.
        """
        await asyncio.to_thread(self.truncate_suffix, address, timeout)

    async def read_async(self, address: int) -> bytes:
        """
        Read the payload of one committed entry, in a thread of the loop's.

        Raises:
            LogAddressError: It is outside of what is committed, or a commit record's.

            CorruptLogError: No whole entry begins there.

            DeviceError, ClosedError: It cannot be read; the log was closed.

        Cost: one read of the device.
        """
        return await asyncio.to_thread(self.read, address)

    async def _wait_more(self, seen: int, lives: int) -> None:
        """
        Wait until more than an address is durable, or the log is completed, or its end
        was cut off.

        Args:
            seen: The address.

            lives: What `_lives_seen` was before it was found.

        Raises:
            DurabilityError: It never will be.

            ClosedError: The log was closed.
        """
        self._check_open()
        if self.committed.until > seen or self.completed:
            return
        error = self._why_not()
        if error is not None:
            raise error
        pulse = self._pulse()
        if self._lives_seen == lives:  # else nobody would tell this pulse
            await pulse.watch(seen)

    # --- what wakes them ------------------------------------------------------------

    def _wake_all(self) -> None:
        """
        Have every loop look.
        """
        for loop, pulse in list(self._pulses.items()):
            with suppress(RuntimeError):  # it was closed
                loop.call_soon_threadsafe(pulse.look)

    def _end(self, timeout: float | None) -> None:
        """
        Let the loops go before the core.
        """
        with self._lock:  # no loop comes from here on
            self._is_over = True
        for pulse in list(self._pulses.values()):
            if is_own(pulse.loop) and not pulse.loop.is_closed():
                pulse.look()
            pulse.part(self)
        self._pulses.clear()
        super()._end(timeout)


__all__ = ["AsyncLog"]
