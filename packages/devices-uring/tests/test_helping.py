# SPDX-License-Identifier: MIT
"""
A single request that its submitter waits for is a plain call, not a way of the ring.
"""

from __future__ import annotations

import errno
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pyfaster.testing import Probe
from pyfaster.testing._probe import DONE
from pyfaster_devices_uring import UringDevice, _cabi
from pyfaster_devices_uring._cabi import Script

pytestmark = pytest.mark.skipif(
    _cabi.uring_probe(None) != 0, reason="this system has no io_uring for us"
)

SEGMENT = 1 << 16
BLOCK = 4096
DATA = random.Random(8).randbytes(BLOCK)
LONG_S = 60.0


def prepared(probe: Probe) -> None:
    """Have a segment, so that what follows is one call of the system."""
    assert probe.put(0, DATA) == 0
    assert probe.flush() == 0


def watch(probe: Probe, ticket: int) -> bool:
    """Wait for a request without calling the device; whether it was completed."""
    ended = threading.Event()
    for _ in range(60_000):
        if probe.result(ticket).completions:
            return True
        ended.wait(0.001)
    return False


def settled(probe: Probe, device: UringDevice) -> None:
    """Wait until nothing is active: a request may be told before it is counted."""
    counting = threading.Event()
    for _ in range(60_000):
        if device.facts().completed == probe.submitted:
            return
        counting.wait(0.001)
    raise AssertionError("a request that has ended is not counted")


@pytest.mark.parametrize("direct", [False, "try"])
def test_who_waits_does_the_work(opener: Any, direct: object) -> None:
    """A write, a sync and a read are each carried out by the thread that waits."""
    probe, device = opener(direct=direct)
    prepared(probe)
    submits: tuple[Callable[[], int], ...] = (
        lambda: probe.write(BLOCK, DATA),
        probe.sync,
        lambda: probe.read(BLOCK, BLOCK),
    )
    for submit in submits:
        before = device.facts()
        ticket = submit()
        assert probe.device_wait(LONG_S) == 1
        known = probe.result(ticket)
        assert (known.code, known.completions, known.foreign) == (DONE, 1, False)
        assert device.facts().helped == before.helped + 1
        assert device.facts().submitted == before.submitted
    assert probe.data(ticket) == DATA


def test_after_a_poll_nobody_has_to_call(opener: Any) -> None:
    """A poll hands over what was held for a thread that would wait (V10)."""
    probe, device = opener()
    prepared(probe)
    before = device.facts()
    for submit in (lambda: probe.write(BLOCK, DATA), probe.sync):
        ticket = submit()
        assert probe.poll() >= 0
        assert watch(probe, ticket)
        assert probe.result(ticket).code == DONE
    assert device.facts().helped == before.helped
    assert device.facts().submitted == before.submitted + 2


def test_a_wait_of_no_time_carries_out_nothing(opener: Any) -> None:
    """wait(0) is poll: what was held is handed over, and the caller comes back."""
    probe, device = opener()
    prepared(probe)
    before = device.facts().helped
    ticket = probe.write(BLOCK, DATA)
    assert probe.device_wait(0) >= 0
    assert watch(probe, ticket)
    assert device.facts().helped == before


def test_what_another_submitted_goes_through_the_ring(opener: Any) -> None:
    """A thread that waits never carries out the request of another one."""
    probe, device = opener()
    prepared(probe)
    before = device.facts().helped
    theirs: list[int] = []
    gathered, over = threading.Event(), threading.Event()

    def gather() -> None:
        theirs.append(probe.write(BLOCK, DATA))
        gathered.set()
        over.wait()  # a number of a thread that has ended may be given again

    other = threading.Thread(target=gather)
    other.start()
    assert gathered.wait(LONG_S)
    assert probe.wait(theirs[0]).code == DONE
    over.set()
    other.join()
    assert device.facts().helped == before


@pytest.mark.parametrize("second", ["write", "read", "sync"])
def test_a_second_request_takes_the_first_along(opener: Any, second: str) -> None:
    """Of two requests none is alone: both go through the ring, whoever waits."""
    probe, device = opener()
    prepared(probe)
    submits: dict[str, Callable[[], int]] = {
        "write": lambda: probe.write(BLOCK, DATA),
        "read": lambda: probe.read(0, BLOCK),
        "sync": probe.sync,
    }
    helped = 0
    # The device may carry out the second one by itself before anybody waits; then the
    # first is alone again.  So more than one attempt may be needed.
    for _ in range(100):
        assert probe.put(0, DATA) == 0  # what a sync has to flush
        settled(probe, device)
        before = device.facts().helped
        tickets = [probe.write(0, DATA), submits[second]()]
        assert [probe.wait(one).code for one in tickets] == [DONE] * 2
        settled(probe, device)
        helped = device.facts().helped - before
        if helped == 0:
            break
    assert helped == 0


def test_a_large_transfer_goes_through_the_ring(opener: Any) -> None:
    """A transfer that takes long leaves its submitter free, alone as it may be."""
    probe, device = opener(segment_size=1 << 20)
    prepared(probe)
    before = device.facts().helped
    assert probe.put(0, bytes((64 << 10) + BLOCK)) == 0
    assert device.facts().helped == before
    settled(probe, device)
    assert probe.put(0, bytes(64 << 10)) == 0
    assert device.facts().helped == before + 1


def test_a_sync_of_several_files(opener: Any) -> None:
    """The first file is flushed by who waits, the others through the ring."""
    script = Script().performs()
    probe, device = opener(script=script, segment_size=SEGMENT)
    assert probe.put(0, bytes(3 * SEGMENT)) == 0
    settled(probe, device)
    before = device.facts()
    assert probe.flush() == 0
    assert script.seen("sync") == 3
    assert device.facts().helped == before.helped + 1
    assert device.facts().rests == before.rests + 2


def test_closing_ends_what_is_held(opener: Any) -> None:
    """A request that nobody polled or waited for ends when the device is closed."""
    probe, device = opener()
    prepared(probe)
    ticket = probe.write(0, DATA)
    assert probe.close() == 0
    assert probe.result(ticket).completions == 1
    assert device.facts().completed == 3


# --- faults -----------------------------------------------------------------------


@pytest.mark.fault("F01")
def test_a_short_write_is_finished(opener: Any) -> None:
    """The rest of what the waiting thread wrote goes through the ring."""
    script = Script().performs()
    probe, device = opener(script=script, direct=False)
    prepared(probe)
    script.rule("write", length=512, count=1)
    before = device.facts()
    assert probe.put(BLOCK, DATA) == 0
    assert probe.get(BLOCK, BLOCK) == DATA
    assert device.facts().rests == before.rests + 1


@pytest.mark.fault("F03")
def test_a_short_read_is_finished(opener: Any) -> None:
    """The rest of what the waiting thread read goes through the ring."""
    script = Script().performs()
    probe, _ = opener(script=script, direct=False)
    prepared(probe)
    script.rule("read", length=100, count=2)
    assert probe.get(0, BLOCK) == DATA
    assert script.seen("read") == 3


@pytest.mark.fault("F83")
@pytest.mark.parametrize("kind", ["write", "sync"])
@pytest.mark.parametrize("number", [errno.EINTR, errno.EAGAIN])
def test_what_passes_is_tried_again(opener: Any, kind: str, number: int) -> None:
    """An interrupted call is made again, by the ring, and succeeds."""
    script = Script().performs()
    probe, device = opener(script=script)
    prepared(probe)
    script.rule(kind, result=-number)
    before = device.facts().retried
    assert probe.put(BLOCK, DATA) == 0
    assert probe.flush() == 0
    assert device.facts().retried == before + 1
    assert probe.get(BLOCK, BLOCK) == DATA


@pytest.mark.fault("F05")
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_write_error_is_told_and_not_tried_again(opener: Any, number: int) -> None:
    """An error of a write ends that write; the next one may succeed."""
    script = Script().performs()
    probe, _ = opener(script=script)
    prepared(probe)
    seen = script.seen("write")
    script.rule("write", result=-number)
    assert probe.put(BLOCK, DATA) == -number
    assert script.seen("write") == seen + 1
    assert probe.put(BLOCK, DATA) == 0


@pytest.mark.fault("F12")
def test_a_failed_sync_is_the_last(opener: Any) -> None:
    """A sync that fails in the waiting thread is latched as any other's is."""
    script = Script().performs()
    probe, device = opener(script=script)
    prepared(probe)
    assert probe.put(0, DATA) == 0
    script.rule("sync", result=-errno.EIO)
    before = device.facts().helped
    assert probe.flush() == -errno.EIO
    assert device.facts().helped == before + 1
    assert probe.flush() == -errno.EIO
    assert probe.put(SEGMENT, DATA) == -errno.EIO
    assert device.facts().failed == -errno.EIO
