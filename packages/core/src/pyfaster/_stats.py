# SPDX-License-Identifier: MIT
"""
What a store says about itself: frozen snapshots, safe to keep and to compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class StoreStats:
    """
    Figures of a store at one moment.

    Attributes:
        sessions: Sessions that are open, implicit ones included.

        address_begin: Where the log starts.

        address_read_only: The first address whose record may change in place.

        address_tail: Where the next record goes.

        log_bytes: Memory committed to log pages.

        index_bytes: Memory of the index with its overflow buckets.

        index_buckets: Buckets of the index.

        index_entries: Entries in use, as last counted.

        index_overflow: Overflow buckets.

        index_growths: Doublings that are finished.

        index_growing: True while a doubling is under way.

        index_saturated: True once the budget refused a doubling.

        reads_hit: Reads that found their key.

        reads_missed: Reads that did not.

        upserts: Upserts done.

        inserts: Inserts that inserted.

        rmws: Merges done.

        deletes: Deletes that deleted.

        compares: Compare-and-sets that set.

        retries: Attempts that had to start again.

        epoch: The store's epoch.

        address_head: The first address whose record is in memory.

        address_flushed: Every record below is on the device.

        address_safe_read_only: No record below changes any more.

        pages_evicted: Pages that have left memory.

        memory_used: What counts against the budget: log, index, read cache, buffers.

        memory_limit: The budget; 0 when there is none.

        device_reads: Records read back from the device.

        device_read_bytes: Bytes of these reads.

        device_write_bytes: Bytes written to the device.

        pending: Operations that wait for the device now.

        cache_hits: Reads that the read cache answered.

        cache_insertions: Records that came into it.

        cache_evictions: Records that had to leave it.

        cache_bytes: Memory of the read cache.

    Units: bytes for everything named so; all else are counts. Counters start at 0 when
    the store is opened.
    """

    sessions: int
    address_begin: int
    address_read_only: int
    address_tail: int
    log_bytes: int
    index_bytes: int
    index_buckets: int
    index_entries: int
    index_overflow: int
    index_growths: int
    index_growing: bool
    index_saturated: bool
    reads_hit: int
    reads_missed: int
    upserts: int
    inserts: int
    rmws: int
    deletes: int
    compares: int
    retries: int
    epoch: int
    address_head: int
    address_flushed: int
    address_safe_read_only: int
    pages_evicted: int
    memory_used: int
    memory_limit: int
    device_reads: int
    device_read_bytes: int
    device_write_bytes: int
    pending: int
    cache_hits: int
    cache_insertions: int
    cache_evictions: int
    cache_bytes: int

    @property
    def memory_bytes(self) -> int:
        """
        All memory that counts against the budget.
        """
        return self.memory_used

    @property
    def operations(self) -> int:
        """
        Operations done since the store was opened.
        """
        reads = self.reads_hit + self.reads_missed
        updates = self.upserts + self.inserts + self.rmws
        return reads + updates + self.deletes + self.compares

    @classmethod
    def of(cls, figures: Mapping[str, int]) -> StoreStats:
        """
        Make a snapshot of the core's figures; ones that have no field are left out.
        """
        taken: dict[str, Any] = {one.name: figures[one.name] for one in fields(cls)}
        for flag in ("index_growing", "index_saturated"):
            taken[flag] = bool(taken[flag])
        return cls(**taken)


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """
    A session that is open.

    Attributes:
        name: Its name, or None.

        serial: The serial number of its last update; 0 before the first.

        implicit: True for the session that a thread uses through the store itself.
    """

    name: str | None
    serial: int
    implicit: bool
