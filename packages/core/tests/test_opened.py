# SPDX-License-Identifier: MIT
"""
What is open in this process, for plugins that come later than stores.
"""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest

import pyfaster
from pyfaster import flog, hookimpl


def names() -> list[str]:
    """Give the names of what is open."""
    return [one.name for one in pyfaster.opened()]


def test_stores_are_there_from_their_opening_to_their_close() -> None:
    """In the order of opening; what is closed is not among them."""
    gc.collect()  # what others have dropped is not to go in between
    before = len(pyfaster.opened())
    first = pyfaster.open()
    with pyfaster.open() as second:
        found = pyfaster.opened()[before:]
        assert found[0] is first
        assert found[1] is second
        first.close()
        assert pyfaster.opened()[before] is second
    assert len(pyfaster.opened()) == before


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_nothing_is_kept_alive() -> None:
    """A store that is dropped is gone."""
    gc.collect()
    before = len(pyfaster.opened())
    store = pyfaster.open()
    assert len(pyfaster.opened()) == before + 1
    store.close()
    del store
    gc.collect()
    assert len(pyfaster.opened()) == before


class Log:
    """What another distribution may call a log."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.closed = False


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    @hookimpl
    def pyfaster_log_opened(self, log: Any) -> None:
        """Keep it."""
        self.told.append(("opened", log.name))

    @hookimpl
    def pyfaster_log_closed(self, log: Any) -> None:
        """Keep it, and fail."""
        self.told.append(("closed", log.name))
        raise RuntimeError("no")


def test_logs_are_told_of_and_a_plugin_that_raises_is_a_warning() -> None:
    """Other distributions tell of their logs as the core tells of stores."""
    listener = Listener()
    pyfaster.register(listener, name="listener")
    try:
        log = Log("wal")
        flog.log_opened(log)
        assert "wal" in names()
        log.closed = True
        with pytest.warns(pyfaster.PluginWarning, match="'listener' raised Runtime"):
            flog.log_closed(log)
    finally:
        pyfaster.unregister("listener")
    assert "wal" not in names()
    assert listener.told == [("opened", "wal"), ("closed", "wal")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_child_has_none_of_its_parents() -> None:
    """What was open at the fork is the parent's; what the child opens is its own."""
    with pyfaster.open():
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                own = Log("own")
                empty = pyfaster.opened() == ()
                flog.log_opened(own)
                code = 0 if empty and names() == ["own"] else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
