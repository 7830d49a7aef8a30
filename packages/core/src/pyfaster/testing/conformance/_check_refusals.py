# SPDX-License-Identifier: MIT
"""
V1, V4: what cannot be done is refused or failed, never said to be done.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from pyfaster.testing.conformance._drive import Drive, Ticket
from pyfaster.testing.conformance._model import Need, check, must
from pyfaster.testing.conformance._profile import (
    ALIGNED,
    BOUNDED,
    KEEPS,
    LIMITED,
    USABLE,
    room,
)
from pyfaster.testing.conformance._subject import Subject, pattern
from pyfaster.testing.conformance._table import OFFSET_MAX

Attempt = Callable[[Subject, Drive], Ticket]


def refused(subject: Subject, attempt: Attempt) -> Ticket:
    """
    Ask for what cannot be: it must be refused, or completed once with a failure.
    """
    drive = subject.open()
    data = pattern(1, 4 * subject.unit)
    if subject.profile.room(len(data)):
        subject.put(drive, 0, data)
    ticket = attempt(subject, drive)
    drive.finish(ticket)
    drive.drain()
    if ticket.accepted:
        must(len(ticket.ends) == 1, f"not completed once: {ticket}")
        must(ticket.ends[0].code < 0, f"not a failure: {ticket}")
    else:
        must(ticket.result < 0, f"refused with no failure: {ticket}")
        must(not ticket.ends, f"refused and completed: {ticket}")
    must(ticket.intact, f"bytes around the buffer were changed: {ticket}")
    if "discards" not in subject.profile.capabilities and subject.profile.room(
        len(data)
    ):
        subject.same(drive, 0, data)
    return ticket


def _never(name: str, sentence: str, attempt: Attempt, *needs: Need) -> None:
    def run(subject: Subject) -> None:
        refused(subject, attempt)

    check(name, sentence, USABLE, *needs)(run)


_HALF = (OFFSET_MAX + 1) // 2
#: Ranges that do not exist: offset and length, of a smallest request.
_RANGES: tuple[tuple[str, Callable[[int], tuple[int, int]]], ...] = (
    ("begins-behind-all-offsets", lambda unit: (OFFSET_MAX + 1, unit)),
    ("ends-behind-all-offsets", lambda unit: (OFFSET_MAX + 1 - unit, 2 * unit)),
    ("wraps-around", lambda unit: ((1 << 64) - unit, 2 * unit)),
    ("is-too-long", lambda unit: (2 * _HALF - 4 * unit, 2 * _HALF - 8 * unit)),
)

for _word, _range in _RANGES:
    _said = f"A range that {_word.replace('-', ' ')} is not"
    _never(
        f"V1-read-{_word}",
        f"{_said} read.",
        lambda s, d, give=_range: d.read(*give(s.unit)),  # type: ignore[misc]
    )
    _never(
        f"V1-write-{_word}",
        f"{_said} written.",
        lambda s, d, give=_range: d.write(  # type: ignore[misc]
            give(s.unit)[0], pattern(2, s.unit), length=give(s.unit)[1]
        ),
    )


# --- alignment ----------------------------------------------------------------------


def honest(subject: Subject, attempt: Attempt, expected: bytes | None) -> None:
    """
    Ask for what does not fit the alignment: not done, or done right.
    """
    drive, unit = subject.open(), subject.unit
    data = pattern(3, 8 * unit)
    subject.put(drive, 0, data)
    ticket = attempt(subject, drive)
    drive.finish(ticket)
    drive.drain()
    must(len(ticket.ends) == int(ticket.accepted), f"not completed once: {ticket}")
    must(ticket.intact, f"bytes around the buffer were changed: {ticket}")
    if ticket.kind == "read":
        right = data[ticket.offset : ticket.offset + ticket.moved]
        must(ticket.data == right, f"done, and the bytes are wrong: {ticket}")
    elif ticket.done and expected is not None:
        begin = ticket.offset
        data = data[:begin] + expected + data[begin + len(expected) :]
    subject.same(drive, 0, data)


_MISFITS: tuple[tuple[str, int, int, int], ...] = (
    ("offset", 1, 0, 0),
    ("length", 0, -1, 0),
    ("buffer", 0, 0, 1),
)


def _misfit(kind: str, offset: int, less: int, shift: int) -> Callable[[Subject], None]:
    def run(subject: Subject) -> None:
        unit, data = subject.unit, pattern(4, subject.unit + less)

        def attempt(subject: Subject, drive: Drive) -> Ticket:
            if kind == "read":
                return drive.read(unit + offset, unit + less, shift=shift)
            return drive.write(unit + offset, data, shift=shift)

        honest(subject, attempt, data)

    return run


for _kind in ("read", "write"):
    for _word, _offset, _less, _shift in _MISFITS:
        check(
            f"V1-{_kind}-with-misaligned-{_word}",
            f"A {_kind} whose {_word} is not aligned is not done, or done right.",
            USABLE,
            KEEPS,
            ALIGNED,
            room(1 << 20),
        )(_misfit(_kind, _offset, _less, _shift))


# --- max_io and capacity ------------------------------------------------------------


def _over(subject: Subject) -> int:
    return subject.profile.facts.max_io // subject.unit * subject.unit + subject.unit


def _limited(kind: str) -> Callable[[Subject], None]:
    def run(subject: Subject) -> None:
        drive, size = subject.open(), _over(subject)
        data = pattern(5, size)
        if kind == "read":
            subject.put(drive, 0, data)
            ticket = drive.read(0, size)
        else:
            ticket = drive.write(0, data)
        drive.finish(ticket)
        drive.drain()
        must(len(ticket.ends) == int(ticket.accepted), f"not completed once: {ticket}")
        must(ticket.intact, f"bytes around the buffer were changed: {ticket}")
        if ticket.done and ticket.kind == "read":
            must(ticket.data == data, f"done, and the bytes are wrong: {ticket}")
        elif ticket.done:
            subject.same(drive, 0, data)

    return run


for _kind in ("read", "write"):
    check(
        f"V1-{_kind}-above-max-io",
        f"A {_kind} of more than max_io is refused, failed, or done right.",
        USABLE,
        KEEPS,
        LIMITED,
        room(1 << 20),
    )(_limited(_kind))


@check(
    "V1-request-of-max-io",
    "A write and a read of exactly max_io are carried out.",
    USABLE,
    KEEPS,
    LIMITED,
)
def exactly_max_io(subject: Subject) -> None:
    drive = subject.open()
    size = subject.profile.facts.max_io // subject.unit * subject.unit
    data = pattern(6, size)
    subject.succeed(drive, drive.write(0, data))
    ticket = drive.read(0, size)
    subject.succeed(drive, ticket)
    must(ticket.data == data, "what was read is not what was written")


def _beyond(first: Callable[[int, int], int]) -> Callable[[Subject], None]:
    def run(subject: Subject) -> None:
        unit, capacity = subject.unit, subject.profile.facts.capacity
        at = first(capacity // unit * unit, unit)
        ticket = refused(
            subject, lambda _, drive: drive.write(at, pattern(7, 2 * unit))
        )
        told = ticket.result if not ticket.accepted else ticket.ends[0].code
        must(told == -errno.ENOSPC, f"not -ENOSPC: {ticket}")

    return run


for _word, _first in (
    ("behind-the-capacity", lambda end, unit: end),
    ("across-the-capacity", lambda end, unit: end - unit),
    ("far-behind-the-capacity", lambda end, unit: 4 * end + 64 * unit),
):
    check(
        f"V1-write-{_word}",
        f"A write {_word.replace('-', ' ')} ends with -ENOSPC and changes nothing.",
        USABLE,
        BOUNDED,
    )(_beyond(_first))


@check(
    "V1-usable-after-a-full-device",
    "After -ENOSPC the device takes writes that fit.",
    USABLE,
    KEEPS,
    BOUNDED,
)
def usable_after_full(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    drive.finish(drive.write(subject.profile.facts.capacity, pattern(8, unit)))
    subject.put(drive, 0, pattern(9, unit))
    subject.same(drive, 0, pattern(9, unit))


@check(
    "V1-usable-after-refusals",
    "After requests that were refused the device works as before.",
    USABLE,
    KEEPS,
)
def usable_after_refusals(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    for _ in range(100):
        drive.finish(drive.read(OFFSET_MAX + 1, unit))
        drive.finish(drive.write(OFFSET_MAX + 1, pattern(10, unit)))
    subject.put(drive, 0, pattern(11, unit))
    subject.same(drive, 0, pattern(11, unit))
    both = [str(one) for one in drive.tickets if one.ends and not one.accepted]
    must(not both, f"{len(both)} requests were refused and completed")
