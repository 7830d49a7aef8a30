# SPDX-License-Identifier: MIT
"""Looking through a store: what is whole is found whole, and damage is named."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from store_kit import (
    about,
    built,
    files,
    manifest,
    open_store,
    rewrite,
    state,
    store,
    tokens,
)

from pyfaster_checkpoint._findings import FINDINGS_MAX, StoreReport
from pyfaster_checkpoint._manifest import members_of
from pyfaster_checkpoint._segments import crc32c
from pyfaster_checkpoint._verify import verify

__all__ = ["built", "store"]

SEGMENT = "log/00000000000000000000.seg"
HEADER = 4096


def change(path: Path, at: int, how: Callable[[bytearray, int], None]) -> None:
    """Change a file's bytes."""
    data = bytearray(path.read_bytes())
    how(data, at)
    path.write_bytes(data)


def flip(data: bytearray, at: int) -> None:
    """Flip a bit."""
    data[at] ^= 1 << at % 8


def zero(data: bytearray, at: int) -> None:
    """Zero a sector."""
    at &= ~511
    data[at : at + 512] = bytes(len(data[at : at + 512]))


def cut(data: bytearray, at: int) -> None:
    """Cut the file."""
    del data[at:]


def extend(data: bytearray, at: int) -> None:
    """Append garbage."""
    data += b"\xa5" * 512


def repeat(data: bytearray, at: int) -> None:
    """Put what precedes a place there once more: a duplicated, misdirected write."""
    at &= ~511
    data[at : at + 512] = data[at - 512 : at]


@pytest.mark.parametrize("kind", ["fixed", "varlen"])
def test_a_whole_store_is_found_whole(built: dict[str, Path], kind: str) -> None:
    """All is looked at, nothing is found, and nothing was changed."""
    place = built[kind]
    before = state(place)
    seen: list[str] = []
    report = verify(place, lambda what, done, total: seen.append(what))
    assert report.findings == []
    assert report.notes == []
    assert report.ok
    assert state(place) == before
    assert report.checkpoints == 3
    assert report.records > 1000 or kind == "varlen"
    assert report.entries > 250
    assert {"checkpoints", "log", "ends"} <= set(seen)


DAMAGE = {
    "flip": (flip, 0.5),
    "flip-begin": (flip, 0.0),
    "zero": (zero, 0.4),
    "cut": (cut, 0.7),
    "cut-all": (cut, 0.0),
    "extend": (extend, 0.0),
    "repeat": (repeat, 0.5),
}


@pytest.mark.fault("F31", "F32", "F33", "F34", "F38", "F40", "F41", "F42", "F43")
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_names_the_file(store: Path, tmp_path: Path, damage: str) -> None:
    """Each kind of damage to each file gives a finding with the file's path, and the
    look changes nothing."""
    how, where = DAMAGE[damage]
    final = manifest(store, tokens(store)[-1]).addresses.log_until
    for name in files(store):
        place = Path(shutil.copytree(store, tmp_path / "damaged"))
        size = HEADER + final if name == SEGMENT else (place / name).stat().st_size
        changed = (place / name).read_bytes()
        change(place / name, int(size * where), how)
        before = state(place)
        report, found = about(place, name)
        same = (place / name).read_bytes() == changed
        assert found or same, (name, report.findings)
        assert not report.ok or same
        assert state(place) == before
        shutil.rmtree(place)


@pytest.mark.fault("F44")
def test_missing_files(store: Path, tmp_path: Path) -> None:
    """A missing file is named; a checkpoint without a manifest counts not, and is
    missed by the one that is based on it."""
    first, second, _ = tokens(store)
    for name in files(store):
        place = Path(shutil.copytree(store, tmp_path / "damaged"))
        (place / name).unlink()
        report, found = about(place, name)
        if name.endswith("manifest.json"):
            folder = name.removesuffix("/manifest.json")
            assert any(note.startswith(folder) for note in report.notes)
            needed = first in name
            assert bool(report.findings) == needed
            assert all(second in each.file for each in report.findings)
        else:
            assert found, (name, report.findings)
        shutil.rmtree(place)


@pytest.mark.fault("F45")
def test_swapped_files(store: Path, tmp_path: Path) -> None:
    """A file that was put in another one's place is named."""
    names = files(store)
    for name in names:
        for other in names:
            if (store / name).read_bytes() == (store / other).read_bytes():
                continue
            place = Path(shutil.copytree(store, tmp_path / "damaged"))
            shutil.copyfile(store / other, place / name)
            report, found = about(place, name)
            assert found, (name, other, report.findings)
            shutil.rmtree(place)


@pytest.mark.once
@pytest.mark.fault("F31", "F32", "F33", "F34")
def test_any_flipped_bit_is_found(store: Path) -> None:
    """Bits at random places of all files: each is found in its file, with its place
    in the log."""
    seed = 20261122
    print(f"seed {seed}")
    dice = random.Random(seed)
    final = manifest(store, tokens(store)[-1]).addresses.log_until
    names = files(store)
    for _ in range(60):
        name = dice.choice(names)
        path = store / name
        whole = path.read_bytes()
        in_log = name == SEGMENT
        at = dice.randrange(HEADER + 64, HEADER + final) if in_log else 0
        at = at or dice.randrange(len(whole))
        change(path, at, flip)
        report, found = about(store, name)
        # A record's lock word means nothing on a device, and a filler's inside is free.
        free = in_log and is_free(whole, at - HEADER)
        assert found or free, (name, at, report.findings)
        if found and in_log:
            assert found[0].offset is not None
            assert abs(found[0].offset - at) < 4096
            assert found[0].expected
            assert found[0].found
        path.write_bytes(whole)


def is_free(segment: bytes, at: int) -> bool:
    """Whether an address of the log is not under a checksum, by a walk of its own: all
    records have 32 bytes."""
    position = at & ~4095 or 64
    while True:
        info = int.from_bytes(
            segment[HEADER + position : HEADER + position + 8], "little"
        )
        size = info & ((1 << 48) - 1) if info >> 60 & 1 else 32
        if at < position + size:
            inside = at - position
            return (
                inside >= 12 if info >> 60 & 1 else 12 <= inside < 16 or (inside == 7)
            )
        position += size


@pytest.mark.fault("F39")
def test_bytes_of_an_earlier_life(store: Path) -> None:
    """What an earlier life wrote where a later one has written since is damage."""
    first = manifest(store, tokens(store)[0])
    with open_store(store) as again, again.session("a") as session:
        session.upsert_many(range(2000, 2300), range(300))
        again.checkpoint("fold-over")
    assert verify(store).findings == []
    newest = manifest(store, tokens(store)[-1])
    assert len(newest.generations) == 2
    seeds = newest.store_id, first.generations[0][1]
    log = (store / SEGMENT).read_bytes()
    start = newest.addresses.log_until - 4096
    record = bytearray(log[HEADER + start : HEADER + start + 32])
    record[8:12] = sum_of(record, start, *seeds)
    with (store / SEGMENT).open("r+b") as file:
        file.seek(HEADER + start)
        file.write(record)
    _, found = about(store, SEGMENT)
    assert [each.offset for each in found] == [HEADER + start]


def test_a_checkpoint_whose_log_was_written_over(store: Path, tmp_path: Path) -> None:
    """A store that went on from an older checkpoint leaves newer ones useless: that is
    noted, and no damage."""
    left = Path("checkpoints", tokens(store)[2])
    kept = shutil.copytree(store / left, tmp_path / "left")
    with open_store(store, recover=tokens(store)[1]) as again:
        with again.session("a") as session:
            session.upsert_many(range(2000, 2300), range(300))
            again.checkpoint("fold-over")
    assert not (store / left).exists()
    assert (verify(store).findings, verify(store).notes) == ([], [])
    shutil.copytree(kept, store / left)
    report = verify(store)
    assert report.findings == []
    assert [left.name in note for note in report.notes] == [True]


def sum_of(record: bytes, address: int, store_id: int, generation: int) -> bytes:
    """Give the checksum that a record has in a generation."""
    from pyfaster_checkpoint._records import avalanche, checksum

    info = int.from_bytes(record[:8], "little")
    seed = avalanche(store_id ^ avalanche(generation))
    return checksum(record[16:], info, address, seed).to_bytes(4, "little")


@pytest.mark.fault("F45", "F46", "F48")
@pytest.mark.parametrize(
    ("at", "size", "text"),
    [
        (0, 8, "no segment"),
        (8, 4, "another format"),
        (16, 8, "another store"),
        (24, 8, "another segment than its name"),
        (32, 8, "another segment size"),
    ],
)
def test_a_segment_that_says_something_else(
    store: Path, at: int, size: int, text: str
) -> None:
    """A segment whose header is whole but says something else is told so, with both."""
    path = store / SEGMENT
    block = bytearray(path.read_bytes())
    block[at : at + size] = block[at : at + size][::-1]
    block[at] ^= 0x40
    block[4092:4096] = crc32c(block[:4092]).to_bytes(4, "little")
    path.write_bytes(block)
    _, found = about(store, SEGMENT)
    assert [each for each in found if text in each.what and each.offset == at]
    assert found[0].expected != found[0].found


@pytest.mark.fault("F45", "F46", "F47")
def test_a_manifest_that_says_something_else(store: Path) -> None:
    """A newer format and another store are told of the manifest."""
    newest = tokens(store)[-1]
    name = f"checkpoints/{newest}/manifest.json"
    whole = (store / name).read_bytes()
    rewrite(store, newest, format=2)
    _, found = about(store, name)
    assert "format 2" in found[0].what
    assert "format 1" in found[0].what
    (store / name).write_bytes(whole)
    first = tokens(store)[0]
    rewrite(store, first, store_id="0" * 15 + "1")
    _, found = about(store, f"checkpoints/{first}/manifest.json")
    assert "0x0000000000000001" in found[0].what


@pytest.mark.fault("F86", "F89")
def test_a_hostile_directory(store: Path, tmp_path: Path) -> None:
    """Links, pipes and files in place of directories are findings, not exceptions."""
    place = Path(shutil.copytree(store, tmp_path / "one"))
    (place / SEGMENT).rename(place / "elsewhere")
    (place / SEGMENT).symlink_to(place / "elsewhere")
    assert about(place, SEGMENT)[1]
    place = Path(shutil.copytree(store, tmp_path / "two"))
    shutil.rmtree(place / "log")
    (place / "log").write_text("no directory")
    assert about(place, "log")[1]
    place = Path(shutil.copytree(store, tmp_path / "three"))
    shutil.rmtree(place / "checkpoints")
    (place / "checkpoints").symlink_to(store / "checkpoints")
    report, found = about(place, "checkpoints")
    assert found
    assert not report.ok
    place = Path(shutil.copytree(store, tmp_path / "four"))
    (place / "checkpoints" / "..odd").write_text("odd")
    assert any("..odd" in note for note in verify(place).notes)


@pytest.mark.once
@pytest.mark.fault("F86", "F87", "F91")
def test_manifests_that_lie(store: Path) -> None:
    """Manifests with a right checksum and numbers that make no sense give findings or
    notes in bounded time and memory."""
    seed = 4
    print(f"seed {seed}")
    dice = random.Random(seed)
    newest = tokens(store)[-1]
    path = store / "checkpoints" / newest / "manifest.json"
    whole = path.read_bytes()
    addresses = members_of(manifest(store, newest))["addresses"]
    layout = dict(manifest(store, newest).layout)
    large = [0, 1, 63, 4096, 1 << 20, 1 << 47, (1 << 63) - 1]
    lies: list[dict[str, Any]] = [
        {"segment_size": size} for size in (0, 1, 12345, 1 << 62)
    ]
    lies += [{"layout": {**layout, "page_size": 1 << bit}} for bit in (0, 9, 30, 62)]
    lies += [{"layout": {**layout, "key_size": size}} for size in large]
    lies += [{"layout": {**layout, "layout": "varlen"}}, {"generations": [[0, 1]]}]
    lies += [{"addresses": {**addresses, "final": 1 << 60, "log_until": 1 << 60}}]
    lies += [{"addresses": {**addresses, "index_bits": 48, "table_bits": 48}}]
    for _ in range(60):
        some = dice.sample(sorted(addresses), 2)
        changed = {name: dice.choice(large) for name in some}
        lies.append({"addresses": {**addresses, **changed}})
    harmless = 0
    for lie in lies:
        rewrite(store, newest, **lie)
        report = verify(store)
        harmless += report.ok and not report.notes
        path.write_bytes(whole)
    assert harmless < len(lies) // 4


def test_what_is_no_damage(store: Path) -> None:
    """An unfinished checkpoint is noted; without any there is nothing to be fine."""
    left = f"{99:016x}-{1:016x}"
    (store / "checkpoints" / left).mkdir()
    report = verify(store)
    assert report.ok
    assert any(left in note for note in report.notes)
    shutil.rmtree(store / "checkpoints")
    report = verify(store)
    assert (report.findings, report.checkpoints, report.ok) == ([], 0, False)


def test_a_copy_of_the_index_that_was_left(
    built: dict[str, Path], tmp_path: Path
) -> None:
    """A store that ended with nothing but a copy of its index was given up by the next
    one: what is left of it is noted."""
    place = tmp_path / "store"
    with open_store(place) as first:
        first[1] = 1
        first.checkpoint("index")
    report = verify(place)
    assert report.findings == []
    assert ["holds state" in note for note in report.notes] == [True]
    with open_store(place) as second:
        second[2] = 2
        second.checkpoint("snapshot")
    report = verify(place)
    assert report.findings == []
    assert ["belongs to store" in note for note in report.notes] == [True]
    assert report.records == 1


def test_checkpoints_without_a_log_in_files(store: Path, tmp_path: Path) -> None:
    """Where the log is on another kind of device, checkpoints alone are looked at."""
    place = Path(shutil.copytree(store / "checkpoints", tmp_path / "alone"))
    report = verify(place)
    assert report.ok
    assert report.checkpoints == 3
    assert len(report.notes) == 1
    name = f"{tokens(store)[0]}/snapshot.dat"
    change(place / name, 100, flip)
    assert about(place, name)[1]


def test_many_findings_are_counted() -> None:
    """More findings than there is room for are counted."""
    report = StoreReport("")
    for number in range(FINDINGS_MAX + 5):
        report.add("log", "a record", number)
    assert (len(report.findings), report.more) == (FINDINGS_MAX, 5)


@pytest.mark.parametrize("seed", [1, 2])
def test_several_lives_are_found_whole(
    built: dict[str, Path], tmp_path: Path, seed: int
) -> None:
    """Lives that end without a checkpoint, every kind of checkpoint, deletes, growth
    and eviction: each is found whole, also while the store is open."""
    print(f"seed {seed}")
    dice = random.Random(seed)
    place = tmp_path / "lives"
    for life in range(4):
        with open_store(place, checkpoint_on_close=life % 2 == 1) as store:
            with store.session("a") as session:
                for kind in dice.sample(["auto", "snapshot", "fold-over", "index"], 3):
                    keys = [dice.randrange(4000) for _ in range(1200)]
                    session.upsert_many(keys, keys)
                    session.delete_many(keys[:150])
                    store.checkpoint(kind)
                session.upsert_many(range(500), range(500))
                report = verify(place)
                assert report.findings == []
        report = verify(place)
        assert report.findings == []
        assert report.notes == []
    assert report.entries > 1000


@pytest.mark.parametrize("when", ["checkpoints", "log", "ends"])
def test_checkpoints_that_go_meanwhile(store: Path, when: str) -> None:
    """Checkpoints that are removed while they are looked at are no damage: their files
    stay open to the end."""
    older = tokens(store)[:2]

    def remove(what: str, done: int, total: int) -> None:
        if what == when:
            for token in older:
                shutil.rmtree(store / "checkpoints" / token, ignore_errors=True)

    report = verify(store, remove)
    assert tokens(store)[:-1] == []
    assert report.findings == []
    assert report.ok
    assert report.checkpoints == 3


def test_a_store_that_is_written_to(built: dict[str, Path], tmp_path: Path) -> None:
    """While sessions write and checkpoints come and go nothing is found."""
    place = tmp_path / "busy"
    ended = threading.Event()

    def write(name: str) -> None:
        with store.session(name) as session:
            step = 0
            while not ended.is_set():
                step += 1
                session.upsert(step * 7919 % 5000, step)

    with open_store(place, keep_checkpoints=1) as store:
        writers = [threading.Thread(target=write, args=(name,)) for name in "ab"]
        for writer in writers:
            writer.start()
        try:
            for kind in ("snapshot", "auto", "fold-over", "index", "auto"):
                store.checkpoint(kind)
                report = verify(place)
                assert report.findings == []
        finally:
            ended.set()
            for writer in writers:
                writer.join()
