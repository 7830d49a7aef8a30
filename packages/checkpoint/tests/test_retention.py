# SPDX-License-Identifier: MIT
"""Retention: what is kept can be recovered, and the newest good one is always kept."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from fake_engine import recovered
from fake_store import FakeStore
from hypothesis import given
from hypothesis import strategies as st
from keeper_kit import Clock, fill, filled, make, take
from manifest_kit import snapshot

from pyfaster.errors import (
    CheckpointNotFoundError,
    ConfigError,
    CorruptCheckpointError,
    FasterError,
    UnsupportedFormatError,
)
from pyfaster_checkpoint._catalog import Catalog, Entry
from pyfaster_checkpoint._manifest import Addresses, Manifest, make_token
from pyfaster_checkpoint._retention import removable


@st.composite
def histories(draw: st.DrawFn) -> Catalog:
    """Catalogs as takes, failures, damage and pins may leave them."""
    entries: list[Entry] = []
    for sequence in range(1, draw(st.integers(1, 14)) + 1):
        states = [each for each in entries if _base(each)]
        kinds = [
            "snapshot",
            "fold-over",
            "index",
            *(["incremental"] * 2 if states else []),
        ]
        kind = draw(st.sampled_from(kinds))
        token = make_token(sequence, draw(st.integers(0, 3)))
        older = [each.token for each in entries]
        parent = draw(st.sampled_from(states)).token if kind == "incremental" else None
        index = (
            token if kind == "index" else draw(st.sampled_from([None, token, *older]))
        )
        one = _manifest(token, sequence, kind, parent, index)
        damage = draw(st.sampled_from([None] * 6 + ["corrupt", "foreign", "unread"]))
        entries.append(
            _entry(one, damage, pinned=draw(st.sampled_from([False] * 5 + [True])))
        )
    return Catalog(tuple(reversed(entries)))


def _base(entry: Entry) -> bool:
    return entry.manifest is not None and entry.manifest.kind in (
        "snapshot",
        "incremental",
    )


def _manifest(
    token: str, sequence: int, kind: str, parent: str | None, index: str | None
) -> Manifest:
    return snapshot(
        token=token,
        kind=kind,
        sequence=sequence,
        version=sequence,
        parent=parent,
        index=index,
        created=1000 + sequence,
        addresses=Addresses(64, sequence * 100, sequence * 100, 0),
    )


def _entry(one: Manifest, damage: str | None, *, pinned: bool) -> Entry:
    errors: dict[str | None, FasterError | None] = {
        None: None,
        "corrupt": CorruptCheckpointError("damaged"),
        "unread": CorruptCheckpointError("no manifest to be read"),
        "foreign": UnsupportedFormatError("of another store"),
    }
    manifest = None if damage == "unread" else one
    return Entry(one.token, manifest, errors[damage], pinned)


def usable(catalog: Catalog) -> list[Manifest]:
    """Those that could be recovered from, by the rules and not by the code."""
    found = []
    for entry in catalog.entries:
        one = entry.manifest
        while one is not None:
            holder = catalog.get(one.token)
            if holder is None or holder.error is not None:
                break
            if one.parent is None:
                assert entry.manifest is not None
                if entry.manifest.kind != "index":
                    found.append(entry.manifest)
                break
            above = catalog.get(one.parent)
            one = None if above is None else above.manifest
    return found


@given(
    histories(),
    st.integers(1, 4),
    st.sampled_from([None, 0, 3, 100]),
    st.sets(st.integers(0, 13), max_size=2),
)
def test_what_is_kept_stays_usable(
    catalog: Catalog, keep: int, keep_for: float | None, which: set[int]
) -> None:
    """The newest usable ones, the young, the pinned and the protected stay, with all
    that they need; what is of another store or format stays, too."""
    protect = {each.token for at, each in enumerate(catalog.entries) if at in which}
    now = 1000.0 + len(catalog.entries)
    gone = removable(catalog, keep=keep, keep_for=keep_for, now=now, protect=protect)
    rest = Catalog(tuple(each for each in catalog.entries if each.token not in gone))
    before, after = usable(catalog), usable(rest)
    assert after[:keep] == before[:keep]
    young = [
        each
        for each in before
        if keep_for is not None and each.created >= now - keep_for
    ]
    assert all(each in after for each in young)
    for entry in catalog.entries:
        stays = entry.pinned or entry.token in protect
        assert entry.token not in gone or not stays
        assert entry.token not in gone or not isinstance(
            entry.error, UnsupportedFormatError
        )
        if stays and entry.manifest in before:
            assert entry.manifest in after
    for one in after[:keep]:
        assert one.index is None or one.index not in gone
    if not before:
        assert gone == []


@pytest.mark.trap("T21")
@given(histories(), st.integers(1, 4))
def test_none_goes_before_those_that_need_it(catalog: Catalog, keep: int) -> None:
    """Removal may end anywhere: no checkpoint is left without its base."""
    gone = removable(catalog, keep=keep, keep_for=None, now=0)
    for count in range(len(gone) + 1):
        left = [each for each in catalog.entries if each.token not in gone[:count]]
        rest = Catalog(tuple(left))
        lost = [each for each in usable(catalog) if each not in usable(rest)]
        assert {each.token for each in lost} <= set(gone[:count])


@given(histories(), st.integers(1, 4))
def test_it_is_enough_to_do_it_once(catalog: Catalog, keep: int) -> None:
    """What is left after a removal is kept by the next one."""
    gone = removable(catalog, keep=keep, keep_for=None, now=0)
    rest = Catalog(tuple(each for each in catalog.entries if each.token not in gone))
    assert removable(rest, keep=keep, keep_for=None, now=0) == []


@pytest.mark.parametrize("seed", range(10))
def test_random_lives_keep_what_they_need(seed: int) -> None:
    """Whatever is taken, pinned, lost and recovered: the newest recovers, and every one
    that is listed without damage recovers to what it held."""
    random = Random(seed)
    keeper, files = make(keep=random.randrange(1, 4))
    store = FakeStore()
    held: dict[str, dict[int, int]] = {}
    newest = ""
    for _ in range(25):
        fill(store, random.randrange(1000), 12)
        kind = random.choice(["auto", "auto", "snapshot", "fold-over", "index"])
        info, state = take(keeper, store, kind)
        if kind != "index":
            held[info.token], newest = state, info.token
        known = [each.token for each in keeper.checkpoints()]
        if random.random() < 0.2:
            keeper.pin(random.choice(known))
        if random.random() < 0.2:
            keeper.unpin(random.choice(known))
        if random.random() < 0.2:
            keeper.prune(keep=1)
        if newest and random.random() < 0.2:
            keeper, _ = make(files, keep=random.randrange(1, 4))
            store, report = recovered(keeper, store.disk)
            assert report.token == newest
            assert store.state() == held[newest]
    for info in keeper.checkpoints():
        if info.kind != "index":
            back, _ = recovered(make(files)[0], store.disk, info.token)
            assert back.state() == held[info.token]


def tokens(keeper: Any) -> list[str]:
    """What is listed."""
    return [each.token for each in keeper.checkpoints()]


def test_as_many_as_were_asked_for() -> None:
    """The newest stay, and of an incremental one its whole chain."""
    keeper, _ = make(keep=2)
    store = filled()
    taken = [take(keeper, store, "snapshot")[0].token for _ in range(4)]
    assert tokens(keeper) == [taken[3], taken[2]]
    chain = [taken[3], *(take(keeper, store, "incremental")[0].token for _ in range(4))]
    assert tokens(keeper) == chain[::-1]
    alone = take(keeper, store, "fold-over")[0].token
    assert tokens(keeper) == [alone, *chain[::-1]]
    last = take(keeper, store, "fold-over")[0].token
    assert tokens(keeper) == [last, alone]


def test_copies_of_the_index_stay_while_they_serve() -> None:
    """An index checkpoint stays as long as one that is kept, or the next, uses it."""
    keeper, _ = make(keep=1)
    store = filled()
    take(keeper, store, "snapshot")
    index, _ = take(keeper, store, "index")
    user, _ = take(keeper, store, "incremental")
    assert index.token in tokens(keeper)
    assert user.token in tokens(keeper)
    take(keeper, store, "snapshot")
    assert len(tokens(keeper)) == 1


def test_for_as_long_as_was_asked_for() -> None:
    """Young ones stay however many there are."""
    clock = Clock()
    keeper, _ = make(clock=clock, keep=1, keep_for=100)
    store = filled()
    taken = []
    for _ in range(5):
        taken.append(take(keeper, store, "fold-over")[0].token)
        clock.now += 30
    assert tokens(keeper) == taken[:0:-1]
    clock.now += 1000
    assert keeper.prune() == tuple(taken[3:0:-1])
    assert tokens(keeper) == taken[4:]


def test_pinned_ones_stay_beyond_this_process() -> None:
    """A pin is kept with the checkpoint, and holds until it is taken away."""
    keeper, files = make(keep=1)
    store = filled()
    first, state = take(keeper, store, "fold-over")
    keeper.pin(first.token)
    keeper.pin(first.token)
    keeper, _ = make(files, keep=1)
    for _ in range(3):
        last, _ = take(keeper, store, "fold-over")
    assert tokens(keeper) == [last.token, first.token]
    assert [each.pinned for each in keeper.checkpoints()] == [False, True]
    back, _ = recovered(make(files, read_only=True)[0], store.disk, first.token)
    assert back.state() == state
    keeper.unpin(first.token)
    keeper.unpin(first.token)
    assert keeper.prune() == (first.token,)
    for call in (keeper.pin, keeper.unpin, keeper.validate):
        with pytest.raises(CheckpointNotFoundError, match="no checkpoint"):
            call(first.token)
        with pytest.raises(CheckpointNotFoundError):
            call("../x")


def test_what_a_store_stands_on_stays() -> None:
    """The checkpoint that was recovered from stays until the next one is complete, also
    when newer ones are there."""
    keeper, files = make(keep=5)
    store = filled()
    older, _ = take(keeper, store, "snapshot")
    take(keeper, store, "snapshot")
    take(keeper, store, "snapshot")
    keeper, _ = make(files, keep=1)
    back, _ = recovered(keeper, store.disk, older.token)
    keeper.prune()
    assert older.token in tokens(keeper)
    take(keeper, back, "index")
    assert older.token in tokens(keeper)
    last, _ = take(keeper, back, "snapshot")
    assert tokens(keeper) == [last.token]


def test_figures_that_are_refused() -> None:
    """At least one stays, whatever is asked for."""
    keeper, _ = make()
    with pytest.raises(ConfigError, match="at least 1"):
        keeper.prune(keep=0)
    with pytest.raises(ConfigError, match="0 or more"):
        keeper.prune(keep_for=-1)
