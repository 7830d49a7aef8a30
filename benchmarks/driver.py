# SPDX-License-Identifier: MIT
"""
Starts the measuring processes and asks them, one round of each in turn.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

from benchmarks.cases import Case, Shape
from benchmarks.contenders import REFERENCE
from benchmarks.figures import Series
from benchmarks.sizes import Budget

ROOT = Path(__file__).resolve().parent.parent

#: A command that takes longer is taken for hung. Loading 50 M items takes minutes.
DEADLINE_S = 1800.0

Say = Callable[[str], None]


class MeasuringError(Exception):
    """
    A measuring process failed, gave wrong answers or did not answer.
    """


class ContenderMissingError(Exception):
    """
    The contender cannot be measured here; the message says why.
    """


class Process:
    """
    One measuring process, seen from the driver.
    """

    def __init__(self, label: str, start: dict[str, object]) -> None:
        self.label = label
        environment = dict(os.environ, PYTHONHASHSEED="0")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment,
        )
        self._rest = b""
        try:
            self.ask(start)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def ask(self, command: dict[str, object]) -> dict[str, object]:
        """
        Send a command and wait for its answer.
        """
        self.send(command)
        return self.receive()

    def send(self, command: dict[str, object]) -> None:
        """
        Send a command; `receive` waits for the answer.
        """
        pipe = self._process.stdin
        if pipe is None:
            raise MeasuringError(f"{self.label}: the process was closed")
        try:
            pipe.write(json.dumps(command).encode() + b"\n")
            pipe.flush()
        except BrokenPipeError as error:
            raise MeasuringError(f"{self.label}: the process has ended") from error

    def receive(self) -> dict[str, object]:
        """
        Wait for an answer.

        Raises:
            ContenderMissingError: The process says that it cannot measure here.

            MeasuringError: It failed, or is taken for hung.
        """
        answer = json.loads(self._line())
        if not isinstance(answer, dict):
            raise MeasuringError(f"{self.label}: answered {answer!r}")
        if "unavailable" in answer:
            raise ContenderMissingError(str(answer["unavailable"]))
        if "error" in answer:
            raise MeasuringError(f"{self.label}: {answer['error']}")
        return answer

    def _line(self) -> bytes:
        pipe = self._process.stdout
        if pipe is None:
            raise MeasuringError(f"{self.label}: the process was closed")
        deadline = time.monotonic() + DEADLINE_S
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([pipe], [], [], max(left, 0.0))
            if not ready:
                raise MeasuringError(f"{self.label}: no answer in {DEADLINE_S:.0f} s")
            data = os.read(pipe.fileno(), 1 << 16)
            if not data:
                code = self._process.wait()
                raise MeasuringError(f"{self.label}: the process ended with {code}")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def close(self) -> None:
        """
        Let the process end; stop it if it does not.
        """
        if self._process.stdin is not None:
            # Broken when it has ended already, with a command still unsent.
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


@dataclass(slots=True)
class Roster:
    """
    Which contenders were asked for, and what became of them.

    Attributes:
        missing: Contender -> why it cannot be measured here.

        settings: Contender -> how its store was set up.

        budget: What contenders may have of memory, if that is bounded.
    """

    names: Sequence[str]
    missing: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    budget: Budget | None = None

    def start(self, shape: Shape, items: int, seed: int, say: Say) -> list[Process]:
        """
        Start and load one process for each contender, one after the other.
        """
        started: list[Process] = []
        try:
            for name in self.names:
                if name not in self.missing:
                    process = self._start(name, shape, items, seed, say)
                    started += [] if process is None else [process]
        except BaseException:
            close_all(started)
            raise
        return started

    def _start(
        self, name: str, shape: Shape, items: int, seed: int, say: Say
    ) -> Process | None:
        command: dict[str, object] = {
            "role": "contender",
            "contender": name,
            "key_size": shape.key_size,
            "value_size": shape.value_size,
            "items": items,
            "seed": seed,
        }
        if self.budget is not None:
            command["budget"] = asdict(self.budget)
        try:
            process = Process(name, command)
        except ContenderMissingError as reason:
            if name == REFERENCE:
                raise MeasuringError(f"{name} is not installed: {reason}") from reason
            self.missing[name] = str(reason)
            say(f"  {name}: not measured: {reason}")
            return None
        self.settings[name] = str(process.ask({"do": "settings"})["settings"])
        return process


def close_all(processes: Iterable[Process]) -> None:
    """
    Close every process.
    """
    for process in processes:
        process.close()


@dataclass(slots=True)
class CaseResult:
    """
    What one case gave.

    Attributes:
        series: Contender -> its rounds.

        skipped: Contender -> why it does not run this case.
    """

    case: Case
    operations: int
    series: dict[str, Series] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def to_json(self, items: int) -> dict[str, object]:
        """
        Give the figures for the report.
        """
        reference = self.series.get(REFERENCE)
        results: dict[str, object] = {
            name: series.to_json(reference) for name, series in self.series.items()
        }
        results.update(
            {name: {"skipped": reason} for name, reason in self.skipped.items()}
        )
        return {
            "name": self.case.name,
            **self.case.to_json(),
            "items": items,
            "operations_per_thread": self.operations,
            "results": results,
        }


def measure(
    case: Case,
    processes: Sequence[Process],
    operations: int,
    rounds: int,
    first_turn: int,
) -> CaseResult:
    """
    Measure one case: round by round, all processes in each round.

    Args:
        first_turn: The number of the first round in the life of the processes; it is
            part of the seed, so that all contenders get the same operations.
    """
    result = CaseResult(case, operations)
    figures: dict[str, list[float]] = {}
    for turn in range(first_turn, first_turn + rounds):
        command: dict[str, object] = {
            "do": "round",
            "case": case.to_json(),
            "operations": operations,
            "turn": turn,
        }
        for process in processes:
            if process.label in result.skipped:
                continue
            answer = process.ask(command)
            if "skipped" in answer:
                result.skipped[process.label] = str(answer["skipped"])
                continue
            spent, done = answer["nanoseconds"], answer["operations"]
            if not isinstance(spent, int) or not isinstance(done, int):
                raise MeasuringError(f"{process.label}: answered {answer!r}")
            figures.setdefault(process.label, []).append(spent / done)
    result.series = {name: Series(tuple(list_)) for name, list_ in figures.items()}
    return result
