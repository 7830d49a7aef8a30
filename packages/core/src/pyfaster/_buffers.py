# SPDX-License-Identifier: MIT
"""
What callers hand over as memory: many items in a buffer, and room for results.

These classes check lengths and contiguity, before anything is borrowed, so that C never
follows a number out of a buffer. They know nothing of C; `_cabi` borrows the memory for
the length of a call.
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


class Items:
    """
    Many items in one buffer: keys, values or inputs of a batch.

    Args:
        data: The items, one after another.

        size: Bytes of each item when all have the same size.

        offsets: Where each item begins, and at last where the last one ends; None
            when all have the same size.

        count: How many items there are; needed when `size` is 0, else worked out.

    Shape: data any contiguous buffer; offsets uint64 (count + 1,). Both are held for as
    long as this object lives.
    """

    __slots__ = ("count", "data", "offsets", "size")

    def __init__(
        self,
        data: Buffer,
        *,
        size: int = 0,
        offsets: Buffer | None = None,
        count: int | None = None,
    ) -> None:
        self.data = view_of(data)
        self.size = size
        self.offsets = None if offsets is None else view_of(offsets, OFFSET_SIZE)
        if self.offsets is None:
            self.count = self._count_fixed(count)
        else:
            self.count = self._count_varlen(self.offsets.nbytes // OFFSET_SIZE, count)

    def _count_fixed(self, count: int | None) -> int:
        length, size = self.data.nbytes, self.size
        if count is None:
            if size == 0:
                raise ValueError("items of 0 bytes cannot be counted; pass count")
            count = length // size
        if length != count * size:
            raise ValueError(
                f"{length} bytes are not {count} items of {size} bytes: the last item "
                "is cut off or the size is wrong"
            )
        return count

    @staticmethod
    def _count_varlen(offsets: int, count: int | None) -> int:
        if offsets == 0:
            raise ValueError("offsets need one number more than there are items")
        if count is not None and offsets != count + 1:
            raise ValueError(f"{count} items need {count + 1} offsets, not {offsets}")
        return offsets - 1


class Results:
    """
    Where the results of a batch go.

    Args:
        data: Room for the results; None where they are not wanted.

        size: Bytes of each result when all have the same size.

        offsets: For results of varying size: the caller sets the first number, the
            call sets the one behind each result. None when all have the same size.

        flags: One byte for each item: 1 for a result, 0 for none. May be None.

    Shape: data writable; offsets writable uint64 (count + 1,); flags writable uint8
    (count,); all contiguous, held for as long as this object lives.
    """

    __slots__ = ("data", "flags", "offsets", "size")

    def __init__(
        self,
        data: Buffer | None,
        *,
        size: int | None = None,
        offsets: Buffer | None = None,
        flags: Buffer | None = None,
    ) -> None:
        self.data = None if data is None else view_of(data, writable=True)
        self.offsets = (
            None if offsets is None else view_of(offsets, OFFSET_SIZE, writable=True)
        )
        self.flags = None if flags is None else view_of(flags, writable=True)
        self.size = 0 if data is None else size

    @property
    def capacity(self) -> int:
        """
        Bytes of room.
        """
        return 0 if self.data is None else self.data.nbytes

    def require(self, count: int) -> None:
        """
        Refuse to receive more results than there is room for.
        """
        if self.offsets is None and self.size is None:
            raise ValueError("results need a size or offsets")
        if self.offsets is None and self.capacity < count * (self.size or 0):
            raise ValueError(f"{count} results do not fit {self.capacity} bytes")
        self.require_marks(count)

    def require_marks(self, count: int) -> None:
        """
        Refuse to receive more results than there are offsets or flags for.
        """
        if self.offsets is not None and self.offsets.nbytes < (count + 1) * OFFSET_SIZE:
            raise ValueError(f"{count} results need {count + 1} offsets")
        if self.flags is not None and self.flags.nbytes < count:
            raise ValueError(f"{count} results need {count} flags")
