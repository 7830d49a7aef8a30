# SPDX-License-Identifier: MIT
"""
The measuring process: it answers, says why it cannot, and fails visibly.
"""

from __future__ import annotations

import io
import json

import pytest

from benchmarks import worker
from benchmarks.cases import Case, Shape
from benchmarks.contenders import CONTENDERS, find
from benchmarks.contenders.base import UnavailableError
from benchmarks.driver import MeasuringError, Process, Roster, close_all, measure

SEED = 11
SHAPE = Shape(8, 8)


def start_of(contender: str) -> dict[str, object]:
    """
    Give the command that starts a contender's process.
    """
    return {
        "role": "contender",
        "contender": contender,
        "key_size": 8,
        "value_size": 8,
        "items": 100,
        "seed": SEED,
    }


def test_rounds_are_interleaved_and_all_are_kept() -> None:
    """
    Two processes give as many figures as there were rounds, each above zero.
    """
    print("seed", SEED)
    roster = Roster(["dict", "sqlite-memory"])
    processes = roster.start(SHAPE, 100, SEED, print)
    try:
        case = Case("F", "zipf", SHAPE, 1, 1)
        result = measure(case, processes, 50, 3, 0)
    finally:
        close_all(processes)
    assert set(result.series) == {"dict", "sqlite-memory"}
    assert all(len(series.rounds) == 3 for series in result.series.values())
    assert all(min(series.rounds) > 0 for series in result.series.values())
    assert set(roster.settings) == {"dict", "sqlite-memory"}


def test_a_failing_command_is_an_error_with_its_traceback() -> None:
    """
    What goes wrong in a process is told by the driver, with the reason.
    """
    case = Case("C", "no-such", SHAPE, 1, 1)
    process = Process("dict", start_of("dict"))
    try:
        with pytest.raises(MeasuringError, match="no such distribution"):
            measure(case, [process], 10, 1, 0)
    finally:
        process.close()


def test_an_unavailable_contender_is_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    A package that cannot be imported is a visible reason, not a missing row.
    """

    def refuse(command: dict[str, object], folder: object) -> worker.Role:
        raise UnavailableError("No module named 'plyvel'")

    monkeypatch.setattr(worker, "make_role", refuse)
    answers = io.StringIO()
    source = io.StringIO(json.dumps(start_of("plyvel")) + "\n")
    assert worker.serve(source, answers) == 0
    assert json.loads(answers.getvalue()) == {"unavailable": "No module named 'plyvel'"}


@pytest.mark.parametrize("name", sorted(CONTENDERS))
def test_every_contender_says_how_it_is_set_up(name: str) -> None:
    """
    Each contender's class can be found without its package, and has one line of text.
    """
    text = find(name).settings()
    assert text
    assert "\n" not in text
