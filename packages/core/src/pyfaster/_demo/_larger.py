# SPDX-License-Identifier: MIT
"""
Keep several times more in a store than its memory holds, and check all of it.

Records of 1 KiB are written until they are so many times the budget, then every seventh
is written anew. What is stored follows from the key alone, so everything can be checked
without a copy: by a scan, which must give each key once with its newest value, and by
reads of random keys, most of which are on the device by then.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import pyfaster

VALUE_SIZE = 1024
#: What a record takes of the log: its value, its key of 8 bytes, a header of 16.
RECORD_SIZE = VALUE_SIZE + 24
#: Records between two notices, and in one call.
SLICE = 512
#: Every so many keys are written a second time.
RENEWED = 7
#: Random reads: so many in batches, so many one by one.
BATCHED = 20_000
SINGLE = 500
#: Differences that are kept; there may be as many as records.
DIFFERENCES_MAX = 100

_ODD = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1

LargeStore = pyfaster.FasterKv[int, bytes]


@dataclass(frozen=True, slots=True)
class Moment:
    """
    How far the demonstration is, and what the store says of itself.

    Attributes:
        doing: "writing", "renewing", "scanning" or "reading".

        done: Records of `total` that this was done to.

        seconds: Since `doing` began.
    """

    doing: str
    done: int
    total: int
    seconds: float
    stats: pyfaster.StoreStats

    @property
    def bytes_per_second(self) -> float:
        """
        How many bytes of records were dealt with in a second.
        """
        return self.done * RECORD_SIZE / self.seconds if self.seconds else 0.0


Notice = Callable[[Moment], None]


@dataclass(frozen=True, slots=True)
class Step:
    """
    What was done, to how many records, in how many seconds.
    """

    name: str
    records: int
    seconds: float


@dataclass(slots=True)
class LargerThanMemory:
    """
    What was done, and whether all was right.

    Attributes:
        wrong: How many records were not as they should be.

        differences: The first of those, a sentence each.

    Units: bytes.
    """

    device: str
    memory: int
    records: int
    data_bytes: int = 0
    on_device_bytes: int = 0
    memory_bytes: int = 0
    device_reads: int = 0
    steps: list[Step] = field(default_factory=list)
    wrong: int = 0
    differences: list[str] = field(default_factory=list)

    def differ(self, how: str, key: int, what: str) -> None:
        """
        Keep a difference.
        """
        self.wrong += 1
        if len(self.differences) < DIFFERENCES_MAX:
            self.differences.append(f"{how}: key {key}: {what}")


def value_of(key: int) -> bytes:
    """
    Give what is stored under a key in the end.
    """
    return make_value(key, 1 if key % RENEWED == 0 else 0)


def make_value(key: int, version: int) -> bytes:
    """
    Give the value that a key has at first, or after it was written anew.
    """
    word = (key * _ODD + version + 1) & _MASK
    return word.to_bytes(8, "little") * (VALUE_SIZE // 8)


class Work:
    """
    The steps, on a store that is open.
    """

    def __init__(
        self, store: LargeStore, result: LargerThanMemory, notice: Notice
    ) -> None:
        self._store = store
        self._result = result
        self._notice = notice
        self._keys = result.records

    def do_all(self, seed: int) -> None:
        """
        Write, renew, scan, read.
        """
        with self._store.session("larger than memory") as session:
            self._write(session, "writing", range(self._keys), 0)
            self._write(session, "renewing", range(0, self._keys, RENEWED), 1)
            self._store.flush()
            self._scan()
            self._read(session, random.Random(seed))

    def _step(self, doing: str, parts: Iterable[int], total: int) -> None:
        """
        Go through what tells after each part how much is done.
        """
        begin = perf_counter()
        done = 0
        for done in parts:
            spent = perf_counter() - begin
            self._notice(Moment(doing, done, total, spent, self._store.stats()))
        self._result.steps.append(Step(doing, done, perf_counter() - begin))

    def _write(
        self,
        session: pyfaster.Session[int, bytes],
        doing: str,
        keys: range,
        version: int,
    ) -> None:
        def parts() -> Iterable[int]:
            for first in range(0, len(keys), SLICE):
                part = keys[first : first + SLICE]
                values = [make_value(key, version) for key in part]
                session.upsert_many(part, values)
                yield first + len(part)

        self._step(doing, parts(), len(keys))

    def _scan(self) -> None:
        result, seen = self._result, bytearray(self._keys)

        def parts() -> Iterable[int]:
            count = 0
            for key, value in self._store.items():
                count += 1
                if not 0 <= key < self._keys:
                    result.differ("scan", key, "was never written")
                elif seen[key]:
                    result.differ("scan", key, "came twice")
                else:
                    seen[key] = 1
                    if value != value_of(key):
                        result.differ("scan", key, "has another value")
                if count % SLICE == 0:
                    yield count
            yield count

        self._step("scanning", parts(), self._keys)
        key = seen.find(0)
        while key >= 0:
            result.differ("scan", key, "did not come")
            key = seen.find(0, key + 1)

    def _read(self, session: pyfaster.Session[int, bytes], dice: random.Random) -> None:
        def parts() -> Iterable[int]:
            for done in range(SLICE, BATCHED + SLICE, SLICE):
                keys = [dice.randrange(self._keys) for _ in range(SLICE)]
                for key, value in zip(keys, session.read_many(keys), strict=True):
                    self._compare("batch read", key, value)
                yield done
            for one in range(1, SINGLE + 1):
                key = dice.randrange(self._keys)
                self._compare("read", key, session.read(key))
                if one % 100 == 0:
                    yield done + one

        total = -(-BATCHED // SLICE) * SLICE + SINGLE
        self._step("reading", parts(), total)

    def _compare(self, how: str, key: int, value: bytes | None) -> None:
        if value != value_of(key):
            what = "was not found" if value is None else "has another value"
            self._result.differ(how, key, what)


def larger_than_memory(
    device: str,
    memory: int,
    times: int,
    where: Path | None,
    *,
    notice: Notice,
    seed: int = 1,
) -> LargerThanMemory:
    """
    Write so many times the budget into a new directory, which is removed at the end.

    Args:
        device: The scheme of the device.

        memory: The budget.

        times: How many budgets of records are written.

        where: The folder that the directory is made in; the system's when None.

        notice: Called with each moment.

    Units: bytes.
    """
    records = max(1, memory * times // RECORD_SIZE)
    result = LargerThanMemory(device, memory, records)
    with tempfile.TemporaryDirectory(prefix="pyfaster-demo-", dir=where) as folder:
        with pyfaster.open(
            f"{device}:{Path(folder) / 'store'}",
            key=int,
            value=pyfaster.Bytes(VALUE_SIZE),
            durable=False,
            memory=memory,
        ) as store:
            Work(store, result, notice).do_all(seed)
            stats = store.stats()
        result.data_bytes = stats.address_tail - stats.address_begin
        result.on_device_bytes = stats.address_flushed - stats.address_begin
        result.memory_bytes = stats.memory_bytes
        result.device_reads = stats.device_reads
    return result
