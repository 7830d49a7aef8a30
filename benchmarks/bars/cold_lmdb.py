# SPDX-License-Identifier: MIT
"""
Reads of an lmdb environment that may have no more memory than a store's budget.

An lmdb environment has no cache of its own: what it keeps in memory is the kernel's
cache of its file. So that is bounded. Before each slice the environment is closed, its
file leaves the cache, and it is opened anew without read-ahead. Untimed reads of
uniform keys then bring in as many different pages as the budget holds, and only then a
slice is timed that can bring in an eighth of that at most: lmdb has the budget and up
to an eighth more, all of it for data.
"""

from __future__ import annotations

import gc
import importlib
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bars.tiered import check_values, keys_of, rows_of
from benchmarks.contenders.base import UnavailableError
from benchmarks.generators import Numbers
from benchmarks.rounds import number

PAGE = 4096

#: The timed slice reads at most this share of the budget's pages.
SLICE_SHARE = 8

LOAD_SLICE = 100_000


class ColdLmdb:
    """
    The role "cold-lmdb".
    """

    def __init__(self, command: dict[str, object], folder: Path) -> None:
        if not hasattr(os, "posix_fadvise"):
            raise UnavailableError("this system's cache cannot be told to forget")
        try:
            self._lmdb: Any = importlib.import_module("lmdb")
        except ImportError as error:
            raise UnavailableError(str(error)) from error
        self._path = folder / "lmdb"
        self._items = number(command, "items")
        self._pages = max(1, number(command, "memory") // PAGE)
        self._source = np.random.default_rng(number(command, "seed"))
        self._environment = self._open()
        self._load()

    def _open(self) -> Any:
        size = self._items * 512 + (1 << 24)  # sparse: more than it can need
        return self._lmdb.open(
            str(self._path),
            map_size=size,
            readahead=False,
            sync=False,
            metasync=False,
            lock=False,
            max_dbs=1,
        )

    def _database(self) -> Any:
        return self._environment.open_db(b"items", integerkey=True)

    def _load(self) -> None:
        """
        Write all items in the order of their keys, which makes pages full.
        """
        database = self._database()
        keys = keys_of(np.arange(self._items, dtype=np.int64))
        order = np.argsort(keys)
        for first in range(0, self._items, LOAD_SLICE):
            part = order[first : first + LOAD_SLICE]
            packed = [int(key).to_bytes(8, "little") for key in keys[part]]
            values = [bytes(row) for row in rows_of(part)]
            with self._environment.begin(db=database, write=True) as transaction:
                cursor = transaction.cursor()
                cursor.putmulti(zip(packed, values, strict=True), append=True)
        self._environment.sync(True)

    def handle(self, command: dict[str, object]) -> dict[str, object]:
        """
        Do "reads": give how many keys were read in a second.
        """
        keys, batch = number(command, "keys"), number(command, "batch")
        self._forget()
        self._read(self._batches(self._warming(), batch))
        count = min(keys, max(1, self._pages // SLICE_SHARE))
        return {"ok": True, "keys": self._read(self._batches(count, batch))}

    def _warming(self) -> int:
        """
        Give how many uniform reads bring in as many different pages as are allowed.
        """
        with self._environment.begin(db=self._database()) as transaction:
            stat: dict[str, int] = transaction.stat()
        every = stat["leaf_pages"] + stat["branch_pages"]
        if self._pages >= every:
            return self._items
        return max(1, round(-every * math.log1p(-self._pages / every)))

    def _batches(self, count: int, batch: int) -> list[Numbers]:
        return [
            self._draw(min(batch, count - first)) for first in range(0, count, batch)
        ]

    def _draw(self, count: int) -> Numbers:
        return self._source.integers(0, self._items, count, dtype=np.int64)

    def _forget(self) -> None:
        self._environment.close()
        for path in self._path.iterdir():
            file = os.open(path, os.O_RDWR)
            try:
                os.fsync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)
        self._environment = self._open()

    def _read(self, drawn: list[Numbers]) -> float:
        """
        Read batches in one transaction; give keys in a second.
        """
        parts = [
            [int(key).to_bytes(8, "little") for key in keys_of(part)] for part in drawn
        ]
        with self._environment.begin(db=self._database()) as transaction:
            cursor = transaction.cursor()
            gc.collect()
            begin = time.perf_counter()
            got = [cursor.getmulti(part) for part in parts]
            spent = time.perf_counter() - begin
        for numbers, keys, pairs in zip(drawn, parts, got, strict=True):
            found: dict[bytes, bytes] = dict(pairs)
            check_values(numbers, [found.get(key) for key in keys])
        return sum(map(len, parts)) / spent

    def close(self) -> None:
        """
        Close the environment.
        """
        self._environment.close()
