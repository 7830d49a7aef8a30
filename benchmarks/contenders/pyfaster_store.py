# SPDX-License-Identifier: MIT
"""
pyfaster itself: once with declared sizes, once with plain bytes.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import generators
from benchmarks.cases import Case, Shape
from benchmarks.contenders.base import Contender, Handle, UnavailableError, bumped
from benchmarks.contenders.locked import Locked
from benchmarks.generators import Numbers, Words


class CountingHandle(Handle):
    """
    A session over 8-byte integers, which the core adds to by itself.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self.read = session.read
        self.write = session.upsert

    def bump(self, key: Any) -> object:
        return self._session.rmw(key, 1, merge="add")

    def read_batch(self, keys: Any) -> Any:
        values, _ = self._session.read_many(keys)
        return values

    def write_batch(self, keys: Any, values: Any) -> object:
        return self._session.upsert_many(keys, values)

    def bump_batch(self, keys: Any) -> object:
        ones = np.ones(len(keys), dtype=np.uint64)
        return self._session.rmw_many(keys, ones, merge="add")

    def run_bumps(self, keys: Sequence[Any]) -> None:
        rmw = self._session.rmw
        for key in keys:
            rmw(key, 1, merge="add")

    def run_reads_bumps(self, keys: Sequence[Any], flags: Sequence[bool]) -> None:
        read, rmw = self._session.read, self._session.rmw
        for key, flag in zip(keys, flags, strict=True):
            if flag:
                rmw(key, 1, merge="add")
            else:
                read(key)


class BytesHandle(Locked, Handle):
    """
    A session over opaque values, bumped by a read and an upsert as everywhere else.
    """

    def __init__(self, session: Any, rows: bool, threads: int) -> None:
        Locked.__init__(self, threads)
        self._session = session
        self._rows = rows
        self.read = session.read
        self.write = session.upsert

    def bump_alone(self, key: Any) -> None:
        self.write(key, bumped(self.read(key)))

    def read_batch(self, keys: Any) -> Any:
        if not self._rows:
            return self._session.read_many(keys)
        values, _ = self._session.read_many(keys)
        return values

    def write_batch(self, keys: Any, values: Any) -> object:
        return self._session.upsert_many(keys, values)

    def bump_batch_alone(self, keys: Any) -> None:
        if not self._rows:
            found = dict(zip(keys, self._session.read_many(keys), strict=True))
            for key in keys:
                found[key] = bumped(found[key])
            self._session.upsert_many(list(found), list(found.values()))
            return
        unique, counts = np.unique(keys, return_counts=True)
        values, _ = self._session.read_many(unique)
        rows = np.array(values).view(np.uint8).reshape(len(unique), -1)
        stamps = np.ascontiguousarray(rows[:, :8]).view("<u8").reshape(-1)
        rows[:, :8] = (stamps + counts.astype(np.uint64)).view(np.uint8).reshape(-1, 8)
        self._session.upsert_many(unique, rows.view(values.dtype).reshape(-1))


class Pyfaster(Contender):
    """
    A store in memory whose key and value types have declared sizes.
    """

    keys_as_integers = True
    values_as_integers = True

    def __init__(self, shape: Shape, directory: Path) -> None:
        super().__init__(shape, directory)
        try:
            package: Any = importlib.import_module("pyfaster")
        except ImportError as error:
            raise UnavailableError(str(error)) from error
        self.store = self._open(package)
        self._sessions: list[Any] = []

    def _open(self, package: Any) -> Any:
        return package.open(**self._types(package))

    def _types(self, package: Any) -> dict[str, Any]:
        sizes = {8: package.UInt64}
        for size in (self.shape.key_size, self.shape.value_size):
            sizes.setdefault(size, package.Bytes(size))
        return {
            "key": sizes[self.shape.key_size],
            "value": sizes[self.shape.value_size],
        }

    @classmethod
    def settings(cls) -> str:
        return (
            "in memory, defaults; UInt64 for 8 bytes, Bytes(n) for more; 8-byte "
            'values are bumped by merge="add", longer ones by read and upsert; '
            "batches are numpy arrays"
        )

    def load(self, keys: Any, values: Any) -> None:
        self._need(1)
        self._sessions[0].upsert_many(keys, values)

    def _need(self, count: int) -> None:
        while len(self._sessions) < count:
            self._sessions.append(self.store.session())

    def handles(self, case: Case) -> list[Handle]:
        self._need(case.threads)
        sessions = self._sessions[: case.threads]
        if self.shape.value_size == 8 and self.values_as_integers:
            return [CountingHandle(session) for session in sessions]
        made = [BytesHandle(one, self._rows(), case.threads) for one in sessions]
        for handle in made[1:]:
            handle.lock = made[0].lock
        return list(made)

    def _rows(self) -> bool:
        return True

    def batch_keys(self, numbers: Numbers) -> Any:
        return rows(
            generators.packed_keys(numbers, self.shape.key_size), self.shape.key_size
        )

    def batch_values(self, stamps: Words) -> Any:
        return rows(
            generators.packed_values(stamps, self.shape.value_size),
            self.shape.value_size,
        )

    def close(self) -> None:
        for session in self._sessions:
            session.close()
        self.store.close()


class PyfasterVarlen(Pyfaster):
    """
    A store of bytes of any length: what a user gets who declares nothing.
    """

    keys_as_integers = False
    values_as_integers = False

    def _types(self, package: Any) -> dict[str, Any]:
        return {"key": bytes, "value": bytes}

    @classmethod
    def settings(cls) -> str:
        return (
            "in memory, defaults; key=bytes, value=bytes; bumped by read and upsert; "
            "batches are lists of bytes; two threads bump under one lock"
        )

    def _rows(self) -> bool:
        return False

    def batch_keys(self, numbers: Numbers) -> Any:
        return self.keys(numbers)

    def batch_values(self, stamps: Words) -> Any:
        return self.values(stamps)


def rows(packed: bytes, size: int) -> NDArray[Any]:
    """
    Give packed items as an array with one item a row.
    """
    return np.frombuffer(packed, dtype="<u8" if size == 8 else f"V{size}")
