# SPDX-License-Identifier: MIT
"""What `pyfaster info` tells of a store, whose own files say it all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from store_kit import built, open_store, state, store, tokens
from typer.testing import CliRunner, Result

from pyfaster._cli import make_app
from pyfaster._registry import registry
from pyfaster_checkpoint._inspector import StoreInspector

__all__ = ["built", "store"]


def run(place: Path, *more: str) -> Result:
    """Run `info` in this process."""
    return CliRunner().invoke(make_app(registry), ["info", str(place), *more])


def said(place: Path) -> tuple[int, Any]:
    """Run it with --json; give its status and what it wrote."""
    result = run(place, "--json")
    return result.exit_code, json.loads(result.stdout)


def test_a_store_is_described(store: Path) -> None:
    """Layout, newest checkpoint, addresses and sessions are those of the store; every
    byte and every time is left as it was."""
    before = state(store)
    status, data = said(store)
    assert state(store) == before
    assert (status, data["kind"], data["problem"]) == (0, "store", "")
    found = data["contents"]
    assert found["newest"]["token"] == tokens(store)[-1]
    assert found["newest"]["kind"] == "fold-over"
    assert found["checkpoints"]["complete"] == 3
    assert found["checkpoints"]["damaged"] == 0
    assert found["layout"]["key_codec"] == "int64"
    assert found["layout"]["page_size"] == 4096
    assert found["sessions"] == {"a": 1016}
    assert found["addresses"]["begin"] < found["addresses"]["final"]
    assert data["segments"]["segment_size"] == found["segment_size"] == 1 << 20
    assert data["segments"]["owner"] == found["store"]
    assert data["sizes"]["checkpoints"]["bytes"] >= found["checkpoints"]["bytes"]
    shown = run(store).stdout
    for text in (tokens(store)[-1], "layout key_codec", "sessions a"):
        assert text in shown


def test_a_store_that_is_open_elsewhere_is_described(store: Path) -> None:
    """Another process's store can be looked at, and its process is named."""
    program = (
        "import subprocess, sys, pyfaster\n"
        "place = sys.argv[1]\n"
        "with pyfaster.open(f'file:{place}', key=int, value=int, memory='1MiB',\n"
        "        page_size='4KiB', segment_size='1MiB', checkpoint_on_close=False):\n"
        "    words = [sys.executable, '-m', 'pyfaster', 'info', place, '--json']\n"
        "    sys.exit(subprocess.run(words).returncode)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(store)], stdout=subprocess.PIPE, text=True
    ) as other:
        text, _ = other.communicate()
    assert other.returncode == 0
    data = json.loads(text)
    assert data["lock"]["pid"] == other.pid
    assert data["lock"]["held"] in (True, None)
    assert data["contents"]["newest"]["token"] == tokens(store)[-1]


@pytest.mark.fault("F31")
def test_a_damaged_checkpoint_is_counted(store: Path) -> None:
    """The newest one's damage is told, and the layout is that of the next good one."""
    path = store / "checkpoints" / tokens(store)[-1] / "manifest.json"
    path.write_text(path.read_text().replace("fold-over", "fold-ever"))
    status, data = said(store)
    assert status == 0
    found = data["contents"]
    assert found["checkpoints"]["damaged"] == 1
    assert found["newest"]["damage"]
    assert found["layout"]["key_codec"] == "int64"


@pytest.mark.fault("F89")
def test_a_link_in_place_of_the_checkpoints_is_a_problem(
    store: Path, tmp_path: Path
) -> None:
    """Links are not followed; what can be told without them is."""
    (store / "checkpoints").rename(tmp_path / "elsewhere")
    (store / "checkpoints").symlink_to(tmp_path / "elsewhere")
    status, data = said(store)
    assert (status, data["contents"]) == (1, None)
    assert "links are not followed" in data["problem"]
    assert data["segments"]["files"] == 1


def test_a_store_without_checkpoints_is_one(tmp_path: Path) -> None:
    """It has a lock and segments, and nothing is known of its layout."""
    pytest.importorskip("pyfaster_devices_file")
    with open_store(tmp_path / "young"):
        status, data = said(tmp_path / "young")
    assert status == 0
    assert data["contents"]["newest"] is None
    assert "layout" not in data["contents"]
    assert data["lock"]["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("names", "held"),
    [
        (["store.lock"], True),
        (["log"], True),
        (["checkpoints"], True),
        (["log", "log.lock"], False),
        (["log", "commits"], False),
        ([], False),
    ],
)
def test_what_is_a_store(names: list[str], held: bool, tmp_path: Path) -> None:
    """A durable log has segments, too, and is none."""
    for name in names:
        (tmp_path / name).mkdir()
    assert StoreInspector().holds(tmp_path) == held
