# SPDX-License-Identifier: MIT
"""
Looking through a checkpoint without recovering it: also of a store that is not open.
"""

from __future__ import annotations

import struct

import xxhash

from pyfaster.checkpoints import CheckpointFiles, FileReader, Finding, ValidationReport
from pyfaster.errors import CorruptionError, FasterError
from pyfaster_checkpoint._blocks import (
    BlockFile,
    Damage,
    delta_places,
    next_block,
    page_place,
)
from pyfaster_checkpoint._catalog import Catalog, Entry
from pyfaster_checkpoint._manifest import MANIFEST, FileEntry, Manifest

_OPENING = struct.Struct("<QQQ")
_RUN = struct.Struct("<IIQ")

#: Bytes of one bucket, or one overflow entry, by the type of a run.
_ITEM = {1: 64, 2: 16}


def validate(
    files: CheckpointFiles, catalog: Catalog, entry: Entry, *, deep: bool
) -> ValidationReport:
    """
    Look through one checkpoint and at what it needs.

    Args:
        files: Where it is.

        catalog: All that there are.

        entry: The one.

        deep: Read every byte.
    """
    findings: list[Finding] = []
    one = entry.manifest
    if entry.error is not None:
        name = "" if one is not None else MANIFEST
        findings.append(Finding(name, str(entry.error)))
    elif one is not None:
        findings += _needs(catalog, one)
    count = 0
    for each in one.files if one is not None and deep else ():
        assert one is not None
        found = _Look(files, one, each)
        findings += found.run()
        count += found.bytes_read
    return ValidationReport(entry.token, deep, tuple(findings), count)


def _needs(catalog: Catalog, one: Manifest) -> list[Finding]:
    """
    Say what it needs and is not there.
    """
    findings = []
    try:
        catalog.chain(one.token)
    except FasterError as error:
        findings.append(Finding("", str(error)))
    if one.index is not None:
        try:
            catalog.need_index(one.index, one.token)
        except FasterError as error:
            findings.append(Finding("", str(error)))
    return findings


class _Look:
    """
    One file, read from its beginning to its end.
    """

    def __init__(
        self, files: CheckpointFiles, manifest: Manifest, entry: FileEntry
    ) -> None:
        self._files = files
        self._manifest = manifest
        self._entry = entry
        self._state = xxhash.xxh3_64()
        self._position = -1  # in the log, behind what came before
        self._opened = False
        self.bytes_read = 0

    def run(self) -> list[Finding]:
        """
        Give what is wrong with it.
        """
        name = self._entry.name
        try:
            reader = self._files.open(self._manifest.token, name)
        except FileNotFoundError:
            return [Finding(name, "it is missing")]
        except (OSError, FasterError) as error:
            return [Finding(name, str(error))]
        try:
            return self._read(reader)
        except Damage as error:
            return [Finding(name, str(error), error.offset)]
        except OSError as error:
            return [Finding(name, f"it could not be read ({error.strerror})")]
        finally:
            reader.close()

    def _read(self, reader: FileReader) -> list[Finding]:
        counted = _Counted(reader, self)
        file = BlockFile(counted, self._entry.kind)
        for payload in file.blocks(self._manifest.seed, next_block):
            try:
                self._check(payload)
            except CorruptionError as error:
                raise Damage(str(error), file.offset) from None
        if self._wrong_end():
            text = f"it ends at {max(self._position, 0):#x} of the log"
            return [Finding(self._entry.name, text)]
        found = self._state.intdigest()
        if found != self._entry.xxh3:
            text = f"its hash is {found:#018x}, not {self._entry.xxh3:#018x}"
            return [Finding(self._entry.name, text)]
        return []

    def hashed(self, data: memoryview) -> None:
        """
        Count and hash bytes of the file, which come in order.
        """
        self._state.update(data)
        self.bytes_read += len(data)

    def _check(self, payload: memoryview) -> None:
        if self._entry.kind == "pages":
            self._check_pages(payload)
        elif self._entry.kind == "delta":
            self._check_delta(payload)
        else:
            self._check_index(payload)

    def _check_pages(self, payload: memoryview) -> None:
        at = self._manifest.addresses
        address, data = page_place(payload)
        low = at.log_until if self._position < 0 else self._position
        first = self._position < 0 and self._manifest.kind == "incremental"
        if address + len(data) > at.final or address < low:
            raise CorruptionError(f"a piece of the log at {address:#x} is out of place")
        if address != low and not first:
            raise CorruptionError(f"the log from {low:#x} to {address:#x} is missing")
        self._position = address + len(data)

    def _check_delta(self, payload: memoryview) -> None:
        for address, record in delta_places(payload):
            end = address + len(record)
            if address < self._position or end > self._manifest.addresses.final:
                raise CorruptionError(f"a record at {address:#x} is out of place")
            self._position = end

    def _check_index(self, payload: memoryview) -> None:
        at = self._manifest.addresses
        if not self._opened:
            self._opened = True
            wanted = (at.index_start, at.index_bits, 1 << at.index_bits)
            if len(payload) != _OPENING.size or _OPENING.unpack(payload) != wanted:
                raise CorruptionError("it is not the copy of this index")
            return
        kind, count, _ = _RUN.unpack_from(payload) if len(payload) >= 16 else (0, 0, 0)
        if kind not in _ITEM or _RUN.size + count * _ITEM[kind] != len(payload):
            raise CorruptionError(f"a run of type {kind} with {count:,} items")

    def _wrong_end(self) -> bool:
        """
        Whether something is missing that blocks alone do not show.
        """
        at = self._manifest.addresses
        if self._entry.kind == "pages":
            if self._position < 0 and self._manifest.kind == "incremental":
                return False  # nothing was appended since the one it is based on
            start = at.log_until if self._position < 0 else self._position
            return start != at.final
        return self._entry.kind == "index" and not self._opened


class _Counted:
    """
    A reader that tells what was read; `BlockFile` reads in order and nothing twice.
    """

    def __init__(self, reader: FileReader, look: _Look) -> None:
        self._reader = reader
        self._look = look

    @property
    def size(self) -> int:
        """
        As the file's.
        """
        return self._reader.size

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        """
        As the file's.
        """
        count = self._reader.read_into(offset, buffer)
        self._look.hashed(buffer[:count])
        return count

    def close(self) -> None:
        """
        As the file's.
        """
        self._reader.close()


__all__ = ["validate"]
