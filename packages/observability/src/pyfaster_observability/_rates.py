# SPDX-License-Identifier: MIT
"""
What happens in a store now: two snapshots, and what lies between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyfaster import Histogram

TIMED = ("read", "upsert", "insert", "delete", "discard", "rmw", "compare", "pending")

Figures = Mapping[str, Any]


def number(stats: Figures, name: str) -> float:
    """
    Give a figure; 0 where the other process has none of this name.
    """
    found = stats.get(name, 0)
    return found if isinstance(found, (int, float)) else 0


def histogram(stats: Figures, kind: str) -> Histogram:
    """
    Give a histogram; an empty one where the other process has none of this name.
    """
    latencies = stats.get("latencies")
    found = latencies.get(kind) if isinstance(latencies, Mapping) else None
    return Histogram.from_dict(found) if isinstance(found, Mapping) else Histogram()


@dataclass(frozen=True, slots=True)
class Between:
    """
    What happened between two snapshots of a store; since it was opened when there is
    only one.

    Attributes:
        seconds: How much time; None when there is only one snapshot.

        now: The figures at the end.

        before: Those at the beginning.
    """

    seconds: float | None
    now: Figures
    before: Figures

    def gain(self, name: str) -> float:
        """
        By how much a counter rose. One that fell is of a store that was opened anew.
        """
        rose = number(self.now, name) - number(self.before, name)
        return rose if rose >= 0 else number(self.now, name)

    def rate(self, name: str) -> float | None:
        """
        By how much a counter rises in a second; None when that is not known.
        """
        return None if not self.seconds else self.gain(name) / self.seconds

    def part(self, some: Sequence[str], whole: Sequence[str]) -> float | None:
        """
        The part that some counters have in the rise of others; None of nothing.
        """
        total = sum(map(self.gain, whole))
        return sum(map(self.gain, some)) / total if total else None

    def histogram(self, kind: str) -> Histogram:
        """
        The durations that came in between.
        """
        now = histogram(self.now, kind)
        found = now.since(histogram(self.before, kind))
        return now if min(found.counts) < 0 else found

    def operations(self) -> dict[tuple[str, str], float]:
        """
        By how much each kind and outcome of operations rose.
        """
        now, before = (
            self.now.get("operation_counts"),
            self.before.get("operation_counts"),
        )
        if not isinstance(now, Mapping):
            return {}
        old = before if isinstance(before, Mapping) else {}
        found = {}
        for name in now:
            kind, _, outcome = name.partition(" ")
            rose = number(now, name) - number(old, name)
            found[kind, outcome] = rose if rose >= 0 else number(now, name)
        return found


__all__ = ["TIMED", "Between", "number"]
