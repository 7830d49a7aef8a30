# SPDX-License-Identifier: MIT
"""
The metrics of durable logs, over `FasterLog.stats()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pyfaster_observability._metrics import (
    COUNTER,
    DEVICE,
    GAUGE,
    LIMIT,
    UPDOWN,
    Metric,
    Value,
    Values,
    buckets,
    sums,
)

_DEVICE_TIMES = {"write": "device_write", "sync": "device_sync"}


def _told(of: Callable[[Any], float]) -> Values:
    def values(stats: Any) -> Iterator[Value]:
        yield of(stats), {}

    return values


def _times(stats: Any) -> Any:
    return stats.latencies


def _metric(name: str, kind: str, unit: str, says: str, figure: str) -> Metric:
    return Metric(
        f"pyfaster.fasterlog.{name}",
        kind,
        unit,
        says,
        _told(lambda stats: getattr(stats, figure)),
    )


#: What is told of durable logs.
LOG_METRICS: tuple[Metric, ...] = (
    _metric("entries", COUNTER, "{entry}", "Entries appended", "entries"),
    _metric("payload", COUNTER, "By", "Bytes of their payloads", "payload_bytes"),
    Metric(
        "pyfaster.fasterlog.size",
        UPDOWN,
        "By",
        "The log from its beginning to its end",
        _told(lambda stats: stats.tail - stats.begin),
    ),
    _metric(
        "uncommitted", UPDOWN, "By", "Bytes that a crash may take", "uncommitted_bytes"
    ),
    _metric("commits", COUNTER, "{commit}", "Commit records written", "commits"),
    _metric(
        "commits.shared",
        COUNTER,
        "{call}",
        "Calls that another's commit served",
        "commit_waits",
    ),
    Metric(
        "pyfaster.fasterlog.commit.duration.bucket",
        COUNTER,
        "{commit}",
        "Commits that took at most le seconds from their turn to being durable",
        buckets("", {"": "commit"}, _times),
        (LIMIT,),
    ),
    Metric(
        "pyfaster.fasterlog.commit.duration.sum",
        COUNTER,
        "s",
        "What commits took together",
        sums("", {"": "commit"}, _times),
    ),
    _metric("syncs", COUNTER, "{sync}", "Syncs of the device", "syncs"),
    _metric(
        "waits", COUNTER, "{call}", "Calls that waited for room in memory", "room_waits"
    ),
    _metric("memory", UPDOWN, "By", "Pages on their way to the device", "memory_bytes"),
    _metric("written", COUNTER, "By", "Bytes the device was given", "written_bytes"),
    Metric(
        "pyfaster.fasterlog.device.duration.bucket",
        COUNTER,
        "{operation}",
        "Requests to the device that took at most le seconds",
        buckets(DEVICE, _DEVICE_TIMES, _times),
        (DEVICE, LIMIT),
    ),
    Metric(
        "pyfaster.fasterlog.device.duration.sum",
        COUNTER,
        "s",
        "What requests to the device took together",
        sums(DEVICE, _DEVICE_TIMES, _times),
        (DEVICE,),
    ),
    _metric("slots.written", COUNTER, "{write}", "Slots written", "slot_writes"),
    _metric("scans", UPDOWN, "{scan}", "Scans that are open", "scans"),
    _metric("cursors", UPDOWN, "{cursor}", "Cursors with a saved position", "cursors"),
    _metric("generation", GAUGE, "{life}", "The life of the log", "generation"),
    _metric(
        "completed",
        GAUGE,
        "1",
        "1 once nothing is appended any more",
        "completed",
    ),
)

__all__ = ["LOG_METRICS"]
