# SPDX-License-Identifier: MIT
"""Stores whose checkpoints are all gone: never an empty store, unless it was one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from store_kit import open_store, state

import pyfaster
from pyfaster.errors import (
    CheckpointFailedError,
    ConfigError,
    CorruptCheckpointError,
)

BEGUN = "checkpoints.begun"

pytest.importorskip("pyfaster_devices_file")


def open_small(place: Path, **settings: Any) -> pyfaster.FasterKv[Any, Any]:
    """Open a store of integers with small segments."""
    return open_store(place, segment_size="64KiB", **settings)


def lives(place: Path, count: int) -> None:
    """A store of some lives, each of which takes a checkpoint and fills some segments
    of its own."""
    for life in range(count):
        with open_small(place) as kv:
            kv.upsert_many(range(5000), [life] * 5000)
            kv.checkpoint("fold-over")


def lose(place: Path, what: str) -> None:
    """Take the checkpoints away, or what makes them complete."""
    if what == "folder":
        shutil.rmtree(place / "checkpoints")
        return
    for path in (place / "checkpoints").iterdir():
        if what == "manifests":
            (path / "manifest.json").unlink()
        else:
            shutil.rmtree(path)


def content(place: Path) -> dict[str, Any]:
    """All there is but the lock, whose text is the process that opened it last, and but
    for the times of the directory, which it changes."""
    found: dict[str, Any] = dict(state(place))
    del found[str(place)]
    return {name: data for name, data in found.items() if "store.lock" not in name}


def refused(place: Path, **settings: Any) -> str:
    """See that opening refuses and changes nothing; give what it says."""
    before = content(place)
    with pytest.raises(CorruptCheckpointError, match="nothing was changed") as caught:
        open_small(place, **settings)
    assert content(place) == before
    assert str(place) in str(caught.value)
    return str(caught.value)


@pytest.mark.fault("F44")
@pytest.mark.parametrize("what", ["folder", "manifests", "places"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    "settings", [{}, {"recover": "none"}, {"read_only": True}], ids=str
)
def test_all_gone_is_no_new_store(
    tmp_path: Path, what: str, count: int, settings: dict[str, Any]
) -> None:
    """A store that had a checkpoint, after one life or several, and has none any more,
    is refused however it is opened, its log stays, and the way out is told."""
    place = tmp_path / "store"
    lives(place, count)
    lose(place, what)
    text = refused(place, **settings)
    assert BEGUN in text
    assert "put the folder of checkpoints back" in text


@pytest.mark.fault("F44")
def test_putting_the_folder_back_helps(tmp_path: Path) -> None:
    """As the message says: moved away and back, the store is what it was; removed, a
    new one can be begun."""
    place = tmp_path / "store"
    lives(place, 2)
    (place / "checkpoints").rename(tmp_path / "away")
    refused(place)
    (tmp_path / "away").rename(place / "checkpoints")
    with open_small(place) as kv:
        assert dict(kv.items()) == dict.fromkeys(range(5000), 1)
    shutil.rmtree(place)
    with open_small(place) as kv:
        assert kv.recovery is None


@pytest.mark.fault("F44")
def test_without_the_mark_the_log_tells(tmp_path: Path) -> None:
    """Where the mark is missing, too, a segment of a later life shows that there had
    been a checkpoint."""
    place = tmp_path / "store"
    lives(place, 2)
    lose(place, "folder")
    (place / BEGUN).unlink()
    assert "is of a life that recovered one" in refused(place)


@pytest.mark.parametrize("name", ["pin", "left"])
def test_without_the_mark_a_pin_tells(tmp_path: Path, name: str) -> None:
    """Only a complete checkpoint was ever pinned, or had newer ones left behind."""
    place = tmp_path / "store"
    lives(place, 1)
    lose(place, "manifests")
    (place / BEGUN).unlink()
    [path] = (place / "checkpoints").iterdir()
    (path / name).touch()
    assert f"{name!r} and no manifest" in refused(place)


@pytest.mark.fault("F49")
def test_a_first_life_without_a_checkpoint_is_a_new_store(tmp_path: Path) -> None:
    """Lives that ended before the first checkpoint was complete, also several, and one
    that took a copy of the index alone, leave nothing that keeps a store from being
    begun."""
    place = tmp_path / "store"
    for number in (1, 2, 3):
        with open_small(place) as kv:
            assert kv.recovery is None
            kv.upsert_many(range(5000), range(5000))
            kv.flush()
            if number == 3:
                kv.checkpoint("index")
        left = place / "checkpoints" / f"{number:016x}-{number:016x}"
        left.mkdir(exist_ok=True)
        (left / "snapshot.dat").write_bytes(b"unfinished")
        assert not (place / BEGUN).exists()
    with open_small(place) as kv:
        assert kv.recovery is None
        kv[1] = 2
        kv.checkpoint()
        assert (place / BEGUN).read_bytes() == b""


def test_a_store_without_the_mark_gets_it(tmp_path: Path) -> None:
    """One that was written before there was such a mark opens, and has it then."""
    place = tmp_path / "store"
    lives(place, 1)
    (place / BEGUN).unlink()
    with open_small(place, read_only=True) as kv:
        assert len(kv) == 5000
    assert not (place / BEGUN).exists()
    with open_small(place) as kv:
        assert len(kv) == 5000
    assert (place / BEGUN).exists()


@pytest.mark.fault("F12", "F72")
def test_a_mark_that_cannot_be_made_fails_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told of a first checkpoint before the mark is on the medium; where it
    cannot be made the checkpoint fails, is undone, and the next one succeeds."""
    place = tmp_path / "store"
    with open_small(place) as kv:
        kv[1] = 2
        (place / BEGUN).mkdir()  # no file can have this name now
        with pytest.raises(CheckpointFailedError):
            kv.checkpoint()
        assert kv.checkpoints() == ()
        (place / BEGUN).rmdir()
        info = kv.checkpoint()
        assert [each.token for each in kv.checkpoints()] == [info.token]
    lose(place, "folder")
    refused(place)


def test_the_mark_goes_where_the_directory_goes(tmp_path: Path) -> None:
    """A directory that is renamed while it is open has the mark in it, and nothing is
    made where it was."""
    place, other = tmp_path / "store", tmp_path / "other"
    with open_small(place) as kv:
        kv[1] = 2
        place.rename(other)
        kv.checkpoint("snapshot")
    assert (other / BEGUN).exists()
    assert not place.exists()


def test_such_a_store_is_no_room_beyond_memory(tmp_path: Path) -> None:
    """Who opens it with durable=False would lose its log: that is refused, too."""
    place = tmp_path / "store"
    lives(place, 1)
    lose(place, "folder")
    with pytest.raises(ConfigError, match="durable=False"):
        pyfaster.open(f"file:{place}", key=int, value=int, durable=False)


@pytest.mark.fault("F44")
def test_checkpoints_kept_elsewhere(tmp_path: Path) -> None:
    """The mark is in the store's directory, or with the checkpoints where the device
    has none; either way checkpoints that went away are missed."""
    away, place = tmp_path / "away", tmp_path / "store"
    settings: dict[str, Any] = {"key": int, "value": int, "checkpoints": away}
    with pyfaster.open(f"file:{place}", **settings) as kv:
        kv[1] = 2
        kv.checkpoint()
    assert (place / BEGUN).exists()
    assert not (away / BEGUN).exists()
    shutil.rmtree(away)
    with pytest.raises(CorruptCheckpointError, match="put the folder"):
        pyfaster.open(f"file:{place}", **settings)
    assert not away.exists()
