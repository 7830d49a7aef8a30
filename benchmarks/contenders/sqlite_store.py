# SPDX-License-Identifier: MIT
"""
sqlite3 of the standard library: one table, one open transaction.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cases import Case, Shape
from benchmarks.contenders.base import Contender, Handle, UnavailableError, bumped
from benchmarks.contenders.locked import Locked

READ = "SELECT value FROM items WHERE key = ?"
WRITE = "INSERT OR REPLACE INTO items VALUES (?, ?)"
BUMP = "UPDATE items SET value = value + 1 WHERE key = ?"

#: Keys in one SELECT; sqlite allows 32,766 variables, older builds 999.
SELECT_KEYS = 900


class SqliteHandle(Locked, Handle):
    """
    One connection's cursor. Integer values are bumped by one UPDATE.
    """

    def __init__(self, connection: Any, integers: bool, threads: int) -> None:
        Locked.__init__(self, threads)
        self._cursor = connection.cursor()
        self._integers = integers
        self.read = self._read
        self.write = self._write

    def _read(self, key: Any) -> Any:
        row = self._cursor.execute(READ, (key,)).fetchone()
        return None if row is None else row[0]

    def _write(self, key: Any, value: Any) -> None:
        self._cursor.execute(WRITE, (key, value))

    def bump(self, key: Any) -> None:
        if self._integers:
            self._cursor.execute(BUMP, (key,))
            return
        super().bump(key)

    def bump_alone(self, key: Any) -> None:
        self._write(key, bumped(self._read(key)))

    def read_batch(self, keys: Any) -> list[Any]:
        return list(map(self._read_found(keys).get, keys))

    def _read_found(self, keys: Sequence[Any]) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for first in range(0, len(keys), SELECT_KEYS):
            part = keys[first : first + SELECT_KEYS]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, value FROM items WHERE key IN ({marks})"
            found.update(self._cursor.execute(query, part))
        return found

    def write_batch(self, keys: Any, values: Any) -> None:
        self._cursor.executemany(WRITE, zip(keys, values, strict=True))

    def bump_batch(self, keys: Any) -> None:
        if self._integers:
            self._cursor.executemany(BUMP, ((key,) for key in keys))
            return
        super().bump_batch(keys)

    def bump_batch_alone(self, keys: Any) -> None:
        found = self._read_found(keys)
        for key in keys:
            found[key] = bumped(found[key])
        self.write_batch(found.keys(), found.values())

    def run_reads(self, keys: Sequence[Any]) -> None:
        execute = self._cursor.execute
        for key in keys:
            execute(READ, (key,)).fetchone()

    def run_writes(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        execute = self._cursor.execute
        for pair in zip(keys, values, strict=True):
            execute(WRITE, pair)


class SqliteMemory(Contender):
    """
    A database in memory.
    """

    keys_as_integers = True
    values_as_integers = True

    def __init__(self, shape: Shape, directory: Path) -> None:
        super().__init__(shape, directory)
        try:
            package: Any = importlib.import_module("sqlite3")
        except ImportError as error:
            raise UnavailableError(str(error)) from error
        self._threadsafety = int(package.threadsafety)
        self._connection = package.connect(
            self._name(), isolation_level=None, check_same_thread=False
        )
        self._prepare()
        key = "INTEGER PRIMARY KEY" if shape.key_size == 8 else "BLOB PRIMARY KEY"
        rowid = "" if shape.key_size == 8 else " WITHOUT ROWID"
        self._connection.execute(f"CREATE TABLE items (key {key}, value){rowid}")
        self._connection.execute("BEGIN")

    def _name(self) -> str:
        return ":memory:"

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA cache_size = -1048576")

    @classmethod
    def settings(cls) -> str:
        return (
            ":memory:, one open transaction, integer primary key or WITHOUT ROWID; "
            "two threads share the connection"
        )

    def refuses(self, case: Case) -> str | None:
        if case.threads > 1 and self._threadsafety < 3:
            return "this sqlite3 does not let threads share a connection"
        return None

    def load(self, keys: Any, values: Any) -> None:
        self._connection.executemany(WRITE, sorted(zip(keys, values, strict=True)))

    def handles(self, case: Case) -> list[Handle]:
        integers = self.shape.value_size == 8
        made = [
            SqliteHandle(self._connection, integers, case.threads)
            for _ in range(case.threads)
        ]
        for handle in made[1:]:
            handle.lock = made[0].lock
        return list(made)

    def close(self) -> None:
        self._connection.execute("COMMIT")
        self._connection.close()


class SqliteWal(SqliteMemory):
    """
    A database in a file, with a write-ahead log that is never synced.
    """

    def _name(self) -> str:
        return str(self.directory / "sqlite.db")

    def _prepare(self) -> None:
        super()._prepare()
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")

    @classmethod
    def settings(cls) -> str:
        return (
            "a file, journal_mode WAL, synchronous OFF, 1 GiB cache, one open "
            "transaction; two threads share the connection"
        )
