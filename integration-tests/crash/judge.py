# SPDX-License-Identifier: MIT
"""
Recovering an image and comparing what comes out with what may.

The whole judgement of one image: open, or refuse in the right way; a scan of everything
against the oracle; each key through the index; more updates of every session from its
commit point on; a checkpoint; and the same again from what that left. What only depends
on the run, the bounds of commit points, is left to who knows the moment.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from crash.events import Event
from crash.image import Image, Question, blank, put
from crash.oracle import Bounds, Plan, Points
from crash.subject import Life, Refused, Subject

#: Updates that follow a recovery.
UPDATES = 20
#: After one of so many recoveries everything is done that the run had done.
WHOLE_EVERY = 10
#: More than any run issues.
ENDLESS = 1 << 60
#: So many ways of looking at an image are remembered.
SHAPES = 24
#: Places of the log that were looked at are widened to multiples of it.
ROUND = 4096


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What came of an image.

    Attributes:
        points: The commit points recovered; None when the store refused.

        faults: What is wrong whatever was promised.

        reason: What the store said when it refused.

        timeline: What the recovery and what followed did, when it was judged itself.
    """

    points: Points | None
    faults: tuple[str, ...] = ()
    reason: str = field(default="", compare=False)
    timeline: tuple[Event, ...] = field(default=(), compare=False)

    def broken(self, names: Iterable[str], bounds: Iterable[Bounds]) -> list[str]:
        """
        Give which promises of a moment are broken.
        """
        pairs = list(zip(names, bounds, strict=True))
        if self.points is None:
            kept = [name for name, bound in pairs if bound.committed]
            said = f"refused, although {', '.join(kept)} had promises: {self.reason}"
            return [said] * bool(kept)
        return [
            f"{name}: {self.points.get(name, 0)} updates survived, of "
            f"{bound.committed} promised and {bound.issued} issued"
            for name, bound in pairs
            if not bound.committed <= self.points.get(name, 0) <= bound.issued
        ]


def settle(questions: Iterable[Question]) -> tuple[Question, ...]:
    """
    Give questions that ask for at least as much, in order, those of the log merged.
    """
    spans: list[tuple[int, int]] = []
    others = []
    for question in questions:
        if question[0] != "log":
            others.append(question)
            continue
        start, length = int(question[1]), int(question[2])
        end = -(-(start + length) // ROUND) * ROUND
        spans.append((start // ROUND * ROUND, end))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    others.sort(key=lambda question: tuple(map(str, question)))
    return (*others, *(("log", start, end - start) for start, end in merged))


class Lived(Protocol):
    """
    A life that has ended.

    Attributes:
        image: The medium that it began with; its files are changed, its log is not.
    """

    image: Image

    def timeline(self) -> list[Event]:
        """
        Give everything that happened.
        """
        ...


def what_is_left(life: Lived) -> Image:
    """
    Give what a life leaves when its process ends and the power stays.
    """
    image = life.image.copy()
    for event in life.timeline():
        if event.kind == "write":
            put(image.log, event.offset, event.data)
        elif event.kind == "trim":
            blank(image.log, event.offset)
    return image


class Judge:
    """
    Judges images; those that look the same to a recovery once.

    Args:
        subject: The kind of store.

        plan: What the sessions did, and will do.

        kind: Of the checkpoint that follows the updates.

        classes: Whether images that agree in all that a recovery looked at count as
            judged with it.

        honest: Whether syncs did what they said. If not, a store may also find damage
            when it is read; it may still not give what was never there.

    Attributes:
        recoveries: How many stores were opened first.

        ends: How far the sessions had come when the run ended.
    """

    def __init__(
        self,
        subject: Subject,
        plan: Plan,
        *,
        kind: str,
        classes: bool = True,
        honest: bool = True,
    ) -> None:
        self.subject, self.plan, self.kind = subject, plan, kind
        self.honest = honest
        self.recoveries = 0
        self.ends = [0] * len(plan.names)
        self._classes = classes
        self._known: dict[bytes, Outcome] = {}
        self._shapes: OrderedDict[tuple[Question, ...], dict[bytes, Outcome]]
        self._shapes = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def outcomes(self) -> dict[bytes, Outcome]:
        """
        Give what came of each different image.
        """
        return dict(self._known)

    def judge(self, image: Image) -> tuple[Outcome, bool]:
        """
        Give an image's outcome, and whether it was recovered just now.
        """
        identity = image.identity()
        outcome = self._known.get(identity)
        if outcome is not None:
            return outcome, False
        outcome = self._alike(image)
        fresh = outcome is None
        if outcome is None:
            outcome, questions = self._recover(image)
            shape = settle(questions)
            table = self._shapes.setdefault(shape, {})
            self._shapes.move_to_end(shape)
            table[image.answers(shape)] = replace(outcome, timeline=())
            while len(self._shapes) > SHAPES:
                self._shapes.popitem(last=False)
        self._known[identity] = replace(outcome, timeline=())
        return outcome, fresh

    def _alike(self, image: Image) -> Outcome | None:
        """
        Find a judged image that agrees in all that its recovery looked at.
        """
        if not self._classes:
            return None
        for shape, table in reversed(self._shapes.items()):
            outcome = table.get(image.answers(shape))
            if outcome is not None:
                self._shapes.move_to_end(shape)
                return outcome
        return None

    def _recover(self, image: Image) -> tuple[Outcome, frozenset[Question]]:
        """
        Judge an image as a whole.
        """
        self.recoveries += 1
        life = Life(self.subject, image.copy(), self.plan)
        points: Points | None = None
        faults: list[str] = []
        timeline: list[Event] = []
        reason = ""
        try:
            points = dict(life.start().points)
            faults = self._look(life, points) or self._go_on(life)
            timeline = life.timeline()
        except Refused as error:
            timeline, reason = life.timeline(), str(error)
            if points is not None and self.honest:
                faults = [f"opened, and damaged: {error}"]
            points = None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a violation
            faults = [f"{type(error).__name__}: {error}"]
        finally:
            life.end()
        outcome = Outcome(points, tuple(faults), reason, tuple(timeline))
        return outcome, life.looked()

    def _look(self, life: Life, points: Points) -> list[str]:
        """
        Compare everything that a store holds with what its commit points say.
        """
        found = life.store.content()
        bounds = [Bounds(0, ENDLESS)] * len(self.plan.names)
        faults = self.plan.judge(points, bounds, found)
        return faults or life.store.reread(found, self.plan.keys())

    def _turns(self, life: Life) -> list[int]:
        """
        Give which sessions go on, in turn: a little, or until all is done again that
        the run had done behind the commit points.
        """
        count = len(self.plan.names)
        turns = [turn % count for turn in range(UPDATES)]
        if self.recoveries % WHOLE_EVERY == 0:
            for session, end in enumerate(self.ends):
                left = end - life.serials[session] - turns.count(session)
                turns += [session] * max(0, left)
        return turns

    def _go_on(self, life: Life) -> list[str]:
        """
        Let the sessions go on, take a checkpoint, and look at what that leaves.
        """
        if not self.honest:
            return []
        for session in self._turns(life):
            life.work(session)
        points = life.checkpoint(self.kind)
        want = {name: life.serials[i] for i, name in enumerate(self.plan.names)}
        faults = self._look(life, want)
        life.end()
        if dict(points) != want:
            faults.append(f"a checkpoint commits {dict(points)}, expected {want}")
        if faults:
            return faults
        again = Life(self.subject, what_is_left(life), self.plan)
        try:
            got = dict(again.start().points)
            faults = [] if got == want else [f"reopened at {got}, expected {want}"]
            return faults + self._look(again, got)
        except Refused as error:
            return [f"refused after a checkpoint: {error}"]
        finally:
            again.end()


__all__ = ["Judge", "Outcome", "settle", "what_is_left"]
