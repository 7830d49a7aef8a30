# SPDX-License-Identifier: MIT
"""
The lives of a log: who wrote which addresses.

Theory of operation: each writable opening, and each cut of the log's end, begins a new
life, with a larger generation. An entry carries the generation of the life that wrote
it, and the table of lives says which generation is valid at which address. So what an
earlier life left behind its last commit never passes for an entry, although the bytes
are still there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyfaster.errors import ConfigError, LogAddressError
from pyfaster.flog import FIRST, LIVES_MAX, Life, Slot

#: The only life of a log that is begun now.
FIRST_LIVES = (Life(1, FIRST, 0),)


def round_up(address: int, unit: int) -> int:
    """
    Give the first multiple of a unit that is not below an address.
    """
    return -(-address // unit) * unit


def next_lives(
    lives: Sequence[Life], until: int, begin: int, unit: int, *, opening: bool = False
) -> tuple[Life, ...]:
    """
    Begin a new life where a log ends.

    Args:
        lives: Those there were.

        until: Where the log ends: what they wrote beyond does not count.

        begin: Where it begins: lives that wrote only below are forgotten.

        unit: What the device writes as one: no life writes into a unit of another.

        opening: Whether the log is being opened. If nothing was ever committed, it may
            begin like a new one: of what it wrote nothing is durable.

    Raises:
        ConfigError: There are too many to be remembered.
    """
    ended = [
        replace(life, until=min(life.until or until, until))
        for life in lives
        if life.first < until or life.first <= begin
    ]
    kept = living(ended, begin)
    if len(kept) >= LIVES_MAX:
        raise ConfigError(
            f"the log has {len(kept):,} lives, more than are remembered: it was opened "
            "and written so often since its beginning; open it with read_only=True "
            "and copy what is needed into a new log, and truncate that more often"
        )
    first = until if opening and until <= FIRST else round_up(until, unit)
    return (*kept, Life(lives[-1].generation + 1, first, 0))


def living(lives: Sequence[Life], begin: int) -> tuple[Life, ...]:
    """
    Forget the lives that ended before the one that a log's first address is of, or
    follows.
    """
    before = [place for place, life in enumerate(lives) if life.first <= begin]
    return tuple(lives[before[-1] if before else 0 :])


def gaps(lives: Sequence[Life]) -> tuple[tuple[int, int], ...]:
    """
    Give where each life but the last has ended, and where the next one begins: between
    the two there is no entry.
    """
    ends = [life.until for life in lives[:-1]]
    return tuple(zip(ends, (life.first for life in lives[1:]), strict=True))


def check_place(lives: Sequence[Life], address: int) -> None:
    """
    Refuse an address between two lives.

    Raises:
        LogAddressError: It is one.
    """
    for last, first in gaps(lives):
        if last < address < first:
            raise LogAddressError(
                f"address {address:,} is between two lives: {last:,} to {first:,}"
            )


def written_until(slot: Slot) -> int:
    """
    Give the address below which a slot says that something was written: a life that
    has committed nothing yet begins behind that.
    """
    *ended, last = slot.lives
    if slot.until > last.first:
        return slot.until
    return max((life.until for life in ended), default=slot.begin)


__all__ = [
    "FIRST_LIVES",
    "check_place",
    "gaps",
    "living",
    "next_lives",
    "round_up",
    "written_until",
]
