# SPDX-License-Identifier: MIT
"""
A process that writes many times its budget and tells how much memory it ever had.

Everything of the process counts: the interpreter, its modules, the arrays that the
values come from. That is why the bound has a constant beside the budget.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bars.memory import peak
from benchmarks.bars.tiered import DEVICE_OPTIONS
from benchmarks.contenders.base import UnavailableError
from benchmarks.rounds import WrongAnswerError, number
from benchmarks.sizes import record_bytes

VALUE_SIZE = 1024
SLICE = 1024

#: What a process may have: the budget and a little more, and what Python itself takes.
FACTOR = 1.15
CONSTANT = 60_000_000


class Bounded:
    """
    The role "bounded".
    """

    def __init__(self, command: dict[str, object], folder: Path) -> None:
        if not Path("/proc/self/status").exists():
            raise UnavailableError("this system does not tell resident memory")
        self._budget = number(command, "memory")
        try:
            package: Any = importlib.import_module("pyfaster")
        except ImportError as error:
            raise UnavailableError(str(error)) from error
        try:
            self._store: Any = package.open(
                f"{command['scheme']}:{folder / 'store'}",
                key=int,
                value=package.Bytes(VALUE_SIZE),
                durable=False,
                memory=self._budget,
                device_options=DEVICE_OPTIONS,
            )
        except package.errors.PluginMissingError as error:
            raise UnavailableError(str(error)) from error

    def handle(self, command: dict[str, object]) -> dict[str, object]:
        """
        Do "grow": write so many times the budget.
        """
        items = number(command, "times") * self._budget // record_bytes(VALUE_SIZE)
        rows = np.zeros((SLICE, VALUE_SIZE), dtype=np.uint8)
        words = rows.view(np.int64)
        with self._store.session() as session:
            for first in range(0, items, SLICE):
                numbers = np.arange(first, min(first + SLICE, items), dtype=np.int64)
                words[: len(numbers), 0] = numbers
                session.upsert_many(numbers, rows[: len(numbers)])
            self._store.flush(600.0)
            self._check(session, items)
        stats = self._store.stats()
        return {
            "ok": True,
            "peak": peak(),
            "bound": int(self._budget * FACTOR) + CONSTANT,
            "written": stats.address_tail - stats.address_begin,
            "used": stats.memory_used,
        }

    def _check(self, session: Any, items: int) -> None:
        """
        Read some items of every part of the log.
        """
        numbers = np.linspace(0, items - 1, SLICE).astype(np.int64)
        values, found = session.read_many(numbers)
        words = np.frombuffer(np.asarray(values).tobytes(), dtype=np.int64)
        first = words.reshape(len(numbers), -1)[:, 0]
        if not np.all(found) or not np.array_equal(first, numbers):
            raise WrongAnswerError("values that were written are not there")

    def close(self) -> None:
        """
        Close the store.
        """
        self._store.close()
