# SPDX-License-Identifier: MIT
"""
What wakes an event loop: a descriptor that C writes to.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from contextlib import suppress


class Bell:
    """
    A descriptor that the core writes to and the loop watches.

    A bell outlives its user: a completion that has taken the descriptor just before
    may write to it a moment later, when a closed one could be somebody else's. So bells
    are kept for the next user, and there are as many as were in use at once.

    Attributes:
        reads: What the loop watches.

        writes: What the core is given.

        pid: Of the process that made it.
    """

    __slots__ = ("_other", "_own", "pid", "reads", "writes")

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._own: socket.socket | None = None
        self._other: socket.socket | None = None
        if hasattr(os, "eventfd"):
            flags = os.EFD_NONBLOCK | os.EFD_CLOEXEC
            self.reads = self.writes = os.eventfd(0, flags)
            return
        self._own, self._other = socket.socketpair()
        self._own.setblocking(False)
        self._other.setblocking(False)
        self.reads, self.writes = self._own.fileno(), self._other.fileno()

    def silence(self) -> None:
        """
        Take all that was written.
        """
        with suppress(BlockingIOError):
            if self._own is None:
                os.read(self.reads, 8)
                return
            while self._own.recv(4096):  # ends when it would block
                pass


_bells: deque[Bell] = deque()


def take_bell() -> Bell:
    """
    Give a bell that nobody uses; those of before a fork() are the parent's.
    """
    while _bells:  # ends with them
        with suppress(IndexError):
            bell = _bells.pop()
            if bell.pid == os.getpid():
                return bell
    return Bell()


def give_bell(bell: Bell) -> None:
    """
    Let others use a bell, which nobody watches any more.
    """
    bell.silence()
    _bells.append(bell)


__all__ = ["Bell", "give_bell", "take_bell"]
