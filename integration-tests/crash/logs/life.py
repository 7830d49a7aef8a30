# SPDX-License-Identifier: MIT
"""
What the simulator needs of a log, and one life of it on recorded files and devices.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from crash.events import Event, Recorder
from crash.files import Refusal, SimFiles, nothing_refused
from crash.image import Image, Question
from crash.logs.files import SimSlots
from crash.logs.oracle import Found
from kill.plan import mix


class Commit(NamedTuple):
    """
    What a commit has made durable.
    """

    number: int
    until: int


class RunningLog(Protocol):
    """
    A log that is open.
    """

    def found(self) -> Found:
        """
        What it holds that is committed.
        """
        ...

    def append(self, data: bytes) -> int:
        """
        Append an entry; give its address.
        """
        ...

    def append_many(self, entries: Sequence[bytes]) -> Sequence[int]:
        """
        Append entries as one; give their addresses.
        """
        ...

    def append_and_commit(self, data: bytes) -> int:
        """
        Append an entry and wait until it is durable.
        """
        ...

    async def append_and_commit_async(self, data: bytes) -> int:
        """
        The same, in a task of several.
        """
        ...

    def commit(self, cookie: bytes = b"") -> Commit:
        """
        Make everything durable.
        """
        ...

    async def commit_async(self) -> Commit:
        """
        Wait in a task until everything appended before is durable.
        """
        ...

    def committed(self) -> Commit:
        """
        What is durable.
        """
        ...

    def wait(self, address: int) -> None:
        """
        Wait until an entry is durable, and ask for nothing.
        """
        ...

    def save(self, name: str, address: int) -> None:
        """
        Make a cursor's position durable.
        """
        ...

    def drop_cursor(self, name: str) -> None:
        """
        Forget a cursor for good.
        """
        ...

    def truncate_until(self, address: int) -> None:
        """
        Cut the beginning off.
        """
        ...

    def truncate_suffix(self, address: int) -> None:
        """
        Cut the end off.
        """
        ...

    def complete(self) -> None:
        """
        Say that nothing will follow.
        """
        ...

    def close(self, *, clean: bool) -> None:
        """
        End: as one should, or as a process that is killed.
        """
        ...


class LogSubject(Protocol):
    """
    A kind of log that can be tried.
    """

    def tuned(self, settings: dict[str, Any]) -> LogSubject:
        """
        Give the same kind of log with other settings.
        """
        ...

    def device(self, image: Image, recorder: Recorder, **wishes: Any) -> Any:
        """
        Make a device with the image's log.
        """
        ...

    def start(self, device: Any, slots: SimSlots, recover: int | None) -> RunningLog:
        """
        Open a log, at its last commit or a chosen one.

        Raises:
            Refused: It said in the way it should that it cannot.
        """
        ...


def payload(seed: int, number: int) -> bytes:
    """
    Give what an entry holds: mostly little, at times nothing, or much.
    """
    chance = mix(seed, number)
    kind = chance % 16
    if kind == 0:
        return b""
    length = chance // 16 % (1500 if kind == 1 else 90)
    return b"%d:%x|" % (number, chance) + bytes([chance & 255]) * length


def facts(found: Found) -> dict[str, int]:
    """
    Give what is promised of a log that is open, but for its entries.
    """
    cursors = {f"cursor {name}": at for name, at in found.cursors.items()}
    return {"begin": found.begin, "completed": found.completed, **cursors}


class LogLife:
    """
    One life of a log, from opening to its end.

    Args:
        subject: What kind of log.

        image: What there is; it is changed.

        seed: Of the payloads.

        numbers: Gives each entry its number.

        refuse: May make calls on files fail.

        **wishes: For the device.

    Attributes:
        log: The log, once `start` was called.

        held: What it held then.
    """

    log: RunningLog
    held: Found

    def __init__(
        self,
        subject: LogSubject,
        image: Image,
        seed: int,
        numbers: Iterator[int],
        refuse: Refusal = nothing_refused,
        **wishes: Any,
    ) -> None:
        self.subject, self.image, self.seed = subject, image, seed
        self.recorder = Recorder()
        self.files = SimFiles(self.recorder, image, refuse)
        self.device = subject.device(image, self.recorder, **wishes)
        self.recorder.clock = self.device.clock
        self.ended = False
        self._numbers = numbers
        self._lock = threading.Lock()

    def note(self, kind: str, place: str = "", **about: Any) -> None:
        """
        Note something of the oracle's.
        """
        self.recorder.add(Event(kind, place, **about))

    def start(self, recover: tuple[int, int] | None = None) -> Found:
        """
        Open the log; from then on what it holds is promised.

        Args:
            recover: Number of a commit, and what it had made durable.
        """
        number, until = recover if recover is not None else (None, 0)
        if recover is not None:
            self.note("want", "opened", offset=until)
        self.log = self.subject.start(self.device, SimSlots(self.files), number)
        self.held = found = self.log.found()
        end = found.entries[-1][0] + 1 if found.entries else found.begin
        about = {"offset": end, "number": found.number, "points": facts(found)}
        self.note("ack", "opened", **about)
        return found

    # --- what is done to it ---------------------------------------------------------

    def _issue(self) -> tuple[int, bytes]:
        with self._lock:
            number = next(self._numbers)
            data = payload(self.seed, number)
            self.note("issue", number=number, data=data)
            return number, data

    def append(self) -> int:
        """
        Append an entry.
        """
        number, data = self._issue()
        address = self.log.append(data)
        self.note("appended", number=number, offset=address)
        return address

    def append_many(self, size: int) -> None:
        """
        Append several entries as one.
        """
        issued = [self._issue() for _ in range(size)]
        addresses = self.log.append_many([data for _, data in issued])
        for (number, _), address in zip(issued, addresses, strict=True):
            self.note("appended", number=number, offset=address)

    def append_and_commit(self) -> int:
        """
        Append an entry and make it durable.
        """
        number, data = self._issue()
        address = self.log.append_and_commit(data)
        self.note("appended", number=number, offset=address)
        self.note("ack", "commit", offset=address + 1)
        return address

    async def append_and_commit_async(self) -> int:
        """
        The same, in a task of several.
        """
        number, data = self._issue()
        address = await self.log.append_and_commit_async(data)
        self.note("appended", number=number, offset=address)
        self.note("ack", "commit", offset=address + 1)
        return address

    async def commit_async(self) -> None:
        """
        Wait in a task until everything appended before is durable.
        """
        self.acknowledge(await self.log.commit_async())

    def commit(self, cookie: bytes = b"") -> Commit:
        """
        Make everything durable.

        Raises:
            AssertionError: The commit's number is not above the one before.
        """
        before = self.log.committed()
        commit = self.log.commit(cookie)
        if cookie and commit.number <= before.number:
            raise AssertionError(f"commit {commit.number} follows {before.number}")
        self.acknowledge(commit, cookie)
        return commit

    def acknowledge(self, commit: Commit, cookie: bytes = b"") -> None:
        """
        Note that the log has said that something is durable.
        """
        about = {"offset": commit.until, "number": commit.number, "data": cookie}
        self.note("ack", "commit", **about)

    def wait(self, address: int) -> None:
        """
        Wait until the log has made an entry durable by itself.
        """
        self.log.wait(address)
        self.note("ack", "commit", offset=address + 1)

    def look(self) -> Commit:
        """
        See what is durable by now.
        """
        commit = self.log.committed()
        self.acknowledge(commit)
        return commit

    def save(self, name: str, address: int) -> None:
        """
        Save a cursor.
        """
        self.note("want", "saved", name=name, offset=address)
        self.log.save(name, address)
        self.note("ack", "saved", name=name, offset=address)

    def drop_cursor(self, name: str) -> None:
        """
        Forget a cursor.
        """
        self.note("want", "dropped cursor", name=name)
        self.log.drop_cursor(name)
        self.note("ack", "dropped cursor", name=name)

    def truncate_until(self, address: int) -> None:
        """
        Cut the beginning off.
        """
        self.note("want", "truncated", offset=address)
        self.log.truncate_until(address)
        self.note("ack", "truncated", offset=address)

    def truncate_suffix(self, address: int) -> None:
        """
        Cut the end off.
        """
        self.note("want", "cut", offset=address)
        self.log.truncate_suffix(address)
        found = self.log.found()
        about = {"offset": address, "number": found.number, "points": facts(found)}
        self.note("ack", "cut", **about)

    def complete(self) -> None:
        """
        Say that nothing will follow; what was appended is durable then.
        """
        self.note("want", "completed")
        self.log.complete()
        self.note("ack", "completed")
        self.look()

    def end(self, *, clean: bool = False) -> None:
        """
        End it; a second call does nothing.
        """
        if not self.ended and hasattr(self, "log"):
            self.ended = True
            self.log.close(clean=clean)

    # --- what it was ----------------------------------------------------------------

    def timeline(self) -> list[Event]:
        """
        Give everything that happened.
        """
        return self.recorder.timeline(self.device.events())

    def looked(self) -> frozenset[Question]:
        """
        Give everything of the image that mattered.
        """
        return frozenset(self.files.looked | self.device.looked())


__all__ = ["Commit", "LogLife", "LogSubject", "RunningLog", "payload"]
