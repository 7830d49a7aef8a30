# SPDX-License-Identifier: MIT
"""
A process with one of the logs that are compared.

Groups go into one log, and what is scanned is in another, which has as many entries in
each process, but where every entry costs a sync.
"""

from __future__ import annotations

import gc
import time
from pathlib import Path

from benchmarks.bars.log_commits import Limit
from benchmarks.bars.logged import CHECKED, check_count
from benchmarks.contenders.base import UnavailableError
from benchmarks.logs import find_log, make_log
from benchmarks.logs.base import check_read, group_of
from benchmarks.raw.plain import can_drop, drop
from benchmarks.rounds import number


class Peer:
    """
    The role "log-peer".
    """

    def __init__(self, command: dict[str, object], folder: Path) -> None:
        if not can_drop():
            raise UnavailableError("this system lets no file leave its cache")
        self._name = str(command["log"])
        self._scanned = folder / "scanned"
        appended = folder / "appended"
        for one in (self._scanned, appended):
            one.mkdir()
        self._log = make_log(self._name, appended)
        self._issued = 0
        self._count = 0

    def handle(self, command: dict[str, object]) -> dict[str, object]:
        """
        Do "settings", "groups", "load" or "scan".
        """
        do = str(command["do"])
        if do == "settings":
            return {"ok": True, "settings": find_log(self._name).settings()}
        if do == "groups":
            return self._groups(command)
        if do == "load":
            return self._load(number(command, "count"))
        if do == "scan":
            return self._scan()
        raise ValueError(f"no such command: {do!r}")

    def _groups(self, command: dict[str, object]) -> dict[str, object]:
        """
        Append groups, each of which is durable before the next; give how many entries
        that were, and the seconds.
        """
        size = number(command, "size")
        limit = Limit(number(command, "count"), number(command, "milliseconds") / 1000)
        append = self._log.append_group
        groups = [group_of(self._issued + at * size, size) for at in range(limit.count)]
        gc.collect()
        limit.begin()
        while limit.more():
            append(groups[limit.done - 1])
        limit.end()
        self._issued += limit.done * size
        check_read(0, self._log.read(min(CHECKED, self._issued)))
        return {"ok": True, "entries": limit.done * size, "seconds": limit.spent}

    def _load(self, count: int) -> dict[str, object]:
        """
        Make the log that is scanned.
        """
        self._count = max(1, count // find_log(self._name).few)
        log = make_log(self._name, self._scanned)
        try:
            log.load(0, self._count)
            check_read(0, log.read(min(CHECKED, self._count)))
        finally:
            log.close()
        return {"ok": True, "count": self._count}

    def _scan(self) -> dict[str, object]:
        """
        Read all, with nothing in the system's cache; give entries in a second.
        """
        log = make_log(self._name, self._scanned)
        try:
            drop(str(path) for path in log.files())
            gc.collect()
            begin = time.perf_counter()
            found = log.scan()
            spent = time.perf_counter() - begin
        finally:
            log.close()
        check_count(found, self._count)
        return {"ok": True, "rate": found / spent}

    def close(self) -> None:
        """
        Close the log.
        """
        self._log.close()
