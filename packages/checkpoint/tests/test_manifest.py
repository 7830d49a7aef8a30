# SPDX-License-Identifier: MIT
"""Manifests: what is written is read back, and no other byte is believed."""

from __future__ import annotations

import json
from typing import Any

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from manifest_kit import PARENT, TOKEN, snapshot
from memory_files import MemoryFiles

from pyfaster.errors import CorruptCheckpointError, UnsupportedFormatError
from pyfaster_checkpoint._catalog import read_catalog
from pyfaster_checkpoint._manifest import (
    MANIFEST,
    MANIFEST_SIZE_MAX,
    Addresses,
    FileEntry,
    Manifest,
    canonical,
    encode,
    make_token,
    members_of,
    seal,
)
from pyfaster_checkpoint._parse import parse

U63 = st.integers(0, 2**63 - 1)
U64 = st.integers(0, 2**64 - 1)
NAMES = {
    "fold-over": [],
    "snapshot": ["snapshot.dat"],
    "incremental": ["delta.dat", "snapshot.dat"],
    "index": [],
}


def places(draw: st.DrawFn, own: bool) -> Addresses:
    """Addresses that agree."""
    begin, low, fuzzy, final = sorted(draw(st.lists(U63, min_size=4, max_size=4)))
    bits = draw(st.integers(1, 48)) if own else 0
    return Addresses(begin, fuzzy, final, low, low if own else 0, bits, draw(U63))


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Any manifest that may be written."""
    kind = draw(st.sampled_from(list(NAMES)))
    sequence = draw(st.integers(2, 2**62))
    token = make_token(sequence, draw(U64))
    older = make_token(draw(st.integers(0, sequence - 1)), draw(U64))
    own = kind == "index" or draw(st.booleans())
    names = sorted([*NAMES[kind], *(["index.dat"] if own else [])])
    at = places(draw, own)
    if kind == "fold-over":
        at = Addresses(at.begin, at.fuzzy_start, at.final, at.final, *_index(at))
    firsts = sorted(draw(st.sets(st.integers(1, 2**63 - 1), max_size=4)))
    ends = sorted(draw(st.sets(st.integers(0, at.final), max_size=6)))
    skips = zip(ends[::2], ends[1::2], strict=False)
    people = draw(st.lists(st.text(max_size=8), unique=True, max_size=4))
    ids = draw(st.permutations(range(1, len(people) + 1)))
    return snapshot(
        token=token,
        kind=kind,
        sequence=sequence,
        version=draw(st.integers(1, 2**32 - 1)),
        parent=older if kind == "incremental" else None,
        index=token if own else draw(st.sampled_from([None, older])),
        store_id=draw(U64),
        seed=draw(U64),
        created=draw(U63),
        addresses=at,
        generations=tuple(
            (each, draw(st.integers(1, 2**64 - 1))) for each in [0, *firsts]
        ),
        skips=tuple((low, high, 3) for low, high in skips),
        sessions={
            name: (one, draw(U64)) for name, one in zip(people, ids, strict=True)
        },
        next_session_id=len(people) + 1,
        files=tuple(FileEntry(name, draw(U63), draw(U64)) for name in names),
        cookie=draw(st.binary(max_size=40)),
        records=draw(U63),
    )


def _index(at: Addresses) -> tuple[int, int, int]:
    return at.index_start, at.index_bits, at.index_entries


@given(manifests())
def test_a_manifest_comes_back(one: Manifest) -> None:
    """Any manifest is read back as it was, from bytes that are always the same."""
    data = encode(one)
    assert parse(data, one.token) == one
    assert encode(parse(data, one.token)) == data


def test_the_text() -> None:
    """A manifest is canonical JSON on one line, with its checksum last."""
    data = encode(snapshot())
    assert data.isascii()
    assert data.endswith(b"}\n")
    assert data.count(b"\n") == 1
    members = json.loads(data)
    assert list(members)[-1] == "checksum"
    del members["checksum"]
    assert list(members) == sorted(members)
    assert members == json.loads(canonical(members_of(snapshot())))


@pytest.mark.fault("F34")
@pytest.mark.fault("F36")
def test_every_flipped_bit_is_found() -> None:
    """No manifest with one other bit, its table of sessions included, is believed."""
    data = encode(snapshot())
    for at in range(len(data)):
        for bit in range(8):
            other = bytearray(data)
            other[at] ^= 1 << bit
            with pytest.raises(CorruptCheckpointError):
                parse(bytes(other), TOKEN)


@pytest.mark.fault("F42")
def test_every_cut_is_found() -> None:
    """No manifest that was cut anywhere is believed."""
    data = encode(snapshot())
    for size in range(len(data)):
        with pytest.raises(CorruptCheckpointError):
            parse(data[:size], TOKEN)


@pytest.mark.fault("F43")
@pytest.mark.parametrize("more", [b"\n", b"\0", b" ", b"{}", b"x" * 5000])
def test_garbage_behind_it_is_found(more: bytes) -> None:
    """Bytes behind or before a manifest are damage."""
    data = encode(snapshot())
    for other in (data + more, more + data):
        with pytest.raises(CorruptCheckpointError):
            parse(other, TOKEN)


@pytest.mark.fault("F46")
def test_a_newer_format_is_refused_with_both() -> None:
    """A manifest of a newer format is whole but not ours; the message has both."""
    members = {**members_of(snapshot()), "format": 7, "novelty": [1]}
    with pytest.raises(UnsupportedFormatError, match=r"format 7.*reader of format 1"):
        parse(seal(members), TOKEN)
    for odd in (0, -1, "1", 1.5, None, True):
        with pytest.raises(CorruptCheckpointError, match="its format"):
            parse(seal({**members_of(snapshot()), "format": odd}), TOKEN)


def test_another_checkpoints_manifest_is_refused() -> None:
    """A manifest that lies in another checkpoint's directory is damage (F45)."""
    with pytest.raises(CorruptCheckpointError, match="belongs to checkpoint") as caught:
        parse(encode(snapshot()), PARENT)
    assert caught.value.token == PARENT


def sealed(body: bytes) -> bytes:
    """Bytes with a right checksum that are not canonical."""
    checksum = xxhash.xxh3_64_intdigest(body)
    return body[:-1] + f',"checksum":"{checksum:016x}"}}\n'.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"a":1,"a":2}',
        b"[1}",
        b'{"a": 1}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"b":1,"a":2}',
        b'{"a":"\xff"}',
        b"",
    ],
    ids=range(11),
)
def test_what_a_liar_could_write(body: bytes) -> None:
    """A right checksum makes no JSON canonical, and no depth or number a crash."""
    with pytest.raises(CorruptCheckpointError):
        parse(sealed(body), TOKEN)


WRONG: list[tuple[str, Any]] = [
    ("token", "../../etc/passwd"),
    ("token", PARENT),
    ("kind", "full"),
    ("kind", "index"),
    ("kind", "incremental"),
    ("kind", "fold-over"),
    ("sequence", 6),
    ("sequence", 5.0),
    ("version", 0),
    ("version", 2**32),
    ("version", True),
    ("parent", PARENT),
    ("parent", TOKEN),
    ("index", None),
    ("index", PARENT),
    ("index", make_token(6, 1)),
    ("store_id", "1"),
    ("store_id", 1),
    ("seed", "G" * 16),
    ("created", -1),
    ("addresses", {}),
    ("addresses", [1]),
    ("generations", []),
    ("generations", [[1, 1]]),
    ("generations", [[0, 1], [0, 2]]),
    ("generations", [[0, 1, 2]]),
    ("generations", [0, 1]),
    ("generations", "no"),
    ("skips", [[5, 5, 1]]),
    ("skips", [[5, 9, 1], [8, 10, 1]]),
    ("skips", [[5, 1 << 40, 1]]),
    ("skips", [[5, 9, 0]]),
    ("layout", {}),
    ("layout", None),
    ("segment_size", -5),
    ("sessions", [["a", 1]]),
    ("sessions", {"a": [1, 2], "b": [1, 2]}),
    ("sessions", {"a": [9, 2]}),
    ("sessions", {"a": [0, 2]}),
    ("sessions", {"a": [1, -2]}),
    ("sessions", {"a": [1, 2**64]}),
    ("sessions", {"a": 1}),
    ("next_session_id", 0),
    ("files", []),
    ("files", [{"name": "../x", "kind": "pages", "length": 1, "xxh3": "0" * 16}]),
    ("files", {"snapshot.dat": 1}),
    ("files", [7]),
    ("cookie", "not base64!"),
    ("cookie", "AA=A"),
    ("cookie", "AB=="),
    ("cookie", 5),
    ("records", None),
]


@pytest.mark.fault("F90")
@pytest.mark.parametrize(("name", "value"), WRONG, ids=range(len(WRONG)))
def test_every_member_is_checked(name: str, value: object) -> None:
    """A member of another type, out of range, or against another one is damage."""
    with pytest.raises(CorruptCheckpointError):
        parse(seal({**members_of(snapshot()), name: value}), TOKEN)


@pytest.mark.parametrize("name", list(members_of(snapshot())))
def test_no_member_may_be_missing(name: str) -> None:
    """All members are there, and no others."""
    members = members_of(snapshot())
    del members[name]
    with pytest.raises(CorruptCheckpointError):
        parse(seal(members), TOKEN)
    with pytest.raises(CorruptCheckpointError, match="unknown"):
        parse(seal({**members_of(snapshot()), f"{name}2": 1}), TOKEN)


@pytest.mark.parametrize("name", list(members_of(snapshot())["layout"]))
@pytest.mark.parametrize("value", [[], {}, -1, 1.5, True])
def test_a_layout_is_texts_and_sizes(name: str, value: object) -> None:
    """Members of a layout are texts and sizes, nothing that could do something."""
    members = members_of(snapshot())
    members["layout"][name] = value
    with pytest.raises(CorruptCheckpointError):
        parse(seal(members), TOKEN)


@pytest.mark.parametrize(
    "changes",
    [
        {"begin": 5000},
        {"fuzzy_start": 9000},
        {"log_until": 9000},
        {"index_start": 9000},
        {"index_start": 32},
        {"index_bits": 0},
        {"index_bits": 49},
        {"final": -1},
        {"final": 2**63},
        {"final": "1"},
    ],
    ids=str,
)
def test_addresses_agree(changes: dict[str, Any]) -> None:
    """Addresses are in order."""
    members = members_of(snapshot())
    members["addresses"].update(changes)
    with pytest.raises(CorruptCheckpointError):
        parse(seal(members), TOKEN)


@pytest.mark.fault("F87")
def test_a_hostile_size_is_refused_before_it_is_read() -> None:
    """A manifest of an enormous size is refused, and not a byte of it is read."""
    files = MemoryFiles()
    files.make(TOKEN)
    files.create(TOKEN, MANIFEST)
    files.places[TOKEN][MANIFEST] = _Enormous()

    def refuse(event: tuple[str, ...]) -> None:
        assert event[0] != "read"

    files.fail = refuse
    (entry,) = read_catalog(files).entries
    assert isinstance(entry.error, CorruptCheckpointError)
    assert "more than" in str(entry.error)
    with pytest.raises(CorruptCheckpointError, match="more than"):
        parse(bytes(MANIFEST_SIZE_MAX + 1), TOKEN)


class _Enormous(bytearray):
    """Bytes that say they are very many."""

    def __len__(self) -> int:
        return 1 << 50
