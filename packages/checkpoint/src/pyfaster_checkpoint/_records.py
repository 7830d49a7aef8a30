# SPDX-License-Identifier: MIT
"""
Walking over the records of a log, page by page, and verifying each.

A second reader of the log's format, beside the core's: it needs neither the core nor
the device, goes on behind what is damaged, and says everything that it has found.
Nothing of a record is used before its bounds were looked at.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import xxhash

#: The log's first page begins this much later, so that no record has address 0.
FIRST = 64

#: A page is at least and at most so large.
PAGE_MIN, PAGE_MAX = 1 << 9, 1 << 30

_M64 = (1 << 64) - 1
_MIX = 0x165667919E3779F9
_PREV = (1 << 48) - 1
_VERSION_SHIFT = 48
_TOMBSTONE, _INVALID, _SEALED, _WRITTEN, _FILLER = (1 << bit for bit in range(56, 61))
_UNKNOWN = _M64 & ~((1 << 60) - 1)
_PREFIX = struct.Struct("<QI")
_WORD = struct.Struct("<Q")
_PREFIX_SIZE = 16
_FILLER_END = 512

#: The hashes of keys whose index can be compared with the log. The only such table.
HASHES: Mapping[object, Callable[[bytes | memoryview], int]] = {
    "xxh3": xxhash.xxh3_64_intdigest,
    "xxh64": xxhash.xxh64_intdigest,
}


def avalanche(word: int) -> int:
    """
    Mix the bits of a word, as XXH3 ends.
    """
    word ^= word >> 37
    word = word * _MIX & _M64
    return word ^ word >> 32


def checksum(rest: bytes | memoryview, info: int, address: int, seed: int) -> int:
    """
    Give the checksum of a record.

    Args:
        rest: All that follows the record's first 16 bytes.

        info: Its first word.

        address: Where it is in the log.

        seed: Of the store and the generation.
    """
    place = avalanche(seed ^ avalanche(address))
    mixed = avalanche(place ^ (info & ~_SEALED))
    return xxhash.xxh3_64_intdigest(rest, mixed) & 0xFFFFFFFF


class Seeds:
    """
    The seeds of a store's addresses.
    """

    def __init__(self, store_id: int, generations: Sequence[tuple[int, int]]) -> None:
        self._firsts = [first for first, _ in generations]
        self._seeds = [avalanche(store_id ^ avalanche(n)) for _, n in generations]

    def at(self, address: int) -> tuple[int, int]:
        """
        Give the seed of an address, and up to which address it is the same.
        """
        index = max(bisect_right(self._firsts, address) - 1, 0)
        last = index + 1 >= len(self._firsts)
        return self._seeds[index], _M64 if last else self._firsts[index + 1]


@dataclass(frozen=True, slots=True)
class Shape:
    """
    How records of a store are laid out.

    Attributes:
        fixed: Whether all have the same size.

        key_size: Bytes of a key, when it is fixed.

        value_size: Bytes of a value, when it is fixed.

        page_size: No record crosses a multiple of it.
    """

    fixed: bool
    key_size: int
    value_size: int
    page_size: int

    @classmethod
    def of(cls, layout: Mapping[str, object]) -> Shape | None:
        """
        Give the shape that a manifest's layout says, or None when it is not known.
        """
        key, value = layout.get("key_size"), layout.get("value_size")
        page = layout["page_size"]
        assert isinstance(page, int)
        if not PAGE_MIN <= page <= PAGE_MAX:
            return None
        if layout["layout"] == "varlen":
            return cls(False, 0, 0, page)
        known = isinstance(key, int) and isinstance(value, int)
        if layout["layout"] != "fixed" or not known:
            return None
        assert isinstance(key, int)
        assert isinstance(value, int)
        return cls(True, key, value, page)

    @property
    def header(self) -> int:
        """
        Bytes in front of a key.
        """
        return _PREFIX_SIZE if self.fixed else 24

    def measure(self, data: memoryview, at: int) -> tuple[int, int]:
        """
        Give a record's extent and the size of its key; its header must be there.
        """
        if self.fixed:
            extent = _PREFIX_SIZE + _padded(self.key_size) + _padded(self.value_size)
            return extent, self.key_size
        (lengths,) = _WORD.unpack_from(data, at + _PREFIX_SIZE)
        key = lengths >> 32 & 0xFFFF
        value, slack = lengths & 0xFFFFFFFF, lengths >> 48
        return 24 + _padded(key) + _padded(value) + slack * 8, key


def _padded(size: int) -> int:
    return (size + 7) & ~7


def prev_of(info: int) -> int:
    """
    Give where the record before is, by a record's first word.
    """
    return info & _PREV


def is_record(info: int, address: int) -> bool:
    """
    Whether a word can be the first one of a record at an address.
    """
    wrong = info & _UNKNOWN or not info & _WRITTEN
    return not wrong and prev_of(info) < address


#: Is told of damage: address, what, expected, found.
Tell = Callable[[int, str, str, str], None]

#: Is told of a record that counts: its address and its key.
Visit = Callable[[int, memoryview], None]


class Walk:
    """
    A walk over pages of a log, in the order of their addresses.

    Args:
        shape: Of the records.

        seeds: Of their checksums.

        skips: Which of them count for nothing; ascending, apart from each other.

        until: The log ends here.

        summed_until: Fillers from here on have no checksum.

        tell: Is told of damage.

        visit: Is told of records that count; None when nobody cares.
    """

    def __init__(
        self,
        shape: Shape,
        seeds: Seeds,
        skips: Sequence[tuple[int, int, int]],
        *,
        until: int,
        summed_until: int,
        tell: Tell,
        visit: Visit | None = None,
    ) -> None:
        self._shape = shape
        self._seeds = seeds
        self._skips = skips
        self._until = until
        self._summed_until = summed_until
        self._tell = tell
        self._visit = visit
        self._seed, self._same_until = seeds.at(0)
        self._same_from = 0
        self.records = 0

    def page(self, data: memoryview, start: int, begin: int) -> None:
        """
        Walk over the bytes of one page.

        Args:
            data: The page, or as much of it as belongs to the log.

            start: The page's address.

            begin: Where the first record is, in this page or below it.
        """
        at = max(begin, start, FIRST) - start
        end = min(len(data), self._until - start)
        while at < end:
            extent = self._step(data, start, at, end)
            if extent <= 0:
                return
            at += extent

    def _step(self, data: memoryview, start: int, at: int, end: int) -> int:
        """
        Look at what begins at a place; give its extent, or 0 when that is not known.
        """
        address, room = start + at, end - at
        info = _WORD.unpack_from(data, at)[0] if room >= 8 else 0
        if info == 0:
            self._lost(address, room, "there is no record", "a record", "zeros")
            return 0
        if info & _FILLER:
            return self._filler(data, at, info, address, room)
        if not is_record(info, address):
            self._lost(
                address,
                room,
                "there is no record",
                "a record's header",
                f"{info:#018x}",
            )
            return 0
        return self._record(data, at, info, address, room)

    def _filler(
        self, data: memoryview, at: int, info: int, address: int, room: int
    ) -> int:
        extent = prev_of(info)
        plain = info & ~_PREV == _WRITTEN | _FILLER and extent and extent % 8 == 0
        ends = extent >= _PREFIX_SIZE or (address + extent) % _FILLER_END == 0
        if not plain or not ends or extent > room:
            wanted = f"a filler of at most {room:,} bytes"
            self._lost(address, room, "a filler does not fit", wanted, f"{info:#018x}")
            return 0
        summed = address + _PREFIX_SIZE <= self._summed_until
        if extent >= _PREFIX_SIZE and summed:
            found = _PREFIX.unpack_from(data, at)[1]
            right = checksum(b"", info, address, self._seed_at(address))
            if found != right:
                self._lost(
                    address,
                    room,
                    "a filler's checksum is wrong",
                    f"{right:#010x}",
                    f"{found:#010x}",
                )
                return 0
        return extent

    def _record(
        self, data: memoryview, at: int, info: int, address: int, room: int
    ) -> int:
        shape = self._shape
        header = shape.header
        extent, key_size = shape.measure(data, at) if room >= header else (header, 0)
        if extent > room:
            found = f"{extent:,}"
            self._lost(address, room, "a record is too long", f"<= {room:,}", found)
            return 0
        found_sum = _PREFIX.unpack_from(data, at)[1]
        rest = data[at + _PREFIX_SIZE : at + extent]
        right = checksum(rest, info, address, self._seed_at(address))
        self.records += 1
        if found_sum != right:
            text = f"the checksum of the record at {address:#x} of the log is wrong"
            self._tell(address, text, f"{right:#010x}", f"{found_sum:#010x}")
        elif self._visit is not None and self._counts(address, info):
            self._visit(address, data[at + header : at + header + key_size])
        return extent

    def _lost(
        self, address: int, room: int, what: str, expected: str, found: str
    ) -> None:
        text = f"at {address:#x} of the log {what}; {room:,} bytes of its page are lost"
        self._tell(address, text, expected, found)

    def _seed_at(self, address: int) -> int:
        if not self._same_from <= address < self._same_until:
            self._same_from = address
            self._seed, self._same_until = self._seeds.at(address)
        return self._seed

    def _counts(self, address: int, info: int) -> bool:
        if info & _INVALID:
            return False
        at = bisect_right(self._skips, address, key=lambda skip: skip[0]) - 1
        if at < 0:
            return True
        _, high, number = self._skips[at]
        return address >= high or info >> _VERSION_SHIFT & 0xFF != number & 0xFF


__all__ = [
    "FIRST",
    "HASHES",
    "Seeds",
    "Shape",
    "Walk",
    "avalanche",
    "checksum",
    "is_record",
    "prev_of",
]
