# SPDX-License-Identifier: MIT
"""
The stores that are compared, each behind the same small interface.

A contender's module is imported in its own process only, so a package that is not
installed costs its contender and no other.
"""

from __future__ import annotations

import importlib
from typing import cast

from benchmarks.contenders.base import Contender

#: Name -> module and class. The first is what the others are compared with.
CONTENDERS = {
    "pyfaster": ("pyfaster_store", "Pyfaster"),
    "pyfaster-varlen": ("pyfaster_store", "PyfasterVarlen"),
    "dict": ("dict_store", "Dict"),
    "lmdb": ("lmdb_store", "Lmdb"),
    "rocksdict": ("rocksdict_store", "Rocksdict"),
    "plyvel": ("plyvel_store", "Plyvel"),
    "sqlite-memory": ("sqlite_store", "SqliteMemory"),
    "sqlite-wal": ("sqlite_store", "SqliteWal"),
}

REFERENCE = "pyfaster"


def find(name: str) -> type[Contender]:
    """
    Import a contender's class.

    Raises:
        KeyError: There is no contender of that name.
    """
    module_name, class_name = CONTENDERS[name]
    module = importlib.import_module(f"benchmarks.contenders.{module_name}")
    return cast(type[Contender], getattr(module, class_name))
