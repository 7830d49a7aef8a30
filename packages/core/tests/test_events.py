# SPDX-License-Identifier: MIT
"""
What plugins are told while a store lives.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest

import pyfaster
from pyfaster._stats import StoreStats
from pyfaster.events import (
    IndexGrown,
    IndexSaturated,
    LogSpilled,
    StoreEvent,
    Watch,
    WritesResumed,
    WritesStopped,
)
from pyfaster.testing import MemoryDevice


class Listener:
    """A plugin that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[StoreEvent] = []

    @pyfaster.hookimpl
    def pyfaster_event(self, event: StoreEvent) -> None:
        self.events.append(event)


@pytest.fixture
def listener() -> Iterator[Listener]:
    one = Listener()
    pyfaster.register(one, name="listener")
    yield one
    pyfaster.unregister("listener")


def test_growth_is_told_once(listener: Listener) -> None:
    """A doubling is told by the next figures taken, with the index as it is then."""
    with pyfaster.open(key=int, value=int) as store:
        store.upsert_many(range(20_000), range(20_000))
        store.grow_index()
        while not (store.stats().index_growths and not store.stats().index_growing):
            store.upsert(store.stats().upserts, 0)
        told = [event for event in listener.events if isinstance(event, IndexGrown)]
        assert told
        assert [event.growths for event in told] == sorted({e.growths for e in told})
        assert told[-1].buckets == store.stats().index_buckets
        seen = len(listener.events)
        store.stats()
        assert len(listener.events) == seen


def test_what_nobody_asked_for_is_told_at_the_end(listener: Listener) -> None:
    """An event that no figures have shown yet is told before the store is closed."""
    store = pyfaster.open(key=int, value=int, memory="2MiB", index_fraction=0.02)
    with store:
        store.upsert_many(range(8_000), range(8_000))
        assert listener.events == []
    saturated = [e for e in listener.events if isinstance(e, IndexSaturated)]
    assert len(saturated) == 1
    assert saturated[0].store == store.name
    assert saturated[0].entries > 4 * saturated[0].buckets


def on_device(device: object) -> pyfaster.FasterKv[int, bytes]:
    """A store of a quarter of a megabyte on a device."""
    return pyfaster.open(
        key=int,
        value=bytes,
        device=device,  # type: ignore[arg-type]
        memory="256KiB",
        page_size="16KiB",
    )


def test_the_first_spill_is_told_once(listener: Listener) -> None:
    """A log that outgrows memory says so by the next figures, and never again."""
    with on_device(MemoryDevice()) as store:
        store[1] = b"value"
        store.stats()
        assert listener.events == []
        for key in range(2_000):
            store[key] = b"x" * 200
        head = store.stats().address_head
        spilled = [e for e in listener.events if isinstance(e, LogSpilled)]
        assert spilled == [LogSpilled(store.name, spilled[0].address)]
        assert 0 < spilled[0].address <= head
        for key in range(2_000):
            store[key] = b"x" * 200
    assert [e for e in listener.events if isinstance(e, LogSpilled)] == spilled


def figures() -> StoreStats:
    """The figures of a store in which nothing has happened."""
    with pyfaster.open() as store:
        return store.stats()


def test_how_writing_stands_is_told_when_it_changes() -> None:
    """Another failure is told anew; what is not of the device changes nothing."""
    watch, stats = Watch("name"), figures()

    def told(status: int, start: int = 0, end: int = 0) -> list[StoreEvent]:
        return list(watch.news(stats, (status, start, end)))

    no_space = os.strerror(errno.ENOSPC)
    assert told(0) == []
    first = WritesStopped("name", errno.ENOSPC, 64, 4096, no_space)
    assert told(-errno.ENOSPC, 64, 4096) == [first]
    assert told(-errno.ENOSPC, 64, 4096) == []
    for closed_or_forked in (-5004, -5007):
        assert told(closed_or_forked) == []
    second = WritesStopped("name", errno.EIO, 64, 4096, os.strerror(errno.EIO))
    assert told(-5012, 64, 4096) == [second]
    assert told(0) == [WritesResumed("name")]
    assert told(0) == []
