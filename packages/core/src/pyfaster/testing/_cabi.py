# SPDX-License-Identifier: MIT
"""
The boundary for what tests are made with: devices that do wrong, that record, a probe.

As `pyfaster._cabi_devices`: one boring function per C function. Kept apart, so that
nothing of it is loaded outside of tests. Everything here is freed in C only once it was
closed, so that it does not matter in which order a collector drops it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyfaster._cabi_devices import (
    NOT_FOUND,
    address_of,
    check,
    config_of,
    fields_of,
    table_at,
)
from pyfaster._native import ffi, lib

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: What can go wrong, by name: those of `enum faster_fault`, in lower case.
FAULTS = {
    word.removeprefix("FASTER_FAULT_").lower(): int(number)
    for word, number in ffi.typeof("enum faster_fault").relements.items()
}


# --- devices before devices ---------------------------------------------------------


class Faulty:
    """
    A device that does wrong on purpose; see `faulty.h`.

    Args:
        address: Of the table behind, which stays there until this one is closed.

        rules: Fields of `struct faster_fault_rule`, one mapping a rule.

        **fields: Those of `struct faster_faulty_config`, but for `size` and the rules.

    Attributes:
        address: Of the table, which lives as long as this object.
    """

    __slots__ = ("address", "c")

    def __init__(
        self, address: int, rules: list[dict[str, int]], **fields: int
    ) -> None:
        out = ffi.new("struct faster_faulty **")
        rules_c = ffi.new("struct faster_fault_rule[]", rules)
        fields_c = {"rules": rules_c, "rules_count": len(rules), **fields}
        config = config_of("faster_faulty_config", fields_c)
        status = lib.faster_faulty_open(config, table_at(address), out)
        check(status, "making a faulty device")
        self.c = ffi.gc(out[0], lib.faster_faulty_free)
        self.address = address_of(lib.faster_faulty_device(self.c))

    def release(self) -> int:
        """
        Let go what is held; after close what is late. Give how many.
        """
        return int(lib.faster_faulty_release(self.c))

    def stats(self) -> dict[str, int]:
        """
        Take the figures, by the names of `struct faster_faulty_stats`.
        """
        stats = ffi.new("struct faster_faulty_stats *")
        lib.faster_faulty_stats(self.c, stats)
        return fields_of(stats)

    def fired(self, rule: int) -> int:
        """
        How often a rule has fired.
        """
        return int(lib.faster_faulty_fired(self.c, rule))

    def event(self, index: int) -> dict[str, int] | None:
        """
        Give the index-th injected fault, or None if it is not known any more.
        """
        event = ffi.new("struct faster_fault_event *")
        status = lib.faster_faulty_event(self.c, index, event)
        return None if status == NOT_FOUND else fields_of(event)


class Recording:
    """
    A device that writes down what it is asked; see `recording.h`.

    Args:
        address: Of the table behind, which stays there until this one is closed.

        contents: Whether written bytes are kept.

        reads: Whether reads are recorded.

        **fields: Those of `struct faster_recording_config`, but for `size` and `flags`.

    Attributes:
        address: Of the table, which lives as long as this object.
    """

    __slots__ = ("address", "c")

    def __init__(
        self, address: int, contents: bool, reads: bool, **fields: int
    ) -> None:
        out = ffi.new("struct faster_recording **")
        flags = contents * lib.FASTER_RECORD_BYTES | reads * lib.FASTER_RECORD_READS
        config = config_of("faster_recording_config", {"flags": flags, **fields})
        status = lib.faster_recording_open(config, table_at(address), out)
        check(status, "making a recording device")
        self.c = ffi.gc(out[0], lib.faster_recording_free)
        self.address = address_of(lib.faster_recording_device(self.c))

    def count(self) -> int:
        """
        How many events are recorded.
        """
        return int(lib.faster_recording_count(self.c))

    def lost(self) -> int:
        """
        How many requests came after there was room.
        """
        return int(lib.faster_recording_lost(self.c))

    def event(self, index: int) -> tuple[dict[str, int], bytes | None]:
        """
        Give the index-th event and a copy of what it wrote, if that was kept.

        Raises:
            IndexError: There are not so many.
        """
        event = ffi.new("struct faster_recording_event *")
        status = lib.faster_recording_event(self.c, index, event)
        if status == NOT_FOUND:
            raise IndexError(f"event {index} of {self.count()}")
        kept, event.bytes = event.bytes, ffi.NULL
        data = None if kept == ffi.NULL else bytes(ffi.buffer(kept, event.length))
        names = (name for name, _ in ffi.typeof(event).item.fields if name != "bytes")
        return {name: int(getattr(event, name)) for name in names}, data

    def clear(self) -> None:
        """
        Forget what is recorded.

        Raises:
            DeviceError: EBUSY: a request is in flight.
        """
        check(lib.faster_recording_clear(self.c), "clearing a recording")


# --- the probe ----------------------------------------------------------------------


class Probe:
    """
    A hand on a device's table; see `probe.h`.

    Args:
        address: Of a table that nobody else closes, and that stays until then.
    """

    __slots__ = ("c",)

    def __init__(self, address: int) -> None:
        out = ffi.new("struct faster_probe **")
        check(lib.faster_probe_open(table_at(address), out), "probing a device")
        self.c = ffi.gc(out[0], lib.faster_probe_free)

    def read(
        self, offset: int, length: int, misalignment: int, judged: bool
    ) -> tuple[int, int]:
        """
        Submit a read; give what the submission returned, and the ticket.
        """
        ticket = ffi.new("uint64_t *", _NO_TICKET)
        where = (self.c, offset, length, misalignment, judged, ticket)
        return _ticket(lib.faster_probe_read(*where), ticket)

    def write(
        self, offset: int, data: Buffer, misalignment: int, judged: bool
    ) -> tuple[int, int]:
        """
        Submit a write; give what the submission returned, and the ticket.
        """
        ticket = ffi.new("uint64_t *", _NO_TICKET)
        with ffi.from_buffer("uint8_t[]", data) as borrowed:
            what = (borrowed, len(borrowed), misalignment, judged, ticket)
            status = lib.faster_probe_write(self.c, offset, *what)
        return _ticket(status, ticket)

    def sync(self, judged: bool) -> tuple[int, int]:
        """
        Submit a sync; give what the submission returned, and the ticket.
        """
        ticket = ffi.new("uint64_t *", _NO_TICKET)
        return _ticket(lib.faster_probe_sync(self.c, judged, ticket), ticket)

    def truncate_before(self, offset: int) -> int:
        """
        Call the table's `truncate_before`; give what it returned.
        """
        return int(lib.faster_probe_truncate_before(self.c, offset))

    def poll(self) -> int:
        """
        Call the table's `poll`; give what it returned.
        """
        return int(lib.faster_probe_poll(self.c))

    def device_wait(self, timeout_ms: int) -> int:
        """
        Call the table's `wait`; give what it returned.
        """
        return int(lib.faster_probe_device_wait(self.c, timeout_ms))

    def wait(self, ticket: int, timeout_ms: int) -> None:
        """
        Wait until a request is completed.

        Raises:
            DeadlineError: It is not in time.
        """
        status = lib.faster_probe_wait(self.c, ticket, timeout_ms)
        _found(check(status, f"waiting for request {ticket}"), ticket)

    def result(self, ticket: int) -> dict[str, int]:
        """
        What is known of a request, by the names of `struct faster_probe_result`.
        """
        result = ffi.new("struct faster_probe_result *")
        _found(lib.faster_probe_result(self.c, ticket, result), ticket)
        return fields_of(result)

    def data(self, ticket: int, length: int) -> bytes:
        """
        Copy the beginning of a request's buffer.

        Args:
            ticket: A read or a write.

            length: At most that of the request.
        """
        at = lib.faster_probe_buffer(self.c, ticket)
        return b"" if at == ffi.NULL else bytes(ffi.buffer(at, length))

    def submitted(self) -> int:
        """
        How many requests were submitted, also those refused.
        """
        return int(lib.faster_probe_submitted(self.c))

    def completed(self) -> int:
        """
        How many completions there were.
        """
        return int(lib.faster_probe_completed(self.c))

    def close(self) -> int:
        """
        Close the device; give what its table returned.
        """
        return int(lib.faster_probe_close(self.c))


#: No request has this name.
_NO_TICKET = 0xFFFFFFFFFFFFFFFF


def _ticket(result: int, ticket: Any) -> tuple[int, int]:
    if ticket[0] == _NO_TICKET:
        check(result, "submitting a request")
    return int(result), int(ticket[0])


def _found(status: int, ticket: int) -> None:
    if status == NOT_FOUND:
        raise ValueError(f"there is no request {ticket}")
