# SPDX-License-Identifier: MIT
"""
Recovery: from a checkpoint's files and the log's device into a store that is empty.

Files are compared with the manifest before a byte of them is used, and every block is
verified before its payload is. What is damaged is named in the error, with the token of
the checkpoint that owns it, so that an older one can be tried on a new store.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import ExitStack, closing, contextmanager
from functools import partial

from pyfaster.checkpoints import (
    CheckpointFiles,
    FileReader,
    Progress,
    ProgressCall,
    RecoveryEngine,
    RecoveryReport,
)
from pyfaster.errors import CorruptCheckpointError
from pyfaster_checkpoint._ahead import Ahead, First
from pyfaster_checkpoint._aside import Aside
from pyfaster_checkpoint._blocks import BlockFile
from pyfaster_checkpoint._manifest import INDEX, Manifest
from pyfaster_checkpoint._merge import Member, blaming, merged
from pyfaster_checkpoint._plan import Source, index_key
from pyfaster_checkpoint._problems import damaged

#: What one thread reads of the log at a time, at least.
_RANGE = 16 << 20


class Recovery:
    """
    One recovery.

    Args:
        files: Where the checkpoints are.

        source: What to recover from.

        engine: An empty store, opened for it.

        threads: How many may read the log.

        progress: Is told how far it is.
    """

    def __init__(
        self,
        files: CheckpointFiles,
        source: Source,
        engine: RecoveryEngine,
        threads: int,
        progress: ProgressCall | None,
    ) -> None:
        self._files = files
        self._source = source
        self._engine = engine
        self._threads = max(threads, 1)
        self._progress = progress
        self._phases: dict[str, float] = {}
        self._file_bytes = 0
        self._log_bytes = 0
        self._telling = threading.Lock()

    def run(self) -> RecoveryReport:
        """
        Do it.

        Raises:
            CorruptCheckpointError: Something is damaged; `token` is the checkpoint's
                that owns it, or, of a copy of the index, that with the file's name.
        """
        one, index = self._source.manifest, self._source.index
        with ExitStack() as stack:
            copy = None if index is None else self._open(stack, index, INDEX)
            chain = [(each, self._open_all(stack, each)) for each in self._source.chain]
            with blaming(one, ""):
                self._begin(one, index)
            feed_index = None
            if index is not None and copy is not None:
                feed_index = partial(self._feed_index, index, copy)
            with First(feed_index, threaded=self._has_early_pages(one, index)) as first:
                self._feed_pages(one, index, chain, first)
            with self._timed("finish"), blaming(one, ""):
                self._engine.finish()
        return self._report(one, index)

    def _begin(self, one: Manifest, index: Manifest | None) -> None:
        at = one.addresses
        of = None if index is None else index.addresses
        self._engine.begin(
            version=one.version,
            begin=at.begin,
            fuzzy_start=at.fuzzy_start,
            log_until=at.log_until,
            final=at.final,
            index_start=0 if of is None else of.index_start,
            index_bits=0 if of is None else of.index_bits,
            table_bits=at.table_bits,
            entries_hint=one.records if of is None else of.index_entries,
            seed_index=0 if index is None else index.seed,
            skips=one.skips,
            generations=one.generations,
        )

    def _open(self, stack: ExitStack, owner: Manifest, name: str) -> FileReader:
        """
        Open a file and compare its length.
        """
        entry = owner.file(name)
        key = index_key(owner.token) if name == INDEX else None
        try:
            if entry is None:
                raise damaged(owner.token, name, "the manifest does not have it")
            try:
                reader = self._files.open(owner.token, name)
            except FileNotFoundError:
                raise damaged(owner.token, name, "it is missing") from None
            stack.callback(reader.close)
            if reader.size != entry.length:
                text = f"it has {reader.size:,} bytes, of {entry.length:,}"
                raise damaged(owner.token, name, text)
        except CorruptCheckpointError as error:
            error.token = key or owner.token
            raise
        self._file_bytes += reader.size
        return reader

    def _open_all(self, stack: ExitStack, one: Manifest) -> dict[str, FileReader]:
        """
        Open the files of one member of the chain, but for its copy of the index.
        """
        names = [entry.name for entry in one.files if entry.name != INDEX]
        return {name: self._open(stack, one, name) for name in names}

    def _feed_index(self, index: Manifest, reader: FileReader) -> None:
        done = 0
        file = BlockFile(reader, "index", reuse=True)
        ahead = Ahead(file.windows(), threaded=file.large)
        with self._timed("index"), blaming(index, INDEX), ahead:
            for window in ahead:
                self._engine.index(window)
                done += len(window)
                self._tell("index", done, reader.size)

    def _feed_log(self, one: Manifest, index: Manifest | None) -> None:
        """
        Hand the log out in ranges; the device is read by several threads.
        """
        at = one.addresses
        start = at.begin
        if index is not None:
            start = max(start, index.addresses.index_start)
        ranges = deque(_ranges(start, at.log_until, self._engine.page_size))
        total = max(at.log_until - start, 0)
        with ExitStack() as stack:
            others = [
                stack.enter_context(Aside("pyfaster-recovery"))
                for _ in range(min(self._threads, len(ranges)))
            ]
            stack.callback(ranges.clear)  # an error ends the others, too
            # Each is asked for two ranges, so that none waits for this thread.
            coming = {each.ask(self._link, ranges): each for each in others * 2}
            while coming:
                for future in wait(coming, return_when=FIRST_COMPLETED).done:
                    with blaming(one, "the log"):
                        size = future.result()
                    other = coming.pop(future)
                    if size:
                        self._log_bytes += size
                        self._tell("log", self._log_bytes, total)
                        coming[other.ask(self._link, ranges)] = other

    def _link(self, ranges: deque[tuple[int, int]]) -> int:
        """
        Link the next range, if there is one; how many bytes it had.
        """
        try:
            begin, end = ranges.popleft()
        except IndexError:
            return 0
        self._engine.log(begin, end)
        return end - begin

    def _has_early_pages(self, one: Manifest, index: Manifest | None) -> bool:
        """
        Whether there are pages that need no link, as the index has their records.
        """
        return (
            index is not None and index.addresses.index_start > one.addresses.log_until
        )

    def _feed_pages(
        self,
        one: Manifest,
        index: Manifest | None,
        chain: list[Member],
        first: First,
    ) -> None:
        """
        Hand the pages in; between those that need no link and the others what they are
        linked behind.
        """
        start = 0 if index is None else index.addresses.index_start
        begin, log = time.monotonic(), 0.0
        with closing(merged(self._engine, one, chain)) as pieces:
            for address, data in pieces:
                early = min(max(start - address, 0), len(data))
                self._push(one, address, data[:early])
                if early < len(data):
                    log += self._link_log(one, index, first)
                    self._push(one, address + early, data[early:])
        log += self._link_log(one, index, first)
        self._phases["pages"] = time.monotonic() - begin - log

    def _push(self, one: Manifest, address: int, data: memoryview) -> None:
        if data:
            at = one.addresses
            with blaming(one, ""):
                self._engine.pages(address, data)
            done = address + len(data) - at.log_until
            self._tell("pages", done, at.final - at.log_until)

    def _link_log(self, one: Manifest, index: Manifest | None, first: First) -> float:
        """
        Wait for the index, then link the log behind it, once; how long that took.
        """
        if "log" in self._phases:
            return 0.0
        begin = time.monotonic()
        first.wait()
        with self._timed("log"):
            self._feed_log(one, index)
        return time.monotonic() - begin

    def _tell(self, phase: str, done: int, total: int) -> None:
        if self._progress is not None:
            with self._telling:
                self._progress(Progress(phase, done, total))

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self._phases[phase] = time.monotonic() - begin

    def _report(self, one: Manifest, index: Manifest | None) -> RecoveryReport:
        return RecoveryReport(
            token=one.token,
            kind=one.kind,
            version=one.version,
            cookie=one.cookie,
            sessions={name: serial for name, (_, serial) in one.sessions.items()},
            final=one.addresses.final,
            index=None if index is None else index.token,
            log_bytes=self._log_bytes,
            file_bytes=self._file_bytes,
            phases=self._phases,
            passed_over=self._source.passed_over,
        )


def _ranges(start: int, until: int, page_size: int) -> Iterator[tuple[int, int]]:
    """
    Cut the log where pages begin.
    """
    step = max(_RANGE // page_size, 1) * page_size
    while start < until:
        end = min((start // step + 1) * step, until)
        yield start, end
        start = end


__all__ = ["Recovery"]
