# SPDX-License-Identifier: MIT
"""
Read-modify-write for stores that have none: read, then write, under one lock.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Any


class Locked(ABC):
    """
    Takes a lock around a bump when more than one thread is at work, else none.

    Attributes:
        lock: Shared by the handles of one round; None for a single thread.
    """

    lock: threading.Lock | None

    def __init__(self, threads: int) -> None:
        self.lock = threading.Lock() if threads > 1 else None

    def bump(self, key: Any) -> None:
        """
        Add one to a value's stamp.
        """
        if self.lock is None:
            self.bump_alone(key)
            return
        with self.lock:
            self.bump_alone(key)

    def bump_batch(self, keys: Any) -> None:
        """
        Add one to the stamps of many values.
        """
        if self.lock is None:
            self.bump_batch_alone(keys)
            return
        with self.lock:
            self.bump_batch_alone(keys)

    @abstractmethod
    def bump_alone(self, key: Any) -> None:
        """
        Bump while no other thread does.
        """

    @abstractmethod
    def bump_batch_alone(self, keys: Any) -> None:
        """
        Bump many while no other thread does.
        """
