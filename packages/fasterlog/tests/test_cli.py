# SPDX-License-Identifier: MIT
"""The subcommand `pyfaster log`: what it prints, and what it ends with."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import typer
from log_kit import crash, fill, flip, open_log, reopen, segment_of, slot
from typer.testing import CliRunner, Result

from pyfaster.errors import ConfigError, CorruptLogError
from pyfaster_fasterlog._plugin import pyfaster_cli

LOOKING = (["stat"], ["dump"], ["verify"], ["tail", "--from", "0"])


def run(words: list[str], place: Path, *more: str) -> Result:
    """Run a subcommand in this process."""
    app = typer.Typer()
    app.add_typer(pyfaster_cli()["log"], name="log")
    return CliRunner().invoke(app, ["log", *words, str(place), *more])


def said(words: list[str], place: Path, *more: str) -> tuple[int, Any]:
    """Run a subcommand with --json; give its status and what it wrote."""
    result = run(words, place, *more, "--json")
    return result.exit_code, json.loads(result.stdout)


def test_looking_changes_nothing(built: Path) -> None:
    """All of it ends with 0 and leaves every byte and every time as it was."""
    before = {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in built.rglob("*")
        if path.is_file()
    }
    for words in LOOKING:
        result = run(list(words), built)
        assert result.exit_code == 0, result.output
        assert result.stdout
    for path, (time, data) in before.items():
        assert (path.stat().st_mtime_ns, path.read_bytes()) == (time, data)


def test_stat_says_what_slots_say(built: Path) -> None:
    """The facts are those of the log."""
    status, facts = said(["stat"], built)
    assert status == 0
    with reopen(built) as log:
        assert facts["begin"] == log.begin == 64
        assert facts["number"] == log.committed.number
        assert facts["cursors"] == dict(log.cursors())
    assert facts["completed"] is True
    assert base64.b64decode(facts["cookie"]) == b"cookie"
    assert facts["slot_problems"] == []
    flip(slot(built, "slot-b"), 30)
    status, facts = said(["stat"], built)
    assert status == 1
    assert facts["slot_problems"][0]["name"] == "slot-b"


def test_dump_shows_entries(built: Path) -> None:
    """Entries are shown with address and payload; part of them when asked."""
    status, data = said(["dump"], built)
    found = [base64.b64decode(row["payload"]) for row in data["entries"]]
    assert status == 0
    assert list(map(int, found)) == list(range(10))
    lines = run(["dump"], built, "--width", "4").stdout.splitlines()
    assert len(lines) == 10
    assert lines[0] == "64 10 '    '..."
    third = data["entries"][3]["address"]
    _, some = said(["dump"], built, "--from", str(third), "--count", "2")
    assert some["entries"] == data["entries"][3:5]
    _, more = said(["dump"], built, "--commits")
    commits = [row["commit"] for row in more["entries"] if "commit" in row]
    assert base64.b64decode(commits[0]["cookie"]) == b"cookie"
    assert "commit" in run(["dump"], built, "--commits").stdout


def test_dump_of_a_damaged_entry(built: Path) -> None:
    """A damaged entry is an error that names its address."""
    _, data = said(["dump"], built)
    address = data["entries"][4]["address"]
    path, offset = segment_of(built, address)
    flip(path, offset + 20)
    result = run(["dump"], built)
    assert isinstance(result.exception, CorruptLogError)
    assert f"{address:,}" in str(result.exception)
    assert len(result.stdout.splitlines()) == 4


def test_verify_tells_what_is_wrong(built: Path) -> None:
    """A whole log is good; each damage is a finding, and the status is 1."""
    status, report = said(["verify"], built)
    assert (status, report["ok"], report["entries"]) == (0, True, 10)
    assert report["findings"] == []
    _, data = said(["dump"], built)
    address = data["entries"][4]["address"]
    path, offset = segment_of(built, address)
    whole = path.read_bytes()
    flip(path, offset + 20)
    status, report = said(["verify"], built)
    assert status == 1
    assert report["findings"][0]["where"] == f"address {address:,}"
    assert "damaged" in run(["verify"], built).stdout
    path.write_bytes(whole)
    slot(built, "slot-a").unlink()
    flip(slot(built, "slot-b"), 30)
    status, report = said(["verify"], built)
    assert status == 1
    assert {row["where"] for row in report["findings"]} >= {"slot-a", "slot-b"}


def test_verify_tells_of_a_missing_file(built: Path) -> None:
    """A segment that is gone is a finding."""
    path, _ = segment_of(built, 64)
    path.unlink()
    status, report = said(["verify"], built)
    assert status == 1
    assert any("missing" in row["what"] for row in report["findings"])


def test_verify_notes_what_a_crash_left(place: Path) -> None:
    """What lies behind the last commit is no damage."""
    log = open_log(place)
    fill(log, 10)
    log.commit()
    log.append_many([b"x" * 1000] * 300)
    crash(log)
    status, report = said(["verify"], place)
    assert status == 0
    assert report["entries"] == 10


def test_tail_ends(built: Path) -> None:
    """A tail shows what is committed as lines, and ends when the log is completed, or
    after so many entries."""
    lines = run(["tail"], built, "--from", "0", "--json").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [int(base64.b64decode(row["payload"])) for row in rows] == list(range(10))
    assert len(run(["tail"], built, "--from", "0", "--count", "3").stdout.split("\n"))
    assert run(["tail"], built).stdout == ""


def test_no_log_is_an_error(tmp_path: Path) -> None:
    """A directory without a log is a ConfigError, one that is not there status 2."""
    for words in LOOKING[:2]:
        result = run(list(words), tmp_path)
        assert isinstance(result.exception, ConfigError)
    assert run(["verify"], tmp_path).exit_code == 1
    assert run(["stat"], tmp_path / "nowhere").exit_code == 2
