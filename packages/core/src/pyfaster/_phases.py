# SPDX-License-Identifier: MIT
"""
What plugins are told while a checkpoint is taken.

Whoever takes one says by its progress in which phase it is; a phase that is over is
told at once, by the same thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pyfaster.events import CheckpointPhase, StoreEvent

if TYPE_CHECKING:
    from pyfaster.checkpoints import Progress, ProgressCall


class HasKind(Protocol):
    """
    An engine that knows which kind of checkpoint it takes.
    """

    kind: str


class Phases:
    """
    The progress of one checkpoint, as a keeper is given it.

    Args:
        store: The store's name.

        tell: Tells plugins.

        progress: What the user has given, or None.
    """

    def __init__(
        self,
        store: str,
        tell: Callable[[StoreEvent], None],
        progress: ProgressCall | None,
    ) -> None:
        self._store = store
        self._tell = tell
        self._progress = progress
        self._engine: HasKind | None = None
        self._began = self._since = 0
        self._phase = self._token = ""

    def begin(self, engine: HasKind) -> None:
        """
        It is its turn: nobody is waited for any more.
        """
        self._engine = engine
        self._began = time.monotonic_ns()

    def __call__(self, said: Progress) -> None:
        """
        Be told how far it is.
        """
        if said.phase != self._phase:
            self._end_phase()
            self._phase, self._token = said.phase, said.token
        if self._progress is not None:
            self._progress(said)

    def finish(self) -> None:
        """
        It is complete.
        """
        self._end_phase()

    @property
    def duration_ns(self) -> int:
        """
        How long it has been taken; 0 when it was not begun.
        """
        return time.monotonic_ns() - self._began if self._began else 0

    def _end_phase(self) -> None:
        now = time.monotonic_ns()
        since, self._since = self._since, now
        if not self._phase or self._engine is None:
            return
        self._tell(
            CheckpointPhase(
                self._store,
                self._token,
                self._engine.kind,
                self._phase,
                now - since,
                time_ns=time.time_ns(),
            )
        )


__all__ = ["Phases"]
