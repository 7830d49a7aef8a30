# SPDX-License-Identifier: MIT
"""
Durable logs, scans and entries that die in any order; references; memory; fork().
"""

from __future__ import annotations

import array
import gc
import os
import subprocess
import sys
import tracemalloc
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from pyfaster.errors import ClosedError, ForkedError
from pyfaster.flog import FIRST, Life, LogDevice, NativeLog
from pyfaster.testing import MemoryDevice


def new(kind: type[NativeLog] = NativeLog, **settings: Any) -> NativeLog:
    """Open a new log."""
    given = {"log_id": 7, "page_size": 4096, "number": 0, **settings}
    given = {"lives": [Life(1, FIRST)], "begin": FIRST, "committed": FIRST, **given}
    return kind(LogDevice(MemoryDevice()), **given)


def use_everything(log: NativeLog, entries: list[Any]) -> None:
    """Call every method, with every outcome, and drop what comes back."""
    for entry in entries:
        log.append(entry)
    log.append_many(entries)
    log.append_many(entries, atomic=True)
    log.append_many(entries[0], offsets=array.array("Q", [0, 1]))
    address = log.append_and_commit(entries[0])
    log.read(address)
    log.commit_strong(entries[0])
    for entry in log.scan(commits=True):
        repr(entry)
    for piece in log.scan().batches():
        piece.payloads()
        list(piece)
        memoryview(piece.starts)
    big = bytes(log.payload_max + 1)
    wrong: list[Callable[[], object]] = [
        lambda: log.append("text"),  # type: ignore[arg-type]  # tested
        lambda: log.append(big),
        lambda: log.append_many([entries[0], big]),
        lambda: log.append_many([entries[0], 5]),  # type: ignore[list-item]  # tested
        lambda: log.append_many(entries[0], offsets=array.array("Q", [1, 0])),
        lambda: log.append_many(entries, addresses=bytearray(1)),
        lambda: log.read(4),
        lambda: log.scan(start=4),
        lambda: log.scan(start="x"),  # type: ignore[arg-type]  # tested
    ]
    for call in wrong:
        with pytest.raises((TypeError, ValueError)):
            call()


def test_references_are_balanced() -> None:
    """After each call, successful or not, every argument has as many as before."""
    with new() as log:
        entries = [b"bytes of one", bytearray(b"array"), memoryview(b"view of some")]
        counted = [log, *entries, type(log), NativeLog.__base__]
        use_everything(log, entries)
        gc.collect()
        before = [sys.getrefcount(each) for each in counted]
        for _ in range(10):
            use_everything(log, entries)
        gc.collect()
        assert [sys.getrefcount(each) for each in counted] == before


def test_types_of_entries_are_balanced() -> None:
    """Entries that are made again from dead ones hold their type as others do."""
    with new() as log:
        log.append_many([b"x"] * 500)
        log.commit()
        kind = type(next(log.scan()))
        gc.collect()
        before = sys.getrefcount(kind)
        held = list(log.scan())
        assert sys.getrefcount(kind) == before + 500
        del held
        for entry in log.scan():
            assert entry.payload == b"x"
        del entry
        gc.collect()
        assert sys.getrefcount(kind) == before


def test_memory_does_not_grow() -> None:
    """Hundreds of rounds of everything leave no memory behind."""
    with new() as log:
        entries = [b"bytes of one", bytearray(b"array")]

        def work(times: int) -> None:
            for _ in range(times):
                use_everything(log, entries)
                log.begin_at(log.committed.until)

        work(20)
        tracemalloc.start()
        try:
            work(10)
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            work(100)
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
    assert grown < 20_000


def test_a_scan_keeps_its_log() -> None:
    """A scan goes on when nobody else holds the log, which dies with it."""

    def make() -> tuple[Any, Any]:
        log = new()
        log.append_many([b"%d" % i for i in range(1000)])
        log.commit()
        return log.scan(), weakref.ref(log)

    scan, mark = make()
    gc.collect()
    assert [entry.payload for entry in scan] == [b"%d" % i for i in range(1000)]
    mark().close()
    del scan
    gc.collect()
    assert mark() is None


def test_entries_outlive_everything() -> None:
    """Entries hold their bytes themselves."""
    log = new()
    log.append_many([b"%d" % i for i in range(300)])
    log.commit()
    found = list(log.scan())
    log.close()
    del log
    gc.collect()
    assert [entry.payload for entry in found] == [b"%d" % i for i in range(300)]


def test_a_log_that_nobody_closed() -> None:
    """It says so when it is collected, in a cycle too, and is freed."""

    class Mine(NativeLog):
        me: Any

    for cycle in (False, True):
        log: Any = new(Mine)
        log.append(b"entry")
        mark = weakref.ref(log)
        if cycle:
            log.me = [log, log.scan()]
        with pytest.warns(ResourceWarning, match="without close"):
            del log
            gc.collect()
        assert mark() is None


def test_weak_references_to_logs_and_scans() -> None:
    """A collector that runs while one dies does not meet the dead one."""
    for _ in range(10):
        log = new()
        scan = log.scan()
        marks = [weakref.ref(each, lambda _: gc.collect()) for each in (log, scan)]
        log.close()
        del log, scan
        assert [mark() for mark in marks] == [None, None]


IN_FINALIZERS = """
import gc, sys, warnings
warnings.simplefilter("ignore")
from pyfaster.errors import FasterError
from pyfaster.flog import FIRST, Life, LogDevice, NativeLog
from pyfaster.testing import MemoryDevice

class Last:
    def __del__(self):
        log, scan = self.log, self.scan
        for use in (
            lambda: log.append(b"x"),
            lambda: log.append_many([b"x", bytearray(b"y")]),
            lambda: log.append_and_commit(b"x"),
            lambda: log.commit(),
            lambda: list(log.scan()),
            lambda: log.read(64),
            lambda: next(scan),
            lambda: scan.next_piece(),
            lambda: scan.close(),
            lambda: log.payload_max,
            lambda: log.stats(),
            lambda: log.close(),
        ):
            try:
                use()
            except (FasterError, StopIteration):
                pass
        sys.stdout.write("survived ")

class Hiding(NativeLog):
    def __del__(self):
        pass

def make(kind):
    log = kind(LogDevice(MemoryDevice()), log_id=1, page_size=4096, number=0,
               lives=[Life(1, FIRST)], begin=FIRST, committed=FIRST)
    log.append_and_commit(b"entry")
    last = Last()
    last.log, last.scan, log.last = log, log.scan(), last
    return log

for kind in (NativeLog, Hiding) * 3:
    make(kind)
    {collect}
kept = make(NativeLog)
"""


@pytest.mark.parametrize("collect", ["gc.collect()", "pass"])
def test_a_finalizer_that_uses_its_log(collect: str) -> None:
    """A __del__ in a cycle with log and scan gets an error at worst, at exit too."""
    ended = subprocess.run(
        [sys.executable, "-c", IN_FINALIZERS.format(collect=collect)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert ended.stdout.count("survived") >= 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_child_of_fork_is_refused() -> None:
    """Every entry raises ForkedError in the child only; objects die there unharmed."""
    log = new()
    log.append_many([b"%d" % i for i in range(1000)])
    log.commit()
    scan, piece = log.scan(), log.scan().next_piece()
    next(scan)
    assert piece is not None
    calls: list[Callable[[], Any]] = [
        lambda: log.append(b"x"),
        lambda: log.append_many([b"x"]),
        lambda: log.append_and_commit(b"x"),
        lambda: log.commit(),
        lambda: log.commit_strong(b""),
        lambda: log.request(),
        lambda: log.wait_committed(0),
        lambda: log.read(FIRST),
        lambda: log.scan(),
        lambda: log.suspend(),
        lambda: log.stats(),
        lambda: log.close(),
    ]
    with warnings.catch_warnings():
        # The interpreter warns of forking with threads, which is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            for number, call in enumerate(calls):
                try:
                    call()
                except ForkedError:
                    continue
                os._exit(number + 1)
            piece.payloads()
            scan.close()
            log._ended = True
            del log, scan, piece, calls
            gc.collect()
        except BaseException:  # noqa: BLE001 - told by the status
            os._exit(100)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert next(scan).payload == b"1"
    log.append_and_commit(b"after")
    assert [entry.payload for entry in scan][-1] == b"after"
    log.close()
    with pytest.raises(ClosedError):
        log.append(b"x")
