# SPDX-License-Identifier: MIT
"""
What `pyfaster doctor` looks at without a directory: Python, plugins, memory, limits.

What the system says comes as text through a function, so that a test can say it.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pyfaster.hookspecs import Finding

if TYPE_CHECKING:
    from pyfaster._registry import Plugin

#: Gives the text of one of the system's files; None when there is none.
Read = Callable[[str], str | None]

#: No control group has a limit from here on: v1 writes a huge number for none.
_NO_LIMIT = 1 << 60

_MIB = 1 << 20

#: What pyfaster depends on.
_LIBRARIES = ("cffi", "pluggy", "pydantic", "rich", "typer")

#: Preloaded libraries that turn fsync into nothing.
_SILENCERS = ("eatmydata", "nosync", "libfsyncless")


def read_system(path: str) -> str | None:
    """
    Read a file of the system's.
    """
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def look_at_machine(read: Read = read_system) -> Iterator[Finding]:
    """
    All that does not depend on a directory, but for plugins.
    """
    yield Finding("system", "ok", platform.platform())
    yield python_found()
    yield libraries_found()
    yield cores_found()
    yield page_size_found(os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0)
    yield huge_pages_found(read("/sys/kernel/mm/transparent_hugepage/enabled"))
    yield memory_found(read)
    yield swap_found(read("/proc/meminfo") or "")
    yield files_found(open_files_limit())
    silenced = silencer_in(read("/proc/self/maps") or "")
    if silenced:
        advice = "start the program without it (LD_PRELOAD)"
        text = f"{silenced} is loaded: fsync does nothing in this process"
        yield Finding("preloaded library", "failure", text, advice)


def python_found() -> Finding:
    """
    Which Python this is.
    """
    version = ".".join(map(str, sys.version_info[:3]))
    found = f"{sys.implementation.name} {version}, {sys.maxsize.bit_length() + 1} bits"
    if sys.implementation.name != "cpython":
        return Finding("python", "warning", found, "CPython is what is tested")
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return Finding("python", "warning", f"{found}, without the GIL", "use another")
    return Finding("python", "ok", found)


def cores_found() -> Finding:
    """
    How many cores this process may use.
    """
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    found = f"{count} for this process, {os.cpu_count() or count} in the machine"
    return Finding("cores", "ok", found)


def libraries_found() -> Finding:
    """
    Which versions of what pyfaster needs are installed.
    """
    from importlib import metadata

    versions = []
    for name in _LIBRARIES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{name} of unknown version")
    return Finding("libraries", "ok", ", ".join(versions))


def versions_found(own: str, plugins: Iterable[Plugin]) -> Iterator[Finding]:
    """
    Which version this is, what plugins there are, and what is wrong with them.
    """
    yield Finding("pyfaster", "ok", own)
    series = own.rsplit(".", 1)[0]
    for plugin in plugins:
        name = f"plugin {plugin.name}"
        if plugin.errors:
            advice = "update or uninstall it; `pyfaster plugins` has the same"
            yield Finding(name, "failure", "; ".join(plugin.errors), advice)
        elif plugin.status == "excluded":
            yield Finding(name, "note", "left out by PYFASTER_PLUGINS")
        elif plugin.distribution.startswith("pyfaster-"):
            found = f"{plugin.distribution} {plugin.version}"
            if plugin.version.rsplit(".", 1)[0] == series:
                yield Finding(name, "ok", found)
            else:
                advice = f"install one of {series}: all have one version"
                yield Finding(name, "warning", found, advice)


def page_size_found(size: int) -> Finding:
    """
    The system's page of memory.
    """
    if size in (0, 4096):
        return Finding("page size", "ok", f"{size or 'unknown'}")
    advice = "direct transfers are aligned to the disk's sector, not to this"
    return Finding("page size", "note", f"{size:,} bytes", advice)


def huge_pages_found(text: str | None) -> Finding:
    """
    Whether index and log can have huge pages, by the line "always [madvise] never".
    """
    name = "huge pages"
    chosen = re.search(r"\[(\w+)\]", text or "")
    if chosen is None:
        return Finding(name, "note", "the system does not say")
    if chosen[1] == "never":
        advice = (
            "allow them (madvise): index and log ask for them, and every lookup in a "
            "large store misses the table of pages without them"
        )
        return Finding(name, "warning", "transparent huge pages: never", advice)
    return Finding(name, "ok", f"transparent huge pages: {chosen[1]}")


# --- memory ---------------------------------------------------------------------------


def parse_meminfo(text: str) -> dict[str, int]:
    """
    Read `/proc/meminfo`; in bytes.
    """
    lines = re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)
    return {name: int(count) << 10 for name, count in lines}


def parse_cgroup(text: str) -> dict[str, str]:
    """
    Read `/proc/self/cgroup`: controller to path, "" for version 2.
    """
    groups = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if number.isdigit() and colon:
            groups.update(dict.fromkeys(controllers.split(","), path))
    return groups


def limit_files(groups: dict[str, str]) -> Iterator[str]:
    """
    The files that hold the group's limit of memory, and those of the groups above it,
    which hold, too; then where a container sees its own group as the root.
    """
    if "memory" in groups:
        base, name, path = "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory"
    else:
        base, name, path = "/sys/fs/cgroup", "memory.max", ""
    parts = [part for part in groups.get(path, "/").split("/") if part]
    for count in range(len(parts), -1, -1):
        yield "/".join([base, *parts[:count], name])


def memory_limit(read: Read) -> int | None:
    """
    The least limit that a control group sets, in bytes; None without any.
    """
    found = []
    for path in limit_files(parse_cgroup(read("/proc/self/cgroup") or "")):
        text = (read(path) or "").strip()
        if text.isdigit() and int(text) < _NO_LIMIT:
            found.append(int(text))
    return min(found, default=None)


def memory_found(read: Read) -> Finding:
    """
    How much memory there is, and how much of it this process may use.
    """
    name = "memory"
    figures = parse_meminfo(read("/proc/meminfo") or "")
    total, free = figures.get("MemTotal"), figures.get("MemAvailable")
    if total is None:
        return Finding(name, "note", "the system does not say")
    found = f"{total // _MIB:,} MiB"
    if free is not None:
        found += f", {free // _MIB:,} MiB of them available"
    limit = memory_limit(read)
    if limit is not None and limit < total:
        found += f"; the control group allows {limit // _MIB:,} MiB"
        advice = (
            "set memory= well below that: who goes over it is killed, and a store "
            "has what it was given beside all else in the process"
        )
        return Finding(name, "note", found, advice)
    return Finding(name, "ok", found)


def swap_found(text: str) -> Finding:
    """
    Whether memory may be moved to a disk behind the store's back.
    """
    total = parse_meminfo(text).get("SwapTotal", 0)
    if not total:
        return Finding("swap", "ok", "none")
    advice = "a budget that fits into memory is never swapped; keep it below that"
    return Finding("swap", "note", f"{total // _MIB:,} MiB", advice)


# --- limits ---------------------------------------------------------------------------


def open_files_limit() -> int | None:
    """
    How many files this process may have open; None where there is no such limit.
    """
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft in (resource.RLIM_INFINITY, -1) else soft


def files_found(limit: int | None) -> Finding:
    """
    Whether that is enough: each segment of a log is a file.
    """
    name = "open files"
    if limit is None:
        return Finding(name, "ok", "no limit")
    if limit < 256:
        advice = "raise it (ulimit -n), or make segments larger (segment_size=)"
        return Finding(name, "warning", f"at most {limit:,}", advice)
    return Finding(name, "ok", f"at most {limit:,}")


def silencer_in(maps: str) -> str:
    """
    The preloaded library that turns fsync into nothing, by `/proc/self/maps`; "".
    """
    for line in maps.splitlines():
        path = line.partition("/")[2]
        name = path.rpartition("/")[2]
        if any(word in name for word in _SILENCERS):
            return name
    return ""


__all__ = ["Read", "look_at_machine", "read_system", "versions_found"]
