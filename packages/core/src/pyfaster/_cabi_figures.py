# SPDX-License-Identifier: MIT
"""
The boundary, as `_cabi`: durations of a store's operations.
"""

from __future__ import annotations

from typing import Any

from pyfaster._cabi import Kv, _check, enumerators
from pyfaster._histogram import Histogram
from pyfaster._native import ffi, lib


def timed_by(enum: str, prefix: str) -> dict[int, str]:
    """
    What an enum says is timed: names by their numbers, ascending.
    """
    numbers = {number: name for name, number in enumerators(enum).items()}
    return {
        number: name.removeprefix(prefix).lower()
        for number, name in sorted(numbers.items())
    }


_TIMED = timed_by("faster_timed", "FASTER_TIMED_")


def histogram_of(taken: Any) -> Histogram:
    """
    Copy a `struct faster_histogram`.
    """
    return Histogram(tuple(ffi.unpack(taken.counts, len(taken.counts))), taken.total_ns)


def kv_histograms(kv: Kv) -> dict[str, Histogram]:
    """
    Take all histograms of a store, by the names of `enum faster_timed`.
    """
    taken = ffi.new("struct faster_histogram *")
    found = {}
    for number, name in _TIMED.items():
        status = lib.faster_kv_histogram(kv.c, number, taken)
        _check(status, "taking figures")
        found[name] = histogram_of(taken)
    return found
