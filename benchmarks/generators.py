# SPDX-License-Identifier: MIT
"""
Key numbers, keys and values, all computed before any clock runs.

Theory of operation. A benchmark speaks of items by number, 0 to n - 1. A request
sequence is an array of such numbers, uniform or zipfian. The zipfian one is YCSB's: the
generator of Gray et al. gives a rank, and a seeded permutation says which item has that
rank, so that popular items are spread over the store instead of being those that were
loaded first.

A number becomes a key through `mix`, a bijection on 62 bits, so that no contender
profits from keys that are dense or sorted. A value carries a stamp, one 62-bit integer;
a value longer than 8 bytes repeats a filler after it. Stamps are what the answers are
checked by.

Source: Gray, Sundaresan, Englert, Baclawski, Weinberger, "Quickly Generating
Billion-Record Synthetic Databases", SIGMOD 1994; Cooper et al., "Benchmarking Cloud
Serving Systems with YCSB", SoCC 2010.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Words = NDArray[np.uint64]

#: YCSB's constant for its zipfian request distribution.
THETA = 0.99

#: Keys and stamps stay below 2**62, so they fit signed and unsigned 64-bit types.
BITS = 62
_MASK = np.uint64((1 << BITS) - 1)
_HALF = np.uint64(BITS // 2)
_ODD_FIRST = np.uint64(0x2545F4914F6CDD1D)
_ODD_SECOND = np.uint64(0x1B873593CC9E2D51)

#: Added to an item's number for the second half of a 16-byte key.
_SECOND_HALF = np.uint64(1 << 40)

#: What follows the stamp in values longer than 8 bytes.
FILLER = bytes(range(32, 127))


def mix(numbers: Numbers | Words) -> Words:
    """
    Spread numbers below 2**62 over that range, one to one.

    Each step is a bijection modulo 2**62: a product with an odd number, and the xor
    with its own upper half.
    """
    words = numbers.astype(np.uint64) & _MASK
    for odd in (_ODD_FIRST, _ODD_SECOND):
        words = (words * odd) & _MASK
        words ^= words >> _HALF
    return words


def zeta(count: int, theta: float) -> float:
    """
    Give the generalised harmonic number: the sum of i**-theta for i = 1 ... count.
    """
    total = 0.0
    for first in range(1, count + 1, 1 << 22):
        last = min(first + (1 << 22), count + 1)
        ranks = np.arange(first, last, dtype=np.float64)
        total += float(np.sum(ranks**-theta))
    return total


class Zipfian:
    """
    YCSB's zipfian generator: ranks 0 to items - 1, rank 0 the most popular.

    The first two ranks have exactly their zipfian probability; from rank 2 on the
    inverse of the distribution is approximated by one power, as in the paper.
    """

    def __init__(self, items: int, theta: float = THETA) -> None:
        if items < 2 or not 0.0 < theta < 1.0:
            raise ValueError(
                f"zipfian needs items >= 2 and 0 < theta < 1, not {items} and {theta}"
            )
        self.items = items
        self.theta = theta
        self.zeta_items = zeta(items, theta)
        self._alpha = 1.0 / (1.0 - theta)
        self._first_two = 1.0 + 0.5**theta
        self._eta = (1.0 - (2.0 / items) ** (1.0 - theta)) / (
            1.0 - self._first_two / self.zeta_items
        )

    def ranks(self, uniform: NDArray[np.float64]) -> Numbers:
        """
        Turn numbers drawn uniformly from [0, 1) into ranks.
        """
        scaled = uniform * self.zeta_items
        base = self._eta * uniform - self._eta + 1.0
        ranks: Numbers = (self.items * base**self._alpha).astype(np.int64)
        ranks = np.minimum(ranks, np.int64(self.items - 1))
        ranks[scaled < self._first_two] = 1
        ranks[scaled < 1.0] = 0
        return ranks

    def probability_below(self, rank: int) -> float:
        """
        Give the probability that this generator draws a rank below `rank`.
        """
        if rank <= 0:
            return 0.0
        if rank >= self.items:
            return 1.0
        if rank == 1:
            return 1.0 / self.zeta_items
        edge = (rank / self.items) ** (1.0 - self.theta)
        approximated = (edge - 1.0 + self._eta) / self._eta
        return float(max(self._first_two / self.zeta_items, approximated))


class Requests:
    """
    Draws request sequences over a fixed number of items.

    One object keeps the zipfian sums and the permutation, which cost more than a
    sequence does.
    """

    def __init__(self, items: int, seed: int) -> None:
        self.items = items
        self.seed = seed
        self._zipfian: Zipfian | None = None
        self._item_of_rank: Numbers | None = None

    def draw(self, distribution: str, count: int, *parts: int) -> Numbers:
        """
        Draw item numbers.

        Args:
            distribution: "uniform" or "zipf".

            count: How many.

            parts: Whatever tells this sequence from others under the same seed.
        """
        source = np.random.default_rng([self.seed, *parts])
        if distribution == "uniform":
            return source.integers(0, self.items, count, dtype=np.int64)
        if distribution != "zipf":
            raise ValueError(f"no such distribution: {distribution!r}")
        zipfian, item_of_rank = self._zipf_tables()
        chosen: Numbers = item_of_rank[zipfian.ranks(source.random(count))]
        return chosen

    def _zipf_tables(self) -> tuple[Zipfian, Numbers]:
        if self._zipfian is None or self._item_of_rank is None:
            self._zipfian = Zipfian(self.items)
            source = np.random.default_rng([self.seed, self.items])
            self._item_of_rank = source.permutation(self.items).astype(np.int64)
        return self._zipfian, self._item_of_rank


def integer_keys(numbers: Numbers) -> list[int]:
    """
    Make 8-byte keys as int objects that nobody else holds.
    """
    keys: list[int] = mix(numbers).tolist()
    return keys


def packed_keys(numbers: Numbers, key_size: int) -> bytes:
    """
    Make keys of 8 or 16 bytes, one after another.
    """
    if key_size == 8:
        return mix(numbers).astype("<u8").tobytes()
    if key_size != 16:
        raise ValueError(f"keys have 8 or 16 bytes here, not {key_size}")
    pairs = np.empty((len(numbers), 2), dtype="<u8")
    pairs[:, 0] = mix(numbers)
    pairs[:, 1] = mix(numbers.astype(np.uint64) + _SECOND_HALF)
    return pairs.tobytes()


def split(packed: bytes, size: int) -> list[bytes]:
    """
    Cut into bytes objects of one size: new objects, whose hash was never taken.
    """
    return [packed[at : at + size] for at in range(0, len(packed), size)]


def packed_values(stamps: Words, value_size: int) -> bytes:
    """
    Make values of 8 bytes or more, one after another: the stamp, then the filler.
    """
    rows = np.empty((len(stamps), value_size), dtype=np.uint8)
    rows[:, :8] = stamps.astype("<u8").view(np.uint8).reshape(-1, 8)
    rows[:, 8:] = filler(value_size)
    return rows.tobytes()


def filler(value_size: int) -> NDArray[np.uint8]:
    """
    Give the bytes that follow the stamp in a value of this size.
    """
    room = max(0, value_size - 8)
    repeated = FILLER * (room // len(FILLER) + 1)
    return np.frombuffer(repeated[:room], dtype=np.uint8)


def stamps_of(packed: bytes, value_size: int) -> Words:
    """
    Take the stamps out of packed values.

    Raises:
        ValueError: A value is not as `packed_values` makes them.
    """
    if len(packed) % value_size:
        raise ValueError(f"{len(packed)} bytes are not values of {value_size} bytes")
    rows = np.frombuffer(packed, dtype=np.uint8).reshape(-1, value_size)
    if not np.array_equal(
        rows[:, 8:], np.broadcast_to(filler(value_size), rows[:, 8:].shape)
    ):
        raise ValueError("a value's filler was changed")
    return np.ascontiguousarray(rows[:, :8]).view("<u8").reshape(-1).astype(np.uint64)
