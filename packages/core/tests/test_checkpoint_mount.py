# SPDX-License-Identifier: MIT
"""A checkpoint can be looked at by anybody while its store goes on."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Any

import pytest

import pyfaster
from pyfaster.errors import CheckpointNotFoundError, ConfigError, ReadOnlyError
from pyfaster.testing import MemoryDevice

KEYS = 500


def image(place: Any) -> tuple[bytes, dict[str, bytes]]:
    """All bytes of a place."""
    files = (path for path in place.checkpoints.rglob("*") if path.is_file())
    return bytes(place.device.data), {str(file): file.read_bytes() for file in files}


@pytest.mark.parametrize("kind", ["fold-over", "snapshot"])
def test_a_mount_shows_its_checkpoint_and_changes_nothing(
    place: Any, kind: str
) -> None:
    """Several at once, beside the writer, each as the store was then."""
    with place.open(keep_checkpoints=9, checkpoint_on_close=False) as store:
        tokens = []
        for life in range(3):
            store.update(dict.fromkeys(range(KEYS), life))
            tokens.append(store.checkpoint(kind).token)
        store.update(dict.fromkeys(range(KEYS), -1))
        before = image(place)
        first = place.open(read_only=True, checkpoint=tokens[0])
        newest = place.open(read_only=True)
        assert dict(first.items()) == dict.fromkeys(range(KEYS), 0)
        assert dict(newest.items()) == dict.fromkeys(range(KEYS), 2)
        assert newest.recovery.token == tokens[2]
        assert newest.read_many(list(range(3))) == [2, 2, 2]
        assert [one.token for one in newest.checkpoints()] == tokens[::-1]
        assert newest.validate(tokens[0], deep=True).ok
        assert newest.write_failure is None
        first.close()
        newest.close()
        assert image(place) == before
        assert store[1] == -1
        assert store.checkpoint(kind).kind == kind


CHANGES: dict[str, Callable[[Any, Any], object]] = {
    "upsert": lambda store, session: session.upsert(1, 1),
    "insert": lambda store, session: session.insert(1, 1),
    "delete": lambda store, session: session.delete(1),
    "discard": lambda store, session: session.discard(1),
    "rmw": lambda store, session: session.rmw(1, 1, "add"),
    "compare": lambda store, session: session.compare_and_set(1, 1, 1),
    "update": lambda store, session: session.update(1, lambda value: value),
    "start_upsert": lambda store, session: session.start_upsert(1, 1),
    "start_insert": lambda store, session: session.start_insert(1, 1),
    "start_delete": lambda store, session: session.start_delete(1),
    "start_rmw": lambda store, session: session.start_rmw(1, 1, "add"),
    "start_compare": lambda store, session: session.start_compare_and_set(1, 1, 1),
    "upsert_many": lambda store, session: session.upsert_many([1], [1]),
    "rmw_many": lambda store, session: session.rmw_many([1], [1], merge="add"),
    "delete_many": lambda store, session: session.delete_many([1]),
    "session item": lambda store, session: session.__setitem__(1, 1),
    "session del": lambda store, session: session.__delitem__(1),
    "store item": lambda store, session: store.__setitem__(1, 1),
    "store del": lambda store, session: store.__delitem__(1),
    "store update": lambda store, session: store.update({1: 1}),
    "setdefault": lambda store, session: store.setdefault(-1, 1),
    "pop": lambda store, session: store.pop(1),
    "popitem": lambda store, session: store.popitem(),
    "clear": lambda store, session: store.clear(),
    "checkpoint": lambda store, session: store.checkpoint(),
    "prune": lambda store, session: store.prune(),
    "pin": lambda store, session: store.pin("x"),
    "unpin": lambda store, session: store.unpin("x"),
    "forget_session": lambda store, session: store.forget_session("a"),
    "flush": lambda store, session: store.flush(),
    "evict": lambda store, session: store.evict(),
    "grow_index": lambda store, session: store.grow_index(),
}


def test_a_mount_refuses_every_change(place: Any) -> None:
    """Each raises ReadOnlyError, and the values stay."""
    with place.open() as store:
        store.update({key: key for key in range(KEYS)})
    before = image(place)
    with place.open(read_only=True) as store, store.session() as session:
        for name, change in CHANGES.items():
            with pytest.raises(ReadOnlyError) as caught:
                change(store, session)
            assert caught.value.errno == errno.EROFS, name
        assert dict(store.items()) == {key: key for key in range(KEYS)}
        assert session.serial == 0
    assert image(place) == before


def test_a_mount_s_tasks_refuse_too(place: Any) -> None:
    """A session for an event loop reads, and changes nothing."""
    with place.open() as store:
        store[1] = 1

    async def main() -> None:
        with place.open(read_only=True) as store:
            async with store.async_session() as session:
                assert await session.read(1) == 1
                for name in ("upsert", "insert", "compare_and_set", "rmw", "delete"):
                    with pytest.raises(ReadOnlyError):
                        getattr(session, name)(1, 1)

    asyncio.run(main())


def test_a_mount_reads_what_is_not_in_memory(place: Any) -> None:
    """The log below the checkpoint's end is read from the device."""
    with place.open(key=int, value=bytes) as store:
        store.update({key: bytes([key % 251]) * 500 for key in range(6000)})
        store.checkpoint("fold-over")
    with place.open(key=int, value=bytes, read_only=True) as store:
        for key in range(0, 6000, 7):
            assert store[key] == bytes([key % 251]) * 500
        assert store.stats().device_reads > 0
        assert store.count() == 6000


def test_what_cannot_be_mounted_is_told(place: Any) -> None:
    """Nothing to look at; a name that is none; a device that would write."""
    with pytest.raises(CheckpointNotFoundError):
        place.open(read_only=True)
    assert not place.checkpoints.exists()
    with place.open() as store:
        store[1] = 1
    with pytest.raises(CheckpointNotFoundError):
        place.open(read_only=True, checkpoint="0" * 16 + "-" + "0" * 16)
    with pytest.raises(ConfigError, match="for reading alone"):
        pyfaster.open(
            device=MemoryDevice(), checkpoints=place.checkpoints, read_only=True
        )


def test_a_mount_needs_room_for_what_is_not_in_the_log(place: Any) -> None:
    """A snapshot that does not fit the budget is refused with the way out."""
    types: dict[str, Any] = {"key": int, "value": bytes}
    with place.open(memory="16MiB", mutable_fraction=1, **types) as store:
        store.update({key: bytes(1000) for key in range(8000)})
        store.checkpoint("snapshot")
    small = {"memory": "1MiB", "page_size": store.config.page_size}
    with pytest.raises(ConfigError, match="memory"):
        place.open(read_only=True, **types, **small)
    with place.open(read_only=True, memory="32MiB", **types) as store:
        assert store.count() == 8000
