# SPDX-License-Identifier: MIT
"""
What one thread does in one round, and what the store must then hold.

Plans are drawn from the seed alone, so every contender's process draws the same ones
and no process has to be told. The model follows the stamps: an item starts with the
stamp `mix(number)`; a write in round r sets a stamp that depends on the item and r
only, so that the final state does not depend on how threads interleave; a bump adds
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import WORKLOADS, Case
from benchmarks.generators import Numbers, Requests, Words, mix

READ, WRITE, BUMP = 0, 1, 2

#: Bumps never carry a stamp past 2**62: initial stamps are halved.
_HALF = np.uint64(1)


@dataclass(frozen=True, slots=True)
class Plan:
    """
    One thread's operations.

    Attributes:
        numbers: The items, in order.

        kinds: READ, WRITE or BUMP, one for each.

        stamps: What writes set; meaningless elsewhere.
    """

    numbers: Numbers
    kinds: NDArray[np.uint8]
    stamps: Words


def initial_stamps(numbers: Numbers) -> Words:
    """
    Give the stamps that loading sets.
    """
    return mix(numbers) >> _HALF


def written_stamps(numbers: Numbers, turn: int) -> Words:
    """
    Give the stamps that writes of a turn set.
    """
    shifted = numbers.astype(np.uint64) + np.uint64((turn + 1) << 44)
    return mix(shifted) >> _HALF


def plan(
    case: Case, requests: Requests, operations: int, turn: int, thread: int, end: int
) -> Plan:
    """
    Draw one thread's operations.

    Args:
        operations: How many.

        turn: The number of this round in the life of the process: what tells its
            sequence from the others.

        thread: Likewise, within the round.

        end: The number after the last item that exists; inserts start there.
    """
    workload = WORKLOADS[case.workload]
    if workload.inserts:
        first = end + thread * operations
        numbers = np.arange(first, first + operations, dtype=np.int64)
        kinds = np.full(operations, WRITE, dtype=np.uint8)
        return Plan(numbers, kinds, initial_stamps(numbers))
    numbers = requests.draw(case.distribution, operations, turn, thread, 1)
    dice = np.random.default_rng([requests.seed, turn, thread, 2])
    percent = dice.integers(0, 100, operations)
    kinds = np.zeros(operations, dtype=np.uint8)
    kinds[percent >= workload.reads] = WRITE if workload.writes else BUMP
    return Plan(numbers, kinds, written_stamps(numbers, turn))


class Model:
    """
    The stamps that the store must hold.
    """

    def __init__(self, items: int) -> None:
        self.stamps = initial_stamps(np.arange(items, dtype=np.int64))

    @property
    def end(self) -> int:
        """
        The number after the last item.
        """
        return len(self.stamps)

    def apply(self, plans: Sequence[Plan]) -> None:
        """
        Follow one round of all threads.
        """
        self._grow(plans)
        for part in plans:
            writes = part.kinds == WRITE
            self.stamps[part.numbers[writes]] = part.stamps[writes]
        for part in plans:
            bumped = part.numbers[part.kinds == BUMP]
            np.add.at(self.stamps, bumped, np.uint64(1))

    def _grow(self, plans: Sequence[Plan]) -> None:
        end = max(int(part.numbers.max()) + 1 for part in plans)
        if end > len(self.stamps):
            fresh = np.arange(len(self.stamps), end, dtype=np.int64)
            self.stamps = np.concatenate([self.stamps, initial_stamps(fresh)])

    def sample(self, plans: Sequence[Plan], count: int, seed: int) -> Numbers:
        """
        Choose items to check: half of them touched by the round, half anywhere.

        All items are chosen when there are no more than `count`.
        """
        if self.end <= count:
            return np.arange(self.end, dtype=np.int64)
        source = np.random.default_rng([seed, count])
        touched = np.concatenate([part.numbers for part in plans])
        chosen = np.concatenate(
            [
                source.choice(touched, count // 2),
                source.integers(0, self.end, count // 2, dtype=np.int64),
            ]
        )
        return np.unique(chosen)
