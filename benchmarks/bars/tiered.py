# SPDX-License-Identifier: MIT
"""
A process with one store that is larger than its memory.

Item i has the key `mix(i)` and a value of 100 bytes, whose stamp is 3 i + 1. Everything
that is read is compared with that, outside of the clock.
"""

from __future__ import annotations

import gc
import importlib
import threading
import time
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bars.concurrent import read_concurrently
from benchmarks.bars.fixed import value_of
from benchmarks.contenders.base import UnavailableError
from benchmarks.figures import percentile
from benchmarks.generators import Numbers, filler, mix, stamps_of
from benchmarks.raw import segments
from benchmarks.rounds import WrongAnswerError, number
from benchmarks.sizes import Budget

VALUE_SIZE = 100

#: Items written by one call of a load.
SLICE = 50_000

#: Cold keys that a second thread goes around in.
COLD = 1 << 18

#: Past the system's cache where that is possible: what the kernel would keep there is
#: memory that no budget knows of.
DEVICE_OPTIONS = {"direct": "try"}


def open_tiered(scheme: str, folder: Path, items: int, budget: Budget) -> Any:
    """
    Open a store below a folder, or in memory where there is no scheme.

    Raises:
        UnavailableError: Something that it needs is not installed.
    """
    try:
        package: Any = importlib.import_module("pyfaster")
    except ImportError as error:
        raise UnavailableError(str(error)) from error
    types = {"key": int, "value": package.Bytes(VALUE_SIZE)}
    if not scheme:
        return package.open(**types, expected_keys=items)
    try:
        return package.open(
            f"{scheme}:{folder / 'store'}",
            **types,
            durable=False,
            memory=budget.memory,
            index_fraction=budget.index_fraction,
            expected_keys=items,
            read_cache=0,
            device_options=DEVICE_OPTIONS,
        )
    except package.errors.PluginMissingError as error:
        raise UnavailableError(str(error)) from error


class Tiered:
    """
    The role "tiered".
    """

    def __init__(self, command: dict[str, object], folder: Path) -> None:
        self._folder = folder
        self._items = number(command, "items")
        fraction = number(command, "index_permille") / 1000
        budget = Budget(number(command, "memory"), fraction)
        self._source = np.random.default_rng(number(command, "seed"))
        self._store = open_tiered(str(command["scheme"]), folder, self._items, budget)
        self._session: Any = self._store.session()

    def handle(self, command: dict[str, object]) -> dict[str, object]:
        """
        Do "load", "segments", "reads", "async" or "hits".
        """
        do = str(command["do"])
        if do == "load":
            return self._load()
        if do == "segments":
            until = self._store.stats().address_flushed
            return {"ok": True, "parts": segments(self._folder, until)}
        if do == "reads":
            return self._reads(number(command, "keys"), number(command, "batch"))
        if do == "async":
            return self._async(command)
        if do == "hits":
            return self._hits(number(command, "keys"), number(command, "samples"))
        raise ValueError(f"no such command: {do!r}")

    def _load(self) -> dict[str, object]:
        """
        Write every item, then wait until the device has everything.
        """
        upsert_many, items = self._session.upsert_many, self._items
        rows = np.empty((SLICE, VALUE_SIZE), dtype=np.uint8)
        rows[:, 8:] = filler(VALUE_SIZE)
        gc.collect()
        begin = time.perf_counter()
        for first in range(0, items, SLICE):
            numbers = np.arange(first, min(first + SLICE, items), dtype=np.int64)
            stamps = value_of(numbers.astype(np.uint64))
            rows[: len(numbers), :8] = stamps.view(np.uint8).reshape(-1, 8)
            upsert_many(keys_of(numbers), rows[: len(numbers)])
        written = time.perf_counter()
        self._store.flush(600.0)
        flushed = time.perf_counter()
        stats = self._store.stats()
        size = stats.address_tail - stats.address_begin
        self._check(np.array([0, items // 2, items - 1], dtype=np.int64))
        return {
            "ok": True,
            "rate": size / (flushed - begin),
            "flush_s": flushed - written,
            "times": size / stats.log_bytes,
            "memory": stats.memory_used,
        }

    def _draw(self, count: int) -> Numbers:
        return self._source.integers(0, self._items, count, dtype=np.int64)

    def _reads(self, count: int, batch: int) -> dict[str, object]:
        """
        Read uniform keys in batches; give keys and device reads in a second.
        """
        drawn = [self._draw(batch) for _ in range(max(1, count // batch))]
        parts = [keys_of(part) for part in drawn]
        read_many = self._session.read_many
        gc.collect()
        before = self._store.stats()
        begin = time.perf_counter()
        got = [read_many(part) for part in parts]
        spent = time.perf_counter() - begin
        after = self._store.stats()
        for part, (values, found) in zip(drawn, got, strict=True):
            check_rows(part, values, found)
        reads = after.device_reads - before.device_reads
        size = after.device_read_bytes - before.device_read_bytes
        return {
            "ok": True,
            "keys": len(parts) * batch / spent,
            "reads": reads / spent,
            "read_bytes": size / max(1, reads),
        }

    def _async(self, command: dict[str, object]) -> dict[str, object]:
        loop = str(command["loop"])
        if find_spec(loop) is None:
            return {"ok": True, "skipped": f"{loop} is not installed"}
        drawn = self._draw(number(command, "keys"))
        keys: list[int] = keys_of(drawn).tolist()
        before = self._store.stats().device_reads
        spent, values = read_concurrently(
            loop, self._store, keys, number(command, "tasks")
        )
        reads = self._store.stats().device_reads - before
        check_values(drawn, values)
        return {"ok": True, "reads": reads / spent, "keys": len(keys) / spent}

    def _hits(self, count: int, samples: int) -> dict[str, object]:
        """
        Time single reads of keys in memory, alone and while others go to the device.
        """
        numbers = np.arange(count, dtype=np.int64)
        keys: list[int] = keys_of(numbers).tolist()
        self._session.upsert_many(keys_of(numbers), rows_of(numbers))
        order: list[int] = self._source.integers(0, count, samples).tolist()
        asked = [keys[one] for one in order]
        alone = self._time_hits(asked)
        with Background(self._store, self._draw(COLD)) as others:
            before = self._store.stats()
            busy = self._time_hits(asked)
            after = self._store.stats()
        others.check()
        return {
            "ok": True,
            "alone_ns": alone,
            "busy_ns": busy,
            "device_reads": after.device_reads - before.device_reads,
        }

    def _time_hits(self, keys: list[int]) -> float:
        """
        Give the 99th percentile of single reads.
        """
        read, clock = self._session.read, time.perf_counter_ns
        spent = np.zeros(len(keys), dtype=np.int64)
        for place, key in enumerate(keys):
            begin = clock()
            read(key)
            spent[place] = clock() - begin
        return percentile(np.sort(spent), 0.99)

    def _check(self, numbers: Numbers) -> None:
        values, found = self._session.read_many(keys_of(numbers))
        check_rows(numbers, values, found)

    def close(self) -> None:
        """
        Close the store.
        """
        self._session.close()
        self._store.close()


class Background:
    """
    A thread that reads cold keys in batches until the `with` statement ends.

    Batches are so large that the thread is in C, waiting for the device, nearly all of
    the time: the keys are made before, and most values are dropped as they come.
    """

    BATCH = 4096

    #: Batches whose values are kept and compared afterwards.
    KEPT = 16

    def __init__(self, store: Any, numbers: Numbers) -> None:
        self._store = store
        self._parts = np.split(numbers, len(numbers) // self.BATCH)
        self._keys = [keys_of(part) for part in self._parts]
        self._got: list[tuple[Any, Any]] = []
        self._stop = threading.Event()
        self._begun = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Background:
        self._thread.start()
        self._begun.wait()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._store.session() as session:
                for keys in cycle(self._keys):
                    values, found = session.read_many(keys)
                    if len(self._got) < self.KEPT:
                        self._got.append((values, found))
                    self._begun.set()
                    if self._stop.is_set():
                        return
        except BaseException as failure:
            self._failure = failure
            self._begun.set()

    def check(self) -> None:
        """
        Raise what the thread raised, or that values are wrong.
        """
        if self._failure is not None:
            raise self._failure
        for part, (values, found) in zip(self._parts, self._got, strict=False):
            check_rows(part, values, found)


def keys_of(numbers: Numbers) -> Numbers:
    """
    Give the keys of items.
    """
    return mix(numbers).astype(np.int64)


def rows_of(numbers: Numbers) -> NDArray[np.uint8]:
    """
    Give the values of items, one a row.
    """
    rows = np.empty((len(numbers), VALUE_SIZE), dtype=np.uint8)
    stamps = value_of(numbers.astype(np.uint64))
    rows[:, :8] = stamps.view(np.uint8).reshape(-1, 8)
    rows[:, 8:] = filler(VALUE_SIZE)
    return rows


def check_rows(numbers: Numbers, values: Any, found: Any) -> None:
    """
    Compare what a batch gave with what was written.
    """
    absent = len(numbers) - int(np.count_nonzero(found))
    if absent:
        raise WrongAnswerError(f"{absent} of {len(numbers)} keys were not found")
    check_packed(numbers, np.asarray(values).tobytes())


def check_values(numbers: Numbers, values: list[bytes | None]) -> None:
    """
    Compare what single reads gave with what was written.
    """
    absent = sum(value is None for value in values)
    if absent:
        raise WrongAnswerError(f"{absent} of {len(numbers)} keys were not found")
    check_packed(numbers, b"".join(value for value in values if value is not None))


def check_packed(numbers: Numbers, packed: bytes) -> None:
    """
    Likewise, for values one after another.
    """
    wrong = stamps_of(packed, VALUE_SIZE) != value_of(numbers.astype(np.uint64))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise WrongAnswerError(
            f"{int(np.count_nonzero(wrong))} of {len(numbers)} values are wrong, the "
            f"first that of item {int(numbers[at])}"
        )
