# SPDX-License-Identifier: MIT
"""
What a store must hold, given how far each session's updates survived.

The model knows no interleaving. It stands at one serial number per session, and is
moved on by what a recovery says. Private keys and counters then have one right content.
Of a list the elements are certain, and their order is within a session; what was read
of it before is its beginning. Of a tag's key it is certain which updates may have been
the last: those that no later update of the same session follows, of the sessions that
wrote it since the model stood still; what was read before if there is none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from kill.plan import Update, tagged

Value: TypeAlias = int | bytes

#: Faults of one kind that a judgement lists.
LISTED = 5


class Bounds(NamedTuple):
    """How much of a session may have survived: what was promised, what was begun."""

    committed: int
    issued: int


def number(value: Value) -> int:
    """Give the tag that a value carries."""
    return value if isinstance(value, int) else int(value.split(b",", 1)[0] or b"0")


class Model:
    """
    A store's content at a commit point of each session.

    Args:
        update: Gives what a session does at a serial.

        sessions: How many there are.
    """

    def __init__(self, update: Callable[[int, int], Update], sessions: int) -> None:
        self._update = update
        self.points = [0] * sessions
        self.private: dict[Value, Value] = {}
        self.counters: dict[Value, int] = {}
        self.lists: dict[Value, list[int]] = {}
        self.tags: dict[Value, Value] = {}

    def judge(
        self, points: list[int], bounds: list[Bounds], found: Mapping[Value, Value]
    ) -> list[str]:
        """
        Move on to what a recovery says and compare; give what is wrong.

        After a fault the model is of no use any more.
        """
        faults = [
            f"session {session}: {point} updates survived, of {bound.committed} "
            f"promised and {bound.issued} begun"
            for session, (point, bound) in enumerate(zip(points, bounds, strict=True))
            if not bound.committed <= point <= bound.issued
        ]
        if faults:
            return faults
        lists, tags = self._advance(points)
        rest = dict(found)
        faults += self._exact(rest, self.private, "private")
        faults += self._exact(rest, self.counters, "counter")
        faults += self._check_lists(rest, lists)
        faults += self._check_tags(rest, tags)
        faults += [f"{key!r} is there: {value!r}" for key, value in rest.items()]
        return faults

    def _advance(
        self, points: list[int]
    ) -> tuple[dict[Value, list[int]], dict[Value, dict[int, Value | None]]]:
        """
        Do what survived: give what was added to lists, and who wrote tags last.
        """
        lists: dict[Value, list[int]] = defaultdict(list)
        tags: dict[Value, dict[int, Value | None]] = defaultdict(dict)
        for session, point in enumerate(points):
            for serial in range(self.points[session] + 1, point + 1):
                one = self._update(session, serial)
                if one.sort == "private":
                    apply(self.private, one)
                elif one.sort == "counter":
                    apply(self.counters, one)
                elif one.sort == "list":
                    lists[one.key].append(number(one.value))
                else:
                    new = one.value if one.verb == "upsert" else None
                    tags[one.key][session] = new
        self.points = list(points)
        return lists, tags

    def _exact(
        self, rest: dict[Value, Value], expected: Mapping[Value, Any], sort: str
    ) -> list[str]:
        wrong = []
        for key, value in expected.items():
            seen = rest.pop(key, None)
            if seen != value:
                wrong.append(f"{sort} {key!r} is {seen!r}, expected {value!r}")
        return wrong[:LISTED]

    def _check_lists(
        self, rest: dict[Value, Value], added: Mapping[Value, list[int]]
    ) -> list[str]:
        """
        Each list begins with what was read before, and goes on with what was added.
        """
        wrong = []
        for key in self.lists.keys() | added.keys():
            text = rest.pop(key, b"")
            assert isinstance(text, bytes)
            seen = [int(part) for part in text.split(b",") if part]
            before, new = self.lists.get(key, []), added.get(key, [])
            if seen[: len(before)] != before:
                wrong.append(f"list {key!r} was {before} and is {seen}")
            wrong += self._check_added(key, seen[len(before) :], new)
            self.lists[key] = seen
        return wrong[:LISTED]

    def _check_added(self, key: Value, seen: list[int], added: list[int]) -> list[str]:
        for session in range(len(self.points)):
            of_seen, of_added = (
                [tagged(one)[1] for one in some if tagged(one)[0] == session]
                for some in (seen, added)
            )
            if of_seen != of_added:
                return [
                    f"list {key!r}: of session {session} there are the updates "
                    f"{of_seen}, expected {of_added}"
                ]
        known = range(len(self.points))
        return [
            f"list {key!r}: a foreign {e}" for e in seen if tagged(e)[0] not in known
        ]

    def _check_tags(
        self,
        rest: dict[Value, Value],
        written: Mapping[Value, Mapping[int, Value | None]],
    ) -> list[str]:
        wrong = []
        for key in self.tags.keys() | written.keys():
            seen = rest.pop(key, None)
            may = list(written.get(key, {}).values()) or [self.tags.get(key)]
            if seen not in may:
                wrong.append(f"tag {key!r} is {seen!r}, expected one of {may}")
            if seen is None:
                self.tags.pop(key, None)
            else:
                self.tags[key] = seen
        return wrong[:LISTED]


def apply(content: dict[Any, Any], one: Update) -> None:
    """Do an update to a dict, as a store would."""
    old = content.get(one.key)
    if one.verb == "upsert" or (one.verb == "insert" and old is None):
        content[one.key] = one.value
    elif one.verb in ("delete", "discard"):
        content.pop(one.key, None)
    elif one.verb in ("add", "append"):
        content[one.key] = one.value if old is None else old + one.value
    elif one.verb == "compare_and_set" and old is not None and old == one.expected:
        content[one.key] = one.value
