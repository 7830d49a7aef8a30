# SPDX-License-Identifier: MIT
"""
Devices for logs: one in Python that records on the files' clock, and the core's own,
with contents, behind a recording one.

`SimDevice` serves what drives it by hand. A store of the core gets a `LoadedDevice`,
which the core's threads use without the interpreter; its recording has a clock of its
own, which `Recorder` follows.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from crash.events import Event, Recorder
from crash.image import Question, blank, put
from pyfaster._cabi_devices import DONE, READ, SYNC, TRUNCATE, WRITE
from pyfaster._native import ffi, lib
from pyfaster.testing import FaultyDevice, MemoryDevice, RecordingDevice, Rule

#: Unit of allocation of the device in memory.
SEGMENT = 1 << 16


class SimDevice:
    """
    A device in Python, a `pyfaster.protocols.PythonDevice`.

    Args:
        recorder: Notes what is done.

        log: What it holds at first; it is changed.

        failing: May make a request fail.
    """

    def __init__(
        self,
        recorder: Recorder,
        log: bytearray | None = None,
        failing: Callable[[Event], OSError | None] | None = None,
    ) -> None:
        self.recorder = recorder
        self.log = log if log is not None else bytearray()
        self.failing = failing
        self._number = 0
        self._read: set[tuple[int, int]] = set()

    def _begin(self, kind: str, offset: int = 0, data: bytes = b"") -> int:
        """
        Note the beginning of a request; raise what it is to raise.
        """
        self._number += 1
        event = Event(kind, number=self._number, offset=offset, data=data)
        self.recorder.add(event)
        error = self.failing(event) if self.failing is not None else None
        if error is not None:
            self._end("wrote" if kind == "write" else "synced", ok=False)
            raise error
        return self._number

    def _end(self, kind: str, *, ok: bool = True) -> None:
        self.recorder.add(Event(kind, number=self._number, ok=ok))

    def read(self, offset: int, buffer: memoryview, /) -> int:
        """
        Fill the buffer; give how many bytes there were.
        """
        self._read.add((offset, len(buffer)))
        part = bytes(self.log[offset : offset + len(buffer)])
        buffer[: len(part)] = part
        return len(part)

    def write(self, offset: int, buffer: memoryview, /) -> int:
        """
        Write the whole buffer.
        """
        data = bytes(buffer)
        self._begin("write", offset, data)
        put(self.log, offset, data)
        self._end("wrote")
        return len(data)

    def sync(self) -> None:
        """
        Make what was written survive.
        """
        self._begin("sync")
        self._end("synced")

    def truncate_before(self, offset: int, /) -> None:
        """
        Give the beginning back.
        """
        self.recorder.add(Event("trim", offset=offset))
        blank(self.log, offset)

    def close(self) -> None:
        """
        Nothing to end.
        """

    def clock(self) -> int:
        """
        It goes by the recorder's own order.
        """
        return 0

    def events(self) -> Iterator[tuple[int, Event]]:
        """
        Nothing beside what the recorder has.
        """
        return iter(())

    def looked(self) -> set[Question]:
        """
        Give what of the first contents was read.
        """
        return {("log", offset, length) for offset, length in self._read}


class LoadedDevice:
    """
    A device in memory with contents, behind one that records.

    Args:
        log: What it holds at first.

        rules: What it is to do wrong; the recording has it.

        lies: What it is to do wrong, as if the recording device did: it has nothing of
            that.

    Attributes:
        record: What was done.

        faulty: What goes by the rules, if there are any.

        device: What a store is given.
    """

    def __init__(
        self,
        log: bytearray,
        *,
        rules: tuple[Rule, ...] = (),
        lies: tuple[Rule, ...] = (),
    ) -> None:
        self.memory = MemoryDevice(SEGMENT)
        load(self.memory, log)
        inner: Any = FaultyDevice(self.memory, rules) if rules else self.memory
        self.faulty: FaultyDevice | None = inner if rules else None
        self.record = RecordingDevice(inner, reads=True)
        self.device: Any = FaultyDevice(self.record, lies) if lies else self.record
        self._tape = Tape(self.record)

    def clock(self) -> int:
        """
        Give the last number of the recording's clock.
        """
        return self._tape.pull()

    def looked(self) -> set[Question]:
        """
        What of the contents was read, or will have been when a request ends.
        """
        self._tape.pull()
        return {
            ("log", one.offset, one.length)
            for one in self._tape.requests
            if one.kind == READ
        }

    def events(self) -> Iterator[tuple[int, Event]]:
        """
        Give what was recorded, with its place in time.
        """
        self._tape.pull()
        for number, one in enumerate(self._tape.requests, start=1):
            if one.kind == TRUNCATE:
                yield one.submitted, Event("trim", number=number, offset=one.offset)
            if one.kind not in (WRITE, SYNC):
                continue
            write = one.kind == WRITE
            begun, ended = ("write", "wrote") if write else ("sync", "synced")
            place = (number, one.offset, one.data)
            yield one.submitted, Event(begun, "", "", "", 0, *place)
            if one.completed:
                yield one.completed, Event(ended, number=number, ok=one.ok)


@dataclass(slots=True)
class Request:
    """
    One request, as far as it is known.
    """

    kind: int
    offset: int
    length: int
    submitted: int
    data: bytes
    completed: int = 0
    ok: bool = False


class Tape:
    """
    What a recording device has, taken over as it grows: it is asked all the time.

    Attributes:
        requests: Those that were accepted, in the order of submission.
    """

    def __init__(self, record: RecordingDevice) -> None:
        self.requests: list[Request] = []
        self._c = record._c.c
        self._event = ffi.new("struct faster_recording_event *")
        self._open: list[tuple[int, Request | None]] = []
        self._taken = 0
        self._last = 0

    def pull(self) -> int:
        """
        Take over what is new; give the last number of the clock.
        """
        count = lib.faster_recording_count(self._c)
        self._open += ((index, None) for index in range(self._taken, count))
        self._taken = count
        still: list[tuple[int, Request | None]] = []
        for index, known in self._open:
            request = self._look(index, known)
            if request is not None and not request.completed:
                still.append((index, request))
        self._open = still
        return self._last

    def _look(self, index: int, request: Request | None) -> Request | None:
        """
        Look at a request; None for one that was refused.
        """
        event = self._event
        lib.faster_recording_event(self._c, index, event)
        self._last = max(self._last, event.submitted, event.completed)
        if event.result != 0:
            return None
        if request is None:
            wrote = event.kind == WRITE and event.bytes != ffi.NULL
            data = bytes(ffi.buffer(event.bytes, event.length)) if wrote else b""
            request = Request(
                event.kind, event.offset, event.length, event.submitted, data
            )
            self.requests.append(request)
        request.completed = event.completed
        whole = event.kind != WRITE or event.moved == event.length
        request.ok = event.code == DONE and whole
        return request


def _done(context: Any, status: int, length: int) -> None:
    """
    End a request of `load`.
    """
    ffi.from_handle(context).append((status, length))


_DONE = ffi.callback("void(void *, int32_t, uint64_t)", _done)


def load(device: MemoryDevice, log: bytearray) -> None:
    """
    Write into a device that nobody has yet.

    Raises:
        OSError: It was not written.
    """
    if not log:
        return
    ends: list[tuple[int, int]] = []
    handle = ffi.new_handle(ends)
    completion = ffi.new("struct faster_completion *", {"done": _DONE})
    completion.context = handle
    table = ffi.cast("struct faster_device *", device._address)
    data = ffi.from_buffer(log)
    result = table.write(table.context, 0, data, len(log), completion)
    if result != 0 or ends != [(DONE, len(log))]:
        raise OSError(errno.EIO, f"loading a device: {result}, {ends}")


__all__ = ["LoadedDevice", "SimDevice", "load"]
