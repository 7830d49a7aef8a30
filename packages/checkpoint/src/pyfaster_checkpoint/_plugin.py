# SPDX-License-Identifier: MIT
"""
What this distribution tells pyfaster: who takes checkpoints and recovers from them, the
subcommand that looks at them, and who can read what a store's directory holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyfaster.checkpoints import CheckpointFiles, CheckpointSettings
from pyfaster.hookspecs import hookimpl
from pyfaster.protocols import Inspector
from pyfaster_checkpoint._files import DiskFiles
from pyfaster_checkpoint._keeper import Keeper


class Coordinator:
    """
    Makes keepers of checkpoints; it has no state of its own.
    """

    def files_at(self, directory: Path, /, *, read_only: bool = False) -> DiskFiles:
        """
        Keep checkpoints in a directory of the file system.
        """
        return DiskFiles(directory, read_only=read_only)

    def keeper(self, files: CheckpointFiles, settings: CheckpointSettings, /) -> Keeper:
        """
        Keep the checkpoints of one store in such files.

        Files of ours may be removed by a thread of the keeper's; others' are used by
        those only who call it.
        """
        return Keeper(files, settings, behind=isinstance(files, DiskFiles))


@hookimpl
def pyfaster_checkpoint_provider() -> Coordinator:
    """
    Give the coordinator.
    """
    return Coordinator()


@hookimpl
def pyfaster_cli() -> Mapping[str, Any]:
    """
    Give the subcommand, which only the command loads.
    """
    from pyfaster_checkpoint._cli import COMMANDS

    return COMMANDS


@hookimpl
def pyfaster_inspectors() -> list[Inspector]:
    """
    Give who reads a store's directory.
    """
    from pyfaster_checkpoint._inspector import StoreInspector

    return [StoreInspector()]
