# SPDX-License-Identifier: MIT
"""What the device does while nothing goes wrong, on the kernel that is here."""

from __future__ import annotations

import errno
import os
import random
import threading
from pathlib import Path
from typing import Any

import pytest

from pyfaster.errors import ClosedError, CorruptionError, InterfaceMismatchError
from pyfaster.testing import Probe
from pyfaster.testing._probe import DONE
from pyfaster_devices_uring import UringDevice, _cabi

pytestmark = pytest.mark.skipif(
    _cabi.uring_probe(None) != 0, reason="this system has no io_uring for us"
)

SEGMENT = 1 << 16
BLOCK = 4096


@pytest.mark.parametrize("direct", [False, "try"])
def test_bytes_come_back_over_segments(opener: Any, direct: object) -> None:
    """What was written is read, in whatever pieces, across the ends of segments."""
    probe, _ = opener(direct=direct)
    data = random.Random(1).randbytes(5 * SEGMENT)
    assert probe.put(0, data) == 0
    for offset, length in ((0, BLOCK), (SEGMENT - BLOCK, 2 * BLOCK), (0, 5 * SEGMENT)):
        assert probe.get(offset, length) == data[offset : offset + length]
    assert probe.flush() == 0


def test_cached_bytes_need_no_alignment(opener: Any) -> None:
    """Without direct transfers any offset and length will do."""
    probe, device = opener(direct=False)
    assert (device.alignment, device.direct) == (1, False)
    assert probe.put(SEGMENT - 3, b"abcdefg") == 0
    assert probe.get(SEGMENT - 1, 4) == b"cdef"
    assert probe.get(SEGMENT + 2, 100).rstrip(b"\0") == b"fg"
    assert probe.get(2 * SEGMENT, 1) == b""


def test_direct_misfits_are_refused(opener: Any) -> None:
    """Direct transfers that are not aligned are refused, and never completed."""
    probe, device = opener()
    if not device.direct:
        return  # the file system has none: everything is aligned
    assert probe.put(0, bytes(BLOCK)) == 0
    tickets = [
        probe.read(1, BLOCK),
        probe.read(0, BLOCK - 1),
        probe.read(0, BLOCK, misalignment=1),
        probe.write(1, bytes(BLOCK)),
    ]
    assert [probe.result(one).result for one in tickets] == [-22] * 4
    assert probe.poll() == 0
    assert [probe.result(one).completions for one in tickets] == [0] * 4


def test_ranges_that_wrap_are_refused(opener: Any) -> None:
    """A range beyond 63 bits is refused."""
    probe, _ = opener(direct=False)
    for offset in ((1 << 63) - 1, (1 << 64) - BLOCK):
        assert probe.result(probe.read(offset, BLOCK)).result == -22
        assert probe.result(probe.write(offset, bytes(BLOCK))).result == -22


def test_reads_end_where_the_log_does(opener: Any) -> None:
    """Beyond the end a read is short; holes before it read as zeros."""
    probe, _ = opener()
    assert probe.get(0, BLOCK) == b""
    assert probe.put(2 * SEGMENT, b"x" * BLOCK) == 0
    assert probe.get(2 * SEGMENT, 4 * BLOCK).rstrip(b"\0") == b"x" * BLOCK
    assert len(probe.get(2 * SEGMENT, 2 * SEGMENT)) <= SEGMENT
    assert probe.get(0, SEGMENT) == bytes(SEGMENT)
    assert probe.get(SEGMENT - BLOCK, SEGMENT) == bytes(SEGMENT)


@pytest.mark.fault("F04")
@pytest.mark.parametrize("direct", [False, "try"])
@pytest.mark.parametrize("kept", [0, 100, BLOCK + 700])
def test_a_file_that_was_cut_is_an_error(
    opener: Any, tmp_path: Path, direct: object, kept: int
) -> None:
    """Bytes that a file should have and has not are an error, never zeros."""
    data = random.Random(9).randbytes(2 * SEGMENT)
    probe, _ = opener(direct=direct)
    assert probe.put(0, data) == 0
    first, _ = sorted((tmp_path / "store" / "log").glob("*.seg"))
    os.truncate(first, BLOCK + kept)
    assert probe.wait(probe.read(0, 2 * SEGMENT)).code == -errno.EIO
    assert probe.wait(probe.read(BLOCK, BLOCK)).code == -errno.EIO
    assert probe.get(SEGMENT, SEGMENT) == data[SEGMENT:]
    assert probe.close() == 0
    with pytest.raises(CorruptionError, match="made with"):
        opener(direct=direct)


def test_more_requests_than_room_all_end_once(opener: Any) -> None:
    """Requests beyond the ring's room wait, and every one ends exactly once."""
    probe, device = opener(depth=64)
    data = random.Random(2).randbytes(500 * BLOCK)
    assert probe.put(0, data) == 0
    # The device may fetch results meanwhile; then more than one attempt is needed.
    for _ in range(50):
        tickets = [probe.read(i * BLOCK, BLOCK) for i in range(500)]
        for i, ticket in enumerate(tickets):
            known = probe.wait(ticket)
            assert (known.code, known.bytes, known.completions) == (DONE, BLOCK, 1)
            assert probe.data(ticket) == data[i * BLOCK : (i + 1) * BLOCK]
        if device.facts().excess > 0:
            break
    facts = device.facts()
    assert facts.depth == 62
    assert facts.excess > 0
    assert facts.overflows == 0


def test_requests_are_handed_over_together(opener: Any) -> None:
    """64 requests of one thread are handed over by two system calls, not by 64."""
    script = _cabi.Script()
    probe, device = opener(script=script)
    assert probe.put(0, bytes(64 * BLOCK)) == 0
    handed = 0
    # The device itself hands over what it finds if this thread is stopped between two
    # requests; so more than one attempt may be needed.
    for _ in range(100):
        before = script.calls("enter")
        tickets = [probe.read(i * BLOCK, BLOCK) for i in range(64)]
        handed = script.calls("enter") - before
        assert [probe.wait(one).code for one in tickets] == [DONE] * 64
        if handed == 2:  # each time that 32 have gathered
            break
    assert handed == 2
    assert probe.close() == 0  # a request may be told before it is counted
    facts = device.facts()
    assert facts.completed == probe.completed == probe.submitted
    assert facts.submitted >= facts.completed


def test_nobody_has_to_call_after_a_poll(opener: Any) -> None:
    """After one poll requests end without any further call (V10)."""
    script = _cabi.Script()
    probe, device = opener(script=script)
    assert probe.put(0, bytes(16 * BLOCK)) == 0
    ended = threading.Event()
    polled = 0
    for _ in range(10):
        # Each read takes several tries with rests between them: no poll ends it, unless
        # it is stopped for as long.
        script.rule("read", result=-errno.EAGAIN, count=6)
        ticket = probe.read(0, BLOCK)
        count = probe.poll()
        assert count >= 0
        polled += count
        for _ in range(60_000):
            if probe.result(ticket).completions:
                break
            ended.wait(0.001)
        assert probe.result(ticket).code == DONE
    assert probe.close() == 0  # a request may be told before it is counted
    assert device.facts().keeper + polled >= 10


def test_wait_returns_when_nothing_is_in_flight(opener: Any) -> None:
    """wait ends by its time limit, with no request and before the first one."""
    probe, _ = opener()
    assert probe.device_wait(0) == 0
    assert probe.device_wait(0.02) == 0
    assert probe.put(0, bytes(BLOCK)) == 0
    assert probe.device_wait(0.02) == 0


def test_one_waits_while_another_fetches(opener: Any) -> None:
    """A thread in wait returns for what another thread fetched (V11)."""
    probe, _ = opener()
    assert probe.put(0, bytes(BLOCK)) == 0
    rounds = 300
    turns = [0]

    def wait() -> None:
        while turns[0] < rounds:
            probe.device_wait(3600)

    waiter = threading.Thread(target=wait)
    waiter.start()
    for _ in range(rounds):
        ticket = probe.read(0, BLOCK)
        while probe.result(ticket).completions == 0:
            assert probe.poll() >= 0
        turns[0] += 1
    assert probe.result(ticket).code == DONE
    for _ in range(60_000):  # it may have begun to wait behind the last of them
        if not waiter.is_alive():
            break
        assert probe.wait(probe.sync()).code == DONE
        waiter.join(0.001)
    assert not waiter.is_alive()


def test_syncs_that_meet_share_one(opener: Any) -> None:
    """Syncs submitted while one runs all end well, and cover what was written."""
    script = _cabi.Script()
    probe, _ = opener(script=script)
    assert probe.put(0, bytes(4 * SEGMENT)) == 0
    tickets = [probe.sync() for _ in range(50)]
    assert [probe.wait(one).code for one in tickets] == [DONE] * 50
    assert script.seen("sync") == 4
    assert probe.flush() == 0
    assert script.seen("sync") == 4
    assert probe.put(SEGMENT, bytes(BLOCK)) == 0
    assert probe.flush() == 0
    assert script.seen("sync") == 5


def test_truncation_takes_whole_segments(opener: Any, tmp_path: Path) -> None:
    """Segments below are removed, bytes above stay (V8)."""
    probe, _ = opener()
    data = random.Random(3).randbytes(4 * SEGMENT)
    assert probe.put(0, data) == 0
    assert probe.truncate_before(2 * SEGMENT + BLOCK) == 0
    assert len(list((tmp_path / "store" / "log").glob("*.seg"))) == 2
    kept = data[2 * SEGMENT + BLOCK :]
    assert probe.get(2 * SEGMENT + BLOCK, len(kept)) == kept
    assert probe.truncate_before(0) == 0


def test_what_was_synced_is_there_again(opener: Any) -> None:
    """A device that is opened again has the bytes, direct or cached."""
    data = random.Random(4).randbytes(3 * SEGMENT)
    probe, _ = opener()
    assert probe.put(0, data) == 0
    assert probe.flush() == 0
    assert probe.close() == 0
    probe, _ = opener(direct=False)
    assert probe.get(0, len(data)) == data


def test_close_ends_what_is_in_flight(opener: Any) -> None:
    """Requests that nobody waited for end once when the device is closed (V9)."""
    probe, device = opener(depth=64)
    assert probe.put(0, bytes(200 * BLOCK)) == 0
    tickets = [probe.read(i * BLOCK, BLOCK) for i in range(200)]
    tickets += [probe.write(i * BLOCK, bytes(BLOCK)) for i in range(50)]
    tickets.append(probe.sync())
    assert probe.close() == 0
    known = [probe.result(one) for one in tickets]
    assert {(one.code, one.completions) for one in known} == {(DONE, 1)}
    facts = device.facts()
    assert (facts.open, facts.completed) == (False, 252)


def test_many_threads_share_a_device(opener: Any) -> None:
    """Four threads that write and read their own blocks never see another's."""
    probe, _ = opener(depth=64)
    wrong: list[object] = []
    print("seeds 0 to 3")

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for i in range(40):
            where = (4 * rng.randrange(30) + seed) * 2 * BLOCK
            data = rng.randbytes(2 * BLOCK)
            if probe.put(where, data) != 0 or probe.get(where, len(data)) != data:
                wrong.append((seed, i))
            if i % 10 == 9 and probe.flush() != 0:
                wrong.append((seed, "sync"))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_device_is_handed_over_once(opener: Any, tmp_path: Path) -> None:
    """The table is given once, to the interface it was made for."""
    from pyfaster.protocols import DeviceSettings

    device = UringDevice(tmp_path / "other", DeviceSettings(1, segment_size=SEGMENT))
    with pytest.raises(InterfaceMismatchError, match="interface 2"):
        device.__faster_device__(2)
    with Probe(device):
        with pytest.raises(ClosedError, match="handed over"):
            device.__faster_device__(1)
    device.close()


def test_the_ring_is_restricted(opener: Any) -> None:
    """The kernel here refuses all but reads, writes and flushes of this ring."""
    _, device = opener()
    assert device.restricted
    assert repr(device).startswith("<UringDevice ")
