# SPDX-License-Identifier: MIT
"""
A plugin that keeps what it is told, and lets a test wait for it.

>>> import pyfaster
>>> from pyfaster.events import IndexGrown
>>> from pyfaster.testing import EventRecorder
>>> with EventRecorder() as told, pyfaster.open(key=int, value=int) as store:
...     store.grow_index()
...     [event.growths for event in told.wait_for(IndexGrown)]
[1]
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, TypeVar

from pyfaster._plugins import register, unregister
from pyfaster.hookspecs import hookimpl

E = TypeVar("E")

_NUMBERS: Iterator[int] = count(1)


class EventRecorder:
    """
    Keeps every event; a plugin while it is used in a `with` statement.

    Args:
        react: Called with each event after it was kept, by the thread that tells it;
            what it raises is what the plugin raises.

    Attributes:
        events: What was told, in order.

        threads: The name of the thread that told it, for each.
    """

    def __init__(self, react: Callable[[Any], object] | None = None) -> None:
        self.events: list[Any] = []
        self.threads: list[str] = []
        self._react = react
        self._told = threading.Condition(threading.RLock())
        self._name = f"recorder {next(_NUMBERS)}"

    def __enter__(self) -> EventRecorder:
        """
        Register it.
        """
        register(self, name=self._name)
        return self

    def __exit__(self, *error: object) -> None:
        unregister(self._name)

    @hookimpl
    def pyfaster_event(self, event: object) -> None:
        """
        Keep an event.
        """
        with self._told:
            self.events.append(event)
            self.threads.append(threading.current_thread().name)
            self._told.notify_all()
        if self._react is not None:
            self._react(event)

    def of(self, kind: type[E]) -> list[E]:
        """
        The events of a kind that were told so far.
        """
        with self._told:
            return [event for event in self.events if isinstance(event, kind)]

    def wait_for(self, kind: type[E], count: int = 1, timeout: float = 60.0) -> list[E]:
        """
        Wait until so many events of a kind were told, and give all of the kind.

        Args:
            kind: Which.

            count: How many.

            timeout: How long, in seconds: for a test that fails, not for one that
                waits.

        Raises:
            AssertionError: They were not told in time.
        """
        deadline = time.monotonic() + timeout
        with self._told:
            while len(found := self.of(kind)) < count:
                left = deadline - time.monotonic()
                assert left > 0, f"{len(found)} of {count} {kind.__name__}"
                self._told.wait(left)
        return found


__all__ = ["EventRecorder"]
