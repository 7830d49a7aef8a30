# SPDX-License-Identifier: MIT
"""
A store of a few lines that the harness is tried on: right, and wrong in known ways.

A dict under one lock; a checkpoint writes all of it into one file. Each mutant breaks
one rule that a killed process shows to be broken, and the campaign has to say so.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kill.model import apply
from kill.plan import PHASES, Update

#: What each mutant does wrong.
MUTANTS = {
    "torn": "the manifest is written where it is read",
    "early": "commit points are read before the content",
    "late": "commit points are read behind the content",
    "promise": "a checkpoint is promised before it is published",
    "gap": "the old checkpoint goes before the new one is there",
    "twice": "a session resumes one update too early",
}


class ToySession:
    """A session of the toy."""

    def __init__(self, store: ToyStore, name: str) -> None:
        self._store, self._name = store, name

    @property
    def serial(self) -> int:
        """The last update's."""
        return self._store.serials[self._name]

    @property
    def committed_serial(self) -> int:
        """What the last checkpoint has."""
        return self._store.safe.get(self._name, 0)

    def close(self) -> None:
        """Nothing is held."""

    def do(self, updates: list[Update]) -> None:
        """Do some updates."""
        for one in updates:
            with self._store.lock:
                apply(self._store.content, one)
                self._store.serials[self._name] += 1


class ToyStore:
    """The toy; see the module."""

    def __init__(self, directory: Path, mutant: str = "") -> None:
        self._file = directory / "toy.json"
        self._mutant = mutant
        self.lock = threading.Lock()
        self.content: dict[Any, Any] = {}
        self.serials: dict[str, int] = {}
        self.safe: dict[str, int] = {}
        self.recovery: SimpleNamespace | None = None
        directory.mkdir(exist_ok=True)
        if self._file.exists():
            found = json.loads(self._file.read_text())
            self.content = dict(found["content"])
            self.serials = found["serials"]
            self.safe = dict(self.serials)
            self.recovery = SimpleNamespace(sessions=self.safe, passed_over=())

    def items(self) -> Iterator[tuple[Any, Any]]:
        """All of it."""
        return iter(self.content.items())

    def session(self, name: str) -> ToySession:
        """A session that is not known."""
        self.serials[name] = 0
        return ToySession(self, name)

    def resume(self, name: str) -> ToySession:
        """One that is."""
        back = self._mutant == "twice" and self.serials[name] > 0
        self.serials[name] -= back
        return ToySession(self, name)

    def checkpoint(
        self, kind: str, *, progress: Callable[[Any], None]
    ) -> SimpleNamespace:
        """Write all of it."""
        if self._mutant == "early":
            early = dict(self.serials)
            progress(SimpleNamespace(phase="prepare"))
        with self.lock:
            content, serials = list(self.content.items()), dict(self.serials)
        if self._mutant == "early":
            serials = early
        for phase in PHASES[:-1]:
            progress(SimpleNamespace(phase=phase))
        if self._mutant == "late":
            serials = dict(self.serials)
        if self._mutant == "promise":
            self.safe = serials
        if self._mutant == "gap":
            self._file.unlink(missing_ok=True)
        text = json.dumps({"content": content, "serials": serials})
        self._publish(text.encode())
        self.safe = serials
        return SimpleNamespace(sessions=serials)

    def _publish(self, text: bytes) -> None:
        name = self._file if self._mutant == "torn" else self._file.with_suffix(".tmp")
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY
        file = os.open(name, flags, 0o600)
        for start in range(0, len(text), 4096):
            os.write(file, text[start : start + 4096])
        os.fsync(file)
        os.close(file)
        if name != self._file:
            name.rename(self._file)

    def close(self) -> None:
        """A last checkpoint."""
        self.checkpoint("snapshot", progress=lambda _: None)
