# SPDX-License-Identifier: MIT
"""
Sizes as people write them, and those that follow from others.
"""

from __future__ import annotations

import os
import re

PAGE_SIZE_MIN = 4 << 10
PAGE_SIZE_MAX = 1 << 30
#: Used when neither page_size nor memory is given; large pages flush in few requests.
PAGE_SIZE_DEFAULT = 4 << 20
#: A budget is cut into at least this many pages, so that most of it is usable.
PAGES_WANTED = 16
#: The same for a store on a device, whose pages come and go one by one.
DEVICE_PAGES_WANTED = 64
#: Budgets of stores on a device that say none.
MEMORY_DEFAULT = 1 << 30
MEMORY_DEFAULT_MIN = 64 << 20
#: A smaller budget is better spent on the log than on a read cache.
READ_CACHE_FROM = 256 << 20
SEGMENT_SIZE_DEFAULT = 1 << 30
#: What file systems still keep in one file.
SEGMENT_SIZE_MAX = 1 << 40
MEMORY_MAX = 1 << 47
#: The log needs one page to write to and one to move on to.
PAGES_MIN = 2
#: On a device further pages are on their way to it (`disk.h`, DISK_FRAMES_MIN).
DEVICE_PAGES_MIN = 4
#: A smaller cache keeps nothing for long (`cache.h`, CACHE_BYTES_MIN).
READ_CACHE_MIN = 64 << 10
#: The smallest index (`index.h`, INDEX_BITS_MIN).
INDEX_BYTES_MIN = 16 << 10
#: What it starts with when no keys are announced and the budget is not tiny (`kv.c`,
#: INDEX_BITS_START).
INDEX_BYTES_START = 64 << 10
#: The index doubles once it holds more keys than this per bucket of 64 bytes.
KEYS_PER_BUCKET = 4
BUCKET_BYTES = 64

_SIZE = re.compile(
    r"\s*([0-9]+(?:\.[0-9]+)?)\s*(B|[KMGT]i?B)?\s*", re.IGNORECASE | re.ASCII
)
#: The same as JSON Schema has it, where patterns know no flags.
SIZE_PATTERN = r"^\s*[0-9]+(\.[0-9]+)?\s*([bB]|[kKmMgGtT][iI]?[bB])?\s*$"
_UNITS = {"b": 1} | {
    f"{letter}{infix}b": base**power
    for infix, base in (("", 1000), ("i", 1024))
    for power, letter in enumerate("kmgt", start=1)
}


def parse_size(size: object) -> object:
    """
    Give a size in bytes: an int as it is, or a text such as "512MiB".

    Raises:
        ValueError: The text is not a size, or not a whole number of bytes.
    """
    if isinstance(size, bool) or not isinstance(size, str):
        return size
    match = _SIZE.fullmatch(size)
    if match is None:
        raise ValueError(
            f"{size!r} is not a size; write bytes as an int, or a number with "
            'B, KiB, MiB, GiB, TiB (or kB, MB, GB, TB), as in "512MiB"'
        )
    number, unit = match[1], (match[2] or "B").lower()
    whole, _, decimals = number.partition(".")
    bytes_, rest = divmod(int(whole + decimals) * _UNITS[unit], 10 ** len(decimals))
    if rest:
        raise ValueError(f"{size!r} is not a whole number of bytes")
    return bytes_


def show_size(size: int) -> str:
    """
    A size as people write it: the largest unit that divides it.
    """
    for unit, power in (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size and size % (1 << power) == 0:
            return f"{size >> power}{unit}"
    return f"{size:,} byte{'s' if size != 1 else ''}"


def derive_page_size(memory: int | None) -> int:
    """
    Give the page size for a budget: 4 MiB, less when the budget is small.
    """
    if memory is None:
        return PAGE_SIZE_DEFAULT
    share = max(memory // PAGES_WANTED, PAGE_SIZE_MIN)
    return min(PAGE_SIZE_DEFAULT, 1 << (share.bit_length() - 1))


def derive_device_page_size(memory: int) -> int:
    """
    Give the page size for a budget of which most is on its way to a device.

    More pages than in memory: whole ones are written, evicted and prepared.
    """
    share = max(memory // DEVICE_PAGES_WANTED, PAGE_SIZE_MIN)
    return min(PAGE_SIZE_DEFAULT, 1 << (share.bit_length() - 1))


def default_memory() -> int:
    """
    Give the budget of a store on a device that says none: 1 GiB, or a quarter of the
    machine's memory where that is less.
    """
    try:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return MEMORY_DEFAULT
    return min(MEMORY_DEFAULT, max(physical // 4, MEMORY_DEFAULT_MIN))


def index_bytes_for(expected_keys: int) -> int:
    """
    Give the size of an index that holds so many keys without growing.
    """
    buckets = expected_keys // KEYS_PER_BUCKET + 1
    return max(INDEX_BYTES_MIN, (1 << (buckets - 1).bit_length()) * BUCKET_BYTES)


def start_index_bytes(memory: int, index_fraction: float, expected_keys: int) -> int:
    """
    Give the size of the index that a store with a budget begins with.
    """
    if expected_keys:
        return index_bytes_for(expected_keys)
    half = memory // 1000 * round(index_fraction * 1000) // 2
    size = INDEX_BYTES_START
    while size > max(half, INDEX_BYTES_MIN):
        size //= 2
    return size


def round_up(size: int) -> int:
    """
    Round a size up to whole KiB, or to whole MiB from there on.
    """
    unit = 20 if size > 1 << 20 else 10
    return -(-size >> unit) << unit
