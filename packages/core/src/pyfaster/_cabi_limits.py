# SPDX-License-Identifier: MIT
"""
The boundary for what may change while a store is open: beside `_cabi` what sees `lib`.
"""

from __future__ import annotations

from pyfaster._cabi import Kv
from pyfaster._native import lib
from pyfaster.errors import error_for


def _check(status: int, where: str) -> None:
    if status < 0:
        raise error_for(status, where)


def kv_limit_memory(kv: Kv, memory: int, index_permille: int) -> None:
    """
    Change the budget of a store in memory; 0 for none.

    Raises:
        FasterError: FULL: the log has no addresses for so much.
    """
    status = lib.faster_kv_limit_memory(kv.c, memory, index_permille)
    _check(status, "changing the memory budget")


def kv_memory_most(kv: Kv) -> int:
    """
    Give the largest budget that `kv_limit_memory` takes.
    """
    return int(lib.faster_kv_memory_most(kv.c))


def kv_limit_sessions(kv: Kv, most: int) -> None:
    """
    Change how many sessions may be open at once; those that are stay.
    """
    _check(lib.faster_kv_limit_sessions(kv.c, most), "changing sessions_max")


def kv_keep_mutable(kv: Kv, permille: int) -> None:
    """
    Change the share of the log's memory that stays mutable.
    """
    _check(lib.faster_kv_keep_mutable(kv.c, permille), "changing mutable_fraction")


def kv_sample(kv: Kv, every: int) -> None:
    """
    Time one single operation in so many; 0 for none.
    """
    _check(lib.faster_kv_sample(kv.c, every), "changing sample_every")


__all__ = [
    "kv_keep_mutable",
    "kv_limit_memory",
    "kv_limit_sessions",
    "kv_memory_most",
    "kv_sample",
]
