# SPDX-License-Identifier: MIT
"""
Taking a checkpoint: bytes from the core into files, and the moment they count.

The order is what makes it safe. The place is made and its name synced; the core's
streams go to files, which are compared in length, synced one by one, then their
directory; the manifest is written under another name, synced, renamed, and the
directory synced. Only then has the checkpoint been taken. Until then anything that goes
wrong ends this checkpoint and nothing else. A sync that failed is never tried again:
what the system says the second time means nothing.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle

from pyfaster.checkpoints import (
    CheckpointEngine,
    CheckpointFacts,
    CheckpointFiles,
    FileWriter,
    Progress,
    ProgressCall,
    StoreFacts,
)
from pyfaster.errors import (
    CheckpointBusyError,
    CheckpointFailedError,
    ClosedError,
    DeadlineError,
    ForkedError,
)
from pyfaster_checkpoint._manifest import (
    FILES,
    INDEX,
    KINDS,
    MANIFEST,
    MANIFEST_NEW,
    MANIFEST_SIZE_MAX,
    Addresses,
    FileEntry,
    Manifest,
    encode,
    make_token,
)
from pyfaster_checkpoint._parse import parse
from pyfaster_checkpoint._problems import failed
from pyfaster_checkpoint._pump import Pump

#: What goes to the caller as it is.
_AS_IT_IS = (
    CheckpointBusyError,
    CheckpointFailedError,
    ClosedError,
    DeadlineError,
    ForkedError,
)
_TIMEOUT = -5014
_BUFFER = 4 << 20


@dataclass(frozen=True, slots=True)
class Order:
    """
    What is to be taken.

    Attributes:
        kind: One of `KINDS`.

        sequence: Its number.

        with_index: Whether the index is copied.

        index: The checkpoint whose copy serves otherwise.

        base: Of an incremental one, its parent.

        cookie: The user's bytes.

        deadline: By the monotonic clock.
    """

    kind: str
    sequence: int
    with_index: bool
    index: str | None
    base: Manifest | None
    cookie: bytes
    deadline: float


class Take:
    """
    One checkpoint being taken, by one thread.

    Args:
        files: Where it goes.

        engine: The core.

        order: What to take.

        progress: Is told how far it is.

        clock: Seconds since 1970, for the manifest.

    Attributes:
        token: Its name.

        phases: How long each phase took.

        stuck: Whether its directory could not be synced: it must be left as it is.

        complete: Is called when it is on the medium, before anybody is told of it; what
            it raises fails the checkpoint.
    """

    def __init__(
        self,
        files: CheckpointFiles,
        engine: CheckpointEngine,
        order: Order,
        progress: ProgressCall | None,
        clock: Callable[[], float],
    ) -> None:
        self.token = make_token(order.sequence, secrets.randbits(64))
        self.phases: dict[str, float] = {}
        self.stuck = False
        self.complete: Callable[[], None] = _nothing
        self._files = files
        self._engine = engine
        self._order = order
        self._progress = progress
        self._clock = clock
        self._seed = secrets.randbits(64)
        self._writers: dict[str, FileWriter] = {}
        self._entries: dict[str, FileEntry] = {}
        self._made = False
        self._named = False
        self._phase, self._since = "begin", time.monotonic()

    def run(self) -> Manifest:
        """
        Take it.

        Raises:
            CheckpointFailedError, DeadlineError: As `CheckpointKeeper.take` says.
        """
        try:
            manifest = self._run()
        except BaseException as error:
            self._undo()
            if isinstance(error, _AS_IT_IS) or not isinstance(error, Exception):
                raise
            raise failed(self.token, error) from error
        self._engine.end(True)
        self._enter("rest")
        return manifest

    def _run(self) -> Manifest:
        order, base = self._order, self._order.base
        self._made = True  # perhaps in part: it is undone all the same
        self._files.make(self.token)
        self._engine.begin(
            order.kind,
            with_index=order.with_index,
            base_version=0 if base is None else base.version,
            base_final=0 if base is None else base.addresses.final,
            seed=self._seed,
        )
        while (phase := self._advance()) != "persist":
            if phase == "index-copy":
                self._stream(INDEX)
            elif phase == "wait-flush":
                for name in KINDS[order.kind]:
                    self._stream(name)
        return self._publish()

    def _advance(self) -> str:
        phase = self._engine.advance(self._left())
        self._enter(phase)
        return phase

    def _left(self) -> float:
        left = self._order.deadline - time.monotonic()
        if left <= 0:
            raise DeadlineError(
                f"checkpoint {self.token}: it was not complete in time, in the phase "
                f"{self._phase!r}; allow more time",
                status=_TIMEOUT,
            )
        return left

    def _enter(self, phase: str) -> None:
        """
        Note how long the last phase took, and tell of the next.
        """
        now = time.monotonic()
        self.phases[self._phase] = self.phases.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now
        if self._progress is not None and phase != "rest":
            self._progress(Progress(phase, token=self.token))

    def _stream(self, name: str) -> None:
        """
        Write a stream to its file; the core may have it begun anew.
        """
        entry = None
        while entry is None:
            if name in self._writers:
                self._writers.pop(name).abandon()
                self._files.remove(self.token, name)
            with Pump(self._begin_file(name)) as pump:
                entry = self._pour(name, pump)
        self._entries[name] = entry

    def _pour(self, name: str, pump: Pump) -> FileEntry | None:
        """
        Write a stream to its end; None when it begins anew.
        """
        for buffer in cycle(self._buffers):
            self._left()
            count = self._engine.read(FILES[name], buffer)
            if count is None:
                return None
            if count == 0:
                break
            pump.put(buffer[:count])
            if self._progress is not None:
                self._progress(Progress(self._phase, pump.size, token=self.token))
        return FileEntry(name, pump.size, pump.hash())

    @cached_property
    def _buffers(self) -> tuple[memoryview, memoryview]:
        """
        One to read into while the other is written.
        """
        size = max(_BUFFER, self._engine.read_room)
        return memoryview(bytearray(size)), memoryview(bytearray(size))

    def _begin_file(self, name: str) -> FileWriter:
        writer = self._files.create(self.token, name)
        self._writers[name] = writer
        return writer

    def _publish(self) -> Manifest:
        """
        Make it durable, then make it a checkpoint.
        """
        self._enter("sync")
        for name in sorted(self._entries):
            self._check_length(name)
            self._finish(name)
        self._sync_names()
        manifest = self._manifest()
        self._enter("publish")
        data = encode(manifest)
        if len(data) > MANIFEST_SIZE_MAX:
            raise ValueError(f"its manifest would have {len(data):,} bytes")
        parse(data, self.token)  # nothing is published that could not be read back
        self._begin_file(MANIFEST_NEW).write(data)
        self._finish(MANIFEST_NEW)
        self._left()
        self._named = True
        self._files.rename(self.token, MANIFEST_NEW, MANIFEST)
        self._sync_names()
        self.complete()
        return manifest

    def _check_length(self, name: str) -> None:
        reader = self._files.open(self.token, name)
        size, wanted = reader.size, self._entries[name].length
        reader.close()
        if size != wanted:
            raise OSError(f"{name} has {size:,} bytes of {wanted:,} that were written")

    def _finish(self, name: str) -> None:
        """
        Sync and close a file; the one that wrote it does so.
        """
        writer = self._writers[name]
        writer.sync()
        del self._writers[name]
        writer.close()

    def _sync_names(self) -> None:
        try:
            self._files.sync(self.token)
        except BaseException:
            self.stuck = True
            raise

    def _manifest(self) -> Manifest:
        order, store = self._order, self._engine.store
        facts = self._engine.facts()
        own = INDEX in self._entries
        base = order.base
        sessions = {} if order.kind == "index" else dict(self._engine.points())
        return Manifest(
            token=self.token,
            kind=order.kind,
            sequence=order.sequence,
            version=facts.version,
            store_id=store.store_id,
            seed=self._seed,
            addresses=_addresses(facts, order.kind),
            layout=_plain(store),
            generations=tuple(store.generations),
            skips=_skips(store, facts, order.kind),
            parent=None if base is None else base.token,
            index=self.token if own else order.index,
            created=max(int(self._clock()), 0),
            segment_size=store.segment_size,
            sessions=sessions,
            next_session_id=max(
                [
                    store.next_session_id,
                    *(number + 1 for number, _ in sessions.values()),
                ]
            ),
            files=tuple(self._entries[name] for name in sorted(self._entries)),
            cookie=order.cookie,
            records=facts.index_entries,
        )

    def _undo(self) -> None:
        """
        Leave nothing of it, as far as that is possible.

        A manifest that was renamed and perhaps not synced goes first, and alone: the
        files stay until the directory could be synced without it.
        """
        with suppress(Exception):
            self._engine.end(False)
        for writer in self._writers.values():
            writer.abandon()
        if not self._made:
            return
        with suppress(Exception):
            if self._named:
                self._files.remove(self.token, MANIFEST)
                self._files.remove(self.token, MANIFEST_NEW)
                return
            for name in self._files.names(self.token):
                self._files.remove(self.token, name)
            self._files.remove_token(self.token)


def _nothing() -> None:
    """
    Nothing more has to be done.
    """


def _addresses(facts: CheckpointFacts, kind: str) -> Addresses:
    index = (
        facts.index_start,
        facts.index_bits,
        facts.index_entries,
        facts.table_bits,
    )
    if kind == "index":  # it has no state: only where its copy begins matters
        start = max(facts.begin, facts.index_start)
        return Addresses(facts.begin, start, start, start, *index)
    return Addresses(
        facts.begin, facts.fuzzy_start, facts.final, facts.log_until, *index
    )


def _skips(
    store: StoreFacts, facts: CheckpointFacts, kind: str
) -> tuple[tuple[int, int, int], ...]:
    """
    Those that the log has above its beginning and below the checkpoint's end.
    """
    end = facts.final if kind != "index" else facts.index_start
    return tuple(
        (first, until, version)
        for first, until, version in store.skips
        if until > facts.begin and until <= end
    )


def _plain(store: StoreFacts) -> dict[str, str | int | None]:
    """
    The layout as JSON knows it; `parse` refuses what it must not be.
    """
    return {
        name: value if isinstance(value, (str, int)) else None
        for name, value in store.layout.items()
    }


__all__ = ["Order", "Take"]
