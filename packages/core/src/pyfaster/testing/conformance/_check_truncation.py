# SPDX-License-Identifier: MIT
"""
V8: truncate_before lets bytes below go, and touches none above.
"""

from __future__ import annotations

from pyfaster.testing.conformance._drive import Drive
from pyfaster.testing.conformance._model import check, must
from pyfaster.testing.conformance._profile import KEEPS, USABLE, having, room
from pyfaster.testing.conformance._subject import Subject, pattern

MIB = 1 << 20
NEEDS = (USABLE, KEEPS, room(8 * MIB))


def _segments(subject: Subject, count: int = 3) -> tuple[Drive, bytes]:
    """
    Open a device and fill some segments of it.
    """
    drive, data = subject.open(), pattern(1, count * subject.segment)
    subject.put(drive, 0, data)
    return drive, data


def _cut(drive: Drive, offset: int) -> None:
    answer = drive.truncate_before(offset)
    must(answer == 0, f"truncate_before({offset}) gave {answer}")


@check("V8-answers-zero", "truncate_before of what exists gives 0.", *NEEDS)
def answers(subject: Subject) -> None:
    drive, _ = _segments(subject)
    _cut(drive, subject.segment)


@check("V8-above-is-untouched", "Bytes at and above the offset stay.", *NEEDS)
def above(subject: Subject) -> None:
    drive, data = _segments(subject)
    _cut(drive, subject.segment)
    subject.same(drive, subject.segment, data[subject.segment :])


@check(
    "V8-above-is-untouched-inside-a-segment",
    "Bytes above an offset in the middle of a segment stay.",
    *NEEDS,
)
def above_inside(subject: Subject) -> None:
    drive, data = _segments(subject)
    at = subject.segment + 5 * subject.unit
    _cut(drive, at)
    subject.same(drive, at, data[at:])


@check(
    "V8-below-is-old-or-gone",
    "A read below the offset gives the old bytes, zeros, less, or fails; not others.",
    *NEEDS,
)
def below(subject: Subject) -> None:
    drive, data = _segments(subject)
    _cut(drive, 2 * subject.segment)
    for at in range(0, 2 * subject.segment, subject.segment // 4):
        ticket = drive.read(at, subject.unit)
        drive.finish(ticket)
        old = data[at : at + ticket.moved]
        must(ticket.data in (old, bytes(len(old))), f"other bytes: {ticket}")


@check("V8-zero-lets-nothing-go", "truncate_before(0) changes nothing.", *NEEDS)
def zero(subject: Subject) -> None:
    drive, data = _segments(subject, 1)
    _cut(drive, 0)
    subject.same(drive, 0, data)


@check("V8-twice", "The same offset again changes nothing.", *NEEDS)
def twice(subject: Subject) -> None:
    drive, data = _segments(subject)
    _cut(drive, subject.segment)
    _cut(drive, subject.segment)
    subject.same(drive, subject.segment, data[subject.segment :])


@check("V8-backwards", "A lower offset afterwards changes nothing above.", *NEEDS)
def lower(subject: Subject) -> None:
    drive, data = _segments(subject)
    _cut(drive, 2 * subject.segment)
    _cut(drive, subject.unit)
    subject.same(drive, 2 * subject.segment, data[2 * subject.segment :])


@check("V8-step-by-step", "Many truncations leave all above the last.", *NEEDS)
def steps(subject: Subject) -> None:
    drive, data = _segments(subject)
    step = subject.segment // 4
    for at in range(0, len(data) - step, step):
        _cut(drive, at)
        subject.same(drive, at, data[at : at + step])
    subject.same(drive, len(data) - step, data[-step:])


@check("V8-of-a-new-device", "A device that holds nothing may be truncated.", USABLE)
def empty(subject: Subject) -> None:
    drive = subject.open()
    _cut(drive, 0)
    drive.truncate_before(4 * subject.segment)
    drive.drain()


@check(
    "V8-beyond-the-end",
    "Behind a truncation beyond the end bytes can be written and read.",
    *NEEDS,
)
def beyond(subject: Subject) -> None:
    drive, _ = _segments(subject, 1)
    at = 3 * subject.segment
    _cut(drive, at)
    subject.put(drive, at, pattern(2, 4 * subject.unit))
    subject.same(drive, at, pattern(2, 4 * subject.unit))


@check(
    "V8-write-above-afterwards",
    "Above a truncation bytes can be written and overwritten.",
    *NEEDS,
)
def write_above(subject: Subject) -> None:
    drive, data = _segments(subject)
    _cut(drive, subject.segment)
    at, new = 2 * subject.segment, pattern(3, 4 * subject.unit)
    subject.put(drive, at, new)
    subject.put(drive, len(data), new)
    subject.same(drive, at, new + data[at + len(new) :] + new)


@check("V8-sync-afterwards", "After a truncation a sync succeeds.", *NEEDS)
def sync_after(subject: Subject) -> None:
    drive, data = _segments(subject)
    _cut(drive, subject.segment)
    subject.synced(drive)
    subject.same(drive, subject.segment, data[subject.segment :])


@check(
    "V8-with-requests-in-flight",
    "Reads and writes above the offset are not disturbed by a truncation.",
    *NEEDS,
)
def in_flight(subject: Subject) -> None:
    drive, data = _segments(subject)
    base, unit = 2 * subject.segment, subject.unit
    new = pattern(4, 32 * unit)
    writes = [
        drive.write(len(data) + at, new[at : at + unit])
        for at in range(0, len(new), unit)
    ]
    reads = [drive.read(base + at, unit) for at in range(0, 32 * unit, unit)]
    _cut(drive, base)
    subject.once(drive, *writes, *reads)
    wrong = [t for t in reads if t.data != data[t.offset : t.offset + unit]]
    must(not wrong, f"{len(wrong)} reads above the offset are wrong")
    subject.same(drive, len(data), new)


@check(
    "V8-below-a-read-in-flight",
    "A read below the offset that was in flight ends once, with no other bytes.",
    *NEEDS,
)
def read_below(subject: Subject) -> None:
    drive, data = _segments(subject)
    reads = [drive.read(at * subject.unit, subject.unit) for at in range(64)]
    _cut(drive, 2 * subject.segment)
    drive.finish(*reads)
    drive.drain()
    for ticket in reads:
        old = data[ticket.offset : ticket.offset + ticket.moved]
        must(len(ticket.ends) == int(ticket.accepted), f"not once: {ticket}")
        must(ticket.data in (old, bytes(len(old))), f"other bytes: {ticket}")


@check(
    "V8-rolling",
    "A log that is written at its end and cut at its beginning keeps its last part.",
    USABLE,
    KEEPS,
    having("truncates"),
    room(16 * MIB),
)
def rolling(subject: Subject) -> None:
    drive, size = subject.open(), subject.segment // 2
    for number in range(12):
        subject.put(drive, number * size, pattern(number, size))
        if number >= 2:
            _cut(drive, (number - 2) * size)
        for kept in range(max(0, number - 2), number + 1):
            subject.same(drive, kept * size, pattern(kept, size))
