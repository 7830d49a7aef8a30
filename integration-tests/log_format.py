# SPDX-License-Identifier: MIT
"""
A reader of durable logs that knows docs/formats.md and nothing of pyfaster.

As in formats.py, offsets, widths and names come from the page's tables; what the page
says in sentences is here. Whatever is not as the page says is a `Difference`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path

from formats import (
    FIRST,
    M64,
    Difference,
    check,
    fields,
    magic,
    mix,
    segment,
    size_of,
    table,
    words,
    xxh3,
)

PLACE = 0x9E3779B185EBCA87
SLOT_UNIT = 4096
FILL_END = 512
SHORT = 8


@dataclass(frozen=True)
class Life:
    """Who wrote some addresses; `until` is 0 of the last one."""

    generation: int
    first: int
    until: int


@dataclass(frozen=True)
class State:
    """What slots and records carry of cursors and completion."""

    number: int = 0
    completed: bool = False
    cursors: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Slot:
    """A slot that is whole."""

    head: dict[str, int]
    lives: list[Life]
    cookie: bytes
    state: State


@dataclass(frozen=True)
class Record:
    """What a commit record says."""

    address: int
    head: dict[str, int]
    cookie: bytes
    attached: tuple[bytes, State]


@dataclass(frozen=True)
class Part:
    """Some bytes of the log, and what they are."""

    address: int
    end: int
    what: str
    generation: int = 0
    payload: bytes = b""


@cache
def kinds() -> dict[int, str]:
    """Give the kinds of entries that the page names."""
    cell = next(row[3] for row in table("Entries", "byte") if row[2] == "kind")
    return {int(number): name for number, name in re.findall(r"(\d): ([\w ]+)", cell)}


def padded(size: int, unit: int = 8) -> int:
    """Round up."""
    return -(-size // unit) * unit


# --- slots and what is attached -------------------------------------------------------


def state_of(data: bytes) -> State:
    """Read a state."""
    heading = "The state of a log"
    if not data:
        return State()
    check(len(data) >= size_of(heading), "a state is too short")
    head, at = words(heading, data), size_of(heading)
    check(head["number"] >= 1, "the number of a state")
    check(head["marks"] in (0, 1), f"marks {head['marks']:#x}")
    check(head["cursors"] <= 1024, f"{head['cursors']} cursors")
    found: list[tuple[str, int]] = []
    for _ in range(head["cursors"]):
        place, length = struct.unpack_from("<QH", data, at)
        name = data[at + 10 : at + 10 + length]
        check(len(name) == length and 1 <= length <= 255, "the name of a cursor")
        found.append((name.decode(), place))
        at += 10 + length
    check(at == len(data), "something behind the cursors")
    check(all(a < b for (a, _), (b, _) in pairwise(found)), "the order of cursors")
    return State(head["number"], head["marks"] == 1, dict(found))


def attached(data: bytes) -> tuple[bytes, State]:
    """Read a cookie and a state."""
    if not data:
        return b"", State()
    check(len(data) >= 4, "an attachment is too short")
    size = int.from_bytes(data[:4], "little")
    check(4 + size <= len(data), "a cookie goes beyond what it is in")
    return data[4 : 4 + size], state_of(data[4 + size :])


def slot_of(data: bytes) -> Slot:
    """Read a slot."""
    size = size_of("Slots")
    check(data[:8] == magic("Slots").encode(), "the magic of a slot")
    check(len(data) >= SLOT_UNIT, "a slot is too short")
    head = words("Slots", data)
    end = head["bytes"]
    check(head["format"] == 1, f"format {head['format']}")
    check(end % 8 == 0 and size + 8 <= end <= len(data), f"a slot of {end} bytes")
    right = xxh3(data[: end - 8], int.from_bytes(data[:8], "little"))
    check(int.from_bytes(data[end - 8 : end], "little") == right, "a slot's hash")
    check(not any(data[end : padded(end, SLOT_UNIT)]), "what pads a slot")
    check(1 <= head["lives"] <= 16384, f"{head['lives']} lives")
    check(head["attachment"] <= 1 << 20, "a slot's attachment")
    at = size + 24 * head["lives"]
    check(end == at + padded(head["attachment"]) + 8, "the bytes of a slot")
    check(not any(data[at + head["attachment"] : end - 8]), "what pads an attachment")
    lives = [Life(*words) for words in struct.iter_unpack("<QQQ", data[size:at])]
    cookie, state = attached(data[at : at + head["attachment"]])
    check_lives(lives, head)
    return Slot(head, lives, cookie, state)


def check_lives(lives: list[Life], head: dict[str, int]) -> None:
    """See whether lives ascend."""
    for one in lives:
        check(FIRST <= one.first < 1 << 48 and one.first % 8 == 0, "a life's first")
    for one, after in pairwise(lives):
        check(one.generation < after.generation, "generations")
        check(one.first <= one.until <= after.first, "lives overlap")
    check(lives[-1].until == 0, "the last life has an end")
    check(lives[-1].first <= head["until"] < 1 << 48, "until")
    check(FIRST <= head["begin"] <= head["until"], "begin")
    check((head["begin"] | head["until"]) % 8 == 0, "begin and until")


# --- a log ----------------------------------------------------------------------------


class Log:
    """
    A log's directory, read by the page.

    Args:
        where: The directory.

    Attributes:
        slots: Those that are whole, by name.

        slot: The one that counts.

        base: The first address that a file has.

        data: The log's bytes from there on.

        generations: What the header of each segment has, by its base.
    """

    def __init__(self, where: Path) -> None:
        self.where = where
        self.slots = dict(self._slots())
        check(self.slots != {}, "no slot is whole")
        self.slot = max(self.slots.values(), key=lambda one: one.head["sequence"])
        self.begin = self.slot.head["begin"]
        self.page_size = self.slot.head["page_size"]
        self.log_id = self.slot.head["log_id"]
        self.generations: dict[int, int] = {}
        self.base, self.data = 0, bytearray()
        self._read()

    def _slots(self) -> Iterator[tuple[str, Slot]]:
        for name, *_ in table("A durable log", "name"):
            if name.startswith("commits/"):
                try:
                    yield name, slot_of((self.where / name).read_bytes())
                except Difference as error:
                    print(f"{name}: {error}")

    def _read(self) -> None:
        """Read the segments: they are as a store's, without a gap."""
        heading = "The header of a segment"
        files = sorted((self.where / "log").glob("*.seg"))
        for path in files:
            head = words(heading, path.read_bytes()[: size_of(heading)])
            base, size = int(path.stem, 16), head["segment_size"]
            if not self.generations:
                self.base = base
                check(base <= self.begin, f"nothing from {self.begin:#x} on")
            check(base == self.base + len(self.data), f"{base:#x}: a gap before it")
            self.data += segment(self.where, base, size, self.log_id)
            high, low = divmod(head["generation"], 1 << 32)
            # A cut since the opening has begun a later life.
            check(low == 0, f"{base:#x}: generation")
            check(1 < high <= self.slot.lives[-1].generation + 1, f"{base:#x}: {high}")
            self.generations[base] = high

    @property
    def limit(self) -> int:
        """Where the files end."""
        return self.base + len(self.data)

    def bytes_at(self, first: int, until: int) -> bytes:
        """Give some of the log's bytes, fewer where the files end."""
        return bytes(self.data[first - self.base : until - self.base])

    # --- entries --------------------------------------------------------------------

    def checksum(self, life: Life, at: int, word: int, payload: bytes) -> int:
        """Give the checksum that an entry must have."""
        seed = mix(self.log_id ^ mix(life.generation))
        return xxh3(payload, mix(seed ^ word ^ at * PLACE & M64))

    def entry(self, at: int, life: Life) -> Part:
        """Read what begins at an address, which a life wrote."""
        size = size_of("Entries")
        raw = self.bytes_at(at, at + size)
        check(len(raw) >= SHORT and any(raw[:8]), f"nothing at {at:#x}")
        head = words("Entries", raw.ljust(size, b"\0"))
        what, length = kinds().get(head["kind"], ""), head["length"]
        check(what != "" and head["flags"] == 0, f"a header at {at:#x}")
        wanted = life.generation & 0xFFFF
        check(head["generation"] == wanted, f"the generation at {at:#x}")
        filler = what == "filler"
        end = at + (length if filler else size + padded(length))
        room = self.page_size - at % self.page_size
        bound = min(at + room, life.until or M64, self.limit)
        check(end <= bound, f"{what} at {at:#x} ends at {end:#x}")
        if filler:
            check(length >= SHORT and length % 8 == 0, f"the filler at {at:#x}")
            if length == SHORT:
                check(end % FILL_END == 0, f"the end of a filler at {at:#x}")
                return Part(at, end, what, life.generation)
        payload = b"" if filler else self.bytes_at(at + size, at + size + length)
        check(len(payload) <= self.page_size - 80, f"too large at {at:#x}")
        word = int.from_bytes(raw[: fields("Entries")["checksum"][0]], "little")
        right = self.checksum(life, at, word, payload)
        check(head["checksum"] == right, f"the checksum at {at:#x}")
        return Part(at, end, what, life.generation, payload)

    def record(self, part: Part) -> Record:
        """Read a commit record."""
        size, data, where = (
            size_of("Commit records"),
            part.payload,
            f"{part.address:#x}",
        )
        check(len(data) >= size, f"the record at {where}")
        head = words("Commit records", data)
        cookie, most = size + head["cookie"], min(8192, (self.page_size - 80) // 4)
        check(head["cookie"] <= 4096, f"the cookie at {where}")
        check(head["attachment"] <= most, f"the attachment at {where}")
        check(len(data) == cookie + head["attachment"], f"the bytes at {where}")
        page = part.address - part.address % self.page_size
        right = part.end <= head["until"] <= page + self.page_size
        check(right and head["until"] % FILL_END == 0, f"until at {where}")
        check(FIRST <= head["begin"] <= part.address, f"begin at {where}")
        check(head["durable"] <= part.address, f"durable at {where}")
        return Record(part.address, head, data[size:cookie], attached(data[cookie:]))

    # --- the whole ------------------------------------------------------------------

    def _ended(self, life: Life, at: int) -> Iterator[Part]:
        """Read what a life wrote that has ended: all of it is whole."""
        while at < life.until:
            part = self.entry(at, life)
            yield part
            at = part.end

    def _last(self, at: int) -> Iterator[Part]:
        """Read what the last life wrote, up to the last commit."""
        life, durable = self.slot.lives[-1], self.slot.head["until"]
        waiting: list[Part] = []
        until = 0
        while True:
            try:
                part = self.entry(at, life)
                if part.what == "commit record":
                    until = self.record(part).head["until"]
            except Difference:
                if at < durable:
                    raise
                self._refuse_later(at, life)
                return
            check(part.end <= durable or at >= durable, f"until is within {at:#x}")
            waiting.append(part)
            at = part.end
            if part.what == "commit record" or at in (until, durable):
                yield from waiting
                waiting.clear()

    def _refuse_later(self, ended: int, life: Life) -> None:
        """Look for a record that says that something was durable where it ends."""
        number = next(n for n, name in kinds().items() if name == "commit record")
        low = ended - self.base
        for at in range(low, len(self.data) - size_of("Entries"), 8):
            if self.data[at + 4] != number:
                continue
            try:
                found = self.record(self.entry(self.base + at, life))
            except Difference:
                continue
            check(
                found.head["durable"] <= ended, f"something durable is lost: {ended:#x}"
            )

    def _parts(self) -> Iterator[Part]:
        check(not any(self.bytes_at(0, FIRST)) or self.base > 0, "the first bytes")
        at = self.base
        if at == 0 and self.data:
            yield Part(0, FIRST, "zeros")
            at = FIRST
        for life in self.slot.lives:
            first = max(life.first, self.begin)
            if life.until and first >= life.until:
                continue
            if at < first and self.data:
                yield Part(
                    at, first, "given back" if first == self.begin else "nothing"
                )
            at = first
            whole = self._ended(life, at) if life.until else self._last(at)
            for part in whole:
                yield part
                at = part.end
        if at < self.limit:
            yield Part(at, self.limit, "behind the end")

    def walk(self) -> list[Part]:
        """Give all that the files have of the log, in order."""
        return list(self._parts())

    @cached_property
    def parts(self) -> list[Part]:
        """What the walk over the whole log finds."""
        return self.walk()

    @property
    def entries(self) -> list[tuple[int, bytes]]:
        """Addresses and payloads of what was appended and is committed."""
        return [(one.address, one.payload) for one in self.parts if one.what == "data"]

    @cached_property
    def records(self) -> list[Record]:
        """The commit records, whose numbers grow."""
        found = [self.record(one) for one in self.parts if one.what == "commit record"]
        numbers = [one.head["number"] for one in found]
        check(all(a < b for a, b in pairwise(numbers)), f"numbers {numbers}")
        return found

    @property
    def until(self) -> int:
        """Below which everything is committed."""
        named = [one.end for one in self.parts if one.generation]
        return max([self.slot.head["until"], *named[-1:]])

    @property
    def number(self) -> int:
        """Of the last commit."""
        found = [one.head["number"] for one in self.records]
        return max([self.slot.head["number"], *found])

    @property
    def state(self) -> State:
        """The state with the largest number."""
        found = [one.state for one in self.slots.values()]
        found += [one.attached[1] for one in self.records[-1:]]
        return max(found, key=lambda state: state.number)

    @property
    def cookie(self) -> bytes:
        """That of the last commit that had one."""
        for one in reversed(self.records):
            if one.address >= self.slot.head["until"]:
                known = one.cookie or one.attached[0]
                if known:
                    return known
        return self.slot.cookie
