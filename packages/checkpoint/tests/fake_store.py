# SPDX-License-Identifier: MIT
"""
A store in a hundred lines that behaves towards checkpoints as the core does.

Records are 32 bytes: key, value, version, flags, checksum. The log is memory with a
flushed part on a "device"; records that are not flushed are changed in place. A
checkpoint goes through the phases, and tests write in each of them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import xxhash

from pyfaster.checkpoints import StoreFacts

RECORD = struct.Struct("<QQIIQ")
SIZE = RECORD.size
BEGIN = 64
VALID, VOID = 1, 2

LAYOUT = {
    "layout": "fixed",
    "key_size": 8,
    "value_size": 8,
    "page_size": 256,
    "hash": "xxh3",
    "key_codec": "uint64",
    "value_codec": "uint64",
    "value_type": "u64",
}


@dataclass
class FakeStore:
    """A key-value store of numbers; one thread."""

    store_id: int = 0x1234
    generations: tuple[tuple[int, int], ...] = ((0, 1 << 32 | 7),)
    skips: tuple[tuple[int, int, int], ...] = ()
    page_size: int = 256
    unit: int = 64
    disk: bytearray = field(default_factory=bytearray)
    log: bytearray = field(default_factory=lambda: bytearray(BEGIN))
    flushed: int = 0
    version: int = 1
    index: dict[int, int] = field(default_factory=dict)
    sessions: dict[str, tuple[int, int]] = field(default_factory=dict)
    next_session_id: int = 1
    fuzzy_start: int | None = None
    layout: dict[str, object] = field(default_factory=lambda: dict(LAYOUT))
    during: Callable[[str], None] = lambda phase: None

    @property
    def tail(self) -> int:
        """Where the next record goes."""
        return len(self.log)

    @property
    def facts(self) -> StoreFacts:
        """What manifests say of it."""
        return StoreFacts(
            self.store_id,
            self.generations,
            self.skips,
            self.layout,
            1 << 20,
            self.next_session_id,
        )

    def session(self, name: str) -> None:
        """Know a session."""
        if name not in self.sessions:
            self.sessions[name] = (self.next_session_id, 0)
            self.next_session_id += 1

    def put(self, key: int, value: int, session: str = "") -> None:
        """Set a key, in place where that is allowed."""
        if session:
            number, serial = self.sessions[session]
            self.sessions[session] = (number, serial + 1)
        at = self.index.get(key)
        if at is not None and self._may_change(at):
            self._store(at, key, value, VALID)
        else:
            self.index[key] = self.tail
            self._append(key, value, VALID)

    def _may_change(self, at: int) -> bool:
        if at < self.flushed:
            return False
        if self.fuzzy_start is None:
            return True
        return at >= self.fuzzy_start and self.record(at)[2] == self.version

    def _append(self, key: int, value: int, flags: int) -> None:
        self.log += bytes(SIZE)
        self._store(self.tail - SIZE, key, value, flags)

    def _store(self, at: int, key: int, value: int, flags: int) -> None:
        RECORD.pack_into(self.log, at, key, value, self.version, flags, 0)

    def record(self, at: int) -> tuple[int, ...]:
        """Give the words of a record in memory."""
        return RECORD.unpack_from(self.log, at)

    def pad(self) -> int:
        """Fill up to the next unit with records of nothing."""
        while self.tail % self.unit:
            self._append(0, 0, VOID)
        return self.tail

    def sealed(self, start: int, end: int, void: int | None = None) -> bytes:
        """Give bytes of the log as the device gets them; those of a version void."""
        data = bytearray(self.log[start:end])
        for at in range(max(start, BEGIN), end, SIZE):
            key, value, version, flags, _ = self.record(at)
            if void == version and at >= (self.fuzzy_start or 0):
                flags = VOID
            head = struct.pack("<QQII", key, value, version, flags)
            RECORD.pack_into(data, at - start, key, value, version, flags, 0)
            struct.pack_into("<Q", data, at - start + 24, self.checksum(at, head))
        return bytes(data)

    def checksum(self, at: int, head: bytes) -> int:
        """Give the checksum of a record, which knows its place and its life."""
        number = [each for first, each in self.generations if first <= at][-1]
        return xxhash.xxh3_64_intdigest(head, at ^ number ^ self.store_id)

    def flush(self, until: int) -> None:
        """Write to the device, in whole units."""
        until = min(until, self.tail)
        until -= until % self.unit
        if until > self.flushed:
            data = self.sealed(self.flushed, until)
            self.disk.extend(bytes(max(self.flushed - len(self.disk), 0)))
            self.disk[self.flushed : until] = data
            self.flushed = until

    def state(self) -> dict[int, int]:
        """Give all keys and values."""
        return {key: self.record(at)[1] for key, at in self.index.items()}
