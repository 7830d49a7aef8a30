# SPDX-License-Identifier: MIT
"""
What is handed to C as memory: contiguous buffers, and room for what a scan finds.

Lengths and contiguity are checked before anything is borrowed, so that C never follows
a number out of a buffer. Nothing of C is known here; `_cabi` borrows the memory for the
length of a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

OFFSET_SIZE = 8


def view_of(buffer: Buffer, unit: int = 1, *, writable: bool = False) -> memoryview:
    """
    Give a view of contiguous memory.

    Args:
        buffer: Anything with the buffer protocol.

        unit: Bytes of each number in it.

        writable: Whether C will write into it.

    Raises:
        ValueError: The memory has gaps, is read-only, or ends inside a number.
    """
    view = memoryview(buffer)
    if not view.c_contiguous or (writable and view.readonly):
        need = "contiguous and writable" if writable else "contiguous"
        raise ValueError(f"the buffer must be {need}")
    if view.nbytes % unit != 0:
        raise ValueError(f"{view.nbytes} bytes are no whole number of {unit} bytes")
    return view


class Results:
    """
    Room for the keys or the values that a scan finds.

    Args:
        data: Room for the results.

        offsets: For results of varying size: the caller sets the first number, the
            call sets the one behind each result. None when all have the same size.

    Shape: data writable; offsets writable uint64 (count + 1,); both contiguous, held
    for as long as this object lives.
    """

    __slots__ = ("data", "offsets")

    def __init__(self, data: Buffer, *, offsets: Buffer | None = None) -> None:
        self.data = view_of(data, writable=True)
        self.offsets = (
            None if offsets is None else view_of(offsets, OFFSET_SIZE, writable=True)
        )

    @property
    def capacity(self) -> int:
        """
        Bytes of room.
        """
        return self.data.nbytes

    def require(self, count: int) -> None:
        """
        Refuse to receive more results than there are offsets for.

        Whether there is room for the results themselves the core checks.
        """
        if self.offsets is not None and self.offsets.nbytes < (count + 1) * OFFSET_SIZE:
            raise ValueError(f"{count} results need {count + 1} offsets")
