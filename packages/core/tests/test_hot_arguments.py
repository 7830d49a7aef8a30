# SPDX-License-Identifier: MIT
"""
What the C module does with arguments, before it calls anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import pyfaster
from pyfaster import _hot
from pyfaster._session import Session


@pytest.fixture
def session() -> Iterator[Session[Any, Any]]:
    """A session of a store of bytes."""
    with pyfaster.open(key=bytes, value=bytes) as store, store.session() as one:
        yield one


def test_a_session_needs_what_it_is_made_of() -> None:
    """No address, no codec, or a codec that is not for keys: refused."""
    key, value = _hot.Codec("bytes", key=True), _hot.Codec("bytes")
    with pytest.raises(ValueError, match="no session"):
        _hot.Session(0, None, key, value)
    with pytest.raises(ValueError, match="key=True"):
        _hot.Session(0x1000, None, value, value)
    with pytest.raises(TypeError):
        _hot.Session(0x1000, None, key, bytes)  # type: ignore[arg-type]  # tested
    with pytest.raises(TypeError):
        _hot.Items()


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.read(),
        lambda s: s.read(b"k", 1, 2),
        lambda s: s.read(b"k", key=b"k"),
        lambda s: s.read(b"k", other=1),
        lambda s: s.read(default=1),
        lambda s: s.upsert(b"k"),
        lambda s: s.upsert(b"k", value=b"v", key=b"k"),
        lambda s: s.delete(),
        lambda s: s.delete(b"k", b"k"),
        lambda s: s.rmw(b"k", b"v"),
        lambda s: s.compare_and_set(b"k", b"v"),
        lambda s: s.update(b"k"),
        lambda s: s.read_into(b"k"),
        lambda s: s.rmw_list([], []),
        lambda s: s.run(9, None, [], None, None, None, None, 0),
    ],
)
def test_wrong_arguments_are_refused(session: Session[Any, Any], call: Any) -> None:
    """Too few, too many, unknown and doubled arguments do not reach the core."""
    with pytest.raises((TypeError, ValueError)):
        call(session)
    assert session.serial == 0


def test_keywords_and_positions_mean_the_same(session: Session[Any, Any]) -> None:
    """Every argument that has a name can be passed by it."""
    assert session.read(key=b"k", default=3) == session.read(b"k", 3) == 3
    session.upsert(value=b"v", key=b"k")
    assert not session.insert(b"k", value=b"w")
    assert session.compare_and_set(new=b"n", expected=b"v", key=b"k")
    assert session.update(key=b"k", fn=lambda v: v + b"!", initial=b"i") == b"n!"
    assert session.rmw(merge="append", input=b"?", key=b"k") == b"n!?"
    assert session.read_into(buffer=bytearray(9), key=b"k") == 3


def test_run_checks_the_room_for_results(session: Session[Any, Any]) -> None:
    """Buffers that are too small, or do not belong, never reach the core."""
    items = _hot.pack(_hot.Codec("bytes", key=True), [b"a", b"b"])
    room, flags = bytearray(8), bytearray(2)
    offsets = bytearray(24)
    outside = bytearray((9).to_bytes(8, "little") * 3)
    for data, starts, found, done in (
        (room, bytearray(16), flags, 0),
        (room, offsets, bytearray(1), 0),
        (room, None, flags, 0),
        (None, None, flags, 0),
        (room, offsets, flags, 3),
        (room, outside, flags, 0),
    ):
        with pytest.raises(ValueError):
            session.run(0, None, items, None, data, starts, found, done)
    with pytest.raises((TypeError, BufferError)):
        session.run(0, None, items, None, b"readonly", offsets, flags, 0)
    assert bytes(room) == bytes(8)


@pytest.mark.parametrize("wrong", [None, 3, {"add": 1}])
def test_the_module_checks_what_it_is_given(wrong: Any) -> None:
    """The error factory is callable, and the merges are a dict of Merge."""
    with pytest.raises(TypeError):
        _hot.set_error_factory(wrong)
    with pytest.raises(TypeError):
        _hot.set_merges(wrong)
