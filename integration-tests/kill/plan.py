# SPDX-License-Identifier: MIT
"""
What sessions do: the update at each serial number, and how each life of a store ends.

Everything follows from a seed, so nobody writes down what was done. A session's update
number n is `update(n)`, in whichever life it takes place, and in each life anew that
finds the update lost. Four kinds of keys let a reader tell from the content alone which
updates took place (`crash.oracle`, whose words these are): private ones, shared
counters with a lane for each session, lists that sessions append to, and keys of which
the last writer's tag stays.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

SESSIONS = 4
#: Bits of a counter that belong to one session.
LANE = 16
#: Keys of its own that a session has; shared counters; shared keys of tags.
PRIVATE, COUNTERS, TAGS = 160, 48, 24
#: Serial numbers that share some lists, and how many lists they share.
ERA, LISTS = 512, 3
#: Consecutive serials that one call of a batch may serve; batches beyond 64 run beside
#: other threads.
BLOCK = 96

FLAVOURS = ("fixed", "varlen")
KINDS = ("snapshot", "incremental", "fold-over", "incremental", "index")
PHASES = ("index-copy", "prepare", "in-progress", "wait-flush", "persist", "rest")
WHERE = ("before", "middle", "after")

_MASK = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """
    Give 64 bits that follow from the numbers and look like chance (splitmix64).
    """
    state = 0
    for number in numbers:
        state = (state ^ (number & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


class Update(NamedTuple):
    """
    One update: what a session's method of this name is called with.

    Attributes:
        sort: What its key is: "private", "counter", "list" or "tag".

        verb: "upsert", "insert", "delete", "discard", "compare_and_set", or the merge
            of an rmw: "add", "append".

        expected: What compare_and_set compares with.
    """

    sort: str
    verb: str
    key: int | bytes
    value: int | bytes = 0
    expected: int | bytes = 0


def tag(session: int, serial: int) -> int:
    """
    A number that only this update can have written; never 0.
    """
    return (session + 1) << 40 | serial


def tagged(number: int) -> tuple[int, int]:
    """
    The session and the serial of a tag.
    """
    return (number >> 40) - 1, number & ((1 << 40) - 1)


@dataclass(frozen=True, slots=True)
class Script:
    """
    What one session does.

    Attributes:
        flavour: "fixed", int to int; or "varlen", bytes to bytes.
    """

    flavour: str
    seed: int
    session: int

    def update(self, serial: int) -> Update:
        """
        The update with this serial number.
        """
        block, chance = serial // BLOCK, mix(self.seed, self.session, serial)
        whole = mix(self.seed, self.session, -1 - block)
        dice = (whole if whole % 3 == 0 else chance) >> 8
        update = self._numbers if self.flavour == "fixed" else self._texts
        return update(serial, dice % 100, chance >> 32)

    def run(self, first: int, most: int) -> Iterator[tuple[int, list[Update]]]:
        """
        The updates from a serial on, in runs that a batch can do in one call.

        Args:
            first: The first one's serial.

            most: How many at most.

        Returns:
            Pairs of a run's first serial and its updates: one, or several of a block
            that have the verb and the sort in common.
        """
        serial, end = first, first + most
        while serial < end:
            one = self.update(serial)
            stop = min(end, (serial // BLOCK + 1) * BLOCK)
            same = [one]
            while serial + len(same) < stop:
                other = self.update(serial + len(same))
                if (other.sort, other.verb) != (one.sort, one.verb):
                    break
                same.append(other)
            yield serial, same
            serial += len(same)

    def _numbers(self, serial: int, dice: int, place: int) -> Update:
        mine = self.session * PRIVATE + place % PRIVATE + 1
        value = tag(self.session, serial)
        if dice < 24:
            return Update("private", "upsert", mine, value)
        if dice < 36:
            return Update("private", "add", mine, place % 1000)
        if dice < 44:
            return Update("private", "delete", mine)
        if dice < 48:
            return Update("private", "discard", mine)
        if dice < 54:
            return Update("private", "insert", mine, value)
        if dice < 60:
            earlier = serial - 1 - place % 3
            if earlier > 0 and earlier // BLOCK == serial // BLOCK:
                other = mix(self.seed, self.session, earlier) >> 32
                mine = self.session * PRIVATE + other % PRIVATE + 1
            expected = tag(self.session, max(1, earlier))
            return Update("private", "compare_and_set", mine, value, expected)
        if dice < 84:
            key = SESSIONS * PRIVATE + 1 + place % COUNTERS
            return Update("counter", "add", key, 1 << (LANE * self.session))
        key = SESSIONS * PRIVATE + COUNTERS + 1 + place % TAGS
        if dice < 96:
            return Update("tag", "upsert", key, value)
        return Update("tag", "delete", key)

    def _texts(self, serial: int, dice: int, place: int) -> Update:
        mine = b"p%d:%d" % (self.session, place % PRIVATE)
        name = b"%d," % tag(self.session, serial)
        value = name + b"." * (place // PRIVATE % 300)
        if dice < 28:
            return Update("private", "upsert", mine, value)
        if dice < 42:
            return Update("private", "append", mine, name)
        if dice < 52:
            return Update("private", "delete", mine)
        if dice < 56:
            return Update("private", "discard", mine)
        if dice < 60:
            return Update("private", "insert", mine, value)
        if dice < 84:
            key = b"l%d:%d" % (serial // ERA, place % LISTS)
            return Update("list", "append", key, name)
        key = b"t%d" % (place % TAGS)
        if dice < 96:
            return Update("tag", "upsert", key, name)
        return Update("tag", "delete", key)


@dataclass(frozen=True, slots=True)
class Life:
    """
    One life of the store: what happens in it and how it ends.

    Attributes:
        number: How many lives were before.

        mode: How it ends. "operation": at its `operation`th change of a file, `where`
            in it; "phase": when its `nth` checkpoint comes to `phase`; "parent": by its
            parent, some time after `updates` updates; "none": it is closed.

        working: The sessions that do something, each in a thread of its own.

        idle: Those that are open and do nothing.

        styles: How each session works: `STYLES`.

        updates: How many updates the sessions do together, unless killed before.

        portion: With mode "parent": behind how many phases the parent is told.

        kinds: The kinds of its checkpoints, one after another, from the first again.
    """

    flavour: str
    seed: int
    number: int
    mode: str
    operation: int = 0
    where: str = ""
    phase: str = ""
    nth: int = 0
    working: tuple[int, ...] = ()
    idle: tuple[int, ...] = ()
    styles: tuple[str, ...] = ("single",) * SESSIONS
    updates: int = 0
    portion: int = 0
    kinds: tuple[str, ...] = KINDS

    def to_text(self) -> str:
        """
        One line, for the child.
        """
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_text(cls, text: str | bytes) -> Life:
        """
        The opposite.
        """
        fields = json.loads(text)
        names = ("working", "idle", "styles", "kinds")
        lists = {name: tuple(fields[name]) for name in names}
        return cls(**{**fields, **lists})


#: One call an update; one for many; begun and completed later; begun by an event loop.
STYLES = ("batch", "single", "started", "async")

#: The modes in turn; three of seven lives end at a counted operation.
MODES = ("operation", "parent", "phase", "operation", "phase", "parent", "operation")
#: Every so many lives one is closed in peace.
CLOSED_EVERY = 16
#: Updates of one life, all sessions together.
UPDATES_LEAST, UPDATES_MORE = 1000, 8000


def life(flavour: str, seed: int, number: int, operation: int) -> Life:
    """
    The life with this number.

    Args:
        operation: At which change of a file it ends, if it is one that ends so. The
            campaign sweeps it.
    """
    chance = mix(seed, -1, number)
    working: list[int] = []
    idle: list[int] = []
    for session in range(SESSIONS):
        part = (chance >> (4 * session)) % 8
        if part < 6:
            working.append(session)
        elif part < 7:
            idle.append(session)
    phase, nth, kinds = phase_life(number)
    closed = number % CLOSED_EVERY == CLOSED_EVERY - 1
    return Life(
        flavour=flavour,
        seed=seed,
        number=number,
        mode="none" if closed else MODES[number % len(MODES)],
        operation=operation,
        where=WHERE[(chance >> 20) % len(WHERE)],
        phase=phase,
        nth=nth,
        working=tuple(working) or (0,),
        idle=tuple(one for one in idle if working),
        styles=tuple(
            STYLES[(chance >> (44 + 4 * session)) % len(STYLES)]
            for session in range(SESSIONS)
        ),
        updates=UPDATES_LEAST + (chance >> 32) % UPDATES_MORE,
        portion=1 + (chance >> 28) % 20,
        kinds=kinds,
    )


def phase_life(number: int) -> tuple[str, int, tuple[str, ...]]:
    """
    The phase that a life ends in, which checkpoint, and the kinds of all.

    One life after another, so that each phase of each kind has its turn, whatever the
    seed is.
    """
    turn = number % len(KINDS)
    kinds = [*KINDS[turn:], *KINDS[:turn]]
    ordinal = 2 * (number // len(MODES)) + (number % len(MODES) == 4)
    phase = PHASES[ordinal % len(PHASES)]
    nth = 1 + ordinal // len(PHASES) % 3
    kind = KINDS[ordinal // len(PHASES) % len(KINDS)]
    if phase == "index-copy":
        kind = "index"
    elif phase not in ("persist", "rest") and kind == "index":
        kind = "snapshot"
    kinds[nth - 1] = kind
    return phase, nth, tuple(kinds)
