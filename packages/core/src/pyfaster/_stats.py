# SPDX-License-Identifier: MIT
"""
What a store says about itself: frozen snapshots, safe to keep and to compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pyfaster._histogram import Histogram

#: What is timed, in this order: single operations by kind, and what takes longer.
TIMED = (
    "read",
    "upsert",
    "insert",
    "delete",
    "discard",
    "rmw",
    "compare",
    "pending",
    "device_read",
    "device_write",
    "device_sync",
)

#: Which figure counts which outcome of which kind of operation.
_OUTCOMES = {
    ("read", "hit"): "reads_hit",
    ("read", "missed"): "reads_missed",
    ("upsert", "done"): "upserts",
    ("insert", "done"): "inserts",
    ("insert", "found"): "inserts_found",
    ("delete", "done"): "deletes",
    ("delete", "missed"): "deletes_missed",
    ("rmw", "done"): "rmws",
    ("compare", "done"): "compares",
    ("compare", "refused"): "compares_refused",
    ("any", "failed"): "failed",
}

#: Places for entries in a bucket of the index.
_BUCKET_ENTRIES = 7


def _nothing_timed() -> dict[str, Histogram]:
    return {name: Histogram() for name in TIMED}


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

        deletes: Deletes that deleted, discards included.

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

        inserts_found: Inserts that found the key there.

        deletes_missed: Deletes and discards that found nothing to delete.

        compares_refused: Compare-and-sets that found another value, or none.

        failed: Operations that ended in an error.

        reads_pending: Reads that had to wait for the device.

        updates_pending: Updates that had to wait for it, or behind one that had to.

        device_writes: Writes to the device that succeeded.

        device_syncs: Syncs of it that did.

        device_retries: Its reads, writes and syncs that were made again.

        device_errors: Those that failed, the ones made again included.

        writes_in_flight: Writes that the device has now.

        reads_in_flight: Reads that it has now.

        epoch_safe: The epoch that everybody inside has reached.

        events_waiting: Events that the listener has not been told of yet.

        events_lost: Events that found no room to wait.

        pending_bytes: Memory of operations that wait for the device, and buffers kept
            for the next ones.

        session_bytes: Memory of the sessions beside that; not of the budget.

        sample_every: One single operation in so many is timed; 0 for none.

        latencies: Histograms of durations, by what took them: `TIMED` names them all.
            Those of "read" to "compare" are of single operations in memory, one in
            `sample_every` of each session; "pending" of those that waited, from start
            to end; the others of what the device did. These four count all.

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
    inserts_found: int
    deletes_missed: int
    compares_refused: int
    failed: int
    reads_pending: int
    updates_pending: int
    device_writes: int
    device_syncs: int
    device_retries: int
    device_errors: int
    writes_in_flight: int
    reads_in_flight: int
    epoch_safe: int
    events_waiting: int
    events_lost: int
    pending_bytes: int
    session_bytes: int
    sample_every: int
    latencies: Mapping[str, Histogram] = field(
        default_factory=_nothing_timed, hash=False
    )

    @property
    def memory_bytes(self) -> int:
        """
        All memory that counts against the budget.
        """
        return self.memory_used

    @property
    def operation_counts(self) -> Mapping[tuple[str, str], int]:
        """
        How many operations of which kind ended how, such as `("read", "hit")`.

        What failed is counted under `("any", "failed")`; attempts and waits are not
        operations of their own.
        """
        return {pair: getattr(self, name) for pair, name in _OUTCOMES.items()}

    @property
    def operations(self) -> int:
        """
        Operations that ended without an error since the store was opened.
        """
        return sum(self.operation_counts.values()) - self.failed

    @property
    def hit_rate(self) -> float | None:
        """
        The part of the reads that found their key; None before the first.
        """
        return _part(self.reads_hit, self.reads_hit + self.reads_missed)

    @property
    def pending_rate(self) -> float | None:
        """
        The part of the reads that had to wait for the device; None before the first.
        """
        return _part(self.reads_pending, self.reads_hit + self.reads_missed)

    @property
    def epoch_lag(self) -> int:
        """
        How many epochs the thread that is furthest behind is behind.
        """
        return self.epoch - self.epoch_safe

    @property
    def index_load(self) -> float:
        """
        Entries for each place that the index has, without overflow buckets.
        """
        return self.index_entries / (self.index_buckets * _BUCKET_ENTRIES)

    @property
    def regions(self) -> Mapping[str, int]:
        """
        Bytes of the log's regions: "device" only there, "read_only" in memory too,
        "mutable" changed in place.
        """
        return {
            "device": self.address_head - self.address_begin,
            "read_only": self.address_read_only - self.address_head,
            "mutable": self.address_tail - self.address_read_only,
        }

    @property
    def memory(self) -> Mapping[str, int]:
        """
        Bytes of memory by what has them: "log", "index", "read_cache", "pending" and
        "sessions"; the last is not of the budget.
        """
        return {
            "log": self.log_bytes,
            "index": self.index_bytes,
            "read_cache": self.cache_bytes,
            "pending": self.pending_bytes,
            "sessions": self.session_bytes,
        }

    def to_dict(self) -> dict[str, Any]:
        """
        All figures, and what is computed of them, as JSON can say it.

        The keys are the names here; the pairs of `operation_counts` become texts such
        as "read hit".
        """
        names = [one.name for one in fields(self)] + _COMPUTED
        said: dict[str, Any] = {name: getattr(self, name) for name in names}
        said["latencies"] = {
            name: histogram.to_dict() for name, histogram in self.latencies.items()
        }
        said["operation_counts"] = {
            " ".join(pair): count for pair, count in self.operation_counts.items()
        }
        return said

    @classmethod
    def of(
        cls,
        figures: Mapping[str, int],
        latencies: Mapping[str, Histogram] | None = None,
    ) -> StoreStats:
        """
        Make a snapshot of the core's figures; ones that have no field are left out.
        """
        taken: dict[str, Any] = {
            one.name: figures[one.name]
            for one in fields(cls)
            if one.name != "latencies"
        }
        for flag in ("index_growing", "index_saturated"):
            taken[flag] = bool(taken[flag])
        return cls(**taken, latencies=_nothing_timed() | dict(latencies or {}))


def _part(some: int, whole: int) -> float | None:
    return some / whole if whole else None


#: The properties, which `to_dict` gives too.
_COMPUTED = [
    name for name, one in vars(StoreStats).items() if isinstance(one, property)
]


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
