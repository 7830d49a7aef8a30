# SPDX-License-Identifier: MIT
"""Files in memory that know what of them would survive a power cut."""

from __future__ import annotations

import copy
from typing import Any

from memory_files import MemoryFiles


class PowerFiles(MemoryFiles):
    """
    Files whose bytes survive once they were synced, and whose names once their place
    was; `lies` has the kinds of syncs that do nothing and say that they did.
    """

    def __init__(self, lies: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.lies = lies
        self._bytes: dict[int, bytes] = {}  # by file: what is on the medium
        self._names: dict[str, dict[str, bytearray]] = {}
        self._roots: set[str] = set()
        self._alive: list[bytearray] = []  # so that no two files have one number
        self.cuts: list[Any] = []
        self.watching = False

    def note(self, *event: str) -> None:
        """Note what is done; before it, what a power cut would leave."""
        if self.watching:
            self.cuts.append(self.cut())
        super().note(*event)
        kind = event[0]
        if kind in self.lies:
            return
        if kind == "sync":
            file = self.places[event[1]][event[2]]
            self._alive.append(file)
            self._bytes[id(file)] = bytes(file)
        elif kind == "sync-names" and event[1] in self.places:
            self._names[event[1]] = dict(self.places[event[1]])
        elif kind == "sync-root":
            self._roots = set(self.places)

    def make(self, token: str, /) -> None:
        """Make a place; its name survives when this returns."""
        super().make(token)
        self.note("sync-root")

    def cut(self) -> MemoryFiles:
        """Give what is there after a power cut."""
        left = MemoryFiles()
        for token in self._roots:
            names = self._names.get(token, {})
            left.places[token] = {
                name: bytearray(self._bytes.get(id(file), b""))
                for name, file in names.items()
            }
        return left

    def revert(self) -> None:
        """Let the system's cache forget what is not on the medium."""
        for place in self.places.values():
            for file in place.values():
                file[:] = self._bytes.get(id(file), b"")

    def copy(self) -> MemoryFiles:
        """Give what is there when only the process ends."""
        left = MemoryFiles()
        left.places = copy.deepcopy(self.places)
        return left
