# SPDX-License-Identifier: MIT
"""
What a medium is sure to hold at a moment of a run, and what it may hold or not.

The model is the weakest that file systems promise. A sync of the device covers the
writes that had ended before it began. A sync of a file covers its bytes and its length;
a sync of a directory covers the names made, changed and removed in it, and nothing
else. All else is an item of its own, which a power cut may keep, lose or tear: each
write, each new length, each change of a name.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from crash.events import Event
from crash.image import Image, blank, put

SECTOR, BLOCK = 512, 4096

#: What may become of a write that a power cut falls into.
TORN = ("first", "last", "mask512", "mask4096", "cut", "garbage")
WHOLE = "whole"
#: A rename that left both names.
BOTH = "both"

_ITEMS = {
    "write": ("log",),
    "trim": ("trim",),
    "append": ("data", "size"),
    "rewrite": ("data", "size"),
    "create": ("entry",),
    "rename": ("entry",),
    "unlink": ("entry",),
    "mkdir": ("place",),
    "rmdir": ("place",),
}


@dataclass(slots=True, eq=False)
class Item:
    """
    Something that a power cut may keep or lose.

    Attributes:
        sort: "log", "trim", "data", "size", "entry" or "place".

        event: What made it.

        turn: Which event of the run that was.

        done: Whether it was done when it ended: only then a sync may cover it.

        ended: Whether it has ended, be it with a failure.

        doomed: A sync that should have covered it failed, and the system took it for
            clean: no later sync covers it.
    """

    sort: str
    event: Event
    turn: int
    done: bool
    ended: bool = True
    doomed: bool = False

    def under(self, later: Item) -> bool:
        """
        Whether a write lies under a later one, which began when this one had ended.
        """
        first, last = self.event.offset, later.event.offset
        return (
            self.ended
            and self.turn < later.turn
            and first < last + len(later.event.data)
            and last < first + len(self.event.data)
        )

    def forms(self) -> tuple[str, ...]:
        """
        How it may be kept, but for whole.
        """
        if self.sort in ("log", "data"):
            return TORN
        return (BOTH,) if self.event.kind == "rename" else ()


class Medium:
    """
    Follows a run, event by event.

    Args:
        first: What the medium held when the run began.

        seed: Of what is torn and of garbage.

        lossy: What a failed sync should have covered is lost for later syncs, too.

        sector: Of the device: what a write that was cut off may leave as garbage. More
            than it says of itself only to see that this is found.

    Attributes:
        sure: What the medium holds whatever happens.

        pending: What it may hold, in order.

        age: How often `sure` has changed.
    """

    def __init__(
        self,
        first: Image | None = None,
        *,
        seed: int = 0,
        lossy: bool = False,
        sector: int = SECTOR,
    ) -> None:
        self.sure = first.copy() if first is not None else Image()
        self.roots = set(self.sure.places)
        self.pending: list[Item] = []
        self.age = 0
        self.turn = 0
        self._seed = seed
        self._lossy = lossy
        self._sector = sector
        self._writes: dict[int, Item] = {}
        self._syncs: dict[int, list[Item]] = {}

    def step(self, event: Event) -> None:
        """
        Take the next event.
        """
        sorts = _ITEMS.get(event.kind, ()) if event.ok else ()
        for sort in sorts:
            file = sort != "log"  # what is done at once
            item = Item(sort, event, self.turn, done=file, ended=file)
            self.pending.append(item)
            if sort == "log":
                self._writes[event.number] = item
        if event.kind == "dropped":
            self.pending = [item for item in self.pending if item.sort != "log"]
            self.age += 1
        elif event.kind == "wrote":
            self._writes[event.number].done = event.ok
            self._writes[event.number].ended = True
        elif event.kind == "sync":
            logs = [item for item in self.pending if item.sort == "log" and item.done]
            self._syncs[event.number] = logs
        elif event.kind == "synced":
            self._cover(self._syncs.pop(event.number), event.ok)
        elif event.kind == "fsync":
            self._cover(
                [
                    item
                    for item in self.pending
                    if item.sort in ("data", "size") and item.event.file == event.file
                ],
                event.ok,
            )
        elif event.kind == "dirsync":
            sort = "entry" if event.place else "place"
            self._cover(
                [
                    item
                    for item in self.pending
                    if item.sort == sort
                    and (sort == "place" or item.event.place == event.place)
                ],
                event.ok,
            )
        self.turn += 1

    def _cover(self, items: list[Item], ok: bool) -> None:
        """
        Make items sure; or, when the sync failed, lose them for good.
        """
        if not ok:
            for item in items if self._lossy else ():
                item.doomed = True
            return
        covered = {id(item) for item in items if not item.doomed}
        kept = {i: WHOLE for i, it in enumerate(self.pending) if id(it) in covered}
        if kept:
            self._apply(self.sure, self.roots, kept)
            logs = [self.pending[at] for at in kept if self.pending[at].sort == "log"]
            self.pending = [
                item
                for item in self.pending
                if id(item) not in covered
                and not (item.sort == "log" and any(map(item.under, logs)))
            ]
            self.age += 1

    def image(self, kept: Mapping[int, str]) -> Image:
        """
        Give what the medium holds if of the pending items these are kept.

        Args:
            kept: Positions in `pending`, each with how: `WHOLE` or one of `forms`.
        """
        image = self.sure.fork()
        roots = set(self.roots)
        owned: set[int] = set()
        self._apply(image, roots, kept, owned)
        image.places = {token: image.places.get(token, {}) for token in sorted(roots)}
        for names in image.places.values():
            for number in names.values():
                image.files.setdefault(number, bytearray())
        return image

    def _apply(
        self,
        image: Image,
        roots: set[str],
        kept: Mapping[int, str],
        owned: set[int] | None = None,
    ) -> None:
        sizes: dict[int, int] = {}
        for position in sorted(kept):
            item, form = self.pending[position], kept[position]
            event = item.event
            if item.sort == "log":
                for offset, part in self._parts(item, form):
                    put(image.log, offset, part)
            elif item.sort == "trim":
                blank(image.log, event.offset)
            elif item.sort in ("data", "size"):
                number = event.file
                if owned is not None and number not in owned:
                    image.own(number)
                    owned.add(number)
                data = image.files.setdefault(number, bytearray())
                sizes.setdefault(number, len(data))
                if item.sort == "size":
                    end = event.offset + len(event.data)
                    sizes[number] = max(sizes[number], end)
                else:
                    for offset, part in self._parts(item, form):
                        put(data, offset, part)
            elif item.sort == "entry":
                self._name(image.places.setdefault(event.place, {}), event, form)
            elif event.kind == "mkdir":
                roots.add(event.place)
                image.places.setdefault(event.place, {})
            else:
                roots.discard(event.place)
                image.places.pop(event.place, None)
        for number, size in sizes.items():
            data = image.files[number]
            del data[size:]
            data.extend(bytes(size - len(data)))

    def _name(self, names: dict[str, int], event: Event, form: str) -> None:
        if event.kind == "create":
            names[event.name] = event.file
            return
        if event.kind == "rename":
            names[event.other] = event.file
        if form != BOTH:
            names.pop(event.name, None)
        else:
            names[event.name] = event.file

    def _parts(self, item: Item, form: str) -> list[tuple[int, bytes]]:
        offset, data = item.event.offset, item.event.data
        if form == WHOLE:
            return [(offset, data)]
        chance = random.Random(f"{self._seed}:{item.turn}:{form}")
        if form == "garbage" and item.event.kind == "rewrite":
            return spoiled(data, chance)
        parts = tear(data, offset, form, chance)
        if form == "garbage" and item.sort == "log" and self._sector > SECTOR:
            last = (offset + len(data) - 1) // self._sector * self._sector
            parts = [(last - offset, chance.randbytes(self._sector))]
        return [(offset + at, part) for at, part in parts]


def tear(
    data: bytes, offset: int, form: str, chance: random.Random
) -> list[tuple[int, bytes]]:
    """
    Give what is left of a write, as parts with their places in it.

    Args:
        data: What was written.

        offset: Where; sectors and blocks are counted from the device's beginning.

        form: One of `TORN`.

        chance: Decides which sectors, where in a sector, and what garbage.
    """
    size = len(data)
    last = max(0, (offset + size - 1) // SECTOR * SECTOR - offset)
    half = size // 2 if size < 2 * SECTOR else size // 2 // SECTOR * SECTOR
    if form == "first":
        return [(0, data[:half])]
    if form == "last":
        return [(half, data[half:])]
    if form == "cut":
        return [(0, data[: last + chance.randrange(1, max(2, size - last))])]
    if form == "garbage":
        return [(0, data[:last]), (last, chance.randbytes(size - last))]
    unit = SECTOR if form == "mask512" else BLOCK
    starts = [0, *range(unit - offset % unit, size, unit)]
    ends = [*starts[1:], size]
    return [
        (start, data[start:end])
        for start, end in zip(starts, ends, strict=True)
        if chance.random() < 0.5
    ]


def spoiled(data: bytes, chance: random.Random) -> list[tuple[int, bytes]]:
    """
    Give what is left of a file that was written over, when the power went in some
    sector: what is before it, and garbage. What is behind is as it was.
    """
    last = max(0, len(data) - 1) // SECTOR
    at = SECTOR * (chance.randrange(last + 1) if chance.random() < 0.5 else 0)
    size = min(SECTOR, len(data) - at)
    return [(0, data[:at]), (at, chance.randbytes(size))]


__all__ = ["BOTH", "TORN", "WHOLE", "Item", "Medium", "spoiled", "tear"]
