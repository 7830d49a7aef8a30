# SPDX-License-Identifier: MIT
"""What wakes an event loop: a descriptor of a kind that the system has."""

from __future__ import annotations

import asyncio
import os
from collections import deque

import pytest

import pyfaster
from pyfaster import _bell
from pyfaster.testing import MemoryDevice

KEYS = 500


async def read_twice(store: pyfaster.FasterKv[int, int]) -> None:
    """Read all keys from the device in one session, and again in another."""
    for _ in range(2):
        async with store.async_session() as session:
            found = await session.read_many(range(KEYS))
            assert found == [3 * key for key in range(KEYS)]
        store.evict()


def test_a_socket_rings_where_there_is_no_eventfd(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without os.eventfd a pair of sockets wakes the loop, and the next session's."""
    monkeypatch.delattr(os, "eventfd")
    monkeypatch.setattr(_bell, "_bells", deque())
    with pyfaster.open(
        key=int, value=int, device=MemoryDevice(), memory="2MiB", page_size=4096
    ) as store:
        store.upsert_many(list(range(KEYS)), [3 * key for key in range(KEYS)])
        store.evict()
        asyncio.run(read_twice(store))
    (bell,) = _bell._bells
    for part in (bell._own, bell._other):
        assert part is not None
        part.close()


def test_a_silenced_bell_rings_again() -> None:
    """Taking what was written leaves nothing to read, and the next word is seen."""
    bell = _bell.Bell()
    for _ in range(3):
        os.write(bell.writes, (1).to_bytes(8, "little"))
        bell.silence()
        with pytest.raises(BlockingIOError):
            os.read(bell.reads, 8)
    bell.silence()
    os.close(bell.reads)


def test_a_bell_of_the_parent_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor that another process may watch, too, is not taken again."""
    foreign, own = _bell.Bell(), _bell.Bell()
    foreign.pid += 1
    monkeypatch.setattr(_bell, "_bells", deque([own, foreign]))
    assert _bell.take_bell() is own
    other = _bell.take_bell()
    assert other is not foreign
    for bell in (foreign, own, other):
        os.close(bell.reads)
