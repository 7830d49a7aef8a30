# SPDX-License-Identifier: MIT
"""
A checkpoint is mounted by other processes while the owner of its directory goes on.
"""

from __future__ import annotations

import errno
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from mount_kit import (
    ALL_THERE,
    HUMBLE,
    KEYS,
    MEMORY,
    OPENER,
    READER,
    WRITER,
    checkpoint,
    heard,
    process,
    stamps,
    tell,
)

import pyfaster
from pyfaster.errors import (
    CheckpointNotFoundError,
    ReadOnlyError,
    StoreLockedError,
)

pytest.importorskip("pyfaster_checkpoint")

SCHEME = "file"


@pytest.fixture
def writer(place: Path) -> Iterator[Any]:
    """A process that has a store open."""
    with process(WRITER, f"{SCHEME}:{place}") as other:
        assert heard(other) == "open"
        yield other


def mount(place: Path, **settings: Any) -> pyfaster.FasterKv[int, bytes]:
    """Mount in this process."""
    given = {"key": int, "value": bytes, "memory": MEMORY, **settings}
    return pyfaster.open(f"{SCHEME}:{place}", read_only=True, **given)


def test_several_mounts_beside_a_running_writer(place: Path, writer: Any) -> None:
    """Each shows its own checkpoint, while all of it changes under the writer."""
    tokens = [checkpoint(writer, life) for life in range(3)]
    tell(writer, "go", 9)
    assert heard(writer) == "going"
    with ExitStack() as stack:
        readers = [
            stack.enter_context(
                process(READER, f"{SCHEME}:{place}", life, tokens[life], True)
            )
            for life in (0, 2, 2)
        ]
        for reader in readers:
            assert json.loads(heard(reader)) == ALL_THERE
            assert reader.wait() == 0
    tell(writer, "stop")
    assert heard(writer) == "idle"
    with pytest.raises(StoreLockedError):
        pyfaster.open(f"{SCHEME}:{place}", key=int, value=bytes)


def test_a_mount_stays_while_the_log_grows(place: Path, writer: Any) -> None:
    """What a mount shows is the same before and after the writer has gone on."""
    checkpoint(writer, 1)
    with mount(place) as store:
        before = {key: store[key] for key in range(0, KEYS, 3)}
        checkpoint(writer, 2)
        checkpoint(writer, 3)
        assert {key: store[key] for key in range(0, KEYS, 3)} == before
        assert {value[1] for value in before.values()} == {1}
    with mount(place) as store:
        assert {value[1] for value in store.values()} == {3}


def test_nothing_in_the_directory_changes(place: Path, writer: Any) -> None:
    """Names, times and bytes are as they were, whatever is asked of a mount."""
    token = checkpoint(writer, 1)
    checkpoint(writer, 2)
    before = stamps(place)
    with mount(place, checkpoint=token) as store, mount(place) as newest:
        assert store.count() == newest.count() == KEYS
        with store.session() as session:
            for change in (
                lambda: session.upsert(1, b""),
                lambda: session.delete(1),
                lambda: store.update({1: b""}),
                lambda: store.checkpoint(),
                lambda: store.flush(),
                lambda: store.prune(),
            ):
                with pytest.raises(ReadOnlyError) as caught:
                    change()
                assert caught.value.errno == errno.EROFS
            assert session.read(1)[1] == 1
        assert newest.validate(token, deep=True).ok
    assert stamps(place) == before


def test_what_holds_no_store_is_left_alone(place: Path, tmp_path: Path) -> None:
    """A directory that is missing is an error and is not made; an empty one stays."""
    with pytest.raises(CheckpointNotFoundError):
        mount(place)
    assert list(tmp_path.iterdir()) == []
    place.mkdir()
    with pytest.raises(CheckpointNotFoundError):
        mount(place)
    assert list(place.iterdir()) == []


@pytest.mark.fault("F51")
def test_readers_that_are_killed(place: Path, writer: Any) -> None:
    """A writer takes checkpoints as before, and others mount them."""
    tokens = [checkpoint(writer, 0)]
    for life in (1, 2):
        with ExitStack() as stack:
            readers = [
                stack.enter_context(
                    process(READER, f"{SCHEME}:{place}", life - 1, tokens[-1], False)
                )
                for _ in range(2)
            ]
            for reader in readers:
                assert json.loads(heard(reader)) == ALL_THERE
            tell(writer, "go", life)
            assert heard(writer) == "going"
            for reader in readers:
                assert reader.poll() is None
                reader.send_signal(signal.SIGKILL)
                assert reader.wait() == -signal.SIGKILL
            tell(writer, "stop")
            assert heard(writer) == "idle"
        tokens.append(checkpoint(writer, life))
    writer.stdin.close()
    assert writer.wait() == 0
    with pyfaster.open(f"{SCHEME}:{place}", key=int, value=bytes) as store:
        assert {value[1] for value in store.values()} == {2}


@pytest.mark.fault("F71")
@pytest.mark.skipif(sys.platform != "linux", reason="gives up capabilities of Linux")
def test_a_directory_that_nobody_may_write_to(place: Path, writer: Any) -> None:
    """It can be mounted; opening it to write is refused before anything changes."""
    token = checkpoint(writer, 1)
    writer.stdin.close()
    assert writer.wait() == 0
    (place / "store.lock").unlink()  # nor is one made
    below = sorted(place.rglob("*"), reverse=True)
    for path in (*below, place):
        path.chmod(0o500 if path.is_dir() else 0o400)
    before = stamps(place)
    try:
        name = f"{SCHEME}:{place}"
        with process(HUMBLE + READER, name, 1, token, True) as reader:
            assert json.loads(heard(reader)) == ALL_THERE
            assert reader.wait() == 0
        with process(HUMBLE + OPENER, name) as opener:
            assert json.loads(heard(opener)) == ["DeviceError", errno.EACCES]
            assert opener.wait() == 0
        assert stamps(place) == before
    finally:
        for path in (place, *reversed(below)):
            path.chmod(0o700)
