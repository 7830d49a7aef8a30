# SPDX-License-Identifier: MIT
"""Settings of all tests here: nothing that a test switches on outlives it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import pyfaster
import pyfaster_observability
from pyfaster_observability import _failures, client

sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile("observability", derandomize=True, deadline=None)
settings.load_profile("observability")


#: How long an answer may take here, in seconds: whoever gives it may be kept from
#: running for longer than a user would wait.
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the plugin there; undo what a test has switched on; count from 0."""
    pyfaster.load_plugins()
    monkeypatch.setattr(_failures, "_found", {})
    for call in (client.ask, client.snapshot):
        defaults = call.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, "timeout", PATIENCE_S)
    yield
    pyfaster_observability.uninstrument()


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This user's directory for sockets; the paths of sockets have to be short."""
    with tempfile.TemporaryDirectory(prefix="pf-") as made:
        monkeypatch.setenv("XDG_RUNTIME_DIR", made)
        yield Path(made)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where a test's store lives, in files; nothing is there yet."""
    pytest.importorskip("pyfaster_devices_file")
    pytest.importorskip("pyfaster_checkpoint")
    return tmp_path / "store"
