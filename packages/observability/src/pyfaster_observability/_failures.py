# SPDX-License-Identifier: MIT
"""
What went wrong while telling of stores: counted here, and never the store's concern.

A provider, an exporter or a tracer is somebody else's code. What it raises ends the one
observation, span or answer that it was raised for; nothing is printed, since a program
that looks at its metrics is told by `failures()` and by the metric made of it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

#: Where something may fail.
PLACES = ("events", "metrics", "socket", "traces")


@dataclass(frozen=True, slots=True)
class Failure:
    """
    What went wrong at one place.

    Attributes:
        count: How often.

        last: The type and the words of the last one.
    """

    count: int
    last: str


_lock = threading.Lock()
_found: dict[str, Failure] = {}


def note(place: str, error: BaseException) -> None:
    """
    Count a failure.
    """
    try:
        said = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - an exception's text may raise anything
        said = type(error).__name__
    with _lock:
        before = _found.get(place)
        count = 1 if before is None else before.count + 1
        _found[place] = Failure(count, said[:500])


@contextmanager
def kept_apart(place: str) -> Iterator[None]:
    """
    Run something whose failure must not become anybody else's.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a provider may raise anything
        note(place, error)


def failures() -> Mapping[str, Failure]:
    """
    Tell what went wrong while telling of stores.

    Returns:
        For each of "events", "metrics", "socket" and "traces" where something failed:
        how often since the process began, and the last one's words.
    """
    with _lock:
        return MappingProxyType(dict(_found))


def _begin_anew() -> None:
    """
    After fork(), in the child: the lock may have been held.
    """
    global _lock
    _lock = threading.Lock()


__all__ = ["PLACES", "Failure", "failures", "kept_apart", "note"]
