# SPDX-License-Identifier: MIT
"""
The implicit sessions of a store: one per thread, given back when the thread ends.

Theory of operation: each thread's session sits in a `threading.local`. Beside it lies a
lease, an object that nobody else holds; when the thread ends, its locals are dropped,
the lease dies, and its finalizer puts the session into a deque from which the next new
thread takes it. The finalizer may run at any moment and in any thread, so it takes no
lock: appending to a deque is one step.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

S = TypeVar("S")


class Lease(Generic[S]):
    """
    One thread's right to a session; gives it back when it dies.
    """

    __slots__ = ("_free", "session")

    def __init__(self, session: S, free: deque[S]) -> None:
        self.session = session
        self._free = free

    def __del__(self) -> None:
        self._free.append(self.session)


class Here(threading.local, Generic[S]):
    """
    The calling thread's session, as the attribute `session`.

    Args:
        make: Opens a session when no thread has left one.
    """

    def __init__(self, make: Callable[[], S], free: deque[S]) -> None:
        self._make = make
        self._free = free

    def __getattr__(self, name: str) -> S:
        # Only reached when the thread has no session yet.
        if name != "session":
            raise AttributeError(name)
        try:
            session = self._free.pop()
        except IndexError:
            session = self._make()
        self._lease = Lease(session, self._free)
        self.session: S = session
        return session


__all__ = ["Here", "Lease"]
