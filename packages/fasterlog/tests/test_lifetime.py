# SPDX-License-Identifier: MIT
"""A log's end: closing, collection, fork(), failures, and the thread that keeps
slots."""

from __future__ import annotations

import copy
import errno
import gc
import os
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from log_kit import crash, fill, open_log, payloads, reopen

import pyfaster
from pyfaster.errors import ClosedError, DurabilityError
from pyfaster.testing import FaultyDevice, MemoryDevice, Rule
from pyfaster_fasterlog import FasterLog, LogRecovered
from pyfaster_fasterlog._keeper import Keeper


def test_closing_commits(place: Path) -> None:
    """close() makes durable what was appended; a second one does nothing; later calls
    are ClosedError."""
    log = open_log(place)
    fill(log, 5)
    assert "open" in repr(log)
    log.close()
    log.close()
    assert log.closed
    assert "closed" in repr(log)
    for call in (log.commit, lambda: log.append(b"x"), lambda: next(log.scan())):
        with pytest.raises(ClosedError):
            call()
    with reopen(place) as log:
        assert len(payloads(log)) == 5


def test_a_clean_close_leaves_nothing_to_recover(place: Path) -> None:
    """After close() the newest slot knows everything."""
    with open_log(place) as log:
        fill(log, 5)
    with reopen(place) as log:
        assert log.recovery is not None
        assert log.recovery.entries == 0
        assert log.recovery.number == log.recovery.slot_number >= 1


def test_closing_without_a_commit_is_a_crash(place: Path) -> None:
    """close(commit=False) makes nothing durable."""
    log = open_log(place)
    fill(log, 5)
    log.close(commit=False)
    with reopen(place) as log:
        assert payloads(log) == []


def test_leaving_by_an_exception_keeps_it(place: Path) -> None:
    """The exception of a with statement comes through, and entries are kept."""
    with pytest.raises(ZeroDivisionError), open_log(place) as log:
        log.append(b"kept")
        raise ZeroDivisionError
    with reopen(place) as log:
        assert payloads(log) == [b"kept"]


def test_a_log_that_is_collected_warns(place: Path) -> None:
    """A log that nobody closes is a ResourceWarning, and its directory is free."""
    log = open_log(place)
    log.append_and_commit(b"kept")
    with pytest.warns(ResourceWarning, match="not closed"):
        del log
        gc.collect()
    with reopen(place) as log:
        assert payloads(log) == [b"kept"]


def test_no_log_is_pickled_or_copied(place: Path) -> None:
    """Both are refused with a way out."""
    with open_log(place) as log:
        for call in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="read_only=True"):
                call(log)


FORKING = """
import os, sys
from pyfaster.errors import ForkedError
from pyfaster_fasterlog import FasterLog
log = FasterLog.open(sys.argv[1])
log.append_and_commit(b"parent")
child = os.fork()
if child == 0:
    code = 0
    for call in (lambda: log.append(b"child"), log.commit, log.complete,
                 lambda: log.truncate_suffix(64), lambda: log.truncate_until(88)):
        try:
            call()
            code = 1
        except ForkedError:
            pass
    log.close()
    try:
        FasterLog.open(sys.argv[1])
        code = 2
    except BlockingIOError:
        pass
    os._exit(code)
_, status = os.waitpid(child, 0)
log.append_and_commit(b"again")
print(status, [entry.payload for entry in log.scan()])
log.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork()")
def test_a_forked_child_keeps_off(place: Path) -> None:
    """In a child of fork() every change is a ForkedError, closing does nothing, and the
    parent's log stays whole and locked."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKING, str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "0 [b'parent', b'again']\n", done.stderr
    assert not done.stderr


@pytest.mark.trap("X16")
@pytest.mark.fault("F07")
@pytest.mark.parametrize("kind", ["write", "sync"])
def test_the_first_failure_is_the_last(tmp_path: Path, kind: str) -> None:
    """After a sync that failed, or a write that failed again and again, every later
    commit gets the same error with its range, though the sync would succeed now; what
    was committed stays readable."""
    times = None if kind == "write" else 1
    rules = [Rule("fail", kind, nth=2, errno=errno.EIO, times=times)]
    device = FaultyDevice(MemoryDevice(), rules)
    log = FasterLog.open(tmp_path / "wal", device=device, trust_device=True)
    log.append_and_commit(b"kept")
    with pytest.raises(DurabilityError) as first:
        log.append_and_commit(b"lost")
    for _ in range(3):
        with pytest.raises(DurabilityError) as later:
            log.commit()
        assert later.value.errno == errno.EIO
        assert later.value.start == first.value.start
    assert first.value.durable == log.committed.until
    assert payloads(log) == [b"kept"]
    assert log.failure is not None
    with pytest.raises(DurabilityError):
        log.close()
    log.close()


def test_slots_are_written_by_and_by(place: Path) -> None:
    """After so many commits the thread writes a slot; before, it does not."""
    log = open_log(place, slot_every=5)
    writes = log.stats().slot_writes
    while log.committed.number < 4:
        log.append_and_commit(b"x")
    log._keep_slots()
    assert log.stats().slot_writes == writes
    log.append_and_commit(b"x")
    log._keep_slots()
    log._keep_slots()
    assert log.stats().slot_writes == writes + 1
    number = log.committed.number
    crash(log)
    with reopen(place) as log:
        assert log.recovery is not None
        assert log.recovery.slot_number == number


def test_the_thread_ends_with_the_log(place: Path) -> None:
    """No thread of ours is left behind a log that was closed."""
    others = set(threading.enumerate())
    with open_log(place):
        ours = set(threading.enumerate()) - others
        assert "pyfaster-log-slots" in {thread.name for thread in ours}
    assert ours.isdisjoint(threading.enumerate())


def test_a_keeper_looks_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A keeper calls again and again, ends when told, and with its owner."""
    monkeypatch.setattr("pyfaster_fasterlog._keeper.EVERY_S", 0.001)

    class Owner:
        """Somebody with a method."""

        def __init__(self) -> None:
            self.looked = threading.Semaphore(0)

    owner = Owner()
    keeper = Keeper(owner, lambda one: one.looked.release())
    for _ in range(3):
        assert owner.looked.acquire(timeout=60)
    keeper.stop()
    other = Keeper(owner, lambda one: one.looked.release())
    del owner
    gc.collect()
    other._thread.join(60)
    assert not other._thread.is_alive()


def test_plugins_are_told_of_a_recovery(place: Path) -> None:
    """Opening a log that was there tells a LogRecovered with the report."""
    events: list[object] = []

    class Listener:
        """A plugin."""

        @pyfaster.hookimpl
        def pyfaster_event(self, event: object) -> None:
            """Keep it."""
            events.append(event)

    listener = Listener()
    pyfaster.register(listener, name="listener")
    try:
        open_log(place).close()
        assert events == []
        with reopen(place) as log:
            (event,) = events
            assert isinstance(event, LogRecovered)
            assert event.report == log.recovery
            assert event.store == log.name
    finally:
        pyfaster.unregister("listener")


def test_a_plugin_that_raises_may_be_an_error(place: Path) -> None:
    """Where its warning is an error, opening fails and lets the directory go."""

    class Broken:
        """A plugin."""

        @pyfaster.hookimpl
        def pyfaster_event(self, event: object) -> None:
            """Fail."""
            raise ValueError

    open_log(place).close()
    broken = Broken()
    pyfaster.register(broken, name="broken")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(pyfaster.PluginWarning):
                reopen(place)
    finally:
        pyfaster.unregister("broken")
    reopen(place).close()


def test_closing_under_others(place: Path) -> None:
    """A log that is closed while threads append, commit, read and follow: each gets
    ClosedError, and all that was acknowledged is there."""
    log = open_log(place)
    acknowledged: list[list[int]] = [[], []]
    start = threading.Barrier(5)

    def produce(who: int) -> None:
        start.wait()
        with pytest.raises(ClosedError):
            for number in range(1_000_000):  # ends with the log
                acknowledged[who].append(log.append_and_commit(b"%d" % number))

    def consume() -> None:
        start.wait()
        with pytest.raises(ClosedError):
            for _ in log.follow():
                pass

    def scan() -> None:
        start.wait()
        with pytest.raises(ClosedError):
            for _ in range(1_000_000):  # ends with the log
                payloads(log)

    calls = [lambda: produce(0), lambda: produce(1), consume, scan]
    failures: list[BaseException] = []

    def guarded(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    start.wait()
    while not all(acknowledged):
        threading.Event().wait(0.001)  # until both have something
    log.close()
    for thread in threads:
        thread.join()
    assert failures == []
    with reopen(place) as log:
        there = {entry.address for entry in log.scan()}
        assert there.issuperset(acknowledged[0] + acknowledged[1])
