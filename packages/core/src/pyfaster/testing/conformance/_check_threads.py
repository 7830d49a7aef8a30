# SPDX-License-Identifier: MIT
"""
Threads: any may submit, poll and wait at any time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from pyfaster.testing.conformance._drive import Drive, Ticket
from pyfaster.testing.conformance._model import check, must
from pyfaster.testing.conformance._profile import KEEPS, USABLE, room
from pyfaster.testing.conformance._subject import Subject, pattern

MIB = 1 << 20
THREADS = 4
ROUNDS = 32


def _together(work: Callable[[int], None]) -> None:
    """
    Run `work(number)` in some threads at once; raise what the first of them raised.
    """
    raised: list[BaseException] = []
    start = threading.Barrier(THREADS)

    def run(number: int) -> None:
        try:
            start.wait()
            work(number)
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            raised.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


@check(
    "M-threads-write-apart",
    "Threads that write to ranges of their own find their bytes there.",
    USABLE,
    KEEPS,
    room(4 * MIB),
)
def write_apart(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit

    def work(number: int) -> None:
        base = number * ROUNDS * unit
        for turn in range(ROUNDS):
            data = pattern(number * ROUNDS + turn, unit)
            subject.succeed(drive, drive.write(base + turn * unit, data))
            subject.same(drive, base + turn * unit, data)

    _together(work)
    for number in range(THREADS * ROUNDS):
        subject.same(drive, number * unit, pattern(number, unit))


@check(
    "M-threads-read-together",
    "Threads that read the same range all get its bytes.",
    USABLE,
    KEEPS,
    room(MIB),
)
def read_together(subject: Subject) -> None:
    drive, data = subject.open(), pattern(1, 8 * subject.unit)
    subject.put(drive, 0, data)

    def work(_: int) -> None:
        for _ in range(ROUNDS):
            subject.same(drive, 0, data)

    _together(work)


@check(
    "M-threads-submit-and-others-wait",
    "What some threads submit others may wait for.",
    USABLE,
    room(4 * MIB),
)
def others_wait(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    written: list[Ticket] = []

    def work(number: int) -> None:
        for turn in range(ROUNDS):
            if number % 2:
                drive.wait(1)
            else:
                at = (number * ROUNDS + turn) * unit
                written.append(drive.write(at, pattern(turn, unit)))

    _together(work)
    subject.once(drive, *written)


@check(
    "M-threads-sync-while-others-write",
    "Syncs and writes of several threads at once all end well.",
    USABLE,
    room(4 * MIB),
)
def sync_and_write(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit

    def work(number: int) -> None:
        for turn in range(ROUNDS):
            if number == 0:
                subject.synced(drive)
            else:
                at = (number * ROUNDS + turn) * unit
                subject.succeed(drive, drive.write(at, pattern(turn, unit)))

    _together(work)
    ends = [len(ticket.ends) for ticket in drive.tickets]
    must(set(ends) == {1}, "some requests were not completed once")


@check(
    "M-threads-write-one-sector",
    "Threads that write the same sector leave one of their writes, whole.",
    USABLE,
    KEEPS,
)
def one_sector(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit

    def work(number: int) -> None:
        for _ in range(ROUNDS):
            subject.succeed(drive, drive.write(0, pattern(number, unit)))

    _together(work)
    found = subject.get(drive, 0, unit)
    must(
        found in [pattern(number, unit) for number in range(THREADS)],
        "the sector is a mixture of several writes",
    )


@check(
    "M-threads-truncate-while-others-read",
    "Reads above the offset are right while another thread truncates.",
    USABLE,
    KEEPS,
    room(8 * MIB),
)
def truncate_and_read(subject: Subject) -> None:
    drive, unit, segment = subject.open(), subject.unit, subject.segment
    data = pattern(2, 4 * segment)
    subject.put(drive, 0, data)

    def work(number: int) -> None:
        if number == 0:
            for turn in range(ROUNDS):
                answer = drive.truncate_before(turn * 3 * segment // ROUNDS)
                must(answer == 0, f"truncate_before gave {answer}")
            return
        for turn in range(ROUNDS):
            at = 3 * segment + (number * ROUNDS + turn) * unit
            subject.same(drive, at, data[at : at + unit])

    _together(work)


@check(
    "M-threads-end-what-they-leave-behind",
    "Requests of threads that have ended are completed all the same.",
    USABLE,
    room(MIB),
)
def orphans(subject: Subject) -> None:
    drive: Drive = subject.open()

    def work(number: int) -> None:
        for turn in range(8):
            at = (number * 8 + turn) * subject.unit
            drive.write(at, pattern(turn, subject.unit))

    _together(work)
    subject.once(drive, *drive.tickets)
