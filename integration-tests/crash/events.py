# SPDX-License-Identifier: MIT
"""
What happened in a run, in the order that decides what a power cut may leave.

Requests to the log's device have a beginning and an end, because a sync covers only the
writes that had ended before it began. Calls on files are one event each. Between them
stand the oracle's own events: which update was issued, and what was acknowledged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

#: Events that change what a power cut may leave, or what it may take.
MATTERS = frozenset(
    {"write", "wrote", "synced", "trim", "mkdir", "rmdir", "create", "append"}
    | {"rewrite", "fsync", "rename", "unlink", "dirsync", "ack", "dropped"}
)


@dataclass(frozen=True, slots=True)
class Event:
    """
    One thing that happened.

    Attributes:
        kind: On the device "write", "wrote", "sync" and "synced", and "trim" where its
            beginning is given back; on files "mkdir", "rmdir", "create", "append",
            "rewrite", "fsync", "rename", "unlink" and "dirsync"; of the oracle "issue",
            "appended", "want" and "ack". "dropped": the system forgot what it held of
            the device and had not written.

        place: The token of a file's place; "" is the root. Of a log's "want" and "ack":
            what is wanted.

        name: Of a file; of a session for "issue".

        other: The new name of "rename".

        file: The number of a file, which it keeps when it is renamed.

        number: Which request of the device "wrote" and "synced" end; the serial number
            for "issue".

        offset: In the device or the file.

        data: What was written.

        ok: Whether it was done.

        points: For "ack": the sessions' commit points that a crash may not take back.
    """

    kind: str
    place: str = ""
    name: str = ""
    other: str = ""
    file: int = 0
    number: int = 0
    offset: int = 0
    data: bytes = b""
    ok: bool = True
    points: Mapping[str, int] = field(default_factory=dict)


class Recorder:
    """
    The clock, and everything that was noted by it. Any thread may add.

    Args:
        clock: Gives the last number that a device with a clock of its own has given;
            what is added is later than that.
    """

    def __init__(self, clock: Callable[[], int] = lambda: 0) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._noted: list[tuple[int, int, Event]] = []

    def add(self, event: Event) -> None:
        """
        Note what happens now.
        """
        with self._lock:
            self._noted.append((self.clock(), len(self._noted), event))

    def timeline(self, device: Iterable[tuple[int, Event]] = ()) -> list[Event]:
        """
        Give all events in order, with those of a device that has its own clock.
        """
        with self._lock:
            noted = [((at, 1, turn), event) for at, turn, event in self._noted]
        noted += [((at, 0, 0), event) for at, event in device]
        noted.sort(key=lambda pair: pair[0])
        return [event for _, event in noted]


__all__ = ["MATTERS", "Event", "Recorder"]
