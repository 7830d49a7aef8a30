# SPDX-License-Identifier: MIT
"""What a power cut may leave, by the simulator's model of a medium; and its names."""

from __future__ import annotations

import random

import pytest

from crash.device import SimDevice
from crash.events import Event, Recorder
from crash.files import SimFiles
from crash.image import Image
from crash.judge import settle
from crash.medium import BOTH, SECTOR, TORN, WHOLE, Medium, tear
from crash.states import Mask, masks

TOKEN = "0000000000000001-00000000000000aa"


def follow(recorder: Recorder, *, lossy: bool = False) -> Medium:
    """A medium after everything that was recorded."""
    medium = Medium(lossy=lossy)
    for event in recorder.timeline():
        medium.step(event)
    return medium


def keeping(medium: Medium, *sorts: str) -> Image:
    """The image in which of what is pending the items of these sorts are kept."""
    kept = {i: WHOLE for i, item in enumerate(medium.pending) if item.sort in sorts}
    return medium.image(kept)


@pytest.mark.fault("F18")
@pytest.mark.fault("F19")
@pytest.mark.fault("F20")
def test_a_sync_covers_what_had_ended_before_it() -> None:
    """A write that ends after a sync began may be lost, in any combination."""
    recorder = Recorder()
    for number, kind in enumerate(["write", "write", "wrote", "sync", "wrote"], 1):
        which = {1: 1, 2: 2, 3: 1, 4: 3, 5: 2}[number]
        data = bytes([which]) * SECTOR if kind == "write" else b""
        recorder.add(Event(kind, number=which, offset=which * SECTOR, data=data))
    recorder.add(Event("synced", number=3))
    medium = follow(recorder)
    assert [item.event.number for item in medium.pending] == [2]
    assert len(medium.image({}).log) == 2 * SECTOR
    assert len(medium.image({0: WHOLE}).log) == 3 * SECTOR


def test_later_writes_win_whatever_was_kept() -> None:
    """Of two writes to one place the later one is seen when both are kept."""
    recorder = Recorder()
    device = SimDevice(recorder)
    for byte in (b"a", b"b"):
        device.write(0, memoryview(byte * SECTOR))
    medium = follow(recorder)
    found = {bytes(medium.image(mask.kept()).log[:1]) for mask in masks(medium, 1)}
    assert found >= {b"", b"a", b"b"}
    assert bytes(medium.image({0: WHOLE, 1: WHOLE}).log) == b"b" * SECTOR


@pytest.mark.fault("F24")
@pytest.mark.fault("F25")
def test_bytes_and_length_of_a_file_are_kept_apart() -> None:
    """A file may have its new length and zeros, or its bytes and the old length."""
    recorder = Recorder()
    files = SimFiles(recorder)
    files.make(TOKEN)
    writer = files.create(TOKEN, "index.dat")
    files.sync(TOKEN)
    writer.write(b"x" * 700)
    medium = follow(recorder)
    number = medium.sure.places[TOKEN]["index.dat"]
    assert bytes(keeping(medium, "size").files[number]) == bytes(700)
    assert bytes(keeping(medium, "data").files[number]) == b""
    assert bytes(keeping(medium, "data", "size").files[number]) == b"x" * 700
    writer.sync()
    assert follow(recorder).pending == []


@pytest.mark.fault("F26")
def test_a_new_name_needs_its_directory_synced() -> None:
    """A file, or a whole place, is missing while the directory was not synced."""
    recorder = Recorder()
    files = SimFiles(recorder)
    files.note(Event("mkdir", TOKEN))
    files.image.places[TOKEN] = {}
    writer = files.create(TOKEN, "index.dat")
    writer.write(b"x")
    writer.sync()
    files.sync(TOKEN)
    medium = follow(recorder)
    assert medium.image({}).places == {}
    assert keeping(medium, "place").places == {TOKEN: {"index.dat": 1}}
    files.sync_root()
    assert follow(recorder).image({}).places == {TOKEN: {"index.dat": 1}}


@pytest.mark.fault("F27")
def test_a_rename_may_leave_either_name_or_both() -> None:
    """Until the directory is synced there is the old name, the new one, or both."""
    recorder = Recorder()
    files = SimFiles(recorder)
    files.make(TOKEN)
    files.create(TOKEN, "manifest.tmp").write(b"x")
    files.sync(TOKEN)
    files.rename(TOKEN, "manifest.tmp", "manifest.json")
    medium = follow(recorder)
    at = next(i for i, item in enumerate(medium.pending) if item.sort == "entry")
    names = [
        sorted(medium.image(kept).places[TOKEN])
        for kept in ({}, {at: WHOLE}, {at: BOTH})
    ]
    assert names == [
        ["manifest.tmp"],
        ["manifest.json"],
        ["manifest.json", "manifest.tmp"],
    ]


@pytest.mark.fault("F28")
def test_what_was_removed_may_come_back() -> None:
    """A removed file, or place, is there again while its directory was not synced."""
    recorder = Recorder()
    files = SimFiles(recorder)
    files.make(TOKEN)
    files.create(TOKEN, "index.dat")
    files.sync(TOKEN)
    files.remove(TOKEN, "index.dat")
    files.remove_token(TOKEN)
    medium = follow(recorder)
    assert sorted(medium.image({}).places[TOKEN]) == ["index.dat"]
    assert keeping(medium, "entry").places == {TOKEN: {}}
    assert keeping(medium, "entry", "place").places == {}


@pytest.mark.fault("F12")
@pytest.mark.fault("F13")
@pytest.mark.fault("F14")
def test_a_failed_sync_may_lose_writes_for_good() -> None:
    """After a sync that failed a later one covers the old writes, or never does."""
    recorder = Recorder()
    failing = iter([None, OSError(5, "once"), None, None])
    device = SimDevice(recorder, failing=lambda event: next(failing))
    device.write(0, memoryview(b"a" * SECTOR))
    with pytest.raises(OSError, match="once"):
        device.sync()
    device.sync()
    assert follow(recorder).pending == []
    assert len(follow(recorder, lossy=True).pending) == 1
    device.write(0, memoryview(b"b" * SECTOR))
    recorder.add(Event("sync", number=99))
    recorder.add(Event("synced", number=99))
    medium = follow(recorder, lossy=True)
    assert medium.pending == []
    assert bytes(medium.sure.log) == b"b" * SECTOR


@pytest.mark.fault("F21")
@pytest.mark.fault("F22")
@pytest.mark.fault("F23")
@pytest.mark.parametrize("form", TORN)
def test_a_torn_write_touches_nothing_beside_it(form: str) -> None:
    """Each way to tear leaves some of the write, in its place and nowhere else."""
    data = bytes(range(256)) * 48
    for seed in range(20):
        parts = tear(data, 3 * SECTOR, form, random.Random(seed))
        size = sum(len(part) for _, part in parts)
        assert size <= len(data)
        assert all(at >= 0 and at + len(part) <= len(data) for at, part in parts)
        whole = all(data[at : at + len(part)] == part for at, part in parts)
        assert whole == (form != "garbage")
        if form.startswith("mask"):
            unit = int(form.removeprefix("mask"))
            assert all(at == 0 or (at + 3 * SECTOR) % unit == 0 for at, _ in parts)


def test_few_items_give_every_subset_and_many_the_families() -> None:
    """Up to ten items: all subsets. More: none, all, beginnings, ends, each one."""
    recorder = Recorder()
    device = SimDevice(recorder)
    for number in range(5):
        device.write(number * SECTOR, memoryview(bytes(SECTOR)))
    whole = {mask.bits for mask in masks(follow(recorder), 1) if mask.torn < 0}
    assert whole == set(range(32))
    for number in range(5, 15):
        device.write(number * SECTOR, memoryview(bytes(SECTOR)))
    found = list(masks(follow(recorder), 1))
    assert len(found) == len(set(found))
    bits = {mask.bits for mask in found if mask.torn < 0}
    full = (1 << 15) - 1
    assert bits >= {0, full}
    for at in range(15):
        assert bits >= {1 << at, full ^ 1 << at, (1 << at) - 1, full & ~((1 << at) - 1)}
    assert {mask.form for mask in found} == {WHOLE, *TORN}


def test_masks_follow_from_the_seed_and_have_names() -> None:
    """The same moment and seed give the same masks, and a name gives its mask."""
    recorder = Recorder()
    device = SimDevice(recorder)
    for number in range(12):
        device.write(number * SECTOR, memoryview(bytes(SECTOR)))
    medium = follow(recorder)
    found = list(masks(medium, 7, share=0.5))
    assert found == list(masks(medium, 7, share=0.5))
    assert found != list(masks(medium, 8, share=0.5))
    assert [Mask.of(str(mask)) for mask in found] == found
    assert len(found) < len(list(masks(medium, 7)))


def test_images_that_agree_where_it_was_looked_answer_alike() -> None:
    """An image answers questions by its content, and only where it is asked."""
    one = Image(bytearray(3 * 4096), {TOKEN: {"a": 1}}, {1: bytearray(b"abc")})
    other = one.copy()
    other.log[2 * 4096 + 5] = 1
    questions = [("log", 0, 10), ("log", 4096, 1), ("bytes", TOKEN, "a", 0, 3)]
    asked = settle([*questions, ("tokens",), ("names", TOKEN), ("size", TOKEN, "b")])
    assert ("log", 0, 8192) in asked
    assert one.identity() != other.identity()
    assert one.answers(asked) == other.answers(asked)
    other.files[1][0] = 0
    assert one.answers(asked) != other.answers(asked)
