# SPDX-License-Identifier: MIT
"""
An lmdb database that is only appended to.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.contenders.base import UnavailableError
from benchmarks.logs.base import DurableLog

#: Sparse: more than it can need.
MAP_SIZE = 1 << 32


class LmdbLog(DurableLog):
    """
    A group is one transaction.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        try:
            lmdb: Any = importlib.import_module("lmdb")
        except ImportError as error:
            raise UnavailableError(str(error)) from error
        self._environment = lmdb.open(
            str(folder / "lmdb"), map_size=MAP_SIZE, max_dbs=1
        )
        self._entries = self._environment.open_db(b"entries", integerkey=True)
        with self._environment.begin(db=self._entries) as transaction:
            self._next = int(transaction.stat()["entries"])

    @classmethod
    def settings(cls) -> str:
        return (
            "sync and metasync, integer keys, put in order (append=True); a group is "
            "one transaction with one putmulti"
        )

    def append_group(self, group: Sequence[bytes]) -> None:
        first = self._next
        self._next = first + len(group)
        with self._environment.begin(db=self._entries, write=True) as transaction:
            cursor = transaction.cursor()
            items = [
                (number.to_bytes(8, "little"), one)
                for number, one in enumerate(group, first)
            ]
            cursor.putmulti(items, append=True)

    def scan(self) -> int:
        count = 0
        with self._environment.begin(db=self._entries) as transaction:
            for _ in transaction.cursor().iternext(keys=False, values=True):
                count += 1
        return count

    def read(self, count: int) -> list[bytes]:
        with self._environment.begin(db=self._entries) as transaction:
            values = transaction.cursor().iternext(keys=False, values=True)
            return list(islice(values, count))

    def close(self) -> None:
        self._environment.close()
