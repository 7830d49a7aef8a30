# SPDX-License-Identifier: MIT
"""
Work of a recovery that another thread does meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Generic, Self, TypeVar

from pyfaster_checkpoint._aside import Aside

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
        self._other = Aside("pyfaster-read-ahead") if threaded else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._other is not None:
            self._other.close()

    def __iter__(self) -> Iterator[T]:
        """
        Give the items; what making one raised is raised in its place.
        """
        if self._other is None:
            yield from self._source
            return
        coming = self._other.ask(next, self._source, None)
        while (item := coming.result()) is not None:
            coming = self._other.ask(next, self._source, None)
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
        self._other = Aside("pyfaster-recovery-index")
        self._coming: Future[None] | None = None
        if threaded and call is not None:
            self._coming = self._other.ask(call)

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
        self._other.close()
        if self._coming is not None:
            failed = self._coming.exception()
            if isinstance(error, Exception) and failed not in (None, error):
                self._coming.result()


__all__ = ["Ahead", "First"]
