# SPDX-License-Identifier: MIT
"""What the distribution offers: the provider, by its entry point and its hook."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

from pyfaster.checkpoints import CheckpointProvider, CheckpointSettings
from pyfaster.hookspecs import GROUP
from pyfaster_checkpoint import Coordinator, DiskFiles, Keeper, _plugin


def test_the_hook_gives_a_provider(tmp_path: Path) -> None:
    """The hook gives what makes files and keepers."""
    provider = _plugin.pyfaster_checkpoint_provider()
    assert isinstance(provider, CheckpointProvider)
    assert isinstance(provider, Coordinator)
    files = provider.files_at(tmp_path / "checkpoints")
    assert isinstance(files, DiskFiles)
    keeper = provider.keeper(files, CheckpointSettings("x"))
    assert isinstance(keeper, Keeper)
    assert keeper.checkpoints() == ()
    keeper.close()


def test_the_entry_point() -> None:
    """An installed distribution is found by its entry point."""
    (point,) = metadata.entry_points(group=GROUP, name="checkpoint")
    assert point.value == "pyfaster_checkpoint._plugin"
    assert point.load() is _plugin


def test_importing_starts_nothing() -> None:
    """Importing makes no thread and opens no file of checkpoints."""
    program = (
        "import threading, pyfaster_checkpoint, pyfaster_checkpoint._plugin\n"
        "print(threading.active_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"
