# SPDX-License-Identifier: MIT
"""
Copy a tree of files line by line through a durable log, whose producer is killed again
and again.

One process appends the lines and commits now and then; another one follows the log and
writes what it reads into a second tree. The producer is killed by SIGKILL at moments
that nobody plans; the next one asks the log how much it holds, and goes on behind that.
The follower goes on through all of it, and ends by itself when the log is completed. In
the end the two trees are compared byte by byte: nothing that was acknowledged is lost,
and nothing is there twice.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import IO, Any

from pyfaster._demo._wordcount import python_files, standard_library
from pyfaster.errors import FasterError, PluginMissingError, pip_line

WORKER = "pyfaster._demo._copying_worker"
#: What an entry begins with: a file's name follows, or a part of its contents.
NAME, LINE = b"N", b"L"
#: Longer lines are cut into several entries.
LINE_MAX = 1 << 16
#: A life of a producer gets so many entries beyond the moment at which it is killed.
BEYOND = 0.5
#: How long the follower may take behind the last line, in seconds.
PATIENCE = 60.0
DIFFERENCES_MAX = 100

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Life:
    """
    One producer, from its start to its end.

    Attributes:
        found: Entries that the log held when it was opened.

        cut: Entries beyond the last commit that were whole, and were cut off.

        acknowledged: Entries that commits had covered when it was last heard of.

        killed: Whether it was killed; the last one is not.
    """

    found: int
    cut: int
    acknowledged: int
    killed: bool


@dataclass(frozen=True, slots=True)
class Copying:
    """
    What was copied, and what became of it.

    Attributes:
        entries: Lines and names of files.

        lives: The producers, in order.

        followed: Entries that the follower has read.

        differences: What is wrong; a sentence for each, at most 100.

    Units: bytes for `bytes`, seconds for `seconds`.
    """

    directory: str
    seed: int
    files: int
    entries: int
    bytes: int
    lives: tuple[Life, ...]
    followed: int
    seconds: float
    differences: tuple[str, ...]

    @property
    def kills(self) -> int:
        """
        How many producers were killed.
        """
        return sum(life.killed for life in self.lives)

    @property
    def correct(self) -> bool:
        """
        Whether nothing was lost, nothing is there twice, and the follower read it all.
        """
        return not self.differences


def log_module() -> Any:
    """
    Give the module of the durable log.

    Raises:
        PluginMissingError: It is not installed; the message says how to get it.
    """
    try:
        return import_module("pyfaster_fasterlog")
    except ModuleNotFoundError as error:
        if error.name != "pyfaster_fasterlog":
            raise
        raise PluginMissingError(
            f"There is no durable log: {pip_line('log')}"
        ) from error


def files_below(directory: Path) -> list[Path]:
    """
    All files below a directory, sorted; of the standard library its modules.
    """
    if directory == standard_library():
        return python_files(directory)
    found = directory.rglob("*")
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


def entries_of(files: list[Path], directory: Path) -> Iterator[bytes]:
    """
    Give what is appended: the name of each file and then its lines.
    """
    for path in files:
        yield NAME + str(path.relative_to(directory)).encode()
        for line in path.read_bytes().splitlines(keepends=True):
            for start in range(0, len(line), LINE_MAX):
                yield LINE + line[start : start + LINE_MAX]


def copy_tree(
    directory: Path, *, kills: int, batch: int, seed: int, progress: Progress
) -> Copying:
    """
    Copy a tree through a log, kill the producers, and compare.

    Args:
        directory: What is copied.

        kills: How many producers are killed; fewer when there is too little to copy.

        batch: Entries between two commits, on average.

        seed: Decides when producers are killed, and when they commit.

        progress: Called with what is being done, how much is done, and how much
            there is to do.

    Raises:
        PluginMissingError: The durable log is not installed.
    """
    log_module()
    begun = perf_counter()
    with tempfile.TemporaryDirectory(prefix="pyfaster-demo-") as made:
        copying = _Copying(directory, Path(made), batch, seed, progress)
        copying.run(kills)
        return Copying(
            directory=str(directory),
            seed=seed,
            files=len(copying.files),
            entries=copying.total,
            bytes=copying.size,
            lives=tuple(copying.lives),
            followed=copying.followed,
            seconds=perf_counter() - begun,
            differences=tuple(copying.differences[:DIFFERENCES_MAX]),
        )


class _Copying:
    """
    One demonstration, with what it has found so far.
    """

    def __init__(
        self, directory: Path, made: Path, batch: int, seed: int, progress: Progress
    ) -> None:
        self.directory, self.made = directory, made
        self.batch, self.seed, self.progress = batch, seed, progress
        self.files = files_below(directory)
        sizes = [len(entry) - 1 for entry in entries_of(self.files, directory)]
        self.total, self.size = len(sizes), sum(sizes)
        self.lives: list[Life] = []
        self.followed = 0
        self.differences: list[str] = []

    def run(self, kills: int) -> None:
        """
        Start and kill producers, with one follower beside them; compare.
        """
        with self._worker("make") as lines:
            if next(lines, None) is None:
                raise FasterError("the log of the demonstration could not be made")
        chance = random.Random(self.seed)
        most = min(kills, max(0, self.total // 4))
        marks = sorted(chance.sample(range(1, self.total), most)) if most else []
        with self._follower() as follower:
            for mark in (*marks, None):
                self._produce(mark)
            self._follow(follower)
        self._compare()

    # --- producers ------------------------------------------------------------------

    def _produce(self, mark: int | None) -> None:
        """
        Let a producer append, and kill it once so many entries are safe.
        """
        before = max((life.acknowledged for life in self.lives), default=0)
        most = self.total
        if mark is not None:
            most = min(most, mark + 1 + int((mark - before) * BEYOND) + self.batch)
        found, cut, safe = 0, 0, 0
        with self._worker("produce", self.batch, len(self.lives), most) as lines:
            for line in lines:
                if "found" in line:
                    found, cut, safe = line["found"], line["cut"], line["found"]
                safe = max(safe, line.get("safe", 0))
                self.progress("through the log", safe, self.total)
                if mark is not None and safe >= mark:
                    break
            else:
                if mark is not None or safe < self.total:
                    raise FasterError(
                        "a producer of the demonstration ended by itself, with "
                        f"{safe:,} of {self.total:,} entries"
                    )
        if found < before:
            self.differences.append(
                f"producer {len(self.lives) + 1} found {found:,} entries, and "
                f"{before:,} had been acknowledged"
            )
        self.lives.append(Life(found, cut, safe, killed=mark is not None))

    @contextmanager
    def _worker(self, what: str, *words: object) -> Iterator[Iterator[dict[str, Any]]]:
        """
        A process, and what it tells; it is killed at the end, unless it has ended.
        """
        where = (self.made / "log", self.directory, self.seed, *words)
        with started(what, *where) as process:
            assert process.stdout is not None
            yield read_lines(process.stdout)

    # --- the follower ---------------------------------------------------------------

    def _follower(self) -> AbstractContextManager[subprocess.Popen[str]]:
        return started("follow", self.made / "log", self.made / "copy")

    def _follow(self, process: subprocess.Popen[str]) -> None:
        """
        Wait until the follower has come to the end.
        """
        try:
            told, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.differences.append("the follower did not come to the end of the log")
            return
        for line in map(json.loads, told.splitlines()):
            self.followed = line["followed"]
        if process.returncode:
            self.differences.append(f"the follower ended with {process.returncode}")
        self.progress("followed", self.followed, self.total)

    # --- the comparison -------------------------------------------------------------

    def _compare(self) -> None:
        """
        Compare the trees, byte by byte.
        """
        if self.followed != self.total:
            self.differences.append(
                f"the follower read {self.followed:,} entries, of {self.total:,}"
            )
        copy = self.made / "copy"
        found = {path.relative_to(copy) for path in copy.rglob("*") if path.is_file()}
        wanted = {path.relative_to(self.directory) for path in self.files}
        for name in sorted(wanted - found):
            self.differences.append(f"{name} is missing")
        for name in sorted(found - wanted):
            self.differences.append(f"{name} was never there")
        for name in sorted(wanted & found):
            sentence = difference(self.directory / name, copy / name)
            if sentence:
                self.differences.append(f"{name}: {sentence}")


def difference(source: Path, copy: Path) -> str:
    """
    Say where two files differ first; "" when they do not.
    """
    first, second = (path.read_bytes().splitlines() for path in (source, copy))
    if source.read_bytes() == copy.read_bytes():
        return ""
    for number, (one, other) in enumerate(zip(first, second, strict=False), start=1):
        if one != other:
            return f"line {number} is {other[:40]!r}, expected {one[:40]!r}"
    return f"{len(second):,} lines, expected {len(first):,}"


@contextmanager
def started(*words: object) -> Iterator[subprocess.Popen[str]]:
    """
    A process of `WORKER`, which is killed at the end, unless it has ended.
    """
    command = [sys.executable, "-m", WORKER, *map(str, words)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_lines(file: IO[str]) -> Iterator[dict[str, Any]]:
    """
    What a worker tells; of one that was killed the last line may be cut off.
    """
    for line in file:
        if line.endswith("\n"):
            yield json.loads(line)
