# SPDX-License-Identifier: MIT
"""What the device does when the kernel answers otherwise than one would like."""

from __future__ import annotations

import errno
import random
from typing import Any

import pytest

from pyfaster.testing._probe import DONE
from pyfaster_devices_uring import _cabi
from pyfaster_devices_uring._cabi import ASK, LOSE, Script

pytestmark = pytest.mark.skipif(
    _cabi.uring_probe(None) != 0, reason="this system has no io_uring for us"
)

SEGMENT = 1 << 16
BLOCK = 4096
DATA = random.Random(5).randbytes(16 * BLOCK)


@pytest.mark.fault("F01")
@pytest.mark.parametrize("length", [512, 4096, 12_288])
@pytest.mark.parametrize("direct", [False, "try"])
def test_short_writes_are_finished(opener: Any, length: int, direct: object) -> None:
    """The rest of a short write is written; only the whole counts."""
    script = Script().rule("write", length=length, count=3)
    probe, device = opener(script=script, direct=direct)
    assert probe.put(0, DATA) == 0
    assert probe.get(0, len(DATA)) == DATA
    assert script.seen("write") == 4
    assert device.facts().rests == 3


@pytest.mark.fault("F01")
def test_a_cached_write_of_one_byte_is_finished(opener: Any) -> None:
    """Any progress at all is progress."""
    script = Script().rule("write", length=1, count=10)
    probe, _ = opener(script=script, direct=False)
    assert probe.put(5, DATA[:100]) == 0
    assert probe.get(5, 100) == DATA[:100]
    assert script.seen("write") == 11


@pytest.mark.fault("F02")
def test_writes_that_move_nothing_are_bounded(opener: Any) -> None:
    """A write of nothing is tried again, then it is an error, and nothing counts."""
    script = Script().rule("write", result=0, count=3)
    probe, _ = opener(script=script)
    assert probe.put(0, DATA) == 0
    assert script.seen("write") == 4
    assert probe.get(0, len(DATA)) == DATA
    script.rule("write", result=0, count=100)
    assert probe.put(SEGMENT, DATA) == -errno.EIO
    assert script.seen("write") < 20


@pytest.mark.fault("F03")
@pytest.mark.parametrize("direct", [False, "try"])
def test_short_reads_are_finished(opener: Any, direct: object) -> None:
    """The rest of a short read that is not at the end is read."""
    script = Script().rule("read", length=512, count=5)
    probe, device = opener(script=script, direct=direct)
    assert probe.put(0, DATA) == 0
    assert probe.get(0, len(DATA)) == DATA
    assert script.seen("read") == 6
    assert device.facts().rests == 5


@pytest.mark.fault("F03")
def test_a_short_read_between_alignments_goes_back(opener: Any) -> None:
    """A direct read that ended between two sectors goes on where it may begin."""
    script = Script().rule("read", result=700)
    probe, device = opener(script=script)
    assert probe.put(0, DATA) == 0
    if device.direct:
        # The scripted 700 bytes were never moved; 512 of them count as moved.
        got = probe.get(0, 4 * BLOCK)
        assert got[512:] == DATA[512 : 4 * BLOCK]
        assert script.seen("read") == 2


@pytest.mark.fault("F05")
@pytest.mark.fault("F72")
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EACCES])
def test_a_write_error_is_told_and_not_tried_again(opener: Any, number: int) -> None:
    """An error of a write ends that write; the next one may succeed."""
    script = Script().rule("write", result=-number, skip=1)
    probe, _ = opener(script=script)
    assert probe.put(0, DATA) == 0
    assert probe.put(SEGMENT, DATA) == -number
    assert script.seen("write") == 2
    assert probe.put(SEGMENT, DATA) == 0
    assert probe.flush() == 0


@pytest.mark.fault("F06")
def test_a_lasting_write_error_does_not_hang_close(opener: Any) -> None:
    """Every write fails, each once, and the device can be closed."""
    script = Script().rule("write", result=-errno.EIO, count=1000)
    probe, _ = opener(script=script)
    tickets = [probe.write(i * BLOCK, bytes(BLOCK)) for i in range(100)]
    assert {probe.wait(one).code for one in tickets} == {-errno.EIO}
    assert script.seen("write") == 100
    assert probe.close() == 0


@pytest.mark.fault("F07")
def test_a_read_error_is_told_and_not_tried_again(opener: Any) -> None:
    """An error of a read ends that read and no other."""
    script = Script().rule("read", result=-errno.EIO, skip=1)
    probe, device = opener(script=script)
    assert probe.put(0, DATA) == 0
    tickets = [probe.read(i * BLOCK, BLOCK) for i in range(4)]
    codes = [probe.wait(one).code for one in tickets]
    assert codes == [DONE, -errno.EIO, DONE, DONE]
    assert script.seen("read") == 4
    assert device.facts().retried == 0
    assert probe.get(0, len(DATA)) == DATA


@pytest.mark.fault("F08")
def test_lasting_read_errors_stay_with_their_reads(opener: Any) -> None:
    """Reads fail for as long as the disk does, and then no more."""
    script = Script().rule("read", result=-errno.EIO, count=20)
    probe, _ = opener(script=script)
    assert probe.put(0, DATA) == 0
    codes = [probe.wait(probe.read(0, BLOCK)).code for _ in range(25)]
    assert codes == [-errno.EIO] * 20 + [DONE] * 5


@pytest.mark.fault("F12")
def test_a_failed_sync_is_the_last(opener: Any) -> None:
    """After a sync has failed none is tried, no write is taken, and reads go on."""
    script = Script().rule("sync", result=-errno.EIO)
    probe, device = opener(script=script)
    assert probe.put(0, DATA) == 0
    meeting = [probe.sync() for _ in range(3)]
    codes = {
        known.result or known.code for known in (probe.wait(one) for one in meeting)
    }
    assert codes == {-errno.EIO}
    assert probe.flush() == -errno.EIO
    assert probe.put(0, DATA) == -errno.EIO
    assert script.seen("sync") == 1
    assert probe.get(0, len(DATA)) == DATA
    assert device.facts().failed == -errno.EIO


@pytest.mark.fault("F77")
def test_results_in_any_order_meet_their_requests(opener: Any) -> None:
    """Requests of which some need many rounds all get their own bytes, once."""
    script = Script()
    for skip in (0, 2, 3):
        script.rule("read", length=512, skip=skip, count=2)
    script.rule("read", result=-errno.EAGAIN, skip=1, count=6)
    probe, _ = opener(script=script)
    assert probe.put(0, DATA) == 0
    tickets = [probe.read(i * BLOCK, BLOCK) for i in range(16)]
    for i, ticket in reversed(list(enumerate(tickets))):
        known = probe.wait(ticket)
        assert (known.code, known.bytes, known.completions) == (DONE, BLOCK, 1)
        assert probe.data(ticket) == DATA[i * BLOCK : (i + 1) * BLOCK]
    assert script.seen("read") > 16


@pytest.mark.fault("F83")
@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EBUSY, errno.EINTR])
def test_refused_calls_are_made_again(opener: Any, number: int) -> None:
    """A call that the kernel refuses for now delays requests and loses none."""
    script = Script().answer("enter", *[-number] * 5, ASK, -number)
    probe, _ = opener(script=script)
    assert probe.put(0, DATA) == 0
    tickets = [probe.read(i * BLOCK, BLOCK) for i in range(16)]
    assert {probe.wait(one).code for one in tickets} == {DONE}
    assert [probe.result(one).completions for one in tickets] == [1] * 16
    assert script.calls("enter") >= 7


@pytest.mark.fault("F83")
@pytest.mark.parametrize("kind", ["read", "write", "sync"])
@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EINTR, errno.ECANCELED])
def test_results_that_pass_are_tried_again(opener: Any, kind: str, number: int) -> None:
    """A request that the kernel did not begin is begun again."""
    script = Script().rule(kind, result=-number, count=10)
    probe, device = opener(script=script)
    assert probe.put(0, DATA) == 0
    assert probe.flush() == 0
    assert probe.get(0, len(DATA)) == DATA
    assert script.seen(kind) == 11
    assert device.facts().retried == 10


@pytest.mark.fault("F83")
def test_tries_are_bounded(opener: Any) -> None:
    """A request that never passes ends with the kernel's word."""
    script = Script().rule("read", result=-errno.EAGAIN, count=1000)
    probe, _ = opener(script=script)
    assert probe.put(0, DATA) == 0
    assert probe.wait(probe.read(0, BLOCK)).code == -errno.EAGAIN
    assert script.seen("read") == 65


@pytest.mark.fault("F83")
def test_a_ring_that_refuses_for_good_is_given_up(opener: Any) -> None:
    """When the kernel takes nothing any more, requests fail; none hangs."""
    script = Script()
    probe, _ = opener(script=script)
    assert probe.put(0, DATA) == 0
    script.answer("enter", *[-errno.EAGAIN] * 200)
    tickets = [probe.read(i % 16 * BLOCK, BLOCK) for i in range(100)]
    known = [probe.wait(one) for one in tickets]
    assert {one.code for one in known if one.result == 0} == {-errno.EIO}
    assert {one.completions for one in known if one.result == 0} == {1}
    assert probe.result(probe.read(0, BLOCK)).result == -errno.EAGAIN
    assert probe.close() == 0


@pytest.mark.fault("F83")
def test_a_ring_that_is_gone_fails_what_it_never_took(opener: Any) -> None:
    """A descriptor that somebody closed makes requests fail at once."""
    script = Script()
    probe, _ = opener(script=script)
    assert probe.put(0, DATA) == 0
    script.answer("enter", -errno.EBADF)
    ticket = probe.read(0, BLOCK)
    known = probe.wait(ticket)
    assert (known.code, known.completions) == (-errno.EIO, 1)
    assert probe.result(probe.read(0, BLOCK)).result == -errno.EBADF


@pytest.mark.fault("F83")
def test_lost_results_end_behind_a_mark(opener: Any) -> None:
    """When the kernel lost results, their requests fail once all others have ended."""
    script = Script().rule("read", result=LOSE, skip=1, count=2)
    probe, _ = opener(script=script)
    assert probe.put(0, DATA) == 0
    tickets = [probe.read(i * BLOCK, BLOCK) for i in range(5)]
    assert probe.poll() >= 0
    for i in (0, 3, 4):
        assert probe.wait(tickets[i]).code == DONE
    assert [probe.result(tickets[i]).completions for i in (1, 2)] == [0, 0]
    script.answer("wait", -errno.EBADR)
    assert [probe.wait(tickets[i]).code for i in (1, 2)] == [-errno.EIO] * 2
    assert [probe.result(one).completions for one in tickets] == [1] * 5
    assert script.drained() == 1
    assert probe.result(probe.read(0, BLOCK)).result == -errno.EIO
    assert probe.close() == 0


@pytest.mark.fault("F83")
def test_results_beyond_the_ring_are_fetched(opener: Any) -> None:
    """Results that did not fit are kept by the kernel, and fetched."""
    script = Script().results(64)
    probe, device = opener(script=script, depth=128, direct=False)
    data = random.Random(6).randbytes(126 * BLOCK)
    assert probe.put(0, data) == 0
    # Cached reads end inside the hand-over: results pile up until somebody fetches
    # them, which may be the device itself; so more than one attempt may be needed,
    # and on a machine that stops threads now and then many.
    for _ in range(500):
        tickets = [probe.read(i * BLOCK, BLOCK) for i in range(126)]
        for i, ticket in enumerate(tickets):
            known = probe.wait(ticket)
            assert (known.code, known.completions) == (DONE, 1)
            assert probe.data(ticket) == data[i * BLOCK : (i + 1) * BLOCK]
        if device.facts().overflows > 0:
            break
    assert device.facts().overflows > 0


@pytest.mark.fault("F84")
def test_requests_are_never_chained(opener: Any) -> None:
    """A short write breaks no flush: a sync is submitted by itself, after the rest."""
    script = Script().rule("write", length=512, count=2)
    script.rule("sync", result=-errno.ECANCELED, count=2)
    probe, _ = opener(script=script)
    assert probe.put(0, DATA) == 0
    assert probe.flush() == 0
    assert (script.seen("write"), script.seen("sync")) == (3, 3)
    assert probe.get(0, len(DATA)) == DATA


@pytest.mark.fault("F78")
def test_ends_come_once_whatever_the_results(opener: Any) -> None:
    """Under a mix of faults every request ends once, and close finds none left."""
    script = Script()
    for kind in ("read", "write"):
        script.rule(kind, length=512, skip=3, count=5)
        script.rule(kind, result=-errno.EAGAIN, skip=9, count=20)
        script.rule(kind, result=-errno.EIO, skip=4, count=3)
    script.answer("enter", ASK, -errno.EAGAIN, ASK, -errno.EBUSY, ASK, -errno.EINTR)
    probe, _ = opener(script=script, depth=64)
    tickets = []
    for i in range(150):
        tickets.append(probe.write(i * BLOCK, bytes(BLOCK)))
        tickets.append(probe.read(i * BLOCK, BLOCK))
    known = [probe.wait(one) for one in tickets]
    assert {one.completions for one in known} == {1}
    assert [one.code for one in known].count(-errno.EIO) == 6
    assert probe.close() == 0
    assert probe.completed == probe.submitted
