# SPDX-License-Identifier: MIT
"""
What a figure was taken on: processor, memory, kernel, versions.

What the system does not tell is None, never a guess.
"""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "pyfaster",
    "pyfaster-checkpoint",
    "pyfaster-devices-file",
    "pyfaster-devices-uring",
    "pyfaster-fasterlog",
    "numpy",
    "lmdb",
    "rocksdict",
    "plyvel",
    "persist-queue",
    "uvloop",
)

_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def describe() -> dict[str, object]:
    """
    Give the machine and the versions, ready for the report.
    """
    return {
        "cpu_model": cpu_model(),
        "cores": cores(),
        "kernel": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "memory_bytes": memory_bytes(),
        "transparent_huge_pages": huge_page_setting(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "python_compiler": platform.python_compiler(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "sqlite": sqlite_version(),
        "byte_order": sys.byteorder,
    }


def cpu_model() -> str | None:
    """
    Give the processor's name as the system has it.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or None


def cores() -> int | None:
    """
    Give the number of processors that this process may run on.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def memory_bytes() -> int | None:
    """
    Give the size of physical memory.
    """
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def huge_page_setting() -> str | None:
    """
    Give the kernel's word for when it uses transparent huge pages.
    """
    try:
        text = _HUGE_PAGES.read_text()
    except OSError:
        return None
    return selected(text)


def selected(text: str) -> str | None:
    """
    Find the word in square brackets, which is how sysfs marks the choice in force.
    """
    for word in text.split():
        if word.startswith("[") and word.endswith("]"):
            return word[1:-1]
    return None


def package_version(name: str) -> str | None:
    """
    Give an installed distribution's version.
    """
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def sqlite_version() -> str | None:
    """
    Give the version of the sqlite library that Python was built with.
    """
    try:
        import sqlite3
    except ImportError:
        return None
    return sqlite3.sqlite_version
