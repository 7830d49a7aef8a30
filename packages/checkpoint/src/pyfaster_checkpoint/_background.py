# SPDX-License-Identifier: MIT
"""
Doing something again and again, in a thread that ends when it is told to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from pyfaster_checkpoint._problems import refused


class Every:
    """
    Calls something every so many seconds until it is stopped.

    Args:
        seconds: Between the end of one call and the next.

        call: What is called.

        failed: Is told what it raised; nothing is printed.

    Raises:
        ConfigError: The seconds are not more than 0.

    The thread keeps no process alive, and ends when nobody has this any more.
    """

    def __init__(
        self,
        seconds: float,
        call: Callable[[], object],
        failed: Callable[[Exception], None],
    ) -> None:
        if not 0 < seconds <= threading.TIMEOUT_MAX:
            raise refused(f"{seconds!r} seconds between checkpoints; give more than 0")
        self._stop: SimpleQueue[None] = SimpleQueue()
        self._thread = threading.Thread(
            target=_repeat,
            args=(self._stop, seconds, call, failed),
            name="pyfaster-checkpoints",
            daemon=True,
        )
        self._thread.start()

    def stop(self, timeout: float, /) -> bool:
        """
        End it, and wait so long for what is being done; from inside of `call` itself
        it is not waited for. Whether it has ended.
        """
        self._stop.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join(max(timeout, 0))
        return not self._thread.is_alive()

    def __del__(self) -> None:
        if hasattr(self, "_stop"):
            self._stop.put(None)


def _is_over(stop: SimpleQueue[None], seconds: float) -> bool:
    """
    Wait so long, or until it is to end. Whoever says so may be a collection of garbage
    that began in here: `put` can be called at any time, an event's `set` cannot.
    """
    try:
        stop.get(timeout=seconds)
    except Empty:
        return False
    return True


def _repeat(
    stop: SimpleQueue[None],
    seconds: float,
    call: Callable[[], object],
    failed: Callable[[Exception], None],
) -> None:
    while not _is_over(stop, seconds):
        try:
            call()
        except Exception as error:  # noqa: BLE001 - it is told, not lost
            failed(error)


__all__ = ["Every"]
