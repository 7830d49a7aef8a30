# SPDX-License-Identifier: MIT
"""
Sessions for an event loop.

Theory of operation: a method begins its operation at once. What memory can answer has
ended when the method returns, and awaiting it does not go through the loop. Else the
device has been asked, and the awaited operation makes a future. For each burst of
operations the loop is asked once to call `_look`, which lets the device go on and sets
the futures of what has ended; whenever the device completes something it writes to a
descriptor that the loop watches, and `_look` is called, too. So no thread waits, and no
request is asked for by and by. Two cases have nobody who tells: operations that others
are in the way of are tried again at the loop's next turns, and then once a millisecond;
and as the core may put one aside for the same reason, the loop looks at least every ten
milliseconds while something is on its way.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from pyfaster import _cabi, _hot
from pyfaster._bell import Bell, give_bell, take_bell
from pyfaster._builtin_codecs import hot_codec
from pyfaster._session import DRAIN_S, open_address, still_open, what_commits
from pyfaster.errors import ClosedError, ConfigError, DeadlineError, error_for

if TYPE_CHECKING:
    from typing import Self

    from pyfaster._commits import Commits
    from pyfaster.protocols import Codec

K = TypeVar("K")
V = TypeVar("V")

_NOTHING: Any = object()

#: What was refused is tried again at so many turns of the loop, and then at intervals.
_TURNS = 16
_PAUSE_S = 0.001

#: Between two looks while operations are on their way, should the core have put one
#: aside that nobody tells of, in seconds.
_LOOK_S = 0.01


class AsyncSession(_hot.AsyncSession[K, V]):
    """
    One line of operations on a store, for the tasks of one event loop.

    Made by `FasterKv.async_session`; used in an `async with` statement, which binds it
    to the running loop. Any number of its tasks may have operations under way at once.

    The loop must be able to watch a descriptor (`add_reader`): asyncio's selector loop
    and uvloop are, the Proactor loop that Windows begins with is not, and is refused
    with a `ConfigError`. There, run `asyncio.Runner(
    loop_factory=asyncio.SelectorEventLoop)`.

    A method begins its operation when it is called, not when it is awaited; what it
    returns is awaited once. A task that is cancelled while it waits stops waiting, and
    the session goes on as if nothing had been; an update that waited for the device
    takes place all the same, one that waited for room in memory does not.

    Attributes:
        name: What `FasterKv.async_session` was given.

        serial: The serial number of the last update; 0 before the first.

        pending: How many operations are on their way.

        busy: How many operations whoever called them has not been told of: those on
            their way, and those that wait for room in memory or for the loop's turn.
    """

    __slots__ = (
        "_bell",
        "_commits",
        "_loop",
        "_name",
        "_number",
        "_timer",
        "_turns",
        "closed",
    )

    #: Whether `close` has been called.
    closed: bool
    _name: str | None
    _loop: asyncio.AbstractEventLoop | None
    _bell: Bell | None
    _timer: asyncio.Handle | None
    _turns: int
    _number: int
    _commits: Commits | None

    def __new__(
        cls,
        kv: _cabi.Kv,
        key_codec: Codec[K],
        value_codec: Codec[V],
        *,
        name: str | None = None,
        page_size: int = 0,
        number: int = 0,
        serial: int = 0,
        commits: Commits | None = None,
    ) -> Self:
        """
        Open a session; as that of `Session`.
        """
        key = hot_codec(key_codec, key=True)
        value = hot_codec(value_codec)
        address = open_address(kv, number, serial)
        self = super().__new__(
            cls, address, kv, key, value, kv.handle, page_size, kv.waits
        )
        self._name = name
        self._loop = self._bell = self._timer = None
        self._turns = 0
        self._number = number
        self._commits = commits
        self.closed = False
        return self

    @property
    def name(self) -> str | None:
        """
        What the session is called.
        """
        return self._name

    @property
    def number(self) -> int:
        """
        What checkpoints know the session by; 0 where there are none.
        """
        return self._number

    @property
    def committed_serial(self) -> int:
        """
        The last serial number that a crash cannot take back; see `Session`.
        """
        commits = self._commits
        return 0 if commits is None else commits.serial_of(self._number)

    async def wait_committed(
        self, serial: int | None = None, timeout: float | None = None
    ) -> None:
        """
        Wait until a crash cannot take back the session's updates.

        Args:
            serial: Up to which; the session's last when None.

            timeout: How long to wait; for ever when None.

        Raises:
            DeadlineError, ClosedError, ConfigError: As from `Session.wait_committed`.

        Units: seconds.
        """
        wanted = self.serial if serial is None else serial
        if wanted > self.committed_serial:
            commits = what_commits(self._commits, wanted, timeout)
            await commits.wait_async(self._number, wanted, timeout)

    # --- operations of several steps ------------------------------------------------

    async def read_many(self, keys: Iterable[K]) -> list[V | None]:
        """
        Read many keys, all at the same time; None for the absent.

        Raises:
            FasterError: The first failure, in the order of the keys.
        """
        asked = [self.read(key) for key in keys]
        try:
            return [await one for one in asked]
        finally:
            for one in asked:
                one.close()

    async def update(self, key: K, fn: Callable[[V], V], initial: V = _NOTHING) -> V:
        """
        Set `fn(value)`, again until nobody else set it meanwhile; give the new value.

        Args:
            key: Which value.

            fn: Gets the present value; not a coroutine function. It may run again.

            initial: Passed to `fn` when the key is absent.

        Raises:
            KeyError: The key is absent, and there is no `initial`.
        """
        while True:
            old = await self.read_encoded(key, None)
            if old is None and initial is _NOTHING:
                raise KeyError(key)
            new = fn(initial if old is None else self.value_codec.decode(old))
            if old is None:
                done = await self.insert(key, new)
            else:
                done = await self.swap_encoded(key, old, new)
            if done:
                return new

    # --- the loop -------------------------------------------------------------------

    def _bind(self) -> None:
        """
        Belong to the running loop.

        Raises:
            ConfigError: The loop cannot watch a descriptor.
        """
        loop = asyncio.get_running_loop()
        if self.closed:
            raise error_for(_cabi.CLOSED, "async_session")
        if self._loop is not None:
            raise RuntimeError("this session was entered already; open another one")
        bell, ghost = take_bell(), weakref.ref(self)

        def look() -> None:
            session = ghost()
            if session is not None:
                session._look()

        def ring() -> None:
            bell.silence()
            look()

        try:
            loop.add_reader(bell.reads, ring)
        except NotImplementedError:
            give_bell(bell)
            raise _cannot_watch(loop) from None
        self._loop, self._bell = loop, bell
        soon = _Soon(loop, look)
        self.bind(loop, asyncio.get_running_loop, loop.create_future, soon)
        _cabi.session_notify(self.address, bell.writes)

    def _look(self) -> None:
        """
        Let the device go on, end what has ended, and see to it that this goes on.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = self._loop
        if loop is None:
            return
        try:
            left = self.resolve()
        except Exception as error:  # noqa: BLE001 - everybody who waits is told
            self.abandon(error)
            return
        self._turns = self._turns + 1 if left == 2 else 0
        if left == 2 and self._turns <= _TURNS:
            self._timer = loop.call_soon(self._look)
        elif left:
            pause = _PAUSE_S if left == 2 else _LOOK_S
            self._timer = loop.call_later(pause, self._look)

    def _unbind(self) -> None:
        """
        Belong to no loop any more.
        """
        loop, bell = self._loop, self._bell
        if loop is None or bell is None:
            return
        _cabi.session_notify(self.address, -1)
        if not loop.is_closed():
            loop.remove_reader(bell.reads)
        if self._timer is not None:
            self._timer.cancel()
        self._loop = self._bell = self._timer = None
        give_bell(bell)

    # --- lifetime -------------------------------------------------------------------

    async def close(self, timeout: float = DRAIN_S) -> None:
        """
        Close the session, once what is on its way has ended; a second call does
        nothing.

        Args:
            timeout: How long to wait for that.

        Raises:
            DeadlineError: Something was still on its way. With an update the session
                stays open, and `close` may be called again; with reads alone it is
                closed, and those who await them get `ClosedError`.

            SessionBusyError: Another thread is inside the session.

        Units: seconds.
        """
        if self.closed:
            return
        left = await self._drain(timeout)
        if _cabi.session_updates(self.address) or not self.end():
            raise still_open(_cabi.session_updates(self.address), timeout)
        if self._commits is not None:
            self._commits.note(self._number, self.serial)
        self.closed = True
        self._unbind()
        self.abandon(ClosedError("the session was closed before the operation ended"))
        self.bind(None, None, None, None)
        if left:
            raise DeadlineError(
                f"close: {left:,} operations were still on their way after "
                f"{timeout:g} seconds; the device is slow or stuck"
            )

    async def _drain(self, timeout: float) -> int:
        """
        Wait until nothing is on its way; how much is left when the time is over.
        """
        if self._loop is None:
            return 0
        deadline = self._loop.time() + timeout
        self._look()
        while self._is_needed() and self._loop.time() < deadline:
            await asyncio.sleep(_PAUSE_S)
            if not self.busy:  # nobody asks for updates whose tasks were cancelled
                self._look()
        return self.busy

    def _is_needed(self) -> bool:
        return bool(self.busy or _cabi.session_updates(self.address))

    async def __aenter__(self) -> Self:
        """
        Bind the session to the running loop, and give it.
        """
        self._bind()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """
        Close the session.
        """
        await self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<{type(self).__name__} {self._name!r}, serial {self.serial}, {state}>"


def _cannot_watch(loop: asyncio.AbstractEventLoop) -> ConfigError:
    return ConfigError(
        f"async_session: {type(loop).__name__} has no add_reader, so nobody can wake "
        "it when the device has ended something; run the program with asyncio.Runner("
        "loop_factory=asyncio.SelectorEventLoop), or use store.session() in a thread "
        "(asyncio.to_thread)"
    )


class _Soon:
    """
    What asks a loop to look at its next turn.
    """

    __slots__ = ("_look", "_loop")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, look: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._look = look

    def __call__(self) -> object:
        return self._loop.call_soon(self._look)


__all__ = ["AsyncSession"]
