# SPDX-License-Identifier: MIT
"""
Plugins are told when a log is ready, and when it is closed: each once, in that order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pyfaster
from pyfaster import hookimpl
from pyfaster_fasterlog import FasterLog


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    @hookimpl
    def pyfaster_log_opened(self, log: FasterLog) -> None:
        """Keep which, and whether it can be asked."""
        self.told.append(("opened", log.stats().entries))

    @hookimpl
    def pyfaster_log_closed(self, log: FasterLog) -> None:
        """Keep that it was closed before it is told."""
        self.told.append(("closed", log.closed))


@pytest.fixture
def listener() -> Any:
    """Register one for a test."""
    found = Listener()
    pyfaster.register(found, name="listener")
    yield found
    pyfaster.unregister("listener")


def test_a_log_is_told_of_once_at_each_end(listener: Listener) -> None:
    """A second close tells nothing; what is open is known to the process."""
    log = FasterLog.open(":memory:")
    assert any(one is log for one in pyfaster.opened())
    log.append(b"x")
    log.close()
    log.close()
    assert listener.told == [("opened", 0), ("closed", True)]
    assert not any(one is log for one in pyfaster.opened())


def test_a_log_that_only_reads_is_not_told_of(place: Path, listener: Listener) -> None:
    """A follower has no figures of its own."""
    with FasterLog.open(place) as log:
        log.append_and_commit(b"x")
        listener.told.clear()
        with FasterLog.open(place, read_only=True):
            assert listener.told == []


def test_a_plugin_that_raises_is_a_warning(listener: Listener) -> None:
    """The log is open, and closes, all the same; where it is an error it is closed."""

    class Broken:
        @hookimpl
        def pyfaster_log_opened(self, log: FasterLog) -> None:
            raise RuntimeError("no")

    pyfaster.register(Broken(), name="broken")
    try:
        with pytest.warns(pyfaster.PluginWarning, match="'broken' raised Runtime"):
            FasterLog.open(":memory:").close()
        with pytest.raises(pyfaster.PluginWarning):
            FasterLog.open(":memory:")  # here each warning is an error
    finally:
        pyfaster.unregister("broken")
    assert [word for word, _ in listener.told] == ["opened", "closed"] * 2
