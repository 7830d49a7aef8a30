# SPDX-License-Identifier: MIT
"""
The last events of each store, for whoever looks at it from outside.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from pyfaster import events
from pyfaster_observability._targets import Target

#: Events of a store that are kept.
RECENT = 32
#: Stores that events are kept of.
STORES_MAX = 256

_SIMPLE = (bool, int, float, str, type(None))
_TEXT_MAX = 200


def as_dict(event: events.StoreEvent) -> dict[str, Any]:
    """
    What an event says, as JSON has it: its name, the time, and its fields. What is
    neither a number nor a text is told in words.
    """
    said: dict[str, Any] = {"event": type(event).__name__, "time_ns": event.time_ns}
    for field in dataclasses.fields(event):
        if field.name in ("store", "time_ns"):
            continue
        said[field.name] = _plain(getattr(event, field.name))
    return said


def _plain(value: object) -> object:
    if isinstance(value, str):
        return value[:_TEXT_MAX]
    if isinstance(value, _SIMPLE):
        return value
    token = getattr(value, "token", None)
    if isinstance(token, str):
        return token[:_TEXT_MAX]
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"[:_TEXT_MAX]
    return type(value).__name__


class Recent:
    """
    The last events of each store. Sampled operations are none of them: they would leave
    no room for others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, deque[dict[str, Any]]] = {}

    def add(self, target: Target, event: events.StoreEvent) -> None:
        """
        Keep an event.
        """
        if isinstance(event, (events.OperationSampled, events.PendingCompleted)):
            return
        said = as_dict(event)
        with self._lock:
            kept = self._kept.setdefault(target.namespace, deque(maxlen=RECENT))
            kept.append(said)
            while len(self._kept) > STORES_MAX:
                del self._kept[next(iter(self._kept))]

    def of(self, target: Target) -> list[Mapping[str, Any]]:
        """
        Give the events of a store, the oldest first.
        """
        with self._lock:
            return list(self._kept.get(target.namespace, ()))

    def forget(self, target: Target) -> None:
        """
        Let the events of a store go, which is closed.
        """
        with self._lock:
            self._kept.pop(target.namespace, None)

    def begin_anew(self) -> None:
        """
        After fork(), in the child.
        """
        self._lock = threading.Lock()
        self._kept.clear()


#: The last events of this process.
recent = Recent()


__all__ = ["RECENT", "Recent", "as_dict", "recent"]
