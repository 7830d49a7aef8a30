# SPDX-License-Identifier: MIT
"""
A queue of persist-queue in sqlite3, read without taking anything out.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contenders.base import UnavailableError
from benchmarks.logs.base import DurableLog


class Bytes:
    """
    A serializer for what are bytes already.
    """

    @staticmethod
    def dumps(value: bytes) -> bytes:
        """
        Give what is stored.
        """
        return value

    @staticmethod
    def loads(data: bytes) -> bytes:
        """
        Give what was put.
        """
        return data


class QueueLog(DurableLog):
    """
    It has no call for a group: each put is a transaction.
    """

    few = 100

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        try:
            package: Any = importlib.import_module("persistqueue")
        except ImportError as error:
            raise UnavailableError(str(error)) from error
        self._empty: type[Exception] = package.Empty
        self._queue = package.SQLiteQueue(
            str(folder / "queue"), auto_commit=False, serializer=Bytes
        )
        self._queue._putter.execute("PRAGMA synchronous = FULL")

    @classmethod
    def settings(cls) -> str:
        return (
            "SQLiteQueue, its journal_mode WAL, synchronous FULL, bytes as they are; "
            "each put is a transaction; auto_commit off, so that get deletes nothing"
        )

    def append_group(self, group: Sequence[bytes]) -> None:
        put = self._queue.put
        for one in group:
            put(one)

    def scan(self) -> int:
        get, count = self._queue.get, 0
        try:
            while True:
                get(False)
                count += 1
        except self._empty:
            return count

    def read(self, count: int) -> list[bytes]:
        rows: list[dict[str, Any]] = self._queue.queue()
        return [bytes(row["data"]) for row in rows[:count]]

    def close(self) -> None:
        self._queue.close()
