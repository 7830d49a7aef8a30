# SPDX-License-Identifier: MIT
"""
Sessions of a store that is a checkpoint which is only looked at.

What would change something is refused before the core is asked; all else is the
session's.
"""

from __future__ import annotations

import errno
from typing import Any, NoReturn, TypeVar

from pyfaster._session import Session
from pyfaster.errors import ReadOnlyError

K = TypeVar("K")
V = TypeVar("V")


def refuse(what: str) -> NoReturn:
    """
    Refuse to change something.
    """
    raise ReadOnlyError(
        errno.EROFS,
        f"{what}: the store is a checkpoint that was opened with read_only=True; to "
        "change something open it without, where no other process has it",
    )


def _refusing(what: str) -> Any:
    def method(self: object, *args: object, **named: object) -> NoReturn:
        refuse(what)

    method.__name__ = what
    method.__doc__ = "Refuse; the store is only looked at."
    return method


class ReadOnlySession(Session[K, V]):
    """
    A session that reads; every update raises `ReadOnlyError`.
    """

    __slots__ = ()

    upsert: Any = _refusing("upsert")
    insert: Any = _refusing("insert")
    delete: Any = _refusing("delete")
    discard: Any = _refusing("discard")
    rmw: Any = _refusing("rmw")
    compare_and_set: Any = _refusing("compare_and_set")
    update: Any = _refusing("update")
    start_upsert: Any = _refusing("start_upsert")
    start_insert: Any = _refusing("start_insert")
    start_delete: Any = _refusing("start_delete")
    start_rmw: Any = _refusing("start_rmw")
    start_compare_and_set: Any = _refusing("start_compare_and_set")
    upsert_many: Any = _refusing("upsert_many")
    rmw_many: Any = _refusing("rmw_many")
    delete_many: Any = _refusing("delete_many")
    __setitem__: Any = _refusing("__setitem__")
    __delitem__: Any = _refusing("__delitem__")


def async_kind() -> Any:
    """
    The same for an event loop.
    """
    from pyfaster._async import AsyncSession

    names = "upsert insert delete discard rmw compare_and_set swap_encoded update"
    refusing = {name: _refusing(name) for name in names.split()}
    return type("ReadOnlyAsyncSession", (AsyncSession,), {"__slots__": (), **refusing})


__all__ = ["ReadOnlySession", "async_kind", "refuse"]
