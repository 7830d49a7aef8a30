# SPDX-License-Identifier: MIT
"""
Doing something again and again, in a thread that ends when it is told to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

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
        self._stop = threading.Event()
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
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join(max(timeout, 0))
        return not self._thread.is_alive()

    def __del__(self) -> None:
        if hasattr(self, "_stop"):
            self._stop.set()


def _repeat(
    stop: threading.Event,
    seconds: float,
    call: Callable[[], object],
    failed: Callable[[Exception], None],
) -> None:
    while not stop.wait(seconds):
        try:
            call()
        except Exception as error:  # noqa: BLE001 - it is told, not lost
            failed(error)


__all__ = ["Every"]
