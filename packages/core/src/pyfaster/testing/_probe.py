# SPDX-License-Identifier: MIT
"""
Driving a device by hand, to see what it promises and what it does.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from pyfaster import _cabi_devices as cabi
from pyfaster._devices import device_address
from pyfaster.protocols import NativeDevice, PythonDevice
from pyfaster.testing import _cabi

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: What a completion's code is when the device means success (V3).
DONE = cabi.DONE

#: How long waits last unless told: longer than any device takes that works.
WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """
    What is known of a request.

    Attributes:
        result: What the submission returned: 0, or why it was refused.

        code: Of the first completion: the device's word, `DONE` for success; of a
            judged request a status, 0 for success.

        bytes: How many it said were moved.

        completions: How many there were: 1 for an accepted request, else 0.

        inside: Whether the first came before the submission had returned.

        foreign: Whether it came on another thread than the submission.

        overrun: Whether the device changed bytes around the buffer.
    """

    result: int
    code: int
    bytes: int
    completions: int
    inside: bool
    foreign: bool
    overrun: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """
    What a device's table says of it.
    """

    capabilities: frozenset[str]
    sector_size: int
    alignment: int
    capacity: int
    max_io: int
    atomic_unit: int


class Probe:
    """
    A hand on a device: any number of requests, each with a ticket.

    Buffers and tickets live as long as the probe, so that a completion that comes
    twice, or for a refused request, is counted and does no harm. Several threads may
    use one probe.

    Args:
        device: Taken over; the probe closes it.

    Attributes:
        facts: What the table says.

        owner: What serves the device: itself, or the `PythonDeviceServer` of one
            written in Python.

    Raises:
        TypeError: The object is no device.

        FasterError: Its table is one that the core refuses.
    """

    def __init__(self, device: NativeDevice | PythonDevice) -> None:
        address, self.owner = device_address(device)
        self._closed = False
        self._c = _cabi.Probe(address)
        self._lengths: dict[int, int] = {}
        fields = cabi.device_fields(address)
        bits = fields.pop("capabilities")
        names = (name for name, bit in cabi.CAPABILITIES.items() if bits & bit)
        self.facts = Facts(capabilities=frozenset(names), **fields)

    def __enter__(self) -> Probe:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- submitting -----------------------------------------------------------------

    def read(
        self, offset: int, length: int, *, misalignment: int = 0, judged: bool = False
    ) -> int:
        """
        Submit a read.

        Args:
            offset: Where.

            length: How many bytes.

            misalignment: How far the buffer is from a multiple of 4,096.

            judged: Ask as the core does, which checks the range and what the device
                answers; else call the table as it is.

        Returns:
            The ticket; `result` tells whether the request was refused.
        """
        ticket = self._c.read(offset, length, misalignment, judged)[1]
        self._lengths[ticket] = length
        return ticket

    def write(
        self,
        offset: int,
        data: Buffer,
        *,
        misalignment: int = 0,
        judged: bool = False,
    ) -> int:
        """
        Submit a write of a copy of `data`; the rest is as for `read`.
        """
        ticket = self._c.write(offset, data, misalignment, judged)[1]
        self._lengths[ticket] = memoryview(data).nbytes
        return ticket

    def sync(self, *, judged: bool = False) -> int:
        """
        Submit a sync; give its ticket.
        """
        return self._c.sync(judged)[1]

    def truncate_before(self, offset: int) -> int:
        """
        Call `truncate_before`; give what it returned.
        """
        return self._c.truncate_before(offset)

    def poll(self) -> int:
        """
        Call `poll`; give what it returned.
        """
        return self._c.poll()

    def device_wait(self, timeout_s: float) -> int:
        """
        Call the table's own `wait`; give what it returned.
        """
        return self._c.device_wait(round(timeout_s * 1000))

    # --- looking --------------------------------------------------------------------

    def result(self, ticket: int) -> Result:
        """
        Give what is known of a request now.
        """
        known = self._c.result(ticket)
        return Result(
            result=known["result"],
            code=known["code"],
            bytes=known["bytes"],
            completions=known["completions"],
            inside=bool(known["inside"]),
            foreign=bool(known["foreign"]),
            overrun=bool(known["overrun"]),
        )

    def wait(self, ticket: int, timeout_s: float = WAIT_S) -> Result:
        """
        Wait for the completion of an accepted request; a refused one is told at once.

        Raises:
            DeadlineError: It is not in time.
        """
        if self.result(ticket).result == 0:
            self._c.wait(ticket, round(timeout_s * 1000))
        return self.result(ticket)

    def data(self, ticket: int) -> bytes:
        """
        Give what is in a request's buffer: for a read as many bytes as were asked for,
        0xEE where the device wrote nothing.
        """
        return self._c.data(ticket, self._lengths.get(ticket, 0))

    @property
    def submitted(self) -> int:
        """
        How many requests were submitted, also those refused.
        """
        return self._c.submitted()

    @property
    def completed(self) -> int:
        """
        How many completions there were.
        """
        return self._c.completed()

    def close(self) -> int:
        """
        Close the device; give what it returned. A second call does nothing.
        """
        if self._closed:
            return 0
        self._closed = True
        return self._c.close()

    def __del__(self) -> None:
        # Not closed here: of a cycle the device may be gone already.
        if not getattr(self, "_closed", True):
            warnings.warn(
                "a probe was collected without close(); use it in a with statement",
                ResourceWarning,
                stacklevel=2,
            )

    # --- in one go ------------------------------------------------------------------

    def put(self, offset: int, data: Buffer) -> int:
        """
        Write as the core does and wait; give the status.
        """
        return self._status(self.write(offset, data, judged=True))

    def get(self, offset: int, length: int) -> bytes:
        """
        Read as the core does, wait, and give the bytes there were.

        Raises:
            OSError: The read failed.
        """
        ticket = self.read(offset, length, judged=True)
        status = self._status(ticket)
        if status != 0:
            raise OSError(-status, f"reading {length} bytes at {offset}: {status}")
        return self.data(ticket)[: self.result(ticket).bytes]

    def flush(self) -> int:
        """
        Sync as the core does and wait; give the status.
        """
        return self._status(self.sync(judged=True))

    def _status(self, ticket: int) -> int:
        known = self.wait(ticket)
        return known.result if known.result != 0 else known.code


__all__ = ["DONE", "Facts", "Probe", "Result"]
