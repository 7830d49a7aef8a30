# SPDX-License-Identifier: MIT
"""
A thread that now and then sees whether a log's slots should be written.

Commits are made in C, and nobody in Python hears of most of them. A recovery reads what
was committed behind the newest slot, so that must not become long.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

#: Between two looks, in seconds.
EVERY_S = 1.0


class Keeper:
    """
    Calls a method of an object every second until it is stopped, or nobody else has
    the object any more.

    Args:
        owner: Whose method it is; it is not kept alive.

        look: What is called with it. It raises nothing.
    """

    def __init__(self, owner: object, look: Callable[[Any], None]) -> None:
        self._stop: SimpleQueue[None] = SimpleQueue()
        self._thread = threading.Thread(
            target=_repeat,
            args=(self._stop, weakref.ref(owner), look),
            name="pyfaster-log-slots",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """
        End it, and wait for what is being done.
        """
        self._stop.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def drop(self) -> None:
        """
        Let it end by itself. Called by collections of garbage, too, which may begin
        while the thread looks whether it is to end: so no event, whose lock is held.
        """
        self._stop.put(None)


def _is_over(stop: SimpleQueue[None]) -> bool:
    """
    Wait until the next look, or until it is to end.
    """
    try:
        stop.get(timeout=EVERY_S)
    except Empty:
        return False
    return True


def _repeat(
    stop: SimpleQueue[None],
    ghost: weakref.ref[object],
    look: Callable[[Any], None],
) -> None:
    while not _is_over(stop):
        owner = ghost()
        if owner is None:
            return
        look(owner)
        del owner


__all__ = ["Keeper"]
