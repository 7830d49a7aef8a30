# SPDX-License-Identifier: MIT
"""
Measures the bars on the durable log.

Whatever is compared with the disk is compared in the same round with plain loops over
as many bytes in the same file system, and reads with the very files that were read,
which leave the system's cache before. While one process measures, the others wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.bars.checkpoint import reads_of
from benchmarks.bars.device import Figures, ask, keep, medians
from benchmarks.bars.log_spec import (
    ENOUGH,
    ENTRIES_ENOUGH,
    PEERS,
    SCHEMES,
    TASKS,
    TIMES_ONE,
    TIMES_SQLITE,
)
from benchmarks.bars.results import BarResults, BarSettings, Rounds, real
from benchmarks.driver import ContenderMissingError, MeasuringError, Process, Say
from benchmarks.figures import ratios
from benchmarks.raw import Raw, RawError, Written
from benchmarks.raw.plain import write_plainly

FORMS = ("buffer", "list")

#: The device whose default is to go past the system's cache.
PAST_THE_CACHE = "uring"

#: Who appends durably.
ALONE = ("bare", "thread", "task")
TOGETHER = ("threads", "tasks")

#: Turns of a round in which logs append groups.
TURNS = 10


def logged(scheme: str) -> Process:
    """
    Start a process with a log.
    """
    return Process(f"log on {scheme}", {"role": "logged", "scheme": scheme})


# --- appending ----------------------------------------------------------------------


@contextmanager
def writes_of() -> Iterator[Callable[[str, int, Figures], float]]:
    """
    Give what measures how fast so many bytes can be written and synced, for a device.

    A device that goes through the system's cache is held to a plain loop, which does,
    too; one that goes past it to the faster of that and of large writes in flight past
    the cache, where the system has such.
    """
    with TemporaryDirectory(prefix="pyfaster-bench-raw-") as name:
        folder = Path(name)
        raw: Raw | None = None
        with suppress(RawError):
            raw = Raw(folder)

        def rate(scheme: str, size: int, figures: Figures) -> float:
            plain = size / write_plainly(folder, size).seconds
            keep(figures, "plain loop, MB/s", plain / 1e6)
            past = 0.0
            if raw is not None:
                with suppress(RawError):
                    past = synced_rate(raw.write(folder, size))
                    keep(figures, "writes past the cache, MB/s", past / 1e6)
            return max(plain, past) if scheme == PAST_THE_CACHE else plain

        yield rate


def synced_rate(written: Written) -> float:
    """
    Give bytes in a second until they were durable.
    """
    size = written.rate * written.seconds
    return size / (written.seconds + written.sync_seconds)


def measure_append(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    append_many beside loops that write as much, append beside list.append.
    """
    rounds: Rounds = {}
    with writes_of() as rate:
        for scheme in SCHEMES:
            figures: Figures = {}
            with logged(scheme) as process:
                for _ in range(settings.device_rounds):
                    for form in FORMS:
                        share = append_beside(
                            process, form, settings, partial(rate, scheme), figures
                        )
                        name = f"log-append-{form}-{scheme}"
                        rounds.setdefault(name, []).append(share)
                for _ in range(settings.rounds):
                    times = append_singly(process, settings, figures)
                    name = f"log-append-single-{scheme}"
                    rounds.setdefault(name, []).append(times)
            results.note(
                f"log-append-{scheme}",
                f"{settings.log_entries} entries of 100 B, append_many and one commit: "
                "bytes of the log, and of payloads alone; the loops that write as many "
                f"bytes; then {settings.log_singles} entries one by one with a commit "
                "every 10 ms, and the same into a list",
                "MB/s, ns, s",
                medians(figures),
            )
    return rounds


def append_beside(
    process: Process,
    form: str,
    settings: BarSettings,
    rate: Callable[[int, Figures], float],
    figures: Figures,
) -> float:
    """
    One round of append_many, and of loops that write as many bytes.
    """
    answer = ask(process, "append", form=form, count=settings.log_entries)
    seconds = real(answer["seconds"])
    reached = real(answer["log_bytes"]) / seconds
    keep(figures, f"{form}, MB/s", reached / 1e6)
    payload = real(answer["payload_bytes"]) / seconds
    keep(figures, f"{form}: payloads, MB/s", payload / 1e6)
    keep(figures, f"{form}: the commit, s", answer["commit_seconds"])
    keep(figures, f"{form}: processor, s", answer["processor_seconds"])
    return reached / rate(int(real(answer["log_bytes"])), figures)


def append_singly(process: Process, settings: BarSettings, figures: Figures) -> float:
    """
    One round of append one by one, and of a list's.
    """
    count = settings.log_singles
    answer = ask(process, "singles", count=count)
    keep(figures, "append, ns", real(answer["seconds"]) / count * 1e9)
    keep(figures, "list.append, ns", real(answer["list_seconds"]) / count * 1e9)
    keep(figures, "append: commits meanwhile", answer["commits"])
    keep(figures, "append: waits for room", answer["room_waits"])
    return real(answer["seconds"]) / real(answer["list_seconds"])


# --- durable appends ----------------------------------------------------------------


def measure_commit(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    One task, one thread, many of them; beside a bare loop that writes and syncs.
    """
    rounds: Rounds = {}
    for scheme in SCHEMES:
        start: dict[str, object] = {
            "role": "log-commits",
            "scheme": scheme,
            "tasks": TASKS,
            "milliseconds": round(settings.log_seconds * 1000),
        }
        figures: Figures = {}
        with Process(f"log on {scheme}", start) as process:
            for _ in range(settings.rounds):
                commit_alone(process, settings, figures)
                commit_together(process, settings, figures)
        results.note(
            f"log-commit-{scheme}",
            "durable appends of 100 B entries, one behind the other by one thread or "
            f"task, and by {TASKS} of them; a bare loop that writes and syncs as many "
            "bytes as one of them does",
            "us, appends/s",
            medians(figures),
        )
        rounds.update(commit_ratios(scheme, figures))
    return rounds


def commit_alone(process: Process, settings: BarSettings, figures: Figures) -> None:
    """
    One round of the bare loop, of one thread and of one task.
    """
    answer = ask(process, "alone", count=settings.log_commits)
    keep(figures, "bytes of a durable append", answer["sector"])
    for who in ALONE:
        for name, figure in figures_in(answer, who).items():
            keep(figures, f"{who}: {name}", figure)


def figures_in(answer: dict[str, object], name: str) -> dict[str, object]:
    """
    Take figures out of an answer.
    """
    found = answer[name]
    if not isinstance(found, dict):
        raise MeasuringError(f"figures are an object, not {found!r}")
    return found


def commit_together(process: Process, settings: BarSettings, figures: Figures) -> None:
    """
    One round of many threads, and of many tasks.
    """
    for who in TOGETHER:
        answer = ask(process, who, count=settings.log_many_commits)
        keep(figures, f"{who}: appends/s", answer["rate"])
        keep(figures, f"{who}: appends for a sync", answer["for_a_sync"])


def commit_ratios(scheme: str, figures: Figures) -> Rounds:
    """
    Give the rounds of the bars on durable appends.
    """
    rounds: Rounds = {}
    for one, many in zip(ALONE[1:], TOGETHER, strict=True):
        rounds[f"log-commit-{one}-{scheme}"] = ratios(
            figures[f"{one}: p50, us"], figures["bare: p50, us"]
        )
        rounds[f"log-commit-{many}-{scheme}"] = [
            together / min(TIMES_ONE * alone, ENOUGH)
            for together, alone in zip(
                figures[f"{many}: appends/s"], figures[f"{one}: appends/s"], strict=True
            )
        ]
    return rounds


# --- scanning -----------------------------------------------------------------------


def measure_scan(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    Scans of files that are in no cache, beside reads of them, and beside sqlite3.
    """
    rounds: Rounds = {}
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="pyfaster-bench-raw-"))
        rate = stack.enter_context(reads_of(Path(folder)))
        rows = start_peer("sqlite3", settings.log_entries, stack)
        for scheme in SCHEMES:
            figures: Figures = {}
            with logged(scheme) as process:
                ask(process, "load", count=settings.log_entries)
                for _ in range(settings.device_rounds):
                    one_scan(process, rate, figures)
                    keep(figures, "sqlite3, entries/s", ask(rows, "scan")["rate"])
            results.note(
                f"log-scan-{scheme}",
                f"reading {settings.log_entries} entries of 100 B from beginning to "
                "end: in batches and one by one, with nothing in the system's cache; "
                "reads of the same files; a SELECT of the same rows",
                "MB/s, entries/s, s",
                medians(figures),
            )
            rounds[f"log-scan-batches-{scheme}"] = ratios(
                figures["batches, MB/s"], figures["reads, MB/s"]
            )
            rounds[f"log-scan-entries-{scheme}"] = [
                reached / min(ENTRIES_ENOUGH, TIMES_SQLITE * theirs)
                for reached, theirs in zip(
                    figures["one by one, entries/s"],
                    figures["sqlite3, entries/s"],
                    strict=True,
                )
            ]
    return rounds


def one_scan(process: Process, rate: Callable[[Any], float], figures: Figures) -> None:
    """
    One round of reads and of both scans; each finds nothing in the system's cache.
    """
    parts = ask(process, "parts")["parts"]
    ask(process, "drop")
    keep(figures, "reads, MB/s", rate(parts) / 1e6)
    for do, name in (("batches", "batches"), ("entries", "one by one")):
        ask(process, "drop")
        answer = ask(process, do)
        seconds = real(answer["seconds"])
        keep(figures, f"{name}, MB/s", real(answer["log_bytes"]) / seconds / 1e6)
        keep(figures, f"{name}, entries/s", real(answer["entries"]) / seconds)
        keep(figures, f"{name}: processor, s", answer["processor_seconds"])


# --- beside others ------------------------------------------------------------------


def start_peer(name: str, count: int, stack: ExitStack) -> Process:
    """
    Start a process with a log, and load what is scanned.
    """
    start: dict[str, object] = {"role": "log-peer", "log": name}
    process = stack.enter_context(Process(name, start))
    ask(process, "load", count=count)
    return process


def measure_peers(settings: BarSettings, results: BarResults, say: Say) -> Rounds:
    """
    Durable groups, and scans, of both devices and of the peers.
    """
    figures: Figures = {}
    with ExitStack() as stack:
        processes: dict[str, Process] = {}
        for name in (*SCHEMES, *PEERS):
            process = peer_or_none(name, settings, results, stack)
            if process is not None:
                processes[name] = process
        for _ in range(settings.rounds):
            for size, what in ((TASKS, "append"), (1, "append one")):
                append_in_turns(processes, size, what, settings, figures)
            for name, process in processes.items():
                keep(figures, f"{name}: scan", ask(process, "scan")["rate"])
    results.note(
        "log-peers",
        f"entries of 100 B in a second: appended in groups of {TASKS}, each group "
        "durable (append), or each entry durable (append one), by one thread; read "
        f"one by one out of {settings.log_peer_entries}, where each put costs a sync "
        "a hundredth of it, with nothing in the system's cache (scan)",
        "entries/s",
        medians(figures),
    )
    return peer_ratios(figures)


def append_in_turns(
    processes: dict[str, Process],
    size: int,
    what: str,
    settings: BarSettings,
    figures: Figures,
) -> None:
    """
    One round of durable groups: all take turns, so that a slow moment of the disk
    meets all of them.
    """
    entries = dict.fromkeys(processes, 0.0)
    seconds = dict.fromkeys(processes, 0.0)
    words = {
        "size": size,
        "count": max(1, settings.log_groups // TURNS),
        "milliseconds": round(settings.log_seconds * 1000 / TURNS),
    }
    for _ in range(TURNS):
        for name, process in processes.items():
            answer = ask(process, "groups", **words)
            entries[name] += real(answer["entries"])
            seconds[name] += real(answer["seconds"])
    for name in processes:
        keep(figures, f"{name}: {what}", entries[name] / seconds[name])


def peer_or_none(
    name: str, settings: BarSettings, results: BarResults, stack: ExitStack
) -> Process | None:
    """
    Start a log's process, or say why it cannot be had; ours must be there.
    """
    label = f"log on {name}" if name in SCHEMES else f"{name} as a log"
    try:
        process = start_peer(name, settings.log_peer_entries, stack)
    except ContenderMissingError as reason:
        if name in SCHEMES:
            raise
        results.contenders_missing[label] = str(reason)
        return None
    results.contender_settings[label] = str(ask(process, "settings")["settings"])
    return process


def peer_ratios(figures: Figures) -> Rounds:
    """
    Give the rounds of the bars beside peers that were measured.
    """
    return {
        f"log-peers-{work}-{scheme}-vs-{peer}": ratios(
            figures[f"{scheme}: {work}"], figures[f"{peer}: {work}"]
        )
        for work in ("append", "scan")
        for scheme in SCHEMES
        for peer in PEERS
        if f"{peer}: {work}" in figures
    }


MEASURES: dict[str, Callable[[BarSettings, BarResults, Say], Rounds]] = {
    "log-append": measure_append,
    "log-commit": measure_commit,
    "log-scan": measure_scan,
    "log-peers": measure_peers,
}
