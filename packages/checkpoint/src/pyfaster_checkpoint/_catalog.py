# SPDX-License-Identifier: MIT
"""
What lies where checkpoints are kept: read in full, newest first, nothing left out.

A place without a manifest is an unfinished checkpoint and does not count. One with a
manifest counts even when it is damaged: then it is kept with what is wrong with it, so
that nobody takes a damaged checkpoint for none at all. Reading changes nothing.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pyfaster.checkpoints import CheckpointFiles, CheckpointInfo
from pyfaster.errors import CorruptCheckpointError, DeviceError, FasterError
from pyfaster_checkpoint._files import LEFT, PIN
from pyfaster_checkpoint._manifest import (
    INDEX,
    MANIFEST,
    MANIFEST_SIZE_MAX,
    SEQUENCE_MAX,
    FileEntry,
    Manifest,
    sequence_of,
)
from pyfaster_checkpoint._parse import is_token, parse
from pyfaster_checkpoint._problems import damaged, reported, unsupported

#: A chain is never longer: reading stops, whatever manifests say.
CHAIN_MAX = 64

#: No mark is longer.
_MARK_MAX = 64

#: How often it is read anew when checkpoints go meanwhile.
_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """
    A checkpoint that has a manifest.

    Attributes:
        token: Its name.

        manifest: What it says, when that could be read.

        error: What is wrong with it; None for a good one.

        pinned: Whether it is to be kept.

        index_error: What is wrong with its copy of the index alone: it can be done
            without.

        left: The checkpoint that the store went back to, with which it left this one
            behind; "" when that cannot be read, None when it did not.
    """

    token: str
    manifest: Manifest | None
    error: FasterError | None
    pinned: bool = False
    index_error: FasterError | None = None
    left: str | None = None

    @property
    def is_damaged(self) -> bool:
        """
        Whether something is wrong with it, or with its copy of the index.
        """
        return self.error is not None or self.index_error is not None

    @property
    def is_left(self) -> bool:
        """
        Whether it was left behind, and nothing else is to be said of it.
        """
        return self.left is not None and not self.is_damaged

    @property
    def left_text(self) -> str:
        """
        Say what became of one that was left behind.
        """
        to = self.left or "an older one"
        return (
            f"checkpoint {self.token}: it was left behind when the store went back to "
            f"{to}, and its log may be written over; recover= its token tries it"
        )


@dataclass(frozen=True, slots=True)
class Catalog:
    """
    All checkpoints, the newest first.

    Attributes:
        entries: Those that have a manifest.

        unfinished: Places that have none.
    """

    entries: tuple[Entry, ...] = ()
    unfinished: tuple[str, ...] = ()

    def get(self, token: str) -> Entry | None:
        """
        Give an entry, or None.
        """
        return next((entry for entry in self.entries if entry.token == token), None)

    def sound(self) -> Iterator[Manifest]:
        """
        Give the manifests of those that have nothing wrong with them, and were not left
        behind.
        """
        for entry in self.entries:
            good = entry.error is None and entry.left is None
            if entry.manifest is not None and good:
                yield entry.manifest

    def need(self, token: str, by: str) -> Manifest:
        """
        Give the manifest of a checkpoint that another one needs.

        Raises:
            CorruptCheckpointError: It is missing or damaged.
        """
        entry = self.get(token)
        if entry is None:
            raise damaged(by, "", f"it needs checkpoint {token}, which is missing")
        if entry.error is not None:
            raise reported(by, f"checkpoint {by} needs another one: {entry.error}")
        assert entry.manifest is not None
        return entry.manifest

    def need_index(self, token: str, by: str) -> Manifest:
        """
        Give the manifest of a checkpoint whose copy of the index another one needs.

        Raises:
            FasterError: It, or its copy, is missing or damaged.
        """
        manifest = self.need(token, by)
        entry = self.get(token)
        if entry is not None and entry.index_error is not None:
            raise entry.index_error
        return manifest

    def chain(self, token: str) -> tuple[Manifest, ...]:
        """
        Give a checkpoint and those that it is based on, the oldest first.

        Raises:
            CorruptCheckpointError: One is missing, damaged, or cannot be a base.
        """
        found = [self.need(token, token)]
        while found[-1].parent is not None:
            child = found[-1]
            parent = self.need(found[-1].parent, token)
            text = _cannot_be_base(child, parent)
            if text is None and len(found) == CHAIN_MAX:
                text = f"its chain has more than {CHAIN_MAX} checkpoints"
            if text is not None:
                raise damaged(token, MANIFEST, text)
            found.append(parent)
        return tuple(reversed(found))

    @property
    def sequence(self) -> int:
        """
        The largest sequence number in any name that we may have given.
        """
        names = [entry.token for entry in self.entries] + list(self.unfinished)
        numbers = map(sequence_of, names)
        return max((each for each in numbers if each < SEQUENCE_MAX), default=0)


def _cannot_be_base(child: Manifest, parent: Manifest) -> str | None:
    """
    Say why a checkpoint cannot be based on another one, or None.
    """
    facts = (
        (parent.sequence < child.sequence, "was taken later"),
        (parent.store_id == child.store_id, "is of another store"),
        (parent.kind in ("snapshot", "incremental"), f"is of kind {parent.kind}"),
        (parent.version < child.version, f"has version {parent.version}"),
        (parent.addresses.final <= child.addresses.final, "ends behind it"),
        (parent.addresses.log_until <= child.addresses.log_until, "begins behind it"),
    )
    for holds, text in facts:
        if not holds:
            return f"its parent {parent.token} {text}"
    return None


def read_catalog(files: CheckpointFiles, store_id: int | None = None) -> Catalog:
    """
    Read all manifests and compare the files' lengths with what they say.

    Args:
        files: Where to look.

        store_id: Of the store, when it is known; others are foreign then.

    Checkpoints may come and go meanwhile. One that goes takes with it what was read of
    those that need it, and what replaces it was not there yet; so all is read anew.
    """
    for _ in range(_ATTEMPTS):
        tokens = sorted(files.tokens(), reverse=True)
        found = {token: read_entry(files, token, store_id) for token in tokens}
        again = set(files.tokens())
        gone = None in found.values()  # or unfinished: then nothing else may have come
        if again == set(tokens) or (again > set(tokens) and not gone):
            break
    return Catalog(
        tuple(entry for entry in found.values() if entry is not None),
        tuple(token for token, entry in found.items() if entry is None),
    )


def read_entry(
    files: CheckpointFiles, token: str, store_id: int | None = None
) -> Entry | None:
    """
    Read one manifest; None when there is none.
    """
    manifest, pinned, index_error, left = None, False, None, None
    try:
        names = files.names(token)
        pinned = PIN in names
        if MANIFEST not in names:
            return None
        left = _left(files, token) if LEFT in names else None
        manifest = parse(_read(files, token), token)
        if store_id is not None and manifest.store_id != store_id:
            raise foreign(manifest, store_id)
        for each in manifest.files:
            problem = _check_length(files, manifest, each)
            if problem is not None and (each.name != INDEX or not manifest.has_state):
                raise problem
            index_error = problem or index_error
    except FileNotFoundError:
        return None  # somebody removed it meanwhile
    except OSError as error:
        return Entry(token, manifest, _of_system(token, error), pinned, left=left)
    except FasterError as error:
        return Entry(token, manifest, error, pinned, left=left)
    return Entry(token, manifest, None, pinned, index_error, left)


def foreign(manifest: Manifest, store_id: int) -> FasterError:
    """
    Make the error for a checkpoint of another store.
    """
    text = f"it belongs to store {manifest.store_id:#018x}, not to {store_id:#018x}"
    advice = "give each store a directory of its own"
    return unsupported(manifest.token, text, advice)


def _read(files: CheckpointFiles, token: str) -> bytes:
    """
    Read a manifest's bytes; its length is looked at first.
    """
    reader = files.open(token, MANIFEST)
    try:
        if reader.size > MANIFEST_SIZE_MAX:
            text = f"it has {reader.size:,} bytes, more than {MANIFEST_SIZE_MAX:,}"
            raise damaged(token, MANIFEST, text)
        data = bytearray(reader.size)
        count = reader.read_into(0, memoryview(data))
        return bytes(data[:count])
    finally:
        reader.close()


def _left(files: CheckpointFiles, token: str) -> str:
    """
    Read which checkpoint the store went back to; "" when that cannot be read: the file
    is there, and that is what counts.
    """
    try:
        reader = files.open(token, LEFT)
        try:
            data = bytearray(min(reader.size, _MARK_MAX))
            count = reader.read_into(0, memoryview(data))
        finally:
            reader.close()
    except (OSError, FasterError):
        return ""
    text = data[:count].decode("ascii", "replace").removesuffix("\n")
    return text if is_token(text) else ""


def _check_length(
    files: CheckpointFiles, manifest: Manifest, entry: FileEntry
) -> FasterError | None:
    """
    Compare a file with the manifest, without reading it.
    """
    try:
        reader = files.open(manifest.token, entry.name)
    except FileNotFoundError:
        if MANIFEST not in files.names(manifest.token):
            raise  # somebody is removing it: it is no checkpoint any more
        return damaged(manifest.token, entry.name, "it is missing")
    except CorruptCheckpointError as error:
        return error
    size = reader.size
    reader.close()
    if size == entry.length:
        return None
    text = f"it has {size:,} bytes, of {entry.length:,} that were written"
    return damaged(manifest.token, entry.name, text)


def _of_system(token: str, error: OSError) -> FasterError:
    """
    Turn an error of the system into one of ours; an error of reading is damage.
    """
    if isinstance(error, FasterError):
        return error
    if error.errno == errno.EIO:
        return damaged(token, "", f"the device could not read it ({error.strerror})")
    return DeviceError(
        error.errno or errno.EIO,
        f"checkpoint {token}: {error.strerror}; it could not be looked at",
    )


def info_of(entry: Entry) -> CheckpointInfo:
    """
    Give a checkpoint as users see it.
    """
    one = entry.manifest
    error = entry.error or entry.index_error
    damage = "" if entry.left is None else entry.left_text
    damage = damage if error is None else str(error)
    if one is None:
        sequence = sequence_of(entry.token)
        return CheckpointInfo(
            entry.token, "", 0, sequence, 0.0, pinned=entry.pinned, damage=damage
        )
    return CheckpointInfo(
        token=one.token,
        kind=one.kind,
        version=one.version,
        sequence=one.sequence,
        created=float(one.created),
        parent=one.parent,
        cookie=one.cookie,
        sessions={name: serial for name, (_, serial) in one.sessions.items()},
        size=one.size,
        files={each.name: each.length for each in one.files},
        pinned=entry.pinned,
        damage=damage,
    )


def with_chains(catalog: Catalog) -> Iterator[Entry]:
    """
    Give the entries; one that needs what is damaged says so, too.
    """
    for entry in catalog.entries:
        problem: FasterError | None = None
        if entry.error is None:
            try:
                catalog.chain(entry.token)
            except FasterError as error:
                problem = error
        yield entry if problem is None else replace(entry, error=problem)


__all__ = [
    "CHAIN_MAX",
    "Catalog",
    "Entry",
    "foreign",
    "info_of",
    "read_catalog",
    "read_entry",
    "with_chains",
]
