# SPDX-License-Identifier: MIT
"""
V6: requests in flight have no order, and a sync covers what was completed before it.
"""

from __future__ import annotations

from pyfaster.testing.conformance._model import check, must
from pyfaster.testing.conformance._profile import KEEPS, USABLE, room
from pyfaster.testing.conformance._subject import Subject, pattern

MIB = 1 << 20


@check("V6-sync-of-nothing", "A sync of a new device succeeds.", USABLE)
def sync_nothing(subject: Subject) -> None:
    subject.synced(subject.open())


@check("V6-sync-after-a-write", "A sync after a completed write succeeds.", USABLE)
def sync_write(subject: Subject) -> None:
    drive = subject.open()
    subject.put(drive, 0, pattern(1, subject.unit))
    subject.synced(drive)


@check("V6-sync-again", "A second sync with nothing new succeeds.", USABLE)
def sync_again(subject: Subject) -> None:
    drive = subject.open()
    subject.put(drive, 0, pattern(2, subject.unit))
    for _ in range(50):
        subject.synced(drive)


@check(
    "V6-sync-changes-nothing",
    "What was written reads the same before and after a sync.",
    USABLE,
    KEEPS,
)
def sync_keeps(subject: Subject) -> None:
    drive, data = subject.open(), pattern(3, 4 * subject.unit)
    subject.put(drive, 0, data)
    subject.same(drive, 0, data)
    subject.synced(drive)
    subject.same(drive, 0, data)


@check(
    "V6-syncs-in-flight",
    "Many syncs in flight at once all succeed.",
    USABLE,
)
def many_syncs(subject: Subject) -> None:
    drive = subject.open()
    subject.put(drive, 0, pattern(4, subject.unit))
    subject.once(drive, *[drive.sync() for _ in range(32)])


@check(
    "V6-sync-with-writes-in-flight",
    "A sync submitted while writes are in flight ends, and so do the writes.",
    USABLE,
    room(MIB),
)
def sync_in_flight(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    data = pattern(5, 64 * unit)
    tickets = [drive.write(at * unit, data[at * unit :][:unit]) for at in range(32)]
    sync = drive.sync()
    tickets += [
        drive.write(at * unit, data[at * unit :][:unit]) for at in range(32, 64)
    ]
    subject.once(drive, sync, *tickets)
    if "discards" not in subject.profile.capabilities:
        subject.same(drive, 0, data)


@check(
    "V6-sync-between-writes",
    "Writes and syncs by turns: every write is there after the sync that follows it.",
    USABLE,
    KEEPS,
    room(MIB),
)
def sync_by_turns(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    for number in range(32):
        subject.put(drive, number * unit, pattern(number, unit))
        subject.synced(drive)
        subject.same(drive, number * unit, pattern(number, unit))


@check(
    "V6-sync-does-not-wait-for-reads",
    "A sync and reads in flight with it all end.",
    USABLE,
)
def sync_reads(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    subject.put(drive, 0, pattern(6, unit))
    reads = [drive.read(0, unit) for _ in range(32)]
    subject.once(drive, drive.sync(), *reads)


@check(
    "V6-overlapping-writes-are-one-or-the-other",
    "Of two writes in flight to one sector, one is there whole.",
    USABLE,
    KEEPS,
)
def overlapping_writes(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    for number in range(32):
        one, other = pattern(2 * number, unit), pattern(2 * number + 1, unit)
        subject.once(drive, drive.write(0, one), drive.write(0, other))
        found = subject.get(drive, 0, unit)
        must(found in (one, other), "the two writes are mixed in one sector")


@check(
    "V6-write-follows-a-completed-write",
    "A write submitted after another was completed wins over it.",
    USABLE,
    KEEPS,
)
def later_wins(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    for number in range(64):
        subject.succeed(drive, drive.write(0, pattern(number, unit)))
    subject.same(drive, 0, pattern(63, unit))


@check(
    "V6-read-sees-completed-writes",
    "A read submitted after a write was completed sees it, also without a sync.",
    USABLE,
    KEEPS,
    room(MIB),
)
def read_your_writes(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    for number in range(64):
        at = number * 7 % 16 * unit
        subject.succeed(drive, drive.write(at, pattern(number, unit)))
        subject.same(drive, at, pattern(number, unit))
