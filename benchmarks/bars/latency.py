# SPDX-License-Identifier: MIT
"""
How long the slowest single insert takes while a store grows from nothing.

Each insert is timed by itself. The same loop around a function that does nothing says
what of the slowest times is the machine's: interrupts, other processes, the clock.
"""

from __future__ import annotations

import gc
import importlib
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders.base import UnavailableError
from benchmarks.figures import percentile
from benchmarks.generators import integer_keys
from benchmarks.rounds import WrongAnswerError, number

CHUNK = 250_000

#: Inserts slower than this are counted.
SLOW_NS = 1_000_000

SHARES = {"p50_ns": 0.5, "p99_ns": 0.99, "p9999_ns": 0.9999, "max_ns": 1.0}


class Latency:
    """
    The role "latency": "pyfaster", "dict" or "nothing".
    """

    def __init__(self, command: dict[str, object], folder: Path) -> None:
        self._name = str(command["contender"])
        self._close: Callable[[], object] = lambda: None
        self._data: dict[int, int] = {}
        self._find: Callable[[int], object] = self._data.__getitem__
        self._insert: Callable[[int, int], object] = self._data.__setitem__
        if self._name == "nothing":
            self._insert = nothing
        elif self._name == "pyfaster":
            self._open_store()

    def _open_store(self) -> None:
        try:
            package: Any = importlib.import_module("pyfaster")
        except ImportError as error:
            raise UnavailableError(str(error)) from error
        store = package.open(key=int, value=int)
        session = store.session()
        self._insert, self._find = session.upsert, session.read

        def close() -> None:
            session.close()
            store.close()

        self._close = close

    def handle(self, command: dict[str, object]) -> dict[str, object]:
        """
        Do "grow": insert items one by one and give the distribution of their times.
        """
        items = number(command, "items")
        spent = array("q", bytes(8 * items))
        gc.collect()
        gc.disable()
        for first in range(0, items, CHUNK):
            numbers = np.arange(first, min(first + CHUNK, items), dtype=np.int64)
            insert_timed(self._insert, integer_keys(numbers), spent, first)
        gc.enable()
        self._check(items)
        ordered = np.sort(np.frombuffer(spent, dtype=np.int64))
        figures: dict[str, object] = {
            name: percentile(ordered, share) for name, share in SHARES.items()
        }
        figures["slower_than_1_ms"] = int(np.count_nonzero(ordered > SLOW_NS))
        figures["total_s"] = float(np.sum(ordered)) / 1e9
        return {"ok": True, "figures": figures}

    def _check(self, items: int) -> None:
        if self._name == "nothing":
            return
        key = integer_keys(np.array([items - 1], dtype=np.int64))[0]
        if self._find(key) != key:
            raise WrongAnswerError(f"{self._name}: the last item is not there")

    def close(self) -> None:
        """
        Close the store.
        """
        self._close()


def nothing(key: int, value: int) -> None:
    """
    Do nothing, as slowly as a call from Python does it.
    """


def insert_timed(
    insert: Callable[[int, int], object],
    keys: list[int],
    spent: array[int],
    first: int,
) -> None:
    """
    Insert keys as their own values and keep each insert's time.
    """
    clock = time.perf_counter_ns
    for place, key in enumerate(keys, first):
        begin = clock()
        insert(key, key)
        spent[place] = clock() - begin
