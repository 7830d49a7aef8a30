# SPDX-License-Identifier: MIT
"""
LMDB through its C extension, inside one open write transaction.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from benchmarks.cases import WORKLOADS, Case
from benchmarks.contenders.base import Contender, Handle, UnavailableError, bumped

#: Room enough for what is loaded here; a sparse file, so size costs nothing.
MAP_SIZE = 16 << 30


class LmdbHandle(Handle):
    """
    One transaction.
    """

    def __init__(self, transaction: Any) -> None:
        self.transaction = transaction
        self._cursor = transaction.cursor()
        self.read = transaction.get
        self.write = transaction.put

    def bump(self, key: Any) -> None:
        self.write(key, bumped(self.read(key)))

    def read_batch(self, keys: Any) -> list[bytes]:
        found = dict(self._cursor.getmulti(keys))
        return list(map(found.__getitem__, keys))

    def write_batch(self, keys: Any, values: Any) -> None:
        self._cursor.putmulti(list(zip(keys, values, strict=True)))

    def bump_batch(self, keys: Any) -> None:
        found = dict(self._cursor.getmulti(keys))
        for key in keys:
            found[key] = bumped(found[key])
        self._cursor.putmulti(list(found.items()))

    def run_bumps(self, keys: Sequence[Any]) -> None:
        read, write = self.transaction.get, self.transaction.put
        if len(read(keys[0])) > 8:
            super().run_bumps(keys)
            return
        for key in keys:
            stamp = int.from_bytes(read(key), "little") + 1
            write(key, stamp.to_bytes(8, "little"))


class Lmdb(Contender):
    """
    One environment with one database; 8-byte keys are declared to be integers.
    """

    def __init__(self, shape: Any, directory: Any) -> None:
        super().__init__(shape, directory)
        try:
            lmdb: Any = importlib.import_module("lmdb")
        except ImportError as error:
            raise UnavailableError(str(error)) from error
        self._environment = lmdb.open(
            str(directory / "lmdb"),
            map_size=MAP_SIZE,
            sync=False,
            metasync=False,
            writemap=True,
            lock=False,
            max_dbs=1,
        )
        self._database = self._environment.open_db(
            b"items", integerkey=shape.key_size == 8
        )
        self._open: list[Any] = []
        self._writing = False

    @classmethod
    def settings(cls) -> str:
        return (
            "writemap, no sync, integerkey for 8-byte keys; one write transaction, "
            "open all the time; two threads read, in a transaction each"
        )

    def refuses(self, case: Case) -> str | None:
        if case.threads > 1 and WORKLOADS[case.workload].reads < 100:
            return "a write transaction belongs to one thread"
        return None

    def load(self, keys: Any, values: Any) -> None:
        with self._environment.begin(db=self._database, write=True) as transaction:
            cursor = transaction.cursor()
            cursor.putmulti(sorted(zip(keys, values, strict=True)))

    def handles(self, case: Case) -> list[Handle]:
        writing = case.threads == 1
        if not (writing and self._writing and self._open):
            self._finish()
            self._writing = writing
            self._open = [
                self._environment.begin(db=self._database, write=writing)
                for _ in range(case.threads)
            ]
        return [LmdbHandle(transaction) for transaction in self._open]

    def _finish(self) -> None:
        for transaction in self._open:
            transaction.commit()
        self._open = []

    def close(self) -> None:
        self._finish()
        self._environment.close()
