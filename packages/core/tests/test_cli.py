# SPDX-License-Identifier: MIT
"""The command: what it prints, its exit statuses, and the subcommands of plugins."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import pyfaster
from pyfaster._cli import OWN, make_app
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


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["bench", "--keys", "0"],
        ["bench", "--keys", "many"],
        ["doctor", "/no/such/folder"],
        ["info", "/no/such/folder"],
        ["verify"],
        ["demo", "wordcount", "/no/such/folder"],
        ["demo", "wordcount", "--threads", "0"],
    ],
)
def test_wrong_usage_has_status_2(arguments: list[str]) -> None:
    """What the command does not understand ends with status 2."""
    assert run(*arguments).exit_code == 2


def process(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with these variables besides."""
    return subprocess.run(
        [sys.executable, "-m", "pyfaster", *arguments],
        env={**os.environ, **variables},
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
    result = process("bench", "--memory", "lots")
    assert result.returncode == 1
    assert result.stderr.startswith("pyfaster: memory")
    assert "Traceback" not in result.stderr
    assert len(result.stderr) > 80  # more than a terminal shows in a line
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_an_error_of_the_system_is_one_line_too() -> None:
    """What the system refuses is told without a traceback, with the status 1."""
    program = (
        "import sys\n"
        "from pyfaster import _cli\n"
        "from pyfaster._cli import _contest\n"
        "def refused(*_):\n    raise OSError(28, 'No space left on device', 'x')\n"
        "_contest._timed = refused\n"
        "sys.argv = ['pyfaster', 'bench', '--keys', '10']\n"
        "_cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("pyfaster: ")
    assert "No space left on device" in line


@pytest.mark.parametrize("word", ["--version", "version"])
def test_the_version_is_said_in_both_ways(word: str) -> None:
    """The option and the verb begin with the same line, and end with 0."""
    done = process(word)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == f"pyfaster {pyfaster.__version__}"
    assert run(word).stdout == done.stdout


def test_every_verb_explains_itself() -> None:
    """`--help` of each verb of the core ends with 0 and has its first sentence."""
    listed = run("--help").stdout
    for name in OWN:
        result = run(name, "--help")
        assert result.exit_code == 0
        assert f"pyfaster {name}" in result.stdout
        assert name in listed


def test_a_verb_of_the_core_loads_no_plugin_and_no_other_verb() -> None:
    """What another verb needs is not imported, nor what a plugin brings."""
    program = (
        "import sys; sys.argv = ['pyfaster', *sys.argv[1:]]\n"
        "from pyfaster._cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print(*sorted(sys.modules), file=sys.stderr)\n"
    )
    barred = {"version": {"pydantic", "rich", "pluggy", "numpy"}, "info": {"numpy"}}
    for verb, names in barred.items():
        done = subprocess.run(
            [sys.executable, "-c", program, verb],
            capture_output=True,
            text=True,
            check=False,
        )
        modules = set(done.stderr.splitlines()[-1].split())
        others = {f"pyfaster._cli.{name}" for name in ("_contest", "_demo", "_stats")}
        assert modules & (names | others) == set()
        if verb == "version":
            assert [name for name in modules if name.startswith("pyfaster_")] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(shell: str, tmp_path: Path) -> None:
    """Each shell is shown a script, can have it installed, and is given the verbs."""
    simple = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = process("--show-completion", shell, **simple)
    assert shown.returncode == 0
    assert "_PYFASTER_COMPLETE" in shown.stdout
    assert f"complete_{shell}" in shown.stdout
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config")}
    installed = process("--install-completion", shell, **simple, **home)
    assert installed.returncode == 0, installed.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("_PYFASTER_COMPLETE" in path.read_text() for path in written)
    asked = {
        "_PYFASTER_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": "pyfaster do",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "COMP_WORDS": "pyfaster do",
        "COMP_CWORD": "1",
    }
    given = process(**asked)
    assert "doctor" in given.stdout
    assert "bench" not in given.stdout


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="no pipes as Unix has them")
@pytest.mark.parametrize("verb", ["version", "plugins", "--help"])
def test_a_reader_that_goes_ends_the_command_quietly(verb: str) -> None:
    """Nothing is said when nobody reads the output any more."""
    with subprocess.Popen(
        [sys.executable, "-m", "pyfaster", verb],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.close()
        said = command.stderr.read()
    assert (command.returncode, said) == (1, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal there")
def test_an_interrupt_ends_with_130() -> None:
    """Ctrl-C in the middle of a verb ends it with the status that shells know."""
    program = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # may be ignored\n"
        "from pyfaster import _cli\n"
        "from pyfaster._cli import _contest\n"
        "def interrupted(*_):\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "_contest._timed = interrupted\n"
        "sys.argv = ['pyfaster', 'bench', '--keys', '10']\n"
        "_cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["stats", "no verb"])
def test_what_the_output_cannot_say_is_no_traceback(verb: str) -> None:
    """Bars and other pictures are "?" where the encoding has no such letters."""
    program = (
        "import sys\n"
        "from pyfaster import _cli\n"
        "_cli.make_app = lambda *_, **__: lambda **_: print('\u2588 \u2591 x')\n"
        f"sys.argv = ['pyfaster', {verb!r}]\n"
        "_cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "? ? x\n", "")


def test_colours_are_left_out_when_asked() -> None:
    """With NO_COLOR nothing steers the terminal, not even where colours are forced."""
    coloured = process("bench", "--memory", "lots", FORCE_COLOR="1", NO_COLOR="")
    plain = process("bench", "--memory", "lots", FORCE_COLOR="1", NO_COLOR="1")
    red = re.compile(r"\x1b\[[0-9;]*m")
    assert red.search(coloured.stderr)
    assert "\x1b[31m" not in plain.stderr
    assert red.sub("", coloured.stderr) == red.sub("", plain.stderr)
