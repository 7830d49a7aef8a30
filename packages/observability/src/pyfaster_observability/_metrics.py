# SPDX-License-Identifier: MIT
"""
What the metrics are: names, units, attributes, and which figure each one tells.

Theory of operation: nothing is counted here. A metric is a function from one snapshot
of a store's or a log's figures to values, so a collection costs one `stats()` for each
of them, and an operation nothing.

OpenTelemetry has no observable histogram. The log-2 histograms that the core keeps are
told as counters, one for each limit, of how many durations were at most that long: this
is what a histogram is in Prometheus, so `histogram_quantile` works on it, and nothing
is lost but the finest limits. Their sums are counters, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyfaster_observability._targets import Checkpoints

if TYPE_CHECKING:
    from pyfaster import Histogram, StoreStats

    Latencies = Mapping[str, Histogram]

COUNTER = "counter"
UPDOWN = "up-down counter"
GAUGE = "gauge"

KIND = "db.operation.name"
OUTCOME = "pyfaster.outcome"
LIMIT = "le"
DEVICE = "pyfaster.device.operation"

#: Limits of durations, as powers of two of nanoseconds: from 128 ns to 17 s. What is
#: shorter or longer is in the first, or in "+Inf" alone.
LIMITS = range(7, 35)
NS = 1e-9

Value = tuple[float, Mapping[str, str]]
Values = Callable[[Any], Iterable[Value]]

#: The figures of `StoreStats.latencies` that are of single operations.
OPERATIONS = ("read", "upsert", "insert", "delete", "discard", "rmw", "compare")
DEVICE_OPERATIONS = ("read", "write", "sync")


@dataclass(frozen=True, slots=True)
class StoreView:
    """
    A store at one moment.

    Attributes:
        stats: Its figures.

        checkpoints: What events have told.

        stopped: Whether its device takes no writes.

        now: Seconds since 1970.
    """

    stats: StoreStats
    checkpoints: Checkpoints
    stopped: bool
    now: float


@dataclass(frozen=True, slots=True)
class Metric:
    """
    One metric.

    Attributes:
        name: As OpenTelemetry has it.

        kind: "counter", "up-down counter" or "gauge".

        unit: By UCUM.

        description: What it tells.

        values: Gives the values, each with its attributes, of a snapshot.

        attributes: The names of these attributes.
    """

    name: str
    kind: str
    unit: str
    description: str
    values: Values
    attributes: tuple[str, ...] = ()


def figure(name: str) -> Values:
    """
    A figure of a store as it is.
    """

    def values(view: StoreView) -> Iterator[Value]:
        yield getattr(view.stats, name), {}

    return values


def figures(attribute: str, **names: str) -> Values:
    """
    Several figures of a store, told apart by an attribute.
    """

    def values(view: StoreView) -> Iterator[Value]:
        for word, name in names.items():
            yield getattr(view.stats, name), {attribute: word}

    return values


def operations(view: StoreView) -> Iterator[Value]:
    """
    Operations by kind and outcome.
    """
    for (kind, outcome), count in view.stats.operation_counts.items():
        if kind in OPERATIONS:  # what failed has a metric of its own
            yield count, {KIND: kind, OUTCOME: outcome}


def parts(property_name: str, attribute: str) -> Values:
    """
    Sizes of parts, by the parts' names.
    """

    def values(view: StoreView) -> Iterator[Value]:
        for word, size in getattr(view.stats, property_name).items():
            yield max(0, size), {attribute: word}

    return values


def cumulated(counts: Iterable[int]) -> Iterator[tuple[str, int]]:
    """
    Give for each limit, in seconds, how many durations were below it.
    """
    sums: list[int] = []
    total = 0
    for count in counts:
        total += count
        sums.append(total)
    for power in LIMITS:
        yield repr((1 << power) / 1e9), sums[power - 1]
    yield "+Inf", total


def in_stats(view: StoreView) -> Latencies:
    """
    Where a store has its histograms.
    """
    return view.stats.latencies


def buckets(
    attribute: str,
    names: Mapping[str, str],
    of: Callable[[Any], Latencies] = in_stats,
) -> Values:
    """
    Histograms, limit by limit.
    """

    def values(snapshot: Any) -> Iterator[Value]:
        for word, name in names.items():
            found = of(snapshot)[name]
            own = {attribute: word} if attribute else {}
            for limit, count in cumulated(found.counts):
                yield count, {**own, LIMIT: limit}

    return values


def sums(
    attribute: str,
    names: Mapping[str, str],
    of: Callable[[Any], Latencies] = in_stats,
) -> Values:
    """
    What is in histograms, summed up, in seconds.
    """

    def values(snapshot: Any) -> Iterator[Value]:
        for word, name in names.items():
            own = {attribute: word} if attribute else {}
            yield of(snapshot)[name].total_ns * NS, own

    return values


def limit(view: StoreView) -> Iterator[Value]:
    """
    The memory budget, where there is one.
    """
    if view.stats.memory_limit:
        yield view.stats.memory_limit, {}


def stopped(view: StoreView) -> Iterator[Value]:
    """
    Whether the device takes no writes.
    """
    yield int(view.stopped), {}


def taken(view: StoreView) -> Iterator[Value]:
    """
    Checkpoints that were taken, by kind.
    """
    for kind, count in view.checkpoints.taken.items():
        yield count, {"pyfaster.checkpoint.kind": kind}


def failed(view: StoreView) -> Iterator[Value]:
    """
    Checkpoints that could not be taken, by kind.
    """
    for kind, count in view.checkpoints.failed.items():
        yield count, {"pyfaster.checkpoint.kind": kind}


def checkpoint_time(view: StoreView) -> Iterator[Value]:
    """
    How long checkpoints took together.
    """
    yield view.checkpoints.total_ns * NS, {}


def checkpoint_duration(view: StoreView) -> Iterator[Value]:
    """
    How long the newest checkpoint took.
    """
    if view.checkpoints.last_ns:
        yield view.checkpoints.last_ns * NS, {}


def checkpoint_size(view: StoreView) -> Iterator[Value]:
    """
    Bytes of the newest checkpoint.
    """
    if view.checkpoints.last_size:
        yield view.checkpoints.last_size, {}


def checkpoint_age(view: StoreView) -> Iterator[Value]:
    """
    How long ago the newest checkpoint was taken.
    """
    if view.checkpoints.created:
        yield max(0.0, view.now - view.checkpoints.created), {}


__all__ = [
    "COUNTER",
    "DEVICE",
    "DEVICE_OPERATIONS",
    "GAUGE",
    "KIND",
    "LIMIT",
    "LIMITS",
    "OPERATIONS",
    "OUTCOME",
    "UPDOWN",
    "Metric",
    "StoreView",
    "Value",
    "Values",
    "buckets",
    "checkpoint_age",
    "checkpoint_duration",
    "checkpoint_size",
    "checkpoint_time",
    "failed",
    "figure",
    "figures",
    "limit",
    "operations",
    "parts",
    "stopped",
    "sums",
    "taken",
]
