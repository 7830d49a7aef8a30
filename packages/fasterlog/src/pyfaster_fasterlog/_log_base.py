# SPDX-License-Identifier: MIT
"""
What a log knows of itself beside the core: its place, its slots, and its state.

Theory of operation: entries and commits are the core's business. What is kept outside
of the log (where it begins, its lives, cursors) changes rarely, under one lock, and is
durable when a slot has been written. A slot only ever names what the core has said is
durable, so the device was synced before it.
"""

from __future__ import annotations

import os
import threading
import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from pyfaster.errors import (
    DeviceError,
    FasterError,
    ForkedError,
    ValueTooLargeError,
)
from pyfaster.flog import (
    ATTACHMENT_MAX,
    COOKIE_MAX,
    Commit,
    NativeLog,
    Slot,
    log_closed,
)
from pyfaster_fasterlog._errors import LogCompletedError
from pyfaster_fasterlog._keeper import Keeper
from pyfaster_fasterlog._lives import living
from pyfaster_fasterlog._state import State, pack
from pyfaster_fasterlog._stats import LogStats, stats_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from pyfaster_fasterlog._place import Place
    from pyfaster_fasterlog._report import LogRecovery
    from pyfaster_fasterlog._slots import Slots

#: How long closing waits for the last commit and for whoever is inside, in seconds.
CLOSE_S = 60.0

#: A slot is written once so many bytes were committed behind the last one.
SLOT_EVERY_BYTES = 64 << 20

#: What appending meets once the log is completed, wherever it was called from.
_CLOSED_STATUS = -5004


@dataclass(frozen=True, slots=True)
class Facts:
    """
    What an opening hands to the log.

    Attributes:
        place: Where it lives.

        slots: What writes its slots.

        slot: The newest one.

        slot_every: Commits behind the last slot that are worth another one.

        unit: What the device writes as one.
    """

    place: Place
    slots: Slots
    slot: Slot
    slot_every: int
    unit: int


class LogBase(NativeLog):
    """
    A log that knows its slots and its state.
    """

    _place: Place
    _slots: Slots
    _slot: Slot
    _state: State
    _lock: threading.RLock
    _slot_every: int
    _unit: int
    _keeper: Keeper | None
    _pid: int
    _is_over: bool
    _told: bool
    _report: LogRecovery | None
    _cookie: bytes

    def _enter(self, facts: Facts, state: State, report: LogRecovery | None) -> None:
        """
        Begin, once the slots say so.
        """
        self._place = facts.place
        self._slots = facts.slots
        self._slot = facts.slot
        self._slot_every = facts.slot_every
        self._unit = facts.unit
        self._state = state
        self._report = report
        self._cookie = b"" if report is None else report.cookie
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._is_over = False
        self._told = False  # the plugins, of the end
        self._bytes_per_file = 0  # not known yet
        self._cuts: list[int] = []  # where the end was cut off
        self._attach()
        if state.completed:
            self._end_appending()
        self._keeper = None
        if facts.slots.files is not None:
            self._keeper = Keeper(self, LogBase._keep_slots)

    @property
    def name(self) -> str:
        """
        How the log was opened: "file:wal", ":memory:".
        """
        return self._place.name

    @property
    def recovery(self) -> LogRecovery | None:
        """
        What was found when the log was opened; None for one that began empty.
        """
        return self._report

    @property
    def begin(self) -> int:
        """
        The first address that is there.
        """
        return self._slot.begin

    @property
    def completed(self) -> bool:
        """
        Whether nothing is appended any more; see `complete`.
        """
        return self._state.completed

    # --- slots ----------------------------------------------------------------------

    def _present(self) -> Slot:
        """
        The log as a slot would have it now.
        """
        at = self.committed
        return replace(
            self._slot,
            until=max(at.until, self._slot.lives[-1].first),
            number=at.number,
            lives=living(self._slot.lives, self._slot.begin),
            attachment=pack(self._state, self._cookie),
        )

    def _save(self, *, both: bool = False, **changes: Any) -> None:
        """
        Write the older slot, or both; the lock is held.

        Raises:
            DeviceError: The system refused; what a slot says is as before.
        """
        slot = replace(self._present(), **changes)
        write = self._slots.write_both if both else self._slots.write
        write(slot)
        self._slot = slot

    def _attached(self, state: State) -> dict[str, bytes]:
        """
        What a slot carries of a state.
        """
        return {"attachment": pack(state, self._cookie)}

    def _change(self, state: State, *, both: bool = False) -> None:
        """
        Let another state count, durably; the lock is held.
        """
        self._save(both=both, **self._attached(state))
        self._state = state
        self._attach()

    def _attach(self, cookie: bytes | None = None) -> None:
        """
        Have commit records carry the state and the last cookie, as far as there is
        room: so neither is hidden by a later commit.
        """
        known = self._cookie if cookie is None else cookie
        for data in (pack(self._state, known), pack(self._state, b""), b""):
            if self._fits(data):
                self.attach(data)
                return

    def _keep_slots(self) -> None:
        """
        Write a slot if much was committed behind the last one. One that cannot be
        written is tried again by and by; nothing relies on it.
        """
        with suppress(FasterError), self._lock:
            if self._is_over or self._pid != os.getpid():
                return
            at = self.committed
            commits = at.number - self._slot.number
            if (
                commits >= self._slot_every
                or at.until - self._slot.until >= SLOT_EVERY_BYTES
                or self._has_new_file(at.until)
            ):
                self._save()

    def _has_new_file(self, until: int) -> bool:
        """
        Whether a segment was begun since the last slot: only a slot tells that a file
        is missing behind which there is none.
        """
        size = self._bytes_per_file = self._bytes_per_file or self._place.file_size()
        return size > 0 and (until - 1) // size > (self._slot.until - 1) // size

    def _refuse_child(self) -> None:
        """
        Refuse a process that was forked off: the log is its parent's.
        """
        if self._pid != os.getpid():
            raise ForkedError(
                f"log {self.name!r} belongs to the parent of this process; open it "
                "behind fork()"
            )

    def _commit_with(self, cookie: Buffer, timeout: float | None = None) -> Commit:
        """
        Make a commit of its own, which carries a cookie.

        Commits of others may carry it, too, from now on: they cover all that was
        appended before. A slot has it once this commit is durable.
        """
        data = bytes(cookie)
        most = min(COOKIE_MAX, self.payload_max // 8)
        if len(data) > most:
            raise ValueTooLargeError(
                f"commit: the cookie has {len(data):,} bytes; at most {most:,} are "
                f"allowed: {COOKIE_MAX:,}, and an eighth of the largest entry"
            )
        with self._lock:
            self._attach(data)
            at = self.commit_strong(data, timeout)
            self._cookie = data
            if not self._fits(pack(self._state, data)):
                self._save()  # no later record has it
            return at

    def _fits(self, attachment: bytes) -> bool:
        return len(attachment) <= min(ATTACHMENT_MAX, self.payload_max // 4)

    # --- completion -----------------------------------------------------------------

    def _end_appending(self) -> None:
        """
        Refuse entries from now on, whoever brings them.
        """
        for name in ("append", "append_many", "append_and_commit", "try_append"):
            self.__dict__[name] = self._refuse
        self.poison(_CLOSED_STATUS)

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise LogCompletedError(
            f"log {self.name!r} was completed: nothing is appended to it any more; "
            "begin another one",
            status=_CLOSED_STATUS,
        )

    # --- the end --------------------------------------------------------------------

    def stats(self) -> LogStats:  # type: ignore[override]  # a value, not a dict
        """
        Take the log's figures.

        Cost: two short locks; no request of the device.
        """
        with self._lock:
            return stats_of(
                super().stats(),
                super().histograms(),
                generation=self._slot.lives[-1].generation,
                lives=len(self._slot.lives),
                slot_writes=self._slots.written,
                cursors=len(self._state.cursors),
                completed=self._state.completed,
            )

    def _last_commit(self, timeout: float | None) -> None:
        """
        Commit what was appended, and write a slot that says so.
        """
        with self._lock:
            if not self.completed:
                NativeLog.commit(self, timeout=timeout)
            at = self.committed
            slot = self._slot
            if (at.number, at.until) != (slot.number, slot.until):
                self._save()

    def close(self, timeout: float | None = CLOSE_S, *, commit: bool = True) -> None:
        """
        Commit what was appended, and let the log go; a second call does nothing.

        Args:
            timeout: How long to wait for the commit, and then for those who are inside
                in other threads; for ever when None.

            commit: False: like a crash, what nothing has committed is lost.

        Raises:
            DurabilityError: The last commit failed. The log is closed all the same.

            DeadlineError: The time was over. Call it again.

            DeviceError: The system refused to write a slot. The log is closed all the
                same.

        Units: seconds.

        Cost: a commit, and a slot that is written and synced.
        """
        if self._place_is_gone():
            return
        try:
            if not self._is_over and commit:
                self._last_commit(timeout)
        except TimeoutError:
            raise
        except BaseException:
            self._end(timeout)
            raise
        self._end(timeout)

    def _place_is_gone(self) -> bool:
        """
        Whether there is nothing to close: it was done, or it is the parent's to do.
        """
        if self._pid != os.getpid():
            self._is_over = True
            self._keeper = None
        return (self._is_over and self.closed) or self._pid != os.getpid()

    def _end(self, timeout: float | None) -> None:
        self._is_over = True
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.stop()
        NativeLog.close(self, timeout=timeout)
        self._slots.close()
        self._place.close()
        self._tell_end()

    def _tell_end(self) -> None:
        """
        Tell plugins of the end, once.
        """
        if not self._told:
            self._told = True
            log_closed(self)

    def _abandon(self) -> None:
        """
        Close a log that could not be opened to the end.
        """
        self._is_over = True
        NativeLog.close(self, timeout=CLOSE_S)

    def __del__(self) -> None:
        if getattr(self, "_is_over", True) or self._pid != os.getpid():
            return
        warnings.warn(
            f"log {self.name!r} was not closed; what nothing had committed is lost",
            ResourceWarning,
            source=self,
            stacklevel=2,
        )
        self._is_over = True
        if self._keeper is not None:
            self._keeper.drop()
        with suppress(FasterError, DeviceError):
            NativeLog.close(self, timeout=CLOSE_S)
        self._place.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a log cannot be pickled or copied; send its path, and open a follower "
            "there with FasterLog.open(path, read_only=True)"
        )

    def __repr__(self) -> str:
        state = "closed" if self._is_over else "open"
        if self._state.completed:
            state += ", completed"
        return f"<{type(self).__name__} {self.name!r}, {state}>"


__all__ = ["CLOSE_S", "Facts", "LogBase"]
