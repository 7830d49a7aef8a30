# SPDX-License-Identifier: MIT
"""`pyfaster stats` reaches a store of another process, and shows its figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

import pyfaster

pytest.importorskip("pyfaster_observability")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A directory of sockets that nobody else uses; its path has to be short."""
    with tempfile.TemporaryDirectory(prefix="pf-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield folder


def ask(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `pyfaster stats` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pyfaster", "stats", *words],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no local sockets as Unix has")
def test_figures_of_another_process(place: str) -> None:
    """The figures are those of the store, found without a word, by the process or by
    the socket; when it is closed there is nobody to ask."""
    with pyfaster.open(key=int, value=int, socket=True) as store:
        for key in range(1000):
            store.upsert(key, key)
        own = store.stats().to_dict()
        (socket,) = (entry.path for entry in os.scandir(f"{place}/pyfaster"))
        for words in ([], [str(os.getpid())], [socket]):
            done = ask(*words, "--json")
            assert done.returncode == 0, done.stderr
            found = json.loads(done.stdout)
            assert (found["pid"], found["store"]) == (os.getpid(), store.name)
            assert found["stats"]["upserts"] == own["upserts"] == 1000
            assert found["stats"].keys() == own.keys()
        shown = ask()
        assert shown.returncode == 0, shown.stderr
        assert "upsert done" in shown.stdout
    nobody = ask()
    assert nobody.returncode == 1
    assert nobody.stderr.startswith("pyfaster: ")
    assert len(nobody.stderr.splitlines()) == 1
