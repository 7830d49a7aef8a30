# SPDX-License-Identifier: MIT
"""
What `pyfaster bench` runs: the same work by a store, a dict and SQLite, side by side.

Each round makes all of them anew and goes through the phases; in a phase they take
turns, and who begins changes from phase to phase and round to round, so that what the
machine does besides meets all alike. The work is fixed by a seed and bounded by counts.
At the end of a round all of them must hold the same.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from pyfaster._cli._contestants import PHASES, Dict, Sqlite, Store, Subject

CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What is done.

    Attributes:
        keys: How many there are; filling sets them all, in a random order.

        operations: How many operations each other phase has.

        batch: Keys in one call of the phases with batches.

        threads: How many share a phase's operations.

        rounds: How often all is done; medians are told.

        seed: Chooses the keys.

        memory: The store's budget, as in "64MiB"; "" for none.

        device: The store's device, where there is a directory.
    """

    keys: int
    operations: int
    batch: int
    threads: int
    rounds: int
    seed: int
    memory: str
    device: str


@dataclass(slots=True)
class Outcome:
    """
    What came out.

    Attributes:
        seconds: By phase and subject, one figure for each round.

        counts: Operations in each phase; 1 for a checkpoint.

        figures: What the store of the last round said of itself.

        wrong: Who held something else than the dict, and in which round.
    """

    seconds: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def rate(self, phase: str, name: str) -> float | None:
        """
        The median of operations a second; None for one that has no such phase.
        """
        times = self.seconds[phase].get(name)
        return self.counts[phase] / median(times) if times else None

    def ratio(self, phase: str, name: str) -> float | None:
        """
        How many times as fast as another one the store was; None as above.
        """
        own, other = self.rate(phase, "pyfaster"), self.rate(phase, name)
        return own / other if own and other else None


def compete(
    plan: Plan, place: Path | None, notice: Callable[[int, int], object]
) -> Outcome:
    """
    Do all rounds.

    Args:
        plan: What is done.

        place: A directory that is empty; None for memory.

        notice: Is told how many rounds are done, and how many there are.
    """
    outcome = Outcome()
    for number in range(plan.rounds):
        notice(number, plan.rounds)
        folder = None if place is None else place / str(number)
        if folder is not None:
            folder.mkdir()
        _round(plan, folder, number, outcome)
    notice(plan.rounds, plan.rounds)
    return outcome


def _round(plan: Plan, folder: Path | None, number: int, outcome: Outcome) -> None:
    with ExitStack() as stack:
        store = Store(folder, plan.device, plan.memory, plan.batch)
        stack.callback(store.close)
        peer = Sqlite(folder, plan.batch)
        stack.callback(peer.close)
        subjects: dict[str, Subject] = {
            "pyfaster": store,
            "dict": Dict(plan.batch, plan.threads),
            "sqlite3": peer,
        }
        dice = random.Random(plan.seed + number)
        for at, phase in enumerate(PHASES):
            keys = _keys(plan, phase, dice)
            outcome.counts[phase] = len(keys)
            for name in _turn(list(subjects), number + at):
                seconds = _timed(subjects[name], phase, keys, plan.threads)
                _keep(outcome, phase, name, seconds)
        if folder is not None:
            _checkpoints(subjects, outcome)
        outcome.figures = store.figures()
        expected = subjects["dict"].contents(plan.keys)
        for name, subject in subjects.items():
            if subject.contents(plan.keys) != expected:
                outcome.wrong.append(f"{name} in round {number + 1}")


def _keys(plan: Plan, phase: str, dice: random.Random) -> Sequence[int]:
    if phase == "fill":
        return dice.sample(range(plan.keys), plan.keys)
    return [dice.randrange(plan.keys) for _ in range(plan.operations)]


def _turn(names: list[str], by: int) -> list[str]:
    by %= len(names)
    return names[by:] + names[:by]


def _keep(outcome: Outcome, phase: str, name: str, seconds: float) -> None:
    outcome.seconds.setdefault(phase, {}).setdefault(name, []).append(seconds)


def _checkpoints(subjects: Mapping[str, Subject], outcome: Outcome) -> None:
    outcome.counts[CHECKPOINT] = 1
    for name, subject in subjects.items():
        begin = perf_counter()
        if subject.checkpoint():
            _keep(outcome, CHECKPOINT, name, perf_counter() - begin)


def _timed(subject: Subject, phase: str, keys: Sequence[int], threads: int) -> float:
    """
    How long a phase takes, from when all threads are ready.
    """
    work = subject.work(phase)
    if threads == 1:
        begin = perf_counter()
        work(keys)
        subject.settle()
        return perf_counter() - begin
    shares = [keys[one::threads] for one in range(threads)]
    ready = threading.Barrier(threads + 1)
    failures: list[BaseException] = []

    def run(share: Sequence[int]) -> None:
        ready.wait()
        try:
            work(share)
        except BaseException as error:  # noqa: BLE001 - it is raised below
            failures.append(error)

    workers = [threading.Thread(target=run, args=(share,)) for share in shares]
    for worker in workers:
        worker.start()
    ready.wait()
    begin = perf_counter()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]
    subject.settle()
    return perf_counter() - begin


__all__ = ["CHECKPOINT", "Outcome", "Plan", "compete"]
