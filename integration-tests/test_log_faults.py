# SPDX-License-Identifier: MIT
"""
A durable log whose device or whose slot files fail, at every request that it makes.

Each run does the same to a log that was there before, with one request that fails. What
it says must be an error of ours; what was acknowledged before is found by the next one,
and nothing that was never issued.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from crash.device import LoadedDevice
from crash.events import Event, Recorder
from crash.files import SimFiles
from crash.image import Image, blank, put
from crash.judge import what_is_left
from crash.logs.files import SimSlots
from crash.logs.judge import LogJudge
from crash.logs.life import LogLife
from crash.logs.oracle import Found, LogPromises
from crash.logs.real import PAGE, RealLogSubject
from crash.subject import Refused
from pyfaster.errors import (
    CorruptLogError,
    DeadlineError,
    DeviceError,
    DurabilityError,
    FasterError,
)
from pyfaster.flog import Life, Slot, slot_bytes
from pyfaster.testing import MemoryDevice, Rule
from pyfaster_fasterlog import CommitPolicy, FasterLog

pytestmark = pytest.mark.once

SEED = 7
#: More requests of one kind than a run makes.
REQUESTS_MAX = 100
EVERY_TIME: int | None = None

#: What may happen to a request, by name.
FAULTS: dict[str, dict[str, Any]] = {
    "EIO once": {"fault": "fail"},
    "EIO always": {"fault": "fail", "times": EVERY_TIME},
    "ENOSPC once": {"fault": "fail", "errno": errno.ENOSPC},
    "ENOSPC always": {"fault": "fail", "errno": errno.ENOSPC, "times": EVERY_TIME},
    "refused": {"fault": "refuse", "errno": errno.EIO, "times": 3},
    "short once": {"fault": "short", "argument": -8},
    "short always": {"fault": "short", "argument": -8, "times": EVERY_TIME},
    "nothing moved": {"fault": "short", "argument": 0, "times": EVERY_TIME},
}
KINDS = ("write", "sync", "read")


def faults_of(kind: str) -> Iterator[str]:
    """The names of what may happen to a kind of request; a sync is never short."""
    for name in FAULTS:
        if kind != "sync" or name.split()[0] in ("EIO", "ENOSPC", "refused"):
            yield name


SWEEPS = [(kind, name) for kind in KINDS for name in faults_of(kind)]


def before() -> tuple[Image, Found]:
    """A log that was there, closed in peace, and what it holds."""
    life = LogLife(RealLogSubject(), Image(), SEED, count(1))
    life.start()
    for _ in range(8):
        life.append()
    life.commit(b"before")
    life.save("c", life.log.found().entries[2][0])
    life.end(clean=True)
    again = LogLife(RealLogSubject(), what_is_left(life), SEED, count(1))
    found = again.start()
    again.end()
    return what_is_left(life), found


def play(life: LogLife) -> None:
    """Open the log, and do one thing after another."""
    held = life.start()
    for _ in range(12):
        life.append()
    life.commit()
    life.append_many(3)
    life.commit(b"cookie")
    life.save("c", held.entries[5][0])
    life.truncate_until(held.entries[3][0])
    life.append()
    life.commit()
    last = life.append()
    life.commit()
    life.truncate_suffix(last)
    life.append()
    life.commit()
    life.log.found()


def images_of(life: LogLife, first: Image) -> Iterator[Image]:
    """
    What may be left: with the writes that failed and without them.
    """
    timeline = life.timeline()
    done = {event.number for event in timeline if event.kind == "wrote" and event.ok}
    for all_of_them in (False, True):
        image = life.image.copy()
        image.log = bytearray(first.log)
        for event in timeline:
            if event.kind == "write" and (all_of_them or event.number in done):
                put(image.log, event.offset, event.data)
            elif event.kind == "trim":
                blank(image.log, event.offset)
        yield image


def is_latched(life: LogLife, error: DurabilityError) -> None:
    """Once a write or a sync has failed for good, each later one gets the same."""
    log = life.log.log  # type: ignore[attr-defined]  # the log itself
    assert error.durable <= error.start
    assert log.failure == (-(error.errno or 0), error.start, error.until)
    for call in (
        log.commit,
        lambda: log.commit(cookie=b"later"),
        lambda: log.append(b"later"),
        lambda: log.append_and_commit(b"later"),
    ):
        with pytest.raises(DurabilityError) as caught:
            call()
        told = caught.value
        assert (told.errno, told.start, told.until, told.durable) == (
            error.errno,
            error.start,
            error.until,
            error.durable,
        )
    assert log.committed.until == error.durable


def judged(life: LogLife, first: Image, found: Found) -> None:
    """What is left keeps every promise that was made, and is a whole log."""
    timeline = life.timeline()
    promises = LogPromises(timeline, found)
    for event in timeline:
        promises.step(event)
    judge = LogJudge(RealLogSubject(), SEED)
    for image in images_of(life, first):
        outcome, _ = judge.judge(image)
        assert list(outcome.faults) == []
        assert promises.broken(outcome, promises.bounds()) == []


def run_with(life: LogLife) -> FasterError | None:
    """Play until something fails; nothing but an error of ours may come of it."""
    try:
        play(life)
    except FasterError as error:
        return error
    except Refused as error:  # damage, as far as this device can be read
        cause = error.__cause__
        return cause if isinstance(cause, CorruptLogError) else None
    return None


@pytest.mark.fault("F01")
@pytest.mark.fault("F04")
@pytest.mark.fault("F02")
@pytest.mark.fault("F03")
@pytest.mark.fault("F05")
@pytest.mark.fault("F06")
@pytest.mark.fault("F07")
@pytest.mark.fault("F08")
@pytest.mark.fault("F09")
@pytest.mark.fault("F12")
@pytest.mark.trap("X16")
@pytest.mark.parametrize(("kind", "name"), SWEEPS)
def test_every_request_may_fail(kind: str, name: str) -> None:
    """At each request of a run, nothing acknowledged is lost, and errors are typed."""
    first, found = before()
    failed = 0
    for nth in range(1, REQUESTS_MAX):
        rule = Rule(kinds=kind, nth=nth, **FAULTS[name])
        life = LogLife(RealLogSubject(), first.copy(), SEED, count(100), rules=(rule,))
        error = run_with(life)
        fired = life.device.faulty.fired()
        if isinstance(error, DurabilityError):
            is_latched(life, error)
        failed += error is not None
        life.end()
        judged(life, first, found)
        if not fired:
            break
    else:
        pytest.fail("a run makes more requests than were counted")
    if kind == "write" and name.endswith("once"):  # it is tried again
        assert failed == 0
    elif kind == "sync" or name in ("EIO always", "ENOSPC always", "nothing moved"):
        assert failed > 0


@pytest.mark.fault("F11")
@pytest.mark.fault("F16")
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("what", ["rewrite", "fsync", "dirsync", "create"])
def test_every_call_on_a_slot_file_may_fail(what: str, number: int) -> None:
    """A slot that cannot be written is an error of ours, and the other one counts."""
    first, found = before()
    fresh = what in ("dirsync", "create")
    for nth in range(1, REQUESTS_MAX):
        left = [nth]

        def refuse(event: Event, left: list[int] = left) -> OSError | None:
            left[0] -= event.kind == what
            due = event.kind == what and left[0] == 0
            return OSError(number, "refused") if due else None

        image = Image() if fresh else first.copy()
        life = LogLife(RealLogSubject(), image, SEED, count(100), refuse)
        error = run_fresh(life) if fresh else run_with(life)
        assert isinstance(error, DeviceError) == (left[0] <= 0)
        life.end()
        if not fresh:
            judged(life, first, found)
        elif error is not None:  # the next one begins the log, or goes on with it
            begun = LogLife(RealLogSubject(), what_is_left(life), SEED, count(1))
            assert run_fresh(begun) is None
            begun.end()
        if left[0] > 0:
            return
    pytest.fail("a run makes more calls than were counted")


def run_fresh(life: LogLife) -> FasterError | None:
    """Begin a log, and commit one entry."""
    try:
        life.start()
        life.append_and_commit()
    except FasterError as error:
        return error
    return None


# --- several who wait ---------------------------------------------------------------


def opened(*rules: Rule, **more: Any) -> tuple[LoadedDevice, FasterLog]:
    """A new log on a device with rules."""
    device = LoadedDevice(bytearray(), rules=rules or (Rule("fail", nth=1 << 30),))
    settings = {"page_size": PAGE, "memory": 8 * PAGE, "trust_device": True, **more}
    log = FasterLog.open(
        None,
        device=device.device,
        files=SimSlots(SimFiles(Recorder())),
        **settings,
    )
    return device, log


def together(count_: int, work: Callable[[int], None]) -> None:
    """Do something in threads at the same time, and wait for all."""
    ready = threading.Barrier(count_)

    def run(number: int) -> None:
        ready.wait(60)
        work(number)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count_)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.fault("F12")
@pytest.mark.trap("X16")
@pytest.mark.parametrize("policy", [CommitPolicy(), CommitPolicy(max_in_flight=3)])
@pytest.mark.parametrize("kind", ["write", "sync"])
def test_all_who_wait_get_the_same_error(kind: str, policy: CommitPolicy) -> None:
    """A failure reaches every waiter, with its range, and none waits for ever."""
    rule = Rule("fail", kind, nth=3, times=EVERY_TIME)
    device, log = opened(rule, commit=policy)
    told: list[DurabilityError] = []
    safe: list[int] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                safe.append(log.append_and_commit(b"%d of %d" % (turn, number)))
        except DurabilityError as error:
            told.append(error)

    together(6, work)
    assert len(told) == 6
    assert len({(one.errno, one.start, one.until, one.durable) for one in told}) == 1
    assert told[0].durable == log.committed.until
    assert all(address < told[0].durable for address in safe)
    held = {entry.address for entry in log.scan()}
    assert held >= set(safe)
    syncs = device.faulty.stats()["syncs"] if device.faulty else 0
    with pytest.raises(DurabilityError):
        log.close()
    assert device.faulty is not None
    if kind == "sync":  # none is tried again
        assert device.faulty.stats()["syncs"] == syncs


def refusal_of(log: FasterLog) -> DeviceError | None:
    """What a commit is refused with, if it is."""
    try:
        log.commit()
    except DeviceError as error:
        return error
    return None


@pytest.mark.fault("F09")
def test_a_full_device_refuses_and_goes_on() -> None:
    """While there is no space a commit fails; then the same entries become durable."""
    rule = Rule("fail", "write", nth=2, times=12, errno=errno.ENOSPC)
    _, log = opened(rule)
    first = log.append_and_commit(b"first")
    places = [first, log.append(b"second")]
    failures = 0
    for _ in range(40):
        error = refusal_of(log)
        if error is None:
            break
        assert not isinstance(error, DurabilityError)
        assert error.errno == errno.ENOSPC
        failures += 1
    assert failures > 0
    assert log.failure is None
    places.append(log.append_and_commit(b"third"))
    assert [entry.address for entry in log.scan()] == places
    log.close()


@pytest.mark.fault("F76")
@pytest.mark.parametrize("kind", ["write", "sync"])
def test_a_request_that_never_ends_is_waited_for_so_long(kind: str) -> None:
    """A commit has a deadline, and so has closing; what was durable can be read."""
    _, log = opened(Rule("never", kind, nth=2))
    place = log.append_and_commit(b"safe")
    log.append(b"never safe")
    with pytest.raises(DeadlineError):
        log.commit(timeout=0.05)
    assert log.read(place) == b"safe"
    assert [entry.payload for entry in log.scan()] == [b"safe"]
    with pytest.raises(DeadlineError):
        log.close(timeout=0.05)
    log.close(commit=False)
    assert log.closed


# --- what others got wrong ----------------------------------------------------------


@pytest.mark.trap("X14")
def test_no_entry_is_overwritten_before_it_is_written_out() -> None:
    """A thousand entries through a ring of a few pages, and one commit: all there."""
    _, log = opened()
    entries = [b"%d " % number * 20 for number in range(1000)]
    for data in entries:
        log.append(data)
    log.commit()
    assert [entry.payload for entry in log.scan()] == entries
    log.close()


@pytest.mark.trap("X17")
def test_a_commit_interval_has_an_effect() -> None:
    """With every_seconds entries become durable although nobody commits."""
    _, log = opened(commit=CommitPolicy(every_seconds=0.001))
    place = log.append(b"by itself")
    assert log.wait_committed(place, timeout=60)
    assert [entry.payload for entry in log.scan()] == [b"by itself"]
    log.close()


@pytest.mark.trap("T26")
def test_entries_of_nothing_are_entries() -> None:
    """An entry without a payload is one, alone, in batches and after a recovery."""
    device, log = opened()
    log.append(b"")
    log.append_many([b"", b"x", b""], atomic=True)
    log.commit()
    found = [b"", b"", b"x", b""]
    assert [entry.payload for entry in log.scan()] == found
    assert [bytes(one) for piece in log.scan().batches() for one in piece] == found
    log.close()
    assert device.record.inner is not None


@pytest.mark.trap("T23")
def test_commit_records_are_no_entries_and_none_is_missed() -> None:
    """Of ten commits a scan gives the entries alone, and the last one is recovered."""
    life = LogLife(RealLogSubject(), Image(), SEED, count(1))
    life.start()
    for number in range(10):
        life.append()
        life.commit(b"cookie %d" % number)
    held = life.log.found()
    assert len(held.entries) == 10
    life.end()
    again = LogLife(RealLogSubject(), what_is_left(life), SEED, count(50))
    got = again.start()
    assert (got.number, got.cookie) == (held.number, b"cookie 9")
    assert got.entries == held.entries
    again.end()


@pytest.mark.trap("T24")
def test_a_log_may_begin_at_any_of_its_entries() -> None:
    """Truncated at each entry in turn, it is recovered from there, with the rest."""
    for at in range(0, 24, 3):
        life = LogLife(RealLogSubject(), Image(), SEED, count(1))
        life.start()
        for _ in range(24):
            life.append()
        life.commit()
        entries = life.log.found().entries
        life.truncate_until(entries[at][0])
        life.end()
        again = LogLife(RealLogSubject(), what_is_left(life), SEED, count(50))
        got = again.start()
        assert got.entries == entries[at:]
        assert got.begin == entries[at][0]
        again.append_and_commit()
        again.end()


@pytest.mark.trap("T25")
def test_addresses_have_more_than_32_bits() -> None:
    """A log that begins far above 4 GiB takes entries, and gives them back."""
    high = 5 << 31
    slot = Slot(1, 77, PAGE, high, high, 1 << 33, (Life(3, high, 0),), b"")
    slots = SimSlots(SimFiles(Recorder()))
    for name in ("slot-a", "slot-b"):
        file = slots.create(name)
        file.write(slot_bytes(slot).ljust(PAGE, b"\0"))
    log = FasterLog.open(
        None, device=MemoryDevice(1 << 24), files=slots, trust_device=True
    )
    places = [log.append(b"%d" % number) for number in range(100)]
    assert places[0] >= high
    at = log.commit()
    assert at.number == (1 << 33) + 1
    assert at.until > places[-1]
    assert [entry.address for entry in log.scan()] == places
    assert log.read(places[50]) == b"50"
    log.cursor("c").save(places[9])
    log.truncate_until(places[5])
    assert [entry.address for entry in log.scan()] == places[5:]
    assert log.cursors() == {"c": places[9]}
    log.close()


def test_all_of_a_log_may_be_cut_off() -> None:
    """Cut off at its very first entry it is empty; what comes then is there."""
    device, log = opened()
    first = log.append_and_commit(b"old")
    log.truncate_suffix(first)
    assert list(log.scan()) == []
    place = log.append_and_commit(b"new")
    assert [(entry.address, entry.payload) for entry in log.scan()] == [(place, b"new")]
    log.close()
    assert device.faulty is not None
