# SPDX-License-Identifier: MIT
"""
Bytes that were written are read: sizes, places, overwriting, what lies beside.
"""

from __future__ import annotations

from collections.abc import Callable

from pyfaster.testing.conformance._model import check, must
from pyfaster.testing.conformance._profile import (
    BOUNDED,
    KEEPS,
    USABLE,
    room,
)
from pyfaster.testing.conformance._subject import Subject, pattern

KIB = 1024
MIB = 1024 * KIB

#: Sizes of a round trip: a name, a rule from the subject, and how much must fit.
_SIZES: tuple[tuple[str, Callable[[Subject], int], int], ...] = (
    ("the-smallest-request", lambda s: s.unit, 0),
    ("two-of-the-smallest", lambda s: 2 * s.unit, 0),
    ("a-page", lambda s: max(s.unit, 4 * KIB), 64 * KIB),
    ("three-units", lambda s: 3 * s.unit, 64 * KIB),
    ("64-KiB", lambda s: max(s.unit, 64 * KIB), 256 * KIB),
    ("1-MiB", lambda s: MIB, 2 * MIB),
    ("1-MiB-and-a-unit", lambda s: MIB + s.unit, 2 * MIB),
    ("8-MiB", lambda s: 8 * MIB, 9 * MIB),
)


def _round_trip(size: Callable[[Subject], int]) -> Callable[[Subject], None]:
    def run(subject: Subject) -> None:
        drive, data = subject.open(), pattern(1, size(subject))
        subject.put(drive, 0, data)
        subject.same(drive, 0, data)

    return run


for _word, _size, _room in _SIZES:
    check(
        f"B-round-trip-of-{_word}",
        f"What a write of {_word.replace('-', ' ')} wrote, a read of it gives.",
        USABLE,
        KEEPS,
        room(_room),
    )(_round_trip(_size))


#: Offsets of a round trip of four units.
_PLACES: tuple[tuple[str, Callable[[Subject], int]], ...] = (
    ("one-unit", lambda s: s.unit),
    ("seven-units", lambda s: 7 * s.unit),
    ("a-segment", lambda s: s.segment),
    ("a-segment-less-one-unit", lambda s: s.segment - s.unit),
    ("two-segments-less-two-units", lambda s: 2 * s.segment - 2 * s.unit),
)


def _from_zero(offset: Callable[[Subject], int]) -> Callable[[Subject], None]:
    def run(subject: Subject) -> None:
        drive, at = subject.open(), offset(subject)
        data = pattern(2, at + 4 * subject.unit)
        subject.put(drive, 0, data[:at])
        subject.put(drive, at, data[at:])
        subject.same(drive, at, data[at:])
        subject.same(drive, 0, data)

    return run


for _word, _offset in _PLACES:
    check(
        f"B-write-at-{_word}",
        f"A write at {_word.replace('-', ' ')} lands there and joins what is before.",
        USABLE,
        KEEPS,
        room(4 * MIB),
    )(_from_zero(_offset))


@check(
    "B-read-across-a-segment",
    "A read that begins in one segment and ends in the next gives both parts.",
    USABLE,
    KEEPS,
    room(4 * MIB),
)
def read_across(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    data = pattern(3, subject.segment + 2 * unit)
    subject.put(drive, 0, data)
    begin = subject.segment - unit
    subject.same(drive, begin, data[begin : begin + 2 * unit])


@check(
    "B-last-unit-of-the-capacity",
    "The last bytes of the capacity can be written and read.",
    USABLE,
    KEEPS,
    BOUNDED,
)
def last_unit(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    at = subject.profile.facts.capacity // unit * unit - unit
    subject.put(drive, at, pattern(4, unit))
    subject.same(drive, at, pattern(4, unit))


@check(
    "B-overwrite-replaces",
    "A second write to a range replaces what the first wrote.",
    USABLE,
    KEEPS,
)
def overwrite(subject: Subject) -> None:
    drive = subject.open()
    for seed in range(5, 10):
        data = pattern(seed, 2 * subject.unit)
        subject.put(drive, 0, data)
        subject.same(drive, 0, data)


@check(
    "B-overwrite-of-the-middle",
    "A write into the middle changes the middle and nothing beside it.",
    USABLE,
    KEEPS,
    room(64 * KIB),
)
def overwrite_middle(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    data, middle = pattern(10, 5 * unit), pattern(11, unit)
    subject.put(drive, 0, data)
    subject.put(drive, 2 * unit, middle)
    subject.same(drive, 0, data[: 2 * unit] + middle + data[3 * unit :])


@check(
    "B-write-of-many-adjacent",
    "Many adjacent writes can be read as one range.",
    USABLE,
    KEEPS,
    room(512 * KIB),
)
def adjacent(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    data = pattern(12, 64 * unit)
    for at in range(0, len(data), unit):
        subject.put(drive, at, data[at : at + unit])
    subject.same(drive, 0, data)


@check(
    "B-write-backwards",
    "Writes that come from the highest offset to the lowest all stay.",
    USABLE,
    KEEPS,
    room(256 * KIB),
)
def backwards(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    data = pattern(13, 32 * unit)
    for at in range(len(data) - unit, -unit, -unit):
        subject.put(drive, at, data[at : at + unit])
    subject.same(drive, 0, data)


@check(
    "B-read-of-every-part",
    "Each part of what one write wrote can be read by itself.",
    USABLE,
    KEEPS,
    room(64 * KIB),
)
def parts(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    data = pattern(14, 6 * unit)
    subject.put(drive, 0, data)
    for begin in range(0, 6 * unit, unit):
        for end in range(begin + unit, 7 * unit, unit):
            subject.same(drive, begin, data[begin:end])


@check("B-read-again", "Reading changes nothing: a second read is the same.", KEEPS)
def read_again(subject: Subject) -> None:
    drive, data = subject.open(), pattern(15, 2 * subject.unit)
    subject.put(drive, 0, data)
    for _ in range(20):
        subject.same(drive, 0, data)


#: Contents that filters, compressors and sentinels get wrong.
_CONTENTS = {
    "zeros": lambda size: bytes(size),
    "ones": lambda size: b"\xff" * size,
    "text": lambda size: (b"the quick brown fox\n" * size)[:size],
    "counters": lambda size: (bytes(range(256)) * size)[:size],
    "noise": lambda size: pattern(16, size),
}


def _contents(make: Callable[[int], bytes]) -> Callable[[Subject], None]:
    def run(subject: Subject) -> None:
        drive, size = subject.open(), 4 * subject.unit
        subject.put(drive, 0, pattern(17, size))
        subject.put(drive, 0, make(size))
        subject.same(drive, 0, make(size))

    return run


for _word, _make in _CONTENTS.items():
    check(
        f"B-contents-{_word}",
        f"Bytes are kept whatever they are: {_word}.",
        USABLE,
        KEEPS,
        room(64 * KIB),
    )(_contents(_make))


@check(
    "B-places-are-apart",
    "Two devices at two places know nothing of each other.",
    USABLE,
    KEEPS,
)
def places_apart(subject: Subject) -> None:
    one, other, unit = subject.open("a"), subject.open("b"), subject.unit
    subject.put(one, 0, pattern(18, unit))
    subject.put(other, 0, pattern(19, unit))
    subject.same(one, 0, pattern(18, unit))
    subject.same(other, 0, pattern(19, unit))


@check(
    "B-discarded-writes-read-as-zeros",
    "A device that keeps nothing gives zeros, or nothing, not old memory.",
    USABLE,
)
def discarded(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    subject.put(drive, 0, pattern(20, unit))
    found = subject.get(drive, 0, unit)
    if "discards" in subject.profile.capabilities:
        must(not any(found), "what was discarded was read")
    else:
        must(found == pattern(20, unit), "what was written was not read")
