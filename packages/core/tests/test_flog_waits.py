# SPDX-License-Identifier: MIT
"""
A durable log whose device keeps it waiting, or fails: signals, other threads, errors.
"""

from __future__ import annotations

import array
import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from pyfaster.errors import (
    ClosedError,
    CorruptLogError,
    DeadlineError,
    DeviceError,
    DurabilityError,
    SessionBusyError,
    ValueTooLargeError,
)
from pyfaster.flog import FIRST, Life, LogDevice, NativeLog
from pyfaster.testing import FaultyDevice, MemoryDevice, Rule

PAGE = 4096
#: What a log has for pages that are not written yet.
MEMORY = 8 * PAGE


class Gate:
    """A device that stops at a kind of request until it is let go."""

    capabilities = ("flushes",)

    def __init__(self) -> None:
        self.data = bytearray()
        self.stops = ""
        self.arrived, self.go = threading.Event(), threading.Event()
        self.at_stop: Callable[[], object] = lambda: None

    def stop(self, kind: str) -> None:
        """Tell that it has come so far, and wait."""
        if kind == self.stops:
            self.arrived.set()
            self.at_stop()
            assert self.go.wait(60)

    def read(self, offset: int, buffer: memoryview) -> int:
        """Give what there is."""
        self.stop("read")
        part = self.data[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def write(self, offset: int, buffer: memoryview) -> int:
        """Keep it."""
        self.stop("write")
        end = offset + len(buffer)
        self.data.extend(bytes(max(0, end - len(self.data))))
        self.data[offset:end] = buffer
        return len(buffer)

    def sync(self) -> None:
        """Nothing is to be done."""
        self.stop("sync")

    def truncate_before(self, offset: int) -> None:
        """Keep everything."""

    def close(self) -> None:
        """Nothing is to be done."""

    def __enter__(self) -> None:
        """Stop nothing for good: who leaves the block lets go."""

    def __exit__(self, *error: object) -> None:
        self.stops = ""
        self.go.set()


def new(device: Any, **settings: Any) -> NativeLog:
    """Open a new log."""
    given = {"log_id": 7, "page_size": PAGE, "memory": MEMORY, "number": 0, **settings}
    given = {"lives": [Life(1, FIRST)], "begin": FIRST, "committed": FIRST, **given}
    return NativeLog(LogDevice(device), **given)


class SignalledError(Exception):
    """What the handler raises."""


@pytest.fixture
def handled() -> Iterator[None]:
    """SIGUSR1 raises in the main thread."""

    def handler(number: int, frame: FrameType | None) -> None:
        raise SignalledError

    before = signal.signal(signal.SIGUSR1, handler)
    yield
    signal.signal(signal.SIGUSR1, before)


def interrupt() -> None:
    """Send the signal from the device's thread."""
    os.kill(os.getpid(), signal.SIGUSR1)


posix = pytest.mark.skipif(os.name != "posix", reason="needs signals to a process")


def ask(log: NativeLog) -> bool:
    """Wait for a commit that the log's own thread makes."""
    log.request()
    return log.wait_committed(FIRST)


COMMITS: dict[str, Callable[[NativeLog], object]] = {
    "commit": lambda log: log.commit(),
    "commit_strong": lambda log: log.commit_strong(b"c"),
    "append_and_commit": lambda log: log.append_and_commit(b"second"),
    "wait_committed": lambda log: ask(log),
    "suspend": lambda log: log.suspend(),
}


@posix
@pytest.mark.usefixtures("handled")
@pytest.mark.parametrize("call", COMMITS)
def test_a_signal_ends_a_commit(call: str) -> None:
    """What the handler raises comes out of the wait; nothing is lost."""
    gate = Gate()
    with new(gate) as log, gate:
        log.append(b"first")
        gate.stops, gate.at_stop = "sync", interrupt
        with pytest.raises(SignalledError):
            COMMITS[call](log)
        gate.stops = ""
        gate.go.set()
        log.commit()
        log.append_and_commit(b"last")
        found = [entry.payload for entry in log.scan()]
        second = [b"second"] if call == "append_and_commit" else []
        assert found == [b"first", *second, b"last"]


READS: dict[str, Callable[[Any], object]] = {
    "next": lambda scan: next(scan),
    "next_piece": lambda scan: scan.next_piece(),
}


@posix
@pytest.mark.usefixtures("handled")
@pytest.mark.parametrize("call", READS)
def test_a_signal_ends_a_read(call: str) -> None:
    """A scan that waits for the device hears of signals, and goes on afterwards."""
    gate = Gate()
    with new(gate) as log, gate:
        log.append_and_commit(b"first")
        scan = log.scan()
        gate.stops, gate.at_stop = "read", interrupt
        with pytest.raises(SignalledError):
            READS[call](scan)
        gate.stops = ""
        gate.go.set()
        assert [entry.payload for entry in scan] == [b"first"]


APPENDS: dict[str, Callable[[NativeLog], object]] = {
    "append": lambda log: log.append(b"x" * 1000),
    "append of a buffer": lambda log: log.append(bytearray(1000)),
    "append_many": lambda log: log.append_many([b"x" * 1000] * 10),
    "atomic": lambda log: log.append_many([b"x" * 1000] * 3, atomic=True),
}


def fill(log: NativeLog) -> None:
    """Append up to the last page that there is memory for; none has left it."""
    while log.stats()["address_tail"] < MEMORY - PAGE:  # ends: each batch moves it
        log.append_many([b"x" * 100] * 10)


@posix
@pytest.mark.usefixtures("handled")
@pytest.mark.parametrize("call", APPENDS)
def test_a_signal_ends_a_wait_for_room(call: str) -> None:
    """An append that waits for the device hears of signals, and appends nothing."""
    gate = Gate()
    gate.stops = "write"
    with new(gate) as log, gate:
        filler = threading.Thread(target=fill, args=(log,))
        filler.start()
        filler.join()
        waits, ended = log.stats()["waits"], threading.Event()

        def watch() -> None:
            for _ in range(60_000):  # until the other thread waits
                if log.stats()["waits"] > waits or ended.wait(0.001):
                    break
            interrupt()

        watcher = threading.Thread(target=watch)
        with pytest.raises(SignalledError):
            watcher.start()
            for _ in range(100):  # what room there is comes to an end
                APPENDS[call](log)
        ended.set()
        watcher.join()
        gate.stops = ""
        gate.go.set()
        log.append_and_commit(b"last")
        assert [entry.payload for entry in log.scan()][-1] == b"last"


def test_an_append_that_never_waits() -> None:
    """Without room try_append gives None; with room it is append."""
    gate = Gate()
    with new(gate) as log, gate:
        assert log.try_append(b"first") == FIRST
        assert log.try_append(bytearray(b"second")) is not None
        gate.stops = "write"
        answers = [log.try_append(b"x" * 1000) for _ in range(1000)]
        assert answers[0] is not None
        assert answers.count(None) > 900
        with pytest.raises(ValueTooLargeError, match=f"has {PAGE:,} bytes"):
            log.try_append(bytes(PAGE))
        with pytest.raises(TypeError):
            log.try_append("text")  # type: ignore[arg-type]  # that is tested
        gate.stops = ""
        gate.go.set()
        log.append_and_commit(b"last")
        found = [entry.payload for entry in log.scan()]
        assert found[:2] == [b"first", b"second"]
        assert found[-1] == b"last"
    with pytest.raises(ClosedError):
        log.try_append(b"x")


def test_a_buffer_is_held_while_it_is_appended() -> None:
    """A bytearray that is being appended cannot be made shorter by another thread."""
    gate = Gate()
    gate.stops = "write"
    with new(gate) as log, gate:
        fill(log)
        data = bytearray(b"d" * 2000)
        errors: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(10):
                    log.append(data)
            except BaseException as error:  # noqa: BLE001 - told below
                errors.append(error)

        worker = threading.Thread(target=work)
        worker.start()
        pause = threading.Event()
        with pytest.raises(BufferError):
            for _ in range(60_000):  # until the other thread waits
                data.extend(b"more")
                del data[2000:]
                pause.wait(0.001)
        gate.stops = ""
        gate.go.set()
        worker.join()
        assert errors == []
        data.clear()


def test_one_thread_at_a_time_uses_a_scan() -> None:
    """While one waits in it, another gets SessionBusyError, and closes nothing."""
    gate = Gate()
    with new(gate) as log, gate:
        log.append_and_commit(b"first")
        scan = log.scan()
        gate.stops = "read"
        found: list[Any] = []
        reader = threading.Thread(target=lambda: found.append(next(scan)))
        reader.start()
        assert gate.arrived.wait(60)
        calls: list[Callable[[], object]] = [
            lambda: next(scan),
            scan.next_piece,
            scan.close,
            lambda: scan.position,
        ]
        for call in calls:
            with pytest.raises(SessionBusyError, match="a scan of its own"):
                call()
        gate.go.set()
        reader.join()
        assert [entry.payload for entry in found] == [b"first"]
        assert list(scan) == []


def test_a_log_is_closed_while_others_wait() -> None:
    """Whoever waits in it gets ClosedError, and close() returns."""
    gate = Gate()
    log = new(gate)
    log.append_and_commit(b"first")
    scan = log.scan()
    gate.stops = "read"
    errors: list[str] = []

    def until_closed(call: Callable[[], object]) -> None:
        try:
            call()
        except ClosedError:
            errors.append("closed")

    waits: list[Callable[[], object]] = [
        lambda: next(scan),
        lambda: log.wait_committed(log.committed.until),
    ]
    threads = [threading.Thread(target=until_closed, args=(wait,)) for wait in waits]
    for thread in threads:
        thread.start()
    assert gate.arrived.wait(60)
    closer = threading.Thread(target=log.close)
    closer.start()
    for thread in threads:
        thread.join()
    assert errors == ["closed"] * 2
    gate.go.set()
    closer.join()
    assert log.closed
    scan.close()


def test_waiting_ends_in_time() -> None:
    """A deadline that passes is an error, and the commit can be asked for again."""
    gate = Gate()
    gate.stops = "sync"
    with new(gate) as log, gate:
        log.append(b"first")
        with pytest.raises(DeadlineError):
            log.commit(timeout=0.05)
        with pytest.raises(DeadlineError):
            log.suspend(timeout=0.05)
        gate.stops = ""
        gate.go.set()
        log.commit()
        assert [entry.payload for entry in log.scan()] == [b"first"]


# --- failures -----------------------------------------------------------------------

FAILS: dict[str, Callable[[NativeLog], object]] = {
    "commit": lambda log: log.commit(),
    "commit_strong": lambda log: log.commit_strong(b""),
    "append_and_commit": lambda log: log.append_and_commit(b"x"),
    "suspend": lambda log: log.suspend(),
}


@pytest.mark.parametrize("call", FAILS)
@pytest.mark.parametrize("kind", ["write", "sync"])
def test_a_failure_is_the_last(kind: str, call: str) -> None:
    """The first failure says what is durable, and is what all get who come later."""
    rule = Rule("fail", kind, nth=2, times=None, errno=errno.EIO)
    device = FaultyDevice(MemoryDevice(), [rule])
    with new(device) as log:
        log.append_and_commit(b"durable")
        until = log.committed.until
        log.append(b"lost")
        for later in (call, *FAILS):
            with pytest.raises(DurabilityError) as caught:
                FAILS[later](log)
            assert caught.value.errno == errno.EIO
            assert caught.value.durable == until
            assert f"everything below {until:,} is durable" in str(caught.value)
            assert log.failure is not None
            assert log.failure[0] == -errno.EIO
        with pytest.raises(DurabilityError):
            log.append(b"x")
        with pytest.raises(DurabilityError):
            log.append_many([b"x"])
        with pytest.raises(DurabilityError):
            log.wait_committed(until)
        assert log.committed.until == until
        assert [entry.payload for entry in log.scan()] == [b"durable"]


def test_what_a_device_raised_is_the_cause() -> None:
    """A device in Python explains why nothing more becomes durable."""
    gate, reason = Gate(), OSError(errno.EIO, "torn cable")

    def fail() -> None:
        raise reason

    with new(gate) as log, gate:
        gate.stops, gate.at_stop = "sync", fail
        log.append(b"lost")
        with pytest.raises(DurabilityError) as caught:
            log.commit()
        assert caught.value.__cause__ is reason


def test_a_log_is_stopped_by_hand() -> None:
    """Who cannot write a slot stops the log as a failed write does."""
    with new(MemoryDevice()) as log:
        log.append_and_commit(b"durable")
        log.poison(errno.ENOSPC)
        with pytest.raises(DurabilityError) as caught:
            log.append(b"x")
        assert caught.value.errno == errno.ENOSPC
        assert [entry.payload for entry in log.scan()] == [b"durable"]


def test_a_failed_read_is_of_its_reader() -> None:
    """A read that fails raises DeviceError; the log goes on."""
    device = FaultyDevice(MemoryDevice(), [Rule("fail", "read", errno=errno.EIO)])
    with new(device) as log:
        address = log.append_and_commit(b"entry")
        scan = log.scan()
        with pytest.raises(DeviceError) as caught:
            next(scan)
        assert not isinstance(caught.value, DurabilityError)
        assert caught.value.errno == errno.EIO
        assert log.read(address) == b"entry"
        log.append_and_commit(b"more")
        assert [entry.payload for entry in log.scan()] == [b"entry", b"more"]


@pytest.mark.fault("F35")
@pytest.mark.parametrize("where", ["header", "payload"])
def test_damage_says_where_it_is(where: str) -> None:
    """A flipped bit is found by scans, pieces and reads, with its address."""
    gate = Gate()
    with new(gate) as log, gate:
        log.append(b"whole")
        address = log.append(b"damaged entry")
        log.commit()
        gate.data[address + (4 if where == "header" else 20)] ^= 4
        scan, pieces = log.scan(), log.scan()
        assert next(scan).payload == b"whole"
        piece = pieces.next_piece()
        assert piece is not None
        assert piece.payloads() == [b"whole"]
        calls: list[Callable[[], object]] = [
            lambda: next(scan),
            lambda: next(scan),
            pieces.next_piece,
            lambda: log.read(address),
        ]
        for call in calls:
            with pytest.raises(CorruptLogError, match=f"address {address:,}") as caught:
                call()
            damage: Any = caught.value.damage
            assert damage.address == address
            assert (
                damage.what in (("header", "stale"), ("checksum",))[where == "payload"]
            )


def test_offsets_are_copied_before_they_are_used() -> None:
    """What another thread makes of them while the batch waits changes nothing."""
    gate = Gate()
    gate.stops = "write"
    with new(gate) as log, gate:
        fill(log)
        before, waits = log.stats()["entries"], log.stats()["waits"]
        offsets = array.array("Q", range(0, 20_001, 1000))
        ends: list[int] = []

        def work() -> None:
            ends.append(log.append_many(b"x" * 20_000, offsets=offsets))

        worker = threading.Thread(target=work)
        worker.start()
        pause = threading.Event()
        for _ in range(60_000):  # until the other thread waits
            if log.stats()["waits"] > waits:
                break
            pause.wait(0.001)
        for i in range(len(offsets)):
            offsets[i] = 1 << 60
        gate.stops = ""
        gate.go.set()
        worker.join()
        log.commit()
        found = [entry.payload for entry in log.scan()][before:]
        assert found == [b"x" * 1000] * 20
        assert len(ends) == 1
