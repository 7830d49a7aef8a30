# SPDX-License-Identifier: MIT
"""
V2 to V5: every accepted request ends once, with the right words, and then lets go.
"""

from __future__ import annotations

import random

from pyfaster.testing.conformance._drive import Ticket
from pyfaster.testing.conformance._model import check, must
from pyfaster.testing.conformance._profile import KEEPS, USABLE, room
from pyfaster.testing.conformance._subject import Subject, pattern
from pyfaster.testing.conformance._table import DONE

MIB = 1 << 20
MANY = 256


@check("V2-write-ends-once", "A write is completed exactly once.", USABLE)
def write_once(subject: Subject) -> None:
    drive = subject.open()
    subject.once(drive, drive.write(0, pattern(1, subject.unit)))


@check("V2-read-ends-once", "A read is completed exactly once.", USABLE)
def read_once(subject: Subject) -> None:
    drive = subject.open()
    subject.put(drive, 0, pattern(2, subject.unit))
    subject.once(drive, drive.read(0, subject.unit))


@check("V2-sync-ends-once", "A sync is completed exactly once.", USABLE)
def sync_once(subject: Subject) -> None:
    drive = subject.open()
    subject.once(drive, drive.sync())


@check(
    "V2-read-beyond-the-end-ends-once",
    "A read where nothing is is completed exactly once.",
    USABLE,
    room(MIB),
)
def short_once(subject: Subject) -> None:
    drive = subject.open()
    subject.once(drive, drive.read(8 * subject.unit, subject.unit))


@check(
    "V2-many-writes-in-flight",
    "Many writes in flight are each completed once, and all their bytes are there.",
    USABLE,
    room(MIB),
)
def many_writes(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    data = pattern(3, MANY * unit)
    tickets = [
        drive.write(at, data[at : at + unit]) for at in range(0, len(data), unit)
    ]
    subject.once(drive, *tickets)
    if "discards" not in subject.profile.capabilities:
        subject.same(drive, 0, data)


@check(
    "V2-many-reads-in-flight",
    "Many reads in flight are each completed once, with their own bytes.",
    USABLE,
    KEEPS,
    room(MIB),
)
def many_reads(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    data = pattern(4, MANY * unit)
    subject.put(drive, 0, data)
    tickets = [drive.read(at, unit) for at in range(0, len(data), unit)]
    subject.once(drive, *tickets)
    wrong = [t for t in tickets if t.data != data[t.offset : t.offset + unit]]
    must(not wrong, f"{len(wrong)} reads gave the bytes of others")


@check(
    "V2-reads-of-one-range-in-flight",
    "Many reads of one range at once all give its bytes.",
    USABLE,
    KEEPS,
)
def overlapping_reads(subject: Subject) -> None:
    drive, data = subject.open(), pattern(5, 2 * subject.unit)
    subject.put(drive, 0, data)
    tickets = [drive.read(0, len(data)) for _ in range(64)]
    subject.once(drive, *tickets)
    must(all(ticket.data == data for ticket in tickets), "some differ")


@check(
    "V2-mixed-requests-in-flight",
    "Reads, writes and syncs in flight together are each completed once.",
    USABLE,
    room(MIB),
)
def mixed(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    data = pattern(6, 64 * unit)
    subject.put(drive, 0, data)
    tickets: list[Ticket] = []
    for number in range(64):
        tickets.append(drive.read(number * unit, unit))
        tickets.append(drive.write((64 + number) * unit, pattern(number, unit)))
        if number % 8 == 0:
            tickets.append(drive.sync())
    subject.once(drive, *tickets)


@check(
    "V2-none-is-lost-over-time",
    "After a thousand requests as many completions have come, no more and no fewer.",
    USABLE,
    room(MIB),
)
def thousand(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    for number in range(500):
        drive.write(number % 64 * unit, pattern(number, unit))
        drive.read(number % 64 * unit, unit)
        if number % 50 == 0:
            drive.finish()
    drive.finish()
    drive.drain()
    ends = sum(len(ticket.ends) for ticket in drive.tickets)
    accepted = sum(ticket.accepted for ticket in drive.tickets)
    must(ends == accepted, f"{accepted} accepted requests, {ends} completions")
    must(drive.strays == 0, f"{drive.strays} completions of nothing")


@check("V2-no-strays", "Nothing is completed that was never submitted.", USABLE)
def no_strays(subject: Subject) -> None:
    drive = subject.open()
    drive.drain()
    subject.once(drive, drive.write(0, pattern(7, subject.unit)), drive.sync())
    must(drive.strays == 0, f"{drive.strays} completions of nothing")


# --- V3, V4: the words of a completion ----------------------------------------------


@check("V3-write-is-done", "A write that succeeded says FASTER_DEVICE_DONE.", USABLE)
def write_code(subject: Subject) -> None:
    drive = subject.open()
    ticket = drive.write(0, pattern(8, subject.unit))
    drive.finish(ticket)
    must([end.code for end in ticket.ends] == [DONE], f"{ticket}")


@check("V3-read-is-done", "A read that succeeded says FASTER_DEVICE_DONE.", USABLE)
def read_code(subject: Subject) -> None:
    drive = subject.open()
    subject.put(drive, 0, pattern(9, subject.unit))
    ticket = drive.read(0, subject.unit)
    drive.finish(ticket)
    must([end.code for end in ticket.ends] == [DONE], f"{ticket}")


@check("V3-sync-is-done", "A sync that succeeded says FASTER_DEVICE_DONE.", USABLE)
def sync_code(subject: Subject) -> None:
    drive = subject.open()
    ticket = drive.sync()
    drive.finish(ticket)
    must([end.code for end in ticket.ends] == [DONE], f"{ticket}")


@check(
    "V3-failures-are-negative",
    "A completion says FASTER_DEVICE_DONE or a negative status, nothing else.",
    USABLE,
    room(MIB),
)
def codes(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    for number in range(32):
        drive.write(number * unit, pattern(number, unit))
        drive.read(number * unit, unit)
        drive.read((1 << 62) + number * unit, unit)
        drive.sync()
    drive.finish()
    odd = {end.code for one in drive.tickets for end in one.ends if end.code >= 0}
    must(odd <= {DONE}, f"completions with the codes {sorted(odd)}")


@check(
    "V4-write-moves-all",
    "A write that is done has moved as many bytes as were asked.",
    USABLE,
    room(MIB),
)
def write_bytes(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    for count in (1, 2, 3, 8, 16):
        ticket = drive.write(0, pattern(count, count * unit))
        drive.finish(ticket)
        must(ticket.ends[0].moved == count * unit, f"{ticket}")


@check(
    "V4-read-moves-no-more-than-asked",
    "A read says no more bytes than were asked, and touches no others.",
    USABLE,
    room(MIB),
)
def read_bytes(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    subject.put(drive, 0, pattern(10, 16 * unit))
    for count in (1, 2, 3, 8, 16):
        ticket = drive.read(0, count * unit)
        drive.finish(ticket)
        must(ticket.ends[0].moved <= count * unit, f"{ticket}")
        must(ticket.intact, f"bytes around the buffer were changed: {ticket}")


@check(
    "V4-read-of-what-was-written-is-whole",
    "A read of what was written says as many bytes as were asked.",
    USABLE,
    KEEPS,
    room(MIB),
)
def read_whole(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    subject.put(drive, 0, pattern(11, 16 * unit))
    for count in (1, 2, 3, 8, 16):
        ticket = drive.read(0, count * unit)
        drive.finish(ticket)
        must(ticket.moved == count * unit, f"{ticket}")


@check(
    "V4-said-bytes-are-there",
    "All bytes that a read says it moved are in the buffer.",
    USABLE,
    KEEPS,
    room(MIB),
)
def said_bytes(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    data = b"\x11" * 8 * unit
    subject.put(drive, 0, data)
    for offset in range(0, 8 * unit, unit):
        ticket = drive.read(offset, 8 * unit - offset)
        subject.succeed(drive, ticket)
        must(0xEE not in ticket.data, f"bytes that were not filled in: {ticket}")


# --- V5: until `done`, and not after ------------------------------------------------


@check(
    "V5-write-leaves-its-buffer-alone",
    "A write does not change the caller's bytes.",
    USABLE,
)
def write_source(subject: Subject) -> None:
    drive, data = subject.open(), pattern(12, 4 * subject.unit)
    ticket = drive.write(0, data)
    subject.succeed(drive, ticket)
    must(ticket.held() == data, "the caller's bytes are others now")
    must(ticket.intact, "bytes around the buffer were changed")


@check(
    "V5-write-buffer-is-free-when-done",
    "What the caller puts into a buffer after `done` does not reach the device.",
    USABLE,
    KEEPS,
    room(MIB),
)
def write_reuse(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    data = pattern(13, 32 * unit)
    for at in range(0, len(data), unit):
        ticket = drive.write(at, data[at : at + unit])
        subject.succeed(drive, ticket)
        ticket.fill(b"\xdd" * unit)
    subject.synced(drive)
    subject.same(drive, 0, data)


@check(
    "V5-read-buffer-is-free-when-done",
    "After `done` the device does not write into a read's buffer any more.",
    USABLE,
    KEEPS,
    room(MIB),
)
def read_reuse(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    subject.put(drive, 0, pattern(14, 32 * unit))
    tickets = [drive.read(number * unit, unit) for number in range(32)]
    subject.succeed(drive, *tickets)
    for ticket in tickets:
        ticket.fill(b"\xdd" * unit)
    subject.get(drive, 0, 32 * unit)
    subject.synced(drive)
    late = [ticket for ticket in tickets if set(ticket.held()) != {0xDD}]
    must(not late, f"{len(late)} buffers were written to after `done`")


@check(
    "V5-requests-keep-to-their-buffers",
    "Requests of random sizes in flight touch no byte around their buffers.",
    USABLE,
    room(MIB),
)
def guards(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    rng = random.Random(15)
    subject.put(drive, 0, pattern(15, 72 * unit))
    for number in range(100):
        count = rng.randrange(1, 9)
        drive.write(rng.randrange(64) * unit, pattern(number, count * unit))
        drive.read(rng.randrange(64) * unit, count * unit)
    drive.finish()
    broken = [str(ticket) for ticket in drive.tickets if not ticket.intact]
    must(not broken, f"bytes around the buffer were changed: {broken[:1]}")
