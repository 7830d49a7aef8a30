# SPDX-License-Identifier: MIT
"""
A directory is one store's, whoever asks by whatever name, and as long as that lives.

The lock is the system's and goes with the process. Readers of a checkpoint take none:
any number may come, and be killed, and the writer does not notice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import pyfaster

pytestmark = pytest.mark.once

#: Opens a store, says so, and goes on when it is told.
HOLDER = """
import sys
import pyfaster
with pyfaster.open(sys.argv[1], key=int, value=int) as store:
    store[1] = 1
    print("open", flush=True)
    sys.stdin.readline()
"""

#: Mounts a checkpoint, reads it again and again, and says what it has found.
READER = """
import sys
import pyfaster
with pyfaster.open(
    sys.argv[1], key=int, value=int, read_only=True, checkpoint=sys.argv[2]
) as store:
    print(sorted(store.items()), flush=True)
    while True:
        assert store[1] == 10
"""


@contextmanager
def process(
    program: str, *words: object
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Give a process and its first line; it is killed at the end."""
    command = [sys.executable, "-c", program, *map(str, words)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        try:
            yield other, other.stdout.readline().strip()
        finally:
            other.kill()


def refused(path: Path | str, holder: int | str) -> None:
    """A store does not open there, and the message names the process that has it."""
    here = "|this process" if holder == os.getpid() else ""
    with pytest.raises(pyfaster.StoreLockedError, match=rf"\b{holder}\b{here}"):
        pyfaster.open(path, key=int, value=int)


@pytest.mark.fault("F68")
def test_another_process_is_refused(tmp_path: Path) -> None:
    """While one process has a store, another is told which one; then it may."""
    place = tmp_path / "data"
    with process(HOLDER, place) as (other, line):
        assert line == "open"
        refused(place, other.pid)
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.wait() == 0
    with pyfaster.open(place, key=int, value=int) as store:
        assert dict(store.items()) == {1: 1}


@pytest.mark.fault("F68")
@pytest.mark.fault("F70")
def test_the_lock_goes_with_a_process_that_is_killed(tmp_path: Path) -> None:
    """What is left of a killed process's lock stops nobody."""
    place = tmp_path / "data"
    with process(HOLDER, place) as (other, line):
        assert line == "open"
        other.send_signal(signal.SIGKILL)
        assert other.wait() == -signal.SIGKILL
    assert (place / "store.lock").read_text().strip() == str(other.pid)
    with pyfaster.open(place, key=int, value=int) as store:
        assert dict(store.items()) == {}
        refused(place, os.getpid())


@pytest.mark.fault("F69")
def test_the_same_process_is_refused_by_every_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A symlink, a relative path, a detour and a link on the way are the same place."""
    place = tmp_path / "data"
    (tmp_path / "link").symlink_to(place)
    (tmp_path / "up").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pyfaster.open(place, key=int, value=int):
        for name in (
            "data",
            "./data/",
            f"{place}/../data",
            tmp_path / "link",
            tmp_path / "up" / "data",
            "file:data",
        ):
            refused(name, os.getpid())
    for name in ("link", "data"):
        pyfaster.open(tmp_path / name, key=int, value=int).close()


@pytest.mark.fault("F70")
def test_a_deleted_lock_file_unlocks_nothing(tmp_path: Path) -> None:
    """Whoever deletes the lock file of an open store does not get in by that."""
    place = tmp_path / "data"
    with pyfaster.open(place, key=int, value=int):
        (place / "store.lock").unlink()
        refused(place, "another process")  # which one went with the file
    pyfaster.open(place, key=int, value=int).close()
    with process(HOLDER, place) as (_, line):
        assert line == "open"
        (place / "store.lock").unlink()
        refused(place, "another process")  # which one went with the file


@pytest.mark.fault("F70")
def test_what_stands_in_a_lock_file_is_no_lock(tmp_path: Path) -> None:
    """A file from elsewhere, whatever it holds, is not believed."""
    place = tmp_path / "data"
    place.mkdir()
    for text in (b"1\n", b"", b"\xff" * 100, b"999999999999999999999999"):
        (place / "store.lock").write_bytes(text)
        pyfaster.open(place, key=int, value=int).close()


@pytest.mark.fault("F51")
def test_readers_that_are_killed_do_not_matter(tmp_path: Path) -> None:
    """A writer goes on and takes checkpoints; what a reader mounted is as it was."""
    place = tmp_path / "data"
    with pyfaster.open(place, key=int, value=int, keep_checkpoints=2) as store:
        store.upsert_many(range(1, 4), [10, 20, 30])
        token = store.checkpoint().token
        for turn in range(3):
            with (
                process(READER, place, token) as (first, seen),
                process(READER, place, token) as (second, seen_too),
            ):
                assert seen == seen_too == "[(1, 10), (2, 20), (3, 30)]"
                store[1] = turn
                store.checkpoint()
                store.pin(token)
                for reader in (first, second):
                    assert reader.poll() is None
                    reader.send_signal(signal.SIGKILL)
                    assert reader.wait() == -signal.SIGKILL
                store[2] = turn
                store.checkpoint()
                refused(place, os.getpid())
    with pyfaster.open(place, key=int, value=int) as store:
        assert dict(store.items()) == {1: 2, 2: 2, 3: 30}
