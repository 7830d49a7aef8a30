# SPDX-License-Identifier: MIT
"""
Opening a log for writing: a new one, or one that was there before.

Theory of operation: everything is looked at before anything is changed. The newer slot
says where the log begins and what was durable when it was written; from there on the
log itself is followed to its last commit. What lies behind belongs to nobody and is cut
off, by beginning a new life. Before the slots say so, the device is synced: what a
process that was killed had only handed over was read all the same, and may not vanish
any more. Then both slots are written, and only then is the log given to anybody. A
crash at any step leaves the slots of before, or one that says the same as what the
next opening finds.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from pyfaster.errors import (
    ConfigError,
    CorruptLogError,
    DeviceError,
    UnsupportedFormatError,
)
from pyfaster.flog import (
    FIRST,
    KINDS,
    Commit,
    CommitRecord,
    LogDevice,
    NativeLog,
    Slot,
    record_of,
    recover,
)
from pyfaster.flog import Found as FoundLog
from pyfaster_fasterlog._damage import (
    damaged,
    last_before,
    of_log,
    refuse_old_slots,
    until_damage,
)
from pyfaster_fasterlog._errors import CommitNotFoundError
from pyfaster_fasterlog._lives import FIRST_LIVES, gaps, next_lives, written_until
from pyfaster_fasterlog._log_base import Facts, LogBase
from pyfaster_fasterlog._place import Place, refuse_missing
from pyfaster_fasterlog._report import LogRecovery
from pyfaster_fasterlog._settings import PAGES_WANTED, Settings, page_size_for
from pyfaster_fasterlog._slots import Found, Slots, find_slots
from pyfaster_fasterlog._state import State, pack, unpack

L = TypeVar("L", bound=LogBase)

#: Of what the device writes as one, a page has so many at least.
UNITS_WANTED = 4

#: What a device says of a place where nothing was ever written.
_EMPTY = ("absent", "short")


class _Opening:
    """
    One opening, until it has succeeded or failed.
    """

    def __init__(self, place: Place, settings: Settings) -> None:
        self.place = place
        self.settings = settings
        self.device: LogDevice | None = None
        self.unit = 1
        self.hurt: CorruptLogError | None = None

    def open(self, kind: type[L]) -> L:
        """
        Open the log.
        """
        self.place.take()
        found = self._look()
        if found.newest is None:
            return self._begin(kind, found)
        return self._recover(kind, found, found.newest)

    def give_up(self) -> None:
        """
        Let everything go that was taken.
        """
        if self.device is not None:
            self.device.close()
        self.place.close()

    def _look(self) -> Found:
        files = self.place.files
        return Found() if files is None else find_of(self.place, find_slots(files))

    def _take_device(self, log_id: int, generation: int) -> LogDevice:
        """
        Open the device, and see whether it keeps what it says.
        """
        device = self.device = self.place.open_device(log_id, generation)
        self.unit = device.unit
        said = device.capabilities
        lasts = "flushes" in said and not said & {"volatile", "discards"}
        if not (lasts or self.place.is_memory or self.settings.trust_device):
            raise ConfigError(
                f"{self.place.name!r}: the device does not say that its syncs survive "
                "a power cut, so no commit would be durable; give another device, or "
                "trust_device=True if you know better"
            )
        return device

    # --- a new one ------------------------------------------------------------------

    def _begin(self, kind: type[L], found: Found) -> L:
        """
        Begin a log where nothing is.
        """
        refuse_remains(self.place, found)
        settings = self.settings
        asked = settings.recover
        if asked != "latest":
            raise CommitNotFoundError(
                f"{self.place.name!r}: there is no log yet, so no commit {asked}"
            )
        page_size = settings.page_size or page_size_for(settings.memory)
        log_id = secrets.randbits(64) | 1
        slot = Slot(0, log_id, page_size, FIRST, FIRST, 0, FIRST_LIVES, b"")
        slots = Slots(self.place.files, found)
        device = self._take_device(log_id, 1)  # which makes no segment yet
        self._check_page(page_size)
        if self.place.device is not None:
            self._refuse_written(device, slot)
        slots.write_both(slot)
        log = self._make(kind, device, slot, Commit(0, FIRST))
        log._enter(self._facts(slots, slot), State(), None)
        return log

    def _check_page(self, page_size: int) -> None:
        """
        Refuse pages of a few of the device's units: commits fill these.
        """
        least = UNITS_WANTED * self.unit
        if page_size < least:
            raise ConfigError(
                f"{self.place.name!r}: the device writes {self.unit:,} bytes as one, "
                f"so pages of {page_size:,} are too small; give page_size={least:,} "
                f"or more, or memory={PAGES_WANTED * least:,} where no size is given"
            )

    def _refuse_written(self, device: LogDevice, slot: Slot) -> None:
        """
        Refuse a device that has something where a log begins.
        """
        found = follow(device, slot)
        if found.damage is not None and found.damage.what not in _EMPTY:
            raise CorruptLogError(
                f"{self.place.name!r}: the device is not empty, and there is no slot "
                "of a log; bring the slots back from a copy, or give an empty device"
            )

    # --- one that was there ---------------------------------------------------------

    def _recover(self, kind: type[L], found: Found, slot: Slot) -> L:
        """
        Open a log that was there.
        """
        asked = self.settings.page_size
        if asked and asked != slot.page_size:
            raise UnsupportedFormatError(
                f"{self.place.name!r}: its pages have {slot.page_size:,} bytes, not "
                f"page_size={asked:,}; leave page_size out"
            )
        refuse_missing(self.place, slot.begin, written_until(slot))
        device = self._take_device(slot.log_id, slot.lives[-1].generation + 1)
        self._check_page(slot.page_size)
        followed = self._follow(device, slot)
        device.sync()
        begin = max(slot.begin, followed.begin)
        lives = next_lives(slot.lives, followed.until, begin, self.unit, opening=True)
        now = replace(slot, begin=begin, lives=lives, number=followed.number)
        now = replace(now, until=lives[-1].first)
        log = self._make(kind, device, now, Commit(followed.number, now.until))
        try:
            if self.hurt is not None:
                followed = self._up_to_damage(log, slot, followed, self.hurt)
            report = self._report(found, slot, followed, now)
            if self.hurt or report.asked not in (None, followed.number):
                now, report = self._go_back(log, now, report, slot)
            state = newest_state(found, followed).within(begin, now.until)
            state = state.outside(gaps(now.lives))
            now = replace(now, attachment=pack(state, report.cookie))
            slots = Slots(self.place.files, found)
            slots.settle()
            slots.write_both(now)
        except BaseException:
            log._abandon()
            raise
        log._enter(self._facts(slots, now), state, report)
        with suppress(DeviceError):  # else the next opening may do it
            log.free_space()  # what a crash behind a truncation may have left
        return log

    def _follow(self, device: LogDevice, slot: Slot) -> FoundLog:
        asked = self.settings.recover
        try:
            return follow(device, slot)
        except CorruptLogError as error:
            refuse_old_slots(self.place, error)
            if isinstance(asked, int) and asked <= slot.number:
                return nothing_behind(slot)
            self.hurt = error
            return replace(nothing_behind(slot), until=until_damage(slot, error))

    def _up_to_damage(
        self, log: LogBase, slot: Slot, followed: FoundLog, error: CorruptLogError
    ) -> FoundLog:
        """
        See whether the commit that was asked for lies before the damage.
        """
        asked = self.settings.recover
        last = last_before(log, slot, followed.until)
        if not isinstance(asked, int) or asked > last:
            raise damaged(self.place, error, last) from error
        return replace(followed, number=last)

    def _go_back(
        self, log: LogBase, slot: Slot, report: LogRecovery, known: Slot
    ) -> tuple[Slot, LogRecovery]:
        """
        Cut the log off behind the commit that was asked for, in memory.
        """
        number = report.asked or 0
        start = known.until if known.number < number <= report.number else 0
        if number == 0 and slot.begin == FIRST:
            until, cookie = FIRST, b""
        else:
            until, record = find_commit(
                log, number, slot.number, self.place.name, start
            )
            cookie = record.cookie or unpack(record.attachment)[1]
        older = (*slot.lives[:-1], replace(slot.lives[-1], until=slot.until))
        lives = next_lives(older, until, slot.begin, self.unit)
        log.suspend()
        log.restart(lives, number)
        now = replace(slot, lives=lives, number=number, until=lives[-1].first)
        report = replace(
            report,
            number=number,
            until=until,
            generation=lives[-1].generation,
            entries=0,
            cookie=cookie,
        )
        return now, report

    def _make(self, kind: type[L], device: LogDevice, slot: Slot, at: Commit) -> L:
        """
        Open the core's log, which the device belongs to from then on.
        """
        policy = self.settings.policy
        self.device = None
        log: L = kind(
            device,
            log_id=slot.log_id,
            page_size=slot.page_size,
            memory=max(self.settings.memory, 2 * slot.page_size),
            lives=slot.lives,
            begin=slot.begin,
            committed=at.until,
            number=at.number,
            commit_bytes=policy.commit_bytes,
            commit_ms=policy.commit_ms,
            commits_in_flight=policy.max_in_flight,
        )
        return log

    def _facts(self, slots: Slots, slot: Slot) -> Facts:
        return Facts(self.place, slots, slot, self.settings.slot_every, self.unit)

    def _report(
        self, found: Found, slot: Slot, followed: FoundLog, now: Slot
    ) -> LogRecovery:
        asked = self.settings.recover
        return replace(
            report_of(found, slot, followed, now),
            asked=asked if isinstance(asked, int) else None,
        )


# --- what a reader needs, too -------------------------------------------------------


def find_of(place: Place, found: Found) -> Found:
    """
    Give up the slots of other logs, as far as the log's files tell.
    """
    if len({slot.log_id for slot in found.good.values()}) < 2:
        return found
    own = place.segments().log_id
    for name, slot in list(found.good.items()):
        if own and slot.log_id != own:
            reason = f"it is of the log {slot.log_id:016x}, not of {own:016x}"
            found = found.without(name, reason)
    if len({slot.log_id for slot in found.good.values()}) < 2:
        return found
    raise CorruptLogError(
        f"{place.name!r}: the slots {' and '.join(found.good)} are of two logs; move "
        "the one away that does not belong there"
    )


def refuse_remains(place: Place, found: Found) -> None:
    """
    Refuse to begin a log where one was.

    Raises:
        CorruptLogError: There are segments, or slots that are both damaged.
    """
    bases = place.segments().bases
    if not bases and (found.is_unfinished or not found.sizes):
        return
    said = [f"{each.name}: {each.reason}" for each in found.problems]
    said += [f"{name} is missing" for name in found.missing]
    what = f"{len(bases)} files of a log are there" if bases else "a log was there"
    raise CorruptLogError(
        f"{place.name!r}: {what}, and no slot says what they hold ("
        f"{'; '.join(said)}); nothing was changed: bring slot-a or slot-b of its last "
        "life back from a copy, or move everything away to begin a new log"
    )


def follow(device: LogDevice, slot: Slot) -> FoundLog:
    """
    Follow a log from what a slot knows to its last commit.
    """
    return recover(
        device,
        log_id=slot.log_id,
        page_size=slot.page_size,
        life=slot.lives[-1],
        start=slot.until,
        number=slot.number,
    )


def report_of(found: Found, slot: Slot, followed: FoundLog, now: Slot) -> LogRecovery:
    """
    Say what was found.

    Args:
        found: The slots.

        slot: The one that the recovery began from.

        followed: What lies behind it.

        now: What the log is now.
    """
    damage = followed.damage
    if damage is not None and damage.what in _EMPTY:
        damage = None
    return LogRecovery(
        number=followed.number,
        until=followed.until,
        begin=now.begin,
        generation=now.lives[-1].generation,
        slot=found.newest_name,
        slot_number=slot.number,
        entries=followed.entries,
        cut_entries=followed.cut_entries,
        cut_until=max(followed.cut_until, followed.until),
        cookie=last_cookie(slot, followed),
        damage=damage,
        slots=found.problems,
    )


def last_cookie(slot: Slot, followed: FoundLog) -> bytes:
    """
    Give the cookie of the last commit that had one.
    """
    if followed.cookie:
        return followed.cookie
    attached = unpack(followed.attachment)[1] if followed.attachment else b""
    return attached or unpack(slot.attachment)[1]


def nothing_behind(slot: Slot) -> FoundLog:
    """
    What is found where nobody looks behind a slot.
    """
    return FoundLog(
        number=slot.number,
        until=slot.until,
        entries=0,
        cut_entries=0,
        cut_until=slot.until,
        record=0,
        begin=0,
        cookie=b"",
        attachment=b"",
        damage=None,
    )


def newest_state(found: Found, followed: FoundLog) -> State:
    """
    Give the newest state that slots and the last commit record know.
    """
    states = [unpack(slot.attachment)[0] for slot in found.good.values()]
    states.append(unpack(followed.attachment)[0])
    return max(states, key=lambda state: state.number)


def find_commit(
    log: NativeLog, number: int, last: int, name: str, start: int = 0
) -> tuple[int, CommitRecord]:
    """
    Find where a commit ends, and what its record says.

    Raises:
        CommitNotFoundError: There is none of this number.
    """
    for entry in log.scan(start, commits=True):
        if entry.kind == KINDS["commit"]:
            record = record_of(entry.payload)
            if record.number == number:
                return entry.next, record
            if record.number > number:
                break
    raise CommitNotFoundError(
        f"{name!r}: there is no commit {number:,}; the last one is {last:,}, and those "
        "before the log's beginning are gone"
    )


def open_log(kind: type[L], place: Place, settings: Settings) -> L:
    """
    Open a log for writing.
    """
    opening = _Opening(place, settings)
    try:
        with of_log(place):
            return opening.open(kind)
    except BaseException:
        opening.give_up()
        raise


__all__ = [
    "find_commit",
    "find_of",
    "follow",
    "newest_state",
    "open_log",
    "report_of",
]
