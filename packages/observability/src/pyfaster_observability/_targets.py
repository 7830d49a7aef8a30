# SPDX-License-Identifier: MIT
"""
What is told of: the stores and logs that are open, each under a name of its own.

Theory of operation: `pyfaster.opened()` knows who is open, whenever it was opened. A
target is kept for each until its end is told, without keeping it alive: the last events
of a store come when it is closed already. Two stores may
have one name (":memory:"); the later one is told of as ":memory:#2", so that figures of
two never fall together.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, field
from typing import Any

import pyfaster

STORE = "store"
LOG = "log"


@dataclass(slots=True)
class Checkpoints:
    """
    What events have told of a store's checkpoints.

    Attributes:
        taken: How many of each kind.

        failed: How many of each kind could not be taken.

        total_ns: How long those that were taken took together.

        last_ns: How long the newest took; 0 before the first.

        last_size: Bytes of the newest.

        created: When the newest was taken, or the one that was recovered from, in
            seconds since 1970; 0 when there is none.
    """

    taken: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    total_ns: int = 0
    last_ns: int = 0
    last_size: int = 0
    created: float = 0.0


@dataclass(slots=True)
class Target:
    """
    A store or a log that is told of.

    Attributes:
        kind: "store" or "log".

        name: Its name.

        namespace: The name under which it is told of; no other that is open has it.

        ref: Where it is.

        checkpoints: What events have told.
    """

    kind: str
    name: str
    namespace: str
    ref: weakref.ref[Any]
    checkpoints: Checkpoints = field(default_factory=Checkpoints)

    @property
    def thing(self) -> Any:
        """
        The store or log, None when it is closed or gone.
        """
        thing = self.ref()
        return None if thing is None or thing.closed else thing


class Targets:
    """
    The targets of this process; any thread may ask.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[int, Target] = {}

    def refresh(self) -> list[Target]:
        """
        Give a target for each store and log that is open.
        """
        there = pyfaster.opened()
        with self._lock:
            for key, target in list(self._known.items()):
                if target.ref() is None:
                    del self._known[key]
            return [self._take(thing) for thing in there]

    def of(self, thing: object) -> Target:
        """
        Give the target of one that is open, or was just now.
        """
        with self._lock:
            return self._take(thing)

    def named(self, name: str) -> Target | None:
        """
        Give the target that an event of this name is of: the first one, if several
        that are open share it.
        """
        with self._lock:
            found = [one for one in self._known.values() if one.name == name]
        if not found:
            found = [one for one in self.refresh() if one.name == name]
        found.sort(key=lambda one: one.thing is None)  # one that is open, if there is
        return found[0] if found else None

    def forget(self, thing: object) -> None:
        """
        Let the target of one go that is closed, and what was known of it.
        """
        with self._lock:
            target = self._known.get(id(thing))
            if target is not None and target.ref() is thing:
                del self._known[id(thing)]

    def _take(self, thing: Any) -> Target:
        target = self._known.get(id(thing))
        if target is not None and target.ref() is thing:
            return target
        kind = STORE if isinstance(thing, pyfaster.FasterKv) else LOG
        name = str(thing.name)
        used = {one.namespace for one in self._known.values() if one.thing is not None}
        namespace, number = name, 1
        while namespace in used:
            number += 1
            namespace = f"{name}#{number}"
        target = Target(kind, name, namespace, weakref.ref(thing))
        self._known[id(thing)] = target
        return target

    def begin_anew(self) -> None:
        """
        After fork(), in the child: the lock may have been held, and what is open is the
        parent's.
        """
        self._lock = threading.Lock()
        self._known.clear()


#: The targets of this process.
targets = Targets()


__all__ = ["LOG", "STORE", "Checkpoints", "Target", "Targets", "targets"]
