# SPDX-License-Identifier: MIT
"""What the demonstration needs to survive a kill, and says when it is not there."""

from __future__ import annotations

import pytest

from pyfaster._demo import _survival
from pyfaster._registry import Registry


@pytest.mark.parametrize("provider", [None, object()])
def test_what_has_to_be_installed(
    monkeypatch: pytest.MonkeyPatch, provider: object
) -> None:
    """Checkpoints are asked for first, then files; each with its pip line."""
    empty = Registry(entry_points=lambda: ())
    monkeypatch.setattr(empty, "checkpoint_provider", lambda: provider)
    monkeypatch.setattr(_survival, "registry", empty)
    extra = "file" if provider else "checkpoint"
    missing = _survival.what_is_missing()
    assert missing is not None
    assert f'pip install "pyfaster[{extra}]"' in missing
