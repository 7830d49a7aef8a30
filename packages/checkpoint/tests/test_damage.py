# SPDX-License-Identifier: MIT
"""Damage of every kind in every file: an older state, or an error, no wrong state."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from fake_engine import LAYOUT_ANY, FakeRecovery, recovered
from fake_store import FakeStore
from keeper_kit import fill, filled, make, take
from memory_files import MemoryFiles

from pyfaster.errors import CorruptCheckpointError, UnsupportedFormatError
from pyfaster_checkpoint._files import LEFT
from pyfaster_checkpoint._manifest import MANIFEST, members_of, seal
from pyfaster_checkpoint._parse import parse

State = dict[int, int]


def passed(report: Any) -> list[str]:
    """The checkpoints that were passed over, or whose copy of the index was."""
    return [each.token.removesuffix("/index.dat") for each in report.passed_over]


class Two:
    """A store with two checkpoints of a kind, and what each of them holds."""

    def __init__(self, kind: str, keys: int = 10) -> None:
        self.store = FakeStore()
        self.keeper, self.files = make(keep=5)
        fill(self.store, 3, 20, keys)
        self.older, self.old = take(self.keeper, self.store, "snapshot")
        fill(self.store, 4, 8, keys)
        self.newer, self.new = take(self.keeper, self.store, kind)
        fill(self.store, 5, 8, keys)

    def copy(self) -> MemoryFiles:
        """The files, to be damaged."""
        files = MemoryFiles()
        files.places = copy.deepcopy(self.files.places)
        return files

    def recover(self, files: MemoryFiles) -> tuple[State, Any]:
        """Recover from files; the state and the report."""
        keeper, _ = make(files)
        before = copy.deepcopy(files.places)
        back, report = recovered(keeper, self.store.disk)
        for token in before:  # nothing is changed but that newer ones are marked
            if token > report.token:
                before[token][LEFT] = bytearray(f"{report.token}\n".encode())
        assert files.places == before
        return back.state(), report

    def check(self, files: MemoryFiles, name: str) -> None:
        """Recover from damaged files: to one of the states, and it is told."""
        state, report = self.recover(files)
        if report.token == self.newer.token:
            assert state == self.new
            assert name == "index.dat"  # the log was replayed instead
            assert report.index is None
        else:
            assert (report.token, state) == (self.older.token, self.old)
        assert passed(report) == [self.newer.token]
        assert name in report.passed_over[0].reason


def names_of(two: Two) -> list[str]:
    """The files of the newer checkpoint."""
    return sorted(two.files.places[two.newer.token])


@pytest.mark.once
@pytest.mark.fault("F32", "F33", "F34", "F36")
@pytest.mark.parametrize("kind", ["snapshot", "incremental", "fold-over"])
def test_every_byte_flipped(kind: str) -> None:
    """One other byte anywhere in the newest: it is passed over, or only its copy of the
    index is, and the state is exact."""
    two = Two(kind)
    for name in names_of(two):
        size = len(two.files.places[two.newer.token][name])
        for at in range(0, size, 7 if name == MANIFEST or size > 1200 else 1):
            files = two.copy()
            files.places[two.newer.token][name][at] ^= 1 << at % 8
            two.check(files, name)


@pytest.mark.once
@pytest.mark.fault("F42")
@pytest.mark.parametrize("kind", ["snapshot", "incremental", "fold-over"])
def test_every_cut(kind: str) -> None:
    """The newest cut anywhere: it is passed over, and told."""
    two = Two(kind)
    for name in names_of(two):
        size = len(two.files.places[two.newer.token][name])
        for length in range(0, size, 7):
            files = two.copy()
            del files.places[two.newer.token][name][length:]
            two.check(files, name)


@pytest.mark.fault("F43")
@pytest.mark.parametrize("kind", ["snapshot", "incremental", "fold-over"])
@pytest.mark.parametrize("more", [1, 8, 32, 4096])
def test_garbage_behind(kind: str, more: int) -> None:
    """Bytes behind a file's end are damage, whatever they are."""
    two = Two(kind)
    for name in names_of(two):
        for tail in (bytes(more), bytes(range(1, 2)) * more):
            files = two.copy()
            files.places[two.newer.token][name] += tail
            two.check(files, name)


@pytest.mark.fault("F44")
@pytest.mark.parametrize("kind", ["snapshot", "incremental", "fold-over"])
def test_missing_files(kind: str) -> None:
    """A missing file is named; without a manifest there is no checkpoint at all."""
    two = Two(kind)
    for name in names_of(two):
        files = two.copy()
        del files.places[two.newer.token][name]
        if name == MANIFEST:
            state, report = two.recover(files)
            assert (state, report.token) == (two.old, two.older.token)
            assert report.passed_over == ()
        else:
            two.check(files, name)


@pytest.mark.fault("F45")
@pytest.mark.parametrize("kind", ["snapshot", "incremental", "fold-over"])
def test_swapped_files(kind: str) -> None:
    """A file of another checkpoint, or a copy under another name, is damage."""
    two = Two(kind)
    theirs, ours = two.older.token, two.newer.token
    for name in names_of(two):
        for other in sorted(two.files.places[theirs]):
            files = two.copy()
            files.places[ours][name] = files.places[theirs][other]
            two.check(files, name)


@pytest.mark.fault("F45")
def test_a_copy_under_another_token() -> None:
    """A checkpoint's directory copied under another name is no checkpoint."""
    two = Two("snapshot")
    files = two.copy()
    token = f"{99:016x}-{1:016x}"
    files.places[token] = copy.deepcopy(files.places[two.newer.token])
    state, report = two.recover(files)
    assert (state, report.token) == (two.new, two.newer.token)
    assert [each.token for each in report.passed_over] == [token]


@pytest.mark.fault("F28", "F26")
def test_left_overs_are_no_checkpoints() -> None:
    """Directories without a manifest do not count, whatever else is in them; they stay
    until the next checkpoint is complete."""
    two = Two("snapshot")
    files = two.copy()
    whole = files.places[two.newer.token]
    left = {
        f"{50:016x}-{1:016x}": {},
        f"{51:016x}-{1:016x}": {"manifest.tmp": whole[MANIFEST]},
        f"{52:016x}-{1:016x}": {"snapshot.dat": whole["snapshot.dat"]},
    }
    files.places.update(copy.deepcopy(left))
    state, report = two.recover(files)
    assert (state, report.token, report.passed_over) == (two.new, two.newer.token, ())
    assert set(left) <= set(files.places)
    keeper, _ = make(files, keep=5)
    info, _ = take(keeper, two.store, "snapshot")
    assert info.sequence == 53
    assert not set(left) & set(files.places)


@pytest.mark.fault("F27")
def test_a_manifest_with_both_names() -> None:
    """A rename of which both names are left is a whole checkpoint."""
    two = Two("snapshot")
    files = two.copy()
    place = files.places[two.newer.token]
    place["manifest.tmp"] = bytearray(place[MANIFEST])
    state, report = two.recover(files)
    assert (state, report.token) == (two.new, two.newer.token)


def every_one(files: MemoryFiles, change: Callable[[bytearray], None]) -> None:
    """Damage all manifests."""
    for place in files.places.values():
        change(place[MANIFEST])


@pytest.mark.fault("F34")
def test_all_damaged_is_not_empty() -> None:
    """When there are checkpoints and none can be used that is an error, not an empty
    store, and nothing is removed."""
    two = Two("snapshot")
    for change in (bytearray.clear, bytearray.reverse):
        files = two.copy()
        every_one(files, change)
        before = copy.deepcopy(files.places)
        keeper, _ = make(files)
        with pytest.raises(
            CorruptCheckpointError, match="none of 2 checkpoints"
        ) as caught:
            keeper.plan("latest", LAYOUT_ANY)
        assert caught.value.token == two.newer.token
        assert all(info.damage for info in keeper.checkpoints())
        assert files.places == before


def rewrite(files: MemoryFiles, token: str, /, **changes: Any) -> None:
    """Give a checkpoint a manifest that lies, with a right checksum."""
    data = bytes(files.places[token][MANIFEST])
    members = members_of(parse(data, token))
    for name, value in changes.items():
        if isinstance(value, dict):
            members[name].update(value)
        else:
            members[name] = value
    files.places[token][MANIFEST] = bytearray(seal(members))


@pytest.mark.fault("F46")
def test_a_newer_format_is_not_passed_over() -> None:
    """The newest in a format that is not known is refused with both versions: an older
    state would come without being asked for."""
    two = Two("snapshot")
    files = two.copy()
    rewrite(files, two.newer.token, format=2)
    keeper, _ = make(files)
    with pytest.raises(UnsupportedFormatError, match=r"format 2.*format 1"):
        keeper.plan("latest", LAYOUT_ANY)
    assert keeper.plan(two.older.token, LAYOUT_ANY) is not None


@pytest.mark.fault("F47", "F90")
@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("key_codec", "str"),
        ("value_codec", "acme:ipv4"),
        ("hash", "xxh64"),
        ("page_size", 4096),
        ("key_size", None),
        ("layout", "varlen"),
        ("value_type", "i64"),
    ],
)
def test_another_layout_is_refused_with_both(name: str, here: object) -> None:
    """Another codec, hash or size is refused; nothing is imported for a name."""
    two = Two("snapshot")
    there = two.store.layout[name]
    with pytest.raises(UnsupportedFormatError) as caught:
        two.keeper.plan("latest", {**two.store.layout, name: here})
    assert f"{name} is {there!r} there and {here!r} here" in str(caught.value)
    with pytest.raises(UnsupportedFormatError):
        two.keeper.plan(two.older.token, {name: here})
    files = two.copy()
    for token in files.places:
        rewrite(files, token, layout={"key_codec": "os.system:rm"})
    with pytest.raises(UnsupportedFormatError, match=r"os\.system:rm"):
        make(files)[0].plan("latest", two.store.layout)


def test_a_page_size_is_taken_as_it_comes() -> None:
    """Who does not care about the page size gets the checkpoint's."""
    two = Two("snapshot")
    plan = two.keeper.plan("latest", {**two.store.layout, "page_size": None})
    assert plan is not None
    assert plan.layout["page_size"] == 256


@pytest.mark.fault("F31")
def test_a_damaged_log_falls_back() -> None:
    """Damage in the log that the newest needs and the older one does not: the older one
    serves; in both: an error."""
    store = filled(count=80)
    keeper, files = make(keep=5)
    store.flush(900)
    older, old = take(keeper, store, "snapshot")
    fill(store, 9, 30)
    store.flush(store.tail)
    at = parse(bytes(files.places[older.token][MANIFEST]), older.token).addresses
    newer, _ = take(keeper, store, "fold-over")
    store.disk[at.log_until + 8] ^= 1
    for token in files.places:  # without copies of the index all of the log is read
        files.places[token]["index.dat"][40] ^= 1
    again, _ = make(files)
    back, report = recovered(again, store.disk)
    assert (back.state(), report.token) == (old, older.token)
    assert passed(report) == [newer.token, older.token]
    assert "the log" in report.passed_over[0].reason
    assert "index.dat" in report.passed_over[1].reason
    store.disk[100] ^= 1
    with pytest.raises(CorruptCheckpointError, match="none of 2"):
        recovered(make(files)[0], store.disk)


@pytest.mark.fault("F33")
@pytest.mark.parametrize("name", ["snapshot.dat", "delta.dat"])
def test_damage_in_a_chain(name: str) -> None:
    """Damage in one member makes all that are based on it useless, and no others."""
    keeper, files = make(keep=9)
    store = FakeStore()
    taken = []
    for step in range(5):
        for key in range(step * 6, step * 6 + 9):  # new ones, and some of before
            store.put(key, step)
        taken.append(take(keeper, store, "auto"))
    broken = 2
    token = taken[broken][0].token
    files.places[token][name][20] ^= 1
    again, _ = make(files)
    back, report = recovered(again, store.disk)
    info, expected = taken[broken - 1]
    assert (report.token, back.state()) == (info.token, expected)
    assert len(report.passed_over) == 3
    for info, _ in taken[broken:]:
        engine_files, _ = make(files)
        with pytest.raises(CorruptCheckpointError) as caught:
            recovered(engine_files, store.disk, info.token)
        assert caught.value.token == token


def test_an_overwritten_log_is_known() -> None:
    """A store that went on from an older checkpoint has written over the log of the
    newer ones: they are not taken for good any more, and the older one is kept."""
    keeper, files = make(keep=2)
    store = filled(count=70)
    store.flush(600)
    older, old = take(keeper, store, "fold-over")
    fill(store, 8, 40)
    newer, _ = take(keeper, store, "fold-over")
    later, _ = make(files, keep=2)
    back, _ = recovered(later, store.disk, older.token)
    assert back.state() == old
    fill(back, 9, 40)
    last, _ = take(later, back, "fold-over")
    assert {each.token for each in later.checkpoints()} == {older.token, last.token}
    assert newer.token not in files.places
    files.places[last.token]["index.dat"].clear()
    files.places[last.token][MANIFEST].clear()
    again, report = recovered(make(files)[0], back.disk)
    assert (again.state(), report.token) == (old, older.token)


@pytest.mark.fault("F45")
def test_a_base_of_another_store() -> None:
    """A base that is not of this store, is newer, or is no snapshot is refused."""
    two = Two("incremental")
    lies: list[dict[str, Any]] = [
        {"store_id": "0" * 16},
        {"version": 9},
        {"kind": "fold-over", "files": []},
        {"addresses": {"final": 1 << 40}},
    ]
    for lie in lies:
        files = two.copy()
        rewrite(files, two.older.token, **lie)
        keeper, _ = make(files)
        with pytest.raises(CorruptCheckpointError):
            keeper.plan(two.newer.token, LAYOUT_ANY)


def test_recovery_writes_nothing_to_the_files() -> None:
    """A recovery that is done twice, or broken off, gives the same again (I4)."""
    two = Two("incremental")
    for calls in range(12):
        keeper, files = make(two.copy())
        plan = keeper.plan("latest", LAYOUT_ANY)
        assert plan is not None
        engine = FakeRecovery(plan, bytearray(two.store.disk))
        left = [calls]

        def tell(progress: object, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

        try:
            keeper.recover(plan, engine, progress=tell)
        except KeyboardInterrupt:
            files.events.clear()
        assert files.events == []
        state, report = two.recover(files)
        assert (state, report.token) == (two.new, two.newer.token)
