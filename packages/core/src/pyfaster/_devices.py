# SPDX-License-Identifier: MIT
"""
Devices on their way to the core: the built-in ones, and those written in Python.

Theory of operation: C never calls into Python. A device written in Python stands behind
a queue in the core; threads of a `PythonDeviceServer` pull requests from it, waiting
with the GIL released, call the device and report. The queue hands out copies of the
data and knows each request by an id that is used once, so a device that comes back
late, twice, or keeps its buffer can do no harm. An exception, or an answer that makes
no sense, is a failed request and is kept in `failures`; nothing but an answer that was
checked counts as success.
"""

from __future__ import annotations

import errno
import operator
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from pyfaster import _cabi_devices as cabi
from pyfaster.errors import ClosedError
from pyfaster.protocols import DeviceFailure, NativeDevice, PythonDevice

#: How many exceptions of a device are kept.
FAILURES_MAX = 64

#: How long the threads are given when the interpreter ends, all together.
EXIT_S = 2.0

#: How long a thread waits before it looks again, should a wake-up get lost.
_TAKE_MS = 60_000

_NAMES = {number: name for name, number in cabi.KINDS.items()}
_METHODS = ("read", "write", "sync", "truncate_before", "close")


class _Taken:
    """
    Whether a table was handed over, or closed.
    """

    __slots__ = ("yes",)

    def __init__(self) -> None:
        self.yes = False


class TableDevice:
    """
    A device whose table is in C and is handed over once.

    One that nobody takes is closed with `close`, or when it is collected.

    Args:
        address: Of the table, which lives as long as this object, and on if it was
            handed over and is not closed.
    """

    def __init__(self, address: int) -> None:
        self._address = address
        self._taken = _Taken()

    def __faster_device__(self, abi: int, /) -> int:
        """
        Hand the table over; whoever takes it closes it.

        Raises:
            ClosedError: It was taken or closed before.

            InterfaceMismatchError: The core speaks another interface.
        """
        cabi.check_abi(abi)
        if self._taken.yes:
            raise ClosedError("the device was handed over before, or is closed")
        self._taken.yes = True
        return self._address

    def close(self) -> None:
        """
        Close a device that nobody has taken; else do nothing.
        """
        if not self._taken.yes:
            self._taken.yes = True
            cabi.device_close(self._address)

    def __del__(self) -> None:
        if hasattr(self, "_taken"):  # else making it failed
            self.close()


class _OwnTable(TableDevice):
    """
    One of the core's own, whose table is freed with the object if it is closed.
    """

    def __del__(self) -> None:
        super().__del__()
        if hasattr(self, "_address"):
            cabi.device_free(self._address)


@contextmanager
def closing_unless_made(address: int) -> Iterator[None]:
    """
    Close a device that was taken over for something that then was not made.
    """
    try:
        yield
    except BaseException:
        cabi.device_close(address)
        raise


class MemoryDevice(_OwnTable):
    """
    A device that keeps bytes in memory until the process ends.

    Args:
        segment_size: Unit of allocation: a power of two from 4 KiB to 1 GiB.

        capacity: Bytes that it can hold; 0: as many as there is memory.
    """

    def __init__(self, segment_size: int = 1 << 20, *, capacity: int = 0) -> None:
        super().__init__(cabi.device_memory(segment_size, capacity))


class NullDevice(_OwnTable):
    """
    A device that takes every write, keeps nothing and reads as zeros.
    """

    def __init__(self) -> None:
        super().__init__(cabi.device_null())


# --- devices written in Python ------------------------------------------------------


Failures = deque[DeviceFailure]


def _count(answer: object, length: int, what: str) -> int:
    """
    How many bytes a device says it moved.
    """
    if isinstance(answer, bool):
        raise TypeError(f"{what} returned {answer!r}, not a number of bytes")
    try:
        count = operator.index(cast("Any", answer))
    except TypeError:
        name = type(answer).__name__
        raise TypeError(f"{what} returned {name}, not a number of bytes") from None
    if not 0 <= count <= length:
        raise ValueError(f"{what} returned {count} for a request of {length} bytes")
    return count


def _nothing(answer: object, what: str) -> int:
    if answer is not None:
        raise TypeError(f"{what} returned {type(answer).__name__}, not None")
    return 0


def _call(device: PythonDevice, pulled: cabi.Pulled) -> int:
    """
    Let the device serve a request; give how many bytes were moved.
    """
    kind, offset, length = pulled.kind, pulled.offset, pulled.length
    if kind in (cabi.READ, cabi.WRITE):
        serve = device.read if kind == cabi.READ else device.write
        view = pulled.view()
        try:
            return _count(serve(offset, view), length, _NAMES[kind])
        finally:
            # A device that kept a part of it goes on using its own copy.
            with suppress(BufferError):
                view.release()
    if kind == cabi.SYNC:
        return _nothing(cast("Any", device).sync(), "sync")
    if kind == cabi.TRUNCATE:
        answer = cast("Any", device).truncate_before(offset)
        return _nothing(answer, "truncate_before")
    return _nothing(cast("Any", device).close(), "close")


def _code(error: BaseException) -> int:
    """
    The number that stands for an exception: never one that means success.
    """
    number = error.errno if isinstance(error, OSError) else None
    if type(number) is int and 0 < number < 4096:
        return -number
    return -errno.ENOMEM if isinstance(error, MemoryError) else -errno.EIO


def _serve_one(
    queue: cabi.Queue, device: PythonDevice, pulled: cabi.Pulled, failures: Failures
) -> None:
    request = pulled.id
    try:
        code, moved = cabi.DONE, _call(device, pulled)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is no success
        code, moved = _code(error), 0
        kind = _NAMES.get(pulled.kind, "unknown")
        failures.append(DeviceFailure(kind, pulled.offset, pulled.length, error))
    finally:
        pulled.drop()
    queue.complete(request, code, moved)


def _serve(queue: cabi.Queue, device: PythonDevice, failures: Failures) -> None:
    """
    Serve requests until there will be none; the main function of a thread.
    """
    pulled = cabi.Pulled()
    while True:
        try:
            if not queue.take(pulled, _TAKE_MS):
                continue
        except ClosedError:
            return
        _serve_one(queue, device, pulled, failures)


def _end(
    queue: cabi.Queue, threads: list[threading.Thread], taken: _Taken, process: int
) -> None:
    """
    Let a server's threads end, and wait a little for them.

    Called when the server is collected, or when the interpreter ends; in a child of
    fork() there are no threads, and the queue's lock may never be left.
    """
    if os.getpid() != process:
        return
    queue.stop()
    _join(threads, EXIT_S)
    if not taken.yes and not any(thread.is_alive() for thread in threads):
        taken.yes = True
        cabi.device_close(queue.address)


def _join(threads: list[threading.Thread], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))


class PythonDeviceServer(TableDevice):
    """
    Makes a native device of one written in Python, with threads of its own.

    Args:
        device: See `pyfaster.protocols.PythonDevice` for the attributes it may have.

        threads: How many calls may run at once; None: what the device says, or 1.

        timeout_s: How long closing and truncating wait for the device.

    Attributes:
        device: The device.

        failures: The last requests that failed, with the exceptions.

    Raises:
        ValueError: An attribute of the device makes no sense.
    """

    def __init__(
        self,
        device: PythonDevice,
        *,
        threads: int | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self.device = device
        self.failures: Failures = deque(maxlen=FAILURES_MAX)
        self._queue = _queue_for(device, timeout_s)
        super().__init__(self._queue.address)
        count = _attribute(device, "threads", 1) if threads is None else threads
        if count < 1:
            raise ValueError(f"a device needs at least one thread, not {count}")
        # The threads hold no reference to the server, so that it can be collected.
        work = (self._queue, device, self.failures)
        self._threads = [
            threading.Thread(
                target=_serve, args=work, name=f"pyfaster-device-{i}", daemon=True
            )
            for i in range(count)
        ]
        self._finalizer = weakref.finalize(
            self, _end, self._queue, self._threads, self._taken, os.getpid()
        )
        self._start()

    def _start(self) -> None:
        started: list[threading.Thread] = []
        try:
            for thread in self._threads:
                thread.start()
                started.append(thread)
        except RuntimeError:
            self._threads[:] = started
            self._finalizer()
            raise

    def __del__(self) -> None:
        """
        Leave closing to the finalizer, which waits for the threads only a little.
        """

    def stats(self) -> dict[str, int]:
        """
        Figures of the queue: submitted, completed, refused, strays, timeouts.
        """
        return self._queue.stats()

    def join(self, timeout_s: float) -> bool:
        """
        Wait for the threads, which end when the device was closed.

        Returns:
            Whether all have ended.
        """
        _join(self._threads, timeout_s)
        return not any(thread.is_alive() for thread in self._threads)


def _attribute(device: PythonDevice, name: str, default: int) -> int:
    """
    A number that a device may state of itself.
    """
    value = operator.index(getattr(device, name, default))
    if value < 0:
        raise ValueError(f"the device's {name} is {value}, which is below 0")
    return value


def _queue_for(device: PythonDevice, timeout_s: float) -> cabi.Queue:
    names: Iterable[str] = getattr(device, "capabilities", ())
    return cabi.Queue(
        sector_size=_attribute(device, "sector_size", 512),
        alignment=_attribute(device, "alignment", 1),
        atomic_unit=_attribute(device, "atomic_unit", 0),
        capacity=_attribute(device, "capacity", 0),
        max_io=_attribute(device, "max_io", 0),
        capabilities=cabi.capabilities_of(names),
        timeout_ms=max(1, round(timeout_s * 1000)),
    )


# --- any device ---------------------------------------------------------------------


def is_device(device: object) -> bool:
    """
    Whether an object can be handed to the core as a device.
    """
    return isinstance(device, NativeDevice) or all(
        callable(getattr(device, name, None)) for name in _METHODS
    )


def device_address(device: NativeDevice | PythonDevice) -> tuple[int, object]:
    """
    Take a device over.

    Returns:
        The address of its `struct faster_device`, which the caller closes, once; and
        what must be kept until then.

    Raises:
        TypeError: The object is no device.

        ClosedError: It was taken before.

        InterfaceMismatchError: Its table is of another interface.
    """
    if isinstance(device, NativeDevice):
        owner: object = device
        address = device.__faster_device__(cabi.DEVICE_ABI)
    elif is_device(device):
        owner = PythonDeviceServer(device)
        address = owner.__faster_device__(cabi.DEVICE_ABI)
    else:
        raise TypeError(
            f"{type(device).__name__} is no device: it has neither __faster_device__ "
            f"nor all of {', '.join(_METHODS)}"
        )
    if type(address) is not int or not 0 < address < 1 << 64:
        raise TypeError(f"__faster_device__ gave {address!r}, which is no address")
    cabi.device_check(address)
    return address, owner


__all__ = [
    "MemoryDevice",
    "NullDevice",
    "PythonDeviceServer",
    "TableDevice",
    "device_address",
    "is_device",
]
