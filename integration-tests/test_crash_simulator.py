# SPDX-License-Identifier: MIT
"""
The crash simulator finds what it is there to find, and nothing in the store.

A small store in Python shows that the simulator is right before the store's own states
are judged; then each known way to break the store is shown to be seen.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crash import toy
from crash.explore import Explorer
from crash.judge import Judge
from crash.mutants import MUTANTS, BrokenSubject
from crash.real import RealSubject
from crash.subject import Refused
from crash.tasks import Task, fields, found_again, replay
from crash.toy import ToySubject
from crash.workloads import WORKLOADS, Actor, record, rounds

pytestmark = pytest.mark.once

#: States of each workload that this suite judges; `python -m crash` judges more.
STATES = 60


def toy_run(mutant: str, seed: int) -> Iterator[str]:
    """What is wrong with a toy, in its run or in the states that crashes may leave."""
    workload = WORKLOADS["lives" if mutant != "sync again" else "unsynced"]
    subject = ToySubject(mutant)
    plan = workload.plan(seed)
    failing = toy.Failing("write", 3) if mutant in ("", "gap") else None
    actor = Actor(subject, plan, seed, failing=failing, rules=workload.rules)
    try:
        rounds("", "", "", updates=70, during=3)(actor)
        rounds("", updates=5)(actor)
        workload.play(actor)
        timeline = actor.timeline()
    except (Refused, OSError) as error:
        yield f"in the run: {error}"
        return
    judge = Judge(subject, plan, kind="")
    every = 4 if mutant else 16
    lossy = workload.lossy
    explorer = Explorer(judge, timeline, seed=seed, lossy=lossy, depth_every=every)
    for violation in explorer.run(0.1, most=1).violations:
        yield from violation.faults


@pytest.mark.parametrize("seed", range(2))
def test_a_store_that_keeps_its_promises_is_found_right(seed: int) -> None:
    """Nothing is found in the toy, also when a write of it failed and was repeated."""
    assert list(toy_run("", seed)) == []


@pytest.mark.parametrize("mutant", toy.MUTANTS)
def test_each_broken_promise_is_found(mutant: str) -> None:
    """Each step that the toy leaves out is found within a few seeds."""
    assert any(list(toy_run(mutant, seed)) for seed in range(4))


@pytest.mark.parametrize("name", WORKLOADS)
def test_no_state_of_the_store_breaks_a_promise(name: str) -> None:
    """Of each workload some states, from all over the run, recover as they must."""
    lines = list(Task(RealSubject(), name, 11).run(STATES))
    assert [line for line in lines if line.startswith("replay:")] == []
    assert int(fields(lines[-1])["states"]) >= 30


@pytest.mark.fault("F29")
@pytest.mark.fault("F30")
@pytest.mark.parametrize("name", ["lives", "three sessions"])
def test_a_recovery_that_is_cut_off_takes_nothing_back(name: str) -> None:
    """What one recovery gave, the next one gives, wherever the first was cut off."""
    task = Task(RealSubject(), name, 3)
    plan, timeline = record(task.subject, task.workload, task.seed)
    explorer = task.explorer(task.judge(plan, timeline), timeline, depth_every=1)
    tally = explorer.run(0.0, turns=explorer.some(6))
    assert tally.violations == []
    assert tally.deep >= 20


@pytest.mark.fault("F17")
def test_a_device_that_lies_gives_no_wrong_content() -> None:
    """When syncs do nothing, updates may be lost; what is there is still a prefix."""
    task = Task(RealSubject(), "lying", 2)
    plan, timeline = record(task.subject, task.workload, task.seed)
    judge = task.judge(plan, timeline)
    explorer = task.explorer(judge, timeline)
    assert explorer.run(0.02, turns=explorer.some(60)).violations == []
    found = judge.outcomes().values()
    assert any(outcome.points is None for outcome in found)
    assert any(outcome.points for outcome in found)


@pytest.mark.parametrize("name", MUTANTS)
def test_each_mutant_of_the_store_is_found(name: str) -> None:
    """Each step that is left out between the store and its files is found."""
    mutant = MUTANTS[name]
    for seed in range(mutant.seed, mutant.seed + 6):
        task = Task(BrokenSubject(name), mutant.workload, seed, mutant.sector)
        try:
            lines = list(task.run(mutant.states, most=1))
        except Exception as error:  # noqa: BLE001 - found in the run itself
            lines = [f"replay: {error}"]
        if any(line.startswith("replay:") for line in lines):
            return
    pytest.fail(f"{mutant.means}, and nothing was found")


def test_a_line_judges_its_state_again() -> None:
    """The line of a violation is enough to find the same violation."""
    subject = BrokenSubject("no directory sync")
    line, faults = found_again(lambda *about: Task(subject, *about), "snapshot", 1, 500)
    assert faults
    assert faults[0].partition(":")[0] in line
    whole = line.replace("trace=", "was=")
    assert replay(lambda *about: Task(RealSubject(), *about), whole) == []


@pytest.mark.parametrize("name", ["evicted", "varlen", "while writing"])
def test_images_that_count_as_one_have_one_outcome(name: str) -> None:
    """Recovering each image gives what classes of images give, for some states."""
    task = Task(RealSubject(), name, 6)
    plan, timeline = record(task.subject, task.workload, task.seed)
    short, full = (
        task.judge(plan, timeline, classes=classes) for classes in (True, False)
    )
    for judge in (short, full):
        explorer = task.explorer(judge, timeline)
        turns = explorer.some(12)
        found = explorer.run(0.02, deep=False, turns=turns)
        assert found.violations == []
    assert short.outcomes() == full.outcomes()
    assert short.recoveries < full.recoveries


def test_runner_sums_up_and_says_so_by_its_status() -> None:
    """The command judges as many states as asked for, and fails where one is wrong."""
    command = [sys.executable, "-m", "crash", "--subject", "toy", "--states", "300"]
    where = Path(__file__).parent
    words = ["--workload", "failing", "--workers", "2"]
    good = subprocess.run(
        [*command, *words], cwd=where, capture_output=True, text=True, check=False
    )
    assert good.returncode == 0, good.stdout + good.stderr
    total = fields(good.stdout.splitlines()[-1])
    assert int(total["states"]) >= 300
    assert total["violations"] == "0"
    words += ["--mutant", "no directory sync"]
    bad = subprocess.run(
        [*command, *words], cwd=where, capture_output=True, text=True, check=False
    )
    assert bad.returncode == 1, bad.stdout + bad.stderr
    assert "replay: seed=" in bad.stdout
