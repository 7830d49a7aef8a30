# SPDX-License-Identifier: MIT
"""A copy of the index and the log: whatever they do not agree on is found."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import xxhash
from store_kit import about, built, manifest, rewrite, store, tokens

from pyfaster_checkpoint._blocks import HEADER, block_hash
from pyfaster_checkpoint._manifest import Manifest
from pyfaster_checkpoint._verify import verify

__all__ = ["built", "store"]

ADDRESS = (1 << 48) - 1

#: Takes the words of the main buckets and changes some.
Change = Callable[[list[int]], None]


def forge(place: Path, token: str, change: Change) -> str:
    """Change entries of a copy of the index, all checksums right; give its name."""
    one = manifest(place, token)
    name = f"checkpoints/{token}/index.dat"
    data = bytearray((place / name).read_bytes())
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at + 16)
        payload = at + HEADER.size
        if at and size and data[payload] == 1:
            words = list(
                struct.unpack_from(f"<{(size - 16) // 8}Q", data, payload + 16)
            )
            change(words)
            struct.pack_into(f"<{len(words)}Q", data, payload + 16, *words)
            block = memoryview(data)[payload : payload + size]
            found = block_hash(memoryview(data)[at:payload], block, one.seed)
            struct.pack_into("<Q", data, at + 24, found)
            block.release()
        at = payload + size
    (place / name).write_bytes(data)
    rewrite(place, token, files=files_of(one, bytes(data)))
    return name


def files_of(one: Manifest, data: bytes) -> list[dict[str, object]]:
    """The manifest's list of files, with new bytes of the index's copy."""
    return [
        {
            "name": each.name,
            "kind": each.kind,
            "length": each.length,
            "xxh3": f"{xxhash.xxh3_64_intdigest(data):016x}"
            if each.name == "index.dat"
            else f"{each.xxh3:016x}",
        }
        for each in one.files
    ]


def used(words: list[int]) -> list[int]:
    """The places of entries."""
    return [at for at, word in enumerate(words) if word]


def forget(words: list[int]) -> None:
    """Lose an entry."""
    words[used(words)[3]] = 0


def exchange(words: list[int]) -> None:
    """Let two entries lead to each other's record."""
    one, two = used(words)[3:5]
    first, second = words[one], words[two]
    words[one] = first & ~ADDRESS | second & ADDRESS
    words[two] = second & ~ADDRESS | first & ADDRESS


def lead_before(words: list[int]) -> None:
    """Let an entry lead to the log's first record."""
    at = used(words)[3]
    words[at] = words[at] & ~ADDRESS | 64


def lead_inside(words: list[int]) -> None:
    """Let an entry lead into a record."""
    at = max(used(words), key=lambda place: words[place] & ADDRESS)
    words[at] += 16


def lead_behind(words: list[int]) -> None:
    """Let an entry lead behind the end."""
    at = used(words)[3]
    words[at] = words[at] & ~ADDRESS | 1 << 40


def make_odd(words: list[int]) -> None:
    """Let an entry have the flag of one that is not there yet."""
    words[used(words)[3]] |= 1 << 62


def move(words: list[int]) -> None:
    """Put an entry into another bucket."""
    at = used(words)[3]
    free = (place for place in range(len(words)) if place // 8 != at // 8)
    to = next(place for place in free if not words[place] and place % 8 < 7)
    words[to], words[at] = words[at], 0


FORGERIES: dict[str, tuple[Change, str]] = {
    "forgotten": (forget, "no entry leads to the record"),
    "exchanged": (exchange, "leads"),
    "before": (lead_before, "leads past it"),
    "inside": (lead_inside, "where no record is"),
    "behind": (lead_behind, "it is no entry of the index"),
    "odd": (make_odd, "no entry leads to the record"),
    "moved": (move, "no entry leads to the record"),
}


@pytest.mark.fault("F32")
@pytest.mark.parametrize("which", [0, 2])
@pytest.mark.parametrize("forgery", FORGERIES)
def test_an_index_that_lies_is_found(store: Path, forgery: str, which: int) -> None:
    """A copy whose checksums are right and whose entries are not is told of with the
    entry's place, what it should lead to, and what it leads to."""
    change, text = FORGERIES[forgery]
    name = forge(store, tokens(store)[which], change)
    report, found = about(store, name)
    assert [each for each in found if text in each.what], report.findings
    assert all(each.expected and each.found for each in found)
    assert {each.file for each in report.findings} == {name}


def test_a_copy_that_is_only_written_anew_is_whole(store: Path) -> None:
    """Forging nothing is not found: the test's own bytes are right."""
    before = verify(store)
    for token in (tokens(store)[0], tokens(store)[2]):
        forge(store, token, lambda words: None)
    report = verify(store)
    assert (report.findings, report.entries) == ([], before.entries)


def test_an_unknown_hash_is_noted(store: Path) -> None:
    """Where keys are hashed in a way that is not known the log alone is verified."""
    for token in tokens(store):
        layout = {**manifest(store, token).layout, "hash": "acme"}
        rewrite(store, token, layout=layout)
    report = verify(store)
    assert report.ok
    assert report.entries == 0
    assert ["acme" in note for note in report.notes] == [True]
