# SPDX-License-Identifier: MIT
"""
Count words in a store whose process is killed in the middle, and get all counts right.

A worker counts in named sessions and takes checkpoints meanwhile. Once half of the
words are safe it is killed by SIGKILL. This process then opens the store, resumes each
session at its commit point, counts the words behind it, and compares every count with a
`collections.Counter`'s: no word is lost, and none is counted twice.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import IO, Any

from pyfaster._demo._counting import (
    count_on,
    in_threads,
    open_counts,
    open_sessions,
    session_name,
)
from pyfaster._demo._wordcount import Difference, Progress, compare
from pyfaster._registry import registry
from pyfaster._resolve import device_for
from pyfaster.errors import FasterError, PluginMissingError, pip_line

NAME = "after a kill"
WORKER = "pyfaster._demo._worker"
#: The worker is killed when this part of all words is safe.
SAFE = 0.5


@dataclass(frozen=True, slots=True)
class Resumed:
    """
    One session across the crash.

    Attributes:
        name: Its name.

        words: How many it had to count.

        promised: How many the last checkpoint that the worker told of had.

        committed: How many had survived, and it went on behind.
    """

    name: str
    words: int
    promised: int
    committed: int


@dataclass(frozen=True, slots=True)
class Survival:
    """
    A count that a kill interrupted.

    Attributes:
        checkpoints: How many the worker told of before it was killed.

        token: The checkpoint that was recovered.

        sessions: What became of each session.

        recovery_seconds: From opening the store to resuming sessions.

        differences: Counts that are wrong.
    """

    checkpoints: int
    token: str
    sessions: tuple[Resumed, ...]
    recovery_seconds: float
    differences: tuple[Difference, ...]

    @property
    def correct(self) -> bool:
        """
        Whether every count is right, and no session lost what was promised.
        """
        kept = all(one.committed >= one.promised for one in self.sessions)
        return kept and not self.differences


def what_is_missing() -> str | None:
    """
    Say what has to be installed for a store that survives its process; None if nothing.
    """
    if registry.checkpoint_provider() is None:
        return f"There is no plugin for checkpoints: {pip_line('checkpoint')}"
    try:
        device_for("file", registry=registry)
    except PluginMissingError as error:
        return str(error)
    return None


def survive(
    directory: Path,
    shares: Sequence[Sequence[str]],
    batch: int,
    expected: Counter[str],
    progress: Progress,
) -> Survival:
    """
    Let a worker count, kill it, and go on.

    Args:
        directory: Where the worker finds the words.

        shares: The words of each session.

        batch: How many words go into one call.

        expected: What has to come out.

        progress: As `wordcount` has it.
    """
    with tempfile.TemporaryDirectory(prefix="pyfaster-demo-") as made:
        store_in = Path(made) / "counts"
        checkpoints, promised = kill_in_the_middle(
            store_in, directory, shares, batch, progress
        )
        return go_on(store_in, shares, batch, expected, progress, checkpoints, promised)


def kill_in_the_middle(
    store_in: Path,
    directory: Path,
    shares: Sequence[Sequence[str]],
    batch: int,
    progress: Progress,
) -> tuple[int, dict[str, int]]:
    """
    Start a worker, and kill it when half of the words are safe.

    Returns:
        How many checkpoints it told of, and the commit points of the last.
    """
    total = sum(map(len, shares))
    taken, points = 0, dict[str, int]()
    with worker(store_in, directory, len(shares), batch) as lines:
        for line in lines:
            if "sessions" not in line:
                continue
            taken, points = taken + 1, line["sessions"]
            safe = sum(points.values())
            progress("until the kill", safe, total)
            if safe >= int(total * SAFE):
                return taken, points
    raise FasterError("the worker of the demonstration ended before it was killed")


@contextmanager
def worker(
    store_in: Path, directory: Path, threads: int, batch: int
) -> Iterator[Iterator[dict[str, Any]]]:
    """
    A worker's lines; it is killed at the end.
    """
    words = map(str, (store_in, directory, threads, batch))
    command = [sys.executable, "-m", WORKER, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield read_lines(process.stdout)
        finally:
            process.kill()


def read_lines(file: IO[str]) -> Iterator[dict[str, Any]]:
    """
    What a worker tells.
    """
    for line in file:
        yield json.loads(line)


def go_on(
    store_in: Path,
    shares: Sequence[Sequence[str]],
    batch: int,
    expected: Counter[str],
    progress: Progress,
    checkpoints: int,
    promised: dict[str, int],
) -> Survival:
    """
    Open what the worker left, count the words that are missing, and compare.
    """
    total = sum(map(len, shares))
    begin = perf_counter()
    with open_counts(store_in) as store:
        sessions = open_sessions(store, len(shares))
        seconds = perf_counter() - begin
        points = [session.committed_serial for session in sessions]
        done = list(points)

        def work(number: int) -> None:
            def told(serial: int) -> None:
                done[number] = serial
                progress(NAME, sum(done), total)

            count_on(sessions[number], shares[number], batch, told)

        in_threads(work, len(sessions))
        names = [session_name(number) for number in range(len(shares))]
        return Survival(
            checkpoints=checkpoints,
            token=store.recovery.token if store.recovery is not None else "",
            sessions=tuple(
                Resumed(name, len(words), promised.get(name, 0), point)
                for name, words, point in zip(names, shares, points, strict=True)
            ),
            recovery_seconds=seconds,
            differences=compare(NAME, expected, dict(store.items())),
        )
