# SPDX-License-Identifier: MIT
"""
The runs of logs that are recorded, each with something of its own, and each by seed.

One thread does everything, so a seed gives a run; but for the workloads with threads,
those in which the log commits by itself, and those with more than a page at a time,
which the log's own thread writes when it comes to it. Of these the recording is one of
the runs that there may be, and is judged as such.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from crash.events import Event
from crash.image import Image
from crash.judge import what_is_left
from crash.logs.life import LogLife, LogSubject
from crash.logs.oracle import Found
from crash.medium import Medium
from crash.workloads import LIVES_APART
from pyfaster.testing import Rule


class LogActor:
    """
    Plays a workload on a log, life after life.

    Args:
        subject: The kind of log.

        seed: Of everything by chance.

        **wishes: For the first life's device.

    Attributes:
        life: The one that goes on.

        held: What it held when it was opened.

        commits: Number and end of each commit that was acknowledged, of all lives.
    """

    def __init__(self, subject: LogSubject, seed: int, **wishes: Any) -> None:
        self.subject, self.seed = subject, seed
        self.chance = random.Random(f"{seed}:log")
        self.commits: list[tuple[int, int]] = []
        self.failed = 0
        self._refusing: tuple[str, int] | None = None
        self._past: list[Event] = []
        self._lives = 0
        self._numbers = count(1)
        self.held = Found(0, 0, 0)
        self.life = self._begin(Image(), None, **wishes)

    def _begin(
        self, image: Image, recover: tuple[int, int] | None, **wishes: Any
    ) -> LogLife:
        life = LogLife(
            self.subject, image, self.seed, self._numbers, self._refuse, **wishes
        )
        self.held = life.start(recover)
        return life

    def _refuse(self, event: Event) -> OSError | None:
        if self._refusing is None or event.kind != self._refusing[0]:
            return None
        kind, left = self._refusing
        self._refusing = (kind, left - 1)
        return OSError(5, f"{kind} is refused") if left == 1 else None

    def append(self, entries: int) -> None:
        """
        Append so many, one by one or several as one.
        """
        for _ in range(entries):
            if self.chance.random() < 0.15:
                self.life.append_many(self.chance.randint(2, 4))
            else:
                self.life.append()

    def commit(self, cookie: bytes = b"") -> None:
        """
        Make everything durable.
        """
        commit = self.life.commit(cookie)
        self.commits.append((commit.number, commit.until))

    def some(self) -> int:
        """
        Give an entry's address, or the end of what is committed.
        """
        held = self.life.log.found()
        places = [address for address, _ in held.entries] + [held.until]
        return self.chance.choice(places)

    def failing(self, what: str, nth: int, do: Callable[[], object]) -> None:
        """
        Do something of which the nth call on a slot file fails.
        """
        self._refusing = (what, nth)
        try:
            do()
        except OSError:
            self.failed += 1
        self._refusing = None

    def reopen(
        self,
        *,
        clean: bool = False,
        dropped: bool = False,
        recover: tuple[int, int] | None = None,
        **wishes: Any,
    ) -> None:
        """
        End the process and begin the next one; the power stays.

        Args:
            clean: The log is closed; else the process is killed.

            dropped: What the system holds and has not written to the device is gone,
                as it should be after a sync that failed.

            recover: A commit to go back to.
        """
        self._end(clean=clean)
        image = what_is_left(self.life)
        if dropped:
            self._past.append(Event("dropped"))
            medium = Medium()
            for event in self._past:
                medium.step(event)
            image.log = bytearray(medium.sure.log)
        self.life = self._begin(image, recover, **wishes)

    def _end(self, *, clean: bool) -> None:
        self.life.end(clean=clean)
        apart = self._lives * LIVES_APART
        for event in self.life.timeline():
            device = event.kind in ("write", "wrote", "sync", "synced", "trim")
            number = event.number + apart * device
            self._past.append(dataclasses.replace(event, number=number))
        self._lives += 1

    def timeline(self) -> list[Event]:
        """
        End, and give everything that happened.
        """
        self._end(clean=self.chance.random() < 0.5)
        return self._past


@dataclass(frozen=True, slots=True)
class LogWorkload:
    """
    A run by name.

    Attributes:
        play: What is done.

        settings: Of the log.

        rules: What the first life's device does wrong.

        lossy: Also look at what a failed sync may leave for ever.

        lies: What the first life's device does wrong without its being recorded.

        honest: Whether syncs do what they say.
    """

    play: Callable[[LogActor], None]
    settings: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    lossy: bool = False
    lies: tuple[Rule, ...] = ()
    honest: bool = True


def explicit(actor: LogActor) -> None:
    """
    Appends and commits in turn.
    """
    for _ in range(16):
        actor.append(actor.chance.randint(1, 10))
        actor.commit()
    actor.append(8)


def large(actor: LogActor) -> None:
    """
    Commits of several pages each, which the device is given one by one.
    """
    for _ in range(4):
        actor.append(actor.chance.randint(30, 120))
        actor.commit()
    actor.append(60)


def strong(actor: LogActor) -> None:
    """
    Commits with a cookie each, also of nothing.
    """
    for number in range(8):
        actor.append(actor.chance.randint(0, 6))
        actor.commit(b"cookie %d " % number * actor.chance.randint(1, 9))
    actor.append(3)


def single(actor: LogActor) -> None:
    """
    Each entry is committed by itself.
    """
    for _ in range(24):
        actor.life.append_and_commit()
        if actor.chance.random() < 0.3:
            actor.append(actor.chance.randint(1, 40))


def group(actor: LogActor) -> None:
    """
    Four threads append and commit at the same time, and share what they can.
    """
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(8):
                actor.life.append_and_commit()
                for _ in range((turn + number) % 3 * 8):
                    actor.life.append()
        except BaseException as error:  # noqa: BLE001 - it is raised below
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    actor.life.look()


def tasks(actor: LogActor) -> None:
    """
    Four tasks of one event loop append and commit, and share what they can.
    """

    async def work(number: int) -> None:
        for turn in range(8):
            await actor.life.append_and_commit_async()
            for _ in range((turn + number) % 3 * 8):
                actor.life.append()
            if turn % 3 == number % 3:
                await actor.life.commit_async()

    async def all_of_them() -> None:
        await asyncio.gather(*map(work, range(4)))

    asyncio.run(all_of_them())
    actor.life.look()


def by_time(actor: LogActor) -> None:
    """
    The log commits once entries have waited so long; nobody asks it to.
    """
    for turn in range(16):
        actor.append(actor.chance.randint(1, 8))
        last = actor.life.append()
        if turn % 2:
            actor.life.wait(last)
        actor.life.look()
    actor.append(8)


def by_itself(actor: LogActor) -> None:
    """
    The log commits once so many bytes wait; what it says is durable has to be.
    """
    for _ in range(120):
        actor.append(2)
        actor.life.look()
    actor.commit()
    actor.append(30)
    actor.life.look()


def cursors(actor: LogActor) -> None:
    """
    Cursors are saved between commits, forward and back, and forgotten.
    """
    for turn in range(8):
        actor.append(actor.chance.randint(1, 6))
        actor.commit()
        actor.life.save(f"c{turn % 3}", actor.some())
        if turn == 5:
            actor.life.drop_cursor("c1")
    actor.append(4)
    actor.life.save("c0", actor.some())


def truncating(actor: LogActor) -> None:
    """
    The beginning is cut off again and again, also everything, and lives between.
    """
    for turn in range(7):
        actor.append(actor.chance.randint(2, 12))
        actor.commit()
        held = actor.life.log.found()
        middle = held.entries[len(held.entries) // 2][0] if held.entries else held.until
        actor.life.truncate_until(held.until if turn == 3 else middle)
        if turn % 3 == 2:
            actor.reopen(clean=turn == 5)
    actor.append(5)


def cutting(actor: LogActor) -> None:
    """
    The end is cut off, also all of it, and other entries follow.
    """
    for turn in range(5):
        actor.append(actor.chance.randint(2, 8))
        actor.commit()
        actor.append(actor.chance.randint(0, 3))
        held = actor.life.log.found()
        address = held.begin if turn == 3 else actor.some()
        actor.life.truncate_suffix(address)
        actor.append(actor.chance.randint(1, 4))
        if turn % 2:
            actor.commit(b"cut %d" % turn)
    actor.append(2)


def lives(actor: LogActor) -> None:
    """
    Several lives: some are closed and some are killed, in the middle of everything.
    """
    for turn in range(6):
        actor.append(actor.chance.randint(1, 10))
        if turn % 2:
            actor.commit(b"life %d" % turn)
        actor.append(actor.chance.randint(0, 10))
        if turn == 3:
            actor.life.save("c", actor.some())
        actor.reopen(clean=turn in (1, 4))
    actor.append(3)
    actor.commit()


def chosen(actor: LogActor) -> None:
    """
    The log goes back to commits that are not the last.
    """
    for turn in range(3):
        for _ in range(3):
            actor.append(actor.chance.randint(1, 6))
            actor.commit(b"choice")
        actor.reopen(clean=bool(turn % 2), recover=actor.commits[-2])
        actor.commits.clear()
        actor.append(3)
        actor.commit()


def slots_fail(actor: LogActor) -> None:
    """
    Writing a slot fails, in each of its steps; the life after that goes on.
    """
    for what in ("rewrite", "fsync"):
        actor.append(4)
        actor.commit()
        actor.life.save("c", actor.some())
        actor.failing(what, 1, partial(actor.life.save, "c", actor.some()))
        actor.reopen()
    actor.append(4)
    actor.commit()


def unsynced(actor: LogActor) -> None:
    """
    A device whose third sync fails: nothing is durable until the next life.
    """
    for _ in range(4):
        actor.append(5)
        try:
            actor.commit()
        except OSError:
            actor.failed += 1
            break
    actor.reopen(dropped=True)
    actor.append(3)
    actor.commit()


def interrupted(actor: LogActor) -> None:
    """
    The process is killed between a commit's writes and the end of its sync: the next
    one finds what the medium may not have.
    """
    for _ in range(6):
        actor.append(5)
        try:
            actor.commit()
        except OSError:
            actor.failed += 1
            break
    actor.reopen()
    actor.append(3)
    actor.commit()


def completing(actor: LogActor) -> None:
    """
    Two lives, and then the log is completed.
    """
    actor.append(5)
    actor.commit()
    actor.reopen()
    actor.append(5)
    actor.life.complete()


_LYING = (Rule("drop", "sync", times=None),)


def lying(actor: LogActor) -> None:
    """
    Two lives on a device that says it syncs and does not.
    """
    for _ in range(3):
        actor.append(6)
        actor.commit()
    actor.reopen(lies=_LYING)
    for _ in range(3):
        actor.append(6)
        actor.commit()


LOG_WORKLOADS: dict[str, LogWorkload] = {
    "log explicit": LogWorkload(explicit),
    "log strong": LogWorkload(strong, {"max_in_flight": 3}),
    "log large": LogWorkload(large),
    "log single": LogWorkload(single),
    "log group": LogWorkload(group),
    "log group in flight": LogWorkload(group, {"max_in_flight": 3}),
    "log by itself": LogWorkload(by_itself, {"every_bytes": 6000, "max_in_flight": 3}),
    "log by time": LogWorkload(by_time, {"every_seconds": 0.001}),
    "log tasks": LogWorkload(tasks, {"max_in_flight": 2}),
    "log cursors": LogWorkload(cursors),
    "log truncating": LogWorkload(truncating),
    "log cutting": LogWorkload(cutting),
    "log lives": LogWorkload(lives, {"slot_every": 2}),
    "log chosen": LogWorkload(chosen),
    "log slots fail": LogWorkload(slots_fail),
    "log unsynced": LogWorkload(
        unsynced, rules=(Rule("fail", "sync", nth=4),), lossy=True
    ),
    "log interrupted": LogWorkload(interrupted, rules=(Rule("fail", "sync", nth=4),)),
    "log completing": LogWorkload(completing),
    "log lying": LogWorkload(lying, lies=_LYING, honest=False),
}


def record_log(subject: LogSubject, workload: LogWorkload, seed: int) -> list[Event]:
    """
    Play a workload; give what happened.
    """
    actor = LogActor(subject, seed, rules=workload.rules, lies=workload.lies)
    try:
        workload.play(actor)
        return actor.timeline()
    finally:
        actor.life.end()


__all__ = ["LOG_WORKLOADS", "LogActor", "LogWorkload", "record_log"]
