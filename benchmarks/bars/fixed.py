# SPDX-License-Identifier: MIT
"""
A process with one store of 8-byte keys and values, and a numpy table of its size.

Item i has the key i and the value 3 i + 1, so the table's row i is where a program
without a store would have it: the gather is the floor that a batch read is compared
with.
"""

from __future__ import annotations

import gc
import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders.base import UnavailableError
from benchmarks.generators import Words
from benchmarks.rounds import WrongAnswerError, clock, number

LOAD_CHUNK = 250_000

#: Words in a row of the table: 32 bytes, as large as a record of the store.
ROW_WORDS = 4


class Fixed:
    """
    The role "fixed".
    """

    def __init__(self, command: dict[str, object], folder: Path) -> None:
        try:
            package: Any = importlib.import_module("pyfaster")
        except ImportError as error:
            raise UnavailableError(str(error)) from error
        self._batch = number(command, "batch")
        self._source = np.random.default_rng(number(command, "seed"))
        self._store: Any = package.open(key=package.UInt64, value=package.UInt64)
        self._sessions: list[Any] = [self._store.session()]
        self._expected: Words = np.empty(0, dtype=np.uint64)
        self._table: Words | None = None
        self._prepared: list[tuple[str, Callable[[], None], list[Words]]] = []
        self._grow(number(command, "items"))

    def handle(self, command: dict[str, object]) -> dict[str, object]:
        """
        Do "load", "round", "batches", "prepare" or "go".
        """
        do = str(command["do"])
        if do == "load":
            self._grow(number(command, "items"))
            return {"ok": True}
        if do == "round":
            return self._round(number(command, "calls"), number(command, "singles"))
        if do == "batches":
            return {"ok": True, "batches_ns": self._batches(number(command, "calls"))}
        if do == "prepare":
            self._prepare(
                str(command["kind"]),
                number(command, "calls"),
                number(command, "threads"),
            )
            return {"ok": True}
        if do == "go":
            return {"ok": True, "nanoseconds": self._go()}
        raise ValueError(f"no such command: {do!r}")

    def _grow(self, items: int) -> None:
        old = self._expected
        for first in range(len(old), items, LOAD_CHUNK):
            last = min(first + LOAD_CHUNK, items)
            keys = np.arange(first, last, dtype=np.uint64)
            self._sessions[0].upsert_many(keys, value_of(keys))
        fresh = value_of(np.arange(len(old), items, dtype=np.uint64))
        self._expected = np.concatenate([old, fresh])

    def _draw(self, calls: int) -> list[Words]:
        return [
            self._source.integers(0, len(self._expected), self._batch, dtype=np.uint64)
            for _ in range(calls)
        ]

    def _round(self, calls: int, singles: int) -> dict[str, object]:
        """
        Gather, read_many, single reads and rmw_many, one after the other.
        """
        table = self._gather_table()
        session = self._sessions[0]
        keys = self._draw(calls)
        gather_keys = [part.astype(np.int64) for part in keys]

        def gather() -> None:
            for part in gather_keys:
                table[part, 0]

        done = calls * self._batch
        answer: dict[str, object] = {"ok": True}
        answer["gather_ns"] = clock([gather]) / done
        answer["read_many_ns"] = clock([read_batches(session, keys)]) / done
        answer["single_ns"] = self._single_reads(singles)
        answer["rmw_many_ns"] = clock([self._bump_batches(session, keys)]) / done
        self._bumped(keys)
        self._check(keys[-1])
        return answer

    def _gather_table(self) -> Words:
        if self._table is None:
            rows = np.zeros((len(self._expected), ROW_WORDS), dtype=np.uint64)
            rows[:, 0] = self._expected
            self._table = rows
        return self._table

    def _single_reads(self, count: int) -> float:
        drawn = self._source.integers(0, len(self._expected), count, dtype=np.uint64)
        keys: list[int] = drawn.tolist()
        read = self._sessions[0].read

        def loop() -> None:
            for key in keys:
                read(key)

        return clock([loop]) / count

    def _batches(self, calls: int) -> list[int]:
        """
        Time batch reads one by one.
        """
        read_many = self._sessions[0].read_many
        spent: list[int] = []
        gc.collect()
        for part in self._draw(calls):
            begin = time.perf_counter_ns()
            read_many(part)
            spent.append(time.perf_counter_ns() - begin)
            self._check(part)
        return spent

    def _prepare(self, kind: str, calls: int, threads: int) -> None:
        while len(self._sessions) < threads:
            self._sessions.append(self._store.session())
        self._prepared = []
        for session in self._sessions[:threads]:
            keys = self._draw(calls)
            make = read_batches if kind == "read" else self._bump_batches
            self._prepared.append((kind, make(session, keys), keys))

    def _go(self) -> int:
        spent = clock([job for _, job, _ in self._prepared])
        for kind, _, keys in self._prepared:
            if kind == "rmw":
                self._bumped(keys)
        for _, _, keys in self._prepared:
            self._check(keys[-1])
        self._prepared = []
        return spent

    def _bump_batches(self, session: Any, keys: list[Words]) -> Callable[[], None]:
        ones = np.ones(self._batch, dtype=np.uint64)

        def loop() -> None:
            for part in keys:
                session.rmw_many(part, ones, merge="add")

        return loop

    def _bumped(self, keys: list[Words]) -> None:
        for part in keys:
            np.add.at(self._expected, part, np.uint64(1))

    def _check(self, keys: Words) -> None:
        values, found = self._sessions[0].read_many(keys)
        wrong = int(np.count_nonzero(values != self._expected[keys]))
        absent = len(keys) - int(np.count_nonzero(found))
        if wrong or absent:
            raise WrongAnswerError(
                f"pyfaster: read_many of {len(keys)} keys: {absent} were not found "
                f"and {wrong} have wrong values"
            )

    def close(self) -> None:
        """
        Close the store.
        """
        for session in self._sessions:
            session.close()
        self._store.close()


def value_of(keys: Words) -> Words:
    """
    Give the values that items have at first.
    """
    return keys * np.uint64(3) + np.uint64(1)


def read_batches(session: Any, keys: list[Words]) -> Callable[[], None]:
    """
    Give the loop that reads batch after batch.
    """

    def loop() -> None:
        for part in keys:
            session.read_many(part)

    return loop
