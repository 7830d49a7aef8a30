# SPDX-License-Identifier: MIT
"""
Count words with a store, and compare every count with a `collections.Counter`.

Threads with a session each add up the identifier-like words of many Python files: first
with one `rmw(merge="add")` per word, then, in a second store, in batches. Reading files
is not part of the times. `_survival` counts once more, and kills the process meanwhile.
"""

from __future__ import annotations

import heapq
import re
import sysconfig
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import pyfaster

if TYPE_CHECKING:
    from pyfaster._demo._survival import Survival

WORD = re.compile(r"[^\W\d]\w*")
TOP = 20
#: Words between two notices of progress.
STEP = 20_000

Progress = Callable[[str, int, int], None]
Count = Callable[["pyfaster.Session[str, int]", Sequence[str]], None]


@dataclass(frozen=True, slots=True)
class Difference:
    """
    A word whose count is wrong; None where it is absent.
    """

    way: str
    word: str
    expected: int | None
    found: int | None


@dataclass(frozen=True, slots=True)
class Way:
    """
    One way of counting, and what it took.

    Units: seconds for `seconds`, bytes for `memory_bytes`.
    """

    name: str
    operations: int
    seconds: float
    memory_bytes: int
    top: tuple[tuple[str, int], ...]
    differences: tuple[Difference, ...]

    @property
    def operations_per_second(self) -> float:
        """
        Words counted in a second, by all threads together.
        """
        return self.operations / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Wordcount:
    """
    What was counted, and in which ways.

    Attributes:
        survival: The count that a kill interrupted; None where it was not possible.

        missing: Why not, and what to install.
    """

    directory: str
    files: int
    skipped: tuple[str, ...]
    words: int
    distinct: int
    threads: int
    batch: int
    ways: tuple[Way, ...]
    survival: Survival | None = None
    missing: str | None = None

    @property
    def differences(self) -> tuple[Difference, ...]:
        """
        All counts that are wrong, in any way.
        """
        told = tuple(one for way in self.ways for one in way.differences)
        return told + (self.survival.differences if self.survival else ())

    @property
    def correct(self) -> bool:
        """
        Whether all counts are right, and the kill took nothing that was promised.
        """
        return not self.differences and (self.survival is None or self.survival.correct)


def standard_library() -> Path:
    """
    Where the running Python keeps its own modules.
    """
    return Path(sysconfig.get_paths()["stdlib"])


def python_files(directory: Path) -> list[Path]:
    """
    All .py files below a directory, sorted.

    Below the standard library, installed distributions are left out.
    """
    installed = {"site-packages", "dist-packages"}
    hide = directory == standard_library()
    return sorted(
        path
        for path in directory.rglob("*.py")
        if path.is_file()
        and not (hide and installed & set(path.relative_to(directory).parts))
    )


def read_words(
    files: Sequence[Path], progress: Progress
) -> tuple[list[list[str]], list[str]]:
    """
    Read the words of each file; equal words are one object.

    Returns:
        The words of each file that could be read, and a sentence for each other.
    """
    known: dict[str, str] = {}
    texts: list[list[str]] = []
    skipped: list[str] = []
    for done, path in enumerate(files, start=1):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            skipped.append(f"{path}: {error.strerror}")
        else:
            texts.append([known.setdefault(word, word) for word in WORD.findall(text)])
        progress("reading files", done, len(files))
    return texts, skipped


def share_out(texts: Sequence[Sequence[str]], threads: int) -> list[list[str]]:
    """
    Give each thread its words, in the same way whoever asks.
    """
    shares: list[list[str]] = [[] for _ in range(threads)]
    for number, words in enumerate(texts):
        shares[number % threads].extend(words)
    return shares


def count_singly(session: pyfaster.Session[str, int], words: Sequence[str]) -> None:
    """
    Count words with one call for each.
    """
    rmw = session.rmw
    for word in words:
        rmw(word, 1, "add")


def count_in_batches(session: pyfaster.Session[str, int], words: Sequence[str]) -> None:
    """
    Count words with one call for all of them.
    """
    session.rmw_many(words, 1, merge="add")


def run_way(
    name: str,
    count: Count,
    shares: Sequence[Sequence[str]],
    step: int,
    expected: Counter[str],
    progress: Progress,
) -> Way:
    """
    Count all words in a new store, one thread for each share.
    """
    total = sum(map(len, shares))
    done = [0] * len(shares)  # each thread writes its own place

    def work(number: int) -> None:
        words = shares[number]
        with store.session(f"{name} {number}") as session:
            for start in range(0, len(words), step):
                piece = words[start : start + step]
                count(session, piece)
                done[number] += len(piece)
                progress(name, sum(done), total)

    with pyfaster.open(key=str, value=int) as store:
        begin = perf_counter()
        with ThreadPoolExecutor(max(1, len(shares))) as pool:
            for finished in [pool.submit(work, n) for n in range(len(shares))]:
                finished.result()
        seconds = perf_counter() - begin
        found = dict(store.items())
        return Way(
            name=name,
            operations=total,
            seconds=seconds,
            memory_bytes=store.stats().memory_bytes,
            top=tuple(heapq.nlargest(TOP, found.items(), key=lambda item: item[1])),
            differences=compare(name, expected, found),
        )


def compare(
    way: str, expected: Counter[str], found: dict[str, int]
) -> tuple[Difference, ...]:
    """
    Every word whose count is not what the Counter says.
    """
    return tuple(
        Difference(way, word, expected.get(word), found.get(word))
        for word in sorted(expected.keys() | found.keys())
        if expected.get(word) != found.get(word)
    )


def wordcount(
    directory: Path, *, threads: int, batch: int, progress: Progress
) -> Wordcount:
    """
    Count the words of all Python files below a directory, both ways; then once more in
    a process that is killed, where what that takes is installed.

    Args:
        directory: Where to look.

        threads: How many threads count.

        batch: How many words go into one call of the second way.

        progress: Called with what is being done, how much is done, and how much
            there is to do; from any thread.
    """
    files = python_files(directory)
    texts, skipped = read_words(files, progress)
    shares = share_out(texts, threads)
    expected: Counter[str] = Counter()
    for words in texts:
        expected.update(words)
    ways = (
        run_way("one by one", count_singly, shares, STEP, expected, progress),
        run_way("in batches", count_in_batches, shares, batch, expected, progress),
    )
    from pyfaster._demo import _survival  # it uses this module

    missing, survival = _survival.what_is_missing(), None
    if missing is None:
        survival = _survival.survive(directory, shares, batch, expected, progress)
    return Wordcount(
        directory=str(directory),
        files=len(texts),
        skipped=tuple(skipped),
        words=expected.total(),
        distinct=len(expected),
        threads=threads,
        batch=batch,
        ways=ways,
        survival=survival,
        missing=missing,
    )
