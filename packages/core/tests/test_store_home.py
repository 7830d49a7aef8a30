# SPDX-License-Identifier: MIT
"""
Where a store lives: its device or its directory, and what is derived for it.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pyfaster
from pyfaster._home import Directory
from pyfaster.testing import MemoryDevice


def test_a_device_object_needs_no_path() -> None:
    """A path and a device object contradict each other."""
    device = MemoryDevice()
    with pytest.raises(pyfaster.ConfigError, match="one or the other"):
        pyfaster.open("data", device=device, durable=False)


def test_what_is_no_device_is_refused() -> None:
    """An object without a device's methods is named."""
    with pytest.raises(TypeError, match="object is no device"):
        pyfaster.open(device=object())  # type: ignore[call-overload]


def test_a_budget_that_cannot_hold_the_pages_is_refused() -> None:
    """The message says what to change, and the device is closed."""
    with pytest.raises(pyfaster.ConfigError, match="page_size"):
        pyfaster.open(device=MemoryDevice(), memory="64KiB", page_size="64KiB")


@pytest.mark.parametrize("times", [1, 2])
def test_a_directory_is_one_store_s(tmp_path: Path, times: int) -> None:
    """The second one is told who has it; after close it is free again."""
    for _ in range(times):
        first = Directory(str(tmp_path / "data"))
        with pytest.raises(pyfaster.StoreLockedError, match=str(os.getpid())):
            Directory(str(tmp_path / "data"))
        (tmp_path / "other").unlink(missing_ok=True)
        (tmp_path / "other").symlink_to(tmp_path / "data")
        with pytest.raises(pyfaster.StoreLockedError):
            Directory(str(tmp_path / "other"))
        first.close()
        first.close()


@pytest.mark.fault("F68")
def test_a_directory_is_one_process_s(tmp_path: Path) -> None:
    """Another process that has it open is named by its number."""
    program = (
        "import sys; from pyfaster._home import Directory; "
        "d = Directory(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "data")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(pyfaster.StoreLockedError, match=f"process {other.pid}"):
            Directory(str(tmp_path / "data"))
        other.stdin.close()
        other.wait()
    Directory(str(tmp_path / "data")).close()


@pytest.mark.fault("F62")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_does_not_keep_the_directory(tmp_path: Path) -> None:
    """After fork() the lock is the parent's alone: it ends with the parent's store."""
    directory = Directory(str(tmp_path / "data"))
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x")
        os.read(done[0], 1)  # alive until the parent has looked
        os._exit(0)
    try:
        assert os.read(ready[0], 1) == b"x"
        directory.close()
        Directory(str(tmp_path / "data")).close()
    finally:
        os.write(done[1], b"x")
        os.waitpid(child, 0)
        for end in (*ready, *done):
            os.close(end)


def test_a_directory_s_parent_must_exist(tmp_path: Path) -> None:
    """A mistyped path does not become a tree of directories."""
    with pytest.raises(pyfaster.DeviceError, match="parent exists"):
        Directory(str(tmp_path / "no" / "data"))
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_are_not_thrown_away(tmp_path: Path) -> None:
    """A directory that holds checkpoints is not begun anew."""
    (tmp_path / "checkpoints" / "0001").mkdir(parents=True)
    directory = Directory(str(tmp_path))
    with pytest.raises(pyfaster.ConfigError, match="checkpoints"):
        directory.refuse_checkpoints()
    directory.close()


def test_settings_of_a_device_are_derived() -> None:
    """A budget that is not given, small pages, and a read cache for large budgets."""
    small = pyfaster.StoreConfig(memory="64MiB").on_device()
    assert (small.page_size, small.read_cache) == (1 << 20, 0)
    large = pyfaster.StoreConfig(memory="1GiB").on_device()
    assert (large.page_size, large.read_cache) == (4 << 20, 128 << 20)
    assert pyfaster.StoreConfig().on_device().memory is not None
    with pytest.raises(pyfaster.ConfigError, match="segment_size"):
        pyfaster.StoreConfig(segment_size="1MiB", page_size="4MiB").on_device()


def test_a_directory_goes_with_its_object(tmp_path: Path) -> None:
    """What was collected without close() does not keep the directory."""
    Directory(str(tmp_path / "data"))
    gc.collect()
    Directory(str(tmp_path / "data")).close()


@pytest.mark.parametrize("memory", ["1MiB", "2MiB"])
def test_an_index_that_is_full_is_told(memory: str) -> None:
    """Where nobody can give the index more memory, an insertion fails; none hangs."""
    with pyfaster.open(
        key=int, value=int, device=MemoryDevice(), memory=memory
    ) as store:
        with pytest.raises(pyfaster.StoreFullError):
            store.upsert_many(range(400_000), 0)
        assert store[0] == 0
