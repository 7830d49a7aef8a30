# SPDX-License-Identifier: MIT
"""`pyfaster info` and `pyfaster verify`: what a directory holds, told by its files."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import pyfaster
from pyfaster._cli import _directories, make_app
from pyfaster._cli._directories import Holder
from pyfaster._home import Directory
from pyfaster._registry import registry
from pyfaster.errors import ConfigError, CorruptLogError

LOCKS = """\
1: FLOCK  ADVISORY  WRITE 4711 fe:00:123 0 EOF
1: -> FLOCK  ADVISORY  WRITE 4712 fe:00:123 0 EOF
2: POSIX  ADVISORY  WRITE 4713 fe:00:124 0 EOF
3: FLOCK  ADVISORY  WRITE -1 fe:00:125 0 EOF
4: FLOCK
"""


def run(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(make_app(registry), list(arguments))


def bare(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process that loads no plugin."""
    return subprocess.run(
        [sys.executable, "-m", "pyfaster", *arguments],
        env={**os.environ, "PYFASTER_PLUGINS": ""},
        capture_output=True,
        text=True,
        check=False,
    )


class Shoebox:
    """Knows directories that have a file of its name."""

    kind = "shoebox"
    broken: Exception | None = None
    lost = False
    whole = True

    def holds(self, directory: Path, /) -> bool:
        """Look for the file."""
        if self.lost:
            raise RuntimeError("no shoes here")
        return (directory / self.kind).exists()

    def describe(self, directory: Path, /) -> Mapping[str, object]:
        """Tell of every kind of value."""
        if self.broken is not None:
            raise self.broken
        return {
            "size": 12345,
            "empty": None,
            "open": False,
            "laces": {"left": "red", "right": "\x1b[31mred"},
            "owners": {f"owner-{number}": number for number in range(25)},
            "colours": ["red", "brown"],
            "nothing": {},
        }

    def verify(self, directory: Path, /, *, as_json: bool) -> bool:
        """Say what the test wants."""
        typer.echo(json.dumps({"ok": self.whole}) if as_json else "looked")
        return self.whole

    @pyfaster.hookimpl
    def pyfaster_inspectors(self) -> list[Any]:
        """Offer itself."""
        return [self]


@pytest.fixture
def shoebox(tmp_path: Path) -> Iterator[Shoebox]:
    """A directory that a plugin of the test knows, and that plugin."""
    (tmp_path / "shoebox").write_text("shoes")
    plugin = Shoebox()
    pyfaster.register(plugin, name="shoebox")
    yield plugin
    pyfaster.unregister("shoebox")


@pytest.mark.usefixtures("shoebox")
def test_a_plugin_tells_what_it_knows(tmp_path: Path) -> None:
    """What its inspector describes is in the object and in the table, steering nothing;
    many of a kind are only counted for people."""
    result = run("info", str(tmp_path), "--json")
    data = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (data["kind"], data["contents"]["size"]) == ("shoebox", 12345)
    assert len(data["contents"]["owners"]) == 25
    assert data["sizes"]["other"]["bytes"] == 5
    assert data["lock"] == {"held": None, "pid": None}
    shown = run("info", str(tmp_path)).stdout
    for text in ("12,345", "laces left", "red, brown", "more owners", "\\x1b[31mred"):
        assert text in shown
    assert "owner-24" not in shown
    assert "\x1b[31m" not in shown


@pytest.mark.parametrize("kind", [CorruptLogError, RuntimeError, OSError])
def test_what_cannot_be_read_is_status_1(
    shoebox: Shoebox, tmp_path: Path, kind: type[Exception]
) -> None:
    """An inspector's error is told beside all that was found without it."""
    shoebox.broken = kind("the lid is missing")
    result = run("info", str(tmp_path), "--json")
    data = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (data["contents"], data["kind"]) == (None, "shoebox")
    assert "the lid is missing" in data["problem"]
    shown = run("info", str(tmp_path))
    assert shown.exit_code == 1
    assert "the lid is missing" in shown.stderr


def test_an_inspector_that_fails_is_blamed(shoebox: Shoebox, tmp_path: Path) -> None:
    """One that cannot even tell what it knows is passed over, and told of by name."""
    shoebox.lost = True
    result = run("info", str(tmp_path))
    assert isinstance(result.exception, ConfigError)
    (plugin,) = [one for one in registry.plugins() if one.name == "shoebox"]
    assert any("no shoes here" in error for error in plugin.errors)


@pytest.mark.parametrize("whole", [True, False])
def test_verify_asks_who_knows(shoebox: Shoebox, tmp_path: Path, whole: bool) -> None:
    """The inspector looks and writes; what it finds is the command's status."""
    shoebox.whole = whole
    result = run("verify", str(tmp_path), "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (not whole, {"ok": whole})
    assert run("verify", str(tmp_path)).stdout == "looked\n"


@pytest.mark.parametrize("verb", ["info", "verify"])
def test_a_directory_with_nothing_is_an_error(verb: str, tmp_path: Path) -> None:
    """Neither a store nor a log is status 1, and names the directory."""
    done = bare(verb, str(tmp_path))
    assert done.returncode == 1
    assert "holds neither a store nor a log" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("lock", "kind", "extra"),
    [("store.lock", "store", "checkpoint"), ("log.lock", "log", "log")],
)
def test_without_the_plugin_the_files_are_told(
    lock: str, kind: str, extra: str, tmp_path: Path
) -> None:
    """Kind, sizes and segments need no plugin; for the rest the pip line is named."""
    (tmp_path / lock).write_text("4711\n")
    (tmp_path / "log").mkdir()
    head = struct.pack("<8sIIQQQ", b"PYFSEG\r\n", 1, 4096, 0xABC, 8192, 4096)
    (tmp_path / "log" / f"{4096:020x}.seg").write_bytes(b"not a segment")
    (tmp_path / "log" / f"{8192:020x}.seg").write_bytes(head.ljust(8192, b"\0"))
    (tmp_path / "log" / "stranger").write_bytes(b"")
    done = bare("info", str(tmp_path), "--json")
    data = json.loads(done.stdout)
    assert done.returncode == 0
    assert (data["kind"], data["contents"]) == (kind, None)
    assert f'pip install "pyfaster[{extra}]"' in data["hint"]
    assert data["sizes"]["log"]["files"] == 3
    assert data["segments"] == {
        "files": 2,
        "begin": 4096,
        "end": 8192 + 4096,
        "segment_size": 4096,
        "format": 1,
        "owner": "0000000000000abc",
    }
    refused = bare("verify", str(tmp_path))
    assert refused.returncode == 1
    assert f'pip install "pyfaster[{extra}]"' in refused.stderr
    assert "pip install" in bare("info", str(tmp_path)).stdout


def test_the_holder_of_a_lock_is_named(tmp_path: Path) -> None:
    """While a directory is taken its process is named, and when it is let go nobody."""
    place = tmp_path / "store"
    taken = Directory(str(place))
    try:
        holder = _directories.holder_of(place)
        assert holder.pid == os.getpid()
        assert holder.held in (True, None)
    finally:
        taken.close()
    assert _directories.holder_of(place).held in (False, None)
    assert _directories.holder_of(tmp_path) == Holder(None, None)


def test_the_table_of_locks_is_read(tmp_path: Path) -> None:
    """Locks by flock() that are held count, who waits for one does not."""
    assert list(_directories.parse_locks(LOCKS)) == [(4711, 123), (-1, 125)]
    judge = _directories._judge_holder
    assert judge(LOCKS, 123, 99) == Holder(True, 4711)
    assert judge(LOCKS, 123, 4711) == Holder(True, 4711)
    assert judge(LOCKS, 125, 99) == Holder(True, 99)  # of another namespace
    assert judge(LOCKS, 124, 99) == Holder(False, 99)
    assert judge(None, 124, 99) == Holder(None, 99)
    (tmp_path / "store.lock").write_text("nonsense")
    assert _directories.holder_of(tmp_path, LOCKS) == Holder(False, None)


def test_links_are_not_followed(tmp_path: Path) -> None:
    """What a link leads to is neither counted nor read."""
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "large").write_bytes(bytes(100_000))
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "store.lock").symlink_to(tmp_path / "far" / "large")
    (tmp_path / "near" / "log").symlink_to(tmp_path / "far")
    sizes = _directories.amounts(tmp_path / "near")
    assert sum(one.bytes for one in sizes.values()) < 10_000
    assert _directories.holder_of(tmp_path / "near") == Holder(None, None)
