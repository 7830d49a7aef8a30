# SPDX-License-Identifier: MIT
"""
Working ahead: the next item is made by another thread while this one is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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


__all__ = ["Ahead"]
