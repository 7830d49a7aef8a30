# SPDX-License-Identifier: MIT
"""
Measures the bars on data larger than memory.

Each round has the raw loops of benchmarks/raw in it, on the same file system and, for
reads, on the very files that the store wrote: a device's rates differ more from minute
to minute than the store's do. While one process measures, the others wait.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.bars.results import BarResults, BarSettings, Rounds, real
from benchmarks.cases import Case, Shape
from benchmarks.driver import (
    ContenderMissingError,
    Process,
    Roster,
    Say,
    close_all,
    measure,
)
from benchmarks.figures import median, ratios
from benchmarks.raw import Raw, RawError
from benchmarks.sizes import Budget, data_bytes, log_share, whole_share

VALUE_SIZE = 100
SCHEMES = ("uring", "file")
LOOPS = ("asyncio", "uvloop")

#: Data are so many times what a store has for them.
LOG_TIMES = 10
ZIPF_TIMES = 4
BOUNDED_TIMES = 20

SECTOR = 512

#: Rounds that fill caches and are not judged.
WARMING = 2

Figures = dict[str, list[float]]


@contextmanager
def raw_program() -> Any:
    """
    Compile the raw loops into a folder that is removed afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="pyfaster-bench-raw-") as folder:
        try:
            yield Raw(Path(folder)), Path(folder)
        except RawError as error:
            raise ContenderMissingError(str(error)) from error


def tiered(settings: BarSettings, scheme: str, budget: Budget) -> Process:
    """
    Start a process with a store on a device, or in memory without a scheme.
    """
    start: dict[str, object] = {
        "role": "tiered",
        "scheme": scheme,
        "items": settings.device_items,
        "memory": budget.memory,
        "index_permille": round(budget.index_fraction * 1000),
        "seed": settings.seed,
    }
    return Process(f"pyfaster {scheme or 'memory'}", start)


def keep(figures: Figures, name: str, value: object) -> None:
    """
    Keep one round's figure.
    """
    figures.setdefault(name, []).append(real(value))


def medians(figures: Figures) -> dict[str, object]:
    """
    Give what stands behind the bars for the report.
    """
    return {name: median(rounds) for name, rounds in figures.items()}


def ask(process: Process, do: str, **words: object) -> dict[str, object]:
    """
    Send one command.
    """
    return process.ask({"do": do, **words})


# --- loading ------------------------------------------------------------------------


def measure_loads(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    Write ten times the log's memory, beside a store in memory and raw writes.
    """
    budget = log_share(settings.device_items, VALUE_SIZE, LOG_TIMES)
    size = data_bytes(settings.device_items, VALUE_SIZE)
    figures: Figures = {}
    rounds: Rounds = {}
    with raw_program() as (raw, folder):
        for _ in range(settings.device_rounds):
            written = raw.write(folder, size)
            keep(figures, "raw writes", written.rate / 1e6)
            keep(figures, "fdatasync after them, ms", written.sync_seconds * 1e3)
            for scheme in ("", *SCHEMES):
                with tiered(settings, scheme, budget) as process:
                    answer = ask(process, "load")
                keep(figures, scheme or "in memory", real(answer["rate"]) / 1e6)
                if scheme:
                    keep(figures, f"{scheme}: data / log memory", answer["times"])
    lower = [
        min(pair)
        for pair in zip(figures["raw writes"], figures["in memory"], strict=True)
    ]
    for scheme in SCHEMES:
        rounds[f"device-load-{scheme}"] = ratios(figures[scheme], lower)
    results.note(
        "device-load",
        f"upsert_many of {settings.device_items} keys with values of 100 B, until all "
        "is on the device",
        "MB/s",
        medians(figures),
    )
    return rounds


# --- reading ------------------------------------------------------------------------


def measure_reads(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    Uniform reads of a store ten times its log's memory: batches, coroutines, lmdb.
    """
    budget = log_share(settings.device_items, VALUE_SIZE, LOG_TIMES)
    figures: Figures = {}
    with raw_program() as (raw, _), ExitStack() as stack:
        store = stack.enter_context(tiered(settings, "uring", budget))
        ask(store, "load")
        peer = start_lmdb(settings, results, budget, stack)
        parts = ask(store, "segments")["parts"]
        for turn in range(settings.device_rounds):
            seed = settings.seed + turn
            rate = raw.read(parts, settings.raw_seconds, seed)
            keep(figures, "raw reads of 4 KiB", rate)
            read_batches(settings, store, figures)
            read_sectors(settings, raw, parts, seed, figures)
            read_in_loops(settings, store, figures, results)
            if peer is not None:
                words = {"keys": settings.cold_keys, "batch": settings.cold_batch}
                answer = ask(peer, "reads", **words)
                keep(figures, "lmdb: keys", answer["keys"])
        hits = time_hits(settings, store, results)
    results.note(
        "device-reads",
        f"uniform reads of {settings.device_items} keys, ten times the log's memory; "
        f"both stores have {budget.memory / 1e6:.0f} MB, lmdb as pages of its file in "
        "the system's cache",
        "reads/s",
        medians(figures),
    )
    return {**read_ratios(figures), **hits}


def start_lmdb(
    settings: BarSettings, results: BarResults, budget: Budget, stack: ExitStack
) -> Process | None:
    """
    Start the peer, if it can be had.
    """
    start: dict[str, object] = {
        "role": "cold-lmdb",
        "items": settings.device_items,
        "memory": budget.memory,
        "seed": settings.seed,
    }
    try:
        return stack.enter_context(Process("lmdb", start))
    except ContenderMissingError as reason:
        results.contenders_missing["lmdb"] = str(reason)
        return None


def read_batches(settings: BarSettings, store: Process, figures: Figures) -> None:
    """
    One round of read_many.
    """
    answer = ask(store, "reads", keys=settings.cold_keys, batch=settings.cold_batch)
    keep(figures, "read_many", answer["reads"])
    keep(figures, "read_many: keys", answer["keys"])
    keep(figures, "bytes of a read", answer["read_bytes"])


def read_sectors(
    settings: BarSettings,
    raw: Raw,
    parts: Any,
    seed: int,
    figures: Figures,
) -> None:
    """
    Raw reads of one sector, for orientation: a store reads no more for small records.
    """
    # Where sectors are larger there is no such figure; no bar needs it.
    with suppress(RawError):
        rate = raw.read(parts, settings.raw_seconds, seed, SECTOR)
        keep(figures, "raw reads of 512 B", rate)


def read_in_loops(
    settings: BarSettings, store: Process, figures: Figures, results: BarResults
) -> None:
    """
    One round of each event loop; a loop that is not installed is said to be missing.
    """
    for loop in LOOPS:
        bar = f"device-async-{loop}"
        if bar in results.missing:
            continue
        answer = ask(
            store,
            "async",
            loop=loop,
            keys=settings.async_keys,
            tasks=settings.async_tasks,
        )
        if "skipped" in answer:
            results.missing[bar] = str(answer["skipped"])
        else:
            keep(figures, loop, answer["reads"])


def time_hits(settings: BarSettings, store: Process, results: BarResults) -> Rounds:
    """
    Single reads of keys in memory, alone and while a thread reads from the device.
    """
    figures: Figures = {}
    for _ in range(settings.device_rounds):
        answer = ask(
            store, "hits", keys=settings.hot_keys, samples=settings.hot_samples
        )
        for name in ("alone_ns", "busy_ns", "device_reads"):
            keep(figures, name, answer[name])
    results.note(
        "device-hits",
        f"99th percentile of single reads of {settings.hot_keys} keys in memory: "
        "alone, and while a second thread reads batches of 4,096 cold keys "
        "(so many device reads)",
        "ns",
        medians(figures),
    )
    return {"device-hits": ratios(figures["busy_ns"], figures["alone_ns"])}


def read_ratios(figures: Figures) -> Rounds:
    """
    Give the rounds of the bars on reads that were measured.
    """
    raw = figures["raw reads of 4 KiB"]
    rounds: Rounds = {"device-read-many": ratios(figures["read_many"], raw)}
    for loop in LOOPS:
        if loop in figures:
            rounds[f"device-async-{loop}"] = ratios(figures[loop], raw)
    if "lmdb: keys" in figures:
        rounds["device-read-vs-lmdb"] = ratios(
            figures["read_many: keys"], figures["lmdb: keys"]
        )
    return rounds


# --- skewed reads and updates -------------------------------------------------------


def measure_zipf(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    YCSB B, zipfian, over four times what both stores may have of memory.
    """
    items = settings.zipf_items
    roster = Roster(
        ("pyfaster-tiered", "rocksdict-tiered"),
        results.contenders_missing,
        results.contender_settings,
        whole_share(items, VALUE_SIZE, ZIPF_TIMES),
    )
    shape = Shape(8, VALUE_SIZE)
    processes = roster.start(shape, items, settings.seed, say)
    rounds: Rounds = {}
    try:
        for at, (mode, batch) in enumerate((("batch", 1024), ("single", 1))):
            series = measure(
                Case("B", "zipf", shape, batch, 1),
                processes,
                settings.zipf_operations,
                settings.device_rounds + WARMING,
                at * (settings.device_rounds + WARMING),
            ).series
            kept = {name: one.rounds[WARMING:] for name, one in series.items()}
            results.note(
                f"device-zipf-{mode}",
                f"one operation of YCSB B, zipf 0.99, {items} items of 100 B",
                "ns",
                {name: median(one) for name, one in kept.items()},
            )
            if len(kept) == 2:
                rounds[f"device-zipf-{mode}"] = ratios(
                    kept["rocksdict-tiered"], kept["pyfaster-tiered"]
                )
    finally:
        close_all(processes)
    return rounds


# --- memory -------------------------------------------------------------------------


def measure_bounded(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    The most memory that a process ever had which wrote twenty times its budget.
    """
    rounds: Rounds = {}
    for scheme in SCHEMES:
        start: dict[str, object] = {
            "role": "bounded",
            "scheme": scheme,
            "memory": settings.bounded_memory,
        }
        with Process(f"pyfaster {scheme}", start) as process:
            answer = ask(process, "grow", times=BOUNDED_TIMES)
        names = ("peak", "bound", "written", "used")
        figures: dict[str, object] = {name: real(answer[name]) / 1e6 for name in names}
        results.note(
            f"device-budget-{scheme}",
            "a process that wrote values of 1 KiB into a store with a budget of "
            f"{settings.bounded_memory / 1e6:.0f} MB: its high-water mark, the bound",
            "MB",
            figures,
        )
        rounds[f"device-budget-{scheme}"] = [
            real(answer["peak"]) / real(answer["bound"])
        ]
    return rounds


MEASURES: dict[str, Callable[[BarSettings, BarResults, Say], Rounds]] = {
    "device-loads": measure_loads,
    "device-reads": measure_reads,
    "device-zipf": measure_zipf,
    "device-budget": measure_bounded,
}
