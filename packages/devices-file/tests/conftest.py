# SPDX-License-Identifier: MIT
"""Settings of all tests here: helpers are found, and each test has a directory."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def uncollected() -> Iterator[None]:
    """Keep what earlier tests have left: some tests here count descriptors, and
    garbage that goes meanwhile may have had some."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where a store may be; its parent is there, itself it is not."""
    return tmp_path / "store"
