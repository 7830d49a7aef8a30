# SPDX-License-Identifier: MIT
"""
Where a log lives: its directory, its slots' files, and the device for its bytes.

A place is taken when a log is opened and given back when it is closed. A log that only
reads takes no lock, makes nothing and changes nothing.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyfaster
from pyfaster.checkpoints import Directory
from pyfaster.errors import ConfigError, CorruptLogError
from pyfaster.flog import LogDevice, MemoryDevice
from pyfaster.protocols import DeviceSettings
from pyfaster_fasterlog._files import DiskSlots, SlotFiles

MEMORY = ":memory:"
LOCK_NAME = "log.lock"
SLOTS_NAME = "commits"
SEGMENTS_NAME = "log"

SEGMENT_SIZE_DEFAULT = 1 << 30

#: The schemes whose devices keep the files that this module knows.
_WITH_SEGMENTS = ("file", "uring")

#: Above the counters of new stores, so that no store takes such segments for remains of
#: its own that nobody needs.
_GENERATION_SHIFT = 32

_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

# Two letters at least: "C:\data" is a path.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):", re.IGNORECASE)
_SEGMENT = re.compile(r"([0-9a-f]{20})\.seg")
_HEAD = struct.Struct("<8s8xQ8xQ")  # magic, log, bytes in one file
_MAGIC = b"PYFSEG\r\n"


@dataclass(frozen=True, slots=True)
class Segments:
    """
    The files of a log's bytes, as their names tell, and the header of the first one
    that has any; whether that is right is the device's to say.

    Attributes:
        bases: The address that each begins at, ascending.

        log_id: The log that they are of; 0 when unknown.

        size: Bytes of the log in one file; 0 when unknown.
    """

    bases: tuple[int, ...] = ()
    log_id: int = 0
    size: int = 0

    def missing(self, begin: int, until: int) -> list[str]:
        """
        The names of the files that hold [begin, until) and are not there.
        """
        if not self.size or until <= begin:
            return []
        first = begin - begin % self.size
        there = set(self.bases)
        wanted = range(first, until, self.size)
        return [f"{base:020x}.seg" for base in wanted if base not in there]


@dataclass
class Place:
    """
    A log's place, as the user named it.

    Attributes:
        name: For messages and events.

        path: The directory; None for memory and for a device with files of its own.

        scheme: Of the device; "" when it is an object, or memory.

        device: The device as an object; None for a scheme.

        options: For the device's factory.

        read_only: Nothing is made, locked or changed.
    """

    name: str
    path: Path | None
    scheme: str
    device: Any = None
    options: Mapping[str, object] = field(default_factory=dict)
    read_only: bool = False
    segment_size: int = 0
    files: SlotFiles | None = None
    _directory: Directory | None = None

    @property
    def is_memory(self) -> bool:
        """
        Whether it ends with the process, by the user's wish.
        """
        return self.path is None and self.files is None

    def take(self) -> None:
        """
        Lock the directory, and open the slots' files.

        Raises:
            StoreLockedError: Somebody has it open.

            DeviceError: It cannot be made or opened.

            CorruptLogError: Something else has the name of a folder of ours.
        """
        if self.path is not None:
            if not self.read_only:
                self._directory = Directory(str(self.path), lock_name=LOCK_NAME)
            elif not self.path.is_dir():
                raise ConfigError(
                    f"directory {str(self.path)!r} holds no log; open one that does, "
                    "or leave read_only=True out to begin one"
                )
            if self.files is None:
                where = self.path / SLOTS_NAME
                self.files = DiskSlots(where, read_only=self.read_only)

    def segments(self) -> Segments:
        """
        Look at the files of the log's bytes.
        """
        folder = None if self.path is None else self.path / SEGMENTS_NAME
        if folder is None or not folder.is_dir():
            return Segments()
        names = sorted(path.name for path in folder.iterdir())
        bases = [int(found[1], 16) for found in map(_SEGMENT.fullmatch, names) if found]
        for base in bases:
            head = _head_of(folder / f"{base:020x}.seg")
            if head is not None:
                return Segments(tuple(bases), *head)
        return Segments(tuple(bases))

    def file_size(self) -> int:
        """
        Bytes of the log in one file; 0 when there are none that this module knows.
        """
        return self.segments().size if self.scheme in _WITH_SEGMENTS else 0

    @property
    def is_unsized(self) -> bool:
        """
        Whether the device's files have a size that nobody knows yet: there are none.
        """
        return self.scheme in _WITH_SEGMENTS and not self.segments().size

    def open_device(
        self, log_id: int, generation: int, *, read_only: bool = False
    ) -> LogDevice:
        """
        Open the device.

        Raises:
            FasterError: As the device's factory does.
        """
        if self.device is not None:
            return LogDevice(self.device)
        if not self.scheme:
            return LogDevice(MemoryDevice())
        size = self.segment_size or self.segments().size or SEGMENT_SIZE_DEFAULT
        settings = DeviceSettings(
            store_id=log_id,
            generation=(generation + 1) << _GENERATION_SHIFT,
            segment_size=size,
            read_only=read_only,
            options=dict(self.options),
        )
        return LogDevice(pyfaster.open_device(self.scheme, str(self.path), settings))

    def close(self) -> None:
        """
        Give the place back; a second call does nothing.
        """
        files, self.files = self.files, None
        directory, self._directory = self._directory, None
        try:
            if files is not None:
                files.close()
        finally:
            if directory is not None:
                directory.close()


def _head_of(path: Path) -> tuple[int, int] | None:
    """
    Give the log and the size that a segment's header tells; None when it is none.
    """
    try:
        descriptor = os.open(path, _READ)
    except OSError:
        return None
    try:
        head = os.read(descriptor, _HEAD.size)
    except OSError:  # a directory, say
        return None
    finally:
        os.close(descriptor)
    if len(head) < _HEAD.size:
        return None
    magic, log_id, size = _HEAD.unpack(head)
    sane = magic == _MAGIC and size > 0 and size & (size - 1) == 0
    return (log_id, size) if sane else None


def place_of(
    path: Any,
    device: Any,
    files: SlotFiles | None,
    *,
    usual: str | None = None,
    options: Mapping[str, object],
    segment_size: int,
    read_only: bool,
) -> Place:
    """
    Understand what a user wrote.

    Args:
        path: As in `FasterLog.open`.

        device: Likewise.

        files: Likewise.

        usual: The scheme of a path that names none, where `device` says none either.

        options: For the device.

        segment_size: Of its files.

        read_only: Whether nothing is changed.

    Raises:
        ConfigError: It contradicts itself.
    """
    rest: dict[str, Any] = {
        "options": options,
        "read_only": read_only,
        "segment_size": segment_size,
        "files": files,
    }
    is_object = device is not None and not isinstance(device, str)
    if path is None or path == MEMORY:
        if is_object and files is not None:
            return Place(type(device).__name__, None, "", device, **rest)
        if device is not None or files is not None or read_only:
            raise ConfigError(
                "a log in memory has no device, no files and no other reader; give a "
                "path, or device= and files= as objects, both"
            )
        return Place(MEMORY, None, "", **rest)
    try:
        where = str(Path(path)) if not isinstance(path, str) else path
    except TypeError:
        raise ConfigError(f"path={path!r}: give a path, or {MEMORY!r}") from None
    if is_object:
        return Place(where, Path(where), "", device, **rest)
    scheme = device or usual or "file"
    match = _SCHEME.match(where) if isinstance(path, str) else None
    if match is not None:
        scheme, where = match[1].lower(), where[match.end() :]
        if device not in (None, scheme):
            raise ConfigError(f"path={path!r} and device={device!r} disagree")
    if not where:
        raise ConfigError(f"path={path!r} names no place; give a directory")
    return Place(f"{scheme}:{where}", Path(where), scheme, **rest)


def refuse_missing(place: Place, begin: int, until: int) -> None:
    """
    Refuse a log of which a file is missing.

    Raises:
        CorruptLogError: One is; the message names it.
    """
    if place.path is None or until <= begin:
        return
    found = place.segments()
    if not found.bases and place.scheme not in _WITH_SEGMENTS:
        return
    lost = found.missing(begin, until) if found.bases else ["all segments"]
    if lost:
        folder = place.path / SEGMENTS_NAME
        raise CorruptLogError(
            f"{str(folder)!r}: {', '.join(lost[:3])} missing, of the addresses "
            f"{begin:,} to {until:,} that the log's slots say are durable; nothing was "
            "changed: bring the files back from a copy"
        )


__all__ = ["MEMORY", "Place", "Segments", "place_of", "refuse_missing"]
