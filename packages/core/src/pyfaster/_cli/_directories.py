# SPDX-License-Identifier: MIT
"""
What a directory holds, as far as its files tell the core: a store or a durable log, who
has it open, how much there is, and how its segments are made.

Everything is only read, and no lock is taken or tried: trying one could keep out a
process that opens the store in that moment.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyfaster._home import CHECKPOINTS_NAME, LOCK_NAME, LOG_LOCK_NAME, LOG_NAME
from pyfaster.errors import ConfigError, PluginMissingError, pip_line

if TYPE_CHECKING:
    from pyfaster.protocols import Inspector

#: What keeps a lock file of that name, and which extra can look into it.
KINDS = {LOCK_NAME: ("store", "checkpoint"), LOG_LOCK_NAME: ("log", "log")}

#: Where a durable log keeps what it knows of itself.
SLOTS_NAME = "commits"

LOCKS = "/proc/locks"

_SEGMENT = re.compile(r"[0-9a-f]{20}\.seg")
_HEAD = struct.Struct("<8sIIQQQ")  # magic, format, header's size, owner, base, size
_MAGIC = b"PYFSEG\r\n"
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True, slots=True)
class Holder:
    """
    Who has a directory open.

    Attributes:
        held: Whether somebody has; None when that cannot be known here.

        pid: The process that has it, or had it last; None when unknown.
    """

    held: bool | None
    pid: int | None


@dataclass(slots=True)
class Amount:
    """
    How much there is of something.

    Attributes:
        files: How many.

        bytes: Their lengths together.

        disk_bytes: What they take of the disk; less where nothing was written yet.
    """

    files: int = 0
    bytes: int = 0
    disk_bytes: int = 0


# --- what it is -----------------------------------------------------------------------


def kind_of(directory: Path) -> str | None:
    """
    "store" or "log", by the lock file; None when there is none.
    """
    for name, (kind, _) in KINDS.items():
        if os.path.lexists(directory / name):
            return kind
    return None


def inspector_of(directory: Path) -> tuple[str | None, Inspector | None]:
    """
    What a directory holds, and who can look into it.
    """
    from pyfaster._registry import registry

    registry.load()
    kind = kind_of(directory)
    for offer in registry.offers("pyfaster_inspectors"):
        one: Inspector = offer.thing
        try:
            if kind in (None, one.kind) and one.holds(directory):
                return one.kind, one
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            text = f"holds() raised {type(error).__name__}: {error}"
            registry.blame(offer.plugin, text)
    return kind, None


def need_inspector(directory: Path) -> Inspector:
    """
    Give who can look into a directory.

    Raises:
        ConfigError: There is nothing of pyfaster's in it.

        PluginMissingError: Who could is not installed.
    """
    kind, found = inspector_of(directory)
    if found is not None:
        return found
    for name, extra in KINDS.values():
        if name == kind:
            text = f"{str(directory)!r} holds a {kind}; to look into it: "
            raise PluginMissingError(text + pip_line(extra))
    raise nothing_in(directory)


def nothing_in(directory: Path) -> ConfigError:
    """
    Make the error of a directory without anything of ours.
    """
    return ConfigError(
        f"directory {str(directory)!r} holds neither a store nor a log; give the "
        "directory that was given to open()"
    )


# --- who has it open ------------------------------------------------------------------


def parse_locks(text: str) -> Iterator[tuple[int, int]]:
    """
    Read `/proc/locks`: (process, inode) of each lock that is held by flock().
    """
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 6 and words[1] == "FLOCK" and words[2] != "->":
            inode = words[5].rpartition(":")[2]
            if inode.isdigit() and words[4].lstrip("-").isdigit():
                yield int(words[4]), int(inode)


def holder_of(directory: Path, locks: str | None = None) -> Holder:
    """
    Who has a directory open.

    Args:
        directory: Which one.

        locks: The system's table of locks; read when not given.
    """
    for name in KINDS:
        path = directory / name
        try:
            descriptor = os.open(path, _READ)
        except OSError:
            continue
        try:
            text = os.read(descriptor, 32).strip()
            inode = os.fstat(descriptor).st_ino
        finally:
            os.close(descriptor)
        last = int(text) if text.isdigit() else None
        return _judge_holder(_table() if locks is None else locks, inode, last)
    return Holder(None, None)


def _table() -> str | None:
    try:
        return Path(LOCKS).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None


def _judge_holder(locks: str | None, inode: int, last: int | None) -> Holder:
    """
    Who holds the lock of an inode; `last` is who had it last, by its own word.
    """
    holders = [pid for pid, locked in parse_locks(locks or "") if locked == inode]
    if holders:
        known = last if last in holders else holders[0]
        return Holder(True, known if known is not None and known > 0 else last)
    return Holder(None if locks is None else False, last)


# --- how much there is ----------------------------------------------------------------


def amounts(directory: Path) -> dict[str, Amount]:
    """
    How much there is of each part of a store or log, and of all else.
    """
    parts = {name: Amount() for name in (LOG_NAME, CHECKPOINTS_NAME, SLOTS_NAME)}
    rest = Amount()
    for entry in _entries(directory):
        amount = parts.get(entry.name, rest)
        if entry.is_dir(follow_symlinks=False):
            _add_folder(Path(entry.path), amount)
        else:
            _add(entry, amount)
    found = {name: one for name, one in parts.items() if one.files}
    return {**found, "other": rest} if rest.files else found


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []  # it went meanwhile, or is not ours to read


def _add_folder(folder: Path, amount: Amount) -> None:
    folders = [folder]
    while folders:
        for entry in _entries(folders.pop()):
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            else:
                _add(entry, amount)


def _add(entry: os.DirEntry[str], amount: Amount) -> None:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return  # it went meanwhile
    amount.files += 1
    amount.bytes += found.st_size
    blocks = getattr(found, "st_blocks", None)
    amount.disk_bytes += found.st_size if blocks is None else blocks * 512


def segments_in(directory: Path) -> dict[str, object] | None:
    """
    What the files of a log say of themselves: how many there are, where they begin and
    end, their format and owner, and how long each is; None without any.
    """
    entries = _entries(directory / LOG_NAME)
    names = sorted(one.name for one in entries if _SEGMENT.fullmatch(one.name))
    if not names:
        return None
    facts: dict[str, object] = {"files": len(names), "begin": int(names[0][:-4], 16)}
    for name in reversed(names):
        head = _head_of(directory / LOG_NAME / name)
        if head is not None:
            _, form, _, owner, base, size = head
            facts |= {"end": base + size, "segment_size": size}
            return facts | {"format": form, "owner": f"{owner:016x}"}
    return facts


def _head_of(path: Path) -> tuple[bytes, int, int, int, int, int] | None:
    try:
        with open(os.open(path, _READ | getattr(os, "O_CLOEXEC", 0)), "rb") as file:
            block = file.read(_HEAD.size)
    except OSError:
        return None
    if len(block) < _HEAD.size or not block.startswith(_MAGIC):
        return None
    found: tuple[bytes, int, int, int, int, int] = _HEAD.unpack(block)
    return found


__all__ = [
    "Holder",
    "amounts",
    "holder_of",
    "inspector_of",
    "kind_of",
    "need_inspector",
    "nothing_in",
    "segments_in",
]
