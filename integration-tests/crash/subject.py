# SPDX-License-Identifier: MIT
"""
What the simulator needs of a store, and one life of it on recorded files and devices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from crash.events import Event, Recorder
from crash.files import Refusal, SimFiles, nothing_refused
from crash.image import Image, Question
from crash.oracle import Plan, Points, Update, Value


class Refused(Exception):
    """
    A store did not open, and said so as it should: nothing usable is there.
    """


class Running(Protocol):
    """
    A store that is open.

    Attributes:
        points: The commit points that it recovered.
    """

    points: Points

    def content(self) -> Mapping[Value, Value]:
        """
        Every key and its value, by a scan of everything.
        """
        ...

    def reread(self, found: Mapping[Value, Value], keys: set[Value]) -> list[str]:
        """
        Look keys up through the index; what differs from a scan.
        """
        ...

    def perform(self, session: int, update: Update) -> int:
        """
        Do an update; give its serial number.
        """
        ...

    def checkpoint(self, kind: str, step: Callable[[], None] | None = None) -> Points:
        """
        Take a checkpoint; give what it commits. `step` is called now and then.
        """
        ...

    def close(self) -> None:
        """
        End, without a checkpoint.
        """
        ...


class Log(Protocol):
    """
    A device with contents that records.
    """

    def clock(self) -> int:
        """
        The last number of its own clock.
        """
        ...

    def events(self) -> Any:
        """
        What it recorded by its own clock.
        """
        ...

    def looked(self) -> set[Question]:
        """
        What of the contents was read.
        """
        ...


class Subject(Protocol):
    """
    A kind of store that can be tried.

    Attributes:
        reads_ahead: It recovers more of the log than its checkpoints name. Then what a
            failed sync left in the system's memory must be gone when it is opened.
    """

    @property
    def reads_ahead(self) -> bool: ...

    def tuned(self, settings: Mapping[str, Any]) -> Subject:
        """
        Give the same kind of store with other settings.
        """
        ...

    def log(self, image: Image, recorder: Recorder, **wishes: Any) -> Log:
        """
        Make a device with the image's log.
        """
        ...

    def start(self, log: Any, files: SimFiles, plan: Plan) -> Running:
        """
        Open a store.

        Raises:
            Refused: It said in the way it should that it cannot.
        """
        ...


class Life:
    """
    One life of a store, from opening to its end.

    Args:
        subject: What kind of store.

        image: What there is; it is changed.

        plan: What the sessions do.

        refuse: May make calls on files fail.

        **wishes: For the device.

    Attributes:
        store: The store, once `start` was called.
    """

    store: Running

    def __init__(
        self,
        subject: Subject,
        image: Image,
        plan: Plan,
        refuse: Refusal = nothing_refused,
        **wishes: Any,
    ) -> None:
        self.subject, self.plan, self.image = subject, plan, image
        self.recorder = Recorder()
        self.files = SimFiles(self.recorder, image, refuse)
        self.log = subject.log(image, self.recorder, **wishes)
        self.recorder.clock = self.log.clock
        self.serials: dict[int, int] = {}
        self.ended = False

    def start(self) -> Running:
        """
        Open the store; its commit points are where the sessions go on.
        """
        self.store = self.subject.start(self.log, self.files, self.plan)
        for number, name in enumerate(self.plan.names):
            self.serials[number] = self.store.points.get(name, 0)
        return self.store

    def work(self, session: int) -> None:
        """
        Let a session do its next update.

        Raises:
            AssertionError: The store gave it another serial number.
        """
        serial = self.serials[session] + 1
        name = self.plan.names[session]
        self.recorder.add(Event("issue", name=name, number=serial))
        self.serials[session] = serial
        got = self.store.perform(session, self.plan.update(session, serial))
        if got != serial:
            raise AssertionError(f"session {name}: serial {got}, expected {serial}")

    def checkpoint(self, kind: str, step: Callable[[], None] | None = None) -> Points:
        """
        Take a checkpoint, and note what it has promised.
        """
        points = dict(self.store.checkpoint(kind, step))
        self.recorder.add(Event("ack", points=points))
        return points

    def end(self) -> None:
        """
        End it without a checkpoint; a second call does nothing.
        """
        if not self.ended and hasattr(self, "store"):
            self.ended = True
            self.store.close()

    def timeline(self) -> list[Event]:
        """
        Give everything that happened.
        """
        return self.recorder.timeline(self.log.events())

    def looked(self) -> frozenset[Question]:
        """
        Give everything of the image that mattered.
        """
        return frozenset(self.files.looked | self.log.looked())


__all__ = ["Life", "Log", "Refused", "Running", "Subject"]
