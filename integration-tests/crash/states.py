# SPDX-License-Identifier: MIT
"""
Which of the states that a power cut may leave are looked at, and what they are called.

Of up to ten pending items every subset; of more: none, all, each alone, all but each,
every beginning, every end, and 64 by chance. Beside that each item torn in each way:
alone, as the last of a beginning, and among all. A state is named by its event and its
mask, which follow from the seed; so a name is enough to make the state again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crash.medium import WHOLE, Item, Medium

#: Of so many items every subset is taken.
SUBSETS = 10
#: Of more, so many by chance.
CHANCES = 64


@dataclass(frozen=True, slots=True)
class Mask:
    """
    Which pending items are kept.

    Attributes:
        bits: Bit i: the item at position i.

        torn: The position of the one that is not whole; -1: all are.

        form: How that one is.
    """

    bits: int
    torn: int = -1
    form: str = WHOLE

    def kept(self) -> dict[int, str]:
        """
        As `Medium.image` takes it.
        """
        bits, position, kept = self.bits, 0, {}
        while bits:
            if bits & 1:
                kept[position] = self.form if position == self.torn else WHOLE
            bits >>= 1
            position += 1
        return kept

    def __str__(self) -> str:
        torn = f".{self.torn}.{self.form}" if self.torn >= 0 else ""
        return f"{self.bits:x}{torn}"

    @classmethod
    def of(cls, text: str) -> Mask:
        """
        The opposite of `str`.
        """
        bits, *torn = text.split(".")
        return cls(int(bits, 16), int(torn[0]), torn[1]) if torn else cls(int(bits, 16))


def edges(count: int) -> Iterator[Mask]:
    """
    Give the masks that are never left out: none, all, the newest alone, all but it.
    """
    full = (1 << count) - 1
    yield Mask(0)
    yield Mask(full)
    if count:
        newest = 1 << (count - 1)
        yield Mask(newest)
        yield Mask(full & ~newest)


def whole(count: int, chance: random.Random) -> Iterator[Mask]:
    """
    Give the masks in which nothing is torn.
    """
    full = (1 << count) - 1
    if count <= SUBSETS:
        yield from map(Mask, range(full + 1))
        return
    yield from (Mask(0), Mask(full))
    for position in range(count):
        yield Mask(1 << position)
        yield Mask(full & ~(1 << position))
        yield Mask((1 << position) - 1)
        yield Mask(full & ~((1 << position) - 1))
    for _ in range(CHANCES):
        yield Mask(chance.getrandbits(count))


def torn(items: Sequence[Item]) -> Iterator[Mask]:
    """
    Give the masks in which one item is torn.
    """
    full = (1 << len(items)) - 1
    for position, item in enumerate(items):
        one = 1 << position
        for form in item.forms():
            for bits in dict.fromkeys((one, 2 * one - 1, full)):
                yield Mask(bits, position, form)


def masks(medium: Medium, seed: int, share: float = 1.0) -> Iterator[Mask]:
    """
    Give the masks of a moment, each once.

    Args:
        medium: At that moment.

        seed: Of what is by chance.

        share: Of the masks but the `edges`, how many are looked at.
    """
    count = len(medium.pending)
    chance = random.Random(f"{seed}:{medium.turn}:masks")
    given = set()
    for mask in edges(count):
        if mask not in given:
            given.add(mask)
            yield mask
    for some in (whole(count, chance), torn(medium.pending)):
        for mask in some:
            if (share >= 1.0 or chance.random() < share) and mask not in given:
                given.add(mask)
                yield mask


__all__ = ["CHANCES", "SUBSETS", "Mask", "masks"]
