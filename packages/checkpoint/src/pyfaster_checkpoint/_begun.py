# SPDX-License-Identifier: MIT
"""
Whether a store that has no checkpoint any more had one: then it must not begin anew.

A store that ended before its first checkpoint is like a new one, and its log is of no
use. One whose checkpoints went away is not: its log may be all that is left. A file in
the store's directory tells the two apart. It is made when the first checkpoint is on
the medium, before anybody is told of it. Without the file the log's own files may tell:
no life but the first begins without a checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pyfaster.checkpoints import CheckpointFiles
from pyfaster.errors import CorruptCheckpointError
from pyfaster_checkpoint._file_handles import sync_descriptor
from pyfaster_checkpoint._files import BEGUN, LEFT, PIN
from pyfaster_checkpoint._problems import reported
from pyfaster_checkpoint._segments import later_life

_HAS_DIR_FD = {os.open, os.unlink, os.stat} <= os.supports_dir_fd
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NEW = (
    os.O_WRONLY
    | os.O_CREAT
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class Begun:
    """
    The file in a store's directory, which goes where the directory goes.

    Args:
        directory: The store's.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known = False
        self._folder: int | None = None
        if _HAS_DIR_FD:
            with suppress(OSError):  # then its path stands in for it
                self._folder = os.open(directory, _FOLDER)

    @property
    def _name(self) -> str:
        return BEGUN if self._folder is not None else str(self._directory / BEGUN)

    @property
    def is_there(self) -> bool:
        """
        Whether there is the file.
        """
        try:
            os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def make(self) -> None:
        """
        See to it that the file is there, and survives a power cut.

        Raises:
            OSError: The system refused, and there is no such file.
        """
        if self._known:
            return
        made = not self.is_there
        try:
            self._make()
        except BaseException:
            if made:
                with suppress(OSError):
                    os.unlink(self._name, dir_fd=self._folder)
            raise
        self._known = True

    def _make(self) -> None:
        descriptor = os.open(self._name, _NEW, 0o600, dir_fd=self._folder)
        try:
            sync_descriptor(descriptor)
        finally:
            os.close(descriptor)
        if self._folder is not None:
            sync_descriptor(self._folder)

    def refuse_lost(
        self, files: CheckpointFiles, unfinished: Iterable[str], name: str
    ) -> None:
        """
        Refuse to begin anew where a store was that had checkpoints.

        Args:
            files: Where no complete checkpoint is.

            unfinished: Places without a manifest.

            name: The store's.

        Raises:
            CorruptCheckpointError: There had been one.
        """
        found = self._evidence(files, unfinished)
        if found is not None:
            raise _lost(name, self._directory, found)

    def _evidence(
        self, files: CheckpointFiles, unfinished: Iterable[str]
    ) -> str | None:
        if self.is_there:
            return f"{BEGUN} is there"
        for token in unfinished:
            for mark in (PIN, LEFT):
                if mark in files.names(token):
                    return f"checkpoint {token} has a file {mark!r} and no manifest"
        later = later_life(self._directory)
        return None if later is None else f"{later} is of a life that recovered one"

    def close(self) -> None:
        """
        Let the directory go; a second call does nothing.
        """
        folder, self._folder = self._folder, None
        if folder is not None:
            os.close(folder)

    def __del__(self) -> None:
        if hasattr(self, "_folder"):
            self.close()


def _lost(name: str, directory: Path, found: str) -> CorruptCheckpointError:
    return reported(
        "",
        f"{name!r}: no complete checkpoint is there, but there had been one: {found}; "
        "nothing was changed; put the folder of checkpoints back, from a backup, or "
        f"remove all of directory {str(directory)!r} to begin anew",
    )


__all__ = ["Begun"]
