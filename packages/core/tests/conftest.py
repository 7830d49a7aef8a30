# SPDX-License-Identifier: MIT
"""
Settings of all tests here: the same examples in every run, which may take any time. A
place for durable stores.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from pyfaster._checkpoint import CoreCheckpoint

sys.path.insert(0, str(Path(__file__).parent))
from durable_kit import Place

settings.register_profile("core", derandomize=True, deadline=None)
settings.load_profile("core")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place that holds nothing yet; needs the plugin for checkpoints."""
    pytest.importorskip("pyfaster_checkpoint")
    return Place(tmp_path / "kept")


@pytest.fixture
def hurried(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[], AbstractContextManager[None]]:
    """
    What keeps a checkpoint from waiting for sessions for more than an instant.

    A timeout of its own would count what directories and files take, too, and that may
    be longer than any short one.
    """
    advance = CoreCheckpoint.advance

    def hurry(self: CoreCheckpoint, timeout: float, /) -> str:
        return advance(self, min(timeout, 0.05))

    @contextmanager
    def hurrying() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(CoreCheckpoint, "advance", hurry)
            yield

    return hurrying
