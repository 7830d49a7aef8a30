# SPDX-License-Identifier: MIT
"""
A device that writes down what it is asked, in the order that decides about crashes.

Each submission and each completion takes the next number of one clock. A sync covers
exactly the writes that were completed before it was submitted; `covered` tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyfaster import _cabi_devices as cabi
from pyfaster._devices import TableDevice, closing_unless_made, device_address
from pyfaster.protocols import NativeDevice, PythonDevice
from pyfaster.testing import _cabi


@dataclass(frozen=True, slots=True)
class Event:
    """
    One request.

    Attributes:
        kind: "read", "write", "sync" or "truncate".

        offset: Of the request, in bytes.

        length: Of the request, in bytes.

        submitted: By the recording's clock, from 1.

        completed: Likewise; 0: it is in flight, or was refused.

        result: What the submission returned: 0, or why it was refused.

        code: What the first completion said: `cabi.DONE` for success.

        moved: How many bytes it said were moved.

        completions: How many there were.

        hash: FNV-1a, 64 bits, of the bytes of a write.

        data: The bytes of a write, when contents are kept and there was room.
    """

    kind: str
    offset: int
    length: int
    submitted: int
    completed: int
    result: int
    code: int
    moved: int
    completions: int
    hash: int
    data: bytes | None

    @property
    def done(self) -> bool:
        """
        Whether it was completed with success, as a whole.
        """
        whole = self.kind != "write" or self.moved == self.length
        return self.completed > 0 and self.code == cabi.DONE and whole


_KIND_NAMES = {number: name for name, number in cabi.KINDS.items()}


class RecordingDevice(TableDevice):
    """
    Stands before a device and records what passes.

    Args:
        inner: Taken over; closed with this one.

        contents: Keep what is written, not only its hash.

        reads: Record reads too.

        events_max: How many requests are recorded; later ones are only counted.

        bytes_max: How many bytes of contents are kept; later writes have only a hash.
    """

    def __init__(
        self,
        inner: NativeDevice | PythonDevice,
        *,
        contents: bool = True,
        reads: bool = False,
        events_max: int = 1 << 20,
        bytes_max: int = 1 << 30,
    ) -> None:
        address, self.inner = device_address(inner)
        limits = {"events_max": events_max, "bytes_max": bytes_max}
        with closing_unless_made(address):
            self._c = _cabi.Recording(address, contents, reads, **limits)
        super().__init__(self._c.address)

    def __len__(self) -> int:
        return self._c.count()

    def __getitem__(self, index: int) -> Event:
        fields, data = self._c.event(index if index >= 0 else len(self) + index)
        kind = _KIND_NAMES[fields.pop("kind")]
        return Event(kind=kind, data=data, **fields)

    def __iter__(self) -> Iterator[Event]:
        return (self[index] for index in range(len(self)))

    @property
    def lost(self) -> int:
        """
        How many requests came after `events_max`.
        """
        return self._c.lost()

    def clear(self) -> None:
        """
        Forget what is recorded; the clock goes on.

        Raises:
            DeviceError: EBUSY: a request is in flight.
        """
        self._c.clear()

    def covered(self, sync: Event) -> list[Event]:
        """
        Give the writes that a sync promises to have made durable, when it succeeded.
        """
        return [
            event
            for event in self
            if event.kind == "write" and event.done and event.completed < sync.submitted
        ]


__all__ = ["Event", "RecordingDevice"]
