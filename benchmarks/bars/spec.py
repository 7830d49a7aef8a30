# SPDX-License-Identifier: MIT
"""
The bars as data: what is measured, which side of which figure is good.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.bars.kinds import AT_LEAST, AT_MOST, Bar
from benchmarks.bars.log_spec import LOG_BARS
from benchmarks.figures import median


def singles(layout: str, suffix: str) -> tuple[Bar, ...]:
    """
    Give the bars on single operations with 16-byte keys, which both layouts have.
    """
    what = f"16 B keys, 100 B values, {layout}, 1 M items"
    return (
        Bar(
            f"read-vs-dict{suffix}",
            "singles",
            f"session.read, {what}: time relative to d[key]",
            AT_MOST,
            1.0,
            "x time",
        ),
        Bar(
            f"read-vs-lmdb{suffix}",
            "singles",
            f"session.read, {what}: speed relative to lmdb txn.get",
            AT_LEAST,
            2.0,
            "x speed",
        ),
        Bar(
            f"read-vs-rocksdict{suffix}",
            "singles",
            f"session.read, {what}: speed relative to rocksdict",
            AT_LEAST,
            4.0,
            "x speed",
        ),
        Bar(
            f"upsert-vs-lmdb{suffix}",
            "singles",
            f"session.upsert of new items, {what}: speed relative to lmdb put",
            AT_LEAST,
            2.0,
            "x speed",
        ),
    )


def originals(kind: str) -> tuple[Bar, ...]:
    """
    Give the bars on throughput per core against published figures of the original.
    """
    return tuple(
        Bar(
            f"{kind}-many-vs-{label}",
            "fixed",
            f"{kind}_many throughput of one core relative to {rate} M operations/s",
            AT_LEAST,
            5.0,
            "x speed",
            orientation=True,
        )
        for label, rate in (("low", 1.7), ("high", 3.0))
    )


#: Sizes of data and memory, as they stand in the text of several bars.
TEN_TIMES = "100 B values, data 10 times the log's memory"

DEVICE_BARS = (
    *(
        Bar(
            f"device-load-{scheme}",
            "device-loads",
            f"upsert_many on the device {scheme}, {TEN_TIMES}, until all is written: "
            "rate relative to the lower of raw sequential writes and a store in memory",
            AT_LEAST,
            0.7,
            "x rate",
        )
        for scheme in ("uring", "file")
    ),
    Bar(
        "device-read-many",
        "device-reads",
        f"read_many of uniform keys on uring, {TEN_TIMES}: device reads relative to "
        "raw random reads of 4 KiB, 64 in flight, of the same files",
        AT_LEAST,
        0.85,
        "x rate",
    ),
    Bar(
        "device-read-vs-lmdb",
        "device-reads",
        f"read_many of uniform keys on uring, {TEN_TIMES}: speed relative to lmdb "
        "getmulti with the same budget as the system's cache of its file",
        AT_LEAST,
        5.0,
        "x speed",
    ),
    *(
        Bar(
            f"device-async-{loop}",
            "device-reads",
            f"1,000 awaited reads in flight on uring, {loop}, {TEN_TIMES}: device "
            "reads relative to raw random reads of 4 KiB, 64 in flight",
            AT_LEAST,
            0.6,
            "x rate",
        )
        for loop in ("asyncio", "uvloop")
    ),
    Bar(
        "device-hits",
        "device-reads",
        "99th percentile of single reads of keys in memory while another thread reads "
        "from the device, relative to that without",
        AT_MOST,
        5.0,
        "x time",
    ),
    *(
        Bar(
            f"device-zipf-{mode}",
            "device-zipf",
            f"YCSB B, zipf 0.99, 100 B values, {what}, data 4 times all memory: speed "
            "relative to rocksdict with the same budget",
            AT_LEAST,
            3.0,
            "x speed",
        )
        for mode, what in (
            ("batch", "batches of 1,024"),
            ("single", "single operations"),
        )
    ),
    *(
        Bar(
            f"device-budget-{scheme}",
            "device-budget",
            f"high-water mark of a process that writes 20 times its budget of 1 KiB "
            f"values to the device {scheme}, relative to the budget x 1.15 + 60 MB",
            AT_MOST,
            1.0,
            "x bound",
        )
        for scheme in ("uring", "file")
    ),
)

#: Sizes, as they stand in the text of several bars.
SMALL = "8 B keys and values, all in memory"


def checkpoint_bars(scheme: str) -> tuple[Bar, ...]:
    """
    Give the bars on checkpoints and recovery of a store on a device.
    """
    return (
        *(
            Bar(
                f"checkpoint-{mode}-{scheme}",
                "checkpoint-traffic",
                f"YCSB A, zipf 0.99, {what} by one thread, on {scheme}, {SMALL}: speed "
                "while another thread takes snapshots one behind the other, relative "
                "to that without",
                AT_LEAST,
                0.7,
                "x speed",
            )
            for mode, what in (
                ("single", "single operations"),
                ("batch", "batches of 1,024"),
            )
        ),
        Bar(
            f"checkpoint-p999-{scheme}",
            "checkpoint-traffic",
            f"the same single operations on {scheme}: how much longer the 99.9th "
            "percentile is while snapshots are taken",
            AT_MOST,
            5.0,
            "ms",
        ),
        *(
            Bar(
                f"checkpoint-time-{kind}-{scheme}",
                "checkpoint-times",
                f"a checkpoint on {scheme}, {what}, {SMALL}: time relative to that of "
                "a plain loop that writes as many bytes to a file and syncs it",
                AT_MOST,
                1.3,
                "x time",
            )
            for kind, what in (
                ("snapshot", "a snapshot with its index"),
                ("fold-over", "a fold-over with its index after all items changed"),
                ("incremental", "an incremental one after a quarter of them changed"),
            )
        ),
        Bar(
            f"checkpoint-bytes-{scheme}",
            "checkpoint-times",
            f"an incremental checkpoint on {scheme} after 1 % of the items changed: "
            "bytes relative to those of the snapshot",
            AT_MOST,
            0.05,
            "x bytes",
        ),
        *recovery_bars(scheme),
    )


def recovery_bars(scheme: str) -> tuple[Bar, ...]:
    """
    Give those on recovery.
    """
    return (
        *(
            Bar(
                f"checkpoint-recovery-{kind}-{scheme}",
                "checkpoint-recovery",
                f"opening a store on {scheme} from a {kind} and its copy of the index: "
                "bytes read in a second, relative to reads of the same files from "
                "beginning to end; nothing is in the system's cache",
                AT_LEAST,
                0.6,
                "x rate",
            )
            for kind in ("snapshot", "fold-over")
        ),
        *(
            Bar(
                f"checkpoint-replay-{kind}-{scheme}",
                "checkpoint-recovery",
                f"opening a store on {scheme} from a {kind} without a copy of the "
                "index: records in a second, relative to the lower of 5 M for each "
                "core and 60 % of the rate of reads from beginning to end",
                AT_LEAST,
                1.0,
                "x rate",
            )
            for kind in ("snapshot", "fold-over")
        ),
    )


CHECKPOINT_BARS = (*checkpoint_bars("file"), *checkpoint_bars("uring"))

BARS = (
    *singles("declared sizes", ""),
    *singles("plain bytes", "-varlen"),
    Bar(
        "rmw-vs-lmdb",
        "counts",
        'session.rmw(key, 1, merge="add"), int keys and values, 1 M items: speed '
        "relative to lmdb get and put",
        AT_LEAST,
        5.0,
        "x speed",
    ),
    Bar(
        "read-many-vs-gather",
        "fixed",
        "read_many of uniform uint64 keys: time per key relative to a numpy gather "
        "from a table of as many rows of 32 bytes",
        AT_MOST,
        3.0,
        "x time",
    ),
    Bar(
        "read-many-vs-single",
        "fixed",
        "read_many: speed relative to a loop of session.read over the same store",
        AT_LEAST,
        4.0,
        "x speed",
    ),
    Bar(
        "rmw-many-vs-read-many",
        "fixed",
        'rmw_many(merge="add"): time per key relative to read_many',
        AT_MOST,
        1.5,
        "x time",
    ),
    *originals("read"),
    *originals("rmw"),
    Bar(
        "two-threads-read-many",
        "threads",
        "read_many by two threads with a session each: speed relative to one thread",
        AT_LEAST,
        1.8,
        "x speed",
    ),
    Bar(
        "two-threads-rmw-many",
        "threads",
        "rmw_many by two threads with a session each: speed relative to one thread",
        AT_LEAST,
        1.8,
        "x speed",
    ),
    Bar(
        "memory-best",
        "memory",
        "resident memory for each item of 8 B key and 8 B value, at the best moment "
        "of growth",
        AT_MOST,
        52.0,
        "B",
    ),
    Bar(
        "memory-worst",
        "memory",
        "resident memory for each item of 8 B key and 8 B value, peak of the worst "
        "moment of growth",
        AT_MOST,
        70.0,
        "B",
    ),
    Bar(
        "batch-large-vs-small",
        "scale",
        "time of a batch read with 50 M items relative to that with 1 M items, store "
        "opened with defaults",
        AT_MOST,
        2.0,
        "x time",
    ),
    *DEVICE_BARS,
    *CHECKPOINT_BARS,
    *LOG_BARS,
)

#: Measurements without a bar.
ORIENTATION_GROUPS = ("latency", "checkpoint-original")

GROUPS = (
    "singles",
    "counts",
    "fixed",
    "threads",
    "memory",
    "scale",
    "latency",
    "device-loads",
    "device-reads",
    "device-zipf",
    "device-budget",
    "checkpoint-traffic",
    "checkpoint-times",
    "checkpoint-recovery",
    "checkpoint-original",
    "log-append",
    "log-commit",
    "log-scan",
    "log-peers",
)


def verdict(bar: Bar, figure: float, *, judged: bool) -> str:
    """
    Say "pass" or "miss", or "not judged" where sizes are too small to mean anything.
    """
    if not judged:
        return "not judged"
    good = figure <= bar.bound if bar.relation == AT_MOST else figure >= bar.bound
    return "pass" if good else "miss"


def result_of(bar: Bar, rounds: Sequence[float], *, judged: bool) -> dict[str, object]:
    """
    Give a bar's line in the report: the median of the rounds against the bound.
    """
    figure = median(rounds)
    return {
        "name": bar.name,
        "what": bar.what,
        "measured": figure,
        "rounds": list(rounds),
        "relation": bar.relation,
        "bound": bar.bound,
        "unit": bar.unit,
        "orientation": bar.orientation,
        "verdict": verdict(bar, figure, judged=judged),
    }
