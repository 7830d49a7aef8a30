# SPDX-License-Identifier: MIT
"""
How terminals show what a store tells: a picture of its log, sizes, durations, texts.

The core's commands and those that plugins bring show the same in the same way. The
picture says which part of a log is where: addresses go from left to right, from `begin`
to `tail`. What lies below `head` is on the device alone; what lies above is in memory,
and is written while it is on its way from the part that changes in place to the head.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.text import Text

WIDTH = 64

#: How a figure is shown that there is none of.
ABSENT = "-"

_SIZES = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
_TIMES = (("s", 1e9), ("ms", 1e6), ("µs", 1e3))

#: Region -> how it is drawn: a letter, a style.
REGIONS = {
    "on the device": ("░", "blue"),
    "in memory, written": ("▒", "cyan"),
    "being written": ("▓", "yellow"),
    "becoming read-only": ("▚", "magenta"),
    "changed in place": ("█", "green"),
}


class Addresses(Protocol):
    """
    The addresses that part a log's regions; `pyfaster.StoreStats` has them.
    """

    @property
    def address_begin(self) -> int: ...
    @property
    def address_head(self) -> int: ...
    @property
    def address_flushed(self) -> int: ...
    @property
    def address_safe_read_only(self) -> int: ...
    @property
    def address_read_only(self) -> int: ...
    @property
    def address_tail(self) -> int: ...


def edges(stats: Addresses) -> list[int]:
    """
    Give where regions begin and end, in the order of addresses.
    """
    tail = stats.address_tail
    found = [
        stats.address_begin,
        stats.address_head,
        stats.address_flushed,
        stats.address_safe_read_only,
        stats.address_read_only,
        tail,
    ]
    # A snapshot's figures may be a moment apart; the picture needs them in order.
    for at in range(1, len(found)):
        found[at] = min(max(found[at], found[at - 1]), tail)
    return found


def regions(stats: Addresses) -> dict[str, int]:
    """
    Give the bytes of each region, in the order of addresses.
    """
    sizes = [high - low for low, high in pairwise(edges(stats))]
    return dict(zip(REGIONS, sizes, strict=True))


def strip(stats: Addresses, width: int = WIDTH) -> Text:
    """
    Draw the regions to scale; one that is not empty gets a cell at least.
    """
    from rich.text import Text  # slow to import

    sizes = regions(stats)
    whole = sum(sizes.values()) or 1
    cells = {
        name: max(1, size * width // whole) if size else 0
        for name, size in sizes.items()
    }
    largest = max(cells, key=cells.__getitem__)
    cells[largest] = max(0, cells[largest] + width - sum(cells.values()))
    text = Text()
    for name, (letter, style) in REGIONS.items():
        text.append(letter * cells[name], style)
    return text


def size_text(size: float | None) -> str:
    """
    A number of bytes as people read it.
    """
    if size is None:
        return ABSENT
    for unit, least in _SIZES:
        if abs(size) >= least:
            return f"{size / least:,.1f} {unit}"
    return f"{size:,.0f} B"


def duration_text(duration_ns: float | None) -> str:
    """
    A duration as people read it.

    Units: nanoseconds.
    """
    if duration_ns is None:
        return ABSENT
    for unit, least in _TIMES:
        if duration_ns >= least:
            return f"{duration_ns / least:,.1f} {unit}"
    return f"{duration_ns:,.0f} ns"


def plain_text(text: str, *, keep: str = "") -> str:
    """
    A text without anything that could steer a terminal: it may be a stranger's.

    Args:
        text: What is to be shown.

        keep: What is left as it is, as a line's end.
    """
    return "".join(
        one if one.isprintable() or one in keep else ascii(one)[1:-1] for one in text
    )


__all__ = [
    "ABSENT",
    "REGIONS",
    "WIDTH",
    "Addresses",
    "duration_text",
    "edges",
    "plain_text",
    "regions",
    "size_text",
    "strip",
]
