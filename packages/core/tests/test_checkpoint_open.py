# SPDX-License-Identifier: MIT
"""Opening a durable store: whose directory it is, what fits, what is begun anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pyfaster
from pyfaster.errors import (
    ConfigError,
    CorruptCheckpointError,
    DeviceError,
    StoreLockedError,
    UnsupportedFormatError,
)
from pyfaster.events import LogDiscarded
from pyfaster.hookspecs import DeviceScheme
from pyfaster.protocols import DeviceSettings


class Books:
    """A scheme whose devices are kept by place, and which says what it was given."""

    def __init__(self, kept: Any) -> None:
        self.device = kept
        self.settings: list[DeviceSettings] = []

    @pyfaster.hookimpl
    def pyfaster_devices(self) -> list[DeviceScheme]:
        """Two schemes: with a directory, and without."""
        promised = {"directory": True, "read_only": True}
        return [
            DeviceScheme("books", self.open, promised),
            DeviceScheme("loose", self.open, {}),
        ]

    def open(self, where: str, settings: DeviceSettings) -> Any:
        """Open the one device; the log's first file shows that there is one."""
        self.settings.append(settings)
        if not settings.read_only:
            log = Path(where) / "log"
            log.mkdir(exist_ok=True)
            (log / ("0" * 20 + ".seg")).write_bytes(b"x" * 100)
        return self.device


@pytest.fixture
def books(place: Any) -> Any:
    """A scheme named "books"."""
    plugin = Books(place.device)
    pyfaster.register(plugin, name="books")
    yield plugin
    pyfaster.unregister("books")


def open_at(where: Path, **settings: Any) -> pyfaster.FasterKv[Any, Any]:
    """Open a store of integers in a directory."""
    given = {"key": int, "value": int, "memory": "1MiB", **settings}
    return pyfaster.open(f"books:{where}", **given)


def test_a_directory_holds_log_and_checkpoints(books: Books, tmp_path: Path) -> None:
    """The device is told whose it is; each life has a generation of its own."""
    where = tmp_path / "data"
    for life in range(3):
        with open_at(where, segment_size="1MiB") as store:
            assert dict(store.items()) == {key: key for key in range(life)}
            store[life] = life
    assert sorted(path.name for path in where.iterdir()) == [
        "checkpoints",
        "checkpoints.begun",
        "log",
        "store.lock",
    ]
    assert [one.fresh for one in books.settings] == [True, False, False]
    assert len({one.store_id for one in books.settings}) == 1
    numbers = [one.generation for one in books.settings]
    assert [number >> 32 for number in numbers] == [1, 2, 3]
    assert {one.segment_size for one in books.settings} == {1 << 20}


def test_what_the_user_does_not_say_the_checkpoint_does(
    books: Books, tmp_path: Path
) -> None:
    """Page and segment size come from it, whatever the new budget would give."""
    with open_at(tmp_path, page_size="8KiB", segment_size="1MiB") as store:
        store[1] = 1
    with open_at(tmp_path, memory="64MiB") as store:
        assert (store.config.page_size, store.config.segment_size) == (8192, 1 << 20)
        assert store[1] == 1
    assert books.settings[-1].segment_size == 1 << 20


@pytest.mark.fault("F47")
@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"page_size": "16KiB"}, "page_size"),
        ({"key": str}, "key_codec"),
        ({"value": str}, "value_codec"),
        ({"value": float}, "value_codec"),
        ({"value": pyfaster.Bytes(8)}, "value_codec"),
    ],
)
def test_what_does_not_fit_is_refused(
    books: Books, tmp_path: Path, settings: dict[str, Any], word: str
) -> None:
    """Another codec, type or page size is named with both sides; nothing changes."""
    with open_at(tmp_path, page_size="8KiB") as store:
        store[1] = 1
    with pytest.raises(UnsupportedFormatError, match=word):
        open_at(tmp_path, **settings)
    with open_at(tmp_path) as store:
        assert dict(store.items()) == {1: 1}


@pytest.mark.fault("F69")
def test_a_second_store_is_told_who_has_the_directory(
    books: Books, tmp_path: Path
) -> None:
    """Also by another name for it; a mount disturbs nobody and is not disturbed."""
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with open_at(tmp_path / "data") as store:
        store[1] = 1
        store.checkpoint()
        for name in ("data", "link", "../" + tmp_path.name + "/data"):
            with pytest.raises(StoreLockedError, match=str(os.getpid())):
                open_at(tmp_path / name)
        with open_at(tmp_path / "data", read_only=True) as mount:
            assert mount[1] == 1
    open_at(tmp_path / "link").close()


@pytest.mark.fault("F68")
def test_another_process_is_told_who_has_the_directory(
    place: Any, tmp_path: Path
) -> None:
    """The lock is on the checkpoints' directory where the device has none."""
    program = (
        "import sys, pyfaster\n"
        "from pyfaster.testing import MemoryDevice\n"
        "try:\n"
        "    pyfaster.open(device=MemoryDevice(), checkpoints=sys.argv[1])\n"
        "except pyfaster.StoreLockedError as error:\n"
        "    print(error)\n"
    )
    with place.open():
        command = [sys.executable, "-c", program, str(place.checkpoints)]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"process {os.getpid()}" in said.stdout


@pytest.mark.fault("F70")
def test_a_lock_that_was_left_behind_is_harmless(books: Books, tmp_path: Path) -> None:
    """A file of a dead holder does not keep anybody out, nor does one that is gone."""
    (tmp_path / "store.lock").write_text("999999\n")
    with open_at(tmp_path) as store:
        store[1] = 1
        assert (tmp_path / "store.lock").read_text() == f"{os.getpid()}\n"
    (tmp_path / "store.lock").unlink()
    with open_at(tmp_path) as store:
        assert store[1] == 1


def test_a_log_without_a_checkpoint_is_begun_anew(books: Books, tmp_path: Path) -> None:
    """What a life left that ended before its first checkpoint goes, and is told."""
    events: list[object] = []

    class Listener:
        @pyfaster.hookimpl
        def pyfaster_event(self, event: object) -> None:
            events.append(event)

    store = open_at(tmp_path)
    store[1] = 1
    store.close(checkpoint=False)
    pyfaster.register(Listener(), name="listener")
    try:
        with open_at(tmp_path) as store:
            assert dict(store.items()) == {}
            assert store.recovery is None
    finally:
        pyfaster.unregister("listener")
    assert [one for one in events if isinstance(one, LogDiscarded)] == [
        LogDiscarded(f"books:{tmp_path}", 1, 100)
    ]
    assert books.settings[-1].fresh


def test_durable_and_not_durable_do_not_mix(books: Books, tmp_path: Path) -> None:
    """Checkpoints are not thrown away by somebody who only wants room."""
    with open_at(tmp_path) as store:
        store[1] = 1
    with pytest.raises(ConfigError, match="checkpoints"):
        open_at(tmp_path, durable=False)
    with open_at(tmp_path) as store:
        assert store[1] == 1


def test_checkpoints_can_be_kept_elsewhere(books: Books, tmp_path: Path) -> None:
    """A device without a directory needs to be told where; one with may be."""
    given: dict[str, Any] = {"key": int, "value": int, "memory": "1MiB"}
    with pytest.raises(ConfigError, match="checkpoints="):
        pyfaster.open("loose:x", **given)
    (tmp_path / "x").mkdir()
    for _ in range(2):
        with pyfaster.open(
            f"loose:{tmp_path / 'x'}", checkpoints=tmp_path / "kept", **given
        ) as store:
            store[1] = store.read(1, 0) + 1
    assert store.recovery is not None
    with pytest.raises(ConfigError, match="CheckpointFiles"):
        pyfaster.open(
            f"loose:{tmp_path / 'x'}",
            checkpoints=7,  # type: ignore[call-overload]
            **given,
        )


def test_a_place_that_cannot_be_made_is_named(place: Any, tmp_path: Path) -> None:
    """A file in the way, or a missing parent, is a DeviceError with the path."""
    (tmp_path / "file").write_text("")
    for where in (tmp_path / "file", tmp_path / "no" / "kept"):
        place.checkpoints = where
        with pytest.raises(DeviceError, match=where.name):
            place.open()


def test_a_folder_that_is_no_folder_is_refused(books: Books, tmp_path: Path) -> None:
    """Nothing is written into, or read from, what only has the folder's name."""
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises((DeviceError, CorruptCheckpointError), match="checkpoints"):
        open_at(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoints",
        "store.lock",
    ]


def test_a_failed_opening_leaves_nothing_taken(books: Books, tmp_path: Path) -> None:
    """The directory is free again, whatever step has failed."""
    with open_at(tmp_path) as store:
        store[1] = 1
    real = books.open

    def fail(where: str, settings: DeviceSettings) -> Any:
        raise DeviceError(5, "of the test")

    for scheme in ("books",):
        offer = pyfaster._registry.registry.named("pyfaster_devices", scheme)
        object.__setattr__(offer.thing, "factory", fail)
        with pytest.raises(DeviceError):
            open_at(tmp_path)
        object.__setattr__(offer.thing, "factory", real)
    with pytest.raises(ConfigError):
        open_at(tmp_path, memory="64KiB")
    with open_at(tmp_path) as store:
        assert store[1] == 1


@pytest.mark.parametrize("damaged", [1, 2])
def test_a_device_is_closed_once(place: Any, damaged: int) -> None:
    """With a checkpoint that is passed over, and with none that is left."""
    tokens = []
    with place.open(checkpoint_on_close=False) as store:
        for i in range(2):
            store[i] = i
            tokens.append(store.checkpoint("snapshot").token)
    for token in tokens[-damaged:]:
        file = place.checkpoints / token / "snapshot.dat"
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    closed: list[int] = []
    place.device.close = lambda: closed.append(1)
    if damaged == 1:
        store = place.open()
        assert dict(store.items()) == {0: 0}
        assert closed == []
        store.close()
    else:
        with pytest.raises(pyfaster.CorruptCheckpointError):
            place.open()
    assert closed == [1]
