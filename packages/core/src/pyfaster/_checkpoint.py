# SPDX-License-Identifier: MIT
"""
The core's side of checkpoints and recovery, for whoever coordinates them.

Theory of operation: an engine is a thin handle. It turns the core's numbers into words,
waits in slices so that a signal or the store's end is noticed, and names the session
that a phase waits for. It opens no file: the coordinator (`pyfaster.checkpoints`) reads
its streams and writes them, or the other way round.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyfaster import _cabi_checkpoint as cabi
from pyfaster._cabi import FULL, kv_stats
from pyfaster._checkpoint_values import (
    Block,
    CheckpointFacts,
    Generation,
    Point,
    Skip,
    StoreFacts,
)
from pyfaster._session import left_ms
from pyfaster.errors import (
    CheckpointBusyError,
    CheckpointFailedError,
    ClosedError,
    CorruptionError,
    DeadlineError,
    FasterError,
    StoreFullError,
    error_for,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from pyfaster import _cabi
    from pyfaster._commits import Commits, SessionNames

#: Between two looks at signals and at whether the store is being closed.
_SLICE_MS = 50

#: What precedes the first record of a page that has address 0.
_PAGE_RESERVE = 64

#: What a buffer for a stream must hold beside a page, and what it holds at least.
_ROOM_BESIDE = 64 << 10
_ROOM = 4 << 20

#: Bytes of a bucket of the index, and what the log has in memory at least.
_BUCKET = 64
_PAGES_MIN = 4


@dataclass(slots=True)
class Life:
    """
    One life of a durable store, from a recovery to the next.

    Attributes:
        name: The store's, for messages.

        kv: Its handle.

        unit: What its device writes as one.

        store_id: Seeds the checksums of records.

        generations: Those of the log; the last is this life's.

        skips: What recoveries left in the log that is not to be seen.

        layout: As in `StoreFacts`.

        segment_size: Of the log's files.

        names: The numbers of its sessions.

        commits: Their commit points.

        lock: Guards the names.

        ending: Is set when a checkpoint under way is to be given up.
    """

    name: str
    kv: _cabi.Kv
    unit: int
    store_id: int
    generations: tuple[Generation, ...]
    skips: tuple[Skip, ...]
    layout: Mapping[str, object]
    segment_size: int
    names: SessionNames
    commits: Commits
    lock: threading.RLock
    ending: threading.Event = field(default_factory=threading.Event)

    @property
    def page_size(self) -> int:
        """
        Bytes of a page.
        """
        return int(str(self.layout["page_size"]))

    def facts(self) -> StoreFacts:
        """
        What a manifest says of the store.
        """
        with self.lock:
            return StoreFacts(
                store_id=self.store_id,
                generations=self.generations,
                skips=self.skips,
                layout=self.layout,
                segment_size=self.segment_size,
                next_session_id=self.names.next_number,
            )

    def drop_gone(self) -> None:
        """
        Let the core forget sessions without a name that are gone.
        """
        with self.lock:
            for number in self.names.gone():
                cabi.session_forget(self.kv, number)
                self.commits.forget(number)


class CoreCheckpoint:
    """
    One checkpoint, as `pyfaster.checkpoints.CheckpointEngine` says.

    Args:
        life: Of which store.

    Attributes:
        kind: What is taken; "" before `begin`.
    """

    def __init__(self, life: Life) -> None:
        self._life = life
        self._handle: Any = None
        self._captured: dict[int, int] | None = None
        self.kind = ""
        self.unit = life.unit
        self.page_size = life.page_size
        self.read_room = max(_ROOM, 2 * life.page_size) + _ROOM_BESIDE

    @property
    def store(self) -> StoreFacts:
        """
        What a manifest says of the store.
        """
        return self._life.facts()

    def begin(
        self,
        kind: str,
        *,
        with_index: bool,
        base_version: int = 0,
        base_final: int = 0,
        seed: int = 0,
    ) -> None:
        """
        Begin a checkpoint.

        Raises:
            CheckpointBusyError: One is under way.
        """
        self._refuse_end()
        self.kind = kind
        self._life.drop_gone()
        try:
            self._handle = cabi.checkpoint_begin(
                self._life.kv,
                kind=cabi.KIND[kind],
                with_index=with_index,
                base_version=base_version,
                base_final=base_final,
                seed=seed,
            )
        except FasterError as error:
            if error.status == cabi.BUSY:
                raise _busy(self._life.name) from error
            raise

    def advance(self, timeout: float, /) -> str:
        """
        Go on by one step, and give the phase that was reached.

        Raises:
            DeadlineError: It did not end in time; the session that holds it up is
                named.

            CheckpointFailedError: The store is being closed.
        """
        deadline = time.monotonic() + timeout
        while True:
            self._refuse_end()
            slice_ms = min(left_ms(deadline), _SLICE_MS)
            status = cabi.checkpoint_advance(self._open(), slice_ms)
            if status != cabi.TIMEOUT:
                break
            if left_ms(deadline) == 0:
                raise self._late(timeout)
        facts = self._facts()
        if status < 0:
            phase = cabi.PHASE[facts["phase"]]
            where = f"store {self._life.name!r}: checkpoint, phase {phase!r}"
            raise error_for(status, where)
        return cabi.PHASE[facts["phase"]]

    def facts(self) -> CheckpointFacts:
        """
        What is known so far.
        """
        found = self._facts()
        if found["begin"] == _PAGE_RESERVE:
            found["begin"] = 0  # nothing was cut off: the log has its first page whole
        names = (
            "version begin fuzzy_start final log_until index_start index_bits "
            "table_bits index_entries"
        )
        kinds = {number: kind for kind, number in cabi.KIND.items()}
        return CheckpointFacts(
            kind=kinds[found["kind"]],
            phase=cabi.PHASE[found["phase"]],
            **{name: found[name] for name in names.split()},
        )

    def points(self) -> Mapping[str, Point]:
        """
        The named sessions, with their numbers and commit points.
        """
        with self._life.lock:
            return self._life.names.points(self._capture())

    def read(self, part: str, buffer: memoryview, /) -> int | None:
        """
        Fill a buffer with the next bytes of a stream.
        """
        self._refuse_end()
        return cabi.checkpoint_read(self._open(), cabi.PART[part], buffer)

    def end(self, published: bool, /) -> None:
        """
        Go back to rest; tell of commit points if the checkpoint is complete.
        """
        if self._handle is None:
            return
        captured = self._capture() if published else {}
        handle, self._handle = self._handle, None
        cabi.checkpoint_end(handle)
        if captured:
            self._life.commits.publish(captured)

    # --- inside ---------------------------------------------------------------------

    def _open(self) -> Any:
        if self._handle is None:
            raise ClosedError(f"store {self._life.name!r}: no checkpoint is under way")
        return self._handle

    def _facts(self) -> dict[str, int]:
        return cabi.checkpoint_facts(self._open())

    def _capture(self) -> dict[int, int]:
        """
        The commit points as the core has captured them.
        """
        if self._captured is None:
            facts = self._facts()
            if facts["kind"] == cabi.KIND["index"]:
                return {}
            self._captured = cabi.checkpoint_points(self._open(), facts["points"])
        return self._captured

    def _refuse_end(self) -> None:
        if self._life.ending.is_set():
            raise CheckpointFailedError(
                f"store {self._life.name!r}: it is being closed, and the checkpoint "
                "under way was given up; older ones are not affected"
            )

    def _late(self, timeout: float) -> DeadlineError:
        facts = self._facts()
        phase = cabi.PHASE[facts["phase"]]
        with self._life.lock:
            name = self._life.names.name_of(facts["slow_session"])
        who = f"session {name!r}" if name is not None else "a session without a name"
        return DeadlineError(
            f"store {self._life.name!r}: checkpoint: phase {phase!r} did not end in "
            f"{timeout:g} seconds; {who} held it up; let its call end, or allow more "
            "time",
            status=cabi.TIMEOUT,
        )


def _busy(name: str) -> CheckpointBusyError:
    return CheckpointBusyError(
        f"store {name!r}: another checkpoint is being taken; wait for it, or allow "
        "more time",
        status=cabi.BUSY,
    )


class CoreRecovery:
    """
    One recovery, as `pyfaster.checkpoints.RecoveryEngine` says.

    Args:
        kv: A store that was opened for it.

        name: The store's, for messages.

        store_id: Seeds the checksums of records.

        page_size: Bytes of a page.
    """

    def __init__(
        self, kv: _cabi.Kv, *, name: str, store_id: int, page_size: int
    ) -> None:
        self._kv = kv
        self._name = name
        self._handle: Any = None
        self.store_id = store_id
        self.page_size = page_size

    def begin(
        self,
        *,
        version: int,
        begin: int,
        fuzzy_start: int,
        log_until: int,
        final: int,
        index_start: int = 0,
        index_bits: int = 0,
        table_bits: int = 0,
        entries_hint: int = 0,
        seed_index: int = 0,
        skips: Sequence[Skip] = (),
        generations: Sequence[Generation] = (),
    ) -> None:
        """
        Begin; the numbers are those of the manifest.

        Raises:
            StoreFullError: The memory is too small for the index that there was.
        """
        fields = {
            "version": version,
            "begin": begin,
            "fuzzy_start": fuzzy_start,
            "log_until": log_until,
            "final": final,
            "index_start": index_start,
            "index_bits": index_bits,
            "table_bits": table_bits,
            "entries_hint": entries_hint,
            "seed_index": seed_index,
        }
        try:
            self._handle = cabi.recovery_begin(self._kv, skips, generations, **fields)
        except StoreFullError as error:
            raise self._too_small(max(index_bits, table_bits)) from error

    def index(self, blocks: Buffer, /) -> None:
        """
        Take the next whole blocks of the copy of the index.
        """
        self._check(cabi.recovery_index(self._open(), blocks), "the index's copy")

    def log(self, start: int, end: int, /) -> None:
        """
        Read, verify and link the records of a range of the log's device.
        """
        where = f"the log from {start:,} to {end:,}"
        self._check(cabi.recovery_log(self._open(), start, end), where)

    def pages(self, address: int, data: Buffer, /) -> None:
        """
        Take the log's next bytes.
        """
        where = f"the snapshot at {address:,}"
        self._check(cabi.recovery_pages(self._open(), address, data), where)

    def finish(self) -> None:
        """
        Make the store usable.
        """
        self._check(cabi.recovery_finish(self._open()), "the end of the log")

    def damage(self) -> int | None:
        """
        The address at which the last damage was found, if any was.
        """
        address, what = cabi.recovery_damage(self._open())
        return address if what else None

    def next_block(
        self, data: Buffer, /, *, seed: int, part: str, number: int
    ) -> Block | None:
        """
        Verify the block at the beginning of a buffer.
        """
        return cabi.block_next(data, seed, cabi.PART[part], number)

    def image_apply(self, image: memoryview, address: int, delta: Buffer, /) -> int:
        """
        Put the records of a delta's payload into a piece of the log.
        """
        return cabi.image_apply(image, address, delta)

    def free(self) -> None:
        """
        Give the core's memory back; a second call does nothing.
        """
        if self._handle is not None:
            handle, self._handle = self._handle, None
            cabi.recovery_free(handle)

    def _open(self) -> Any:
        if self._handle is None:
            raise ClosedError(f"store {self._name!r}: no recovery is under way")
        return self._handle

    def _too_small(self, bits: int) -> StoreFullError:
        budget = kv_stats(self._kv)["memory_limit"]
        return StoreFullError(
            f"store {self._name!r}: recovery: the memory is too small for the "
            f"checkpoint's index, which needs {_BUCKET << bits:,} bytes beside "
            f"{_PAGES_MIN} pages of {self.page_size:,}; the budget is {budget:,} "
            "bytes, and index_fraction= says how much of it the index may take: open "
            "the store with more memory=, or a larger index_fraction=",
            status=FULL,
        )

    def _check(self, status: int, what: str) -> None:
        if status >= 0:
            return
        if status == cabi.CORRUPT:
            address = self.damage()
            place = "" if address is None else f", address {address:,}"
            raise CorruptionError(
                f"store {self._name!r}: recovery: {what}{place}: stored bytes fail "
                "their checksum or their bounds; recover from an older checkpoint",
                status=status,
            )
        raise error_for(status, f"store {self._name!r}: recovery: {what}")


__all__ = ["CoreCheckpoint", "CoreRecovery", "Life"]
