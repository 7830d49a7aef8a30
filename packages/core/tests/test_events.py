# SPDX-License-Identifier: MIT
"""
What plugins are told while a store lives.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import pyfaster
from pyfaster.events import IndexGrown, IndexSaturated, StoreEvent


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
