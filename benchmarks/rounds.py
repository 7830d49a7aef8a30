# SPDX-License-Identifier: MIT
"""
A contender's process: loads its store, then runs the rounds it is asked for.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.cases import WORKLOADS, Case, Shape, case_of
from benchmarks.contenders import find, find_bounded
from benchmarks.contenders.base import Chunk, Contender, Handle
from benchmarks.generators import Numbers, Requests
from benchmarks.operations import BUMP, READ, WRITE, Model, Plan, plan
from benchmarks.sizes import Budget

#: Items loaded by one call, so that loading needs little memory beside the store.
LOAD_CHUNK = 100_000

#: Items read back after a round, unless the store is smaller.
CHECKED = 20_000


class WrongAnswerError(Exception):
    """
    A contender gave values that it should not have held.
    """


@dataclass(slots=True)
class Measured:
    """
    The answer to one round.
    """

    nanoseconds: int
    operations: int


class Rounds:
    """
    The role of a contender.
    """

    def __init__(self, command: dict[str, object], folder: Path) -> None:
        self._name = str(command["contender"])
        shape = Shape(number(command, "key_size"), number(command, "value_size"))
        items = number(command, "items")
        self._seed = number(command, "seed")
        self._contender = make_contender(self._name, command, shape, folder)
        self._model = Model(items)
        self._requests = Requests(items, self._seed)
        for first in range(0, items, LOAD_CHUNK):
            last = min(first + LOAD_CHUNK, items)
            numbers = np.arange(first, last, dtype=np.int64)
            self._contender.load(
                self._contender.batch_keys(numbers),
                self._contender.batch_values(self._model.stamps[first:last]),
            )
        # What is loaded stays: collections before rounds need not look at it.
        gc.freeze()

    def handle(self, command: dict[str, object]) -> dict[str, object]:
        """
        Do "settings" or "round".
        """
        if command["do"] == "settings":
            return {"ok": True, "settings": self._contender.settings()}
        fields = command["case"]
        if not isinstance(fields, dict):
            raise TypeError(f"a case is an object, not {fields!r}")
        case = case_of(fields)
        reason = self._contender.refuses(case)
        if reason is not None:
            return {"ok": True, "skipped": reason}
        measured = self.measure(
            case, number(command, "operations"), number(command, "turn")
        )
        return {
            "ok": True,
            "nanoseconds": measured.nanoseconds,
            "operations": measured.operations,
        }

    def measure(self, case: Case, operations: int, turn: int) -> Measured:
        """
        Run one round under the clock, then check what the store holds.
        """
        plans = [
            plan(case, self._requests, operations, turn, thread, self._model.end)
            for thread in range(case.threads)
        ]
        handles = self._contender.handles(case)
        jobs = [
            prepare(self._contender, handle, case, part)
            for handle, part in zip(handles, plans, strict=True)
        ]
        nanoseconds = clock(jobs)
        self._model.apply(plans)
        self._check(case, handles[0], plans, turn)
        return Measured(nanoseconds, operations * case.threads)

    def _check(
        self, case: Case, handle: Handle, plans: Sequence[Plan], turn: int
    ) -> None:
        chosen = self._model.sample(plans, CHECKED, self._seed + turn)
        self._compare(
            case,
            "read",
            chosen,
            [handle.read(key) for key in self._contender.keys(chosen)],
        )
        size = max(case.batch, 64)
        for first in range(0, len(chosen), size):
            part = chosen[first : first + size]
            values = handle.read_batch(self._contender.batch_keys(part))
            self._compare(case, "batch read", part, values)

    def _compare(
        self, case: Case, how: str, numbers: Numbers, values: Sequence[object]
    ) -> None:
        try:
            found = self._contender.stamps(values)
        except ValueError as error:
            raise WrongAnswerError(
                f"{self._name}: {case.name}: {how}: {error}"
            ) from error
        expected = self._model.stamps[numbers]
        wrong = np.flatnonzero(found != expected)
        if len(wrong):
            at = int(wrong[0])
            raise WrongAnswerError(
                f"{self._name}: {case.name}: {how}: {len(wrong)} of {len(numbers)} "
                f"values are wrong; item {int(numbers[at])} has the stamp "
                f"{int(found[at])} and should have {int(expected[at])} "
                f"(seed {self._seed})"
            )

    def close(self) -> None:
        """
        Close the contender's store.
        """
        self._contender.close()


def make_contender(
    name: str, command: dict[str, object], shape: Shape, folder: Path
) -> Contender:
    """
    Make a contender, within a budget where the command has one.
    """
    budget = command.get("budget")
    if isinstance(budget, dict):
        items = number(command, "items")
        return find_bounded(name)(shape, folder, items, Budget(**budget))
    return find(name)(shape, folder)


def number(command: dict[str, object], name: str) -> int:
    """
    Take a whole number out of a command.
    """
    value = command[name]
    if not isinstance(value, int):
        raise TypeError(f"{name} is a whole number, not {value!r}")
    return value


def prepare(
    contender: Contender, handle: Handle, case: Case, part: Plan
) -> Callable[[], None]:
    """
    Make all objects that a thread's loop needs, and give the loop.
    """
    if case.batch > 1:
        chunks = [
            chunk_of(contender, part, slice(first, first + case.batch))
            for first in range(0, len(part.numbers), case.batch)
        ]
        return lambda: handle.run_chunks(chunks)
    workload = WORKLOADS[case.workload]
    keys = contender.keys(part.numbers)
    if workload.reads == 100:
        return lambda: handle.run_reads(keys)
    if workload.bumps == 100:
        return lambda: handle.run_bumps(keys)
    if workload.bumps:
        flags: list[bool] = (part.kinds == BUMP).tolist()
        return lambda: handle.run_reads_bumps(keys, flags)
    values = list(contender.values(part.stamps))
    if workload.inserts:
        return lambda: handle.run_writes(keys, values)
    for at in np.flatnonzero(part.kinds == READ).tolist():
        values[at] = None
    return lambda: handle.run_reads_writes(keys, values)


def chunk_of(contender: Contender, part: Plan, where: slice) -> Chunk:
    """
    Make one batch's objects.
    """
    numbers, kinds = part.numbers[where], part.kinds[where]
    chunk = Chunk()
    reads, writes, bumps = (kinds == kind for kind in (READ, WRITE, BUMP))
    if reads.any():
        chunk.reads = contender.batch_keys(numbers[reads])
    if writes.any():
        chunk.write_keys = contender.batch_keys(numbers[writes])
        chunk.write_values = contender.batch_values(part.stamps[where][writes])
    if bumps.any():
        chunk.bumps = contender.batch_keys(numbers[bumps])
    return chunk


def clock(jobs: Sequence[Callable[[], None]]) -> int:
    """
    Run one job for each thread and give the wall time from first start to last end.
    """
    gc.collect()
    gc.disable()
    try:
        if len(jobs) == 1:
            begin = time.perf_counter_ns()
            jobs[0]()
            return time.perf_counter_ns() - begin
        return clock_threads(jobs)
    finally:
        gc.enable()


def clock_threads(jobs: Sequence[Callable[[], None]]) -> int:
    """
    Likewise, with a thread for each job; a job that raises fails the round.
    """
    begins, ends = [0] * len(jobs), [0] * len(jobs)
    failures: list[BaseException] = []
    gate = threading.Barrier(len(jobs))

    def run(which: int) -> None:
        try:
            gate.wait()
            begins[which] = time.perf_counter_ns()
            jobs[which]()
            ends[which] = time.perf_counter_ns()
        except BaseException as failure:
            failures.append(failure)

    threads = [
        threading.Thread(target=run, args=(which,)) for which in range(len(jobs))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return max(ends) - min(begins)
