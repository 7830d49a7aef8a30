# SPDX-License-Identifier: MIT
"""
What a recovery of a log may find, at each moment of a run.

The entries of a log are a chain, in the order of their addresses. What a recovery finds
is a beginning of the chain, less what was truncated: at least what was acknowledged, at
most what was issued, each entry at its own address, once. A new life, or a cut of the
end, begins another chain, which shares its beginning with the one before; while that is
under way either one may be found. Where the log begins, its cursors, its last commit's
number and cookie, and whether it was completed are what was acknowledged last, or what
was asked for since.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from crash.events import Event
from crash.judge import Outcome
from crash.medium import SECTOR


@dataclass(frozen=True, slots=True)
class Found:
    """
    What a log holds when it was opened.

    Attributes:
        begin: Where it begins.

        until: Where what is committed ends.

        number: Of the last commit.

        entries: Address and payload of each, in order.

        cursors: Their positions.

        cookie: Of the last commit.

        completed: Whether nothing will follow.
    """

    begin: int
    until: int
    number: int
    entries: tuple[tuple[int, bytes], ...] = ()
    cursors: Mapping[str, int] = field(default_factory=dict)
    cookie: bytes = b""
    completed: bool = False


@dataclass(frozen=True, slots=True)
class LogOutcome(Outcome):
    """
    What came of an image.

    Attributes:
        found: What it held; None when the log refused.
    """

    found: Found | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """
    How much of a chain may be found.

    Attributes:
        chain: Its number.

        low: So many of its entries at least,

        high: and so many at most.
    """

    chain: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class LogBounds:
    """
    What may be found at a moment.

    Attributes:
        parts: One of them.

        begins: One of them.

        cursors: Of each name one of the positions; None: the cursor may be missing.

        cut: Where the end is being cut off: cursors beyond come to stand there, or at
            the beginning of what follows; 0: nowhere.

        number: At least; beside it any smaller one among `numbers`.

        completed: One of them.

        opened: Whether the log has been open: then it may not refuse.
    """

    parts: tuple[Part, ...]
    begins: frozenset[int]
    cursors: Mapping[str, frozenset[int | None]]
    number: int
    completed: frozenset[bool]
    opened: bool
    cut: int = 0

    def allows(self, name: str, at: int | None, found: Found) -> bool:
        """
        Whether a cursor may stand there; where the log is cut off, it is moved.
        """
        places = self.cursors[name]
        if at in places:
            return True
        if at is None:
            return False
        if at == found.begin and any(old is not None and old < at for old in places):
            return True
        beyond = any(old is not None and old > self.cut for old in places)
        return 0 < self.cut <= at <= self.cut + SECTOR and beyond


Chain = list[tuple[int, int, bytes]]


def chains_of(timeline: Iterable[Event], first: Chain) -> list[Chain]:
    """
    Give the chains of a run, each as it was in the end.

    Args:
        timeline: What happened.

        first: What there was before, as address, number, payload.
    """
    chain = list(first)
    chains = [chain]
    payloads: dict[int, bytes] = {}
    for event in timeline:
        if event.kind == "issue":
            payloads[event.number] = event.data
        elif event.kind == "appended":
            insort(chain, (event.offset, event.number, payloads[event.number]))
        elif event.kind == "ack" and event.place in ("opened", "cut"):
            chain = [entry for entry in chain if entry[0] < event.offset]
            chains.append(chain)
    return chains


class LogPromises:
    """
    Follows a run and knows what may be found; as `crash.oracle.Promises`.

    Args:
        timeline: The whole run.

        before: What an earlier run has promised, if it was recovered.

        honest: Whether syncs do what they say; else no promise can be kept.
    """

    def __init__(
        self,
        timeline: Iterable[Event],
        before: Found | None = None,
        *,
        honest: bool = True,
    ) -> None:
        known = before.entries if before is not None else ()
        first = [(address, -1 - at, data) for at, (address, data) in enumerate(known)]
        self.chains = chains_of(timeline, first)
        self.honest = honest
        self._chain = 0
        self._issued = {number for _, number, _ in first}
        self._low, self._high = len(first), len(first)
        self._other: int | None = None
        self._cut = 0
        self._begins = {before.begin} if before is not None else set[int]()
        self._cursors: dict[str, set[int | None]] = {
            name: {at} for name, at in (before.cursors if before else {}).items()
        }
        self._number = before.number if before is not None else 0
        self._completed = {before.completed if before is not None else False}
        self._opened = before is not None
        self.cookies: dict[int, bytes] = {}

    # --- the run --------------------------------------------------------------------

    def step(self, event: Event) -> None:
        """
        Take the next event.
        """
        if event.kind == "issue":
            self._issued.add(event.number)
        elif event.kind == "want":
            self._want(event)
        elif event.kind == "ack":
            self._acknowledge(event)

    def _want(self, event: Event) -> None:
        if event.place in ("opened", "cut"):
            self._other = self._count(event.offset)
            self._cut = event.offset
        elif event.place == "truncated":
            self._begins.add(event.offset)
        elif event.place == "saved":
            self._cursors.setdefault(event.name, {None}).add(event.offset)
        elif event.place == "dropped cursor":
            self._cursors.setdefault(event.name, {None}).add(None)
        elif event.place == "completed":
            self._completed.add(True)

    def _acknowledge(self, event: Event) -> None:
        place = event.place
        if place == "commit":
            self._low = max(self._low, self._count(event.offset))
            self._number = max(self._number, event.number)
            if event.data:
                self.cookies[event.number] = event.data
        elif place in ("opened", "cut"):
            self._chain += 1
            self._other = None
            self._low = self._high = self._count(event.offset)
            self._number = event.number
            for number in [one for one in self.cookies if one > event.number]:
                del self.cookies[number]
            self._open(event.points)
        elif place == "truncated":
            self._begins = {event.offset}
        elif place == "saved":
            self._cursors[event.name] = {event.offset}
        elif place == "dropped cursor":
            self._cursors[event.name] = {None}
        elif place == "completed":
            self._completed = {True}

    def _open(self, facts: Mapping[str, int]) -> None:
        """
        What an opened log says of itself is promised from then on.
        """
        self._opened = True
        self._begins = {facts["begin"]}
        self._completed = {bool(facts["completed"])}
        known: dict[str, set[int | None]] = {name: {None} for name in self._cursors}
        for name, at in facts.items():
            if name.startswith("cursor "):
                known[name.removeprefix("cursor ")] = {at}
        self._cursors = known

    def _count(self, until: int) -> int:
        """
        Count the entries of the chain below an address.
        """
        return sum(1 for address, _, _ in self.chains[self._chain] if address < until)

    def bounds(self) -> list[LogBounds]:
        """
        Give what may be found now.
        """
        chain = self.chains[self._chain]
        while self._high < len(chain) and chain[self._high][1] in self._issued:
            self._high += 1
        low = self._low if self.honest else 0
        parts = [Part(self._chain, low, self._high)]
        if self._other is not None:
            parts.append(Part(self._chain, self._other, self._other))
        cursors = {name: frozenset(at) for name, at in self._cursors.items()}
        return [
            LogBounds(
                tuple(parts),
                frozenset(self._begins),
                cursors,
                0 if self._other is not None or not self.honest else self._number,
                frozenset(self._completed),
                self._opened,
                self._cut if self._other is not None else 0,
            )
        ]

    # --- the comparison -------------------------------------------------------------

    def broken(self, outcome: Outcome, bounds: list[LogBounds]) -> list[str]:
        """
        Give which promises of a moment an outcome breaks.
        """
        (bound,) = bounds
        assert isinstance(outcome, LogOutcome)
        found = outcome.found
        if found is None:
            refused = bound.opened and self.honest
            said = f"refused, although it was open before: {outcome.reason}"
            return [said] * refused
        faults = self._of_entries(found, bound)
        if not self.honest:
            return faults
        if bound.opened and found.begin not in bound.begins:
            faults.append(f"begins at {found.begin}, not at {sorted(bound.begins)}")
        for name, places in bound.cursors.items():
            at = found.cursors.get(name)
            if not bound.allows(name, at, found):
                faults.append(f"cursor {name} is at {at}, not at {places}")
        if found.number < bound.number:
            faults.append(f"commit {found.number}, {bound.number} was acknowledged")
        cookie = self.cookies.get(found.number)
        if cookie is not None and len(bound.parts) == 1 and found.cookie != cookie:
            faults.append(f"cookie {found.cookie!r}, not {cookie!r}")
        if found.completed not in bound.completed:
            faults.append(f"completed: {found.completed}")
        return faults

    def _of_entries(self, found: Found, bound: LogBounds) -> list[str]:
        said = []
        for part in bound.parts:
            wrong = self._of_part(found, part)
            if not wrong:
                return []
            said.append(wrong)
        return [" or ".join(said)]

    def _of_part(self, found: Found, part: Part) -> str:
        """
        Say what is wrong if this is what should have been found; "" when nothing is.
        """
        chain = [(address, data) for address, _, data in self.chains[part.chain]]
        first = sum(1 for address, _ in chain if address < found.begin)
        count = first + len(found.entries)
        for at, entry in enumerate(found.entries, start=first):
            if at >= len(chain) or chain[at] != entry:
                want = chain[at] if at < len(chain) else None
                return f"entry {at} is {shown(entry)}, expected {shown(want)}"
        if not part.low <= count <= part.high:
            return f"{count} entries, of {part.low} promised and {part.high} issued"
        return ""

    def after(self, outcome: Outcome) -> LogPromises:
        """
        Give the promises of a recovery and what followed it: what it has found is
        promised from then on.
        """
        assert isinstance(outcome, LogOutcome)
        return LogPromises(outcome.timeline, outcome.found, honest=self.honest)


def shown(entry: tuple[int, bytes] | None) -> str:
    """
    Tell an entry in a few words.
    """
    if entry is None:
        return "none"
    address, data = entry
    return f"{data[:24]!r} ({len(data)} bytes) at {address}"


__all__ = ["Found", "LogBounds", "LogOutcome", "LogPromises", "Part", "chains_of"]
