# SPDX-License-Identifier: MIT
"""
Measures the bars on checkpoints and recovery.

Whatever is compared with the disk is compared in the same round with a plain loop over
as many bytes in the same file system, and reads with the very files that were read,
which leave the system's cache before. While one process measures, the others wait.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.bars.checkpointed import SHARES
from benchmarks.bars.device import Figures, ask, keep, medians
from benchmarks.bars.results import BarResults, BarSettings, Rounds, real
from benchmarks.driver import MeasuringError, Process, Say
from benchmarks.figures import ratios
from benchmarks.raw import Raw, RawError
from benchmarks.raw.plain import read_plainly, write_plainly

SCHEMES = ("file", "uring")

#: Single operations, batches, and single operations timed one by one.
MODES = ("single", "batch", "timed")

#: No checkpoints, one behind the other, one each second.
PACES = ("none", "always", "seconds")

#: What part of the items changes before a checkpoint is timed, in thousandths.
ALL, MANY, FEW = 1000, 250, 10

#: What a core is to link, at least, when the log is replayed.
RECORDS_A_CORE = 5e6

#: What a recovery is to reach of the rate of reads, at least.
SHARE_OF_READS = 0.6

#: A recovery reads the log with no more threads than that.
THREADS_MAX = 8


def started(
    settings: BarSettings, scheme: str, role: str, items: int, **words: object
) -> Process:
    """
    Start a process with a durable store.
    """
    start: dict[str, object] = {
        "role": role,
        "scheme": scheme,
        "items": items,
        "seed": settings.seed,
        **words,
    }
    return Process(f"pyfaster {scheme}", start)


def checkpointed(settings: BarSettings, scheme: str) -> Process:
    """
    Start a process whose store takes checkpoints.
    """
    return started(
        settings,
        scheme,
        "checkpointed",
        settings.checkpoint_items,
        batch=settings.checkpoint_batch,
        operations=settings.checkpoint_operations,
        milliseconds=round(settings.checkpoint_seconds * 1000),
    )


# --- while sessions go on -----------------------------------------------------------


def measure_traffic(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    YCSB A by one thread, without checkpoints and while another thread takes them.
    """
    rounds: Rounds = {}
    for scheme in SCHEMES:
        figures: Figures = {}
        for turn in range(settings.device_rounds):
            with checkpointed(settings, scheme) as process:
                work_in_turns(process, turn, figures)
        results.note(
            f"checkpoint-traffic-{scheme}",
            f"operations in a second of YCSB A, zipf 0.99, one thread, "
            f"{settings.checkpoint_items} items of 8 B keys and values: without "
            "checkpoints, with snapshots one behind the other, with one each second; "
            "single ones timed one by one, in ns; checkpoints in ms and MB",
            "operations/s, ns, ms, MB",
            medians(figures),
        )
        rounds.update(traffic_ratios(scheme, figures))
    return rounds


def work_in_turns(process: Process, turn: int, figures: Figures) -> None:
    """
    One round: each mode at each pace, which of them comes first changing by the round.
    """
    at = turn % len(PACES)
    for mode in MODES:
        for pace in (*PACES[at:], *PACES[:at]):
            if mode == "timed" and pace == "seconds":
                continue
            do = "timed" if mode == "timed" else "traffic"
            answer = ask(process, do, mode=mode, checkpoints=pace, turn=turn)
            name = f"{mode}, {pace}"
            if mode != "timed":
                keep(figures, name, answer["rate"])
                used, ready = answer["processor_rate"], answer["ready_rate"]
                keep(figures, f"{name}: in a second of its processor", used)
                keep(figures, f"{name}: without waits for a processor", ready)
            for share in SHARES:
                if share in answer:
                    keep(figures, f"{name}: {share.removesuffix('_ns')}", answer[share])
            keep_checkpoints(figures, name, answer)


def keep_checkpoints(figures: Figures, name: str, answer: dict[str, object]) -> None:
    """
    Keep what the other thread did, and how the log has grown.
    """
    keep(figures, f"{name}: log, MB", answer["log_mb"])
    keep(figures, f"{name}: on the device, MB", answer["flushed_mb"])
    if "taken" in answer:
        keep(figures, f"{name}: checkpoints", answer["taken"])
        seconds = real(answer["checkpoint_seconds"])
        keep(figures, f"{name}: a checkpoint, ms", seconds * 1e3)
        size = real(answer["checkpoint_bytes"])
        keep(figures, f"{name}: a checkpoint, MB", size / 1e6)


def traffic_ratios(scheme: str, figures: Figures) -> Rounds:
    """
    Give the rounds of the bars on a thread that goes on.
    """
    rounds = {
        f"checkpoint-{mode}-{scheme}": ratios(
            figures[f"{mode}, always"], figures[f"{mode}, none"]
        )
        for mode in ("single", "batch")
    }
    pairs = zip(
        figures["timed, always: p999"], figures["timed, none: p999"], strict=True
    )
    rounds[f"checkpoint-p999-{scheme}"] = [(busy - idle) / 1e6 for busy, idle in pairs]
    return rounds


# --- how long one takes -------------------------------------------------------------


def measure_times(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    Each kind of checkpoint beside a plain loop that writes as many bytes.
    """
    rounds: Rounds = {}
    with TemporaryDirectory(prefix="pyfaster-bench-plain-") as folder:
        for scheme in SCHEMES:
            figures: Figures = {}
            time_snapshots(settings, scheme, Path(folder), figures)
            time_fold_overs(settings, scheme, Path(folder), figures)
            results.note(
                f"checkpoint-times-{scheme}",
                f"checkpoints of {settings.checkpoint_items} items while nothing else "
                "goes on: the time, its phases, the bytes, and the time of a loop that "
                "writes as many and syncs them",
                "ms, MB",
                medians(figures),
            )
            for kind in ("snapshot", "incremental", "fold-over"):
                rounds[f"checkpoint-time-{kind}-{scheme}"] = ratios(
                    figures[f"{kind}, ms"], figures[f"{kind}: plain loop, ms"]
                )
            rounds[f"checkpoint-bytes-{scheme}"] = ratios(
                figures["incremental of 1 %: files, MB"], figures["snapshot: files, MB"]
            )
    return rounds


def time_snapshots(
    settings: BarSettings, scheme: str, folder: Path, figures: Figures
) -> None:
    """
    A snapshot, an incremental one after few changes, one after many, in each round.
    """
    with checkpointed(settings, scheme) as process:
        for turn in range(settings.device_rounds):
            for name, kind, permille in (
                ("snapshot", "snapshot", 0),
                ("incremental of 1 %", "incremental", FEW),
                ("incremental", "incremental", MANY),
            ):
                answer = ask(
                    process, "take", kind=kind, permille=permille, turn=3 * turn + 1
                )
                compare(name, answer, folder, figures)


def time_fold_overs(
    settings: BarSettings, scheme: str, folder: Path, figures: Figures
) -> None:
    """
    A fold-over after every item was changed, in each round.
    """
    with checkpointed(settings, scheme) as process:
        for turn in range(settings.device_rounds):
            answer = ask(process, "take", kind="fold-over", permille=ALL, turn=turn)
            compare("fold-over", answer, folder, figures)


def compare(
    name: str, answer: dict[str, object], folder: Path, figures: Figures
) -> None:
    """
    Let the plain loop write what a checkpoint has written, and keep both.
    """
    size = answer["bytes"]
    if not isinstance(size, int):
        raise MeasuringError(f"bytes are a whole number, not {size!r}")
    plain = write_plainly(folder, size)
    keep(figures, f"{name}, ms", real(answer["seconds"]) * 1e3)
    keep(figures, f"{name}: processor, ms", real(answer["processor_seconds"]) * 1e3)
    keep(figures, f"{name}: plain loop, ms", plain.seconds * 1e3)
    keep(figures, f"{name}: plain loop without the sync, ms", plain.write_seconds * 1e3)
    keep(figures, f"{name}: written, MB", size / 1e6)
    keep(figures, f"{name}: files, MB", real(answer["file_bytes"]) / 1e6)
    keep_phases(figures, name, answer)


def keep_phases(figures: Figures, name: str, answer: dict[str, object]) -> None:
    """
    Keep how long each phase took, and what is not in any of them.
    """
    phases = answer["phases"]
    if not isinstance(phases, dict):
        raise MeasuringError(f"phases are an object, not {phases!r}")
    for phase, took in phases.items():
        keep(figures, f"{name}: {phase}, ms", took)
    left = real(answer["seconds"]) * 1e3 - sum(map(real, phases.values()))
    keep(figures, f"{name}: before and after, ms", left)


# --- recovery -----------------------------------------------------------------------


@contextmanager
def reads_of(folder: Path) -> Iterator[Callable[[Any], float]]:
    """
    Give what measures how fast files can be read from beginning to end.

    The faster of a plain loop and, where the system has it, of large reads in flight
    past the system's cache: nothing is easier to reach than a loop that waits.
    """
    raw: Raw | None = None
    with suppress(RawError):
        raw = Raw(folder)

    def rate(parts: Any) -> float:
        best = read_plainly(parts)
        if raw is not None:
            with suppress(RawError):
                best = max(best, raw.scan(parts))
        return best

    yield rate


def measure_recovery(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    Recovery with a copy of the index and without, beside reads of the same files.
    """
    rounds: Rounds = {}
    with TemporaryDirectory(prefix="pyfaster-bench-raw-") as folder:
        with reads_of(Path(folder)) as rate:
            for scheme in SCHEMES:
                for kind in ("snapshot", "fold-over"):
                    figures: Figures = {}
                    items = settings.checkpoint_items
                    rounds.update(recover(settings, scheme, kind, items, rate, figures))
                    results.note(
                        f"checkpoint-recovery-{kind}-{scheme}",
                        f"opening a store of {items} items from a {kind}, with its "
                        "copy of the index and without; reads of the same files from "
                        "beginning to end",
                        "ms, MB/s, records/s",
                        medians(figures),
                    )
    return rounds


def recover(
    settings: BarSettings,
    scheme: str,
    kind: str,
    items: int,
    rate: Callable[[Any], float],
    figures: Figures,
) -> Rounds:
    """
    Rounds with the copy of the index, then rounds without it.
    """
    with started(settings, scheme, "recovered", items, kind=kind) as process:
        said = ask(process, "parts")
        keep(figures, "checkpoint, ms", real(said["seconds"]) * 1e3)
        keep(figures, "checkpoint: files, MB", real(said["file_bytes"]) / 1e6)
        shares: list[float] = []
        for _ in range(settings.device_rounds):
            answer, reads = one_recovery(process, rate, "with index", figures)
            shares.append(real(answer["bytes"]) / real(answer["seconds"]) / reads)
        ask(process, "forget")
        replays: list[float] = []
        for _ in range(settings.device_rounds):
            answer, reads = one_recovery(process, rate, "without", figures)
            reached = items / real(answer["seconds"])
            wanted = replay_bar(reads, real(answer["bytes"]) / items)
            keep(figures, "without: records/s", reached)
            keep(figures, "without: records/s that the bar asks for", wanted)
            replays.append(reached / wanted)
    return {
        f"checkpoint-recovery-{kind}-{scheme}": shares,
        f"checkpoint-replay-{kind}-{scheme}": replays,
    }


def one_recovery(
    process: Process, rate: Callable[[Any], float], name: str, figures: Figures
) -> tuple[dict[str, object], float]:
    """
    Read the files, then recover from them; both find nothing in the system's cache.
    """
    parts = ask(process, "parts")["parts"]
    ask(process, "drop")
    reads = rate(parts)
    ask(process, "drop")
    answer = ask(process, "recover")
    if answer["with_index"] is not (name == "with index"):
        raise MeasuringError(f"recovered {name}: {answer!r}")
    keep(figures, f"{name}: reads, MB/s", reads / 1e6)
    keep(figures, f"{name}, ms", real(answer["seconds"]) * 1e3)
    keep(figures, f"{name}: processor, ms", real(answer["processor_seconds"]) * 1e3)
    keep(figures, f"{name}: read, MB", real(answer["bytes"]) / 1e6)
    keep_phases(figures, name, answer)
    return answer, reads


def replay_bar(reads: float, record: float) -> float:
    """
    Give how many records are to be linked in a second: what all cores should, or
    what the disk lets them.

    Args:
        reads: Bytes in a second.

        record: Bytes that are read for one record.
    """
    cores = min(os.cpu_count() or 1, THREADS_MAX)
    return min(RECORDS_A_CORE * cores, SHARE_OF_READS * reads / record)


def measure_original(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    A store as large as that of the published figures.
    """
    items = settings.original_items
    with TemporaryDirectory(prefix="pyfaster-bench-raw-") as folder:
        with reads_of(Path(folder)) as rate:
            for kind in ("snapshot", "fold-over"):
                figures: Figures = {}
                scheme = SCHEMES[-1]
                recover(settings, scheme, kind, items, rate, figures)
                results.note(
                    f"checkpoint-original-{kind}",
                    f"{items} items of 8 B keys and values on {scheme}: a full {kind}, "
                    "and recovery. The C++ original is published with 0.8 s for a "
                    "checkpoint of 16 M keys (366 MiB log, 512 MiB index) and 0.9 to "
                    "1.1 s for recovery, on another machine",
                    "ms, MB, records/s",
                    medians(figures),
                )
    return {}


MEASURES: dict[str, Callable[[BarSettings, BarResults, Say], Rounds]] = {
    "checkpoint-traffic": measure_traffic,
    "checkpoint-times": measure_times,
    "checkpoint-recovery": measure_recovery,
    "checkpoint-original": measure_original,
}
