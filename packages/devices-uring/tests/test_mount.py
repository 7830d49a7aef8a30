# SPDX-License-Identifier: MIT
"""
A checkpoint is mounted by other processes while the owner of its directory goes on.
"""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import pyfaster
from pyfaster.errors import CheckpointNotFoundError, ReadOnlyError
from pyfaster_devices_uring import _cabi

pytest.importorskip("pyfaster_checkpoint")

pytestmark = pytest.mark.skipif(
    _cabi.uring_probe(None) != 0, reason="this system has no io_uring for us"
)

#: More than the memory of a store here, so that mounts read from the device.
KEYS = 3000
SIZE = 500
SETTINGS: dict[str, Any] = {"key": int, "value": bytes, "memory": "1MiB"}

#: Mounts a checkpoint and says what came of it; goes on unless it is to end. One that
#: is humble gives up what lets a superuser pass over the modes of files.
READER = """
import ctypes, json, sys
import pyfaster

place, life, token, keys, size, humble, ends = json.loads(sys.argv[1])

def value_of(key):
    return bytes([key % 251, life]) * (size // 2)

if humble:
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    for kind in (0, 1, 2):
        sets[kind] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(header, sets) == 0
    try:
        pyfaster.open(f"uring:{place}", key=int, value=bytes)
    except pyfaster.errors.DeviceError as error:
        print(error.errno, flush=True)
with pyfaster.open(
    f"uring:{place}", key=int, value=bytes, memory="1MiB", read_only=True,
    checkpoint=token, device_options={"fallback": False},
) as store:
    wrong = [key for key in range(keys) if store[key] != value_of(key)]
    found = [len(wrong), store.count(), store.stats().device_reads > 0]
    print(json.dumps(found), flush=True)
    while not ends:
        assert store[7] == value_of(7)
"""

#: What a reader says who has found everything as it was, on the device.
ALL_THERE = [0, KEYS, True]


@contextmanager
def reader(
    place: Path, life: int, token: str, *, humble: bool = False, ends: bool = True
) -> Iterator[subprocess.Popen[str]]:
    """Run a process that mounts; it is killed at the end."""
    words = json.dumps([str(place), life, token, KEYS, SIZE, humble, ends])
    command = [sys.executable, "-c", READER, words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            yield other
        finally:
            other.kill()


def heard(other: subprocess.Popen[str]) -> str:
    """Give the next line of a process."""
    assert other.stdout is not None
    return other.stdout.readline().strip()


def live(store: Any, life: int) -> str:
    """Set all keys of a store and take a checkpoint; give its token."""
    store.update({key: bytes([key % 251, life]) * (SIZE // 2) for key in range(KEYS)})
    token: str = store.checkpoint("fold-over").token
    store.flush()
    return token


def image(place: Path) -> dict[str, tuple[object, ...]]:
    """All that can be seen of a folder and what is below: the bytes too."""
    found = {}
    for path in (place, *sorted(place.rglob("*"))):
        at = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        seen = (at.st_ino, at.st_mode, at.st_size, at.st_mtime_ns, at.st_ctime_ns)
        found[str(path)] = (*seen, data)
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where a store may be."""
    return tmp_path / "store"


@pytest.fixture
def store(place: Path) -> Iterator[Any]:
    """A store that is open and takes checkpoints only when it is told to."""
    with pyfaster.open(
        f"uring:{place}",
        **SETTINGS,
        segment_size="1MiB",
        keep_checkpoints=64,
        checkpoint_on_close=False,
    ) as opened:
        yield opened


@pytest.mark.fault("F51")
def test_mounts_beside_a_running_writer(place: Path, store: Any) -> None:
    """Each shows its own checkpoint while the store goes on, even if one is killed."""
    tokens = [live(store, life) for life in range(3)]
    with ExitStack() as stack:
        readers = [
            stack.enter_context(reader(place, life, tokens[life], ends=ends))
            for life, ends in ((0, True), (2, True), (2, False))
        ]
        for turn in range(10):  # most of it while they begin and read
            tokens.append(live(store, 100 + turn))
        for one in readers:
            assert json.loads(heard(one)) == ALL_THERE
        assert readers[2].poll() is None
        live(store, 3)
        readers[2].send_signal(signal.SIGKILL)
        assert [one.wait() for one in readers] == [0, 0, -signal.SIGKILL]
    token = live(store, 4)
    with reader(place, 4, token) as one:
        assert json.loads(heard(one)) == ALL_THERE


def test_nothing_in_the_directory_changes(place: Path, store: Any) -> None:
    """Names, times and bytes are as they were, whatever is asked of a mount."""
    token = live(store, 1)
    live(store, 2)
    before = image(place)
    for given, life in (({"checkpoint": token}, 1), ({}, 2)):
        with pyfaster.open(
            f"uring:{place}", **SETTINGS, **given, read_only=True
        ) as mount:
            assert {value[1] for value in mount.values()} == {life}
            for change in (
                lambda mount=mount: mount.update({1: b""}),
                lambda mount=mount: mount.checkpoint(),
                lambda mount=mount: mount.flush(),
            ):
                with pytest.raises(ReadOnlyError) as caught:
                    change()
                assert caught.value.errno == errno.EROFS
    assert image(place) == before


def test_what_holds_no_store_is_left_alone(place: Path, tmp_path: Path) -> None:
    """A directory that is missing is an error and is not made."""
    with pytest.raises(CheckpointNotFoundError):
        pyfaster.open(f"uring:{place}", **SETTINGS, read_only=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault("F71")
def test_a_directory_that_nobody_may_write_to(place: Path, store: Any) -> None:
    """It can be mounted; opening it to write is refused before anything changes."""
    token = live(store, 1)
    store.close()
    (place / "store.lock").unlink()  # nor is one made
    below = sorted(place.rglob("*"), reverse=True)
    for path in (*below, place):
        path.chmod(0o500 if path.is_dir() else 0o400)
    before = image(place)
    try:
        with reader(place, 1, token, humble=True) as one:
            assert heard(one) == str(errno.EACCES)
            assert json.loads(heard(one)) == ALL_THERE
            assert one.wait() == 0
        assert image(place) == before
    finally:
        for path in (place, *reversed(below)):
            path.chmod(0o700)
