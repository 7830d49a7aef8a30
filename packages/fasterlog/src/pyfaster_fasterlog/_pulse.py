# SPDX-License-Identifier: MIT
"""
What wakes the tasks of an event loop that wait for a log.

Theory of operation: a log has one `Pulse` for each loop that uses it. A task that waits
for its entry to become durable leaves a future there, with the address behind the
entry. At the loop's next turn the core is asked once to commit up to the last of them,
so all tasks that appended in one turn share one commit, and the loop goes on meanwhile.
The core writes to a descriptor that the loop watches whenever more is durable; then the
futures below that address are set, in their order. Nothing is polled, and no thread
waits.

A task that appends durably and is alone in its loop is spared the way through other
threads, which takes as long as the sync of a fast disk: after some rounds that served
it alone, and quickly, it commits in the loop's own thread, which others then wait for.
It lets them have a turn whenever it has held the loop up for a millisecond in all, and
one commit that takes longer than that ends it for long.

A task whose append had to wait for room in another thread comes late: others may have
appended behind its entry and committed it meanwhile, so it takes its place among those
who wait, and looks.

When a log's end is cut off, addresses are used again, and the log's era is another one.
Everything that was appended before is durable then, so a future that waits for more
than the new end may wait for the new end instead. Each cut has every pulse look behind
it, and who watches for more looks whether its place is still there.
"""

from __future__ import annotations

import asyncio
import types
import weakref
from asyncio import get_running_loop
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING

from pyfaster.errors import ClosedError, ConfigError, FasterError, LogAddressError
from pyfaster.flog import Bell, NativeLog, give_bell, take_bell

if TYPE_CHECKING:
    from pyfaster_fasterlog._async import AsyncLog

Loop = asyncio.AbstractEventLoop
Waiter = tuple[int, asyncio.Future[None]]

#: A loop is held up no longer than that between two turns of its, in seconds.
HELD_S = 0.001

#: Rounds that served one task, and quickly, before it commits by itself.
ALONE = 3

#: Such rounds it takes more after a commit that was slow.
STAY_AWAY = 32


@types.coroutine
def turn() -> Generator[None, None, None]:
    """
    Let the loop turn once.
    """
    yield


class Pulse:
    """
    Those who wait in one event loop for a log to become durable.
    """

    __slots__ = (
        "_alone",
        "_asked",
        "_asked_at",
        "_bell",
        "_era",
        "_held",
        "_log",
        "_serves_one",
        "_watching",
        "call_soon",
        "create_future",
        "inside",
        "loop",
        "waiting",
    )

    def __init__(self, log: AsyncLog, loop: Loop) -> None:
        self.loop = loop
        self.call_soon = loop.call_soon
        self.create_future = loop.create_future
        self.waiting: deque[Waiter] = deque()
        self._watching: list[Waiter] = []
        self._asked = False
        self._asked_at = 0.0
        self._serves_one = False
        self._alone = 0
        self._held = 0.0
        self.inside = False
        self._era = log._era
        self._log = weakref.ref(log)
        bell = take_bell()
        try:
            loop.add_reader(bell.reads, self._ring)
        except NotImplementedError:
            give_bell(bell)
            raise _cannot_watch(loop) from None
        try:
            log.notify(bell.writes)
        except BaseException:
            loop.remove_reader(bell.reads)
            give_bell(bell)
            raise
        self._bell: Bell | None = bell

    def wait(self, end: int) -> asyncio.Future[None]:
        """
        Give a future that is set when everything below an address is durable, and
        have it committed. The address was found in this turn of the loop, and is above
        those of all others who wait.

        Raises:
            ClosedError: The log was closed.
        """
        if self._bell is None:
            raise _too_late()
        future = self.create_future()
        self.waiting.append((end, future))
        if not self._asked:
            self._asked = True
            self.call_soon(self._ask)
        return future

    def wait_among(self, end: int) -> asyncio.Future[None]:
        """
        The same for any address, however long ago it was found: it may be durable since
        the last look, or gone.
        """
        log = self._log()
        end = end if log is None else min(end, log.end)
        disordered = bool(self.waiting) and end < self.waiting[-1][0]
        future = self.wait(end)
        if disordered:
            self._set_waiting(self.waiting)
        self.call_soon(self.look)
        return future

    def _set_waiting(self, waiting: Iterable[Waiter]) -> None:
        self.waiting = deque(sorted(waiting, key=lambda waiter: waiter[0]))

    def watch(self, seen: int) -> asyncio.Future[None]:
        """
        Give a future that is set when more than an address is durable, whoever commits.

        Raises:
            ClosedError: The log was closed.
        """
        if self._bell is None:
            raise _too_late()
        future = self.create_future()
        self._watching.append((seen, future))
        self.look()
        return future

    def may_hold(self) -> bool:
        """
        Whether a task may commit in the loop's own thread.
        """
        return self._alone >= ALONE and not self.inside and not self.waiting

    def has_held(self, seconds: float) -> bool:
        """
        Note how long one did; whether others should have a turn.
        """
        self._held += seconds
        if seconds > HELD_S:
            self._alone = -STAY_AWAY
        if self._held <= HELD_S:
            return False
        self._held = 0.0
        return True

    def _note_round(self) -> None:
        """
        Everybody was served: see whether that was one, and quick.
        """
        quick = perf_counter() - self._asked_at < HELD_S
        if self._serves_one and quick:
            self._alone += 1
        elif self._alone > 0:
            self._alone = 0

    def _ask(self) -> None:
        """
        Ask the core for one commit, for all that was appended in a turn of the loop.
        """
        self._asked = False
        log = self._log()
        if log is None or not self.waiting:
            return
        self._serves_one = len(self.waiting) == 1
        self._asked_at = perf_counter()
        try:
            log.request(self.waiting[-1][0])
        except LogAddressError:
            self.look()  # the end was cut off meanwhile
        except FasterError as error:
            self.look()  # some may be durable
            self.fail(error)

    def _ring(self) -> None:
        """
        The core has something new.
        """
        if self._bell is not None:
            self._bell.silence()
        self.look()

    def look(self) -> None:
        """
        Set the futures of what is durable.
        """
        log = self._log()
        if log is None:
            return
        try:
            if log._era != self._era:
                self._begin_era(log)
            until = log.committed.until
        except FasterError as error:
            self.fail(error)
            return
        waiting = self.waiting
        if waiting and waiting[0][0] <= until:
            while waiting and waiting[0][0] <= until:
                _, future = waiting.popleft()
                if not future.done():
                    future.set_result(None)
            self._note_round()
        if self._watching:
            self._look_for_watchers(until, log.completed)
        if self.waiting or self._watching:
            failed = log._why_not()
            if failed is not None:
                self.fail(failed)

    def _look_for_watchers(self, until: int, completed: bool) -> None:
        still: list[Waiter] = []
        for watcher in self._watching:
            seen, future = watcher
            if future.done():
                continue
            if until > seen or completed:
                future.set_result(None)
            else:
                still.append(watcher)
        self._watching = still

    def _begin_era(self, log: AsyncLog) -> None:
        """
        Addresses were used again: nobody waits for more than the log's new end.
        """
        self._era = log._era
        tail = log.end
        self._set_waiting((min(end, tail), future) for end, future in self.waiting)
        self._watching = [(-1, future) for _, future in self._watching]  # they look
        if not self._asked:  # what is waited for now may be what nobody commits
            self._asked = True
            self.call_soon(self._ask)

    def fail(self, error: BaseException) -> None:
        """
        Tell all who wait.
        """
        waiters = [*self.waiting, *self._watching]
        self.waiting.clear()
        self._watching = []
        for _, future in waiters:
            if not future.done():
                future.set_exception(error)

    def end(self) -> None:
        """
        Watch nothing any more, once the core writes nothing any more.
        """
        bell, self._bell = self._bell, None
        if bell is None:
            return
        if not self.loop.is_closed():
            self.loop.remove_reader(bell.reads)
            self.look()  # the last commit may have rung just now
            self.fail(_too_late())
        give_bell(bell)

    def part(self, log: NativeLog) -> None:
        """
        Have the core write nothing any more, and end in the loop's own thread.
        """
        bell = self._bell
        if bell is None:
            return
        with suppress(FasterError):
            log.notify_end(bell.writes)
        if self.loop.is_closed() or is_own(self.loop):
            self.end()
            return
        try:
            self.loop.call_soon_threadsafe(self.end)
        except RuntimeError:  # it was closed this very moment
            self.end()


def is_own(loop: Loop) -> bool:
    """
    Whether a loop is the calling thread's.
    """
    try:
        return get_running_loop() is loop
    except RuntimeError:
        return not loop.is_running()


def _too_late() -> ClosedError:
    return ClosedError("the log was closed before the entry was durable")


def _cannot_watch(loop: Loop) -> ConfigError:
    return ConfigError(
        f"{type(loop).__name__} has no add_reader, so nobody can wake it when "
        "something is durable; run the program with asyncio.Runner("
        "loop_factory=asyncio.SelectorEventLoop), or use the log's other methods in a "
        "thread (asyncio.to_thread)"
    )


__all__ = ["Loop", "Pulse", "is_own", "turn"]
