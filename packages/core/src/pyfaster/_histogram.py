# SPDX-License-Identifier: MIT
"""
How long things took: counts by the power of two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: Powers of two of nanoseconds that are told apart.
BUCKETS = 64


@dataclass(frozen=True, slots=True)
class Histogram:
    """
    Durations, as far apart as a factor of two.

    Attributes:
        counts: `counts[i]` durations took at least 2**i ns and less than 2**(i + 1);
            those of 0 ns are in `counts[0]`.

        total_ns: All of them together.

    Units: nanoseconds.

    Source: `native/src/base/histogram.h`.

    >>> timed = Histogram.of_durations([100, 120, 5000])
    >>> timed.samples, timed.mean_ns
    (3, 1740.0)
    >>> timed.counts[6], timed.counts[12]
    (2, 1)
    >>> timed.quantile(0.5)
    112.0
    """

    counts: tuple[int, ...] = (0,) * BUCKETS
    total_ns: int = 0

    @property
    def samples(self) -> int:
        """
        How many durations are in it.
        """
        return sum(self.counts)

    @property
    def mean_ns(self) -> float | None:
        """
        Their mean; None when there are none.
        """
        samples = self.samples
        return self.total_ns / samples if samples else None

    def quantile(self, q: float) -> float | None:
        """
        About how long the fastest part `q` of them took at most.

        Durations count as spread evenly over their bucket, so the answer is off by less
        than a factor of two.

        Args:
            q: A part of all, from 0 to 1; 0.5 asks for the median.

        Returns:
            Nanoseconds; None when there are no durations.

        Raises:
            ValueError: `q` is no such part.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q={q!r}: a quantile is asked for by a number of 0 to 1")
        left = q * self.samples
        found = None
        for low, high, count in self.buckets():
            if found is None or left > 0:
                found = low + (high - low) * min(max(left / count, 0.0), 1.0)
            left -= count
        return found

    def buckets(self) -> list[tuple[int, int, int]]:
        """
        The powers of two that have durations: from, below, and how many.
        """
        return [
            (1 << i if i else 0, 2 << i, count)
            for i, count in enumerate(self.counts)
            if count
        ]

    def since(self, earlier: Histogram) -> Histogram:
        """
        What has come since an earlier snapshot of the same.
        """
        pairs = zip(self.counts, earlier.counts, strict=True)
        counts = tuple(now - before for now, before in pairs)
        return Histogram(counts, self.total_ns - earlier.total_ns)

    def to_dict(self) -> dict[str, list[int] | int]:
        """
        The same as what JSON can say: `counts` and `total_ns`.
        """
        return {"counts": list(self.counts), "total_ns": self.total_ns}

    @classmethod
    def from_dict(cls, figures: Mapping[str, list[int] | int]) -> Histogram:
        """
        Read what `to_dict` gave.

        Raises:
            ValueError: It is something else.
        """
        counts, total_ns = figures.get("counts"), figures.get("total_ns")
        if not isinstance(counts, list) or not isinstance(total_ns, int):
            raise ValueError(f"not a histogram: {figures!r}")
        if len(counts) != BUCKETS:
            raise ValueError(f"a histogram has {BUCKETS} counts, not {len(counts)}")
        return cls(tuple(counts), total_ns)

    @classmethod
    def of_durations(cls, durations: Iterable[int]) -> Histogram:
        """
        Count durations of one's own, in nanoseconds.
        """
        counts, total_ns = [0] * BUCKETS, 0
        for duration in durations:
            counts[max(duration.bit_length() - 1, 0)] += 1
            total_ns += duration
        return cls(tuple(counts), total_ns)


__all__ = ["BUCKETS", "Histogram"]
