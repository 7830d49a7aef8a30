# SPDX-License-Identifier: MIT
"""
Random requests against a model: an array of bytes that does the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from pyfaster.testing.conformance._drive import Drive, Ticket
from pyfaster.testing.conformance._model import Broken, check, must
from pyfaster.testing.conformance._profile import KEEPS, PERSISTS, USABLE, room
from pyfaster.testing.conformance._subject import Subject, first_difference, pattern

MIB = 1 << 20
OPERATIONS = 2000
UNITS = 256


class Model:
    """
    What the device must hold: bytes, which were written, and where it was cut.
    """

    def __init__(self, subject: Subject) -> None:
        self.unit = subject.unit
        self.bytes = bytearray(UNITS * subject.unit)
        self.begin = 0

    def write(self, offset: int, data: bytes) -> None:
        """
        Do what the device did.
        """
        self.bytes[offset : offset + len(data)] = data

    def judge(self, ticket: Ticket, seed: int) -> None:
        """
        Compare a read at or above the cut.
        """
        end = ticket.offset + ticket.length
        expected = bytes(self.bytes[ticket.offset : end])
        found = ticket.data
        if found != expected[: len(found)]:
            at = first_difference(found, expected)
            raise Broken(f"seed {seed}: {ticket} differs at byte {at}")
        must(
            not any(expected[len(found) :]),
            f"seed {seed}: short before bytes that were written: {ticket}",
        )


def _extent(rng: random.Random, subject: Subject, begin: int = 0) -> tuple[int, int]:
    at = rng.randrange(begin, UNITS)
    most = subject.profile.facts.max_io // subject.unit or 16
    count = rng.randrange(1, min(UNITS - at, 16, most) + 1)
    return at * subject.unit, count * subject.unit


def _one_by_one(
    subject: Subject, drive: Drive, model: Model, seed: int, count: int
) -> None:
    rng = random.Random(seed)
    for number in range(count):
        offset, length = _extent(rng, subject, model.begin)
        chance = rng.random()
        if chance < 0.45:
            data = pattern(seed * OPERATIONS + number, length)
            subject.succeed(drive, drive.write(offset, data))
            model.write(offset, data)
        elif chance < 0.95:
            ticket = drive.read(offset, length)
            subject.succeed(drive, ticket)
            model.judge(ticket, seed)
        else:
            subject.synced(drive)


def _sequential(seed: int) -> Callable[[Subject], None]:
    def run(subject: Subject) -> None:
        _one_by_one(subject, subject.open(), Model(subject), seed, OPERATIONS)

    return run


for _seed in (1, 2, 3):
    check(
        f"X-one-by-one-seed-{_seed}",
        f"Random requests, one after another, do what an array does: seed {_seed}.",
        USABLE,
        KEEPS,
        room(MIB),
    )(_sequential(_seed))


def _windowed(seed: int, width: int) -> Callable[[Subject], None]:
    """
    Keep some requests in flight whose ranges do not meet, unless all are reads.
    """

    def run(subject: Subject) -> None:
        drive, model, rng = subject.open(), Model(subject), random.Random(seed)
        for start in range(0, OPERATIONS, width):
            taken: set[int] = set()
            window: list[Ticket] = []
            for number in range(start, start + width):
                offset, length = _extent(rng, subject)
                units = set(
                    range(offset // model.unit, (offset + length) // model.unit)
                )
                if taken & units:
                    continue
                taken |= units
                if rng.random() < 0.5:
                    data = pattern(number, length)
                    window.append(drive.write(offset, data))
                else:
                    window.append(drive.read(offset, length))
            subject.succeed(drive, *window)
            for ticket in window:
                if ticket.kind == "read":
                    model.judge(ticket, seed)
            for ticket in window:
                if ticket.kind == "write":
                    model.write(ticket.offset, ticket.held())

    return run


for _seed, _width in ((4, 4), (5, 16), (6, 64)):
    check(
        f"X-{_width}-in-flight-seed-{_seed}",
        f"Random requests, {_width} at a time, do what an array does.",
        USABLE,
        KEEPS,
        room(MIB),
    )(_windowed(_seed, _width))


@check(
    "X-with-truncation-seed-7",
    "Random requests above a cut that moves up do what an array does.",
    USABLE,
    KEEPS,
    room(MIB),
)
def truncating(subject: Subject) -> None:
    drive, model = subject.open(), Model(subject)
    for turn in range(20):
        _one_by_one(subject, drive, model, 700 + turn, 50)
        model.begin = turn * UNITS // 40
        answer = drive.truncate_before(model.begin * model.unit)
        must(answer == 0, f"truncate_before gave {answer}")


@check(
    "X-with-reopening-seed-8",
    "Random requests go on where they were after sync, close and opening again.",
    USABLE,
    KEEPS,
    PERSISTS,
    room(MIB),
)
def reopening(subject: Subject) -> None:
    model = Model(subject)
    for turn in range(5):
        drive = subject.open()
        _one_by_one(subject, drive, model, 800 + turn, 100)
        subject.synced(drive)
        answer = drive.close()
        must(answer == 0, f"close gave {answer}")
