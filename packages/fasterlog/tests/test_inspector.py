# SPDX-License-Identifier: MIT
"""What `pyfaster info` and `pyfaster verify` tell of a durable log."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from log_kit import fill, flip, open_log, segment_of
from typer.testing import CliRunner, Result

from pyfaster._cli import make_app
from pyfaster._registry import registry
from pyfaster_fasterlog._inspector import LogInspector


def run(verb: str, place: Path, *more: str) -> Result:
    """Run a verb in this process."""
    return CliRunner().invoke(make_app(registry), [verb, str(place), *more])


def said(verb: str, place: Path) -> tuple[int, Any]:
    """Run it with --json; give its status and what it wrote."""
    result = run(verb, place, "--json")
    return result.exit_code, json.loads(result.stdout)


def test_a_log_is_described(built: Path) -> None:
    """Addresses, commits and cursors are told, as `log stat` has them."""
    status, data = said("info", built)
    assert (status, data["kind"], data["problem"]) == (0, "log", "")
    stat = CliRunner().invoke(make_app(registry), ["log", "stat", str(built), "--json"])
    facts = json.loads(stat.stdout)
    del facts["directory"]
    assert data["contents"] == {"format": 1, **facts}
    assert data["contents"]["cursors"].keys() == {"billing"}
    assert data["segments"]["format"] == 1
    shown = run("info", built).stdout
    assert "cursors billing" in shown


def test_a_log_that_is_open_is_described(place: Path) -> None:
    """The process that has it is named, and nothing is in its way."""
    with open_log(place) as log:
        fill(log, 3, 3)
        log.commit()
        status, data = said("info", place)
        assert (status, data["lock"]["pid"]) == (0, os.getpid())
        assert data["contents"]["committed"] == log.committed.until
        fill(log, 3, 3)


def test_verify_knows_a_log(built: Path) -> None:
    """The verb for stores and logs gives what `log verify` gives, and its status."""
    status, data = said("verify", built)
    assert (status, data["kind"], data["ok"]) == (0, "log", True)
    own = CliRunner().invoke(make_app(registry), ["log", "verify", str(built)])
    assert run("verify", built).stdout == own.stdout


@pytest.mark.fault("F31")
def test_damage_is_found_by_both(built: Path) -> None:
    """A flipped bit of an entry makes both verbs end with 1."""
    flip(*segment_of(built, 64 + 24))
    status, data = said("verify", built)
    assert (status, data["ok"]) == (1, False)
    assert data["findings"]
    assert run("verify", built).exit_code == 1


@pytest.mark.parametrize(
    ("names", "held"),
    [(["log.lock"], True), (["commits"], True), (["log"], False), ([], False)],
)
def test_what_is_a_log(names: list[str], held: bool, tmp_path: Path) -> None:
    """Segments alone may be a store's."""
    for name in names:
        (tmp_path / name).mkdir()
    assert LogInspector().holds(tmp_path) == held
