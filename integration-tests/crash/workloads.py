# SPDX-License-Identifier: MIT
"""
The runs that are recorded, each with something of its own, and each by seed.

One thread does everything, so that a seed gives a run: sessions take turns as chance
says, and during a checkpoint they go on between its steps.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crash.events import Event
from crash.image import Image
from crash.judge import what_is_left
from crash.medium import Medium
from crash.oracle import Plan, Shares
from crash.subject import Life, Subject
from pyfaster.testing import Rule

#: What a store has in memory: less than its log, about as much, and more.
MEMORIES = (1 << 20, 48 << 10, 96 << 10)
#: Requests of a device are numbered anew in each life; this keeps them apart.
LIVES_APART = 1 << 32


class Actor:
    """
    Plays a workload on a store, life after life.

    Args:
        subject: The kind of store.

        plan: What the sessions do.

        seed: Of who comes when.

        **wishes: For the first life's device.

    Attributes:
        failed: How many checkpoints failed.
    """

    def __init__(self, subject: Subject, plan: Plan, seed: int, **wishes: Any) -> None:
        self.subject, self.plan = subject, plan
        self.chance = random.Random(f"{seed}:actor")
        self.failed = 0
        self._refusing: tuple[str, int] | None = None
        self._past: list[Event] = []
        self._lives = 0
        self.life = self._begin(Image(), **wishes)

    def _begin(self, image: Image, **wishes: Any) -> Life:
        life = Life(self.subject, image, self.plan, self._refuse, **wishes)
        life.start()
        return life

    def _refuse(self, event: Event) -> OSError | None:
        if self._refusing is None or event.kind != self._refusing[0]:
            return None
        kind, left = self._refusing
        self._refusing = (kind, left - 1)
        return OSError(5, f"{kind} is refused") if left == 1 else None

    def work(self, updates: int) -> None:
        """
        Let the sessions do so many updates.
        """
        for _ in range(updates):
            self.life.work(self.chance.randrange(len(self.plan.names)))

    def checkpoint(self, kind: str, during: int = 0) -> None:
        """
        Take a checkpoint, with so many updates at each of its steps.
        """
        self.life.checkpoint(kind, lambda: self.work(during))

    def failing(self, kind: str, what: str, nth: int) -> None:
        """
        Take a checkpoint of which the nth call of some kind is refused.

        Raises:
            AssertionError: The checkpoint did not fail, although the call did.
        """
        self._refusing = (what, nth)
        store = self.life.store
        try:
            points = store.checkpoint(kind, None)
        except OSError:
            self.failed += 1
        else:
            if self._refusing[1] < 1:
                raise AssertionError(f"acknowledged {points}, although {what} failed")
            self.life.recorder.add(Event("ack", points=dict(points)))
        self._refusing = None

    def unsynced(self, kind: str) -> None:
        """
        Take a checkpoint that fails because the log's device does.
        """
        try:
            points = self.life.store.checkpoint(kind, None)
        except OSError:
            self.failed += 1
            return
        self.life.recorder.add(Event("ack", points=dict(points)))

    def reopen(self, *, dropped: bool = False, **wishes: Any) -> None:
        """
        End the process and begin the next one; the power stays.

        Args:
            dropped: What the system holds and has not written to the device is gone,
                as it should be after a sync that failed.

            **wishes: For the next life's device.
        """
        self._end()
        image = what_is_left(self.life)
        if dropped:
            self._past.append(Event("dropped"))
            medium = Medium()
            for event in self._past:
                medium.step(event)
            image.log = bytearray(medium.sure.log)
        self.life = self._begin(image, **wishes)

    def _end(self) -> None:
        self.life.end()
        apart = self._lives * LIVES_APART
        for event in self.life.timeline():
            device = event.kind in ("write", "wrote", "sync", "synced")
            number = event.number + apart * device
            self._past.append(dataclasses.replace(event, number=number))
        self._lives += 1

    def timeline(self) -> list[Event]:
        """
        End, and give everything that happened.
        """
        self._end()
        return self._past


@dataclass(frozen=True, slots=True)
class Workload:
    """
    A run by name.

    Attributes:
        play: What is done.

        sessions: How many there are.

        texts: Whether keys and values are bytes.

        shares: Of what there is how much.

        settings: Of the store.

        rules: What the first life's device does wrong.

        kind: Of the checkpoint that follows a recovery.

        lossy: Also look at what a failed sync may leave for ever.

        lies: What the first life's device does wrong without its being recorded.

        honest: Whether syncs do what they say.
    """

    play: Callable[[Actor], None]
    sessions: int = 1
    texts: bool = False
    shares: Shares = field(default_factory=Shares)
    settings: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    kind: str = "snapshot"
    lossy: bool = False
    lies: tuple[Rule, ...] = ()
    honest: bool = True

    def tuning(self, seed: int) -> dict[str, Any]:
        """
        Give the settings of the store; how much memory it has depends on the seed.
        """
        return {"memory": MEMORIES[seed % len(MEMORIES)], **self.settings}

    def plan(self, seed: int) -> Plan:
        """
        Give what the sessions do.
        """
        return Plan(seed, self.sessions, texts=self.texts, shares=self.shares)


def rounds(*kinds: str, updates: int = 150, during: int = 0) -> Callable[[Actor], None]:
    """
    Updates, then a checkpoint, for each of some kinds; and some updates more.
    """

    def play(actor: Actor) -> None:
        for kind in kinds:
            actor.work(updates)
            actor.checkpoint(kind, during)
        actor.work(updates // 2)

    return play


def failing(actor: Actor) -> None:
    """
    Checkpoints that fail at some call, each followed by a good one.
    """
    actor.work(50)
    actor.checkpoint("snapshot")
    for what, most in (("append", 4), ("fsync", 3), ("rename", 1), ("dirsync", 3)):
        actor.work(25)
        actor.failing("snapshot", what, actor.chance.randint(1, most))
    actor.work(25)
    actor.checkpoint("fold-over")
    actor.work(25)


def unsynced(actor: Actor) -> None:
    """
    A device whose second sync fails: nothing is promised until the next life.
    """
    actor.work(50)
    for _ in range(4):
        actor.unsynced("fold-over")
        actor.work(30)
    actor.reopen(dropped=actor.subject.reads_ahead or actor.chance.random() < 0.5)
    actor.work(30)
    actor.checkpoint("fold-over")
    actor.work(20)


def lives(actor: Actor) -> None:
    """
    Several lives, some with a checkpoint and some without.
    """
    for kind in ("snapshot", "", "fold-over", "incremental", ""):
        actor.work(40)
        if kind:
            actor.checkpoint("snapshot" if kind == "incremental" else kind)
        if kind == "incremental":
            actor.work(20)
            actor.checkpoint(kind)
        actor.work(20)
        actor.reopen()
    actor.work(30)
    actor.checkpoint("snapshot")


def lying(actor: Actor) -> None:
    """
    Two lives on a device that says it syncs and does not. The first writes more than
    the second knows of, which then writes there itself.
    """
    rounds("fold-over", "snapshot", "fold-over", updates=60)(actor)
    actor.work(200)
    actor.reopen(lies=_LYING)
    rounds("fold-over", "fold-over", updates=120)(actor)


_MIXED = Shares(upsert=20, merge=20, delete=10, shared=30, tagged=20)
_MANY = Shares(upsert=70, merge=5, delete=5, shared=10, tagged=10, private=1500)
_LONG = Shares(upsert=50, merge=10, private=60, longest=900)
_DELETES = Shares(upsert=35, merge=5, delete=40, shared=5, tagged=15, private=40)
_SMALL = {"memory": 48 << 10}
_LYING = (Rule("drop", "sync", times=None),)

WORKLOADS: dict[str, Workload] = {
    "snapshot": Workload(rounds("snapshot", "snapshot", "snapshot")),
    "fold-over": Workload(rounds(*["fold-over"] * 4), kind="fold-over"),
    "incremental": Workload(
        rounds("snapshot", *["incremental"] * 4, updates=100), kind="incremental"
    ),
    "index-only": Workload(
        rounds("fold-over", "index", "fold-over", "index", "fold-over", updates=100),
        kind="fold-over",
    ),
    "deletes": Workload(
        rounds("snapshot", "fold-over", "snapshot", updates=200), shares=_DELETES
    ),
    "varlen": Workload(
        rounds("snapshot", "fold-over", "incremental"), texts=True, shares=_LONG
    ),
    "two sessions": Workload(
        rounds("fold-over", "snapshot", "fold-over"), sessions=2, texts=True
    ),
    "three sessions": Workload(
        rounds("snapshot", "fold-over", "incremental"), sessions=3, shares=_MIXED
    ),
    "while writing": Workload(
        rounds("snapshot", "fold-over", "snapshot", during=6), sessions=3, shares=_MIXED
    ),
    "lists while writing": Workload(
        rounds("fold-over", "snapshot", during=5), sessions=2, texts=True, shares=_MIXED
    ),
    "failing": Workload(failing, sessions=2),
    "unsynced": Workload(
        unsynced, rules=(Rule("fail", "sync", nth=2),), kind="fold-over", lossy=True
    ),
    "lives": Workload(lives, sessions=2, texts=True),
    "growth": Workload(
        rounds("snapshot", "fold-over", "snapshot", updates=500),
        shares=_MANY,
        settings={"memory": 1 << 20},
    ),
    "evicted": Workload(
        rounds("fold-over", "snapshot", "fold-over", updates=250),
        texts=True,
        sessions=2,
        shares=_LONG,
        settings=_SMALL,
    ),
    "read cache": Workload(
        rounds("snapshot", "fold-over", updates=250),
        texts=True,
        shares=_LONG,
        settings={"memory": 160 << 10, "read_cache": 64 << 10},
    ),
    "lying": Workload(
        lying,
        sessions=2,
        texts=True,
        shares=_LONG,
        settings=_SMALL,
        lies=_LYING,
        honest=False,
    ),
}


def record(subject: Subject, workload: Workload, seed: int) -> tuple[Plan, list[Event]]:
    """
    Play a workload; give what was planned and what happened.
    """
    plan = workload.plan(seed)
    actor = Actor(subject, plan, seed, rules=workload.rules, lies=workload.lies)
    try:
        workload.play(actor)
        return plan, actor.timeline()
    finally:
        actor.life.end()


__all__ = ["WORKLOADS", "Actor", "Workload", "record", "rounds"]
