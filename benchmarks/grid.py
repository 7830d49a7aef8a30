# SPDX-License-Identifier: MIT
"""
The YCSB grid: every case, every contender, interleaved rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.cases import Case
from benchmarks.driver import Roster, Say, close_all, measure


@dataclass(frozen=True, slots=True)
class GridSettings:
    """
    How large the grid is run.

    Attributes:
        items: Items loaded.

        operations: Operations of each thread in each round.

        batch: Operations in a batch.
    """

    items: int
    operations: int
    batch: int
    rounds: int
    seed: int


def run_grid(
    cases: Sequence[Case], roster: Roster, settings: GridSettings, say: Say
) -> list[dict[str, object]]:
    """
    Measure cases, shape by shape; one load serves all cases of a shape.
    """
    results: list[dict[str, object]] = []
    for shape in dict.fromkeys(case.shape for case in cases):
        say(f"keys of {shape.key_size} B, values of {shape.value_size} B: loading")
        processes = roster.start(shape, settings.items, settings.seed, say)
        try:
            chosen = [case for case in cases if case.shape == shape]
            for place, case in enumerate(chosen):
                result = measure(
                    case,
                    processes,
                    settings.operations,
                    settings.rounds,
                    place * settings.rounds,
                )
                medians = (
                    f"{name} {series.median:.0f}"
                    for name, series in result.series.items()
                )
                say(f"  {case.name} (ns): {', '.join(medians)}")
                results.append(result.to_json(settings.items))
        finally:
            close_all(processes)
    return results
