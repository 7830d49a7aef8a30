# SPDX-License-Identifier: MIT
"""
A task: one workload with one seed, recorded and gone through; and how it is told.

Everything is said in lines of words and `name=value`, which a person can read and the
runner, too.
"""

from __future__ import annotations

import shlex
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from crash.events import Event
from crash.explore import DEPTH_EVERY, Explorer, Tally, Violation, fingerprint
from crash.judge import Judge, Outcome
from crash.medium import SECTOR
from crash.oracle import Plan, Promises
from crash.states import Mask
from crash.subject import Subject
from crash.workloads import WORKLOADS, Workload, record

#: How often a run is recorded anew to meet the one that a line tells of: the store's
#: own threads do not come at the same moment each time.
ATTEMPTS = 200
#: How many runs are tried to be met again.
TASKS_MOST = 5


def fields(line: str) -> dict[str, str]:
    """
    Give the names and values of a line.
    """
    pairs = (word.partition("=") for word in shlex.split(line))
    return {name: value for name, sign, value in pairs if sign}


def show(what: str, **values: object) -> str:
    """
    Make such a line.
    """
    words = (f"{name}={shlex.quote(str(value))}" for name, value in values.items())
    return f"{what}: {' '.join(words)}"


class BaseTask(ABC):
    """
    What tasks of stores and of logs have in common.
    """

    __slots__ = ()

    name: str
    seed: int
    sector: int

    @property
    @abstractmethod
    def lossy(self) -> bool:
        """
        Whether what a failed sync may leave for ever is looked at, too.
        """

    @abstractmethod
    def record(self) -> tuple[Plan, list[Event]]:
        """
        Play the workload; give what was planned and what happened.
        """

    @abstractmethod
    def judge(
        self, plan: Plan, timeline: list[Event], *, classes: bool = True
    ) -> Judge:
        """
        Make a judge for a recording.
        """

    @abstractmethod
    def explorer(
        self,
        judge: Judge,
        timeline: list[Event],
        *,
        lossy: bool = False,
        depth_every: int = DEPTH_EVERY,
    ) -> Explorer:
        """
        Make one for a recording.
        """

    def run(
        self, states: int, *, classes: bool = True, most: int = 10
    ) -> Iterator[str]:
        """
        Go through about so many states; give a line for each violation, and one last.
        """
        begun = time.perf_counter()
        plan, timeline = self.record()
        trace = fingerprint(timeline)
        judge = self.judge(plan, timeline, classes=classes)
        plans = self.explorer(judge, timeline).count()
        total = Tally()
        for lossy in (False, True) if self.lossy else (False,):
            explorer = self.explorer(judge, timeline, lossy=lossy)
            tally = explorer.run(min(1.0, states / max(1, plans)), most=most)
            for violation in tally.violations:
                yield self._line(violation, trace, lossy)
            total.states += tally.states
            total.checks += tally.checks
            total.deep += tally.deep
            total.violations += tally.violations
        yield show(
            "done",
            workload=self.name,
            seed=self.seed,
            events=len(timeline),
            plans=plans,
            states=total.states + total.deep,
            deep=total.deep,
            checks=total.checks,
            recoveries=judge.recoveries,
            violations=len(total.violations),
            seconds=f"{time.perf_counter() - begun:.2f}",
        )

    def _line(self, violation: Violation, trace: str, lossy: bool) -> str:
        about = {
            "seed": self.seed,
            "workload": self.name,
            "crash_at": violation.turn,
            "mask": violation.mask,
            "lossy": int(lossy),
            "sector": self.sector,
            "trace": trace,
        }
        if violation.within:
            about["within"] = violation.within
        return f"{show('replay', **about)} # {'; '.join(violation.faults)[:600]}"


@dataclass(slots=True)
class Task(BaseTask):
    """
    A workload with a seed.

    Args:
        subject: The kind of store.

        name: Of the workload.

        seed: Of everything.

        sector: What a write that is cut off may leave as garbage.
    """

    subject: Subject
    name: str
    seed: int
    sector: int = SECTOR

    def __post_init__(self) -> None:
        self.subject = self.subject.tuned(self.workload.tuning(self.seed))

    @property
    def workload(self) -> Workload:
        """
        What is played.
        """
        return WORKLOADS[self.name]

    @property
    def lossy(self) -> bool:
        """
        Whether what a failed sync may leave for ever is looked at, too.
        """
        return self.workload.lossy

    def record(self) -> tuple[Plan, list[Event]]:
        """
        Play the workload.
        """
        return record(self.subject, self.workload, self.seed)

    def judge(
        self, plan: Plan, timeline: list[Event], *, classes: bool = True
    ) -> Judge:
        """
        Make a judge for a recording.
        """
        kind = self.workload.kind
        honest = self.workload.honest
        judge = Judge(self.subject, plan, kind=kind, classes=classes, honest=honest)
        promises = Promises(plan.names)
        for event in timeline:
            promises.step(event)
        judge.ends = [bound.issued for bound in promises.bounds()]
        return judge

    def explorer(
        self,
        judge: Judge,
        timeline: list[Event],
        *,
        lossy: bool = False,
        depth_every: int = DEPTH_EVERY,
    ) -> Explorer:
        """
        Make one for a recording.
        """
        return Explorer(
            judge,
            timeline,
            seed=self.seed,
            lossy=lossy,
            sector=self.sector,
            depth_every=depth_every,
        )


def found_again(
    make: Callable[[str, int, int], BaseTask], name: str, seed: int, states: int
) -> tuple[str, list[str]]:
    """
    Give the line of a task's first violation, and what its replay finds.

    Where a thread was stopped for long, a run goes as hardly another one does. Then its
    line is of no use, and the task is gone through once more.

    Raises:
        LookupError: No run goes as another one did.
    """
    for _ in range(TASKS_MOST):
        lines = make(name, seed, SECTOR).run(states, most=1)
        line = next(line for line in lines if line.startswith("replay:"))
        with suppress(LookupError):
            return line, replay(make, line)
    raise LookupError(f"{TASKS_MOST} runs, and none was met again")


def replay(make: Callable[[str, int, int], BaseTask], line: str) -> list[str]:
    """
    Judge the state that a line tells of.

    Args:
        make: Gives the task of a workload, a seed and a sector.

        line: As `BaseTask.run` gives it.

    Returns:
        What is wrong with it.

    Raises:
        LookupError: The run does not go that way any more.
    """
    told = fields(line.partition(" # ")[0])
    task = make(told["workload"], int(told["seed"]), int(told["sector"]))
    for _ in range(ATTEMPTS):
        plan, timeline = task.record()
        if told.get("trace") in (None, fingerprint(timeline)):
            break
    else:
        raise LookupError(f"{ATTEMPTS} recordings, and none went as {told['trace']}")
    judge = task.judge(plan, timeline, classes=False)
    lossy, at = told["lossy"] == "1", (int(told["crash_at"]), Mask.of(told["mask"]))
    explorer = task.explorer(judge, timeline, lossy=lossy)
    outcome, image = explorer.one(*at)
    if "within" not in told or outcome.points is None:
        return wrong(explorer, outcome)
    turn, _, mask = told["within"].partition(":")
    inner = explorer.inner(image, outcome)
    cut, _ = inner.one(int(turn), Mask.of(mask))
    return wrong(explorer, outcome) + wrong(inner, cut)


def wrong(explorer: Explorer, outcome: Outcome) -> list[str]:
    """
    Give everything that is wrong with an outcome, at the explorer's moment.
    """
    promises = explorer.promises
    broken = promises.broken(outcome, promises.bounds())
    return [*outcome.faults, *broken]


__all__ = ["BaseTask", "Task", "fields", "found_again", "replay", "show"]
