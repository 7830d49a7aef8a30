# SPDX-License-Identifier: MIT
"""
The boundary for devices: beside `_cabi` what sees the C core's `ffi` and `lib`.

As `_cabi`: one boring function per C function of faster/device_tools.h, which check,
borrow, call and translate. A device is passed as the address of its table. What owns
something in C is a small class whose `c` frees it when nobody holds it any more; what
C itself holds on to is kept alive by what frees it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyfaster._native import ffi, lib
from pyfaster.errors import ClosedError, InterfaceMismatchError, error_for

#: The interface of devices that the core speaks.
DEVICE_ABI = int(lib.FASTER_DEVICE_ABI)

#: What a completion says when it means success.
DONE = int(lib.FASTER_DEVICE_DONE)

READ = int(lib.FASTER_KIND_READ)
WRITE = int(lib.FASTER_KIND_WRITE)
SYNC = int(lib.FASTER_KIND_SYNC)
TRUNCATE = int(lib.FASTER_KIND_TRUNCATE)
CLOSE = int(lib.FASTER_KIND_CLOSE)

#: The kinds of requests by name.
KINDS = {
    "read": READ,
    "write": WRITE,
    "sync": SYNC,
    "truncate": TRUNCATE,
    "close": CLOSE,
}

#: What a device may declare of itself: names to bits.
CAPABILITIES = {
    word: int(getattr(lib, f"FASTER_DEVICE_{word.upper()}"))
    for word in (
        "volatile",
        "discards",
        "truncates",
        "flushes",
        "forks",
        "shared",
        "powersafe",
        "driven",
    )
}

NOT_FOUND: int = lib.FASTER_NOT_FOUND


def check(status: int, where: str) -> int:
    """
    Return a status that is not a failure; `where` begins the message of one.
    """
    if status < 0:
        raise error_for(status, where)
    return status


def address_of(c: Any) -> int:
    """
    Give the address that a pointer holds.
    """
    return int(ffi.cast("uintptr_t", c))


def table_at(address: int) -> Any:
    """
    Give the table at an address.
    """
    return ffi.cast("struct faster_device *", address)


def config_of(struct: str, fields: dict[str, Any]) -> Any:
    """
    Make a struct of the core that says its own size.
    """
    name = f"struct {struct}"
    return ffi.new(f"{name} *", {"size": ffi.sizeof(name), **fields})


def fields_of(struct: Any) -> dict[str, int]:
    """
    Give the numbers of a struct by their names.
    """
    names = (name for name, _ in ffi.typeof(struct).item.fields)
    return {name: int(getattr(struct, name)) for name in names if name != "reserved"}


# --- tables -------------------------------------------------------------------------


def capabilities_of(names: Iterable[str]) -> int:
    """
    Give the bits of capabilities.

    Raises:
        ValueError: A name is none.
    """
    bits = 0
    for name in names:
        if name not in CAPABILITIES:
            raise ValueError(f"{name!r} is no capability; {sorted(CAPABILITIES)} are")
        bits |= CAPABILITIES[name]
    return bits


def device_check(address: int) -> None:
    """
    Refuse a table that the core would refuse.
    """
    check(lib.faster_device_check(table_at(address)), "taking a device")


def device_fields(address: int) -> dict[str, int]:
    """
    Give what a checked table says of its device, by the names of the fields.
    """
    table = table_at(address)
    names = "capabilities sector_size alignment capacity max_io atomic_unit"
    return {name: int(getattr(table, name)) for name in names.split()}


def device_close(address: int) -> None:
    """
    Call a table's `close`, for a device that no store has taken.

    Cost: one C call that may block for as long as the device does.
    """
    check(lib.faster_device_close(table_at(address)), "closing a device")


def device_sync(address: int) -> None:
    """
    Make durable what was written to a device that no store has taken.

    Cost: one C call that blocks for as long as the device does.
    """
    check(lib.faster_device_sync(table_at(address)), "syncing a device")


def device_memory(segment_size: int, capacity: int) -> int:
    """
    Make a device that keeps bytes in memory; give its table's address.
    """
    out = ffi.new("struct faster_device **")
    status = lib.faster_device_memory(segment_size, capacity, out)
    check(status, "making a device in memory")
    return address_of(out[0])


def device_null() -> int:
    """
    Make a device that keeps nothing; give its table's address.
    """
    out = ffi.new("struct faster_device **")
    check(lib.faster_device_null(out), "making a device that keeps nothing")
    return address_of(out[0])


def device_free(address: int) -> None:
    """
    Free the table of a closed device that one of the two above made.
    """
    lib.faster_device_free(table_at(address))


# --- the queue ----------------------------------------------------------------------


class Pulled:
    """
    The request that a thread has pulled last; one per thread, used again and again.
    """

    __slots__ = ("c",)

    def __init__(self) -> None:
        self.c = ffi.new("struct faster_queue_request *")

    @property
    def id(self) -> int:
        """
        What the request is reported by.
        """
        return int(self.c.id)

    @property
    def kind(self) -> int:
        """
        `READ`, `WRITE`, `SYNC`, `TRUNCATE` or `CLOSE`.
        """
        return int(self.c.kind)

    @property
    def offset(self) -> int:
        """
        Where, in bytes.
        """
        return int(self.c.offset)

    @property
    def length(self) -> int:
        """
        How many bytes.
        """
        return int(self.c.length)

    def view(self) -> memoryview:
        """
        The request's buffer; a second call for the same request is an error in ours.

        Shape: uint8 (length,), writable for a read only. Its memory is a copy that
        lives as long as any view of it.
        """
        data = self.c.buffer
        if data == ffi.NULL:
            return memoryview(bytearray())
        owned = ffi.gc(data, lib.faster_queue_buffer_free)
        self.c.buffer = ffi.NULL
        view = memoryview(ffi.buffer(owned, self.c.length))
        return view.toreadonly() if self.c.kind == WRITE else view

    def drop(self) -> None:
        """
        Give the buffer back if `view` did not take it.
        """
        lib.faster_queue_buffer_free(self.c.buffer)
        self.c.buffer = ffi.NULL


class Queue:
    """
    A device whose requests are pulled by threads; see `queue.h`.

    Args:
        **fields: Those of `struct faster_queue_config`, but for `size`.

    Attributes:
        address: Of the device's table, which lives as long as this object.
    """

    __slots__ = ("address", "c")

    def __init__(self, **fields: int) -> None:
        out = ffi.new("struct faster_queue **")
        config = config_of("faster_queue_config", fields)
        check(lib.faster_queue_open(config, out), "opening a queue of requests")
        self.c = ffi.gc(out[0], lib.faster_queue_free)
        self.address = address_of(lib.faster_queue_device(self.c))

    def take(self, pulled: Pulled, timeout_ms: int) -> bool:
        """
        Pull the next request; False when there was none in time.

        Raises:
            ClosedError: There will be none any more.

        Cost: one C call that blocks up to `timeout_ms`, GIL released throughout.
        """
        status = lib.faster_queue_take(self.c, timeout_ms, pulled.c)
        if status == lib.FASTER_E_CLOSED:
            raise ClosedError("the queue of requests has ended", status=status)
        return check(status, "pulling a request") != NOT_FOUND

    def complete(self, request: int, status: int, moved: int) -> bool:
        """
        Report how a request ended; False when there is no such request any more.

        Args:
            request: The id of the pulled request.

            status: `DONE`, or a failure.

            moved: How many bytes were moved.
        """
        return bool(lib.faster_queue_complete(self.c, request, status, moved) == 0)

    def stop(self) -> None:
        """
        Accept no more requests, and let the threads end.
        """
        lib.faster_queue_stop(self.c)

    def stats(self) -> dict[str, int]:
        """
        Take the figures, by the names of `struct faster_queue_stats`.
        """
        stats = ffi.new("struct faster_queue_stats *")
        lib.faster_queue_stats(self.c, stats)
        return fields_of(stats)


def check_abi(abi: int) -> None:
    """
    Refuse to hand a table to a core of another interface.
    """
    if abi != DEVICE_ABI:
        raise InterfaceMismatchError(
            f"the device speaks interface {DEVICE_ABI}, the core asked for {abi}; "
            "install pyfaster and its plugins in versions that belong together"
        )
