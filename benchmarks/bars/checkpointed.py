# SPDX-License-Identifier: MIT
"""
A process with a durable store of which checkpoints are taken.

Either one thread works on the store while another takes checkpoints, or nothing does
and a checkpoint is timed by itself. What the store holds afterwards is compared with a
model, outside of the clock.
"""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bars.taker import Taker
from benchmarks.cases import Case
from benchmarks.contenders.base import Handle
from benchmarks.contenders.durable_store import SHAPE, Durable
from benchmarks.figures import percentile
from benchmarks.generators import Numbers, Requests
from benchmarks.operations import READ, Model, Plan, plan, written_stamps
from benchmarks.rounds import (
    CHECKED,
    LOAD_CHUNK,
    WrongAnswerError,
    number,
    prepare,
)

SHARES = {
    "p50_ns": 0.5,
    "p99_ns": 0.99,
    "p999_ns": 0.999,
    "p9999_ns": 0.9999,
    "max_ns": 1.0,
}

#: Nanoseconds that a thread ran, and that it waited to.
_SCHEDULED = Path("/proc/thread-self/schedstat")

#: How often checkpoints begin -> seconds between two beginnings.
PACES = {"always": 0.0, "seconds": 1.0}


class Checkpointed:
    """
    The role "checkpointed".
    """

    def __init__(self, command: dict[str, object], folder: Path) -> None:
        items = number(command, "items")
        self._seed = number(command, "seed")
        self._batch = number(command, "batch")
        self._operations = number(command, "operations")
        self._seconds = number(command, "milliseconds") / 1000
        self._model = Model(items)
        self._requests = Requests(items, self._seed)
        self._store = Durable(str(command["scheme"]), folder, items)
        load(self._store, np.arange(items, dtype=np.int64), self._model)
        gc.freeze()

    def handle(self, command: dict[str, object]) -> dict[str, object]:
        """
        Do "traffic", "timed" or "take".
        """
        do = str(command["do"])
        if do == "take":
            return self._take(
                str(command["kind"]),
                number(command, "permille"),
                number(command, "turn"),
            )
        if do in ("traffic", "timed"):
            return self._run(command)
        raise ValueError(f"no such command: {do!r}")

    # --- one thread works, another takes checkpoints --------------------------------

    def _run(self, command: dict[str, object]) -> dict[str, object]:
        """
        Run the same operations over and over; give how fast that went.
        """
        timed = command["do"] == "timed"
        batch = self._batch if command["mode"] == "batch" else 1
        case = Case("A", "zipf", SHAPE, batch, 1)
        turn = number(command, "turn")
        part = plan(case, self._requests, self._operations, turn, 0, self._model.end)
        handle = self._store.handles(case)[0]
        work: Work = (
            TimedWork(self._store, handle, part)
            if timed
            else PlainWork(prepare(self._store, handle, case, part))
        )
        pace = str(command["checkpoints"])
        taker = Taker(self._store.store, PACES[pace]) if pace in PACES else None
        spent, passes, thread = self._passes(work, taker)
        self._model.apply([part])
        self._check(handle, self._model.sample([part], CHECKED, self._seed + turn))
        stats = self._store.store.stats()
        answer: dict[str, object] = {
            "ok": True,
            "rate": passes * self._operations / spent,
            "processor_rate": passes * self._operations / thread.used,
            "ready_rate": passes * self._operations / (spent - thread.waited),
            "log_mb": stats.address_tail / 1e6,
            "flushed_mb": stats.address_flushed / 1e6,
            **work.figures(),
        }
        return answer if taker is None else answer | taker.figures()

    def _passes(
        self, work: Work, taker: Taker | None
    ) -> tuple[float, int, ThreadTimes]:
        """
        Work until the time is over, and until a checkpoint was taken meanwhile.

        Returns:
            Seconds, passes, and what this thread had of a processor.
        """
        spent, passes = 0.0, 0
        gc.collect()
        gc.disable()
        try:
            if taker is not None:
                taker.start()
            thread = ThreadTimes()
            while spent < self._seconds or (taker is not None and not taker.taken):
                spent += work.run()
                passes += 1
                if taker is not None and taker.failed:
                    break
            thread.stop()
        finally:
            gc.enable()
            if taker is not None:
                taker.stop()
        return spent, passes, thread

    # --- a checkpoint by itself -----------------------------------------------------

    def _take(self, kind: str, permille: int, turn: int) -> dict[str, object]:
        """
        Change some of the items, then time a checkpoint.
        """
        items = self._model.end
        source = np.random.default_rng([self._seed, turn, permille])
        count = items * permille // 1000
        numbers = np.sort(source.choice(items, count, replace=False))
        self._model.stamps[numbers] = written_stamps(numbers, turn)
        load(self._store, numbers, self._model)
        before, used = self._store.written(), time.process_time()
        begin = time.perf_counter()
        info = self._store.store.checkpoint(kind)
        spent = time.perf_counter() - begin
        used = time.process_time() - used
        handle = self._store.handles(Case("C", "uniform", SHAPE, 1, 1))[0]
        self._check(handle, numbers[:CHECKED])
        return {
            "ok": True,
            "seconds": spent,
            "processor_seconds": used,
            "file_bytes": info.size,
            "bytes": info.size + self._store.written() - before,
            "phases": {name: took * 1e3 for name, took in info.phases.items()},
        }

    def _check(self, handle: Handle, numbers: Numbers) -> None:
        check(self._store, handle, self._model, numbers)

    def close(self) -> None:
        """
        Close the store.
        """
        self._store.close()


class ThreadTimes:
    """
    What a thread has of a processor, from here until `stop`.

    Attributes:
        used: How long it ran.

        waited: How long it could have run and there was no processor for it; 0 where
            the system does not tell.

    Units: seconds.
    """

    def __init__(self) -> None:
        self.used = -time.thread_time()
        self.waited = -waits()

    def stop(self) -> None:
        """
        Count no further.
        """
        self.used += time.thread_time()
        self.waited += waits()


def waits() -> float:
    """
    Give how long this thread has waited for a processor in its life.
    """
    try:
        return int(_SCHEDULED.read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


class PlainWork:
    """
    A pass of operations of which only the whole is timed.
    """

    def __init__(self, job: Callable[[], None]) -> None:
        self._job = job

    def run(self) -> float:
        """
        Do a pass; give its seconds.
        """
        begin = time.perf_counter()
        self._job()
        return time.perf_counter() - begin

    def figures(self) -> dict[str, object]:
        """
        Nothing but the rate, which is the caller's.
        """
        return {}


class TimedWork:
    """
    A pass of single operations, each of which is timed.
    """

    def __init__(self, store: Durable, handle: Handle, part: Plan) -> None:
        self._handle = handle
        self._keys = store.keys(part.numbers)
        values: list[Any] = list(store.values(part.stamps))
        for at in np.flatnonzero(part.kinds == READ).tolist():
            values[at] = None
        self._values = values
        self._spent = array("q", bytes(8 * len(values)))
        self._passes: list[NDArray[np.int64]] = []

    def run(self) -> float:
        """
        Do a pass; give its seconds.
        """
        begin = time.perf_counter()
        run_timed(self._handle, self._keys, self._values, self._spent)
        took = time.perf_counter() - begin
        self._passes.append(np.array(self._spent, dtype=np.int64))
        return took

    def figures(self) -> dict[str, object]:
        """
        Give percentiles over all passes.
        """
        ordered = np.sort(np.concatenate(self._passes))
        return {name: percentile(ordered, share) for name, share in SHARES.items()}


Work = PlainWork | TimedWork


def run_timed(handle: Handle, keys: Any, values: Any, spent: array[int]) -> None:
    """
    Read where the value is None, else write it; keep each operation's time.
    """
    read, write, clock = handle.read, handle.write, time.perf_counter_ns
    place = 0
    for key, value in zip(keys, values, strict=True):
        if value is None:
            begin = clock()
            read(key)
            end = clock()
        else:
            begin = clock()
            write(key, value)
            end = clock()
        spent[place] = end - begin
        place += 1  # noqa: SIM113 - one more tuple for each operation


def load(store: Durable, numbers: Numbers, model: Model) -> None:
    """
    Write items as the model has them.
    """
    for first in range(0, len(numbers), LOAD_CHUNK):
        part = numbers[first : first + LOAD_CHUNK]
        values = store.batch_values(model.stamps[part])
        store.load(store.batch_keys(part), values)


def check(store: Durable, handle: Handle, model: Model, numbers: Numbers) -> None:
    """
    Compare items with the model.
    """
    for first in range(0, len(numbers), LOAD_CHUNK):
        part = numbers[first : first + LOAD_CHUNK]
        found = store.stamps(handle.read_batch(store.batch_keys(part)))
        wrong = np.flatnonzero(found != model.stamps[part])
        if len(wrong):
            at = int(wrong[0])
            raise WrongAnswerError(
                f"{len(wrong)} of {len(part)} values are wrong; item {int(part[at])} "
                f"has the stamp {int(found[at])} and should have "
                f"{int(model.stamps[part[at]])}"
            )
