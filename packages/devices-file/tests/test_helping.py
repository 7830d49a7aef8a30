# SPDX-License-Identifier: MIT
"""
Who carries out a request: the thread that waits for it, or one of the pool.

Calls of the system are parked where the order of threads matters, and `foreign` of a
result tells whether another thread than the submitting one carried the request out.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from file_kit import SEGMENT, faulty, later, pattern, probe

from pyfaster.testing import Probe
from pyfaster.testing._probe import DONE
from pyfaster_devices_file import _cabi
from pyfaster_devices_file._cabi import PARK, Faults

UNIT = 4096
DATA = pattern(UNIT)
LONG_S = 60.0


def watch(device: Probe, tickets: list[int], ended: threading.Event) -> bool:
    """Wait for requests without calling the device; whether all were completed."""
    for _ in range(60_000):
        if all(device.result(one).completions for one in tickets):
            return True
        ended.wait(0.001)
    return False


def prepared(device: Probe) -> None:
    """Have a segment, so that what follows is one call of the system."""
    assert device.put(0, DATA) == 0
    assert device.flush() == 0


@pytest.mark.parametrize("direct", [False, True], ids=["cached", "direct"])
def test_who_waits_does_the_work(place: Path, direct: bool) -> None:
    """A write and a sync are each carried out by the thread that waits."""
    with probe(place, direct=direct) as device:
        prepared(device)
        submits: tuple[Callable[[], int], ...] = (
            lambda: device.write(UNIT, DATA),
            device.sync,
        )
        for submit in submits:
            ticket = submit()
            assert device.device_wait(LONG_S) == 1
            known = device.result(ticket)
            assert (known.code, known.completions, known.foreign) == (DONE, 1, False)


def test_nothing_is_done_before_somebody_asks(place: Path) -> None:
    """A few writes are gathered: without poll and wait none reaches the system."""
    device, faults = faulty(place)
    with device:
        prepared(device)
        before = faults.calls("write_file")
        tickets = [device.write(n * UNIT, DATA) for n in range(8)]
        assert faults.calls("write_file") == before
        assert device.poll() == 0
        assert watch(device, tickets, threading.Event())


def test_a_read_is_handed_on_unasked(place: Path) -> None:
    """A read begins at once: who asked for it may do something else before it polls."""
    with probe(place) as device:
        prepared(device)
        ticket = device.read(0, UNIT)
        assert watch(device, [ticket], threading.Event())
        assert device.result(ticket).foreign


def test_many_are_handed_on_unasked(place: Path) -> None:
    """Sixteen transfers are enough: the pool begins without poll and wait."""
    with probe(place) as device:
        prepared(device)
        tickets = [device.write(n * UNIT, DATA) for n in range(16)]
        assert watch(device, tickets, threading.Event())
        assert all(device.result(one).foreign for one in tickets)


def test_poll_calls_the_pool(place: Path) -> None:
    """Behind one poll the pool carries out reads, writes and syncs by itself."""
    with probe(place) as device:
        prepared(device)
        tickets = [device.write(UNIT, DATA), device.read(0, UNIT), device.sync()]
        assert device.poll() >= 0
        assert watch(device, tickets, threading.Event())
        assert all(device.result(one).foreign for one in tickets)


def test_poll_calls_as_many_as_there_is_work_for(place: Path) -> None:
    """One poll behind four large writes sets four threads going, side by side."""
    device, faults = faulty(place, threads=4)
    with device:
        prepared(device)
        later(faults, "write_file", PARK, count=4)
        tickets = [device.write(n * UNIT, DATA) for n in range(4)]
        assert device.poll() == 0
        assert faults.parked(4)
        faults.release()
        assert watch(device, tickets, threading.Event())


def test_who_waits_leaves_the_rest_to_the_pool(place: Path) -> None:
    """While the waiting thread is in one of its reads, the pool is in the others."""
    device, faults = faulty(place, threads=2)
    with device:
        prepared(device)
        later(faults, "read_file", PARK, count=3)
        tickets: list[int] = []

        def work() -> None:
            tickets.extend(device.read(0, UNIT) for _ in range(3))
            device.device_wait(LONG_S)

        worker = threading.Thread(target=work)
        worker.start()
        assert faults.parked(3)
        faults.release()
        worker.join()
        assert watch(device, tickets, threading.Event())
        assert [device.result(one).foreign for one in tickets].count(False) == 1


def reading(device: Probe, faults: Faults, submit: Callable[[], int]) -> None:
    """Read in a thread that waits, while another's request is gathered and long."""
    gathered, done = threading.Event(), threading.Event()
    theirs: list[int] = []
    ours: list[int] = []

    def gather() -> None:
        theirs.append(submit())
        gathered.set()
        done.wait()  # a number of a thread that has ended may be given again

    other = threading.Thread(target=gather)
    other.start()
    assert gathered.wait(LONG_S)

    def read() -> None:
        ours.append(device.read(0, UNIT))
        device.wait(ours[0])
        done.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert faults.parked(1)
    assert done.wait(LONG_S)
    assert device.result(ours[0]).code == DONE
    assert device.result(theirs[0]).completions == 0
    faults.release()
    reader.join()
    other.join()
    assert device.wait(theirs[0]).code == DONE


@pytest.mark.parametrize("threads", [2, 4])
def test_a_reader_is_not_held_by_anothers_sync(place: Path, threads: int) -> None:
    """A thread that waits for its read never carries out a sync of another thread."""
    device, faults = faulty(place, threads=threads)
    with device:
        prepared(device)
        assert device.put(0, DATA) == 0
        later(faults, "sync_file", PARK)
        reading(device, faults, device.sync)


def test_a_reader_is_not_held_by_anothers_write(place: Path) -> None:
    """A thread that waits for its read never carries out a write of another thread."""
    device, faults = faulty(place, threads=2)
    with device:
        prepared(device)
        later(faults, "write_file", PARK)
        reading(device, faults, lambda: device.write(UNIT, DATA))


def test_a_sync_of_ones_own_serves_all(place: Path) -> None:
    """Syncs that have gathered are one call, made by a thread that waits for one."""
    device, faults = faulty(place)
    with device:
        prepared(device)
        assert device.put(0, DATA) == 0
        before = faults.calls("sync_file")
        theirs: list[int] = []
        other = threading.Thread(target=lambda: theirs.append(device.sync()))
        other.start()
        other.join()
        ours = device.sync()
        assert device.device_wait(LONG_S) == 2
        assert faults.calls("sync_file") == before + 1
        assert not device.result(ours).foreign
        assert device.result(theirs[0]).foreign


def test_a_sync_waits_for_the_one_that_runs(place: Path) -> None:
    """One sync runs at a time; the next begins by itself when that one has ended."""
    device, faults = faulty(place, threads=2)
    with device:
        prepared(device)
        assert device.put(0, DATA) == 0
        later(faults, "sync_file", PARK)
        runner = threading.Thread(target=lambda: device.wait(device.sync()))
        runner.start()
        assert faults.parked(1)
        assert device.put(UNIT, DATA) == 0
        before = faults.calls("sync_file")
        second = device.sync()
        assert device.poll() >= 0
        assert device.result(second).completions == 0
        faults.release()
        runner.join()
        assert watch(device, [second], threading.Event())
        assert faults.calls("sync_file") == before + 1


@pytest.mark.fault("F05")
@pytest.mark.parametrize("code", [-errno.EIO, -errno.ENOSPC])
def test_a_failed_write_is_told_to_who_waits(place: Path, code: int) -> None:
    """A write that fails in the waiting thread is told once, and can be made again."""
    device, faults = faulty(place)
    with device:
        prepared(device)
        later(faults, "write_file", code)
        ticket = device.write(UNIT, DATA)
        assert device.device_wait(LONG_S) == 1
        known = device.result(ticket)
        assert (known.code, known.completions, known.foreign) == (code, 1, False)
        assert device.put(UNIT, DATA) == 0


@pytest.mark.fault("F12")
def test_a_failed_sync_of_who_waits_is_the_last(place: Path) -> None:
    """A sync that fails in the waiting thread is latched as any other's is."""
    device, faults = faulty(place)
    with device:
        prepared(device)
        assert device.put(0, DATA) == 0
        later(faults, "sync_file", -errno.EIO)
        ticket = device.sync()
        assert device.device_wait(LONG_S) == 1
        assert device.result(ticket).code == -errno.EIO
        assert not device.result(ticket).foreign
        assert device.put(SEGMENT, DATA) == -errno.EIO
        assert device.flush() == -errno.EIO


def test_closing_hands_on_what_was_gathered(place: Path) -> None:
    """What nobody has polled or waited for is carried out when the device is closed."""
    device = probe(place, threads=1)
    tickets = [device.write(0, DATA), device.read(0, UNIT), device.sync()]
    assert device.close() == 0
    assert {device.result(one).completions for one in tickets} == {1}


def test_a_wait_of_no_time_carries_out_nothing(place: Path) -> None:
    """wait(0) is poll: the pool is called, and the caller comes back at once."""
    device, faults = faulty(place, threads=1)
    with device:
        prepared(device)
        later(faults, "write_file", PARK)
        ticket = device.write(UNIT, DATA)
        assert device.device_wait(0) == 0
        assert faults.parked(1)
        faults.release()
        assert watch(device, [ticket], threading.Event())
        assert device.result(ticket).foreign


def test_parked_calls_are_counted() -> None:
    """Nothing is parked in a system that was not asked for anything."""
    faults = _cabi.faults([])
    assert not faults.parked(1, timeout_ms=1)
    assert faults.parked(0)
