# SPDX-License-Identifier: MIT
"""
A store as it might have been at two moments a second apart; writes the golden picture.

    python packages/observability/tests/top_kit.py
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from pyfaster_observability._rates import Between
from pyfaster_observability._top import picture
from pyfaster_observability.client import LiveStore, Snapshot

GOLDEN = Path(__file__).parent / "data" / "top.txt"
NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
MIB = 1 << 20


def histogram(**counts: int) -> dict[str, Any]:
    """Give a histogram with some counts: p8=3 is three durations of 256 to 512 ns."""
    found = [0] * 64
    for power, count in counts.items():
        found[int(power[1:])] = count
    return {"counts": found, "total_ns": 0}


def figures(step: int) -> dict[str, Any]:
    """Give the figures of a store before (0) and now (1)."""
    return {
        "address_begin": 64,
        "address_head": 40 * MIB,
        "address_flushed": (44 + step) * MIB,
        "address_safe_read_only": 48 * MIB,
        "address_read_only": 49 * MIB,
        "address_tail": 64 * MIB + step * 100_000,
        "memory": {"log": 24 * MIB, "index": 4 * MIB, "read_cache": 0, "pending": 900},
        "memory_used": 28 * MIB + 900,
        "memory_limit": 32 * MIB,
        "operation_counts": {
            "read hit": 1000 + step * 90_000,
            "read missed": 1000 + step * 10_000,
            "upsert done": 5000 + step * 500,
            "delete done": 77,
            "any failed": 0,
        },
        "reads_hit": 1000 + step * 90_000,
        "reads_missed": 1000 + step * 10_000,
        "reads_pending": 50 + step * 4_000,
        "updates_pending": 0,
        "cache_hits": step * 1_000,
        "pending": 3,
        "sessions": 2,
        "index_load": 0.4375,
        "device_write_bytes": 40 * MIB + step * 3 * MIB,
        "device_read_bytes": 5 * MIB + step * 1_500_000,
        "device_errors": 0,
        "device_retries": 2,
        "latencies": {
            "read": histogram(p7=10 + step * 900, p8=5 + step * 95, p12=step * 5),
            "upsert": histogram(p8=100 + step * 10),
            "pending": histogram(p16=50 + step * 4_000),
            "device_read": histogram(p16=50 + step * 4_000),
            "device_write": histogram(p20=10 + step * 3),
            "device_sync": histogram(p23=1),
        },
    }


EVENTS = (
    {"event": "LogSpilled", "time_ns": NOW - 7200 * SECOND, "address": 4096},
    {
        "event": "CheckpointTaken",
        "time_ns": NOW - 90 * SECOND,
        "info": "0000000000000007-5b1d",
        "duration_ns": 250_000_000,
    },
    {
        "event": "PagesFlushed",
        "time_ns": NOW - 2 * SECOND,
        "start": 45088768,
        "end": 46137344,
        "size": MIB,
        "duration_ns": 1_250_000,
    },
)


def drawn(between: Between, *, compact: bool = False) -> str:
    """Give the picture as text, 88 columns wide, without colours."""
    store = LiveStore("file:data", between.now, {}, EVENTS)
    snapshot = Snapshot("0.1.0", 4711, NOW, 0, (store,))
    console = Console(width=88, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(picture(snapshot, store, between, compact=compact))
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def golden() -> str:
    """Give the picture of the second moment, with what came since the first."""
    return drawn(Between(1.0, figures(1), figures(0)))


if __name__ == "__main__":
    GOLDEN.write_text(golden(), encoding="utf-8")
