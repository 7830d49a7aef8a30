# SPDX-License-Identifier: MIT
"""
What outlives a device: contents after opening again, other openers, forked processes.
"""

from __future__ import annotations

import os
import signal
import threading
import warnings

from pyfaster.testing.conformance._drive import ROUND_MS, Drive
from pyfaster.testing.conformance._model import Broken, check, must
from pyfaster.testing.conformance._profile import (
    CAN_FORK,
    KEEPS,
    PERSISTS,
    USABLE,
    having,
    lacking,
    room,
)
from pyfaster.testing.conformance._subject import Subject, pattern

MIB = 1 << 20
LASTING = (USABLE, KEEPS, PERSISTS)


def _close(drive: Drive) -> None:
    answer = drive.close()
    must(answer == 0, f"close gave {answer}")


@check(
    "D-synced-bytes-are-there-again",
    "What was synced is read after reopening.",
    *LASTING,
)
def synced(subject: Subject) -> None:
    data = pattern(1, 4 * subject.unit)
    drive = subject.open()
    subject.put(drive, 0, data)
    subject.synced(drive)
    _close(drive)
    subject.same(subject.open(), 0, data)


@check(
    "D-many-syncs",
    "All of several synced parts are read after reopening.",
    *LASTING,
    room(MIB),
)
def many(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    for number in range(16):
        subject.put(drive, number * unit, pattern(number, unit))
        subject.synced(drive)
    _close(drive)
    again = subject.open()
    for number in range(16):
        subject.same(again, number * unit, pattern(number, unit))


@check(
    "D-the-last-write-wins", "After reopening the last synced write is read.", *LASTING
)
def last(subject: Subject) -> None:
    drive = subject.open()
    for seed in range(8):
        subject.put(drive, 0, pattern(seed, subject.unit))
        subject.synced(drive)
    _close(drive)
    subject.same(subject.open(), 0, pattern(7, subject.unit))


@check(
    "D-across-segments",
    "Synced bytes of several segments are read after reopening.",
    *LASTING,
    room(8 * MIB),
)
def across(subject: Subject) -> None:
    data = pattern(2, 2 * subject.segment + 4 * subject.unit)
    drive = subject.open()
    subject.put(drive, 0, data)
    subject.synced(drive)
    _close(drive)
    subject.same(subject.open(), 0, data)


@check("D-holes-stay-holes", "A hole is zero after reopening too.", *LASTING, room(MIB))
def holes(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    subject.put(drive, 0, pattern(3, unit))
    subject.put(drive, 3 * unit, pattern(4, unit))
    subject.synced(drive)
    _close(drive)
    again = subject.open()
    subject.absent(again, unit, 2 * unit)
    subject.same(again, 3 * unit, pattern(4, unit))


@check(
    "D-hole-of-whole-segments",
    "Segments that nobody wrote are zero after reopening too.",
    *LASTING,
    room(16 * MIB),
)
def segments_hole(subject: Subject) -> None:
    drive, unit, segment = subject.open(), subject.unit, subject.segment
    subject.put(drive, segment, pattern(13, unit))
    subject.put(drive, 4 * segment, pattern(14, unit))
    subject.synced(drive)
    _close(drive)
    again = subject.open()
    subject.absent(again, 3 * segment, unit)
    subject.same(again, segment, pattern(13, unit))
    subject.same(again, 4 * segment, pattern(14, unit))


@check(
    "D-write-after-reopening",
    "A device opened again is written and read as before.",
    *LASTING,
    room(MIB),
)
def goes_on(subject: Subject) -> None:
    unit = subject.unit
    for turn in range(4):
        drive = subject.open()
        for before in range(turn):
            subject.same(drive, before * unit, pattern(before, unit))
        subject.put(drive, turn * unit, pattern(turn, unit))
        subject.synced(drive)
        _close(drive)


@check(
    "D-truncation-and-reopening",
    "What was above a truncation is there again.",
    *LASTING,
    room(8 * MIB),
)
def truncated(subject: Subject) -> None:
    drive, segment = subject.open(), subject.segment
    data = pattern(5, 3 * segment)
    subject.put(drive, 0, data)
    subject.synced(drive)
    must(drive.truncate_before(segment) == 0, "truncate_before failed")
    subject.synced(drive)
    _close(drive)
    subject.same(subject.open(), segment, data[segment:])


@check(
    "D-reading-changes-nothing",
    "Opening only to read leaves everything as it was.",
    *LASTING,
)
def read_only(subject: Subject) -> None:
    data = pattern(6, 2 * subject.unit)
    drive = subject.open()
    subject.put(drive, 0, data)
    subject.synced(drive)
    _close(drive)
    for _ in range(3):
        again = subject.open()
        subject.same(again, 0, data)
        _close(again)


@check(
    "D-shared",
    "Two that have one place open see each other's completed writes.",
    USABLE,
    KEEPS,
    having("shared"),
)
def shared(subject: Subject) -> None:
    one, other = subject.open(), subject.open()
    subject.put(one, 0, pattern(7, subject.unit))
    subject.synced(one)
    subject.same(other, 0, pattern(7, subject.unit))


# --- fork ---------------------------------------------------------------------------

#: How a forked child ended.
RIGHT, WRONG, NOTHING = 10, 11, 12


def _child_reads(drive: Drive, expected: bytes) -> int:
    """
    Read in the child; say how it went. Nothing may raise from here.
    """
    try:
        ticket = drive.read(0, len(expected))
        drive.finish(ticket)
    except Broken:
        return NOTHING
    except BaseException:  # noqa: BLE001 - the child must end here
        return WRONG
    if not ticket.done:
        return NOTHING
    return RIGHT if ticket.data == expected else WRONG


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child calls no thread
        return os.fork()


def _ended(child: int, patience: int) -> int:
    """
    Wait for a child; one that hangs is ended, and has got nothing.
    """
    never = threading.Event()
    for _ in range(patience):
        done, status = os.waitpid(child, os.WNOHANG)
        if done == child:
            return os.waitstatus_to_exitcode(status)
        never.wait(ROUND_MS / 1000)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return NOTHING


def _forked(subject: Subject, drive: Drive, expected: bytes) -> int:
    """
    Fork, read in the child, and give how it ended.
    """
    child = _fork()
    if child == 0:
        drive.patience = 5
        os._exit(_child_reads(drive, expected))
    return _ended(child, min(subject.patience, 500))


@check(
    "D-child-may-use-it",
    "A forked child reads what its parent wrote.",
    USABLE,
    KEEPS,
    CAN_FORK,
    having("forks"),
)
def child_uses(subject: Subject) -> None:
    drive, data = subject.open(), pattern(8, subject.unit)
    subject.put(drive, 0, data)
    ended = _forked(subject, drive, data)
    must(ended == RIGHT, f"the child ended with {ended}")
    subject.same(drive, 0, data)


@check(
    "D-child-gets-nothing-wrong",
    "A forked child gets the right bytes or none, never others.",
    USABLE,
    KEEPS,
    CAN_FORK,
    lacking("forks"),
)
def child_refused(subject: Subject) -> None:
    drive, data = subject.open(), pattern(9, subject.unit)
    subject.put(drive, 0, data)
    ended = _forked(subject, drive, data)
    must(ended in (RIGHT, NOTHING), f"the child ended with {ended}")


@check(
    "D-parent-goes-on-after-fork",
    "After a child has used what it inherited, its parent's device works.",
    USABLE,
    KEEPS,
    CAN_FORK,
)
def parent_goes_on(subject: Subject) -> None:
    drive, data = subject.open(), pattern(10, 4 * subject.unit)
    subject.put(drive, 0, data)
    _forked(subject, drive, data)
    subject.same(drive, 0, data)
    subject.put(drive, 0, pattern(11, subject.unit))
    subject.same(drive, 0, pattern(11, subject.unit))
    _close(drive)


@check(
    "D-fork-with-requests-in-flight",
    "A fork while requests are in flight costs the parent no completion.",
    USABLE,
    KEEPS,
    CAN_FORK,
    room(MIB),
)
def fork_in_flight(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    data = pattern(12, 64 * unit)
    tickets = [drive.write(at * unit, data[at * unit :][:unit]) for at in range(64)]
    child = _fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    subject.once(drive, *tickets)
    subject.same(drive, 0, data)
