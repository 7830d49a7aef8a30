# SPDX-License-Identifier: MIT
"""
Work of a recovery that another thread does meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """
    The items of an iterator, made one ahead by a thread of its own.

    Args:
        source: Gives the items, none of them None; nobody else uses it.

        threaded: Whether that is worth a thread; else they are made when they are
            asked for.

    Leaving it waits for the item that is being made.
    """

    def __init__(self, source: Iterator[T], *, threaded: bool) -> None:
        self._source = source
        self._pool: ThreadPoolExecutor | None = None
        if threaded:
            self._pool = ThreadPoolExecutor(1, "pyfaster-read-ahead")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def __iter__(self) -> Iterator[T]:
        """
        Give the items; what making one raised is raised in its place.
        """
        if self._pool is None:
            yield from self._source
            return
        coming = self._pool.submit(next, self._source, None)
        while (item := coming.result()) is not None:
            coming = self._pool.submit(next, self._source, None)
            yield item


class First:
    """
    Something that must have been done before something else.

    Args:
        call: Does it; None for nothing.

        threaded: Whether a thread of its own begins with it at once; else it is done
            when it is waited for.

    Leaving it waits for the thread; what `call` raised goes before what is raised
    inside, which may have come of it.
    """

    def __init__(self, call: Callable[[], None] | None, *, threaded: bool) -> None:
        self._call = call
        self._pool: ThreadPoolExecutor | None = None
        self._coming: Future[None] | None = None
        if threaded and call is not None:
            self._pool = ThreadPoolExecutor(1, "pyfaster-recovery-index")
            self._coming = self._pool.submit(call)

    def wait(self) -> None:
        """
        See that it is done.
        """
        if self._coming is not None:
            self._coming.result()
        elif self._call is not None:
            call, self._call = self._call, None
            call()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None and self._coming is not None:
            self._pool.shutdown(wait=True)
            failed = self._coming.exception()
            if isinstance(error, Exception) and failed not in (None, error):
                self._coming.result()


__all__ = ["Ahead", "First"]
