# SPDX-License-Identifier: MIT
"""
The demonstration kills its worker in the middle, and all counts are right all the same.

It needs plugins for files and for checkpoints, so one environment runs it.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import pyfaster
from pyfaster._cli import make_app
from pyfaster._demo import _counting, _survival, _wordcount
from pyfaster._registry import registry

pytestmark = pytest.mark.once

SEED = 5


def run(*arguments: str) -> Result:
    """Run `demo wordcount` in this process."""
    return CliRunner().invoke(make_app(registry), ["demo", "wordcount", *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some files with words."""
    dice = random.Random(SEED)
    place = tmp_path / "texts"
    place.mkdir()
    words = [f"word_{number}" for number in range(500)]
    for number in range(9):
        text = " ".join(dice.choices(words, k=3000))
        (place / f"f{number}.py").write_text(text)
    return place


@pytest.mark.parametrize("threads", ["1", "3"])
def test_every_count_is_right_after_the_kill(folder: Path, threads: str) -> None:
    """Sessions go on at their commit points: no word is lost, none counted twice."""
    result = run(str(folder), "--json", "--threads", threads, "--batch", "50")
    assert result.exit_code == 0, result.output
    survival = json.loads(result.stdout)["survival"]
    assert survival["correct"] is True
    assert survival["checkpoints"] >= 1
    sessions = survival["sessions"]
    assert len(sessions) == int(threads)
    assert sum(one["words"] for one in sessions) == 27_000
    assert 13_500 <= sum(one["committed"] for one in sessions) < 27_000
    for one in sessions:
        assert one["promised"] <= one["committed"] <= one["words"]


def test_people_see_what_survived(folder: Path) -> None:
    """There is a row for each session, the checkpoint, and the verdict."""
    said = run(str(folder)).stdout
    for words in (
        "counter 3",
        "survived",
        "recovered checkpoint",
        "after the kill, too",
    ):
        assert words in said


def test_nothing_is_needed_that_is_installed() -> None:
    """With both plugins there is nothing to say."""
    assert _survival.what_is_missing() is None


def test_no_words_survive_too(tmp_path: Path) -> None:
    """Where nothing is counted, nothing is lost."""
    data = json.loads(run(str(tmp_path), "--json").stdout)
    assert data["survival"]["correct"] is True


def test_a_worker_that_ends_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was not killed, but failed, does not count as a success."""
    monkeypatch.setattr(_survival, "WORKER", "pyfaster._demo._no_such_module")
    result = run(str(folder))
    assert isinstance(result.exception, pyfaster.FasterError)
    assert "ended before it was killed" in str(result.exception)


def test_a_double_count_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that goes on one word too early is told."""
    resumed = _counting.open_sessions

    def too_early(store: _counting.Counts, shares: int) -> list[_counting.CountSession]:
        sessions = resumed(store, shares)
        store.rmw("word_1", 1, merge="add")
        return sessions

    monkeypatch.setattr(_survival, "open_sessions", too_early)
    result = run(str(folder), "--json")
    data = json.loads(result.stdout)
    assert result.exit_code == 1
    expected: Counter[str] = Counter()
    for path in _wordcount.python_files(folder):
        expected.update(path.read_text().split())
    (wrong,) = data["survival"]["differences"]
    assert (wrong["word"], wrong["found"]) == ("word_1", expected["word_1"] + 1)
