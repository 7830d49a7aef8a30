# SPDX-License-Identifier: MIT
"""
The demonstration kills the producers of a log, and the copy is right all the same.

It needs the plugins for files and for the log, so one environment runs it.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import pyfaster
from pyfaster._cli import make_app
from pyfaster._demo import _copying
from pyfaster._registry import registry

pytestmark = pytest.mark.once

SEED = 5


def run(*arguments: str) -> Result:
    """Run `demo log` in this process."""
    return CliRunner().invoke(make_app(registry), ["demo", "log", *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some files with lines: long, short, empty and without an end."""
    dice = random.Random(SEED)
    place = tmp_path / "texts"
    for number in range(6):
        (place / f"d{number % 2}").mkdir(parents=True, exist_ok=True)
        lines = [b"x" * dice.randrange(90) + b"%d\n" % n for n in range(700)]
        lines[dice.randrange(700)] = b"long " * 30_000 + b"\r\n"
        path = place / f"d{number % 2}" / f"f{number}.txt"
        path.write_bytes(b"".join(lines) + b"\n\n\0no end")
    (place / "empty").write_bytes(b"")
    return place


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_acknowledged_is_lost_or_doubled(folder: Path, seed: int) -> None:
    """Each producer finds at least what was acknowledged; the copy is exact."""
    words = ("--json", "--kills", "4", "--batch", "20", "--seed", str(seed))
    result = run(str(folder), *words)
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["correct"] is True
    assert data["kills"] == 4
    assert data["followed"] == data["entries"] > 4200
    lives = data["lives"]
    assert [life["killed"] for life in lives] == [True] * 4 + [False]
    for life, after in pairwise(lives):
        assert life["found"] <= life["acknowledged"] <= after["found"]
    assert lives[-1]["acknowledged"] == data["entries"]


def test_people_see_every_producer(folder: Path) -> None:
    """There is a row for each producer, and the verdict."""
    said = run(str(folder), "--kills", "2").stdout
    for words in ("killed by SIGKILL", "completed the log", "nothing is there twice"):
        assert words in said


def test_nothing_to_copy_is_copied_too(tmp_path: Path) -> None:
    """An empty folder gives an empty log, and nobody is killed."""
    data = json.loads(run(str(tmp_path), "--json").stdout)
    assert (data["correct"], data["entries"], data["kills"]) == (True, 0, 0)


def test_a_producer_that_ends_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was not killed, but failed, does not count as a success."""
    monkeypatch.setattr(_copying, "WORKER", "pyfaster._demo._no_such_module")
    result = run(str(folder))
    assert isinstance(result.exception, pyfaster.FasterError)
    assert "could not be made" in str(result.exception)


DAMAGES: dict[str, Callable[[list[bytes]], list[bytes] | None]] = {
    "line 3 is": lambda lines: [*lines[:2], b"other\n", *lines[3:]],
    "lines, expected": lambda lines: lines[:-1],
    "is missing": lambda lines: None,
}


@pytest.mark.parametrize("said", DAMAGES)
def test_a_copy_that_is_wrong_is_found(
    said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is another, a lost line and a lost file are each told."""
    follow = _copying._Copying._follow

    def damaging(copying: _copying._Copying, process: subprocess.Popen[str]) -> None:
        follow(copying, process)
        path = copying.made / "copy" / "d1" / "f3.txt"
        lines = DAMAGES[said](path.read_bytes().splitlines(keepends=True))
        if lines is None:
            path.unlink()
        else:
            path.write_bytes(b"".join(lines))

    monkeypatch.setattr(_copying._Copying, "_follow", damaging)
    result = run(str(folder), "--json", "--kills", "1")
    assert result.exit_code == 1
    (sentence,) = json.loads(result.stdout)["differences"]
    assert "f3.txt" in sentence
    assert said in sentence
