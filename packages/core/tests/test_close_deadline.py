# SPDX-License-Identifier: MIT
"""Timeouts of a whole store: one deadline for all that closing waits for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import pyfaster
from pyfaster import _cabi, _session, _store
from pyfaster.errors import ConfigError
from pyfaster.testing import MemoryDevice


def test_closing_has_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """What draining has taken of the timeout, the core's close does not get again."""
    now = [1000.0]
    allowed: list[int] = []
    close = _cabi.Kv.close

    def drain(session: int, timeout_ms: int) -> int:
        allowed.append(timeout_ms)
        now[0] += 4.0
        return 0

    def end(kv: _cabi.Kv, timeout_ms: int) -> None:
        allowed.append(timeout_ms)
        close(kv, timeout_ms)

    clock = SimpleNamespace(monotonic=lambda: now[0])
    store = pyfaster.open(key=int, value=int)
    sessions = [store.session() for _ in range(3)]
    with monkeypatch.context() as patch:
        patch.setattr(_store, "time", clock)
        patch.setattr(_session, "time", clock)
        patch.setattr(_cabi, "session_drain", drain)
        patch.setattr(_cabi.Kv, "close", end)
        store.close(timeout=10)
    assert allowed == [10_000, 6_000, 2_000, 0]
    assert store.closed
    assert len(sessions) == 3


@pytest.mark.parametrize("timeout", [-1, 1e9, float("nan")])
@pytest.mark.parametrize("name", ["close", "flush", "evict"])
def test_each_timeout_is_checked(name: str, timeout: float) -> None:
    """Whatever waits refuses a senseless timeout in the same words."""
    with (
        pyfaster.open(device=MemoryDevice(), memory="1MiB") as store,
        pytest.raises(ConfigError, match=r"give seconds from 0 to 86400"),
    ):
        getattr(store, name)(timeout)


@pytest.mark.parametrize("name", ["close", "flush", "evict"])
def test_a_child_is_told_what_it_called(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ForkedError names the method, also where two share their code."""
    with pyfaster.open(device=MemoryDevice(), memory="1MiB") as store:
        with monkeypatch.context() as patch:
            patch.setattr(store, "_pid", -1)
            with pytest.raises(pyfaster.ForkedError, match=f": {name}"):
                getattr(store, name)()
