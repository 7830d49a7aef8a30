# SPDX-License-Identifier: MIT
"""
A task of a log: one workload with one seed, as `crash.tasks.Task`.
"""

from __future__ import annotations

from dataclasses import dataclass

from crash.events import Event
from crash.explore import DEPTH_EVERY, Explorer
from crash.judge import Judge
from crash.logs.judge import LogJudge
from crash.logs.life import LogSubject
from crash.logs.oracle import LogPromises
from crash.logs.workloads import LOG_WORKLOADS, record_log
from crash.medium import SECTOR
from crash.oracle import Plan
from crash.tasks import BaseTask

#: With one of these settings a log commits without being asked.
BY_ITSELF = frozenset({"every_bytes", "every_seconds"})


@dataclass(slots=True)
class LogTask(BaseTask):
    """
    A workload with a seed.

    Args:
        subject: The kind of log.

        name: Of the workload.

        seed: Of everything.

        sector: What a write that is cut off may leave as garbage.
    """

    subject: LogSubject
    name: str
    seed: int
    sector: int = SECTOR

    def __post_init__(self) -> None:
        settings = dict(LOG_WORKLOADS[self.name].settings)
        self.subject = self.subject.tuned(settings)

    @property
    def lossy(self) -> bool:
        """
        Whether what a failed sync may leave for ever is looked at, too.
        """
        return LOG_WORKLOADS[self.name].lossy

    def record(self) -> tuple[Plan, list[Event]]:
        """
        Play the workload.
        """
        workload = LOG_WORKLOADS[self.name]
        timeline = record_log(self.subject, workload, self.seed)
        return Plan(self.seed, 0, texts=False), timeline

    def judge(
        self, plan: Plan, timeline: list[Event], *, classes: bool = True
    ) -> Judge:
        """
        Make a judge for a recording.
        """
        workload = LOG_WORKLOADS[self.name]
        return LogJudge(
            self.subject,
            self.seed,
            classes=classes,
            honest=workload.honest,
            by_itself=not BY_ITSELF.isdisjoint(workload.settings),
        )

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
            promises=LogPromises(timeline, honest=judge.honest),
            lossy=lossy,
            sector=self.sector,
            depth_every=depth_every,
        )


__all__ = ["LogTask"]
