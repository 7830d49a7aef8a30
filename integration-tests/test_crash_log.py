# SPDX-License-Identifier: MIT
"""
The crash simulator finds what there is to find in a durable log, and nothing in ours.

A small log in Python shows that the judge is right before the log's own states are
judged; then each known way to break the log is shown to be seen.
"""

from __future__ import annotations

import random

import pytest

from crash.events import Event, Recorder
from crash.files import SimFiles
from crash.image import Image, put
from crash.logs import toy
from crash.logs.files import PLACE, SimSlots
from crash.logs.mutants import LOG_MUTANTS, BrokenLogSubject
from crash.logs.oracle import Found, LogOutcome, LogPromises
from crash.logs.real import RealLogSubject
from crash.logs.tasks import LogTask
from crash.logs.workloads import LOG_WORKLOADS
from crash.medium import SECTOR, TORN, WHOLE, Medium, spoiled
from crash.oracle import Points
from crash.subject import Refused
from crash.tasks import fields, found_again

pytestmark = pytest.mark.once

#: States of each workload that this suite judges; `python -m crash` judges more.
STATES = 60
#: What takes the toy long, which writes sector by sector.
TOO_LARGE = {"log by itself", "log large"}


def lines_of(task: LogTask, states: int) -> list[str]:
    """What a task says, up to its first violation; also one in the run itself."""
    try:
        return list(task.run(states, most=1))
    except (Refused, OSError, AssertionError, ValueError) as error:
        return [f"replay: in the run: {error}"]


def is_found(lines: list[str]) -> bool:
    """Whether something is wrong."""
    return any(line.startswith("replay:") for line in lines)


# --- the toy ------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(LOG_WORKLOADS.keys() - TOO_LARGE))
def test_a_log_that_keeps_its_promises_is_found_right(name: str) -> None:
    """Nothing is found in the toy, in any workload that it can do."""
    assert not is_found(lines_of(LogTask(toy.ToyLogSubject(), name, 3), 50))


@pytest.mark.parametrize("mutant", toy.MUTANTS)
def test_each_broken_promise_is_found(mutant: str) -> None:
    """Each step that the toy leaves out is found within a few seeds."""
    subject, name = toy.ToyLogSubject(mutant), toy.MUTANTS[mutant][1]
    assert any(is_found(lines_of(LogTask(subject, name, s), 500)) for s in range(1, 4))


# --- the log ------------------------------------------------------------------------


@pytest.mark.fault("F18")
@pytest.mark.fault("F19")
@pytest.mark.fault("F20")
@pytest.mark.fault("F21")
@pytest.mark.fault("F22")
@pytest.mark.fault("F23")
@pytest.mark.trap("X13")
@pytest.mark.parametrize("name", LOG_WORKLOADS)
def test_no_state_of_the_log_breaks_a_promise(name: str) -> None:
    """Of each workload some states, from all over the run, recover as they must."""
    lines = list(LogTask(RealLogSubject(), name, 11).run(STATES))
    assert [line for line in lines if line.startswith("replay:")] == []
    assert int(fields(lines[-1])["states"]) >= 20


@pytest.mark.fault("F29")
@pytest.mark.fault("F30")
@pytest.mark.parametrize("name", ["log lives", "log cutting", "log truncating"])
def test_a_recovery_that_is_cut_off_takes_nothing_back(name: str) -> None:
    """What one recovery gave, the next one gives, wherever the first was cut off."""
    task = LogTask(RealLogSubject(), name, 3)
    plan, timeline = task.record()
    explorer = task.explorer(task.judge(plan, timeline), timeline, depth_every=1)
    tally = explorer.run(0.0, turns=explorer.some(6))
    assert tally.violations == []
    assert tally.deep >= 20


@pytest.mark.fault("F17")
def test_a_device_that_lies_gives_no_wrong_entries() -> None:
    """When syncs do nothing, entries may be lost; what is there is still a prefix."""
    task = LogTask(RealLogSubject(), "log lying", 2)
    plan, timeline = task.record()
    judge = task.judge(plan, timeline)
    explorer = task.explorer(judge, timeline)
    assert explorer.run(0.05, turns=explorer.some(60)).violations == []
    found = [one.found for one in judge.outcomes().values() if hasattr(one, "found")]
    assert any(one is None or not one.entries for one in found)
    assert any(one is not None and one.entries for one in found)


@pytest.mark.parametrize("name", LOG_MUTANTS)
def test_each_mutant_of_the_log_is_found(name: str) -> None:
    """Each step that is left out between the log and its slots or device is found."""
    mutant = LOG_MUTANTS[name]
    for seed in range(1, 7):
        subject = BrokenLogSubject(name)
        task = LogTask(subject, mutant.workload, seed, mutant.sector)
        if is_found(lines_of(task, mutant.states)):
            return
    pytest.fail(f"{mutant.means}, and nothing was found")


def test_a_line_judges_its_state_again() -> None:
    """The line of a violation is enough to find the same violation."""
    broken = BrokenLogSubject("no slot sync")
    line, faults = found_again(
        lambda *about: LogTask(broken, *about), "log strong", 1, 300
    )
    assert faults
    assert faults[0].partition(":")[0] in line


# --- slots in the medium ------------------------------------------------------------


@pytest.mark.fault("F24")
@pytest.mark.fault("F25")
@pytest.mark.fault("F26")
@pytest.mark.fault("F28")
def test_a_slot_may_be_missing_short_or_torn() -> None:
    """Its name, its length and its bytes survive by syncs of their own only."""
    recorder = Recorder()
    slots = SimSlots(SimFiles(recorder))
    slot = slots.create("slot-a")
    slot.write(b"x" * 4096)
    medium = follow(recorder)
    assert medium.image({}).places == {PLACE: {}}
    slots.sync()
    medium = follow(recorder)
    images = [medium.image({at: WHOLE}) for at in range(len(medium.pending))]
    assert {bytes(image.files[1]) for image in images} == {b"", bytes(4096)}
    slot.sync()
    slot.write(b"y" * 4096)
    medium = follow(recorder)
    data = next(i for i, item in enumerate(medium.pending) if item.sort == "data")
    for form in TORN:
        found = bytes(medium.image({data: form}).files[1])
        assert len(found) == 4096
        assert set(found) >= {ord("x")} or form == "cut"
    assert bytes(medium.image({data: WHOLE}).files[1]) == b"y" * 4096


def follow(recorder: Recorder) -> Medium:
    """A medium after everything that was recorded."""
    medium = Medium()
    for event in recorder.timeline():
        medium.step(event)
    return medium


@pytest.mark.fault("F23")
def test_the_sector_that_the_power_went_in_is_garbage() -> None:
    """Of a file that is written over, what is behind that sector is as it was."""
    data = bytes(range(256)) * 16
    places = set()
    for seed in range(40):
        (_, before), (at, garbage) = spoiled(data, random.Random(seed))
        assert before == data[:at]
        assert len(garbage) == SECTOR
        places.add(at)
    assert {0, SECTOR, 7 * SECTOR} <= places


@pytest.mark.fault("F28")
@pytest.mark.fault("F92")
def test_space_that_was_given_back_may_or_may_not_be_gone() -> None:
    """Of a device's beginning that was cut off zeros are found, or what was there."""
    recorder = Recorder()
    for number, kind in enumerate(["write", "wrote", "sync", "synced", "trim"]):
        which = 1 + number // 2
        data = b"x" * 1024 if kind == "write" else b""
        offset = 512 if kind == "trim" else 0
        recorder.add(Event(kind, number=which, offset=offset, data=data))
    medium = follow(recorder)
    assert bytes(medium.image({}).log) == b"x" * 1024
    assert bytes(medium.image({0: WHOLE}).log) == bytes(512) + b"x" * 512


# --- the oracle ---------------------------------------------------------------------

ENTRIES = ((64, b"one"), (88, b""), (104, b"three"))


def history(*more: Event) -> LogPromises:
    """Promises of a log that holds three entries, of which two were committed."""
    points = {"begin": 64, "completed": 0}
    timeline = [Event("ack", "opened", offset=64, points=points)]
    for number, (address, data) in enumerate(ENTRIES, start=1):
        timeline.append(Event("issue", number=number, data=data))
        timeline.append(Event("appended", number=number, offset=address))
        if number == 2:
            timeline.append(Event("ack", "commit", offset=104, number=1))
    timeline += more
    promises = LogPromises(timeline)
    for event in timeline:
        promises.step(event)
    return promises


def faults(promises: LogPromises, found: Found | None) -> list[str]:
    """What is wrong if this is what a recovery found."""
    points: Points | None = None if found is None else {}
    return promises.broken(LogOutcome(points, found=found), promises.bounds())


def held(count: int, **more: object) -> Found:
    """A log that holds the first so many entries."""
    about = {"begin": 64, "until": 512, "number": 1, "entries": ENTRIES[:count], **more}
    return Found(**about)  # type: ignore[arg-type]  # by name


def test_what_was_acknowledged_and_issued_bounds_what_is_found() -> None:
    """Two entries or three are right; one, four, a hole or another one are not."""
    promises = history()
    assert [faults(promises, held(count)) for count in (2, 3)] == [[], []]
    for entries in (
        ENTRIES[:1],
        (*ENTRIES, (120, b"four")),
        (*ENTRIES, ENTRIES[2]),
        (ENTRIES[0], ENTRIES[2]),
        (ENTRIES[1], ENTRIES[0]),
        (ENTRIES[0], (96, b"")),
        (ENTRIES[0], (88, b"other")),
    ):
        assert faults(promises, held(2, entries=entries)) != []
    assert faults(promises, None) != []
    assert faults(promises, held(2, number=0)) != []
    assert faults(promises, held(2, begin=88, entries=ENTRIES[1:])) != []
    assert faults(promises, held(2, completed=True)) != []


def test_what_is_under_way_may_be_found_or_not() -> None:
    """A truncation, a cut, a cursor and a completion: before and after is right."""
    truncating = history(Event("want", "truncated", offset=88))
    rest = held(2, begin=88, entries=ENTRIES[1:2])
    assert faults(truncating, held(2)) == faults(truncating, rest) == []
    truncated = history(
        Event("want", "truncated", offset=88), Event("ack", "truncated", offset=88)
    )
    assert faults(truncated, rest) == []
    assert faults(truncated, held(2)) != []
    cutting = history(Event("want", "cut", offset=88))
    assert [bool(faults(cutting, held(count))) for count in (0, 1, 2, 3)] == [
        True,
        False,
        False,
        False,
    ]
    facts = {"begin": 64, "completed": 0}
    cut = history(
        Event("want", "cut", offset=88),
        Event("ack", "cut", offset=88, number=1, points=facts),
    )
    assert faults(cut, held(1)) == []
    assert faults(cut, held(2)) != []
    saving = history(Event("want", "saved", name="c", offset=88))
    assert faults(saving, held(2)) == faults(saving, held(2, cursors={"c": 88})) == []
    assert faults(saving, held(2, cursors={"c": 104})) != []
    completing = history(Event("want", "completed"))
    for completed in (False, True):
        assert faults(completing, held(3, completed=completed)) == []
    completed_now = history(Event("ack", "completed"))
    assert faults(completed_now, held(3)) != []


def test_an_image_without_slots_is_a_new_log_or_refused() -> None:
    """Nothing at all is a new log; a device with entries and no slots is refused."""
    task = LogTask(RealLogSubject(), "log explicit", 1)
    plan, timeline = task.record()
    judge = task.judge(plan, timeline)
    outcome, fresh = judge.judge(Image())
    assert fresh
    assert outcome.faults == ()
    log = bytearray()
    for event in timeline:
        if event.kind == "write":
            put(log, event.offset, event.data)
    refused, _ = judge.judge(Image(log))
    assert refused.points is None
