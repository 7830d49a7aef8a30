# SPDX-License-Identifier: MIT
"""
P: devices written in Python, called as the core's threads call them.

The first half calls the object itself. The second stands a wrapper before it that does
wrong, and looks at what comes out of the table: never success.
"""

from __future__ import annotations

import errno
import mmap
from collections.abc import Callable
from typing import Any

from pyfaster.protocols import PythonDevice
from pyfaster.testing.conformance._drive import Drive, Ticket
from pyfaster.testing.conformance._model import check, must
from pyfaster.testing.conformance._profile import KEEPS, PYTHON, USABLE
from pyfaster.testing.conformance._subject import Subject, pattern
from pyfaster.testing.conformance._table import CAPABILITIES

OURS = (USABLE, PYTHON)
NUMBERS = ("sector_size", "alignment", "capacity", "max_io", "atomic_unit", "threads")


# --- the object ---------------------------------------------------------------------


def _closing(run: Callable[[Subject, Any], None]) -> Callable[[Subject], None]:
    def whole(subject: Subject) -> None:
        device = subject.device()
        try:
            run(subject, device)
        finally:
            device.close()

    return whole


def _pages(data: bytes) -> mmap.mmap:
    """
    Give memory that is aligned as the core's is, and tells when it is still held.
    """
    pages = mmap.mmap(-1, len(data))
    pages[:] = data
    return pages


def _aligned(data: bytes) -> memoryview:
    return memoryview(_pages(data))


@check("P-has-the-methods", "The object has the five methods of a device.", PYTHON)
@_closing
def methods(_: Subject, device: Any) -> None:
    must(isinstance(device, PythonDevice), "a method is missing")


@check("P-attributes-are-numbers", "Sizes and counts are ints of 0 or more.", PYTHON)
@_closing
def attributes(_: Subject, device: Any) -> None:
    for name in NUMBERS:
        found = getattr(device, name, 0)
        must(type(found) is int and found >= 0, f"{name} is {found!r}")


@check("P-threads-is-positive", "threads is at least 1.", PYTHON)
@_closing
def threads(_: Subject, device: Any) -> None:
    must(getattr(device, "threads", 1) >= 1, "threads is below 1")


@check("P-capabilities-are-names", "capabilities are names that the core has.", PYTHON)
@_closing
def capabilities(_: Subject, device: Any) -> None:
    unknown = set(getattr(device, "capabilities", ())) - set(CAPABILITIES)
    must(not unknown, f"unknown capabilities {sorted(map(repr, unknown))}")


@check("P-write-says-how-many", "write gives the number of bytes as an int.", *OURS)
@_closing
def write_answer(subject: Subject, device: Any) -> None:
    answer = device.write(0, _aligned(pattern(1, subject.unit)))
    must(type(answer) is int and answer == subject.unit, f"write gave {answer!r}")


@check(
    "P-read-says-how-many", "read gives the number of bytes as an int.", *OURS, KEEPS
)
@_closing
def read_answer(subject: Subject, device: Any) -> None:
    device.write(0, _aligned(pattern(2, subject.unit)))
    answer = device.read(0, _aligned(bytes(subject.unit)))
    must(type(answer) is int and answer == subject.unit, f"read gave {answer!r}")


@check("P-read-of-nothing-says-so", "read of a new device gives zeros or fewer.", *OURS)
@_closing
def read_nothing(subject: Subject, device: Any) -> None:
    view = _aligned(b"\xee" * subject.unit)
    answer = device.read(0, view)
    must(type(answer) is int and 0 <= answer <= subject.unit, f"read gave {answer!r}")
    must(not any(view[:answer]), "bytes that nobody wrote")


@check("P-read-fills-the-buffer", "read puts the bytes into the buffer.", *OURS, KEEPS)
@_closing
def read_fills(subject: Subject, device: Any) -> None:
    data = pattern(3, 4 * subject.unit)
    device.write(0, _aligned(data))
    view = _aligned(bytes(len(data)))
    device.read(0, view)
    must(bytes(view) == data, "the buffer does not hold what was written")


@check(
    "P-write-takes-read-only-buffers", "write does not need to write the buffer.", *OURS
)
@_closing
def write_read_only(subject: Subject, device: Any) -> None:
    view = _aligned(pattern(4, subject.unit)).toreadonly()
    answer = device.write(0, view)
    must(answer == subject.unit, f"write gave {answer!r}")


def _released(pages: mmap.mmap, name: str) -> None:
    try:
        pages.close()
    except BufferError:
        must(False, f"{name} still holds the buffer after it has returned")


@check("P-write-lets-the-buffer-go", "After write the buffer may be released.", *OURS)
@_closing
def write_lets_go(subject: Subject, device: Any) -> None:
    pages = _pages(pattern(5, subject.unit))
    with memoryview(pages) as view:
        device.write(0, view)
    _released(pages, "write")
    device.sync()


@check("P-read-lets-the-buffer-go", "After read the buffer may be released.", *OURS)
@_closing
def read_lets_go(subject: Subject, device: Any) -> None:
    device.write(0, _aligned(pattern(6, subject.unit)))
    pages = _pages(bytes(subject.unit))
    with memoryview(pages) as view:
        device.read(0, view)
    _released(pages, "read")
    device.sync()


@check(
    "P-write-copies",
    "Bytes changed after write has returned are not written.",
    *OURS,
    KEEPS,
)
@_closing
def write_copies(subject: Subject, device: Any) -> None:
    data, size = pattern(7, subject.unit), subject.unit
    view = _aligned(data)
    device.write(0, view)
    view[:] = b"\xdd" * size
    device.sync()
    again = _aligned(bytes(size))
    device.read(0, again)
    must(bytes(again) == data, "what was changed later was written")


@check("P-sync-gives-nothing", "sync returns None, or raises.", *OURS)
@_closing
def sync_answer(_: Subject, device: Any) -> None:
    answer = device.sync()
    must(answer is None, f"sync gave {answer!r}")


@check("P-truncate-gives-nothing", "truncate_before returns None, or raises.", *OURS)
@_closing
def truncate_answer(_: Subject, device: Any) -> None:
    answer = device.truncate_before(0)
    must(answer is None, f"truncate_before gave {answer!r}")


# --- a device that does wrong -------------------------------------------------------


class Wrong:
    """
    Stands before a device; one of its methods does something else.
    """

    def __init__(self, inner: Any, name: str, instead: Callable[..., object]) -> None:
        self.inner = inner
        self.closes = 0
        self.calls: list[str] = []
        self._replaced = {name: instead}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def _call(self, name: str, *args: object) -> Any:
        self.calls.append(name)
        return self._replaced.get(name, getattr(self.inner, name))(*args)

    def read(self, offset: int, buffer: memoryview) -> Any:
        """
        As the device, or wrong.
        """
        return self._call("read", offset, buffer)

    def write(self, offset: int, buffer: memoryview) -> Any:
        """
        As the device, or wrong.
        """
        return self._call("write", offset, buffer)

    def sync(self) -> Any:
        """
        As the device, or wrong.
        """
        return self._call("sync")

    def truncate_before(self, offset: int) -> Any:
        """
        As the device, or wrong.
        """
        return self._call("truncate_before", offset)

    def close(self) -> Any:
        """
        As the device; counted.
        """
        self.closes += 1
        return self._call("close")


def _raise(error: BaseException) -> Callable[..., object]:
    def instead(*_: object) -> object:
        raise error

    return instead


def _give(answer: object) -> Callable[..., object]:
    return lambda *_: answer


def _ask(subject: Subject, drive: Drive, name: str) -> Ticket:
    requests: dict[str, Callable[[], Ticket]] = {
        "read": lambda: drive.read(0, subject.unit),
        "write": lambda: drive.write(0, pattern(8, subject.unit)),
        "sync": drive.sync,
    }
    ticket = requests[name]()
    drive.finish(ticket)
    drive.drain()
    return ticket


def _fails(
    name: str, instead: Callable[..., object], code: int | None
) -> Callable[[Subject], None]:
    def run(subject: Subject) -> None:
        drive = subject.drive(Wrong(subject.device(), name, instead))
        for _ in range(3):
            ticket = _ask(subject, drive, name)
            must(len(ticket.ends) == 1, f"not completed once: {ticket}")
            found = ticket.ends[0].code
            must(found < 0, f"it counts as done: {ticket}")
            must(code in (None, found), f"not {code}: {ticket}")

    return run


for _name in ("read", "write", "sync"):
    check(
        f"P-{_name}-that-raises-is-an-error",
        f"An exception from {_name} is EIO, never success.",
        *OURS,
    )(_fails(_name, _raise(ValueError("no")), -errno.EIO))
    check(
        f"P-{_name}-errno-is-kept", f"An OSError from {_name} keeps its number.", *OURS
    )(_fails(_name, _raise(OSError(errno.EDQUOT, "full")), -errno.EDQUOT))
    check(
        f"P-{_name}-without-memory-is-an-error",
        f"A MemoryError from {_name} is a failure, never success.",
        *OURS,
    )(_fails(_name, _raise(MemoryError()), None))

#: Answers that no device may give for a request of one unit.
_GARBAGE: dict[str, object] = {
    "None": None,
    "text": "all of it",
    "a-negative-number": -1,
    "too-many-bytes": 1 << 40,
    "True": True,
    "a-float": 512.0,
}

for _name in ("read", "write"):
    for _word, _answer in _GARBAGE.items():
        check(
            f"P-{_name}-that-gives-{_word}-is-an-error",
            f"A {_name} that answers {_answer!r} counts as failed.",
            *OURS,
        )(_fails(_name, _give(_answer), None))


@check(
    "P-write-that-gives-fewer-is-no-success",
    "A write that says it moved fewer bytes does not count as whole.",
    *OURS,
)
def fewer(subject: Subject) -> None:
    drive = subject.drive(Wrong(subject.device(), "write", _give(1)))
    ticket = _ask(subject, drive, "write")
    must(not ticket.done, f"it counts as done: {ticket}")


@check("P-works-after-an-exception", "After exceptions the device goes on.", *OURS)
def works_after(subject: Subject) -> None:
    left = [ValueError("one"), OSError(errno.EIO, "two"), MemoryError()]
    inner = subject.device()

    def instead(offset: int, buffer: memoryview) -> object:
        if left:
            raise left.pop()
        return inner.write(offset, buffer)

    drive = subject.drive(Wrong(inner, "write", instead))
    for _ in range(3):
        must(not _ask(subject, drive, "write").done, "an exception counts as done")
    must(_ask(subject, drive, "write").done, "it does not work any more")


@check(
    "P-truncate-that-raises-is-an-error",
    "An exception from truncate_before is a failure, never success.",
    *OURS,
)
def truncate_raises(subject: Subject) -> None:
    wrong = Wrong(subject.device(), "truncate_before", _raise(ValueError("no")))
    answer = subject.drive(wrong).truncate_before(0)
    must(answer < 0, f"truncate_before gave {answer}")


@check("P-sync-reaches-the-device", "A sync of the table is a call of sync.", *OURS)
def sync_reaches(subject: Subject) -> None:
    wrong = Wrong(subject.device(), "", _give(None))
    drive = subject.drive(wrong)
    subject.put(drive, 0, pattern(9, subject.unit))
    subject.synced(drive)
    asked = [name for name in wrong.calls if name != "close"]
    must(asked[-1:] == ["sync"], f"the device was asked for {asked}")
    must("write" in asked[:-1], "the completed write came after the sync")


@check("P-closed-once-and-last", "close is called once, after the last request.", *OURS)
def closed_once(subject: Subject) -> None:
    wrong = Wrong(subject.device(), "", _give(None))
    drive = subject.drive(wrong)
    for number in range(16):
        drive.write(0, pattern(number, subject.unit))
    answer = drive.close()
    must(answer == 0, f"close gave {answer}")
    must(wrong.closes == 1, f"close was called {wrong.closes} times")
    must(wrong.calls[-1] == "close", f"the last call was {wrong.calls[-1]}")


@check(
    "P-close-that-raises-is-an-error",
    "An exception from close is a failure of the table's close.",
    *OURS,
)
def close_raises(subject: Subject) -> None:
    inner = subject.device()

    def instead() -> object:
        inner.close()
        raise OSError(errno.EIO, "write-back failed")

    answer = subject.drive(Wrong(inner, "close", instead)).close()
    must(answer < 0, f"close gave {answer}")
