# SPDX-License-Identifier: MIT
"""
The logs that are compared, each behind the same small interface.

A log's module is imported in its own process only, so a package that is not installed
costs its log and no other.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import cast

from benchmarks.logs.base import DurableLog

#: Name -> module and class.
LOGS = {
    "file": ("ours", "FileLog"),
    "uring": ("ours", "UringLog"),
    "sqlite3": ("sqlite_log", "SqliteLog"),
    "lmdb": ("lmdb_log", "LmdbLog"),
    "persist-queue": ("queue_log", "QueueLog"),
}


def find_log(name: str) -> type[DurableLog]:
    """
    Import a log's class.

    Raises:
        KeyError: There is no log of that name.
    """
    module_name, class_name = LOGS[name]
    module = importlib.import_module(f"benchmarks.logs.{module_name}")
    return cast(type[DurableLog], getattr(module, class_name))


def make_log(name: str, folder: Path) -> DurableLog:
    """
    Open a new log below a folder.

    Raises:
        UnavailableError: Its package is not installed.
    """
    return find_log(name)(folder)
