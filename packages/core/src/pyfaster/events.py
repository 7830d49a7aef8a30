# SPDX-License-Identifier: MIT
"""
What a store tells the hook `pyfaster_event`.

The core keeps figures and calls nobody. Whoever asks for `stats()`, and `close()`,
compares them with those of the time before and tells what has happened since: events
cost the operations nothing, and may come late but are never lost while the store lives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyfaster._stats import StoreStats


@dataclass(frozen=True, slots=True)
class StoreEvent:
    """
    Something that happened to a store.

    Attributes:
        store: The store's name.
    """

    store: str


@dataclass(frozen=True, slots=True)
class IndexGrown(StoreEvent):
    """
    The index has doubled, perhaps more than once since the last event.

    Attributes:
        growths: Doublings finished since the store was opened.

        buckets: Buckets there are now.

        index_bytes: Memory of the index now.
    """

    growths: int
    buckets: int
    index_bytes: int


@dataclass(frozen=True, slots=True)
class IndexSaturated(StoreEvent):
    """
    The memory budget refused a doubling: lookups get slower from here on.

    Attributes:
        entries: Entries in use.

        buckets: Buckets they share.

        index_bytes: Memory of the index.
    """

    entries: int
    buckets: int
    index_bytes: int


class Watch:
    """
    Compares figures with those seen before.
    """

    __slots__ = ("_growths", "_saturated", "_store")

    def __init__(self, store: str) -> None:
        self._store = store
        self._growths = 0
        self._saturated = False

    def news(self, stats: StoreStats) -> Iterator[StoreEvent]:
        """
        Give the events that these figures show.
        """
        if stats.index_growths > self._growths:
            self._growths = stats.index_growths
            yield IndexGrown(
                self._store, self._growths, stats.index_buckets, stats.index_bytes
            )
        if stats.index_saturated and not self._saturated:
            self._saturated = True
            yield IndexSaturated(
                self._store,
                stats.index_entries,
                stats.index_buckets,
                stats.index_bytes,
            )


@dataclass(frozen=True, slots=True)
class DeviceFallback:
    """
    A device could not be had, and another one serves in its place.

    Told when the device is opened, before there is a store.

    Attributes:
        asked: The device that was asked for, with its scheme.

        used: The scheme of the one that was opened.

        reason: Why, in words.
    """

    asked: str
    used: str
    reason: str


__all__ = ["DeviceFallback", "IndexGrown", "IndexSaturated", "StoreEvent"]
