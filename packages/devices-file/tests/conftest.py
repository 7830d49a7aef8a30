# SPDX-License-Identifier: MIT
"""Settings of all tests here: helpers are found, and each test has a directory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where a store may be; its parent is there, itself it is not."""
    return tmp_path / "store"
