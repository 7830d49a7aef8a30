# SPDX-License-Identifier: MIT
"""
Going through a run and judging what a power cut may leave at each of its events.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from crash.events import MATTERS, Event
from crash.image import Image
from crash.judge import Judge, Outcome
from crash.medium import SECTOR, Medium
from crash.oracle import Promises
from crash.states import Mask, masks

#: One of so many recoveries is itself cut off, at so many of its events.
DEPTH_EVERY, DEPTH_TURNS = 8, 6
#: The share of states that is looked at there, but for the `edges`.
DEPTH_SHARE = 0.004


@dataclass(frozen=True, slots=True)
class Violation:
    """
    A state that must not be.

    Attributes:
        turn: After so many events of the run.

        mask: Which of what was pending was kept.

        faults: What is wrong.

        within: Of a recovery that was cut off: its own event and mask.
    """

    turn: int
    mask: Mask
    faults: tuple[str, ...]
    within: str = ""


@dataclass(slots=True)
class Tally:
    """
    What was done.

    Attributes:
        events: How many events had their states looked at.

        states: How many different images were judged.

        checks: How many (event, mask) pairs had their promises compared.

        deep: Different images of recoveries that were cut off.

        violations: What was found.
    """

    events: int = 0
    states: int = 0
    checks: int = 0
    deep: int = 0
    violations: list[Violation] = field(default_factory=list)


class Promised(Protocol):
    """
    Follows a run and knows what a recovery may find.
    """

    def step(self, event: Event) -> None:
        """
        Take the next event.
        """
        ...

    def bounds(self) -> list[Any]:
        """
        Give what may be found now, to be compared with what that was before.
        """
        ...

    def broken(self, outcome: Outcome, bounds: list[Any]) -> list[str]:
        """
        Give which promises of a moment an outcome breaks.
        """
        ...

    def after(self, outcome: Outcome) -> Promised:
        """
        Give what is promised while a recovery, and what followed it, goes on.
        """
        ...


def fingerprint(timeline: Sequence[Event]) -> str:
    """
    Give what two recordings share that went the same way.
    """
    text = hashlib.blake2b(digest_size=4)
    for turn, event in enumerate(timeline):
        if event.kind in MATTERS:
            about = (turn, event.kind, event.offset, len(event.data))
            text.update(repr(about).encode())
    return text.hexdigest()


class Explorer:
    """
    Goes through one recording.

    Args:
        judge: Of the images.

        timeline: What happened.

        seed: Of what is by chance.

        first: What there was before.

        promises: What had been promised before.

        lossy: As for `Medium`.

        sector: As for `Medium`.

        depth_every: One of so many recoveries is itself cut off.
    """

    def __init__(
        self,
        judge: Judge,
        timeline: Sequence[Event],
        *,
        seed: int,
        first: Image | None = None,
        promises: Promised | None = None,
        lossy: bool = False,
        sector: int = SECTOR,
        depth_every: int = DEPTH_EVERY,
    ) -> None:
        self.judge, self.timeline = judge, timeline
        self.seed, self.sector = seed, sector
        self.medium = Medium(first, seed=seed, lossy=lossy, sector=sector)
        self.promises: Promised = promises or Promises(
            judge.plan.names, honest=judge.honest
        )
        self.tally = Tally()
        self._depth_every = depth_every
        self._recovered = 0

    def _walk(self) -> Iterator[bool]:
        """
        Take event by event; give whether there is something new.
        """
        yield True
        for event in self.timeline:
            self.medium.step(event)
            self.promises.step(event)
            yield event.kind in MATTERS

    def count(self, share: float = 1.0) -> int:
        """
        Count the states that there would be, without looking at any.
        """
        total, age, before = 0, -1, 0
        for new in self._walk():
            if new:
                number = sum(1 for _ in masks(self.medium, self.seed, share))
                total += number if self.medium.age != age else max(0, number - before)
                age, before = self.medium.age, number
        return total

    def some(self, count: int) -> frozenset[int]:
        """
        Choose moments at which there is something new, as chance says.
        """
        turns = [
            turn
            for turn, event in enumerate(self.timeline, start=1)
            if event.kind in MATTERS
        ]
        chance = random.Random(f"{self.seed}:{len(turns)}:some")
        return frozenset(chance.sample(turns, min(count, len(turns))))

    def run(
        self,
        share: float = 1.0,
        *,
        most: int = 10,
        deep: bool = True,
        turns: frozenset[int] | None = None,
    ) -> Tally:
        """
        Judge the states.

        Args:
            share: As for `masks`.

            most: Stop at so many violations.

            deep: Cut off some of the recoveries, too.

            turns: Only at these moments.
        """
        reached: dict[Mask, tuple[Outcome, list[Any]]] = {}
        age = -1
        tally = self.tally
        for new in self._walk():
            if not new:
                continue
            if self.medium.age != age:
                age, reached = self.medium.age, {}
            if turns is not None and self.medium.turn not in turns:
                continue
            tally.events += 1
            bounds = self.promises.bounds()
            for mask, (outcome, then) in list(reached.items()):
                if then != bounds:
                    reached[mask] = (outcome, bounds)
                    self._promise(mask, outcome, bounds)
            for mask in masks(self.medium, self.seed, share):
                if mask in reached:
                    continue
                outcome = self._state(mask, deep)
                reached[mask] = (outcome, bounds)
                self._promise(mask, outcome, bounds)
                if len(tally.violations) >= most:
                    return tally
        return tally

    def one(self, turn: int, mask: Mask) -> tuple[Outcome, Image]:
        """
        Judge one state; give its image, too.

        Raises:
            LookupError: There is no such moment.
        """
        for _ in self._walk():
            if self.medium.turn == turn:
                image = self.medium.image(mask.kept())
                return self.judge.judge(image)[0], image
        raise LookupError(f"event {turn} of {self.medium.turn}")

    def _state(self, mask: Mask, deep: bool) -> Outcome:
        """
        Judge a state; cut off its recovery when it is its turn.
        """
        known = len(self.judge)
        image = self.medium.image(mask.kept())
        outcome, fresh = self.judge.judge(image)
        self.tally.states += len(self.judge) - known
        if fresh and outcome.faults:
            self._violation(mask, outcome.faults)
        self._recovered += fresh
        turn = self._recovered % self._depth_every == 0
        if deep and fresh and turn and outcome.points is not None:
            self._cut_off(mask, image, outcome)
        return outcome

    def _promise(self, mask: Mask, outcome: Outcome, bounds: list[Any]) -> None:
        self.tally.checks += 1
        broken = self.promises.broken(outcome, bounds)
        if broken and not outcome.faults:
            self._violation(mask, tuple(broken))

    def _violation(self, mask: Mask, faults: tuple[str, ...], within: str = "") -> None:
        turn = self.medium.turn
        self.tally.violations.append(Violation(turn, mask, faults, within))

    def inner(self, image: Image, outcome: Outcome) -> Explorer:
        """
        Make an explorer of a recovery, and of what followed it: what it has recovered
        is promised from then on.
        """
        return Explorer(
            self.judge,
            outcome.timeline,
            seed=self.seed,
            first=image,
            promises=self.promises.after(outcome),
            sector=self.sector,
        )

    def _cut_off(self, mask: Mask, image: Image, outcome: Outcome) -> None:
        """
        Cut off a recovery, and what followed it, at some of its events.
        """
        explorer = self.inner(image, outcome)
        turns = explorer.some(DEPTH_TURNS)
        inner = explorer.run(DEPTH_SHARE, most=1, deep=False, turns=turns)
        self.tally.deep += inner.states
        for violation in inner.violations:
            within = f"{violation.turn}:{violation.mask}"
            self._violation(mask, violation.faults, within)


__all__ = ["Explorer", "Tally", "Violation", "fingerprint"]
