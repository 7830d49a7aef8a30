# SPDX-License-Identifier: MIT
"""
What `pyfaster doctor` makes of what it has measured: figures in, findings out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyfaster._cli._disk import DiskFigures
from pyfaster.hookspecs import Finding

#: Below so many microseconds no device was asked: a system call costs about one, the
#: fastest devices take some ten.
_NOBODY_US = 6.0

#: From here on a device may well have been asked, be it a slow one.
_LIKELY_US = 60.0

#: A disk at 15,000 rounds a minute needs that for the same sector again.
_ROUND_US = 3_500.0

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Medium:
    """
    What the system says of the device below a file system.

    Attributes:
        rotates: Whether it says that it has turning disks.

        cache: "write back" or "write through": whether it says that it has a cache that
            must be flushed.
    """

    rotates: bool | None = None
    cache: str = ""


def medium_of(device: str, root: Path = Path("/sys/dev/block")) -> Medium:
    """
    Ask the system about a device by its numbers, "major:minor".
    """
    for folder in (root / device, root / device / ".."):
        try:
            queue = folder.resolve() / "queue"
            rotates = (queue / "rotational").read_text().strip()
            cache = (queue / "write_cache").read_text().strip()
        except OSError:
            continue
        return Medium(rotates == "1", cache)
    return Medium()


def space_found(free: int, total: int, files_free: int | None) -> Finding:
    """
    Whether there is room for a log to grow.
    """
    found = f"{free // _MIB:,} MiB free of {total // _MIB:,} MiB"
    advice = "make room: a store whose device is full takes no writes until there is"
    if free < 64 * _MIB:
        return Finding("free space", "failure", found, advice)
    if free < 2048 * _MIB or free * 20 < total:
        return Finding("free space", "warning", found, advice)
    if files_free is not None and files_free < 1000:
        text = f"{found}; room for {files_free:,} files only"
        return Finding("free space", "warning", text, advice)
    return Finding("free space", "ok", found)


def judge_speed(figures: DiskFigures) -> Iterator[Finding]:
    """
    Say how fast the disk is from front to back.
    """
    text = f"{figures.write_mib_s:,.0f} MiB/s for {figures.size // _MIB:,} MiB, synced"
    if figures.write_mib_s < 20:
        advice = "a log is written as fast as this at best; use a faster disk"
        yield Finding("writing", "warning", text, advice)
    else:
        yield Finding("writing", "ok", text)
    if figures.read_mib_s is not None:
        text = f"{figures.read_mib_s:,.0f} MiB/s, unless memory had kept it"
        yield Finding("reading", "ok", text)


def judge_sync(figures: DiskFigures, medium: Medium) -> Finding:
    """
    Say whether fsync can have done what it promises, as far as its time tells.
    """
    name = "fsync"
    found = (
        f"{figures.sync_us:,.0f} us for a block (at most {figures.sync_max_us:,.0f}), "
        f"{figures.write_us:,.0f} us without it"
    )
    if figures.dsync_us is not None:
        found += f", {figures.dsync_us:,.0f} us with O_DSYNC"
    extra = max(figures.sync_us - figures.write_us, 0.0)
    if extra < _NOBODY_US:
        text = f"{found}: nobody was asked, so a power cut takes what was acknowledged"
        advice = (
            "no device answers in that time; look for memory as a disk, for a library "
            "or a virtual machine that leaves flushes out (cache=unsafe, eatmydata)"
        )
        return Finding(name, "warning", text, advice)
    dsync = figures.dsync_us
    if dsync is not None and dsync > 20 * figures.sync_us and extra < _LIKELY_US:
        text = f"{found}: fsync is much faster than O_DSYNC, which does the same"
        advice = "one of the two is left out by what lies between; trust neither"
        return Finding(name, "warning", text, advice)
    return _judge_believable(name, found, extra, medium)


def _judge_believable(name: str, found: str, extra: float, medium: Medium) -> Finding:
    """
    The same of times that a device may need.
    """
    unknown = (
        "whether a device keeps what it has acknowledged can be known by cutting its "
        "power alone; ask its maker for power-loss protection"
    )
    if medium.rotates and extra < _ROUND_US:
        text = (
            f"{found}: the disk says that it rotates, and answers faster than it can; "
            "it is a virtual one, or a cache answers"
        )
        return Finding(name, "note", text, unknown)
    if extra < _LIKELY_US:
        text = f"{found}: a disk with power-loss protection, or one that pretends"
        return Finding(name, "note", text, unknown)
    if medium.cache == "write through":
        text = f"{found}: the disk says that it has no cache to flush"
        return Finding(name, "ok", text, unknown)
    return Finding(name, "ok", f"{found}: a device was asked", unknown)


__all__ = ["Medium", "judge_speed", "judge_sync", "medium_of", "space_found"]
