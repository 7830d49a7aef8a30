# SPDX-License-Identifier: MIT
"""
Measures what the bars need, group by group, one large process at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.bars import checkpoint, device, log
from benchmarks.bars.results import BarResults, BarSettings, Rounds, real
from benchmarks.bars.spec import BARS, GROUPS, result_of
from benchmarks.cases import Case, Shape
from benchmarks.driver import (
    ContenderMissingError,
    MeasuringError,
    Process,
    Say,
    close_all,
    measure,
)
from benchmarks.figures import Series, median, ratios


def run_bars(wanted: Sequence[str], settings: BarSettings, say: Say) -> BarResults:
    """
    Measure the groups that the wanted bars need.

    Args:
        wanted: Names of bars or groups.
    """
    results = BarResults()
    measures: dict[str, Callable[[BarSettings, BarResults, Say], Rounds]] = {
        "singles": measure_singles,
        "counts": measure_counts,
        "fixed": measure_fixed,
        "threads": measure_threads,
        "memory": measure_memory,
        "scale": measure_scale,
        "latency": measure_latency,
        **device.MEASURES,
        **checkpoint.MEASURES,
        **log.MEASURES,
    }
    for group in GROUPS:
        chosen = [
            bar
            for bar in BARS
            if bar.group == group and (bar.name in wanted or group in wanted)
        ]
        if not chosen and group not in wanted:
            continue
        say(f"bars: {group}")
        try:
            rounds = measures[group](settings, results, say)
        except ContenderMissingError as reason:
            results.missing.update({bar.name: str(reason) for bar in chosen})
            continue
        for bar in chosen:
            if bar.name not in rounds:
                results.missing.setdefault(bar.name, "its contender is not installed")
                continue
            results.bars.append(
                result_of(bar, rounds[bar.name], judged=settings.judged)
            )
    return results


def measure_singles(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    Single reads, then single inserts, of 16-byte keys and 100-byte values.
    """
    roster = results.roster("pyfaster", "pyfaster-varlen", "dict", "lmdb", "rocksdict")
    shape = Shape(16, 100)
    processes = roster.start(shape, settings.items, settings.seed, say)
    try:
        reads = measure(
            Case("C", "uniform", shape, 1, 1),
            processes,
            settings.operations,
            settings.rounds,
            0,
        ).series
        inserts = measure(
            Case("new", "uniform", shape, 1, 1),
            processes,
            max(1, settings.operations // 5),
            settings.rounds,
            settings.rounds,
        ).series
    finally:
        close_all(processes)
    note_series(results, "single-reads", "one session.read and its like", reads)
    note_series(results, "single-inserts", "one upsert of a new item", inserts)
    rounds: Rounds = {}
    for ours, suffix in (("pyfaster", ""), ("pyfaster-varlen", "-varlen")):
        compare(rounds, f"read-vs-dict{suffix}", reads, ours, "dict")
        for peer in ("lmdb", "rocksdict"):
            compare(rounds, f"read-vs-{peer}{suffix}", reads, peer, ours)
        compare(rounds, f"upsert-vs-lmdb{suffix}", inserts, "lmdb", ours)
    return rounds


def measure_counts(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    Single read-modify-writes of integers.
    """
    roster = results.roster("pyfaster", "dict", "lmdb")
    shape = Shape(8, 8)
    processes = roster.start(shape, settings.items, settings.seed, say)
    try:
        bumps = measure(
            Case("rmw", "uniform", shape, 1, 1),
            processes,
            settings.operations,
            settings.rounds,
            0,
        ).series
    finally:
        close_all(processes)
    note_series(results, "single-rmws", "one read-modify-write of an integer", bumps)
    rounds: Rounds = {}
    compare(rounds, "rmw-vs-lmdb", bumps, "lmdb", "pyfaster")
    return rounds


def note_series(
    results: BarResults, name: str, what: str, series: dict[str, Series]
) -> None:
    """
    Keep the medians that ratios were made of.
    """
    figures: dict[str, object] = {
        contender: rounds.median for contender, rounds in series.items()
    }
    results.note(name, what, "ns", figures)


def compare(
    rounds: Rounds, name: str, series: dict[str, Series], above: str, below: str
) -> None:
    """
    Keep the ratio of two contenders' times, if both were measured.
    """
    if above in series and below in series:
        rounds[name] = ratios(series[above].rounds, series[below].rounds)


def fixed_process(settings: BarSettings, items: int, label: str) -> Process:
    """
    Start a process with a store of 8-byte keys and values.
    """
    start: dict[str, object] = {
        "role": "fixed",
        "items": items,
        "batch": settings.batch,
        "seed": settings.seed,
    }
    return started(label, start)


def started(label: str, start: dict[str, object]) -> Process:
    """
    Start a process that no bar can do without.
    """
    try:
        return Process(label, start)
    except ContenderMissingError as reason:
        raise MeasuringError(f"{label} cannot be measured: {reason}") from reason


def measure_fixed(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    Batches beside a numpy gather and a loop of single reads, in one process.
    """
    names = ("gather_ns", "read_many_ns", "single_ns", "rmw_many_ns")
    figures: dict[str, list[float]] = {name: [] for name in names}
    with fixed_process(settings, settings.fixed_items, "pyfaster") as process:
        for _ in range(settings.rounds):
            answer = process.ask(
                {
                    "do": "round",
                    "calls": settings.calls,
                    "singles": settings.operations,
                }
            )
            for name in names:
                figures[name].append(real(answer[name]))
    results.note(
        "batches",
        f"uniform keys over {settings.fixed_items} items, {settings.batch} to a batch",
        "ns",
        {name.removesuffix("_ns"): median(rounds) for name, rounds in figures.items()},
    )
    reads, bumps = figures["read_many_ns"], figures["rmw_many_ns"]
    rounds: Rounds = {
        "read-many-vs-gather": ratios(reads, figures["gather_ns"]),
        "read-many-vs-single": ratios(figures["single_ns"], reads),
        "rmw-many-vs-read-many": ratios(bumps, reads),
    }
    for kind, series in (("read", reads), ("rmw", bumps)):
        for label, millions in (("low", 1.7), ("high", 3.0)):
            rounds[f"{kind}-many-vs-{label}"] = [1e3 / one / millions for one in series]
    return rounds


def measure_threads(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    One thread, two threads, and for what the machine can do at all: two processes.
    """
    kinds = ("read", "rmw")
    rounds: Rounds = {f"two-threads-{kind}-many": [] for kind in kinds}
    ceilings: dict[str, list[float]] = {kind: [] for kind in kinds}
    items = settings.fixed_items
    with (
        fixed_process(settings, items, "first") as first,
        fixed_process(settings, items, "second") as second,
    ):
        for _ in range(settings.rounds):
            for kind in kinds:
                alone = go(settings, kind, 1, first)
                together = go(settings, kind, 2, first)
                rounds[f"two-threads-{kind}-many"].append(2 * alone[0] / together[0])
                apart = go(settings, kind, 1, first, second)
                ceilings[kind].append(sum(alone[0] / spent for spent in apart))
    results.note(
        "two-processes",
        "two independent processes with a store each: speed relative to one; what "
        "this machine's memory and cores allow two threads to reach",
        "x speed",
        {f"{kind}_many": median(ceilings[kind]) for kind in kinds},
    )
    return rounds


def go(
    settings: BarSettings, kind: str, threads: int, *processes: Process
) -> list[float]:
    """
    Let processes do batches at the same time; give each one's nanoseconds.
    """
    for process in processes:
        process.ask(
            {
                "do": "prepare",
                "kind": kind,
                "calls": settings.calls * 2,
                "threads": threads,
            }
        )
    for process in processes:
        process.send({"do": "go"})
    return [real(process.receive()["nanoseconds"]) for process in processes]


def measure_memory(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    Memory of an item while a store grows, and for orientation that of a dict.
    """
    rounds: Rounds = {}
    for contender in ("pyfaster", "dict"):
        start: dict[str, object] = {
            "role": "memory",
            "contender": contender,
            "chunk": settings.memory_chunk,
        }
        with started(contender, start) as process:
            samples = process.ask({"do": "grow", "items": settings.memory_items})
        best, worst, curve = per_item(samples["samples"], settings.memory_from)
        figures: dict[str, object] = {"best": best, "worst": worst, "curve": curve}
        results.note(
            f"memory-{contender}",
            f"{contender}: resident bytes for each item of 8 B + 8 B while "
            f"{settings.memory_items} are inserted, {settings.memory_chunk} at a time; "
            "the curve is [items, bytes an item, peak bytes an item]",
            "B",
            figures,
        )
        if contender == "pyfaster":
            rounds["memory-best"] = [best]
            rounds["memory-worst"] = [worst]
    return rounds


def per_item(
    samples: object, judged_from: int
) -> tuple[float, float, list[list[float]]]:
    """
    Turn samples of [items, bytes, peak bytes] into bytes for each item.

    Returns:
        The best sample, the worst peak, and all samples, the first two among those
        with at least `judged_from` items.
    """
    if not isinstance(samples, list):
        raise MeasuringError(f"samples are a list, not {samples!r}")
    curve = [
        [float(items), held / items, max(held, top) / items]
        for items, held, top in samples
    ]
    judged = [point for point in curve if point[0] >= judged_from]
    best = min(point[1] for point in judged)
    worst = max(point[2] for point in judged)
    return best, worst, curve


def measure_scale(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    Batch times at few and at many items, in one store that grows in between.
    """
    calls = max(5, settings.calls)
    with fixed_process(settings, settings.small, "pyfaster") as process:
        few = batch_times(process, calls)
        process.ask({"do": "load", "items": settings.large})
        many = batch_times(process, calls)
    results.note(
        "batch-times",
        f"a batch read of {settings.batch} keys, median",
        "ns",
        {str(settings.small): median(few), str(settings.large): median(many)},
    )
    base = median(few)
    return {"batch-large-vs-small": [one / base for one in many]}


def batch_times(process: Process, calls: int) -> list[float]:
    """
    Time batch reads, one by one.
    """
    spent = process.ask({"do": "batches", "calls": calls})["batches_ns"]
    if not isinstance(spent, list):
        raise MeasuringError(f"times are a list, not {spent!r}")
    return [real(one) for one in spent]


def measure_latency(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    Times of single inserts while a store grows.
    """
    for contender in ("nothing", "dict", "pyfaster"):
        start: dict[str, object] = {"role": "latency", "contender": contender}
        with started(contender, start) as process:
            answer = process.ask({"do": "grow", "items": settings.latency_items})
        figures = answer["figures"]
        if not isinstance(figures, dict):
            raise MeasuringError(f"figures are an object, not {figures!r}")
        results.note(
            f"latency-{contender}",
            f"{contender}: single inserts while growing from 0 to "
            f"{settings.latency_items} items",
            "ns",
            figures,
        )
    return {}
