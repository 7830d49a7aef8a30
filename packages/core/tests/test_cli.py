# SPDX-License-Identifier: MIT
"""The command: what it prints, its exit statuses, and the subcommands of plugins."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import pyfaster
from pyfaster._cli import make_app
from pyfaster._registry import registry


def run(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(make_app(registry), list(arguments))


class Plugin:
    """Brings subcommands, or what a test gives as such."""

    def __init__(self, commands: Any) -> None:
        self.commands = commands

    @pyfaster.hookimpl
    def pyfaster_cli(self) -> Any:
        """Give the subcommands."""
        return self.commands


@pytest.fixture
def plugged(request: pytest.FixtureRequest) -> Iterator[None]:
    """A plugin that brings the subcommands of the test's parameter."""
    pyfaster.register(Plugin(request.param), name="cli-plugin")
    yield
    pyfaster.unregister("cli-plugin")


def test_version_as_text_and_json() -> None:
    """`version` shows the same facts in both forms."""
    text, data = run("version"), run("version", "--json")
    assert (text.exit_code, data.exit_code) == (0, 0)
    facts = json.loads(data.stdout)
    assert facts["pyfaster"] == pyfaster.__version__
    assert text.stdout.splitlines() == [f"{k} {v}" for k, v in facts.items()]


def test_plugins_lists_the_core() -> None:
    """`plugins` lists at least the core, with its version and what it offers."""
    data = json.loads(run("plugins", "--json").stdout)
    core = data["plugins"][0]
    assert core["name"] == core["distribution"] == "pyfaster"
    assert core["version"] == pyfaster.__version__
    assert "utf8" in core["offers"]["codecs"]
    assert core["offers"]["hashes"] == ["xxh3"]
    shown = run("plugins").stdout
    assert pyfaster.__version__ in shown
    assert "bytes[n]" in shown


def hello(name: str) -> None:
    """Greet."""
    typer.echo(f"hello {name}")


@pytest.mark.parametrize("plugged", [{"hello": hello}], indirect=True)
@pytest.mark.usefixtures("plugged")
def test_a_plugin_brings_a_subcommand() -> None:
    """A function that a plugin gives is a subcommand, listed with its plugin."""
    result = run("hello", "world")
    assert (result.exit_code, result.stdout) == (0, "hello world\n")
    assert "hello" in run("--help").stdout
    rows = json.loads(run("plugins", "--json").stdout)["plugins"]
    (row,) = [row for row in rows if row["name"] == "cli-plugin"]
    assert row["offers"]["commands"] == ["hello"]
    assert (row["source"], row["errors"]) == ("registered", [])


@pytest.mark.parametrize(
    ("plugged", "said"),
    [
        ({"version": hello}, "'version' is claimed by"),
        ({"hello": 5}, "pyfaster_cli gave 5"),
        ("hello", "not a mapping"),
    ],
    indirect=["plugged"],
)
@pytest.mark.usefixtures("plugged")
def test_a_wrong_subcommand_is_reported(said: str) -> None:
    """A plugin with a wrong answer is named by `plugins`, whose status is then 1."""
    result = run("plugins", "--json")
    assert result.exit_code == 1
    rows = json.loads(result.stdout)["plugins"]
    (errors,) = [row["errors"] for row in rows if row["name"] == "cli-plugin"]
    assert any(said in error for error in errors)
    assert run("plugins").exit_code == 1
    assert run("version").exit_code == 0


def test_stats_shows_a_workload() -> None:
    """`stats` counts exactly the operations that it ran, by kind."""
    result = run("stats", "--keys", "1000", "--operations", "4000", "--json")
    assert result.exit_code == 0
    figures = json.loads(result.stdout)
    assert figures["upserts"] == 1000 + 1000
    assert figures["reads_hit"] + figures["reads_missed"] == 1000
    assert figures["rmws"] == 1000
    assert 0 < figures["live_keys"] <= 1000
    text = run("stats", "--keys", "1000", "--operations", "4000")
    assert "index_buckets" in text.stdout
    again = run("stats", "--keys", "1000", "--operations", "4000", "--json")
    assert json.loads(again.stdout)["live_keys"] == figures["live_keys"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["stats", "--keys", "0"],
        ["stats", "--keys", "many"],
        ["demo", "wordcount", "/no/such/folder"],
        ["demo", "wordcount", "--threads", "0"],
    ],
)
def test_wrong_usage_has_status_2(arguments: list[str]) -> None:
    """What the command does not understand ends with status 2."""
    assert run(*arguments).exit_code == 2


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pyfaster", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_module_runs_as_a_command(tmp_path: Path) -> None:
    """`python -m pyfaster` is the command, with its statuses, JSON on stdout only."""
    (tmp_path / "one.py").write_text("a = a + b\n")
    counted = process("demo", "wordcount", str(tmp_path), "--json")
    assert counted.returncode == 0
    assert json.loads(counted.stdout)["words"] == 3
    assert process("nonsense").returncode == 2


def test_an_error_is_one_line_and_status_1() -> None:
    """An error of pyfaster's is told on stderr without a traceback."""
    result = process("stats", "--memory", "lots")
    assert result.returncode == 1
    assert result.stderr.startswith("pyfaster: memory")
    assert "Traceback" not in result.stderr
    assert len(result.stderr) > 80  # more than a terminal shows in a line
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
