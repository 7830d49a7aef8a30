# SPDX-License-Identifier: MIT
"""The demonstration counts right, and would say so if it did not."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import pyfaster
from pyfaster._cli import make_app
from pyfaster._demo import _survival, _wordcount
from pyfaster._registry import registry

SEED = 7

MISSING = "There is no plugin for checkpoints here."


@pytest.fixture(autouse=True)
def without_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is installed, nothing is killed; that has its own tests."""
    monkeypatch.setattr(_survival, "what_is_missing", lambda: MISSING)


def run(*arguments: str) -> Result:
    """Run `demo wordcount` in this process."""
    return CliRunner().invoke(make_app(registry), ["demo", "wordcount", *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Python files with words of every kind, below a folder and its folders."""
    dice = random.Random(SEED)
    words = [f"name_{n}" for n in range(300)] + ["self", "def", "été", "_", "x1"]
    for number in range(12):
        place = tmp_path / f"part{number % 3}"
        place.mkdir(exist_ok=True)
        text = " ".join(dice.choices(words, k=400))
        (place / f"f{number}.py").write_text(f"{text} 12 3.5 'q'\n", "utf-8")
    (tmp_path / "broken.py").write_bytes(b"\xff\xfe caf\xe9 self\n")
    (tmp_path / "ignored.txt").write_text("self self self")
    return tmp_path


def expected(folder: Path) -> Counter[str]:
    """The words of the folder, counted in another way than the demo's."""
    counts: Counter[str] = Counter()
    for path in folder.rglob("*.py"):
        text = path.read_text("utf-8", errors="replace")
        word = ""
        for letter in f"{text} ":
            if letter == "_" or (letter.isalnum() and (word or not letter.isdigit())):
                word += letter
                continue
            if word and not letter.isalnum():
                counts[word] += 1
            word = ""
    return counts


@pytest.mark.parametrize("options", [[], ["--threads", "1"], ["--batch", "1"]])
def test_every_count_is_right(folder: Path, options: list[str]) -> None:
    """With any number of threads and any batch, both ways count every word."""
    result = run(str(folder), "--json", *options)
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    counts = expected(folder)
    assert data["correct"] is True
    assert data["files"] == 13
    assert data["words"] == counts.total()
    assert data["distinct"] == len(counts)
    assert [way["name"] for way in data["ways"]] == ["one by one", "in batches"]
    for way in data["ways"]:
        assert way["operations"] == counts.total()
        assert way["differences"] == []
        top = way["top"]
        assert list(top.values()) == [n for _, n in counts.most_common(20)]
        assert all(counts[word] == count for word, count in top.items())


def test_people_see_bars_and_rates(folder: Path) -> None:
    """Without --json there are bars, operations per second, memory and the verdict."""
    result = run(str(folder))
    assert result.exit_code == 0
    for said in ("█", "operations/s", "MiB", "every count of both ways equals"):
        assert said in result.stdout


def test_what_is_missing_is_said(folder: Path) -> None:
    """Without checkpoints the two ways are counted, and what to install is said."""
    result = run(str(folder))
    assert result.exit_code == 0
    assert MISSING in " ".join(result.stdout.split())
    data = json.loads(run(str(folder), "--json").stdout)
    assert (data["survival"], data["missing"]) == (None, MISSING)
    assert data["correct"] is True


def survived(committed: int, found: int) -> _survival.Survival:
    """A count after a kill, with one session and one word."""
    wrong = () if found == 2 else (_wordcount.Difference("after", "self", 2, found),)
    session = _survival.Resumed("counter 0", words=9, promised=5, committed=committed)
    return _survival.Survival(3, "0123-4567", (session,), 0.25, wrong)


@pytest.mark.parametrize(
    ("survival", "said"),
    [
        (survived(5, 2), "every count is right after the kill"),
        (survived(4, 2), "counter 0 lost what was promised"),
        (survived(5, 3), "after: self: expected 2, found 3"),
    ],
)
def test_what_a_kill_took_is_told(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    survival: _survival.Survival,
    said: str,
) -> None:
    """Points and counts are shown; a lost promise and a wrong count end with 1."""
    monkeypatch.setattr(_survival, "what_is_missing", lambda: None)
    monkeypatch.setattr(_survival, "survive", lambda *arguments: survival)
    result = run(str(folder))
    assert said in result.stdout
    assert "killed by SIGKILL after checkpoint 3" in " ".join(result.stdout.split())
    assert "0123-4567" in result.stdout
    right = said.startswith("every")
    assert result.exit_code == (0 if right else 1)
    data = json.loads(run(str(folder), "--json").stdout)
    assert (data["correct"], data["survival"]["correct"]) == (right, right)


def test_a_wrong_count_is_found_and_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A count that differs by one ends with status 1, and the word is shown."""

    def count(session: pyfaster.Session[str, int], words: Sequence[str]) -> None:
        session.rmw_many(words, [1] * len(words), merge="add")
        session.update("self", lambda old: old + 1, initial=0)

    monkeypatch.setattr(_wordcount, "count_in_batches", count)
    result = run(str(folder), "--threads", "1", "--batch", "1000000")
    counts = expected(folder)
    assert result.exit_code == 1
    assert "1 counts are wrong" in result.stdout
    wrong = f"in batches: self: expected {counts['self']}, found {counts['self'] + 1}"
    assert wrong in result.stdout
    data = json.loads(
        run(str(folder), "--threads", "1", "--batch", "1000000", "--json").stdout
    )
    assert data["correct"] is False


def test_a_lost_word_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that the store does not have, or has without need, is a difference."""

    def count(session: pyfaster.Session[str, int], words: Sequence[str]) -> None:
        for word in words:
            session.rmw("other" if word == "self" else word, 1, "add")

    monkeypatch.setattr(_wordcount, "count_singly", count)
    data = json.loads(run(str(folder), "--json").stdout)
    (way,) = [way for way in data["ways"] if way["differences"]]
    found = {one["word"]: (one["expected"], one["found"]) for one in way["differences"]}
    total = expected(folder)["self"]
    assert found == {"self": (total, None), "other": (None, total)}


def test_an_empty_folder_is_no_error(tmp_path: Path) -> None:
    """Nothing to count gives zeros, and no division by zero."""
    data = json.loads(run(str(tmp_path), "--json").stdout)
    assert (data["files"], data["words"], data["correct"]) == (0, 0, True)
    assert run(str(tmp_path)).exit_code == 0


def test_progress_reaches_the_end(folder: Path) -> None:
    """Each thing that is done is told to its end, and never beyond."""
    heard: dict[str, list[tuple[int, int]]] = {}

    def notice(what: str, done: int, total: int) -> None:
        heard.setdefault(what, []).append((done, total))

    result: Any = _wordcount.wordcount(folder, threads=3, batch=50, progress=notice)
    assert set(heard) == {"reading files", "one by one", "in batches"}
    for what, notices in heard.items():
        total = 13 if what == "reading files" else result.words
        assert max(notices) == (total, total)


def test_the_default_is_the_standard_library() -> None:
    """Without DIR, the modules of Python itself are counted, and no installed ones."""
    files = _wordcount.python_files(_wordcount.standard_library())
    names = {path.name for path in files}
    assert {"argparse.py", "dataclasses.py", "threading.py"} <= names
    assert not [path for path in files if "site-packages" in path.parts]
