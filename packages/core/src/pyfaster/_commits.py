# SPDX-License-Identifier: MIT
"""
Sessions as checkpoints know them: names, numbers, commit points, and who waits for one.

Theory of operation: the core and the manifests know a session by a number that is never
used for another one. A name gets its number when it is first used, and keeps it over
all lives of the store. Sessions without a name get numbers that no manifest sees, so
that they, too, can learn what is committed. A commit point is told to those who wait
only when its checkpoint is complete.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from pyfaster import _cabi
from pyfaster._checkpoint_values import Point
from pyfaster.errors import ClosedError, DeadlineError, error_for

#: So many sessions without a name may be gone before anybody looks.
_CROWD = 64

#: Numbers from here on are of sessions without a name.
ANONYMOUS = 1 << 63


class Commits:
    """
    The last update of each session that a crash cannot take back.

    Args:
        points: Number of a session to serial number, to begin with.

    Attributes:
        failure: Why the last checkpoint in the background committed nothing, or None.
    """

    def __init__(self, points: Mapping[int, int]) -> None:
        self.failure: Exception | None = None
        self._points = dict(points)
        self._changed = threading.Condition()
        self._listeners: list[Callable[[], object]] = []
        self._issued: dict[int, int] = {}
        self._ended = False
        self._pid = os.getpid()

    def note(self, number: int, serial: int) -> None:
        """
        Keep the last serial number of a session that is closed.
        """
        self._issued[number] = serial

    def issued(self) -> dict[int, int]:
        """
        The last serial numbers of sessions that are closed.
        """
        return dict(self._issued)

    def serial_of(self, number: int) -> int:
        """
        A session's last update that is committed; 0 for none.
        """
        return self._points.get(number, 0)

    def publish(self, points: Mapping[int, int]) -> None:
        """
        Tell of a checkpoint that is complete.
        """
        with self._changed:
            for number, serial in points.items():
                self._points[number] = max(serial, self._points.get(number, 0))
            self._wake()

    def forget(self, number: int) -> None:
        """
        Drop a session that is gone.
        """
        with self._changed:
            self._points.pop(number, None)
            self._issued.pop(number, None)

    def end(self) -> None:
        """
        Nothing will be committed any more.
        """
        with self._changed:
            self._ended = True
            self._wake()

    def _wake(self) -> None:
        self._changed.notify_all()
        for ring in self._listeners:
            with suppress(RuntimeError):  # that loop is closed
                ring()

    def _refuse_fork(self) -> None:
        """
        Refuse before the lock is taken, which the parent may have held at the fork.
        """
        if os.getpid() != self._pid:
            raise error_for(_cabi.FORKED, "wait_committed")

    def _reached(self, number: int, serial: int) -> bool:
        """
        Whether an update is committed.

        Raises:
            ClosedError: It is not, and will not be.
        """
        if self._points.get(number, 0) >= serial:
            return True
        if self._ended:
            raise ClosedError(
                f"wait_committed: the store was closed, and update {serial:,} is in no "
                "checkpoint"
            )
        return False

    def wait(self, number: int, serial: int, timeout: float | None) -> None:
        """
        Wait until an update is committed.

        Raises:
            DeadlineError: It was not in time.

            ClosedError: The store was closed before.
        """
        self._refuse_fork()
        limit = None if timeout is None else min(timeout, threading.TIMEOUT_MAX)
        with self._changed:
            done = self._changed.wait_for(lambda: self._reached(number, serial), limit)
        if not done:
            failure = self.failure
            raise self._late(number, serial, timeout, failure) from failure

    async def wait_async(self, number: int, serial: int, timeout: float | None) -> None:
        """
        The same for a task.
        """
        import asyncio  # not everybody wants it

        self._refuse_fork()
        loop, rung = asyncio.get_running_loop(), asyncio.Event()
        with self._listening(lambda: loop.call_soon_threadsafe(rung.set)):
            try:
                async with asyncio.timeout(timeout):
                    while not self._reached(number, serial):
                        await rung.wait()
                        rung.clear()
            except TimeoutError:
                failure = self.failure
                raise self._late(number, serial, timeout, failure) from failure

    @contextmanager
    def _listening(self, ring: Callable[[], object]) -> Iterator[None]:
        with self._changed:
            self._listeners.append(ring)
        try:
            yield
        finally:
            with self._changed:
                self._listeners.remove(ring)

    def _late(
        self,
        number: int,
        serial: int,
        timeout: float | None,
        failure: Exception | None,
    ) -> DeadlineError:
        """
        Make the error for an update that was not committed in time.
        """
        advice = (
            "a checkpoint commits updates: take one, or open the store with "
            "checkpoint_every="
        )
        if failure is not None:
            kind = type(failure).__name__
            advice = f"the last checkpoint in the background failed: {kind}: {failure}"
        return DeadlineError(
            f"wait_committed: update {serial:,} was not committed after {timeout:g} "
            f"seconds, {self.serial_of(number):,} is; {advice}"
        )


class SessionNames:
    """
    The numbers of sessions. Whoever calls holds the store's lock.

    Args:
        points: The named sessions that the store was recovered with.

        next_number: What the next new name gets.
    """

    def __init__(self, points: Mapping[str, Point], next_number: int) -> None:
        self._numbers = {name: number for name, (number, _) in points.items()}
        self._names = {number: name for name, number in self._numbers.items()}
        self._recovered = dict(points.values())
        self._unnamed: weakref.WeakValueDictionary[int, object] = (
            weakref.WeakValueDictionary()
        )
        self._given: set[int] = set()
        self._anonymous = ANONYMOUS
        self.next_number = next_number

    def __contains__(self, name: object) -> bool:
        return name in self._numbers

    def number_of(self, name: str) -> int:
        """
        A name's number; a new name gets one.
        """
        if name not in self._numbers:
            self._numbers[name] = self.next_number
            self._names[self.next_number] = name
            self.next_number += 1
        return self._numbers[name]

    def name_of(self, number: int) -> str | None:
        """
        The name that has a number; None when it has none.
        """
        return self._names.get(number)

    def recovered(self, number: int) -> int:
        """
        Behind which serial number a session goes on.
        """
        return self._recovered.get(number, 0)

    def unnamed(self) -> int:
        """
        A number for a session without a name.
        """
        self._anonymous += 1
        return self._anonymous

    def keep(self, number: int, session: object) -> None:
        """
        Watch a session without a name, to learn when it is gone.
        """
        self._unnamed[number] = session
        self._given.add(number)

    @property
    def crowded(self) -> bool:
        """
        Whether it is time to look for those that are gone.
        """
        return len(self._given) > _CROWD + 2 * len(self._unnamed)

    def gone(self) -> list[int]:
        """
        The numbers of sessions without a name that are collected, each once. Of one
        that is closed somebody may still want to know what is committed.
        """
        over = [number for number in self._given if number not in self._unnamed]
        self._given.difference_update(over)
        return over

    def forget(self, name: str) -> int:
        """
        Drop a name, and give the number that it had.
        """
        number = self._numbers.pop(name)
        del self._names[number]
        self._recovered.pop(number, None)
        return number

    def points(self, captured: Mapping[int, int]) -> dict[str, Point]:
        """
        The commit points of all names, of sessions that were not open, too.
        """
        return {
            name: (number, captured.get(number, self.recovered(number)))
            for name, number in self._numbers.items()
        }


__all__ = ["ANONYMOUS", "Commits", "SessionNames"]
