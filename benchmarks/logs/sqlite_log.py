# SPDX-License-Identifier: MIT
"""
A table of sqlite3, with a write-ahead log that every transaction syncs.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contenders.base import UnavailableError
from benchmarks.logs.base import DurableLog

INSERT = "INSERT INTO entries (data) VALUES (?)"
SELECT = "SELECT data FROM entries ORDER BY id"


class SqliteLog(DurableLog):
    """
    A group is one transaction.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        try:
            sqlite: Any = importlib.import_module("sqlite3")
        except ImportError as error:
            raise UnavailableError(str(error)) from error
        self._base = sqlite.connect(str(folder / "log.db"), isolation_level=None)
        execute = self._base.execute
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        execute("CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, data)")

    @classmethod
    def settings(cls) -> str:
        return (
            "a file, journal_mode WAL, synchronous FULL, integer primary key; a group "
            "is one transaction with one executemany"
        )

    def append_group(self, group: Sequence[bytes]) -> None:
        self._base.execute("BEGIN")
        self._base.executemany(INSERT, [(one,) for one in group])
        self._base.execute("COMMIT")

    def scan(self) -> int:
        count = 0
        for (_,) in self._base.execute(SELECT):
            count += 1
        return count

    def read(self, count: int) -> list[bytes]:
        rows = self._base.execute(f"{SELECT} LIMIT ?", (count,))
        return [data for (data,) in rows]

    def close(self) -> None:
        self._base.close()
