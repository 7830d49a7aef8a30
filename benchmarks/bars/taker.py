# SPDX-License-Identifier: MIT
"""
A thread that takes snapshots, one behind the other or one in a while.
"""

from __future__ import annotations

import threading
import time
from typing import Any


class Taker:
    """
    Takes snapshots of a store from `start` until `stop`.

    Args:
        pace: Seconds from one beginning to the next; 0 for none to wait.
    """

    KIND = "snapshot"

    def __init__(self, store: Any, pace: float) -> None:
        self._store = store
        self._pace = pace
        self._begun = threading.Event()
        self._stop = threading.Event()
        self._seconds: list[float] = []
        self._bytes: list[int] = []
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    @property
    def taken(self) -> int:
        """
        How many are complete.
        """
        return len(self._seconds)

    @property
    def failed(self) -> bool:
        """
        Whether the thread has ended because something was raised; `stop` raises it.
        """
        return self._failure is not None

    def start(self) -> None:
        """
        Begin; the first one is being taken when this returns.
        """
        self._thread.start()
        self._begun.wait()

    def stop(self) -> None:
        """
        Let the one under way be the last, and wait for its end.
        """
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                begin = time.perf_counter()
                self._begun.set()
                info = self._store.checkpoint(self.KIND)
                took = time.perf_counter() - begin
                self._bytes.append(info.size)
                self._seconds.append(took)
                if self._pace > took:
                    self._stop.wait(self._pace - took)
        except BaseException as failure:
            self._failure = failure

    def figures(self) -> dict[str, object]:
        """
        Give how many were taken, how long one took, and its bytes, on average.
        """
        count = self.taken
        return {
            "taken": count,
            "checkpoint_seconds": sum(self._seconds) / count,
            "checkpoint_bytes": sum(self._bytes) / count,
        }
