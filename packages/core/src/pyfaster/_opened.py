# SPDX-License-Identifier: MIT
"""
What is open in this process, for plugins that come later than stores.

Nothing here keeps a store or a log alive, and none is compared with another: that would
scan it. A child that was forked off has none of its parent's.
"""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from typing import Any, Protocol

from pyfaster.errors import PluginWarning


class Opened(Protocol):
    """
    A store or a log, as far as it is known here.
    """

    @property
    def name(self) -> str:
        """
        How it was opened.
        """
        ...

    @property
    def closed(self) -> bool:
        """
        Whether it is closed.
        """
        ...


_lock = threading.Lock()
_living: dict[int, weakref.ref[Any]] = {}


def remember(thing: Any) -> None:
    """
    Keep in mind that a store or a log is open.
    """
    with _lock:
        gone = [key for key, ref in _living.items() if ref() is None]
        for key in gone:
            del _living[key]
        _living[id(thing)] = weakref.ref(thing)


def opened() -> tuple[Any, ...]:
    """
    Give the stores and logs that are open in this process, in the order of opening.

    For plugins that tell of them all, whenever they were opened.
    """
    with _lock:
        things = [ref() for ref in _living.values()]
    return tuple(one for one in things if one is not None and not one.closed)


def log_opened(log: Opened) -> None:
    """
    Tell plugins of a log that is ready; for distributions that bring logs.

    Args:
        log: It has `name`, `closed` and `stats()`, and can be referred to weakly.

    Warns:
        PluginWarning: A plugin raised when it was told; the others were told too.
    """
    remember(log)
    _tell("pyfaster_log_opened", log)


def log_closed(log: Opened) -> None:
    """
    Tell plugins of a log that was closed; for distributions that bring logs.

    Warns:
        PluginWarning: As from `log_opened`.
    """
    _tell("pyfaster_log_closed", log)


def _tell(hook: str, log: Opened) -> None:
    from pyfaster._registry import registry  # slow to import

    for plugin, error in registry.tell(hook, log=log):
        warnings.warn(
            f"plugin {plugin!r} raised {type(error).__name__} in {hook}: {error}",
            PluginWarning,
            stacklevel=3,
        )


def _forget_in_child() -> None:
    """
    After fork(), in the child: what is open is the parent's.
    """
    global _lock
    _lock = threading.Lock()
    _living.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


__all__ = ["Opened", "log_closed", "log_opened", "opened", "remember"]
