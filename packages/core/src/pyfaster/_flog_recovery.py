# SPDX-License-Identifier: MIT
"""
What comes before a durable log is open: its device, its slots, and what is found there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyfaster import _cabi_flog as cabi
from pyfaster._cabi_devices import (
    CAPABILITIES,
    device_close,
    device_fields,
    device_sync,
)
from pyfaster._devices import device_address
from pyfaster._flog_errors import corrupt_error
from pyfaster._flog_values import CommitRecord, Found, Life, Slot
from pyfaster.errors import ClosedError, error_for
from pyfaster.protocols import NativeDevice, PythonDevice

if TYPE_CHECKING:
    from typing_extensions import Buffer


class LogDevice:
    """
    A device that a log is recovered from and then opened on.

    One that no log takes is closed with `close`, or when it is collected.

    Args:
        device: Taken over.

    Attributes:
        unit: What is written is a multiple of it, and so is where a life begins.

        capabilities: Names of what it declares of itself.

        owner: What must live as long as its table.
    """

    def __init__(self, device: NativeDevice | PythonDevice) -> None:
        self._address, self.owner = device_address(device)
        self._taken = False
        fields = device_fields(self._address)
        self.unit = max(fields["sector_size"], fields["alignment"], 1)
        bits = fields["capabilities"]
        self.capabilities = frozenset(
            name for name, bit in CAPABILITIES.items() if bits & bit
        )

    @property
    def address(self) -> int:
        """
        Where its table is.

        Raises:
            ClosedError: A log has taken it, or it is closed.
        """
        if self._taken:
            raise ClosedError("the device belongs to a log already, or is closed")
        return self._address

    def hand_over(self) -> int:
        """
        Give the table's address to a log, which closes it.
        """
        address = self.address
        self._taken = True
        return address

    def sync(self) -> None:
        """
        Make durable what is on the device: what a recovery finds there may be known to
        the system alone, and is to be relied on from then on.

        Raises:
            DeviceError: The device cannot.

        Cost: waits for the device, GIL released.
        """
        device_sync(self.address)

    def close(self) -> None:
        """
        Close a device that no log has taken; else do nothing.
        """
        if not self._taken:
            self._taken = True
            device_close(self._address)

    def __del__(self) -> None:
        if hasattr(self, "_taken"):  # else making it failed
            self.close()


# --- what outlives a crash ----------------------------------------------------------


def slot_bytes(slot: Slot) -> bytes:
    """
    Put a slot into bytes, to be written to one of the two files.

    Args:
        slot: What it says.

    Returns:
        The bytes, with a checksum.

    Raises:
        ConfigError: It makes no sense.

    Source: `native/src/flog/slot.c`.
    """
    return cabi.slot_write(slot)


def slot_of(data: Buffer) -> Slot:
    """
    Take the bytes of a slot apart.

    Args:
        data: All of the file; zeros may follow the slot.

    Returns:
        What it says.

    Raises:
        CorruptLogError: They are damaged, or no slot.

        UnsupportedFormatError: They are of another format.

    Shape: data borrowed for the call.

    Source: `native/src/flog/slot.c`.
    """
    status, slot = cabi.slot_read(data)
    if slot is not None:
        return slot
    if status == cabi.CORRUPT:
        raise corrupt_error("a slot", None, "its bytes fail their checksum")
    raise error_for(status, "a slot")


def record_of(payload: Buffer) -> CommitRecord:
    """
    Take the payload of a commit record apart.

    Args:
        payload: Of an entry whose `kind` is 2.

    Returns:
        What it says, in copies.

    Raises:
        CorruptLogError: It is none.

    Source: `native/src/flog/slot.c`.
    """
    status, record = cabi.record_read(payload)
    if record is not None:
        return record
    if status == cabi.CORRUPT:
        raise corrupt_error("a commit record", None, "its sizes make no sense")
    raise error_for(status, "a commit record")


def recover(
    device: LogDevice,
    *,
    log_id: int,
    page_size: int,
    life: Life,
    start: int,
    number: int,
) -> Found:
    """
    Follow a log from a slot's `until` to its last commit; nothing is written.

    Args:
        device: Stays the caller's.

        log_id: The slot's.

        page_size: The slot's.

        life: The slot's last.

        start: The slot's `until`.

        number: The slot's.

    Returns:
        Where the log ends, and what lies behind that.

    Raises:
        CorruptLogError: Something that had been made durable is damaged or missing;
            `damage` says where.

        DeviceError: The device cannot be read.

        ClosedError: A log has taken the device.

    Cost: reads to the log's end, GIL released throughout.

    Source: `native/src/flog/recover.c`.
    """
    status, found, damage = cabi.flog_recover(
        device.address,
        life,
        log_id=log_id,
        page_size=page_size,
        number=number,
        **{"from": start},
    )
    if found is not None:
        return found
    if status == cabi.CORRUPT:
        raise corrupt_error("recovering a log", damage)
    raise error_for(status, "recovering a log")


__all__ = ["LogDevice", "record_of", "recover", "slot_bytes", "slot_of"]
