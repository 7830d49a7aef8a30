# SPDX-License-Identifier: MIT
"""
How much memory a store takes for each item while it grows.

Resident memory is read from the kernel before the store is opened and after each chunk
of inserts. A store of one item is opened and closed before that, so that what Python
imports on the way (which no item pays for) is there already. The kernel's high-water
mark is set back before each chunk, so that a peak between two samples (an index that is
there twice while it grows) is seen too.
"""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bars.fixed import value_of
from benchmarks.contenders.base import UnavailableError
from benchmarks.rounds import WrongAnswerError, number

_STATM = Path("/proc/self/statm")
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")

#: What sets the high-water mark back to the present size.
_RESET_PEAK = "5"


class Memory:
    """
    The role "memory": a process that has done nothing else.
    """

    def __init__(self, command: dict[str, object], folder: Path) -> None:
        if not _STATM.exists():
            raise UnavailableError("this system does not tell resident memory")
        self._name = str(command["contender"])
        self._chunk = number(command, "chunk")
        self._keys = np.zeros(self._chunk, dtype=np.uint64)
        self._values = np.zeros(self._chunk, dtype=np.uint64)
        self._package: Any = None
        if self._name == "pyfaster":
            try:
                self._package = importlib.import_module("pyfaster")
            except ImportError as error:
                raise UnavailableError(str(error)) from error
        self._close: Callable[[], object] = lambda: None

    def handle(self, command: dict[str, object]) -> dict[str, object]:
        """
        Do "grow": insert items and give samples of [items, bytes, peak bytes].
        """
        items = number(command, "items")
        self._warm_up()
        gc.collect()
        base = resident()
        insert, find = self._open()
        samples: list[list[int]] = []
        for first in range(0, items, self._chunk):
            self._keys[:] = np.arange(first, first + self._chunk, dtype=np.uint64)
            self._values[:] = value_of(self._keys)
            reset_peak()
            insert()
            samples.append([first + self._chunk, resident() - base, peak() - base])
        last = int(self._keys[-1])
        if find(last) != 3 * last + 1:
            raise WrongAnswerError(f"{self._name}: item {last} is {find(last)}")
        return {"ok": True, "samples": samples, "base": base}

    def _warm_up(self) -> None:
        if self._package is None:
            return
        types = self._package.UInt64, self._package.UInt64
        with (
            self._package.open(key=types[0], value=types[1]) as store,
            store.session() as session,
        ):
            session.upsert_many(self._keys[:1], self._values[:1])

    def _open(self) -> tuple[Callable[[], object], Callable[[int], object]]:
        if self._package is None:
            data: dict[int, int] = {}
            return lambda: data.update(
                zip(self._keys.tolist(), self._values.tolist(), strict=True)
            ), data.__getitem__
        store = self._package.open(key=self._package.UInt64, value=self._package.UInt64)
        session = store.session()

        def close() -> None:
            session.close()
            store.close()

        self._close = close
        return lambda: session.upsert_many(self._keys, self._values), session.read

    def close(self) -> None:
        """
        Close the store.
        """
        self._close()


def resident() -> int:
    """
    Give the bytes of this process that are in memory.
    """
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    """
    Give the most bytes that were in memory since `reset_peak`.
    """
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.split()[0]) * 1024
    raise UnavailableError("the kernel does not tell VmHWM")


def reset_peak() -> None:
    """
    Set the high-water mark back to the present size.
    """
    _CLEAR.write_text(_RESET_PEAK)
