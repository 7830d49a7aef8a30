# SPDX-License-Identifier: MIT
"""
Arithmetic on rounds: medians, ranges, ratios, percentiles.

A ratio of two contenders is the median of their ratios round by round. Rounds are
interleaved, so what slows the machine down for a while is in both halves of a round's
ratio; a ratio of two medians would mix rounds of different hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def median(values: Sequence[float]) -> float:
    """
    Give the middle value, or the mean of the two in the middle.
    """
    if not values:
        raise ValueError("there is no median of nothing")
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[middle])
    return (ordered[middle - 1] + ordered[middle]) / 2.0


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """
    Divide round by round.

    Raises:
        ValueError: The two were not measured in the same rounds.
    """
    if len(numerators) != len(denominators):
        raise ValueError(
            f"{len(numerators)} rounds cannot be compared with {len(denominators)}"
        )
    return [
        above / below for above, below in zip(numerators, denominators, strict=True)
    ]


def percentile(ordered: Sequence[float] | NDArray[np.int64], share: float) -> float:
    """
    Give the smallest value that at least `share` of all values do not exceed.

    Args:
        ordered: Values in ascending order.

        share: Between 0 and 1.
    """
    if len(ordered) == 0:
        raise ValueError("there is no percentile of nothing")
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"a share lies between 0 and 1, not at {share}")
    exact = share * len(ordered)
    rank = int(exact) if exact == int(exact) else int(exact) + 1
    return float(ordered[max(rank, 1) - 1])


@dataclass(frozen=True, slots=True)
class Series:
    """
    One contender's rounds of one case.

    Attributes:
        rounds: Nanoseconds per operation, one figure a round: the round's wall time
            divided by the operations of all its threads.
    """

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """
        The median round.
        """
        return median(self.rounds)

    def to_json(self, reference: Series | None) -> dict[str, object]:
        """
        Give the figures for the report.

        Args:
            reference: The rounds of the contender that others are compared with.
        """
        times: float | None = None
        if reference is not None:
            times = median(ratios(self.rounds, reference.rounds))
        return {
            "rounds_ns": list(self.rounds),
            "median_ns": self.median,
            "min_ns": min(self.rounds),
            "max_ns": max(self.rounds),
            "operations_per_second": 1e9 / self.median,
            "time_relative_to_pyfaster": times,
        }
