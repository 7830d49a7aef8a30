# SPDX-License-Identifier: MIT
"""
What is said about checkpoints: frozen values, safe to keep and to compare.

`pyfaster.checkpoints` gives them to the world, with the contracts that use them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

#: The kinds of checkpoints that the core takes; "auto" is the provider's choice of one.
KINDS = ("fold-over", "snapshot", "incremental", "index")

#: The phases, in the order in which a checkpoint goes through them.
PHASES = (
    "rest",
    "index-copy",
    "prepare",
    "in-progress",
    "wait-flush",
    "persist",
)

#: The streams that a checkpoint's files are made of, and the names of the files.
PARTS = {"index": "index.dat", "pages": "snapshot.dat", "delta": "delta.dat"}

#: A session's number and the serial number of its last update that counts.
Point = tuple[int, int]

#: From where on addresses of the log belong to which life of the store.
Generation = tuple[int, int]

#: Addresses from and to, between which records of a version are not to be seen.
Skip = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class CheckpointSettings:
    """
    What a keeper of checkpoints goes by.

    Attributes:
        name: The store's, for messages.

        keep: How many of the newest checkpoints stay.

        keep_for: Seconds for which a checkpoint stays however many there are.

        timeout: How long one checkpoint may take unless the caller says otherwise.

        read_only: Nothing may be written: the store is a mount of a checkpoint.

        threads: How many threads may read the log at a recovery.

        announce: Is told of events that are nobody's error: what could not be cleaned
            up. It returns nothing and raises nothing.

        directory: The one that the store has for itself, if it has one: there a keeper
            may note what has to outlive the checkpoints.
    """

    name: str
    keep: int = 2
    keep_for: float | None = None
    timeout: float = 600.0
    read_only: bool = False
    threads: int = 2
    announce: Callable[[object], None] = lambda event: None
    directory: str | None = None


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """
    What a manifest says of the store, and the coordinator asks of the engine.

    Attributes:
        store_id: Seeds the checksums of records.

        generations: (first address, number), ascending; the last is this life's.

        skips: What a recovery to an older version left in the log: (from, until,
            version).

        layout: `layout`, `key_size`, `value_size`, `page_size`, `hash`, `key_codec`,
            `value_codec`, `value_type`.

        segment_size: Bytes of the log in one file.

        next_session_id: The number that the next new name gets.
    """

    store_id: int
    generations: tuple[Generation, ...]
    skips: tuple[Skip, ...]
    layout: Mapping[str, object]
    segment_size: int
    next_session_id: int


@dataclass(frozen=True, slots=True)
class CheckpointFacts:
    """
    What the core knows of a checkpoint under way; more with each phase.

    Attributes:
        kind: One of `KINDS`.

        phase: One of `PHASES`.

        version: What is recovered is everything up to this version.

        begin: Where the log begins.

        fuzzy_start: From here on records may be of the next version.

        final: Behind the last record that may be of this version.

        log_until: Below it the log's device has the records; from it to `final` the
            snapshot has them. Known at the end of the last stream.

        index_start: The tail when the copy of the index began; 0 without a copy.

        index_bits: The logarithm of the index's buckets; 0 without a copy.

        table_bits: The logarithm of the buckets that there were at `final`, with a copy
            or without; a recovery needs no fewer.

        index_entries: How many entries were copied.
    """

    kind: str
    phase: str
    version: int
    begin: int = 0
    fuzzy_start: int = 0
    final: int = 0
    log_until: int = 0
    index_start: int = 0
    index_bits: int = 0
    table_bits: int = 0
    index_entries: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """
    How far a checkpoint or a recovery is; what a `progress` callable gets.

    Attributes:
        phase: One of `PHASES`, then "sync" and "publish" while the files are made
            durable; or, of a recovery, "index", "log" or "pages".

        done: Bytes that have been moved in this phase.

        total: Bytes that there will be; 0 when that is not known.

        token: The name of the checkpoint; "" when it has none, or is not said.
    """

    phase: str
    done: int = 0
    total: int = 0
    token: str = ""


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """
    A checkpoint that is complete, or one that is damaged and says so.

    Attributes:
        token: Its name, which `pyfaster.open(recover=...)` takes.

        kind: One of `KINDS`.

        version: Everything up to this version of the store is in it.

        sequence: Larger than that of every checkpoint taken before.

        created: Seconds since 1970, for people; nothing goes by it.

        parent: The token of the checkpoint that an incremental one needs.

        cookie: What the caller gave to be kept with it.

        sessions: The names of sessions with their commit points: the serial number of
            the last update that is in it.

        size: Bytes of all its files.

        files: The names of its files, with their bytes.

        phases: How long each phase took; empty for one that was listed.

        pinned: Whether retention lets it be.

        damage: What is wrong with it; empty for a good one.

    Units: times in seconds, sizes in bytes.
    """

    token: str
    kind: str
    version: int
    sequence: int
    created: float
    parent: str | None = None
    cookie: bytes = b""
    sessions: Mapping[str, int] = field(default_factory=dict)
    size: int = 0
    files: Mapping[str, int] = field(default_factory=dict)
    phases: Mapping[str, float] = field(default_factory=dict)
    pinned: bool = False
    damage: str = ""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """
    A checkpoint that a recovery did not use although it is newer.

    Attributes:
        token: Its name.

        reason: What is wrong with it.
    """

    token: str
    reason: str


@dataclass(frozen=True, slots=True)
class RecoveryPlan:
    """
    From which checkpoint a store is to be recovered, and how to open it for that.

    Attributes:
        token: The checkpoint's name.

        kind: One of `KINDS`.

        version: Of the checkpoint; the store goes on with the next one.

        store_id: Seeds the checksums of records.

        generations: Those of the log, this new life's appended.

        skips: Those that the store has from here on, with the range that this
            recovery adds.

        log_start: Where frames of the log begin: the page of `log_until`.

        log_until: Up to here the log's device is trusted.

        layout: As in `StoreFacts`.

        segment_size: Of the log's files.

        sessions: The names of sessions, each with its number and commit point.

        next_session_id: The number that the next new name gets.

        passed_over: Newer checkpoints, and why they are not used.
    """

    token: str
    kind: str
    version: int
    store_id: int
    generations: tuple[Generation, ...]
    skips: tuple[Skip, ...]
    log_start: int
    log_until: int
    layout: Mapping[str, object]
    segment_size: int
    sessions: Mapping[str, Point]
    next_session_id: int
    passed_over: tuple[PassedOver, ...] = ()


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """
    What a store was recovered from, and what was not.

    Attributes:
        token: The checkpoint's name.

        kind: One of `KINDS`.

        version: Everything up to this version is there; nothing of a later one is.

        cookie: What was kept with the checkpoint.

        sessions: The names of sessions with their commit points.

        final: The log's address behind the last record that was recovered. What the
            log held from there on was discarded.

        index: The token whose copy of the index served, or None.

        log_bytes: Bytes of the log that were read and linked.

        file_bytes: Bytes of the checkpoint's files that were read.

        phases: How long "index", "log", "pages" and "finish" took, in seconds.

        passed_over: Newer checkpoints that could not be used, and why.
    """

    token: str
    kind: str
    version: int
    cookie: bytes = b""
    sessions: Mapping[str, int] = field(default_factory=dict)
    final: int = 0
    index: str | None = None
    log_bytes: int = 0
    file_bytes: int = 0
    phases: Mapping[str, float] = field(default_factory=dict)
    passed_over: tuple[PassedOver, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """
    Something that is wrong with a checkpoint.

    Attributes:
        file: The file's name, or "" for the checkpoint as a whole.

        what: What was expected and what was found.

        offset: Where in the file; None when it is all of it.
    """

    file: str
    what: str
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """
    What looking through a checkpoint has shown.

    Attributes:
        token: The checkpoint's name.

        deep: Whether every byte was read.

        findings: What is wrong; empty for a good one.

        bytes_read: How many bytes were read.
    """

    token: str
    deep: bool
    findings: tuple[Finding, ...] = ()
    bytes_read: int = 0

    @property
    def ok(self) -> bool:
        """
        Whether nothing is wrong.
        """
        return not self.findings


@dataclass(frozen=True, slots=True)
class Block:
    """
    One block of a stream, as it lies in a buffer.

    Attributes:
        payload: Where its payload begins in the buffer.

        size: Bytes of the payload.

        whole: Bytes of header and payload: where the next block begins.

        last: Whether it is the stream's last.
    """

    payload: int
    size: int
    whole: int
    last: bool


__all__ = [
    "KINDS",
    "PARTS",
    "PHASES",
    "Block",
    "CheckpointFacts",
    "CheckpointInfo",
    "CheckpointSettings",
    "Finding",
    "Generation",
    "PassedOver",
    "Point",
    "Progress",
    "RecoveryPlan",
    "RecoveryReport",
    "Skip",
    "StoreFacts",
    "ValidationReport",
]
