# SPDX-License-Identifier: MIT
"""
Python's dict: the fastest thing that every Python programmer has at hand.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from benchmarks.cases import Case
from benchmarks.contenders.base import Contender, Handle, bumped


class DictHandle(Handle):
    """
    The dict itself; with a lock where two threads change what they have read.
    """

    def __init__(self, data: dict[Any, Any], integers: bool, threads: int) -> None:
        self._data = data
        self._integers = integers
        self._lock = threading.Lock() if threads > 1 else None
        self.read = data.__getitem__
        self.write = data.__setitem__

    def share_lock(self, other: DictHandle) -> None:
        """
        Use the other handle's lock.
        """
        self._lock = other._lock

    def bump(self, key: Any) -> None:
        data = self._data
        if self._lock is None:
            data[key] = data[key] + 1 if self._integers else bumped(data[key])
            return
        with self._lock:
            data[key] = data[key] + 1 if self._integers else bumped(data[key])

    def write_batch(self, keys: Any, values: Any) -> None:
        self._data.update(zip(keys, values, strict=True))

    def bump_batch(self, keys: Any) -> None:
        if self._lock is None:
            self.run_bumps(keys)
            return
        for key in keys:
            self.bump(key)

    def run_reads(self, keys: Sequence[Any]) -> None:
        data = self._data
        for key in keys:
            data[key]

    def run_writes(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        data = self._data
        for key, value in zip(keys, values, strict=True):
            data[key] = value

    def run_bumps(self, keys: Sequence[Any]) -> None:
        if self._lock is not None or not self._integers:
            super().run_bumps(keys)
            return
        data = self._data
        for key in keys:
            data[key] += 1

    def run_reads_writes(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        data = self._data
        for key, value in zip(keys, values, strict=True):
            if value is None:
                data[key]
            else:
                data[key] = value

    def run_reads_bumps(self, keys: Sequence[Any], flags: Sequence[bool]) -> None:
        if self._lock is not None or not self._integers:
            super().run_reads_bumps(keys, flags)
            return
        data = self._data
        for key, flag in zip(keys, flags, strict=True):
            if flag:
                data[key] += 1
            else:
                data[key]


class Dict(Contender):
    """
    A dict that maps int or bytes to int or bytes.
    """

    keys_as_integers = True
    values_as_integers = True

    _data: dict[Any, Any]

    @classmethod
    def settings(cls) -> str:
        return "a plain dict; two threads bump under one lock"

    def load(self, keys: Any, values: Any) -> None:
        if not hasattr(self, "_data"):
            self._data = {}
        self._data.update(zip(keys, values, strict=True))

    def handles(self, case: Case) -> list[Handle]:
        integers = self.shape.value_size == 8
        made = [
            DictHandle(self._data, integers, case.threads) for _ in range(case.threads)
        ]
        for handle in made[1:]:
            handle.share_lock(made[0])
        return list(made)

    def close(self) -> None:
        self._data = {}
