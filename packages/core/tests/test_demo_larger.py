# SPDX-License-Identifier: MIT
"""The demonstration of larger data finds everything, and would say so if it did not."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

import pyfaster
from pyfaster._cli import make_app
from pyfaster._demo import _larger, _regions
from pyfaster._registry import Registry, registry
from pyfaster.testing import MemoryDevice

SEED = 11
SMALL = ("--device", "shelf", "--memory", "1MiB", "--times", "3")


def run(*arguments: str) -> Result:
    """Run `demo larger-than-memory` in this process."""
    app = make_app(registry)
    return CliRunner().invoke(app, ["demo", "larger-than-memory", *arguments])


@pytest.fixture(autouse=True)
def shelf() -> Iterator[list[str]]:
    """A device scheme that needs no files; gives the paths it was opened with."""
    paths: list[str] = []

    class Shelf:
        @pyfaster.hookimpl
        def pyfaster_devices(self) -> list[pyfaster.DeviceScheme]:
            def open_shelf(where: str, settings: object) -> MemoryDevice:
                assert Path(where).parent.is_dir()
                paths.append(where)
                return MemoryDevice()

            return [pyfaster.DeviceScheme("shelf", open_shelf)]

    pyfaster.register(Shelf(), name="shelf")
    yield paths
    pyfaster.unregister("shelf")


def test_everything_is_found(tmp_path: Path, shelf: list[str]) -> None:
    """All that was written is there, most of it on the device, and nothing is left."""
    result = run(str(tmp_path), "--json", *SMALL)
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    assert (data["correct"], data["wrong"], data["differences"]) == (True, 0, [])
    assert data["records"] == 3 * (1 << 20) // _larger.RECORD_SIZE
    assert data["data_bytes"] > 3 * (1 << 20)
    assert data["on_device_bytes"] == data["data_bytes"]
    assert data["device_reads"] > 0
    names = [step["name"] for step in data["steps"]]
    assert names == ["writing", "renewing", "scanning", "reading"]
    assert data["steps"][2]["records"] == data["records"]
    (path,) = shelf
    assert Path(path).parent.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_people_see_where_the_log_is() -> None:
    """Elsewhere each step is told in lines; then come rates and the verdict."""
    result = run(*SMALL)
    assert result.exit_code == 0
    for said in ("writing", "scanning", "on the device", "in memory", "budget used"):
        assert said in result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) <= 4 * (_regions.LINES_A_STEP + 1)
    assert "records/s" in result.stdout
    assert "each once and with its newest" in result.stdout


def test_a_terminal_shows_a_picture() -> None:
    """In a terminal the regions are drawn, from begin to tail."""
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with _regions.Picture(console, hidden=False) as notice:
        _larger.larger_than_memory("shelf", 1 << 20, 3, None, notice=notice)
    drawn = console.file.getvalue()  # type: ignore[attr-defined] # it is the StringIO
    for said in ("begin", "tail", "░", *_regions.REGIONS):
        assert said in drawn


def test_what_is_wrong_is_found_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another value, a key that is gone and one that came from nowhere are found."""
    scan = _larger.Work._scan

    def spoil(self: _larger.Work) -> None:
        store: Any = self._store
        store[5] = b"x" * _larger.VALUE_SIZE
        store[1 << 40] = b"y" * _larger.VALUE_SIZE
        del store[6]
        scan(self)

    monkeypatch.setattr(_larger.Work, "_scan", spoil)
    result = run("--json", *SMALL)
    data = json.loads(result.stdout)
    assert result.exit_code == 1
    assert data["correct"] is False
    assert {
        "scan: key 5: has another value",
        "scan: key 6: did not come",
        f"scan: key {1 << 40}: was never written",
    } <= set(data["differences"])
    assert "batch read: key 5: has another value" in data["differences"]
    shown = run(*SMALL)
    assert shown.exit_code == 1
    assert "records are wrong" in shown.stdout
    assert "key 5: has another value" in shown.stdout


def test_a_stale_value_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that forgets the second writing of a key is caught."""
    write = _larger.Work._write

    def forget(self: _larger.Work, session: Any, doing: str, *rest: Any) -> None:
        if doing == "writing":
            write(self, session, doing, *rest)

    monkeypatch.setattr(_larger.Work, "_write", forget)
    data = json.loads(run("--json", *SMALL).stdout)
    assert data["correct"] is False
    assert data["wrong"] >= data["records"] // _larger.RENEWED
    assert len(data["differences"]) == _larger.DIFFERENCES_MAX


def test_without_the_device_the_line_to_type_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A device that is not installed is an error with the pip line."""
    app = make_app(registry)
    monkeypatch.setattr("pyfaster._registry.registry", Registry(lambda: ()))
    result = CliRunner().invoke(app, ["demo", "larger-than-memory"])
    assert isinstance(result.exception, pyfaster.PluginMissingError)
    assert "pip install" in str(result.exception)


def test_a_budget_that_is_no_size_is_an_error() -> None:
    """What cannot be understood is told by the setting's name."""
    result = run("--memory", "lots")
    assert isinstance(result.exception, pyfaster.ConfigError)
    assert str(result.exception).startswith("memory: 'lots' is not a size")


def test_the_strip_is_to_scale_whatever_the_figures_are() -> None:
    """All regions are the log; the strip has its width and shows every region."""
    print("seed", SEED)
    dice = random.Random(SEED)
    with pyfaster.open(key=int, value=int) as store:
        stats = store.stats()
    for _ in range(200):
        edges = [dice.randrange(1 << dice.randrange(1, 30)) for _ in range(6)]
        if dice.random() < 0.9:
            edges.sort()
        begin, head, flushed, safe, read_only, tail = edges
        some = replace(
            stats,
            address_begin=begin,
            address_head=head,
            address_flushed=flushed,
            address_safe_read_only=safe,
            address_read_only=read_only,
            address_tail=max(tail, begin),
        )
        sizes = _regions.regions(some)
        assert min(sizes.values()) >= 0
        assert sum(sizes.values()) == some.address_tail - begin
        text = _regions.strip(some)
        assert len(text) == _regions.WIDTH
        for name, (letter, _) in _regions.REGIONS.items():
            assert (letter in text.plain) or not sizes[name]
