# SPDX-License-Identifier: MIT
"""
Budgets: how much memory a store gets that has more data than that.

A record of declared sizes takes a header of 16 bytes, its key and its value, each
rounded up to 8. The index takes buckets of 64 bytes, a power of two of them, for at
most four keys each; what does not fit its bucket goes to an overflow bucket. An index
cannot be made smaller than that without making every lookup slower, so where data are
said to be so many times memory, the log's memory is meant, and the index comes on top.
"""

from __future__ import annotations

from dataclasses import dataclass

RECORD_HEADER = 16
BUCKET = 64
KEYS_PER_BUCKET = 4

#: Room for overflow buckets at four keys to a bucket.
OVERFLOW = 1.08

#: The smallest and the largest share of a budget that an index may be given.
FRACTION_MIN = 0.02
FRACTION_MAX = 0.9

KEY_SIZE = 8


@dataclass(frozen=True, slots=True)
class Budget:
    """
    What a store is opened with.

    Units: bytes.
    """

    memory: int
    index_fraction: float


def record_bytes(value_size: int) -> int:
    """
    Give what a record with a key of 8 bytes takes of the log.
    """
    return RECORD_HEADER + KEY_SIZE + -(-value_size // 8) * 8


def data_bytes(items: int, value_size: int) -> int:
    """
    Give what so many records take of the log.
    """
    return items * record_bytes(value_size)


def index_bytes(items: int) -> int:
    """
    Give what an index for so many keys takes, overflow included.
    """
    buckets = 1 << (items // KEYS_PER_BUCKET).bit_length()
    return int(buckets * BUCKET * OVERFLOW)


def log_share(items: int, value_size: int, times: int) -> Budget:
    """
    Give a budget whose log is so many times smaller than the data.
    """
    index = index_bytes(items)
    memory = index + data_bytes(items, value_size) // times
    return Budget(memory, min(index / memory, FRACTION_MAX))


def whole_share(items: int, value_size: int, times: int) -> Budget:
    """
    Give a budget, index included, that is so many times smaller than the data.
    """
    memory = data_bytes(items, value_size) // times
    return Budget(memory, min(index_bytes(items) / memory, FRACTION_MAX))


def roomy(items: int, value_size: int, times: int) -> Budget:
    """
    Give a budget whose log has room for so many times the data.
    """
    index = index_bytes(items)
    memory = index + data_bytes(items, value_size) * times
    return Budget(memory, min(max(index / memory, FRACTION_MIN), FRACTION_MAX))
