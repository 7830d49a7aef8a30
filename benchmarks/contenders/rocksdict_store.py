# SPDX-License-Identifier: MIT
"""
RocksDB through rocksdict.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from benchmarks.cases import Case, Shape
from benchmarks.contenders.base import Contender, Handle, UnavailableError, bumped
from benchmarks.contenders.locked import Locked

CACHE = 1 << 30


class RocksdictHandle(Locked, Handle):
    """
    The database itself, which any thread may use.
    """

    def __init__(self, package: Any, database: Any, threads: int) -> None:
        Locked.__init__(self, threads)
        self._database = database
        self._batch_type = package.WriteBatch
        self.read = database.get
        self.write = database.put

    def bump_alone(self, key: Any) -> None:
        self.write(key, bumped(self.read(key)))

    def read_batch(self, keys: Any) -> Any:
        return self._database.get(keys)

    def write_batch(self, keys: Any, values: Any) -> None:
        batch = self._batch_type(raw_mode=True)
        put = batch.put
        for key, value in zip(keys, values, strict=True):
            put(key, value)
        self._database.write(batch)

    def bump_batch_alone(self, keys: Any) -> None:
        found = dict(zip(keys, self._database.get(keys), strict=True))
        for key in keys:
            found[key] = bumped(found[key])
        self.write_batch(found.keys(), found.values())


class Rocksdict(Contender):
    """
    One database in raw mode: bytes in, bytes out.
    """

    def __init__(self, shape: Shape, directory: Path) -> None:
        super().__init__(shape, directory)
        try:
            package: Any = importlib.import_module("rocksdict")
        except ImportError as error:
            raise UnavailableError(str(error)) from error
        self._package = package
        where = str(directory / "rocksdict")
        self._database = package.Rdict(where, self._options(package))
        writing = package.WriteOptions()
        writing.disable_wal = True
        self._database.set_write_options(writing)

    def _options(self, package: Any) -> Any:
        options = package.Options(raw_mode=True)
        options.create_if_missing(True)
        table = package.BlockBasedOptions()
        table.set_block_cache(package.Cache(CACHE))
        table.set_bloom_filter(10.0, False)
        options.set_block_based_table_factory(table)
        options.set_compression_type(package.DBCompressionType.none())
        return options

    @classmethod
    def settings(cls) -> str:
        return (
            "raw mode, no write-ahead log, no compression, 1 GiB block cache, "
            "bloom filters of 10 bits; two threads bump under one lock"
        )

    def load(self, keys: Any, values: Any) -> None:
        handle = RocksdictHandle(self._package, self._database, 1)
        handle.write_batch(keys, values)

    def handles(self, case: Case) -> list[Handle]:
        made = [
            RocksdictHandle(self._package, self._database, case.threads)
            for _ in range(case.threads)
        ]
        for handle in made[1:]:
            handle.lock = made[0].lock
        return list(made)

    def close(self) -> None:
        self._database.close()
