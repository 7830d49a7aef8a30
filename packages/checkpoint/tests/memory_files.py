# SPDX-License-Identifier: MIT
"""Files of checkpoints in memory, which note what is done to them and may fail."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any


class MemoryFiles:
    """
    Checkpoints in memory.

    `events` has every change in order: ("write", token, name), ("sync", token, name),
    ("sync-names", token), ("rename", token, old, new) and so on. `fail` is asked before
    each, and may raise.
    """

    def __init__(self) -> None:
        self.places: dict[str, dict[str, bytearray]] = {}
        self.events: list[tuple[str, ...]] = []
        self.fail: Callable[[tuple[str, ...]], None] = lambda event: None
        self.closed = False

    def note(self, *event: str) -> None:
        """Keep what is being done."""
        self.events.append(event)
        self.fail(event)

    def tokens(self) -> list[str]:
        """The places."""
        return list(self.places)

    def make(self, token: str, /) -> None:
        """Make a place."""
        self.note("make", token)
        if token in self.places:
            raise FileExistsError(errno.EEXIST, "it is there", token)
        self.places[token] = {}

    def names(self, token: str, /) -> list[str]:
        """The files of a place."""
        if token not in self.places:
            raise FileNotFoundError(errno.ENOENT, "no place", token)
        return sorted(self.places[token])

    def create(self, token: str, name: str, /) -> Any:
        """Begin a file."""
        self.note("create", token, name)
        if name in self.places[token]:
            raise FileExistsError(errno.EEXIST, "it is there", name)
        self.places[token][name] = bytearray()
        return _Writer(self, token, name)

    def open(self, token: str, name: str, /) -> Any:
        """Open a file."""
        self.fail(("open", token, name))
        if name not in self.places.get(token, {}):
            raise FileNotFoundError(errno.ENOENT, "no file", name)
        return _Reader(self, token, name)

    def rename(self, token: str, old: str, new: str, /) -> None:
        """Rename a file."""
        self.note("rename", token, old, new)
        self.places[token][new] = self.places[token].pop(old)

    def sync(self, token: str, /) -> None:
        """Sync the names of a place."""
        self.note("sync-names", token)

    def sync_root(self) -> None:
        """Sync the names of places."""
        self.note("sync-root")

    def remove(self, token: str, name: str, /) -> None:
        """Remove a file."""
        self.note("remove", token, name)
        self.places.get(token, {}).pop(name, None)

    def remove_token(self, token: str, /) -> None:
        """Remove a place."""
        self.note("remove-token", token)
        if self.places.get(token):
            raise OSError(errno.ENOTEMPTY, "not empty", token)
        self.places.pop(token, None)

    def close(self) -> None:
        """End."""
        self.closed = True


class _Writer:
    def __init__(self, files: MemoryFiles, token: str, name: str) -> None:
        self._files, self._token, self._name = files, token, name

    def write(self, data: Any, /) -> None:
        self._files.note("write", self._token, self._name)
        self._files.places[self._token][self._name] += bytes(data)

    def sync(self) -> None:
        self._files.note("sync", self._token, self._name)

    def close(self) -> None:
        self._files.note("close", self._token, self._name)

    def abandon(self) -> None:
        self._files.events.append(("abandon", self._token, self._name))


class _Reader:
    def __init__(self, files: MemoryFiles, token: str, name: str) -> None:
        self._files, self._place = files, (token, name)
        self._data = files.places[token][name]
        self.size = len(self._data)

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        self._files.fail(("read", *self._place))
        piece = self._data[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        pass
