# SPDX-License-Identifier: MIT
"""
Who takes part in `pyfaster bench`: a store, a dict, and a table of SQLite.

Each does the same work by the calls that a program would make. What a phase leaves
behind does not depend on the order in which threads got there.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyfaster

#: Does some keys of a phase; each thread has its share.
Work = Callable[[Sequence[int]], object]

#: Other than the first value of every key, so that a lost upsert shows.
_STAMP = 0x5A5A5A

#: What is done, in this order; "fill" and the last two by batches.
PHASES = ("fill", "read", "rmw", "upsert", "read batch", "upsert batch")


class Subject(Protocol):
    """
    One that takes part.
    """

    def work(self, phase: str) -> Work:
        """
        Give what does a phase; it is called in each thread.
        """

    def settle(self) -> None:
        """
        End a phase; its time counts.
        """

    def checkpoint(self) -> bool:
        """
        Make all of it survive; False when there is no such thing.
        """

    def contents(self, keys: int) -> list[int]:
        """
        Give all values, in the order of the keys.
        """

    def close(self) -> None:
        """
        End.
        """


class Store:
    """
    A store of int keys and values.
    """

    def __init__(
        self, place: Path | None, device: str, memory: str, batch: int
    ) -> None:
        self._batch = batch
        where = ":memory:" if place is None else f"{device}:{place / 'store'}"
        self._store = pyfaster.open(where, key=int, value=int, memory=memory or None)

    def work(self, phase: str) -> Work:
        """
        Each thread has a session of its own.
        """

        def in_session(keys: Sequence[int]) -> None:
            with self._store.session() as session:
                self._do(session, phase, keys)

        return in_session

    def _do(self, session: Any, phase: str, keys: Sequence[int]) -> None:
        if phase == "read":
            read = session.read
            for key in keys:
                read(key)
        elif phase == "rmw":
            rmw = session.rmw
            for key in keys:
                rmw(key, 1, merge="add")
        elif phase == "upsert":
            upsert = session.upsert
            for key in keys:
                upsert(key, key ^ _STAMP)
        else:
            for some in cut(keys, self._batch):
                if phase == "read batch":
                    session.read_many(some)
                else:
                    session.upsert_many(some, some)

    def settle(self) -> None:
        """
        There is nothing to wait for.
        """

    def checkpoint(self) -> bool:
        """
        Take one.
        """
        self._store.checkpoint()
        return True

    def contents(self, keys: int) -> list[int]:
        """
        Read all.
        """
        found: list[int] = self._store.read_many(range(keys))
        return found

    def figures(self) -> dict[str, Any]:
        """
        What the store says of itself.
        """
        return self._store.stats().to_dict()

    def close(self) -> None:
        """
        Close it.
        """
        self._store.close()


class Dict:
    """
    A dict of ints: what Python costs without any store.
    """

    def __init__(self, batch: int, threads: int) -> None:
        self._batch = batch
        self._lock = threading.Lock() if threads > 1 else None
        self._dict: dict[int, int] = {}

    def work(self, phase: str) -> Work:
        """
        As a program without a store would do it, with a lock where one is needed.
        """
        works: Mapping[str, Work] = {
            "read": self._read,
            "rmw": self._rmw if self._lock is None else self._rmw_locked,
            "upsert": self._upsert,
            "read batch": self._read_batches,
        }
        return works.get(phase, self._upsert_batches)

    def _read(self, keys: Sequence[int]) -> None:
        get = self._dict.get
        for key in keys:
            get(key)

    def _rmw(self, keys: Sequence[int]) -> None:
        values = self._dict
        for key in keys:
            values[key] = values.get(key, 0) + 1

    def _rmw_locked(self, keys: Sequence[int]) -> None:
        assert self._lock is not None
        lock, values = self._lock, self._dict
        for key in keys:
            with lock:
                values[key] = values.get(key, 0) + 1

    def _upsert(self, keys: Sequence[int]) -> None:
        values = self._dict
        for key in keys:
            values[key] = key ^ _STAMP

    def _read_batches(self, keys: Sequence[int]) -> None:
        get = self._dict.get
        for some in cut(keys, self._batch):
            list(map(get, some))

    def _upsert_batches(self, keys: Sequence[int]) -> None:
        for some in cut(keys, self._batch):
            self._dict.update(zip(some, some, strict=True))

    def settle(self) -> None:
        """
        There is nothing to wait for.
        """

    def checkpoint(self) -> bool:
        """
        A dict has none.
        """
        return False

    def contents(self, keys: int) -> list[int]:
        """
        Read all.
        """
        return [self._dict[key] for key in range(keys)]

    def close(self) -> None:
        """
        There is nothing to close.
        """


class Sqlite:
    """
    A table of ints in SQLite: one transaction for a phase, threads one behind another,
    as it has one writer. In a directory it has a write-ahead log, as fast as it gets
    without losing the file; its checkpoint brings that log into the file.
    """

    def __init__(self, place: Path | None, batch: int) -> None:
        self._batch = batch
        self._lock = threading.Lock()
        where = ":memory:" if place is None else str(place / "sqlite.db")
        self._base = sqlite3.connect(
            where, isolation_level=None, check_same_thread=False
        )
        if place is not None:
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=NORMAL")
        self._base.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v INTEGER)")

    def work(self, phase: str) -> Work:
        """
        One thread at a time.
        """

        def alone(keys: Sequence[int]) -> None:
            with self._lock:
                if not self._base.in_transaction:
                    self._base.execute("BEGIN")
                self._do(phase, keys)

        return alone

    def _do(self, phase: str, keys: Sequence[int]) -> None:
        run = self._base.execute
        if phase == "read":
            for key in keys:
                run("SELECT v FROM t WHERE k = ?", (key,)).fetchone()
        elif phase == "rmw":
            for key in keys:
                run("UPDATE t SET v = v + 1 WHERE k = ?", (key,))
        elif phase == "upsert":
            for key in keys:
                run("INSERT OR REPLACE INTO t VALUES (?, ?)", (key, key ^ _STAMP))
        else:
            for some in cut(keys, self._batch):
                if phase == "read batch":
                    marks = ",".join("?" * len(some))
                    run(f"SELECT k, v FROM t WHERE k IN ({marks})", some).fetchall()
                else:
                    pairs = zip(some, some, strict=True)
                    text = "INSERT OR REPLACE INTO t VALUES (?, ?)"
                    self._base.executemany(text, pairs)

    def settle(self) -> None:
        """
        Commit what the phase wrote.
        """
        if self._base.in_transaction:
            self._base.execute("COMMIT")

    def checkpoint(self) -> bool:
        """
        Bring the log into the file.
        """
        self._base.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return True

    def contents(self, keys: int) -> list[int]:
        """
        Read all.
        """
        rows = self._base.execute("SELECT v FROM t ORDER BY k LIMIT ?", (keys,))
        return [value for (value,) in rows]

    def close(self) -> None:
        """
        Close it.
        """
        self._base.close()


def cut(keys: Sequence[int], size: int) -> list[Sequence[int]]:
    """
    Cut into batches.
    """
    return [keys[at : at + size] for at in range(0, len(keys), size)]


__all__ = ["PHASES", "Dict", "Sqlite", "Store", "Subject"]
