# SPDX-License-Identifier: MIT
"""
What `pyfaster doctor` knows of file systems, by the system's table of mounts.

All of it works on the text of the table, so that a test can bring any system's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from pyfaster.hookspecs import Finding

#: Where Linux has the table.
TABLE = "/proc/self/mountinfo"

_NETWORK = {
    "9p",
    "afs",
    "ceph",
    "cifs",
    "fuse.ceph",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "glusterfs",
    "gfs2",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb3",
    "smbfs",
    "virtiofs",
}
_MEMORY = {"tmpfs", "ramfs", "devtmpfs", "hugetlbfs"}
_OVERLAY = {"overlay", "overlayfs", "aufs", "unionfs", "fuse.overlayfs"}
_COPYING = {"btrfs", "zfs", "bcachefs", "nilfs2"}
_FOREIGN = {"vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk", "hfsplus"}

#: Mount options that have the file system send no flushes to the device.
_UNSAFE = {"nobarrier", "barrier=0", "nobarriers", "norecovery"}


@dataclass(frozen=True, slots=True)
class Mount:
    """
    One line of the table.

    Attributes:
        point: Where it is mounted.

        kind: The file system: "ext4", "nfs4".

        source: What is mounted: a device, a server's folder.

        options: Of the mount and of the file system.

        device: "major:minor".
    """

    point: str
    kind: str
    source: str
    options: frozenset[str] = frozenset()
    device: str = ""


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """
    Read the text of `/proc/self/mountinfo`; lines of another form are left out.
    """
    return tuple(filter(None, map(_mount_of, text.splitlines())))


def _mount_of(line: str) -> Mount | None:
    before, dash, behind = line.partition(" - ")
    front, back = before.split(" "), behind.split(" ")
    if not dash or len(front) < 6 or len(back) < 2:
        return None
    options = front[5].split(",") + (back[2].split(",") if len(back) > 2 else [])
    return Mount(
        point=_plain(front[4]),
        kind=back[0],
        source=_plain(back[1]),
        options=frozenset(options),
        device=front[2],
    )


def _plain(word: str) -> str:
    """
    Undo the kernel's way to write blanks: backslash and three octal digits.
    """
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), word)


def mount_of(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """
    The mount that an absolute path without links is in: the longest that the path
    begins with, and of those at one place the last, which hides the others.
    """
    parts = PurePosixPath(path).parts
    best: tuple[int, Mount] | None = None
    for mount in mounts:
        point = PurePosixPath(mount.point).parts
        fits = parts[: len(point)] == point
        if fits and (best is None or len(point) >= best[0]):
            best = (len(point), mount)
    return None if best is None else best[1]


def judge_mount(mount: Mount | None) -> Finding:
    """
    Say what is to be said of the file system that a store would live on.
    """
    name = "file system"
    if mount is None:
        return Finding(name, "note", "the system has no table of mounts to tell by")
    found = f"{mount.kind} ({mount.source} on {mount.point})"
    if "ro" in mount.options:
        advice = "a store can be opened read-only there; give another directory"
        return Finding(name, "failure", f"{found}: mounted read-only", advice)
    unsafe = sorted(_UNSAFE & mount.options)
    if unsafe:
        text = f"{found}: mounted with {', '.join(unsafe)}, so nothing is flushed"
        return Finding(name, "warning", text, "mount it without that option")
    for kinds, what, advice in _HAZARDS:
        if mount.kind in kinds or (kinds is _NETWORK and _is_network(mount)):
            return Finding(name, "warning", f"{found}: {what}", advice)
    if mount.kind in _COPYING:
        advice = "expect more bytes written than the store hands over; measure with it"
        return Finding(name, "note", f"{found}: copies what is written over", advice)
    if mount.kind.startswith("fuse"):
        advice = "ask its makers whether fsync reaches a disk, and whether locks work"
        return Finding(name, "warning", f"{found}: a program serves it", advice)
    return Finding(name, "ok", found)


def _is_network(mount: Mount) -> bool:
    """
    Whether a source is written as a server's: "host:/folder", "//host/share".
    """
    return bool(re.match(r"//|[\w.-]+:/", mount.source))


_HAZARDS = (
    (
        _MEMORY,
        "it is memory, and all of it is gone when the machine stops",
        "give a directory on a disk, unless nothing has to last",
    ),
    (
        _OVERLAY,
        "layers, as containers have them: it goes with the container, the first "
        "write to a file copies it, and fsync may be left out (option volatile)",
        "mount a volume of the host there",
    ),
    (
        _NETWORK,
        "a network or a shared file system: locks and fsync are the server's affair, "
        "a broken connection stops writing, and two machines may open one store",
        "use a local disk; here, keep the store in one process of one machine",
    ),
    (
        _FOREIGN,
        "a file system of another system's, without all that a store relies on",
        "use ext4 or xfs",
    ),
)

__all__ = ["TABLE", "Mount", "judge_mount", "mount_of", "parse_mounts"]
