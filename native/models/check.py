# SPDX-License-Identifier: MIT
"""
Run the models through SPIN, and see that each answers what its list says.

`python check.py [LIST...]` needs `spin` and a C compiler. A line of a list is

    rules | model | expected | arguments

`pass` wants a complete search without an error, `caught` an error, and `hunt` no error
as far as the search came before its time was up. Arguments go to spin, those after
`cc:` to the compiler and those after `pan:` to the search. One line is printed for each
check, the counts last. The status is 0 if all answers are as expected, 1 if one is not,
and 2 if nothing could be run.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

EXPECTED = ("pass", "caught", "hunt")

#: A search of fewer states than this has not looked at the protocol at all.
FEWEST = 100

COMPILE = ["-w", "-DSAFETY", "-DVECTORSZ=2048", "-DMEMLIM=7500"]
DEPTH = "-m400000"

#: What the search says when it ended before it was complete.
CUT = re.compile(
    r"time limit|search not completed|out of memory|max search depth too small"
    r"|pan: reached -DMEMLIM",
    re.IGNORECASE,
)


def say(line: str) -> None:
    """
    Print a line at once, so that a long run can be watched.
    """
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class CheckError(Exception):
    """
    A check could not be run at all.
    """


@dataclass(frozen=True, slots=True)
class Check:
    """
    One line of a list.

    Attributes:
        rules: The names of the rules that it is about.

        model: The model's file, without its suffix.

        expected: One of EXPECTED.

        arguments: What spin, the compiler and the search are told.
    """

    rules: str
    model: str
    expected: str
    arguments: tuple[str, ...]

    def words(self, prefix: str) -> list[str]:
        """
        Give the arguments for one program; spin's have no prefix.
        """
        if prefix:
            own = [a for a in self.arguments if a.startswith(prefix)]
            return [a.removeprefix(prefix) for a in own]
        return [a for a in self.arguments if not a.startswith(("cc:", "pan:"))]

    @property
    def bitstate(self) -> bool:
        """
        Whether the search keeps only a few bits of each state, and so may miss some.
        """
        return "cc:-DBITSTATE" in self.arguments


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What a search found.

    Attributes:
        result: `pass`, `caught`, or `cut` when it ended before it was complete.

        states: How many states it has seen.

        seconds: How long it took, without the compiler.

        error: The first error, if any.
    """

    result: str
    states: int
    seconds: float
    error: str


def parse(path: Path) -> list[Check]:
    """
    Read a list of checks.
    """
    checks = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split("|")]
        if len(parts) != 4 or parts[2] not in EXPECTED:
            raise CheckError(f"{path.name}:{number}: not a check: {line}")
        if not (HERE / f"{parts[1]}.pml").is_file():
            raise CheckError(f"{path.name}:{number}: no model {parts[1]}")
        rules, model, expected, arguments = parts
        checks.append(Check(rules, model, expected, tuple(arguments.split())))
    if not checks:
        raise CheckError(f"{path.name}: no checks")
    return checks


def call(command: list[str], folder: Path) -> str:
    """
    Run a program that must succeed; give what it said.
    """
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise CheckError(f"{command[0]} ended with {done.returncode}: {said}")
    return done.stdout


def read(said: str, *, bitstate: bool) -> Answer:
    """
    Understand what a search printed.
    """
    states = re.search(r"^\s*([0-9.e+]+) states, stored", said, re.MULTILINE)
    seconds = re.search(r"elapsed time ([0-9.e+-]+)", said)
    error = re.search(r"^pan:1: (.*?)(?: \(at depth \d+\))?$", said, re.MULTILINE)
    if not states or not re.search(r"errors: \d+", said):
        raise CheckError(f"no answer: {said.strip()[-300:]}")
    result = "cut" if bitstate or CUT.search(said) else "pass"
    return Answer(
        "caught" if error else result,
        int(float(states[1])),
        float(seconds[1]) if seconds else 0.0,
        error[1] if error else "",
    )


def run(check: Check, compiler: str, level: int, minutes: int) -> Answer:
    """
    Make the verifier of one check and let it search.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = str(HERE / f"{check.model}.pml")
        call(["spin", *check.words(""), "-a", model], folder)
        options = [f"-O{level}", *COMPILE, *check.words("cc:")]
        if not check.bitstate:
            options.append("-DCOLLAPSE")
        call([compiler, *options, "-o", "pan", "pan.c"], folder)
        search = subprocess.run(
            [str(folder / "pan"), DEPTH, f"-Q{minutes}", *check.words("pan:")],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return read(search.stdout, bitstate=check.bitstate)


def judge(check: Check, answer: Answer) -> bool:
    """
    Tell whether an answer is the expected one.
    """
    if check.expected != "caught" and answer.states < FEWEST:
        return False
    if check.expected == "hunt":
        return answer.result != "caught"
    return answer.result == check.expected


def show(check: Check, answer: Answer | CheckError) -> bool:
    """
    Print the line of one check; tell whether it went as expected.
    """
    what = f"{check.rules}: {check.model} {' '.join(check.arguments)}".rstrip()
    if isinstance(answer, CheckError):
        say(f"FAILED {what}: {answer}")
        return False
    good = judge(check, answer)
    head = "ok" if good else f"FAILED (wanted {check.expected})"
    cost = f"{answer.states} states, {answer.seconds:g} s"
    error = f": {answer.error}" if answer.error else ""
    say(f"{head} {answer.result} {what} ({cost}){error}")
    return good


def run_all(
    checks: Iterable[Check], compiler: str, level: int, minutes: int, jobs: int
) -> list[bool]:
    """
    Run checks side by side; print their lines in the order of the list.
    """

    def one(check: Check) -> Answer | CheckError:
        try:
            return run(check, compiler, level, minutes)
        except (CheckError, OSError) as error:
            return CheckError(str(error))

    with ThreadPoolExecutor(jobs) as pool:
        futures = [(check, pool.submit(one, check)) for check in checks]
        return [show(check, future.result()) for check, future in futures]


def options(arguments: list[str]) -> argparse.Namespace:
    """
    Understand the command line.
    """
    parser = argparse.ArgumentParser(description="Check the models with SPIN.")
    lists = [HERE / "checks.txt"]
    parser.add_argument("lists", nargs="*", type=Path, default=lists, metavar="LIST")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="how many at once")
    parser.add_argument("-O", "--level", type=int, default=0, help="of optimisation")
    parser.add_argument("-q", "--minutes", type=int, default=3, help="for each search")
    parser.add_argument("-k", "--only", default="", help="a regular expression")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """
    Check what the lists say, and count.
    """
    chosen = options(arguments)
    compiler = os.environ.get("CC", "cc")
    missing = [tool for tool in ("spin", compiler) if shutil.which(tool) is None]
    if missing:
        say(f"models: not on the PATH: {', '.join(missing)}; nothing was checked")
        return 2
    try:
        checks = [check for path in chosen.lists for check in parse(path)]
    except (CheckError, OSError) as error:
        say(f"models: {error}; nothing was checked")
        return 2
    checks = [
        check
        for check in checks
        if re.search(chosen.only, f"{check.rules} {check.model} {check.arguments}")
    ]
    if not checks:
        say("models: no check is called that; nothing was checked")
        return 2
    level, minutes, jobs = chosen.level, max(1, chosen.minutes), max(1, chosen.jobs)
    good = run_all(checks, compiler, level, minutes, jobs)
    say(f"{sum(good)} passed, {len(good) - sum(good)} failed")
    return 0 if all(good) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
