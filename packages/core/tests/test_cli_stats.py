# SPDX-License-Identifier: MIT
"""`pyfaster stats`: figures of a store elsewhere, through what a plugin brings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import pyfaster
from pyfaster._cli import _stats, make_app
from pyfaster._registry import Registry
from pyfaster._registry import registry as process_registry
from pyfaster._stats import StoreStats


class Live:
    """Has the figures of one store of this process."""

    def __init__(self, stats: Mapping[str, Any]) -> None:
        self.stats = stats
        self.asked: list[str | None] = []

    def figures(self, where: str | None, /) -> Mapping[str, object]:
        """Give them, unless the test asks for what is not there."""
        self.asked.append(where)
        if where == "nowhere":
            raise pyfaster.ConfigError("nowhere: there is no such store")
        name = "file:\x1b[31mdata"
        return {"store": name, "pid": 4711, "time_ns": 1, "stats": self.stats}


class Plugin:
    """Brings it, or what a test gives as such."""

    def __init__(self, live: Any) -> None:
        self.live = live

    @pyfaster.hookimpl
    def pyfaster_live(self) -> Any:
        """Give it."""
        if isinstance(self.live, Exception):
            raise self.live
        return self.live


def figures() -> dict[str, Any]:
    """The figures of a store that has done a little."""
    with pyfaster.open(key=int, value=int, sample_every=1) as store:
        for key in range(100):
            store.upsert(key, key)
            store.read(key)
        store.read(-1)
        return store.stats().to_dict()


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Live:
    """One that reaches a store, and nobody else who does."""
    one = Live(figures())
    monkeypatch.setattr(process_registry, "live_stores", lambda: one)
    return one


def run(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(make_app(process_registry), ["stats", *arguments])


def test_figures_are_shown_by_what_they_are_about(live: Live) -> None:
    """The groups have headings, latencies a table, and a name steers no terminal."""
    result = run()
    assert result.exit_code == 0
    assert live.asked == [None]
    for word in ("operations", "memory", "log", "index", "device", "latency"):
        assert word in result.stdout
    assert "read hit" in result.stdout
    assert "99.0%" in result.stdout
    assert "process 4711" in result.stdout
    assert "\x1b[31m" not in result.stdout


def test_json_has_all_of_it(live: Live) -> None:
    """With --json the object is what the plugin gave."""
    result = run("here", "--json")
    data = json.loads(result.stdout)
    assert live.asked == ["here"]
    assert data["pid"] == 4711
    assert data["stats"] == json.loads(json.dumps(live.stats))


def test_every_figure_is_shown_once(live: Live) -> None:
    """No figure of StoreStats is left out of the groups, but what is told otherwise."""
    shown = [name for names in _stats.GROUPS.values() for name in names]
    assert len(shown) == len(set(shown))
    assert set(shown) & _stats._ELSEWHERE == set()
    known = {one.name for one in fields(StoreStats)} | set(live.stats)
    assert known == set(shown) | _stats._ELSEWHERE
    rows = dict(_stats.grouped({**live.stats, "new_figure": 12345}))
    assert ("new_figure", "12,345") in rows["others"]


@pytest.mark.usefixtures("live")
def test_a_store_that_is_not_there_is_an_error() -> None:
    """What the plugin raises is the command's error."""
    result = run("nowhere")
    assert isinstance(result.exception, pyfaster.ConfigError)


def test_without_the_plugin_the_pip_line_is_named() -> None:
    """The message says what to install, on one line, with the status 1."""
    done = subprocess.run(
        [sys.executable, "-m", "pyfaster", "stats"],
        env={**os.environ, "PYFASTER_PLUGINS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert 'pip install "pyfaster[observability]"' in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("answer", "blame"),
    [(5, "pyfaster_live gave 5"), (RuntimeError("no luck"), "no luck"), (None, None)],
)
def test_a_plugin_that_answers_wrongly_is_blamed(
    answer: Any, blame: str | None
) -> None:
    """Whoever gives something else is passed over, and told of by `plugins`."""
    fresh = Registry(entry_points=tuple)
    fresh.register(Plugin(answer), name="wrong")
    assert fresh.live_stores() is None
    (plugin,) = [one for one in fresh.plugins() if one.name == "wrong"]
    assert [blame in error for error in plugin.errors] == ([True] if blame else [])
    right = Live({})
    fresh.register(Plugin(right), name="right")
    assert fresh.live_stores() is right


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("hit_rate", 0.5, "50.0%"),
        ("hit_rate", None, "-"),
        ("index_growing", True, "yes"),
        ("index_load", 0.25, "0.25"),
        ("memory_used", 3 << 20, "3.0 MiB"),
        ("memory_limit", 0, "none"),
        ("device_read_bytes", 17, "17 B"),
        ("address_tail", 1 << 20, "1,048,576"),
        ("odd", "a\x07b", "a\\x07b"),
    ],
)
def test_figures_as_people_read_them(name: str, value: object, said: str) -> None:
    """Rates are percents, sizes have units, addresses are exact."""
    assert _stats.text(name, value) == said
