# SPDX-License-Identifier: MIT
"""
A log's figures, as they were at one moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pyfaster import Histogram


@dataclass(frozen=True, slots=True)
class LogStats:
    """
    Figures of a log; those that count begin at 0 when it is opened.

    Attributes:
        begin: The first address that is there.

        committed: Everything below is durable.

        flushed: Everything below was handed to the device.

        tail: Where the next entry goes.

        number: Of the last commit.

        entries: How many were appended.

        payload_bytes: Bytes of their payloads.

        commits: Commit records that were written.

        commit_waits: Calls that another's commit served.

        syncs: Of the device.

        room_waits: Calls that waited for room in memory.

        memory_bytes: Pages on their way to the device.

        written_bytes: What the device was given.

        scans: Those that are open.

        generation: The life of the log, counted from 1.

        lives: How many of them it remembers.

        slot_writes: How often a slot was written.

        cursors: How many have a saved position.

        completed: Whether nothing is appended any more.

        latencies: How long things took, each time that they succeeded: "commit", from
            its record's turn to being durable, "device_write" and "device_sync".

    Units: bytes, and addresses, which count bytes; the rest are counts.
    """

    begin: int
    committed: int
    flushed: int
    tail: int
    number: int
    entries: int
    payload_bytes: int
    commits: int
    commit_waits: int
    syncs: int
    room_waits: int
    memory_bytes: int
    written_bytes: int
    scans: int
    generation: int
    lives: int
    slot_writes: int
    cursors: int
    completed: bool
    latencies: Mapping[str, Histogram] = field(default_factory=dict, hash=False)

    @property
    def uncommitted_bytes(self) -> int:
        """
        Bytes of the log that a crash may take.
        """
        return self.tail - self.committed

    def to_dict(self) -> dict[str, Any]:
        """
        All figures, as JSON can say it.
        """
        said = {one.name: getattr(self, one.name) for one in fields(self)}
        said["uncommitted_bytes"] = self.uncommitted_bytes
        said["latencies"] = {
            name: histogram.to_dict() for name, histogram in self.latencies.items()
        }
        return said


#: Names of the core's figures by ours.
_NAMES = {
    "begin": "address_begin",
    "committed": "address_committed",
    "flushed": "address_flushed",
    "tail": "address_tail",
    "number": "number",
    "entries": "entries",
    "payload_bytes": "bytes",
    "commits": "commits",
    "commit_waits": "commit_waits",
    "syncs": "syncs",
    "room_waits": "waits",
    "memory_bytes": "memory_used",
    "written_bytes": "device_write_bytes",
    "scans": "scans",
}


def stats_of(
    core: Mapping[str, int], latencies: Mapping[str, Histogram], **own: int
) -> LogStats:
    """
    Put the core's figures and our own together.
    """
    completed = bool(own.pop("completed"))
    figures = {ours: core[name] for ours, name in _NAMES.items()}
    return LogStats(**figures, **own, completed=completed, latencies=latencies)


__all__ = ["LogStats", "stats_of"]
