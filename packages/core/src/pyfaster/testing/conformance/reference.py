# SPDX-License-Identifier: MIT
"""
The contract as a program: devices that keep it, and keep their bytes in one array.

`Reference` stands behind a real table, `PythonReference` has the five methods. The
tests of the suite break them in one way after another; whoever writes a device may read
them as the contract's shortest examples.
"""

from __future__ import annotations

import ctypes
import errno
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from pyfaster.testing.conformance._table import DONE, FUNCTIONS, Table

UNIT = 512

#: Ends a request: code and bytes.
End = Callable[[int, int], None]
#: A held request: what carries it out, what ends it, and how many bytes it moves.
Held = tuple[Callable[[], object], End, int]


class Store:
    """
    Bytes that outlive a device; a new place is a new store.
    """

    def __init__(self) -> None:
        self.bytes = bytearray()
        self.begin = 0


class Reference:
    """
    A device that keeps the contract; it holds requests until it is polled.
    """

    fields: ClassVar[dict[str, int]] = {}

    def __init__(self, store: Store) -> None:
        self.store = store
        self.lock = threading.RLock()
        self.held: list[Held] = []
        self.taken = False
        self.table = Table(abi=1, size=ctypes.sizeof(Table), sector_size=UNIT)
        self.table.alignment, self.table.capabilities = 1, 1 | 4
        for name, value in self.fields.items():
            setattr(self.table, name, value)
        calls = {name: getattr(self, f"_{name}") for name in FUNCTIONS}
        self.calls = {name: FUNCTIONS[name](call) for name, call in calls.items()}
        for name, call in self.calls.items():
            setattr(self.table, name, call)

    def __faster_device__(self, abi: int, /) -> int:
        if self.taken:
            raise RuntimeError("handed over before")
        self.taken = True
        return ctypes.addressof(self.table)

    # --- the table's functions ------------------------------------------------------

    def _read(self, _: int, at: int, buffer: int, length: int, done: Any) -> int:
        return self.submit("read", at, buffer or 0, length, ender(done))

    def _write(self, _: int, at: int, buffer: int, length: int, done: Any) -> int:
        return self.submit("write", at, buffer or 0, length, ender(done))

    def _sync(self, _: int, done: Any) -> int:
        return self.submit("sync", 0, 0, 0, ender(done))

    def _truncate_before(self, _: int, offset: int) -> int:
        return self.truncate(offset)

    def _poll(self, _: int) -> int:
        return self.poll()

    def _wait(self, _: int, timeout_ms: int) -> int:
        return self.poll()

    def _close(self, _: int) -> int:
        return self.close()

    # --- what mutants replace -------------------------------------------------------

    def refusal(self, kind: str, at: int, buffer: int, length: int) -> int:
        """
        Say why a request is refused; 0 when it is not.
        """
        if at + length >= 1 << 63:
            return -errno.EINVAL
        if (at | length | buffer) & (self.table.alignment - 1):
            return -errno.EINVAL
        if self.table.max_io and length > self.table.max_io:
            return -errno.EINVAL
        full = self.table.capacity and at + length > self.table.capacity
        return -errno.ENOSPC if full and kind == "write" else 0

    def submit(self, kind: str, at: int, buffer: int, length: int, end: End) -> int:
        """
        Take a request, or refuse it.
        """
        refused = self.refusal(kind, at, buffer, length)
        if refused == 0:
            with self.lock:
                self.hold(kind, at, buffer, length, end)
        return refused

    def hold(self, kind: str, at: int, buffer: int, length: int, end: End) -> None:
        """
        Keep a request until the device is polled.
        """
        if kind == "read":
            moved = max(0, min(length, len(self.store.bytes) - at))
            self.held.append((lambda: self.get(at, buffer, moved), end, moved))
        elif kind == "write":
            self.held.append((lambda: self.put(at, buffer, length), end, length))
        else:
            self.held.append((lambda: None, end, 0))

    def get(self, at: int, buffer: int, length: int) -> None:
        """
        Carry out a read.
        """
        ctypes.memmove(buffer, bytes(self.store.bytes[at : at + length]), length)

    def put(self, at: int, buffer: int, length: int) -> None:
        """
        Carry out a write.
        """
        self.grow(at + length)
        self.store.bytes[at : at + length] = ctypes.string_at(buffer, length)

    def grow(self, size: int) -> None:
        """
        Make room, filled with zeros.
        """
        self.store.bytes.extend(bytes(max(0, size - len(self.store.bytes))))

    def poll(self) -> int:
        """
        Carry out what is held, and complete it.
        """
        with self.lock:
            ready, self.held = self.held, []
            for carry_out, end, moved in ready:
                carry_out()
                self.finish(end, moved)
        return len(ready)

    def finish(self, end: End, moved: int) -> None:
        """
        Complete a request.
        """
        end(DONE, moved)

    def truncate(self, offset: int) -> int:
        """
        Let bytes go.
        """
        with self.lock:
            gone = min(offset, len(self.store.bytes))
            self.store.bytes[:gone] = bytes(gone)
        return 0

    def close(self) -> int:
        """
        Complete what is held.
        """
        while self.held:
            self.poll()
        return 0


def ender(completion: Any) -> End:
    """
    Give what calls a completion.
    """
    done, context = completion.contents.done, completion.contents.context
    return lambda code, moved: done(context, code, moved)


class PythonReference:
    """
    A device in Python that keeps the contract.
    """

    capabilities: ClassVar[set[str]] = {"volatile", "truncates"}
    threads: ClassVar[int] = 1

    def __init__(self, store: Store) -> None:
        self.store = store
        self.lock = threading.Lock()

    def read(self, offset: int, buffer: memoryview, /) -> int:
        """
        Give what there is.
        """
        with self.lock:
            found = self.store.bytes[offset : offset + len(buffer)]
        buffer[: len(found)] = found
        return len(found)

    def write(self, offset: int, buffer: memoryview, /) -> int:
        """
        Keep a copy.
        """
        with self.lock:
            missing = offset - len(self.store.bytes)
            self.store.bytes.extend(bytes(max(0, missing)))
            self.store.bytes[offset : offset + len(buffer)] = buffer
        return len(buffer)

    def sync(self) -> None:
        """
        Do nothing: every write is in the array when it is done.
        """

    def truncate_before(self, offset: int, /) -> None:
        """
        Overwrite what goes with zeros.
        """
        with self.lock:
            gone = min(offset, len(self.store.bytes))
            self.store.bytes[:gone] = bytes(gone)

    def close(self) -> None:
        """
        Do nothing: the array outlives the device.
        """


class PythonLasting(PythonReference):
    """
    A device in Python whose contents can be opened again, called by several threads.
    """

    capabilities: ClassVar[set[str]] = {"flushes"}
    threads: ClassVar[int] = 4


def places(kind: Callable[[Store], object]) -> Callable[[str], object]:
    """
    Give a factory: a place's name stands for a store.
    """
    stores: dict[str, Store] = {}
    return lambda place: kind(stores.setdefault(place, Store()))


class Lasting(Reference):
    """
    A device that is right and whose contents can be opened again.
    """

    fields: ClassVar[dict[str, int]] = {"capabilities": 8}


class Picky(Reference):
    """
    A device that is right and has limits of every kind.
    """

    fields: ClassVar[dict[str, int]] = {
        "alignment": 512,
        "capacity": 32 << 20,
        "max_io": 64 << 10,
        "atomic_unit": 4096,
    }
