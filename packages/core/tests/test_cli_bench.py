# SPDX-License-Identifier: MIT
"""`pyfaster bench`: the three do the same work, and would be caught if they did not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import pyfaster
from pyfaster._cli import _common, _contest, _contestants, make_app
from pyfaster._cli._contest import Outcome, Plan
from pyfaster._registry import registry

SMALL = ("--keys", "200", "--operations", "400", "--batch", "64")


def run(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(make_app(registry), ["bench", *arguments])


def said(*arguments: str) -> tuple[int, Any]:
    """Run it with --json; give its status and what it wrote."""
    result = run(*arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.parametrize("threads", [1, 3])
def test_every_phase_is_measured_for_each(threads: int) -> None:
    """Each phase has a time of each for each round, and rates and ratios of these."""
    status, data = said(*SMALL, "--rounds", "2", "--threads", str(threads))
    assert (status, data["ok"], data["wrong"]) == (0, True, [])
    assert list(data["phases"]) == list(_contestants.PHASES)
    for name, phase in data["phases"].items():
        assert phase["operations"] == (200 if name == "fill" else 400)
        assert phase["seconds"].keys() == {"pyfaster", "dict", "sqlite3"}
        assert all(len(times) == 2 for times in phase["seconds"].values())
        assert all(rate > 0 for rate in phase["rates"].values())
        assert phase["ratios"].keys() == {"dict", "sqlite3"}
    assert data["plan"]["threads"] == threads


def test_the_store_did_what_was_counted() -> None:
    """Its own figures have exactly the operations of one round, by kind."""
    _, data = said(*SMALL, "--rounds", "1")
    figures = data["figures"]
    assert figures["upserts"] == 200 + 400 + 400
    assert figures["rmws"] == 400
    assert figures["reads_hit"] == 400 + 400
    assert figures["reads_missed"] == 0


def test_people_see_a_table() -> None:
    """Each phase is a line, with what the numbers mean below."""
    shown = run(*SMALL, "--rounds", "1").stdout
    assert all(phase in shown for phase in _contestants.PHASES)
    assert "times as fast" in shown
    assert "checkpoint" not in shown


def test_who_holds_something_else_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that loses a single update makes the command end with 1, by name."""
    right = _contestants.Store.contents

    def loses(self: _contestants.Store, keys: int) -> list[int]:
        found = right(self, keys)
        found[7] -= 1
        return found

    monkeypatch.setattr(_contestants.Store, "contents", loses)
    status, data = said(*SMALL, "--rounds", "1")
    assert (status, data["ok"]) == (1, False)
    assert data["wrong"] == ["pyfaster in round 1"]
    shown = run(*SMALL, "--rounds", "1")
    assert (shown.exit_code, "pyfaster in round 1" in shown.stdout) == (1, True)


def test_a_thread_that_fails_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in one of several threads ends the command as it would in one."""

    def fails(*_: object) -> None:
        raise pyfaster.ConfigError("this thread fails")

    monkeypatch.setattr(_contestants.Store, "_do", fails)
    result = run(*SMALL, "--threads", "3")
    assert isinstance(result.exception, pyfaster.ConfigError)


def test_medians_are_told() -> None:
    """A round that was disturbed does not count; who has no phase has no ratio."""
    outcome = Outcome()
    outcome.counts["read"] = 100
    outcome.seconds["read"] = {"pyfaster": [1.0, 50.0, 2.0], "dict": [4.0, 4.0, 4.0]}
    assert outcome.rate("read", "pyfaster") == 50.0
    assert outcome.ratio("read", "dict") == 2.0
    assert outcome.ratio("read", "sqlite3") is None


def test_everyone_begins_once() -> None:
    """In three phases in a row each of the three begins once, and all take part."""
    turns = [_contest._turn(["a", "b", "c"], by) for by in range(3)]
    assert [turn[0] for turn in turns] == ["a", "b", "c"]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in turns)


def test_a_seed_chooses_the_keys() -> None:
    """The same seed gives the same keys; filling has each key once."""
    plan = Plan(50, 80, 10, 1, 1, 7, "", "file")
    first = _contest._keys(plan, "read", _contest.random.Random(7))
    again = _contest._keys(plan, "read", _contest.random.Random(7))
    assert first == again
    fill = _contest._keys(plan, "fill", _contest.random.Random(7))
    assert sorted(fill) == list(range(50))


def test_a_directory_is_left_as_it_was(tmp_path: Path) -> None:
    """What is made there is gone at the end, even when a device is missing."""
    result = run(str(tmp_path), *SMALL, "--device", "no-such-device")
    assert isinstance(result.exception, pyfaster.FasterError)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle removes what was made; the status is that of shells."""

    def interrupted(place: Path, *_: object) -> None:
        (place / "half").write_text("half done")
        raise KeyboardInterrupt

    monkeypatch.setattr(_contest, "Store", interrupted)
    assert run(str(tmp_path), *SMALL).exit_code == 130
    assert list(tmp_path.iterdir()) == []


def test_a_budget_that_makes_no_sense_is_refused() -> None:
    """It is refused before anything runs, with what would be a size."""
    with pytest.raises(pyfaster.ConfigError, match="lots"):
        _common.budget_of("lots")
    assert _common.budget_of("0") == 0
    assert _common.budget_of("64MiB") == 64 << 20
