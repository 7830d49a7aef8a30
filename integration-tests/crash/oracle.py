# SPDX-License-Identifier: MIT
"""
What sessions do in a run, and what a recovery may find of it.

For each session let A be the serial that was acknowledged, R the one that a recovery
gives, and I the last one issued. A <= R <= I must hold, and the content must be that of
exactly the updates up to R: private keys have one right value, lanes of shared counters
count, lists hold each element once and each session's in order, tags are those of a
session's last write. `kill.model` compares; here are the updates, the bounds in the
course of a run, and what ends the comparison early.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from crash.events import Event
from kill.model import Bounds, Model
from kill.plan import LANE, Update, mix, tag

Value: TypeAlias = int | bytes
Points: TypeAlias = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Shares:
    """
    Of a hundred updates, how many are of which kind, and how many keys there are.

    Attributes:
        upsert: Of private keys.

        merge: Additions to private keys, or texts appended to them.

        delete: Of private keys.

        shared: Of shared counters, or shared lists.

        tagged: Of shared keys of tags; a third of them are deletes.

        private: Keys that a session has of its own.

        common: Shared keys of each kind.

        longest: Bytes that a value may have, of a store with bytes.
    """

    upsert: int = 30
    merge: int = 15
    delete: int = 10
    shared: int = 25
    tagged: int = 20
    private: int = 24
    common: int = 6
    longest: int = 200


class Plan:
    """
    What each session does at each serial number.

    Args:
        seed: Everything follows from it.

        sessions: How many there are.

        texts: Whether keys and values are bytes; else they are numbers.

        shares: Of what there is how much.
    """

    def __init__(
        self, seed: int, sessions: int, *, texts: bool, shares: Shares | None = None
    ) -> None:
        self.seed = seed
        self.texts = texts
        self.names = tuple(f"s{number}" for number in range(sessions))
        self.shares = shares if shares is not None else Shares()
        self._made: list[list[Update]] = [[] for _ in range(sessions)]
        self._keys: set[Value] = set()
        self._counted = 0

    def update(self, session: int, serial: int) -> Update:
        """
        Give what a session does at a serial number, from 1.
        """
        made = self._made[session]
        while len(made) < serial:
            made.append(self._make(session, len(made) + 1))
        return made[serial - 1]

    def _make(self, session: int, serial: int) -> Update:
        shares, chance = self.shares, mix(self.seed, session, serial)
        place, dice = chance >> 40, chance % 100
        mine = self._key(session + 1, place % shares.private)
        if dice < shares.upsert:
            return Update(
                "private", "upsert", mine, self._value(session, serial, place)
            )
        dice -= shares.upsert
        if dice < shares.merge:
            verb = "append" if self.texts else "add"
            name = b"%d," % tag(session, serial)
            return Update("private", verb, mine, name if self.texts else place % 1000)
        dice -= shares.merge
        if dice < shares.delete:
            return Update("private", "delete", mine)
        dice -= shares.delete
        if dice < shares.shared:
            return self._shared(session, serial, place)
        key = self._key(200, place % shares.common)
        if place // shares.common % 3 == 0:
            return Update("tag", "delete", key)
        number = tag(session, serial)
        return Update("tag", "upsert", key, b"%d," % number if self.texts else number)

    def _shared(self, session: int, serial: int, place: int) -> Update:
        key = self._key(100, place % self.shares.common)
        if self.texts:
            return Update("list", "append", key, b"%d," % tag(session, serial))
        return Update("counter", "add", key, 1 << (LANE * session))

    def _key(self, group: int, number: int) -> Value:
        plain = group << 20 | number
        return b"k%d" % plain if self.texts else plain

    def _value(self, session: int, serial: int, place: int) -> Value:
        if not self.texts:
            return tag(session, serial)
        length = place // self.shares.private % self.shares.longest
        return b"%d," % tag(session, serial) + b"." * length

    def keys(self) -> set[Value]:
        """
        Give all keys that updates so far had.
        """
        made = sum(map(len, self._made))
        if made != self._counted:
            self._counted = made
            self._keys = {update.key for some in self._made for update in some}
        return self._keys

    def judge(
        self, points: Points, bounds: Sequence[Bounds], found: Mapping[Value, Value]
    ) -> list[str]:
        """
        Compare what a recovery found with what was done; give what is wrong.
        """
        strangers = sorted(set(points) - set(self.names))
        if strangers:
            return [f"sessions that never were: {', '.join(strangers)}"]
        model = Model(self.update, len(self.names))
        given = [points.get(name, 0) for name in self.names]
        return model.judge(given, list(bounds), found)


class Recovered(Protocol):
    """
    What came of an image; `crash.judge.Outcome`.
    """

    @property
    def points(self) -> Points | None: ...

    def broken(self, names: Iterable[str], bounds: Iterable[Bounds]) -> list[str]:
        """
        Give which of these bounds do not hold.
        """
        ...


@dataclass(slots=True)
class Promises:
    """
    What was issued and acknowledged up to a moment of a run.

    Attributes:
        honest: Whether syncs do what they say; else no promise can be kept.
    """

    names: Sequence[str]
    committed: dict[str, int] = field(default_factory=dict)
    issued: dict[str, int] = field(default_factory=dict)
    honest: bool = True

    def step(self, event: Event) -> None:
        """
        Take the next event.
        """
        if event.kind == "issue":
            self.issued[event.name] = max(event.number, self.issued.get(event.name, 0))
        elif event.kind == "ack" and self.honest:
            for name, point in event.points.items():
                self.committed[name] = max(point, self.committed.get(name, 0))

    def bounds(self) -> list[Bounds]:
        """
        Give, for each session, what a recovery has to give at least and at most.
        """
        return [
            Bounds(self.committed.get(name, 0), self.issued.get(name, 0))
            for name in self.names
        ]

    def broken(self, outcome: Recovered, bounds: list[Bounds]) -> list[str]:
        """
        Give which promises of a moment an outcome breaks.
        """
        return outcome.broken(self.names, bounds)

    def after(self, outcome: Recovered) -> Promises:
        """
        Give the promises of a recovery, and of what followed it: what it has found is
        promised from then on.
        """
        points = {name: (outcome.points or {}).get(name, 0) for name in self.names}
        kept = dict(points) if self.honest else {}
        return Promises(self.names, kept, dict(points), self.honest)


__all__ = ["Bounds", "Plan", "Points", "Promises", "Shares", "Update", "Value"]
