# SPDX-License-Identifier: MIT
"""
The stores that are compared, each behind the same small interface.

A contender's module is imported in its own process only, so a package that is not
installed costs its contender and no other.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import cast

from benchmarks.cases import Shape
from benchmarks.contenders.base import Contender
from benchmarks.sizes import Budget

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

#: Those that keep to a budget of memory and have the rest on a device.
BOUNDED = {
    "pyfaster-tiered": ("tiered_store", "PyfasterTiered"),
    "rocksdict-tiered": ("tiered_store", "RocksdictTiered"),
}


def find(name: str) -> type[Contender]:
    """
    Import a contender's class.

    Raises:
        KeyError: There is no contender of that name.
    """
    module_name, class_name = CONTENDERS[name]
    module = importlib.import_module(f"benchmarks.contenders.{module_name}")
    return cast(type[Contender], getattr(module, class_name))


def find_bounded(name: str) -> Callable[[Shape, Path, int, Budget], Contender]:
    """
    Likewise, for one of `BOUNDED`; what is given makes it for so many items.
    """
    module_name, class_name = BOUNDED[name]
    module = importlib.import_module(f"benchmarks.contenders.{module_name}")
    return cast(
        Callable[[Shape, Path, int, Budget], Contender], getattr(module, class_name)
    )
