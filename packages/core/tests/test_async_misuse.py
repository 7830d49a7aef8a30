# SPDX-License-Identifier: MIT
"""Misuse of asynchronous sessions raises at the call, and the session goes on."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import pytest

import pyfaster
from pyfaster import _bell
from pyfaster.errors import ConfigError, KeyTooLargeError, SessionBusyError
from pyfaster.testing import MemoryDevice

Store = pyfaster.FasterKv[int, int]


def test_an_operation_is_awaited_once() -> None:
    """Awaiting a second time is an error; what was closed cannot be awaited."""

    async def work(store: Store) -> None:
        async with store.async_session() as s:
            one = s.read(1)
            assert await one == 3
            with pytest.raises(RuntimeError, match="awaited once"):
                await one
            other = s.read(2)
            other.close()
            with pytest.raises(RuntimeError, match="awaited once"):
                await other
            assert s.pending == 0

    with pyfaster.open(
        key=int, value=int, device=MemoryDevice(), memory="1MiB", page_size=4096
    ) as store:
        store.upsert_many([1, 2], [3, 6])
        store.evict()
        asyncio.run(work(store))


def test_arguments_are_checked_at_the_call() -> None:
    """What cannot be encoded raises when the operation is called, not awaited."""

    async def work(store: pyfaster.FasterKv[bytes, bytes]) -> None:
        async with store.async_session() as s:
            with pytest.raises(TypeError, match="key: expected bytes, found int"):
                s.read(5)  # type: ignore[call-overload]
            with pytest.raises(ValueError, match="merge: expected one of"):
                s.rmw(b"k", b"v", "no such")
            with pytest.raises(KeyTooLargeError, match="upsert: key"):
                s.upsert(b"k" * 70_000, b"v")
            with pytest.raises(TypeError, match="call it as upsert"):
                s.upsert(b"k")  # type: ignore[call-arg]
            assert s.serial == 0

    with pyfaster.open() as store:
        asyncio.run(work(store))


def test_names_are_shared_with_plain_sessions() -> None:
    """A name is live once, whichever kind of session has it; both are listed."""

    async def work(store: Store) -> None:
        async with store.async_session("one"):
            with pytest.raises(SessionBusyError, match="'one' is open already"):
                store.session("one")
            assert "one" in [info.name for info in store.sessions()]
        with store.session("one"):
            pass

    with pyfaster.open(key=int, value=int) as store:
        asyncio.run(work(store))


class Deaf(asyncio.SelectorEventLoop):
    """A loop that cannot watch descriptors, as the Proactor loop of Windows."""

    def add_reader(self, *_: Any) -> NoReturn:  # type: ignore[override]
        """Say so as asyncio does."""
        raise NotImplementedError


def test_a_loop_that_cannot_watch_is_refused() -> None:
    """The message names a loop that can; the session serves another loop, once."""

    async def refused(session: pyfaster.AsyncSession[int, int]) -> None:
        with pytest.raises(ConfigError, match="Deaf has no add_reader") as raised:
            await session.__aenter__()
        assert "asyncio.SelectorEventLoop" in str(raised.value)
        with pytest.raises(RuntimeError, match="async with"):
            session.read(1)

    async def works(session: pyfaster.AsyncSession[int, int]) -> None:
        async with session:
            assert await session.read(1) == 3

    with pyfaster.open(key=int, value=int) as store:
        store[1] = 3
        session = store.async_session()
        before = len(_bell._bells)
        with asyncio.Runner(loop_factory=Deaf) as runner:
            runner.run(refused(session))
        assert len(_bell._bells) == max(before, 1)
        asyncio.run(works(session))
