# SPDX-License-Identifier: MIT
"""
A reader of stores that knows docs/formats.md and nothing of pyfaster.

Offsets, widths, magic texts and members come from the page's tables; what the page says
in sentences is here. Whatever is not as the page says is a `Difference`.
"""

from __future__ import annotations

import json
import re
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import house

try:
    import xxhash
except ImportError:  # where no plugin is installed these tests do not run
    xxhash = None  # type: ignore[assignment]

PAGE = house.ROOT / "docs" / "formats.md"
FIRST = 64
MIX = 0x165667919E3779F9
M64 = (1 << 64) - 1


class Difference(AssertionError):
    """What is on disk is not what the page says."""


def check(right: bool, what: str) -> None:
    """Raise a `Difference` unless it is right."""
    if not right:
        raise Difference(what)


@cache
def tables(heading: str) -> list[list[list[str]]]:
    """Give the tables under a heading of the page: rows of cells, head row first."""
    body = re.search(
        rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", house.text(PAGE), re.M | re.S
    )
    assert body is not None, heading
    found = re.findall(r"(?:^\|.*\n)+", body[1], re.M)
    return [
        [[cell.strip(" `") for cell in line.strip("|").split(" | ")] for line in lines]
        for table in found
        if (lines := [one for one in table.splitlines() if "---" not in one])
    ]


def table(heading: str, head: str, number: int = 0) -> list[list[str]]:
    """Give the rows of a table, by the head of its first column."""
    fitting = [one for one in tables(heading) if one[0][0].strip("| ") == head]
    return [[cell.strip("| `") for cell in row] for row in fitting[number][1:]]


@cache
def fields(heading: str, number: int = 0) -> dict[str, tuple[int, int]]:
    """Give a table of bytes: field to offset and size. There is no gap in it."""
    found = {
        name: (int(at), int(size))
        for at, size, name, *_ in table(heading, "byte", number)
    }
    end = 0
    for name, (at, size) in found.items():
        check(at == end, f"{heading}: {name} is at {at}, not {end}")
        end = at + size
    return found


def words(
    heading: str, data: bytes | memoryview, at: int = 0, number: int = 0
) -> dict[str, int]:
    """Read the fields of a table of bytes."""
    return {
        name: int.from_bytes(data[at + offset : at + offset + size], "little")
        for name, (offset, size) in fields(heading, number).items()
    }


def size_of(heading: str, number: int = 0) -> int:
    """Give how many bytes the fields of a table have together."""
    return sum(size for _, size in fields(heading, number).values())


@cache
def masks(heading: str, number: int = 0) -> dict[str, tuple[int, int]]:
    """Give a table of bits: field to its lowest bit and mask. All 64 are there."""
    found, end = {}, 0
    for cell, name, *_ in table(heading, "bits", number):
        low, _, high = cell.partition("-")
        check(int(low) == end, f"{heading}: {name} begins at bit {low}, not {end}")
        end = int(high or low) + 1
        found[name] = (int(low), (1 << (end - int(low))) - 1)
    check(end == 64, f"{heading}: {end} bits")
    return found


def bits(heading: str, word: int, number: int = 0) -> dict[str, int]:
    """Read the fields of a table of bits."""
    return {n: word >> low & mask for n, (low, mask) in masks(heading, number).items()}


def magic(heading: str) -> str:
    """Give what the page says of the field `magic`."""
    return next(row[3] for row in table(heading, "byte") if row[2] == "magic")


def mix(word: int) -> int:
    """Mix a word as the page says."""
    word ^= word >> 37
    word = word * MIX & M64
    return word ^ word >> 32


def xxh3(data: bytes | memoryview, seed: int = 0) -> int:
    """Give the page's XXH3."""
    return int(xxhash.xxh3_64_intdigest(data, seed))


def crc32c(data: bytes) -> int:
    """Give the page's CRC-32C, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@dataclass(frozen=True)
class Record:
    """A record of the log."""

    address: int
    info: dict[str, int]
    key: bytes
    value: bytes


class Checkpoint:
    """
    A checkpoint, and the log below it, read by the page.

    Args:
        store: The store's directory.

        token: The checkpoint's name.
    """

    def __init__(self, store: Path, token: str) -> None:
        self.store = store
        self.token = token
        self.folder = store / "checkpoints" / token
        self.manifest = self._manifest()
        self.at: dict[str, int] = self.manifest["addresses"]
        self.page_size: int = self.manifest["layout"]["page_size"]
        check({one.name for one in self.folder.iterdir()} <= self._names(), "names")

    def _names(self) -> set[str]:
        named = {row[0] for row in table("A store's directory", "name", 1)}
        files = {each["name"] for each in self.manifest["files"]}
        check(files <= named, f"{files} are not all on the page")
        return files | {"manifest.json", "pin"}

    def _manifest(self) -> dict[str, Any]:
        data = (self.folder / "manifest.json").read_bytes()
        whole: dict[str, Any] = json.loads(data)
        check(list(whole)[-1] == "checksum", "the checksum is not the last member")
        body = {name: value for name, value in whole.items() if name != "checksum"}
        text = json.dumps(body, sort_keys=True, separators=(",", ":")).encode("ascii")
        sealed = text[:-1] + f',"checksum":"{xxh3(text):016x}"}}\n'.encode()
        check(data == sealed, "not canonical, or another checksum")
        named = [row[0] for row in table("The manifest", "member")]
        check(sorted(whole) == sorted(named), f"members are {sorted(whole)}")
        addresses = {row[0] for row in table("The manifest", "address")}
        check(set(whole["addresses"]) == addresses, f"{set(whole['addresses'])}")
        kinds = {row[0]: row[1] for row in table("The manifest", "kind")}
        wanted = sorted(kinds[whole["kind"]].replace("`", "").split(", "))
        names = [each["name"] for each in whole["files"]]
        check(names == wanted, f"{whole['kind']} has {names}, not {wanted}")
        check(int(self.token[:16], 16) == whole["sequence"], "sequence")
        return whole

    def hex(self, member: str) -> int:
        """Give a member that is 16 hex digits."""
        text = self.manifest[member]
        check(re.fullmatch(r"[0-9a-f]{16}", text) is not None, f"{member} is {text}")
        return int(text, 16)

    # --- streams --------------------------------------------------------------------

    def payloads(self, name: str) -> Iterator[bytes]:
        """Give the payloads of a stream, each block being verified."""
        kinds = {"index.dat": "index", "snapshot.dat": "pages", "delta.dat": "delta"}
        entry = next(each for each in self.manifest["files"] if each["name"] == name)
        data = (self.folder / name).read_bytes()
        check(entry["length"] == len(data), f"{name}: length")
        check(entry["xxh3"] == f"{xxh3(data):016x}", f"{name}: hash")
        check(entry["kind"] == kinds[name], f"{name}: kind {entry['kind']}")
        part = next(row[3] for row in table("Blocks", "byte") if row[2] == "part")
        numbers = {kind: int(n) for n, kind in re.findall(r"(\d): (\w+)", part)}
        header, at, number, last = size_of("Blocks"), 0, 0, False
        while at < len(data):
            check(not last, f"{name}: something behind the last block")
            block = words("Blocks", data, at)
            inner = xxh3(data[at : at + fields("Blocks")["hash"][0]], self.hex("seed"))
            payload = data[at + header : at + header + block["bytes"]]
            check(data[at : at + 4] == magic("Blocks").encode(), f"{name}: magic")
            check(block["part"] == numbers[entry["kind"]], f"{name}: part")
            check(block["format"] == 1, f"{name}: format")
            check(block["number"] == number, f"{name}: number of a block")
            check(block["hash"] == xxh3(payload, inner), f"{name}: hash of a block")
            check(block["bytes"] % 8 == 0, f"{name}: bytes of a block")
            last = block["flags"] == 1
            check(block["flags"] in (0, 1), f"{name}: flags")
            check(last == (not payload), f"{name}: a payload in the last block")
            at, number = at + header + block["bytes"], number + 1
            if payload:
                yield payload
        check(last, f"{name}: no last block")

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """Give the pieces of snapshot.dat with their addresses."""
        head = size_of("Part 2: pages")
        for payload in self.payloads("snapshot.dat"):
            place = words("Part 2: pages", payload)
            first, length = place["address"], place["length"]
            check(length == len(payload) - head, "pages: length")
            same = first // self.page_size == (first + length - 1) // self.page_size
            check(same, "pages: more than one page")
            yield first, payload[head:]

    def delta(self) -> Iterator[tuple[int, bytes]]:
        """Give the records of delta.dat with their addresses."""
        head, end = size_of("Part 3: changed records"), 0
        for payload in self.payloads("delta.dat"):
            at = 0
            while at < len(payload):
                place = words("Part 3: changed records", payload, at)
                at += head
                check(place["address"] >= end, "delta: order")
                yield place["address"], payload[at : at + place["extent"]]
                end = place["address"] + place["extent"]
                at += place["extent"]

    # --- the log --------------------------------------------------------------------

    def chain(self) -> list[Checkpoint]:
        """Give the checkpoint behind those that it is based on."""
        parent = self.manifest["parent"]
        check((parent is not None) == (self.manifest["kind"] == "incremental"), "kind")
        return [
            *([] if parent is None else Checkpoint(self.store, parent).chain()),
            self,
        ]

    @cached_property
    def log(self) -> bytes:
        """All of the log up to `final`, from segments, pages and deltas."""
        until, size = self.at["log_until"], self.manifest["segment_size"]
        log = bytearray()
        for base in range(0, until, size):
            log += segment(self.store, base, size, self.hex("store_id"))
        del log[until:]
        chain = self.chain()
        for one in chain:
            for address, piece in one.pages() if self._has(one, "snapshot.dat") else ():
                past = len(log) - address
                if past < len(piece):
                    check(past >= 0, f"pages: nothing for {len(log):#x}")
                    log += piece[past:]
        check(len(log) == self.at["final"], f"the log ends at {len(log):#x}")
        for one in chain[1:]:
            for address, record in one.delta():
                low = max(address, until)
                if low < address + len(record):
                    log[low : address + len(record)] = record[low - address :]
        return bytes(log)

    @staticmethod
    def _has(one: Checkpoint, name: str) -> bool:
        return any(each["name"] == name for each in one.manifest["files"])

    def seed(self, address: int) -> int:
        """Give the seed of an address by its generation."""
        rows = self.manifest["generations"]
        number = rows[bisect_right([first for first, _ in rows], address) - 1][1]
        return mix(self.hex("store_id") ^ mix(number))

    def checksum(self, rest: bytes, info: int, address: int) -> int:
        """Give the checksum that a record or a filler must have."""
        low, mask = masks("Records")["sealed"]
        place = mix(self.seed(address) ^ mix(address))
        return xxh3(rest, mix(place ^ (info & ~(mask << low)))) & 0xFFFFFFFF

    def extent(self, at: int) -> tuple[int, int, int, int]:
        """Give a record's header, sizes of key and value, and all its bytes."""
        head, shape = size_of("Records"), self.manifest["layout"]
        if shape["layout"] == "fixed":
            key, value, slack = shape["key_size"], shape["value_size"], 0
        else:
            word = bits("Records", struct.unpack_from("<Q", self.log, at + head)[0], 1)
            head += 8
            key, value, slack = word["key_size"], word["value_size"], word["slack"]
        return (
            head,
            key,
            value,
            head + -(-key // 8) * 8 + -(-value // 8) * 8 + slack * 8,
        )

    def records(self) -> Iterator[Record]:
        """Walk over the log; every record and filler is verified."""
        log, at, prefix = self.log, FIRST, size_of("Records")
        check(not any(log[:FIRST]), "the log's first bytes are not zero")
        while at < len(log):
            word = words("Records", log[at : at + prefix].ljust(prefix, b"\0"))
            info = bits("Records", word["info"])
            check(info["written"] == 1 and info["zero"] == 0, f"a header at {at:#x}")
            room = self.page_size - at % self.page_size
            if info["filler"]:
                self._filler(at, word, info, room)
                at += info["prev"]
                continue
            head, key, value, extent = self.extent(at)
            check(extent <= room, f"a record at {at:#x} crosses its page")
            check(info["prev"] < at, f"prev at {at:#x}")
            right = self.checksum(log[at + prefix : at + extent], word["info"], at)
            check(word["checksum"] == right, f"the checksum at {at:#x}")
            start = at + head + -(-key // 8) * 8
            yield Record(
                at, info, log[at + head : at + head + key], log[start : start + value]
            )
            at += extent

    def _filler(
        self, at: int, word: dict[str, int], info: dict[str, int], room: int
    ) -> None:
        size = info["prev"]
        marks = info["version"], info["tombstone"], info["invalid"], info["sealed"]
        check(marks == (0, 0, 0, 0), f"marks of a filler at {at:#x}")
        check(0 < size <= room and size % 8 == 0, f"the size of a filler at {at:#x}")
        if size >= size_of("Records"):
            right = self.checksum(b"", word["info"], at)
            check(word["checksum"] == right, f"the checksum of a filler at {at:#x}")
        else:
            check((at + size) % 512 == 0, f"the end of a filler at {at:#x}")

    def counts(self, record: Record) -> bool:
        """Whether a record belongs to the state."""
        at = self.at
        own = [at["fuzzy_start"], at["final"], self.manifest["version"] + 1]
        return record.info["invalid"] == 0 and not any(
            first <= record.address < until and record.info["version"] == version & 0xFF
            for first, until, version in [*self.manifest["skips"], own]
        )

    def state(self) -> dict[bytes, bytes]:
        """Give the keys and values that the checkpoint holds."""
        newest = {one.key: one for one in self.records() if self.counts(one)}
        return {
            key: one.value for key, one in newest.items() if not one.info["tombstone"]
        }

    # --- the index ------------------------------------------------------------------

    def entries(self) -> dict[tuple[int, int], int]:
        """Give the entries of index.dat: bucket and tag to address."""
        opening, *runs = self.payloads("index.dat")
        start = words("Part 1: the index", opening)
        wanted = (self.at["index_start"], self.at["index_bits"])
        check((start["start"], start["bits"]) == wanted, "the opening of the index")
        check(start["buckets"] == 1 << start["bits"], "the number of buckets")
        head, buckets = size_of("Part 1: the index", 1), 0
        pairs: list[tuple[int, int]] = []
        for run in runs:
            said = words("Part 1: the index", run, 0, 1)
            body = [word for (word,) in struct.iter_unpack("<Q", run[head:])]
            if said["type"] == 1:
                check(said["first"] == buckets, "the order of buckets")
                check(len(body) == said["count"] * 8, "the bytes of buckets")
                check(not any(body[7::8]), "the eighth word of a bucket")
                pairs += [(buckets + at // 8, word) for at, word in enumerate(body)]
                buckets += said["count"]
            else:
                check(buckets == start["buckets"], "entries before all buckets")
                check((said["type"], said["first"]) == (2, 0), "the head of a run")
                check(len(body) == said["count"] * 2, "the bytes of entries")
                pairs += list(zip(body[::2], body[1::2], strict=True))
        found = {}
        for bucket, word in pairs:
            if word:
                entry = bits("Part 1: the index", word)
                check(entry["zero"] == 0 != entry["tag"], f"an entry {word:#x}")
                found[bucket, entry["tag"]] = entry["address"]
        check(len(found) == self.at["index_entries"], f"{len(found)} entries")
        return found

    def chain_of(self, key: bytes) -> Iterator[int]:
        """Give the addresses that the copy of the index leads to for a key."""
        hashed = xxh3(key)
        bucket = hashed & ((1 << self.at["index_bits"]) - 1)
        address = self._entries.get((bucket, hashed >> 50 or 1), 0)
        while address >= FIRST:
            yield address
            word = words("Records", self.log[address : address + 16])["info"]
            address = bits("Records", word)["prev"]

    @cached_property
    def _entries(self) -> dict[tuple[int, int], int]:
        return self.entries()


def segment(store: Path, base: int, size: int, store_id: int) -> bytes:
    """Give the log's bytes of a segment, its header being verified."""
    heading = "The header of a segment"
    data = (store / "log" / f"{base:020x}.seg").read_bytes()
    header = words(heading, data)
    at, width = fields(heading)["checksum"]
    check(data[:8] == b"PYFSEG\r\n", f"{base:#x}: magic")
    check("PYFSEG" in magic(heading), "the page's magic")
    found = {name: header[name] for name in ("format", "store_id", "base")}
    wanted = {"format": 1, "store_id": store_id, "base": base}
    check(found == wanted, f"{base:#x}: {found}")
    check(header["zero"] == 0, f"{base:#x}: zero")
    check(header["header_size"] == at + width == size_of(heading), f"{base:#x}: size")
    check(header["segment_size"] == size == len(data) - (at + width), "length")
    check(header["checksum"] == crc32c(data[:at]), f"{base:#x}: checksum")
    return data[at + width :]
