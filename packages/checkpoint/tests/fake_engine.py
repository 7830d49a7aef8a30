# SPDX-License-Identifier: MIT
"""The engines of the store in `fake_store`, with the streams of real ones."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import xxhash
from fake_store import BEGIN, RECORD, SIZE, VALID, FakeStore

from pyfaster.checkpoints import Block, CheckpointFacts, RecoveryPlan, StoreFacts
from pyfaster.errors import CheckpointBusyError, CorruptionError
from pyfaster_checkpoint._blocks import next_block

NUMBERS = {"index": 1, "pages": 2, "delta": 3}


def frame(part: str, number: int, payload: bytes, seed: int) -> bytes:
    """Make a block; one without payload ends a stream."""
    last = 0 if payload else 1
    head = struct.pack(
        "<IHHQII", 0x4B4C4246, NUMBERS[part], 1, number, len(payload), last
    )
    inner = xxhash.xxh3_64_intdigest(head, seed)
    return head + struct.pack("<Q", xxhash.xxh3_64_intdigest(payload, inner)) + payload


def stream(part: str, payloads: Sequence[bytes], seed: int) -> list[bytes]:
    """Make the blocks of a stream."""
    every = [*payloads, b""]
    return [frame(part, number, each, seed) for number, each in enumerate(every)]


class FakeCheckpoint:
    """
    Takes a checkpoint of a fake store.

    `failures` maps a phase or part to what is raised when it is reached; `restarts` is
    how often each stream begins anew.
    """

    def __init__(
        self,
        store: FakeStore,
        failures: Mapping[str, BaseException] | None = None,
        restarts: int = 0,
    ) -> None:
        self.kv = store
        self.unit = store.unit
        self.page_size = store.page_size
        self.read_room = store.page_size + 65536
        self.ended: list[bool] = []
        self._failures = dict(failures or {})
        self._restarts = dict.fromkeys(NUMBERS, restarts)
        self._queues: dict[str, list[bytes]] = {}
        self._facts: dict[str, Any] = {}
        self._points: dict[str, tuple[int, int]] = {}
        self._copied: dict[int, int] = {}
        self.expected: dict[int, int] = {}

    @property
    def store(self) -> StoreFacts:
        """What the manifest says of the store."""
        return self.kv.facts

    def begin(
        self,
        kind: str,
        *,
        with_index: bool,
        base_version: int = 0,
        base_final: int = 0,
        seed: int = 0,
    ) -> None:
        """Begin."""
        self._fail("begin")
        if self.kv.fuzzy_start is not None:
            raise CheckpointBusyError("another one is under way")
        self._kind, self._seed = kind, seed
        self._base = (base_version, base_final)
        self._version = self.kv.version
        self._facts = {"begin": BEGIN, "version": self._version}
        self._phases = self._steps(with_index or kind == "index")

    def _fail(self, where: str) -> None:
        if where in self._failures:
            raise self._failures.pop(where)

    def advance(self, timeout: float, /) -> str:
        """Go on to the next phase."""
        assert timeout > 0
        phase = next(self._phases)
        self._phase = phase
        self._fail(phase)
        self.kv.during(phase)
        return phase

    def _steps(self, with_index: bool) -> Iterator[str]:
        kv = self.kv
        if with_index:
            self._copied = dict(kv.index)
            self._facts |= {"index_start": kv.tail, "index_bits": 4}
            self._facts["index_entries"] = len(self._copied)
            yield "index-copy"
        if self._kind != "index":
            yield "prepare"
            self.expected = kv.state()
            self._points = dict(kv.sessions)
            kv.fuzzy_start = kv.tail
            kv.version += 1
            yield "in-progress"
            final = kv.pad()
            if self._kind == "fold-over":
                kv.flush(final)
            self._facts |= {"fuzzy_start": kv.fuzzy_start, "final": final}
            self._facts["log_until"] = max(min(kv.flushed, final), BEGIN)
            yield "wait-flush"
        yield "persist"

    def facts(self) -> CheckpointFacts:
        """What is known so far."""
        return CheckpointFacts(self._kind, self._phase, **self._facts)

    def points(self) -> Mapping[str, tuple[int, int]]:
        """The commit points."""
        return self._points

    def read(self, part: str, buffer: memoryview, /) -> int | None:
        """Give the next blocks, a few at a time."""
        self._fail(part)
        if part not in self._queues:
            self._queues[part] = stream(part, list(self._payloads(part)), self._seed)
        queue = self._queues[part]
        if self._restarts[part] and len(queue) == 1:
            self._restarts[part] -= 1
            del self._queues[part]
            self.kv.flush(self.kv.flushed + 4 * self.unit)
            until = min(self.kv.flushed, self._facts.get("final", 0))
            if part == "pages" and until:
                self._facts["log_until"] = max(until, BEGIN)
            return None
        data = b"".join(queue[:2])
        del queue[:2]
        buffer[: len(data)] = data
        return len(data)

    def _payloads(self, part: str) -> Iterator[bytes]:
        if part == "index":
            start, bits = self._facts["index_start"], self._facts["index_bits"]
            yield struct.pack("<QQQ", start, bits, 1 << bits)
            yield struct.pack("<IIQ", 1, 2, 0) + bytes(128)
            for key, at in self._copied.items():
                yield struct.pack("<IIQQQ", 2, 1, 0, key, at)
        elif part == "delta":
            yield from self._delta()
        else:
            yield from self._pages()

    def _pages(self) -> Iterator[bytes]:
        at, final = self._facts["log_until"], self._facts["final"]
        if self._kind == "incremental":
            at = max(at, self._base[1])
        while at < final:
            end = min((at // self.page_size + 1) * self.page_size, final)
            data = self.kv.sealed(at, end, self._version + 1)
            yield struct.pack("<QQ", at, end - at) + data
            at = end

    def _delta(self) -> Iterator[bytes]:
        version, final = self._base
        payload = b""
        for at in range(self._facts["log_until"], final, SIZE):
            if self.kv.record(at)[2] > version:
                data = self.kv.sealed(at, at + SIZE, self._version + 1)
                payload += struct.pack("<QQ", at, SIZE) + data
            if len(payload) > 100:
                yield payload
                payload = b""
        if payload:
            yield payload

    def end(self, published: bool, /) -> None:
        """Go back to rest."""
        self.ended.append(published)
        self.kv.fuzzy_start = None
        self._fail("end")


class FakeRecovery:
    """Recovers a fake store; `store` is there when it is finished."""

    def __init__(self, plan: RecoveryPlan, disk: bytearray) -> None:
        self._plan = plan
        self._disk = disk
        self.page_size = 256
        self.store_id = plan.store_id
        self.calls: list[str] = []
        self._index: dict[int, int] = {}
        self._number = 0
        self._log = bytearray(plan.log_until)
        self._tail = plan.log_until
        self._linking = threading.Lock()
        self.store: FakeStore | None = None

    def begin(self, **facts: Any) -> None:
        """Begin."""
        self.calls.append("begin")
        self.facts = facts
        self._links: dict[int, int] = {}

    def index(self, blocks: Any, /) -> None:
        """Take blocks of the copy of the index."""
        self.calls.append("index")
        at, view = 0, memoryview(blocks)
        while at < len(view):
            seed = self.facts["seed_index"]
            block = next_block(view[at:], seed=seed, part="index", number=self._number)
            if block is None:
                raise CorruptionError("a block is not whole")
            payload = view[at + block.payload : at + block.whole]
            if self._number and len(payload) == 32:
                _, _, _, key, address = struct.unpack("<IIQQQ", payload)
                self._index[key] = address
            self._number += 1
            at += block.whole

    def log(self, start: int, end: int, /) -> None:
        """Read a range of the device."""
        self.calls.append(f"log {start} {end}")
        self._link(start, bytes(self._disk[start:end]), end - start)

    def pages(self, address: int, data: Any, /) -> None:
        """Take the log's bytes that are not on the device."""
        self.calls.append(f"pages {address}")
        assert address == self._tail, (address, self._tail)
        self._log += bytes(data)
        self._tail += len(bytes(data))
        self._link(address, bytes(data), len(bytes(data)))

    def _link(self, start: int, data: bytes, wanted: int) -> None:
        if len(data) != wanted:
            raise CorruptionError("the device ends there")
        low = max(self.facts["index_start"], BEGIN)
        for at in range(start, start + len(data), SIZE):
            if at < BEGIN:
                continue
            key, _, version, flags, found = RECORD.unpack_from(data, at - start)
            head = data[at - start : at - start + 24]
            if self._probe().checksum(at, head) != found:
                raise CorruptionError(f"a record at {at:#x} is damaged")
            if flags == VALID and at >= low and self._seen(at, version):
                with self._linking:  # ranges come from several threads
                    self._links[key] = max(at, self._links.get(key, 0))

    def _probe(self) -> FakeStore:
        lives = self.facts["generations"]
        return FakeStore(store_id=self._plan.store_id, generations=lives)

    def _seen(self, at: int, version: int) -> bool:
        skips = self._plan.skips
        skipped = any(low <= at < end and version == of for low, end, of in skips)
        return version <= self.facts["version"] and not skipped

    def finish(self) -> None:
        """Make a store of it."""
        self.calls.append("finish")
        plan = self._plan
        low = self._disk[: plan.log_until].ljust(plan.log_until, b"\0")
        log = low + self._log[plan.log_until :]
        log += bytes(-len(log) % self.page_size)
        for at in range(self._tail, len(log), SIZE):
            RECORD.pack_into(log, at, 0, 0, plan.version + 1, 2, 0)
        self.store = FakeStore(
            store_id=plan.store_id,
            generations=plan.generations,
            skips=plan.skips,
            disk=self._disk,
            log=log,
            flushed=plan.log_until,
            version=plan.version + 1,
            index={**self._index, **self._links},
            sessions=dict(plan.sessions),
            next_session_id=plan.next_session_id,
        )

    def damage(self) -> int | None:
        """Nothing more is known."""
        return None

    def next_block(
        self, data: Any, /, *, seed: int, part: str, number: int
    ) -> Block | None:
        """Verify a block."""
        return next_block(data, seed=seed, part=part, number=number)

    def image_apply(self, image: memoryview, address: int, delta: Any, /) -> int:
        """Put records over a piece of the log."""
        at, count, payload = 0, 0, bytes(delta)
        while at < len(payload):
            place, extent = struct.unpack_from("<QQ", payload, at)
            at += 16
            low, high = max(place, address), min(place + extent, address + len(image))
            if low < high:
                piece = payload[at + low - place : at + high - place]
                image[low - address : high - address] = piece
                count += 1
            at += extent
        return count


def recovered(keeper: Any, disk: bytearray, recover: str = "latest") -> Any:
    """Recover as a store does when it is opened; None when there is nothing."""
    exclude: set[str] = set()
    while True:
        plan = keeper.plan(recover, LAYOUT_ANY, exclude=exclude)
        if plan is None:
            return None, None
        engine = FakeRecovery(plan, bytearray(disk))
        try:
            report = keeper.recover(plan, engine)
        except CorruptionError as error:
            token = getattr(error, "token", "")
            if not token or token in exclude or recover != "latest":
                raise
            exclude.add(token)
            continue
        return engine.store, report


LAYOUT_ANY = {"page_size": None}
