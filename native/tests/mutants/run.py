# SPDX-License-Identifier: MIT
"""
Break the core on purpose and see that the tests notice.

Each row of a table_*.toml beside this file is one small change to the source: the text
`old` of `file` becomes `new`, and the CTest test `test` must then fail.  The change is
made in a copy of the core in a temporary folder, never in the tree.  A row whose text
is not found exactly once, that does not compile, or whose test fails unchanged is an
error: rows follow the source.

A row:

    [[mutant]]
    name = "scan_skips_last_slot"     # unique over all tables
    breaks = "epoch.h I3"             # the invariant or ordering that the text upholds
    file = "src/epoch/epoch.c"        # below native/
    old = '''...'''
    new = '''...'''
    test = "epoch_validate_enter"     # as CTest calls it
    build = "release"                 # or debug, asan, tsan; release when left out
    percent = 100                     # of the test's usual operations
    attempts = 1                      # runs in which the test may notice (for races)

Run `python run.py` for all rows, `python run.py epoch_ log_` for those whose name or
test contains one of the words, `python run.py --list` to see them.  Exit: 0 when every
mutant was caught.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

HERE = Path(__file__).resolve().parent
NATIVE = HERE.parent.parent
COPIED = ("CMakeLists.txt", "include", "src", "tests")

# A test that hangs has noticed, too: it is given so many times what it takes unbroken.
PATIENCE = 10
SECONDS_MIN = 20.0

COMMON = ["-G", "Ninja", "-DFASTER_TESTS=ON", "-DFASTER_WERROR=OFF"]
BUILDS = {
    "release": ["-DCMAKE_BUILD_TYPE=Release"],
    "debug": ["-DCMAKE_BUILD_TYPE=Debug", "-DFASTER_ASSERTS=ON"],
    "asan": ["-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DFASTER_SANITIZE=address"],
    "tsan": ["-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DFASTER_SANITIZE=thread"],
}


class TableError(Exception):
    """
    A row does not fit the source.
    """


@dataclass(frozen=True)
class Mutant:
    """
    One row of a table.
    """

    name: str
    breaks: str
    file: str
    old: str
    new: str
    test: str
    build: str = "release"
    percent: int = 100
    attempts: int = 1


def load_tables() -> list[Mutant]:
    """
    Read every table, checking the form of its rows.
    """
    known = {field.name for field in fields(Mutant)}
    mutants: list[Mutant] = []
    for path in sorted(HERE.glob("table_*.toml")):
        for row in tomllib.loads(path.read_text()).get("mutant", []):
            unknown = set(row) - known
            if unknown:
                raise TableError(f"{path.name}: {row.get('name')}: unknown {unknown}")
            try:
                mutants.append(Mutant(**row))
            except TypeError as missing:
                raise TableError(f"{path.name}: {row.get('name')}: {missing}") from None
    names = [mutant.name for mutant in mutants]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise TableError(f"used twice: {', '.join(sorted(twice))}")
    return mutants


def mutated(mutant: Mutant, text: str) -> str:
    """
    Give the text with the row's change, which must apply in exactly one place.
    """
    if mutant.build not in BUILDS:
        raise TableError(f"{mutant.name}: there is no build '{mutant.build}'")
    places = text.count(mutant.old)
    if places != 1 or mutant.old == mutant.new:
        raise TableError(
            f"{mutant.name}: the old text is {places} times in {mutant.file}"
        )
    return text.replace(mutant.old, mutant.new)


class Copy:
    """
    A copy of the core in a folder of its own, and what is built of it.
    """

    def __init__(self, folder: Path) -> None:
        self.source = folder / "native"
        self.builds = folder / "build"
        self.seconds: dict[tuple[str, str, int], float] = {}
        self.source.mkdir()
        for name in COPIED:
            origin, target = NATIVE / name, self.source / name
            if origin.is_dir():
                shutil.copytree(origin, target)
            else:
                shutil.copy(origin, target)

    def compile(self, build: str, test: str) -> str | None:
        """
        Build one test; give the compiler's last words if that fails.
        """
        folder = self.builds / build
        if not folder.exists():
            place = ["-S", str(self.source), "-B", str(folder)]
            command = ["cmake", *place, *COMMON, *BUILDS[build]]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        command = ["cmake", "--build", str(folder), "-j", "2", "--target", test]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return None if done.returncode == 0 else done.stdout[-2000:]

    def passes(self, mutant: Mutant, seed: int) -> bool:
        """
        Run the row's test once; a crash or a hang is a failure as well.
        """
        program = self.builds / mutant.build / mutant.test
        unbroken = self.seconds.get((mutant.build, mutant.test, mutant.percent), 60.0)
        options = {"TSAN_OPTIONS": "halt_on_error=1"}
        try:
            done = subprocess.run(
                [str(program), str(seed), str(mutant.percent)],
                env={**os.environ, **options},
                capture_output=True,
                timeout=SECONDS_MIN + PATIENCE * unbroken,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        if done.returncode == 77:
            raise TableError(f"{mutant.name}: {mutant.test} does not apply here")
        return done.returncode == 0

    def check_unchanged(self, mutants: Sequence[Mutant]) -> None:
        """
        Every test must hold before it can be said to notice something.
        """
        for mutant in mutants:
            key = (mutant.build, mutant.test, mutant.percent)
            if key in self.seconds:
                continue
            words = self.compile(mutant.build, mutant.test)
            if words is not None:
                raise TableError(f"{mutant.test} ({mutant.build}) unchanged:\n{words}")
            started = time.monotonic()
            if not self.passes(mutant, 1):
                raise TableError(f"{mutant.test} ({mutant.build}) fails unchanged")
            self.seconds[key] = time.monotonic() - started

    def catches(self, mutant: Mutant) -> bool:
        """
        Make the change, see whether the test fails, and undo it.
        """
        path = self.source / mutant.file
        text = path.read_text()
        path.write_text(mutated(mutant, text))
        try:
            words = self.compile(mutant.build, mutant.test)
            if words is not None:
                raise TableError(f"{mutant.name} does not compile:\n{words}")
            seeds = range(1, mutant.attempts + 1)
            return not all(self.passes(mutant, seed) for seed in seeds)
        finally:
            path.write_text(text)


def outcomes(mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, str]]:
    """
    Try one mutant after another.
    """
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Copy(Path(folder))
        for mutant in mutants:  # before the time is spent
            mutated(mutant, (copy.source / mutant.file).read_text())
        copy.check_unchanged(mutants)
        for mutant in mutants:
            try:
                yield mutant, "caught" if copy.catches(mutant) else "SURVIVED"
            except TableError as error:
                print(f"error: {error}", file=sys.stderr)
                yield mutant, "ERROR"


def choose(mutants: Sequence[Mutant], words: Sequence[str]) -> list[Mutant]:
    """
    Keep the rows whose name or test contains one of the words; all without words.
    """
    return [
        mutant
        for mutant in mutants
        if not words or any(word in f"{mutant.name} {mutant.test}" for word in words)
    ]


def main() -> int:
    """
    Run what the command line asks for.
    """
    parser = argparse.ArgumentParser(description="Break the core, run its tests.")
    parser.add_argument("words", nargs="*", help="parts of the names of rows or tests")
    parser.add_argument("--list", action="store_true", help="only name the rows")
    arguments = parser.parse_args()
    mutants = choose(load_tables(), arguments.words)
    if arguments.list:
        for mutant in mutants:
            print(f"{mutant.name}: {mutant.breaks}, {mutant.test} ({mutant.build})")
        return 0
    if not mutants:
        raise TableError("no row has such a name")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that the copy goes, too
    missed = 0
    started = time.monotonic()
    for mutant, outcome in outcomes(mutants):
        seconds = time.monotonic() - started
        print(
            f"{outcome:8} {mutant.name} ({mutant.test}) at {seconds:.0f} s", flush=True
        )
        missed += outcome != "caught"
    print(f"{len(mutants)} mutants, {missed} not caught")
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TableError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
