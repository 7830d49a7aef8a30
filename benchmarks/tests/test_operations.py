# SPDX-License-Identifier: MIT
"""
Plans and the model: every contender gets the same work, wrong answers are noticed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.cases import WORKLOADS, Case, Shape, case_of, grid
from benchmarks.contenders.dict_store import Dict
from benchmarks.generators import Requests
from benchmarks.operations import BUMP, READ, WRITE, Model, plan
from benchmarks.rounds import Rounds, WrongAnswerError

SEED = 7
ITEMS = 500


def case(workload: str, batch: int = 1, threads: int = 1) -> Case:
    """
    Make a small case.
    """
    return Case(workload, "zipf", Shape(8, 100), batch, threads)


def rounds_of_dict(folder: Path, shape: Shape) -> Rounds:
    """
    Load a dict as a measuring process does it.
    """
    print("seed", SEED)
    command: dict[str, object] = {
        "contender": "dict",
        "key_size": shape.key_size,
        "value_size": shape.value_size,
        "items": ITEMS,
        "seed": SEED,
    }
    return Rounds(command, folder)


@pytest.mark.parametrize("workload", sorted(WORKLOADS))
def test_a_plan_has_the_workloads_mix(workload: str) -> None:
    """
    Shares of reads, writes and bumps are those of the workload.
    """
    print("seed", SEED)
    drawn = plan(case(workload), Requests(ITEMS, SEED), 100_000, 1, 0, ITEMS)
    shares = np.bincount(drawn.kinds, minlength=3) / 1_000
    mix = WORKLOADS[workload]
    assert abs(shares[READ] - mix.reads) < 1.0
    assert abs(shares[WRITE] - mix.writes - mix.inserts) < 1.0
    assert abs(shares[BUMP] - mix.bumps) < 1.0


def test_plans_are_the_same_in_every_process() -> None:
    """
    A plan follows from seed, turn and thread, and differs in each.
    """
    print("seed", SEED)
    first = plan(case("A"), Requests(ITEMS, SEED), 100, 3, 1, ITEMS)
    again = plan(case("A"), Requests(ITEMS, SEED), 100, 3, 1, ITEMS)
    other = plan(case("A"), Requests(ITEMS, SEED), 100, 3, 0, ITEMS)
    assert np.array_equal(first.numbers, again.numbers)
    assert np.array_equal(first.kinds, again.kinds)
    assert not np.array_equal(first.numbers, other.numbers)


def test_threads_insert_different_items() -> None:
    """
    Inserts of a round begin after the last item, and no two threads share one.
    """
    requests = Requests(ITEMS, SEED)
    parts = [plan(case("new"), requests, 50, 1, thread, ITEMS) for thread in (0, 1)]
    numbers = np.concatenate([part.numbers for part in parts])
    assert sorted(numbers.tolist()) == list(range(ITEMS, ITEMS + 100))
    model = Model(ITEMS)
    model.apply(parts)
    assert model.end == ITEMS + 100
    assert model.stamps[ITEMS + 60] == parts[1].stamps[10]


def test_the_model_counts_repeated_bumps() -> None:
    """
    An item that is bumped twice in a round goes up by two.
    """
    print("seed", SEED)
    drawn = plan(case("rmw"), Requests(ITEMS, SEED), 5_000, 1, 0, ITEMS)
    model = Model(ITEMS)
    before = model.stamps.copy()
    model.apply([drawn])
    expected = np.bincount(drawn.numbers, minlength=ITEMS).astype(np.uint64)
    assert np.array_equal(model.stamps - before, expected)
    assert expected.max() > 1


@pytest.mark.parametrize("shape", [Shape(8, 8), Shape(16, 100)])
@pytest.mark.parametrize("workload", sorted(WORKLOADS))
@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_right_store_passes_its_check(
    tmp_path: Path, shape: Shape, workload: str, batch: int, threads: int
) -> None:
    """
    Two rounds of every workload leave a dict as the model says.
    """
    role = rounds_of_dict(tmp_path, shape)
    for turn in (0, 1):
        measured = role.measure(
            Case(workload, "zipf", shape, batch, threads), 300, turn
        )
        assert measured.operations == 300 * threads


def test_a_lost_update_fails_the_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A store that forgets a batch of writes is found out.
    """
    role = rounds_of_dict(tmp_path, Shape(8, 8))
    monkeypatch.setattr(
        "benchmarks.contenders.dict_store.DictHandle.write_batch",
        lambda self, keys, values: None,
    )
    with pytest.raises(WrongAnswerError, match="dict: A-zipf"):
        role.measure(Case("A", "zipf", Shape(8, 8), 16, 1), 200, 0)


def test_an_absent_value_fails_the_round() -> None:
    """
    None among the values that were read is an error, not a zero.
    """
    contender = Dict(Shape(8, 8), Path())
    with pytest.raises(ValueError, match="1 of 2 keys were not found"):
        contender.stamps([5, None])


def test_cases_survive_the_pipe() -> None:
    """
    A case described to a process is the case that it measures; names are unique.
    """
    cases = grid(64)
    assert [case_of(one.to_json()) for one in cases] == cases
    assert len({one.name for one in cases}) == len(cases) == 128
