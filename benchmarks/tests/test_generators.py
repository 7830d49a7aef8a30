# SPDX-License-Identifier: MIT
"""
What the generators promise: frequencies, distinct keys, stamps that come back.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import generators
from benchmarks.generators import Requests, Zipfian

SEED = 20_240_229
ITEMS = 1_000
DRAWS = 1_000_000

#: Six standard deviations of a share estimated from DRAWS draws, at its largest.
BOUND = 6 * 0.5 / DRAWS**0.5


def drawn_ranks() -> tuple[Zipfian, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """
    Draw many ranks from a fixed seed.
    """
    print("seed", SEED)
    zipfian = Zipfian(ITEMS)
    ranks = zipfian.ranks(np.random.default_rng(SEED).random(DRAWS))
    return zipfian, np.bincount(ranks, minlength=ITEMS)


def test_zeta_is_the_sum_of_powers() -> None:
    """
    zeta(n, theta) is the sum of i**-theta, also across the chunks it is summed in.
    """
    expected = sum(rank**-0.99 for rank in range(1, 2_001))
    assert generators.zeta(2_000, 0.99) == pytest.approx(expected, rel=1e-12)
    assert generators.zeta(1, 0.99) == 1.0


@pytest.mark.parametrize("rank", [1, 2, 3, 5, 10, 30, 100, 300, 900, ITEMS])
def test_zipf_frequencies_follow_the_generators_closed_form(rank: int) -> None:
    """
    The share of draws below each rank is what the generator's inverse says.
    """
    zipfian, counts = drawn_ranks()
    share = counts[:rank].sum() / DRAWS
    assert abs(share - zipfian.probability_below(rank)) < BOUND


@pytest.mark.parametrize("rank", [1, 2])
def test_the_two_most_popular_ranks_are_exactly_zipfian(rank: int) -> None:
    """
    For ranks 0 and 1 the closed form of the zipfian distribution itself holds.
    """
    _, counts = drawn_ranks()
    exact = generators.zeta(rank, 0.99) / generators.zeta(ITEMS, 0.99)
    assert abs(counts[:rank].sum() / DRAWS - exact) < BOUND


@pytest.mark.parametrize("rank", [3, 10, 100, 500])
def test_the_approximated_ranks_stay_near_the_zipfian(rank: int) -> None:
    """
    The paper's approximation stays within 0.03 of the exact distribution.
    """
    exact = generators.zeta(rank, 0.99) / generators.zeta(ITEMS, 0.99)
    assert abs(Zipfian(ITEMS).probability_below(rank) - exact) < 0.03


def test_ranks_stay_in_range_at_both_ends() -> None:
    """
    The smallest and the largest number below one give the first and the last rank.
    """
    edges = np.array([0.0, np.nextafter(1.0, 0.0)])
    assert Zipfian(ITEMS).ranks(edges).tolist() == [0, ITEMS - 1]


@pytest.mark.parametrize(("items", "theta"), [(1, 0.5), (10, 0.0), (10, 1.0)])
def test_zipfian_refuses_what_it_cannot_do(items: int, theta: float) -> None:
    """
    Fewer than two items, or a theta outside (0, 1), is an error.
    """
    with pytest.raises(ValueError, match="zipfian needs"):
        Zipfian(items, theta)


@pytest.mark.parametrize("distribution", ["uniform", "zipf"])
def test_sequences_depend_on_the_seed_and_the_parts_alone(distribution: str) -> None:
    """
    Equal seeds and parts give equal sequences; another part gives another one.
    """
    print("seed", SEED)
    first = Requests(ITEMS, SEED).draw(distribution, 500, 1, 2)
    again = Requests(ITEMS, SEED).draw(distribution, 500, 1, 2)
    other = Requests(ITEMS, SEED).draw(distribution, 500, 1, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.min() >= 0
    assert first.max() < ITEMS


def test_uniform_sequences_hit_every_item_alike() -> None:
    """
    No item is drawn much more often than another.
    """
    print("seed", SEED)
    counts = np.bincount(Requests(100, SEED).draw("uniform", 100_000), minlength=100)
    assert abs(counts - 1_000).max() < 6 * 1_000**0.5


def test_popular_items_are_spread_by_a_permutation() -> None:
    """
    Zipfian draws are not most frequent for the items that were loaded first.
    """
    print("seed", SEED)
    counts = np.bincount(Requests(ITEMS, SEED).draw("zipf", 100_000), minlength=ITEMS)
    popular = np.argsort(counts)[::-1][:10]
    assert sorted(popular.tolist()) != list(range(10))
    zipfian = Zipfian(ITEMS)
    share = counts.max() / 100_000
    assert abs(share - 1.0 / zipfian.zeta_items) < 6 * 0.5 / 100_000**0.5


def test_an_unknown_distribution_is_refused() -> None:
    """
    A misspelt distribution is an error, not a uniform one.
    """
    with pytest.raises(ValueError, match="no such distribution"):
        Requests(ITEMS, SEED).draw("zipfian", 1)


def test_mix_is_one_to_one_and_stays_below_2_to_62() -> None:
    """
    Numbers that differ become keys that differ, and keys fit signed integers.
    """
    numbers = np.arange(200_000, dtype=np.int64)
    mixed = generators.mix(numbers)
    assert len(np.unique(mixed)) == len(numbers)
    assert int(mixed.max()) < 2**62


def test_mix_is_the_one_of_the_native_benchmark() -> None:
    """
    Both programs make the same keys, so their figures speak of the same data.
    """
    assert generators.mix(np.array([12_345])).tolist() == [573_681_380_867_215_137]


@pytest.mark.parametrize("size", [8, 16])
def test_keys_are_distinct_objects_of_the_asked_size(size: int) -> None:
    """
    Two calls give equal keys in different objects, so no hash is cached in them.
    """
    numbers = np.arange(1_000, dtype=np.int64)
    first = generators.split(generators.packed_keys(numbers, size), size)
    second = generators.split(generators.packed_keys(numbers, size), size)
    assert first == second
    assert len(set(first)) == 1_000
    assert {len(key) for key in first} == {size}
    assert all(one is not other for one, other in zip(first, second, strict=True))


def test_integer_and_packed_keys_are_the_same_keys() -> None:
    """
    A store of integers and a store of bytes hold the same keys.
    """
    numbers = np.arange(100, dtype=np.int64)
    packed = generators.split(generators.packed_keys(numbers, 8), 8)
    unpacked = [int.from_bytes(key, "little") for key in packed]
    assert unpacked == generators.integer_keys(numbers)


@pytest.mark.parametrize("size", [8, 9, 100, 300])
def test_stamps_come_back_out_of_values(size: int) -> None:
    """
    A value has its size, and its stamp can be taken out again.
    """
    stamps = np.arange(5, 50, dtype=np.uint64)
    packed = generators.packed_values(stamps, size)
    assert len(packed) == size * len(stamps)
    assert generators.stamps_of(packed, size).tolist() == stamps.tolist()


def test_a_changed_filler_is_noticed() -> None:
    """
    A value whose tail was damaged is not taken for a good one.
    """
    packed = bytearray(generators.packed_values(np.arange(3, dtype=np.uint64), 100))
    packed[150] ^= 1
    with pytest.raises(ValueError, match="filler"):
        generators.stamps_of(bytes(packed), 100)
