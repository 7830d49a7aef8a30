# SPDX-License-Identifier: MIT
"""
A picture of a log, for terminals: which part of it is where.

The log's addresses go from left to right, from `begin` to `tail`. What lies below
`head` is on the device alone; what lies above is in memory, and is written while it is
on its way from the part that changes in place to the head.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

from rich.text import Text

WIDTH = 64

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


__all__ = ["REGIONS", "WIDTH", "Addresses", "edges", "regions", "strip"]
