# SPDX-License-Identifier: MIT
"""
Reading a log that another process writes.

Theory of operation: a follower takes no lock and changes nothing. It reads a slot, and
follows the log from there as a recovery does, but leaves what it finds alone. When it
finds no more it looks at the slots again: these tell of a new life of the log, of its
beginning, and whether it is completed. A new life means that the core's log is opened
anew, from the new slot; scans of the old one go on, over what they could see. Nobody
tells a follower of commits, so whoever waits with it looks again by and by.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from pyfaster.errors import (
    ClosedError,
    ConfigError,
    CorruptLogError,
    FasterError,
    LogCutError,
    LogTruncatedError,
)
from pyfaster.flog import Commit, Entry, Life, LogScan, NativeLog, Slot
from pyfaster_fasterlog import _tail
from pyfaster_fasterlog._damage import of_log
from pyfaster_fasterlog._lives import written_until
from pyfaster_fasterlog._log_base import CLOSE_S
from pyfaster_fasterlog._open import find_of, follow, newest_state, report_of
from pyfaster_fasterlog._place import Place, refuse_missing
from pyfaster_fasterlog._report import LogRecovery
from pyfaster_fasterlog._slots import Found, find_slots
from pyfaster_fasterlog._state import State, unpack
from pyfaster_fasterlog._stats import LogStats, stats_of

#: Between two looks of whoever waits for more, in seconds.
POLL_S = 0.02

#: How often an opening begins again that met a writer who changed something.
_ATTEMPTS = 64


class LogFollower:
    """
    A log that is only read, while another process may write it.

    Made by `FasterLog.open(path, read_only=True)`. Any thread may call any method.

    Units: addresses count bytes of the log from its first life on.

    Source: `native/src/flog/recover.c`, which follows the log, `scan.c`, `read.c`.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._old: list[NativeLog] = []
        self._tables: list[tuple[Life, ...]] = []
        self._is_unsized = False
        self._native, self._slot, self._state, self._report = self._open()
        self._tables.append(self._slot.lives)

    # --- opening --------------------------------------------------------------------

    def _slots(self) -> Found:
        files = self._place.files
        if files is None:
            raise ClosedError(f"log {self.name!r} is closed; open it again")
        return find_of(self._place, find_slots(files))

    def _open(self) -> tuple[NativeLog, Slot, State, LogRecovery]:
        """
        Open the core's log, again when a writer has changed it meanwhile.

        What lies behind the last slot is read while the writer goes on. A hole in it
        may be one that was filled before the commit was read that tells of it; then it
        is not there at the next look.
        """
        found, told = self._slots(), None
        for attempt in range(_ATTEMPTS):
            self._is_unsized = self._place.is_unsized
            try:
                return self._open_at(found)
            except FasterError as error:
                seen, found = found, self._slots()
                same = seen.newest == found.newest
                same = same and self._is_unsized == self._place.is_unsized
                before, told = told, getattr(error, "damage", None)
                if (same and told == before) or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt has ended")

    def _open_at(self, found: Found) -> tuple[NativeLog, Slot, State, LogRecovery]:
        slot = found.newest
        if slot is None:
            raise self._no_log(found)
        refuse_missing(self._place, slot.begin, written_until(slot))
        generation = slot.lives[-1].generation
        device = self._place.open_device(slot.log_id, generation, read_only=True)
        try:
            behind = follow(device, slot)
            native = NativeLog(
                device,
                log_id=slot.log_id,
                page_size=slot.page_size,
                lives=slot.lives,
                begin=slot.begin,
                committed=behind.until,
                number=behind.number,
                read_only=True,
            )
        finally:
            device.close()
        report = report_of(found, slot, behind, slot)
        return native, slot, newest_state(found, behind), report

    def _no_log(self, found: Found) -> FasterError:
        if found.problems or self._place.segments().bases:
            told = [f"{each.name}: {each.reason}" for each in found.problems]
            said = "; ".join(told + [f"{name} is missing" for name in found.missing])
            return CorruptLogError(
                f"{self.name!r}: no slot says what the log holds ({said}); bring "
                "slot-a or slot-b of the log's last life back from a copy"
            )
        return ConfigError(
            f"{self.name!r} holds no log; open it once for writing, or look for the "
            "right directory"
        )

    # --- what it knows --------------------------------------------------------------

    @property
    def name(self) -> str:
        """
        How the log was opened.
        """
        return self._place.name

    @property
    def recovery(self) -> LogRecovery:
        """
        What was found when it was opened; nothing was cut off.
        """
        return self._report

    @property
    def begin(self) -> int:
        """
        The first address that was there at the last look.
        """
        return self._slot.begin

    @property
    def committed(self) -> Commit:
        """
        What was durable at the last look.
        """
        return self._native.committed

    @property
    def completed(self) -> bool:
        """
        Whether nothing is appended any more.
        """
        return self._state.completed

    @property
    def generation(self) -> int:
        """
        The life of the log that was seen last.
        """
        return self._slot.lives[-1].generation

    @property
    def lives(self) -> tuple[Life, ...]:
        """
        The lives of the log that were seen last.
        """
        return self._slot.lives

    @property
    def _lives_seen(self) -> int:
        """
        How many lives of the log were followed.
        """
        return len(self._tables)

    def cursors(self) -> Mapping[str, int]:
        """
        Give the saved positions of cursors, by name.
        """
        return self._state.cursors

    def stats(self) -> LogStats:
        """
        Take figures; those of a writer are 0.
        """
        with self._lock:
            return stats_of(
                self._native.stats(),
                self._native.histograms(),
                generation=self.generation,
                lives=len(self._slot.lives),
                slot_writes=0,
                cursors=len(self._state.cursors),
                completed=self.completed,
            )

    # --- looking again --------------------------------------------------------------

    def refresh(self) -> Commit:
        """
        Look whether there is more.

        Returns:
            What is durable, as far as it can be seen.

        Raises:
            CorruptLogError: Something that was durable is damaged.

            DeviceError: It cannot be read.

            ClosedError: The follower was closed.

        Cost: reads what was committed; the slots, too, when that is nothing.
        """
        with self._lock:
            if self._over.is_set():
                raise ClosedError(f"log {self.name!r} is closed; open it again")
            if self._is_unsized:
                self._look_for_files()
            if self._is_unsized or self._native.follow() is None:
                self._look_at_slots()
            return self._native.committed

    def _look_for_files(self) -> None:
        """
        See whether the writer has made its first file, which tells the size of all.
        """
        if not self._place.is_unsized:
            self._reopen()

    def _look_at_slots(self) -> None:
        found = self._slots()
        slot = found.newest
        if slot is None or slot.sequence == self._slot.sequence:
            return
        if slot.lives[-1].generation != self.generation:
            self._reopen()
            return
        self._native.follow()  # what the slot tells of is there
        self._slot = slot
        self._state = max(
            self._state, unpack(slot.attachment)[0], key=lambda state: state.number
        )

    def _reopen(self) -> None:
        """
        Open the core's log anew, from the slots of now.
        """
        native, slot, state, _ = self._open()
        self._tables.append(slot.lives)
        self._old.append(self._native)
        self._native, self._slot, self._state = native, slot, state
        self._close_old(unused=True)

    def _close_old(self, *, unused: bool) -> None:
        """
        Close the logs of earlier lives; those that no scan uses, or all.
        """
        still = []
        for native in self._old:
            if unused and native.stats()["scans"]:
                still.append(native)
            else:
                native.close(timeout=CLOSE_S)
        self._old = still

    def wait_committed(self, seen: int, timeout: float | None = None) -> bool:
        """
        Wait until more than an address is durable, or the log is completed.

        Args:
            seen: The address.

            timeout: How long to wait; for ever when None.

        Returns:
            False when the time was over; True also when a later life of the log has
            begun.

        Raises:
            CorruptLogError, DeviceError, ClosedError: As from `refresh`.

        Units: seconds.

        Cost: a `refresh` some fifty times a second.
        """
        end = None if timeout is None else time.monotonic() + timeout
        openings = self._lives_seen
        while not (
            self.refresh().until > seen
            or self.completed
            or self._lives_seen != openings
        ):
            left = POLL_S if end is None else min(POLL_S, end - time.monotonic())
            if left <= 0:
                return False
            self._over.wait(left)
        return True

    async def _wait_more(self, seen: int, lives: int) -> None:
        """
        The same for a task, which knows what `_lives_seen` was.
        """
        while True:
            until = (await asyncio.to_thread(self.refresh)).until
            if until > seen or self.completed or self._lives_seen != lives:
                return
            await asyncio.sleep(POLL_S)

    # --- reading --------------------------------------------------------------------

    def read(self, address: int) -> bytes:
        """
        Read the payload of one committed entry.

        Raises:
            LogAddressError: It is outside of what was committed at the last look, or a
                commit record's.

            CorruptLogError: No whole entry begins there.

            DeviceError, ClosedError: It cannot be read; the follower was closed.

        Cost: one read of the device, GIL released.
        """
        return self._native.read(address)

    def scan(
        self,
        start: int | None = 0,
        until: int | None = 0,
        *,
        commits: bool = False,
        read_ahead: int = 1,
    ) -> LogScan:
        """
        Iterate over the entries that were durable at the last look.

        Args:
            start: An entry's address; None for where the log begins.

            until: End before the first entry at or above this; 0 or None: where nothing
                more is committed.

            commits: Give commit records, too.

            read_ahead: Pages that are read beside the one looked at; 0: 1.

        Raises:
            LogAddressError, LogTruncatedError, LogCutError: As from the `scan` of a
                log that is written.

            CorruptLogError, DeviceError, ClosedError: As from there.

        Cost: each page is read once, ahead of the loop, GIL released.
        """
        place = start or self.begin
        return self._native.scan(place, until, commits=commits, read_ahead=read_ahead)

    def _scan_again(self, seen: int, position: int) -> LogScan | None:
        """
        Give a scan that goes on in a later life of the log; None when there is none.

        Args:
            seen: What `_lives_seen` was when the scan began.

            position: Where it has come to.

        Raises:
            LogCutError: The end was cut off below.

            LogTruncatedError: The log begins above.
        """
        with self._lock:
            if seen == self._lives_seen:
                return None
            if position < self.begin:
                raise LogTruncatedError(
                    f"log {self.name!r} begins at {self.begin:,} now, above "
                    f"{position:,}"
                )
            cut = _cut_between(self._tables[seen - 1], self._slot.lives)
            if position > cut:
                raise LogCutError(
                    f"log {self.name!r} was cut off at {cut:,}, below {position:,}; "
                    "what was read beyond is not in it any more"
                )
            return self.scan(position)

    def tail(
        self, start: int | None = None, *, skip_truncated: bool = False
    ) -> AsyncIterator[Entry]:
        """
        Iterate over committed entries in a task, and wait for more, until the log is
        completed. Arguments and errors are those of `FasterLog.tail`.
        """
        return _tail.tail(self, start, skip_truncated=skip_truncated)

    def follow(
        self, start: int | None = None, *, skip_truncated: bool = False
    ) -> Iterator[Entry]:
        """
        As `tail`, for a thread: iterate over committed entries, and wait for more,
        until the log is completed.
        """
        return _tail.follow(self, start, skip_truncated=skip_truncated)

    # --- lifetime -------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """
        Whether `close` has been called.
        """
        return self._over.is_set()

    def close(self) -> None:
        """
        Let the log go; a second call does nothing.
        """
        self._over.set()
        with self._lock:
            self._close_old(unused=False)
            self._native.close(timeout=CLOSE_S)
            self._place.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<{type(self).__name__} {self.name!r}, {state}>"


def _cut_between(before: tuple[Life, ...], now: tuple[Life, ...]) -> int:
    """
    Give the first address that a later table of lives gives to another life.
    """
    last = before[-1]
    for life in now:
        if life.generation == last.generation:
            return life.until or (1 << 63)
    return last.first


def open_follower(place: Place) -> LogFollower:
    """
    Open a log for reading.
    """
    try:
        place.take()
        with of_log(place):
            return LogFollower(place)
    except BaseException:
        with suppress(FasterError):
            place.close()
        raise


__all__ = ["LogFollower", "open_follower"]
