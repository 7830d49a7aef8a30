# SPDX-License-Identifier: MIT
"""What demonstrations need to survive a kill, and say when it is not there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pyfaster._demo import _copying, _survival
from pyfaster._registry import Registry
from pyfaster.errors import PluginMissingError


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


def test_the_log_has_to_be_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the durable log nothing is copied, and the pip line is told."""
    monkeypatch.setitem(sys.modules, "pyfaster_fasterlog", None)
    with pytest.raises(PluginMissingError) as caught:
        _copying.copy_tree(
            tmp_path, kills=1, batch=1, seed=1, progress=lambda *told: None
        )
    assert 'pip install "pyfaster[log]"' in str(caught.value)


def test_only_a_log_that_is_missing_is_called_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the log itself cannot import is that error, and no other."""

    def failing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'else'", name="else")

    monkeypatch.setattr(_copying, "import_module", failing)
    with pytest.raises(ModuleNotFoundError, match="else") as caught:
        _copying.log_module()
    assert not isinstance(caught.value, PluginMissingError)
