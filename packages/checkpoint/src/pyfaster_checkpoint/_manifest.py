# SPDX-License-Identifier: MIT
"""
What a checkpoint says of itself, and its text.

A manifest is one JSON object in canonical form: members sorted by name, no spaces,
ASCII, one line end. Its last member is the checksum of that form without it. Equal
manifests have equal bytes, and any other byte is found. `_parse` reads it back.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import xxhash

from pyfaster.checkpoints import PARTS

#: The format that is written, and the newest that is read.
FORMAT = 1

MANIFEST = "manifest.json"
MANIFEST_NEW = "manifest.tmp"
INDEX, PAGES, DELTA = PARTS["index"], PARTS["pages"], PARTS["delta"]

#: File to the kind of its stream.
FILES: Mapping[str, str] = {name: part for part, name in PARTS.items()}

#: Kind to the files that it has beside an index copy of its own, in the order in which
#: the core gives them.
KINDS: Mapping[str, tuple[str, ...]] = {
    "fold-over": (),
    "snapshot": (PAGES,),
    "incremental": (DELTA, PAGES),
    "index": (),
}

#: No manifest is larger: millions of named sessions fit.
MANIFEST_SIZE_MAX = 64 << 20

#: Sequence numbers end here; a name above it is not ours, whatever it looks like.
SEQUENCE_MAX = 1 << 62

#: What a user may leave in a checkpoint.
COOKIE_SIZE_MAX = 1 << 20

Value = str | int | None


@dataclass(frozen=True, slots=True)
class Addresses:
    """
    Places in the log, and what the index copy of this checkpoint has.

    Attributes:
        begin: The lowest address in use.

        fuzzy_start: From here on there may be records of the next version.

        final: The end of what the checkpoint holds.

        log_until: What lies below is in the log's own files.

        index_start: Replay begins here when the index copy is used.

        index_bits: The size of the copied index; 0: there is none.

        index_entries: How many entries it has.

        table_bits: The size of the store's index at `final`; recovery needs no less.
    """

    begin: int
    fuzzy_start: int
    final: int
    log_until: int
    index_start: int = 0
    index_bits: int = 0
    index_entries: int = 0
    table_bits: int = 0


@dataclass(frozen=True, slots=True)
class FileEntry:
    """
    A file of a checkpoint.

    Attributes:
        name: One of `FILES`.

        length: In bytes.

        xxh3: Of all its bytes.
    """

    name: str
    length: int
    xxh3: int

    @property
    def kind(self) -> str:
        """
        The kind of its stream.
        """
        return FILES[self.name]


@dataclass(frozen=True, slots=True)
class Manifest:
    """
    A complete checkpoint.

    Attributes:
        token: Its name.

        kind: One of `KINDS`.

        sequence: Larger than those of all checkpoints before it.

        version: The state's version.

        parent: The checkpoint that an incremental one is based on.

        index: The checkpoint whose index copy serves; None: replay from `begin`.

        store_id: Of the store.

        seed: Of the checksums in its files.

        created: Seconds since 1970, by the clock of the machine; for people.

        addresses: Places in the log.

        generations: From which address on which generation of the log is valid.

        skips: Ranges of the log and the version in them that no lookup may see.

        layout: What the store was opened with.

        segment_size: Of the log's device; 0 where it has none.

        sessions: Name to number and commit point.

        next_session_id: Not used by any session yet.

        files: What belongs to it, sorted by name.

        cookie: The user's bytes.

        records: About how many there are.
    """

    token: str
    kind: str
    sequence: int
    version: int
    store_id: int
    seed: int
    addresses: Addresses
    layout: Mapping[str, Value]
    generations: tuple[tuple[int, int], ...] = ((0, 1),)
    skips: tuple[tuple[int, int, int], ...] = ()
    parent: str | None = None
    index: str | None = None
    created: int = 0
    segment_size: int = 0
    sessions: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    next_session_id: int = 1
    files: tuple[FileEntry, ...] = ()
    cookie: bytes = b""
    records: int = 0

    @property
    def size(self) -> int:
        """
        How many bytes its files have.
        """
        return sum(entry.length for entry in self.files)

    @property
    def has_state(self) -> bool:
        """
        Whether a store can be recovered to it; an index copy alone holds no state.
        """
        return self.kind != "index"

    def file(self, name: str) -> FileEntry | None:
        """
        Give the entry of a file, or None.
        """
        return next((entry for entry in self.files if entry.name == name), None)


def make_token(sequence: int, random: int) -> str:
    """
    Give a checkpoint's name: names sort as the checkpoints were begun.
    """
    return f"{sequence:016x}-{random:016x}"


def sequence_of(token: str) -> int:
    """
    Give the sequence number in a well-formed name.
    """
    return int(token[:16], 16)


def canonical(value: object) -> bytes:
    """
    Give the canonical JSON of a value, without a line end.
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    return text.encode("ascii")


def seal(members: Mapping[str, Any]) -> bytes:
    """
    Give the text of a manifest: its members, then their checksum.
    """
    body = canonical(members)
    checksum = xxhash.xxh3_64_intdigest(body)
    return body[:-1] + f',"checksum":"{checksum:016x}"}}\n'.encode()


def members_of(manifest: Manifest) -> dict[str, Any]:
    """
    Give a manifest as JSON knows it, without the checksum.
    """
    places = manifest.addresses
    return {
        "format": FORMAT,
        "token": manifest.token,
        "kind": manifest.kind,
        "sequence": manifest.sequence,
        "version": manifest.version,
        "parent": manifest.parent,
        "index": manifest.index,
        "store_id": f"{manifest.store_id:016x}",
        "seed": f"{manifest.seed:016x}",
        "created": manifest.created,
        "addresses": {name: getattr(places, name) for name in Addresses.__slots__},
        "generations": [list(pair) for pair in manifest.generations],
        "skips": [list(skip) for skip in manifest.skips],
        "layout": dict(manifest.layout),
        "segment_size": manifest.segment_size,
        "sessions": {name: list(pair) for name, pair in manifest.sessions.items()},
        "next_session_id": manifest.next_session_id,
        "files": [
            {
                "name": entry.name,
                "kind": entry.kind,
                "length": entry.length,
                "xxh3": f"{entry.xxh3:016x}",
            }
            for entry in manifest.files
        ],
        "cookie": base64.b64encode(manifest.cookie).decode("ascii"),
        "records": manifest.records,
    }


def encode(manifest: Manifest) -> bytes:
    """
    Give the bytes of a manifest.
    """
    return seal(members_of(manifest))
