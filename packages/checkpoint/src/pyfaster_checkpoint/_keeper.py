# SPDX-License-Identifier: MIT
"""
The checkpoints of one store: what was decided, what is on disk, who may do what when.

What is on disk is read anew for every decision; kept between calls is only what this
life of the store has done: which checkpoint it stands on, which one the next could be
based on, whose copy of the index serves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from pyfaster.checkpoints import (
    CheckpointEngine,
    CheckpointFiles,
    CheckpointInfo,
    CheckpointSettings,
    ProgressCall,
    RecoveryEngine,
    RecoveryPlan,
    RecoveryReport,
    Repeater,
    ValidationReport,
)
from pyfaster.errors import (
    CheckpointBusyError,
    ClosedError,
    CorruptCheckpointError,
    FasterError,
    ReadOnlyError,
)
from pyfaster_checkpoint._aside import begun
from pyfaster_checkpoint._background import Every
from pyfaster_checkpoint._begun import Begun
from pyfaster_checkpoint._catalog import (
    Catalog,
    Entry,
    info_of,
    read_catalog,
    read_entry,
    with_chains,
)
from pyfaster_checkpoint._events import CleanUpFailed
from pyfaster_checkpoint._files import PIN, DiskFiles
from pyfaster_checkpoint._left import Marking, leave_behind
from pyfaster_checkpoint._manifest import COOKIE_SIZE_MAX, KINDS, Manifest
from pyfaster_checkpoint._parse import is_token
from pyfaster_checkpoint._plan import Source, choose, make_plan
from pyfaster_checkpoint._problems import failed, not_found, refused
from pyfaster_checkpoint._recover import Recovery
from pyfaster_checkpoint._retention import discard_all, removable
from pyfaster_checkpoint._take import Order, Take
from pyfaster_checkpoint._validate import validate

#: A chain of incremental checkpoints has at most so many members.
CHAIN_LENGTH_MAX = 8

#: Each attempt takes a version, and a base may be 127 versions old.
ATTEMPTS_MAX = 100

_CLOSED = -5004


class Keeper:
    """
    The checkpoints of one store. Any thread may call any method.

    Args:
        files: Where they are; closed with this.

        settings: What to go by.

        clock: Seconds since 1970; for manifests and for how long one is kept.

        behind: Whether older checkpoints are removed by a thread of its own, while
            whoever took the new one goes on: large files take long to go. Every other
            call waits for that first.
    """

    def __init__(
        self,
        files: CheckpointFiles,
        settings: CheckpointSettings,
        *,
        clock: Callable[[], float] = time.time,
        behind: bool = False,
    ) -> None:
        self._files = files
        self._behind = behind
        self._removing: threading.Thread | None = None
        self._settings = settings
        self._clock = clock
        where = settings.directory
        self._begun = None if where is None else Begun(Path(where))
        self._taking = threading.Lock()
        self._lock = threading.Lock()
        self._closed = False
        self._store_id: int | None = None
        self._sources: dict[str, Source] = {}
        self._damage: dict[str, str] = {}
        self._stuck: set[str] = set()
        self._recovered: str | None = None
        self._last: Manifest | None = None
        self._index: str | None = None
        self._attempts = 0

    def plan(
        self,
        recover: str,
        layout: Mapping[str, object],
        *,
        exclude: Collection[str] = (),
    ) -> RecoveryPlan | None:
        """
        Choose what to recover from; nothing is changed.

        Raises:
            CorruptCheckpointError: There are no checkpoints, and there had been some.
        """
        self._check_open()
        catalog = read_catalog(self._files)
        with self._lock:
            reasons = {key: self._damage.get(key, _damage(key)) for key in exclude}
        source = choose(catalog, recover, layout, reasons)
        if source is None:
            self._refuse_lost(catalog)
            return None
        plan = make_plan(source, catalog)
        with self._lock:
            self._sources[plan.token] = source
        return plan

    def _refuse_lost(self, catalog: Catalog) -> None:
        """
        Nothing can be recovered: refuse to begin anew if there had been something.
        """
        if self._begun is None:
            return
        try:
            self._begun.refuse_lost(
                self._files, catalog.unfinished, self._settings.name
            )
        except CorruptCheckpointError:
            if isinstance(self._files, DiskFiles):
                self._files.unmake()
            raise

    def recover(
        self,
        plan: RecoveryPlan,
        engine: RecoveryEngine,
        *,
        progress: ProgressCall | None = None,
    ) -> RecoveryReport:
        """
        Bring a store to what the plan's checkpoint holds; newer ones are left behind.
        """
        self._check_open()
        with self._lock:
            source = self._sources.get(plan.token)
        if source is None:
            raise refused(f"the plan for checkpoint {plan.token} is not of this keeper")
        if not self._settings.read_only:
            engine = Marking(engine, partial(self._go_on_from, source.manifest))
        work = Recovery(self._files, source, engine, self._settings.threads, progress)
        try:
            report = work.run()
        except CorruptCheckpointError as error:
            with self._lock:
                self._damage[error.token] = str(error)
            raise
        with self._lock:
            self._store_id = plan.store_id
            self._recovered = plan.token
            self._index = None if source.index is None else source.index.token
            self._last = None
        return report

    def _go_on_from(self, one: Manifest) -> None:
        """
        See to what has to be on the medium before the store writes.
        """
        leave_behind(self._files, one)
        if self._begun is not None:
            with suppress(OSError):  # the next checkpoint does not go without it
                self._begun.make()

    def take(
        self,
        engine: CheckpointEngine,
        kind: str,
        *,
        cookie: bytes = b"",
        timeout: float | None = None,
        progress: ProgressCall | None = None,
    ) -> CheckpointInfo:
        """
        Take a checkpoint and publish it; then let older ones go.
        """
        self._check_writable()
        if kind != "auto" and kind not in KINDS:
            raise refused(f"kind is {kind!r}; it must be auto or one of {list(KINDS)}")
        if len(cookie) > COOKIE_SIZE_MAX:
            text = f"the cookie has {len(cookie):,} bytes; at most {COOKIE_SIZE_MAX:,}"
            raise refused(text)
        limit = self._settings.timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        with self._alone(limit):
            order = self._order(engine, kind, bytes(cookie), deadline)
            work = Take(self._files, engine, order, progress, self._clock)
            if self._begun is not None and order.kind != "index":
                work.complete = self._begun.make
            self._attempts += 1
            try:
                manifest = work.run()
            finally:
                if work.stuck:
                    self._stuck.add(work.token)
            self._note(manifest)
            self._let_go()
        info = info_of(Entry(manifest.token, manifest, None))
        return replace(info, phases=dict(work.phases))

    def _order(
        self, engine: CheckpointEngine, kind: str, cookie: bytes, deadline: float
    ) -> Order:
        """
        Decide what to take.
        """
        try:
            store_id = engine.store.store_id
            catalog = read_catalog(self._files, store_id)
        except OSError as error:
            raise failed("(new)", error) from error
        with self._lock:
            self._store_id = store_id
        base = self._base(catalog) if kind in ("auto", "incremental") else None
        if kind in ("auto", "incremental"):
            kind = "snapshot" if base is None else "incremental"
        index = self._index
        if index is not None:
            try:
                catalog.need_index(index, index)
            except FasterError:
                index = None
        return Order(
            kind=kind,
            sequence=catalog.sequence + 1,
            with_index=kind != "incremental",
            index=index,
            base=base,
            cookie=cookie,
            deadline=deadline,
        )

    def _base(self, catalog: Catalog) -> Manifest | None:
        """
        Give what an incremental checkpoint can be based on, or None.
        """
        last = self._last
        if last is None or last.kind not in ("snapshot", "incremental"):
            return None
        if self._attempts > ATTEMPTS_MAX:
            return None
        try:
            chain = catalog.chain(last.token)
        except CorruptCheckpointError:
            return None
        return last if len(chain) < CHAIN_LENGTH_MAX else None

    def _note(self, manifest: Manifest) -> None:
        """
        From here on this checkpoint is what the store stands on.
        """
        with self._lock:
            if manifest.index == manifest.token:
                self._index = manifest.token
            if manifest.has_state:
                self._last, self._attempts = manifest, 0
                self._recovered = None

    def _let_go(self) -> None:
        """
        Let go what the settings say, or have it done.
        """
        self._removing = None
        if self._behind:
            name = "pyfaster-checkpoint-remove"
            self._removing = begun(name, self._clean, daemon=False)
        if self._removing is None:
            self._clean()

    def _wait_removed(self, timeout: float | None = None) -> bool:
        """
        Wait until what was let go is gone; whether it is.
        """
        removing = self._removing
        if removing is None or removing is threading.current_thread():
            return True  # who is told of what could not be removed may ask, too
        removing.join(timeout)
        return not removing.is_alive()

    def _clean(
        self, keep: int | None = None, keep_for: float | None = None
    ) -> tuple[str, ...]:
        """
        Let go what may go; what cannot be removed is told, and fails nothing.
        """
        settings = self._settings
        try:
            catalog = read_catalog(self._files, self._store_id)
            tokens = removable(
                catalog,
                keep=settings.keep if keep is None else keep,
                keep_for=settings.keep_for if keep_for is None else keep_for,
                now=self._clock(),
                protect=self._standing_on(),
            )
            left = [each for each in catalog.unfinished if each not in self._stuck]
            gone = []
            for token, error in discard_all(self._files, [*tokens, *left]):
                if error is not None:
                    settings.announce(CleanUpFailed(settings.name, token, error))
                elif token in tokens:
                    gone.append(token)
        except Exception as error:  # noqa: BLE001 - the checkpoint is complete
            settings.announce(CleanUpFailed(settings.name, "", error))
            return ()
        return tuple(gone)

    def _standing_on(self) -> set[str]:
        last = None if self._last is None else self._last.token
        return {each for each in (self._recovered, self._index, last) if each}

    def checkpoints(self) -> tuple[CheckpointInfo, ...]:
        """
        All that there are, the newest first.
        """
        self._check_open()
        self._wait_removed()
        catalog = read_catalog(self._files, self._store_id)
        return tuple(map(info_of, with_chains(catalog)))

    def validate(self, token: str, /, *, deep: bool = False) -> ValidationReport:
        """
        Look through a checkpoint.
        """
        self._check_open()
        self._wait_removed()
        catalog = read_catalog(self._files, self._store_id)
        report = validate(self._files, catalog, _get(catalog, token), deep=deep)
        if not report.ok and read_entry(self._files, token) is None:
            raise not_found(token)  # it went meanwhile, which is no damage
        return report

    def prune(
        self, *, keep: int | None = None, keep_for: float | None = None
    ) -> tuple[str, ...]:
        """
        Let checkpoints go as the settings, or these figures, say; give their tokens.
        """
        self._check_writable()
        if keep is not None and keep < 1:
            raise refused(f"keep is {keep!r}; at least 1 checkpoint stays")
        if keep_for is not None and not keep_for >= 0:
            raise refused(f"keep_for is {keep_for!r}; give seconds, 0 or more")
        with self._alone(self._settings.timeout):
            return self._clean(keep, keep_for)

    def pin(self, token: str, /) -> None:
        """
        Keep a checkpoint until `unpin`, beyond this process.
        """
        self._check_writable()
        with self._alone(self._settings.timeout):
            entry = _get(read_catalog(self._files), token)
            if not entry.pinned:
                writer = self._files.create(token, PIN)
                try:
                    writer.sync()
                finally:
                    writer.close()
                self._files.sync(token)

    def unpin(self, token: str, /) -> None:
        """
        The opposite; one that is not pinned is no error.
        """
        self._check_writable()
        with self._alone(self._settings.timeout):
            _get(read_catalog(self._files), token)
            self._files.remove(token, PIN)
            self._files.sync(token)

    def every(
        self,
        seconds: float,
        call: Callable[[], object],
        failed: Callable[[Exception], None],
        /,
    ) -> Repeater:
        """
        Call something every so many seconds, in a thread of its own, until stopped.
        """
        return Every(seconds, call, failed)

    def go_by(self, *, keep: int, keep_for: float | None, timeout: float) -> None:
        """
        Go by other settings from now on.
        """
        self._settings = replace(
            self._settings, keep=keep, keep_for=keep_for, timeout=timeout
        )

    def close(self) -> None:
        """
        End; the files are closed, too. A second call does nothing.
        """
        with self._lock:
            closed, self._closed = self._closed, True
        if not closed:
            self._wait_removed()
            self._files.close()
            if self._begun is not None:
                self._begun.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(
                f"{self._settings.name}: its checkpoints are closed; open the store "
                "again",
                status=_CLOSED,
            )

    def _check_writable(self) -> None:
        self._check_open()
        if self._settings.read_only:
            raise ReadOnlyError(
                f"{self._settings.name}: a checkpoint was opened for reading; open the "
                "store itself to change its checkpoints"
            )

    @contextmanager
    def _alone(self, timeout: float) -> Iterator[None]:
        """
        Have the files to oneself; reading them needs no such thing.
        """
        limit = min(max(timeout, 0), threading.TIMEOUT_MAX)
        if not self._taking.acquire(timeout=limit):
            raise CheckpointBusyError(
                f"{self._settings.name}: another checkpoint is being taken and did not "
                f"end in {timeout:g} s; try again, or allow more time"
            )
        try:
            if not self._wait_removed(limit):
                raise CheckpointBusyError(
                    f"{self._settings.name}: older checkpoints are being removed; that "
                    f"did not end in {timeout:g} s; try again, or allow more time"
                )
            self._check_open()
            yield
        finally:
            self._taking.release()


def _damage(key: str) -> str:
    return f"checkpoint {key}: it turned out to be damaged"


def _get(catalog: Catalog, token: str) -> Entry:
    entry = catalog.get(token) if is_token(token) else None
    if entry is None:
        raise not_found(token)
    return entry


__all__ = ["CHAIN_LENGTH_MAX", "Keeper"]
