# SPDX-License-Identifier: MIT
"""`pyfaster doctor`: what it measures, how it judges that, and that nothing is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import pyfaster
from pyfaster._cli import _disk, _doctor, _verdicts, make_app
from pyfaster._cli._disk import DiskFigures
from pyfaster._cli._verdicts import Medium, judge_speed, judge_sync
from pyfaster._home import Directory
from pyfaster._registry import registry
from pyfaster.hookspecs import Finding

MIB = 1 << 20
HONEST = DiskFigures(
    size=64 * MIB,
    write_mib_s=900.0,
    read_mib_s=1500.0,
    rounds=100,
    write_us=2.0,
    sync_us=800.0,
    sync_max_us=2000.0,
    dsync_us=750.0,
)


def run(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(make_app(registry), ["doctor", *arguments])


def said(*arguments: str) -> tuple[int, Any]:
    """Run it with --json; give its status and what it wrote."""
    result = run(*arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


ODD: Any = "fine"


class Teller:
    """Tells what a test gives, and keeps what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[Path | None] = []

    @pyfaster.hookimpl
    def pyfaster_doctor(self, directory: Path | None) -> Any:
        """Give it, or raise it."""
        self.asked.append(directory)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def teller(request: pytest.FixtureRequest) -> Iterator[Teller]:
    """A plugin that answers the test's parameter."""
    plugin = Teller(request.param)
    pyfaster.register(plugin, name="teller")
    yield plugin
    pyfaster.unregister("teller")


def test_a_directory_is_looked_at_and_left_as_it_was(tmp_path: Path) -> None:
    """All is measured, each finding has its parts, and no file is left."""
    status, data = said(str(tmp_path), "--mebibytes", "1")
    assert list(tmp_path.iterdir()) == []
    names = {one["name"] for one in data["findings"]}
    assert names >= {"python", "memory", "file system", "free space", "locks", "fsync"}
    for one in data["findings"]:
        assert one.keys() == {"name", "status", "found", "advice"}
        assert one["status"] in ("ok", "note", "warning", "failure")
        assert one["found"]
    assert data["directory"] == str(tmp_path)
    assert data["ok"] == (status == 0)
    figures = data["figures"]
    assert figures["size"] == MIB
    assert 0 < figures["rounds"] <= _disk.ROUNDS
    assert 0 < figures["sync_us"] <= figures["sync_max_us"]


def test_without_a_directory_nothing_is_measured() -> None:
    """Only the machine is looked at, and the words are those of the findings."""
    _, data = said()
    assert (data["directory"], data["figures"]) == (None, None)
    assert "fsync" not in {one["name"] for one in data["findings"]}
    shown = run().stdout
    assert all(one["name"] in shown for one in data["findings"])


@pytest.mark.parametrize(
    "teller", [[Finding("thing", "failure", "it is broken", "mend it")]], indirect=True
)
def test_a_plugin_tells_what_it_finds(teller: Teller, tmp_path: Path) -> None:
    """Its findings are among the others; a failure of it is the command's status."""
    status, data = said(str(tmp_path), "--mebibytes", "1")
    assert (status, data["ok"]) == (1, False)
    (found,) = [one for one in data["findings"] if one["name"] == "thing"]
    assert (found["found"], found["advice"]) == ("it is broken", "mend it")
    assert "mend it" in run(str(tmp_path), "--mebibytes", "1").stdout
    assert teller.asked == [tmp_path, tmp_path]


@pytest.mark.parametrize(
    ("teller", "blame"),
    [
        (RuntimeError("no luck"), "no luck"),
        (["text"], "not a Finding"),
        ("text", "not a list"),
        ([Finding("a", ODD, "b")], "invalid status 'fine'"),
    ],
    indirect=["teller"],
)
@pytest.mark.usefixtures("teller")
def test_a_plugin_that_answers_wrongly_is_blamed(blame: str) -> None:
    """What is wrong is told as that plugin's, and all else is looked at."""
    status, data = said()
    assert status == 1
    (found,) = [one for one in data["findings"] if one["name"] == "plugin teller"]
    assert found["status"] == "failure"
    assert blame in found["found"]
    assert "memory" in {one["name"] for one in data["findings"]}


def test_a_directory_that_refuses_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be written that is told, with advice, and the rest goes on."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_disk, "measure", refuse)
    status, data = said(str(tmp_path))
    assert status == 1
    (found,) = [one for one in data["findings"] if one["name"] == "directory"]
    assert "Permission denied" in found["found"]


def test_a_directory_in_use_is_noted(tmp_path: Path) -> None:
    """Who has it open is named, as that one disturbs what is measured."""
    place = tmp_path / "store"
    taken = Directory(str(place))
    try:
        _, data = said(str(place), "--mebibytes", "1")
    finally:
        taken.close()
    found = [one for one in data["findings"] if one["name"] == "in use"]
    if Path("/proc/locks").exists():
        assert [str(os.getpid()) in one["found"] for one in found] == [True]
    assert [path.name for path in place.iterdir()] == ["store.lock"]


def test_bytes_and_rounds_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more is written than asked, and no more often than the bound."""
    monkeypatch.setattr(_disk, "SECONDS", 3600.0)  # the other bounds end it
    monkeypatch.setattr(_disk, "ROUNDS", 10)
    figures = _disk.measure(tmp_path, 2 * MIB)
    assert (figures.size, figures.rounds) == (2 * MIB, 10)
    assert _disk.measure(tmp_path, 1).size == MIB
    assert list(tmp_path.iterdir()) == []


def test_time_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk as slow as can be each measurement ends after its first step."""
    clock = iter(range(0, 1 << 30, 10))
    monkeypatch.setattr(_disk, "perf_counter", lambda: float(next(clock)))
    figures = _disk.measure(tmp_path, 64 * MIB)
    assert (figures.size, figures.rounds) == (MIB, 1)


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="files without names")
def test_nothing_is_left_by_a_kill(tmp_path: Path) -> None:
    """The file has no name while it is measured, so not even SIGKILL leaves it."""
    program = (
        "import os, signal, sys; from pathlib import Path;"
        "from pyfaster._cli import _disk;"
        "_disk._rounds = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL);"
        "_disk.measure(Path(sys.argv[1]), 1 << 20)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_works_is_believed() -> None:
    """A sync that takes a device's time is fine, and says what cannot be known."""
    finding = judge_sync(HONEST, Medium(rotates=False, cache="write back"))
    assert finding.status == "ok"
    assert "800 us" in finding.found
    assert "power" in finding.advice


@pytest.mark.parametrize(
    ("changes", "medium", "status", "said"),
    [
        ({"sync_us": 2.5, "dsync_us": 2.0}, Medium(), "warning", "nobody was asked"),
        ({"sync_us": 1.0, "write_us": 1.5}, Medium(), "warning", "nobody was asked"),
        ({"sync_us": 20.0, "dsync_us": 900.0}, Medium(), "warning", "O_DSYNC"),
        ({"sync_us": 30.0, "dsync_us": 25.0}, Medium(), "note", "protection"),
        ({"sync_us": 30.0, "dsync_us": None}, Medium(), "note", "protection"),
        ({}, Medium(rotates=True), "note", "rotates"),
        ({"sync_us": 9000.0}, Medium(rotates=True), "ok", "asked"),
        ({}, Medium(False, "write through"), "ok", "no cache to flush"),
    ],
)
def test_what_the_time_of_a_sync_tells(
    changes: dict[str, Any], medium: Medium, status: str, said: str
) -> None:
    """A system call's time is nobody's; a disk's own words are weighed, too."""
    finding = judge_sync(replace(HONEST, **changes), medium)
    assert (finding.status, said in finding.found) == (status, True)


def test_slow_disks_and_missing_figures() -> None:
    """Little speed is a warning; what could not be measured is not told."""
    assert [one.status for one in judge_speed(HONEST)] == ["ok", "ok"]
    slow = replace(HONEST, write_mib_s=5.0, read_mib_s=None)
    assert [one.status for one in judge_speed(slow)] == ["warning"]


@pytest.mark.parametrize(
    ("free", "total", "files", "status"),
    [
        (100 << 30, 200 << 30, 10_000, "ok"),
        (100 << 30, 200 << 30, None, "ok"),
        (100 << 30, 200 << 30, 10, "warning"),
        (1 << 30, 200 << 30, 10_000, "warning"),
        (3 << 30, 200 << 30, 10_000, "warning"),
        (1 << 20, 200 << 30, 10_000, "failure"),
    ],
)
def test_room(free: int, total: int, files: int | None, status: str) -> None:
    """A disk that is full, or nearly, is told of; so is one without room for files."""
    assert _verdicts.space_found(free, total, files).status == status


def test_a_lock_that_keeps_nobody_out_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where two may have a lock at once, or none can be had, that is told."""
    assert _disk.locks_found(tmp_path).status in ("ok", "note")
    if sys.platform == "win32":
        return

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    for instead in (lambda *_: None, refuse):
        monkeypatch.setattr(_disk.fcntl, "flock", instead)
        assert _disk.locks_found(tmp_path).status == "failure"


def test_the_device_below_is_asked(tmp_path: Path) -> None:
    """A disk's own words are read, those of a partition's disk above it; else none."""
    disk = tmp_path / "block" / "sda"
    (disk / "queue").mkdir(parents=True)
    (disk / "sda1").mkdir()
    (disk / "queue" / "rotational").write_text("1\n")
    (disk / "queue" / "write_cache").write_text("write back\n")
    root = tmp_path / "dev"
    root.mkdir()
    (root / "8:0").symlink_to(disk)
    (root / "8:1").symlink_to(disk / "sda1")
    for device in ("8:0", "8:1"):
        assert _verdicts.medium_of(device, root) == Medium(True, "write back")
    assert _verdicts.medium_of("0:50", root) == Medium()


def test_doctor_writes_no_more_than_a_share_of_the_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk that is nearly full only a part of what is free is written."""
    asked: list[int] = []

    def measured(_: Path, size: int) -> DiskFigures:
        asked.append(size)
        return HONEST

    monkeypatch.setattr(_disk, "measure", measured)
    monkeypatch.setattr(_doctor, "_room", lambda _: (8 * MIB, 1 << 40, None))
    status, _ = said(str(tmp_path))
    assert (status, asked) == (1, [2 * MIB])
