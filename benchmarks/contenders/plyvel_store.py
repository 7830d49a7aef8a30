# SPDX-License-Identifier: MIT
"""
LevelDB through plyvel.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from benchmarks.cases import Case, Shape
from benchmarks.contenders.base import Contender, Handle, UnavailableError, bumped
from benchmarks.contenders.locked import Locked

CACHE = 1 << 30


class PlyvelHandle(Locked, Handle):
    """
    The database itself, which any thread may use. It has no read of many keys.
    """

    def __init__(self, database: Any, threads: int) -> None:
        Locked.__init__(self, threads)
        self._database = database
        self.read = database.get
        self.write = database.put

    def bump_alone(self, key: Any) -> None:
        self.write(key, bumped(self.read(key)))

    def write_batch(self, keys: Any, values: Any) -> None:
        with self._database.write_batch() as batch:
            put = batch.put
            for key, value in zip(keys, values, strict=True):
                put(key, value)

    def bump_batch_alone(self, keys: Any) -> None:
        read = self._database.get
        found: dict[Any, bytes] = {}
        for key in keys:
            value = found.get(key)
            found[key] = bumped(read(key) if value is None else value)
        self.write_batch(found.keys(), found.values())


class Plyvel(Contender):
    """
    One database.
    """

    def __init__(self, shape: Shape, directory: Path) -> None:
        super().__init__(shape, directory)
        try:
            package: Any = importlib.import_module("plyvel")
        except ImportError as error:
            raise UnavailableError(str(error)) from error
        self._database = package.DB(
            str(directory / "plyvel"),
            create_if_missing=True,
            write_buffer_size=64 << 20,
            lru_cache_size=CACHE,
            bloom_filter_bits=10,
            compression=None,
        )

    @classmethod
    def settings(cls) -> str:
        return (
            "64 MiB write buffer, 1 GiB cache, bloom filters of 10 bits, no "
            "compression, no sync; reads of many keys are a loop; two threads bump "
            "under one lock"
        )

    def load(self, keys: Any, values: Any) -> None:
        PlyvelHandle(self._database, 1).write_batch(keys, values)

    def handles(self, case: Case) -> list[Handle]:
        made = [PlyvelHandle(self._database, case.threads) for _ in range(case.threads)]
        for handle in made[1:]:
            handle.lock = made[0].lock
        return list(made)

    def close(self) -> None:
        self._database.close()
