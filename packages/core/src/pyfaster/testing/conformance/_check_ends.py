# SPDX-License-Identifier: MIT
"""
V7: what was never written, where the device ends, and requests of no length.
"""

from __future__ import annotations

from pyfaster.testing.conformance._model import check, must
from pyfaster.testing.conformance._profile import KEEPS, USABLE, room
from pyfaster.testing.conformance._subject import Subject, pattern

MIB = 1 << 20


@check(
    "V7-new-device-holds-nothing",
    "The first read of a new device gives zeros or ends short.",
    USABLE,
)
def new_device(subject: Subject) -> None:
    subject.absent(subject.open(), 0, 4 * subject.unit)


@check(
    "V7-beyond-the-end",
    "A read behind everything that was written gives zeros or ends short.",
    USABLE,
    KEEPS,
    room(MIB),
)
def beyond(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    subject.put(drive, 0, pattern(1, unit))
    subject.absent(drive, unit, unit)
    subject.absent(drive, 8 * unit, unit)


@check(
    "V7-far-beyond-the-end",
    "A read segments behind everything gives zeros or ends short.",
    USABLE,
    KEEPS,
    room(16 * MIB),
)
def far_beyond(subject: Subject) -> None:
    drive = subject.open()
    subject.put(drive, 0, pattern(2, subject.unit))
    subject.absent(drive, 5 * subject.segment, subject.unit)


@check(
    "V7-across-the-end",
    "A read that reaches behind the end gives what there is, then zeros or nothing.",
    USABLE,
    KEEPS,
    room(MIB),
)
def across_end(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    data = pattern(3, 2 * unit)
    subject.put(drive, 0, data)
    ticket = drive.read(unit, 3 * unit)
    subject.succeed(drive, ticket)
    must(ticket.moved >= unit, f"the part that exists is missing: {ticket}")
    must(ticket.data[:unit] == data[unit:], "the part that exists is wrong")
    must(not any(ticket.data[unit:]), "bytes behind the end are not zero")


@check(
    "V7-short-only-at-the-end",
    "A read is not short where bytes follow that were written.",
    USABLE,
    KEEPS,
    room(MIB),
)
def short_only_at_end(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    subject.put(drive, 0, pattern(4, 16 * unit))
    for count in range(1, 17):
        ticket = drive.read(0, count * unit)
        subject.succeed(drive, ticket)
        must(ticket.moved == count * unit, f"short before the end: {ticket}")


@check(
    "V7-hole-is-zero",
    "Bytes between two writes that nobody wrote are zero.",
    USABLE,
    KEEPS,
    room(MIB),
)
def hole(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    subject.put(drive, 0, pattern(5, unit))
    subject.put(drive, 6 * unit, pattern(6, unit))
    subject.absent(drive, unit, 5 * unit)
    subject.same(drive, 0, pattern(5, unit))
    subject.same(drive, 6 * unit, pattern(6, unit))


@check(
    "V7-read-over-a-hole",
    "A read over written bytes, a hole and written bytes gives all three.",
    USABLE,
    KEEPS,
    room(MIB),
)
def over_hole(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    one, other = pattern(7, unit), pattern(8, unit)
    subject.put(drive, 0, one)
    subject.put(drive, 2 * unit, other)
    subject.same(drive, 0, one + bytes(unit) + other)


@check(
    "V7-hole-of-whole-segments",
    "Segments that nobody wrote, between two that were written, are zero.",
    USABLE,
    KEEPS,
    room(16 * MIB),
)
def segments_hole(subject: Subject) -> None:
    drive, unit, segment = subject.open(), subject.unit, subject.segment
    subject.put(drive, 0, pattern(14, unit))
    subject.put(drive, 4 * segment, pattern(15, unit))
    for at in (segment, 2 * segment - unit, 3 * segment + unit):
        subject.absent(drive, at, 2 * unit)
    subject.same(drive, 0, pattern(14, unit))
    subject.same(drive, 4 * segment, pattern(15, unit))


@check(
    "V7-begins-in-a-later-segment",
    "A log whose first byte is segments from zero has nothing before it.",
    USABLE,
    KEEPS,
    room(16 * MIB),
)
def later_segment(subject: Subject) -> None:
    drive, unit, segment = subject.open(), subject.unit, subject.segment
    subject.put(drive, 6 * segment, pattern(16, unit))
    subject.absent(drive, 0, unit)
    subject.absent(drive, 5 * segment, unit)
    subject.same(drive, 6 * segment, pattern(16, unit))


@check(
    "V7-hole-filled-later",
    "A hole can be written to, and what lies around it stays.",
    USABLE,
    KEEPS,
    room(MIB),
)
def hole_filled(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    data = pattern(9, 3 * unit)
    for number in (0, 2, 1):
        at = number * unit
        subject.put(drive, at, data[at : at + unit])
    subject.same(drive, 0, data)


@check(
    "V7-first-write-not-at-zero",
    "A device whose first write is not at its beginning has a hole there.",
    USABLE,
    KEEPS,
    room(MIB),
)
def begins_later(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    subject.put(drive, 3 * unit, pattern(10, unit))
    subject.absent(drive, 0, 3 * unit)
    subject.same(drive, 3 * unit, pattern(10, unit))


@check(
    "V7-zero-length-read",
    "A read of no bytes gives none, or is refused; it is completed at most once.",
    USABLE,
)
def empty_read(subject: Subject) -> None:
    drive = subject.open()
    subject.put(drive, 0, pattern(11, subject.unit))
    ticket = drive.read(0, 0)
    drive.finish(ticket)
    drive.drain()
    must(len(ticket.ends) == int(ticket.accepted), f"{ticket}")
    must(not any(end.moved for end in ticket.ends), f"moved bytes: {ticket}")
    must(ticket.intact, "bytes around the buffer were changed")


@check(
    "V7-zero-length-write",
    "A write of no bytes changes nothing; it is completed at most once.",
    USABLE,
    KEEPS,
)
def empty_write(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    subject.put(drive, 0, pattern(12, unit))
    ticket = drive.write(0, b"")
    drive.finish(ticket)
    drive.drain()
    must(len(ticket.ends) == int(ticket.accepted), f"{ticket}")
    must(not any(end.moved for end in ticket.ends), f"moved bytes: {ticket}")
    subject.same(drive, 0, pattern(12, unit))


@check(
    "V7-read-leaves-the-rest-alone",
    "A short read does not fill the buffer with anything but zeros behind its end.",
    USABLE,
    KEEPS,
    room(MIB),
)
def short_read_buffer(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    subject.put(drive, 0, pattern(13, unit))
    ticket = drive.read(0, 2 * unit)
    subject.succeed(drive, ticket)
    behind = set(ticket.held()[max(unit, ticket.moved) :])
    must(behind <= {0, 0xEE}, "bytes of elsewhere are behind the end of a short read")
