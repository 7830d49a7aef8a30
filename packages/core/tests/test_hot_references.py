# SPDX-License-Identifier: MIT
"""
What the C module owes to others: references, memory, and one thread at a time.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

import pyfaster
from pyfaster import MergeError, SessionBusyError

PTR = ctypes.c_void_p


class Held:
    """An object whose references are counted; it is a key and a value at once."""


class HeldCodec:
    """
    Encodes every object alike, and decodes to the one it was made with.
    """

    name = "test:held"
    size = None
    canonical = True
    value_type = "opaque"
    native = None
    dtype = None

    def __init__(self, one: Held) -> None:
        self.one = one
        self.data = b"d" * 3000

    def encode(self, value: Any, /) -> bytes:
        if value is None:
            raise TypeError("no None")
        return self.data

    def decode(self, data: bytes, /) -> Held:
        return self.one


def use_everything(session: Any, one: Held, default: Held) -> None:
    """Call every method, with every outcome, and drop what comes back."""
    session.read(one, default)
    session.update(one, lambda value: value, default)
    session.update(one, lambda value: value, default)
    session.read(one, default)
    session.compare_and_set(one, one, one)
    session.insert(one, one)
    session.rmw(one, one, "set_if_absent")
    session.delete(one)
    session.discard(one)
    session.upsert_many([one, one], [one, one])
    session.read_many([one, one])
    session.rmw_many([one], [one], merge="set_if_absent", returning=True)
    session.delete_many([one, one])
    session.read_many([one])
    with pytest.raises(KeyError):
        session[one]
    refused: list[Callable[[], object]] = [
        lambda: session.rmw(one, one, "append"),
        lambda: session.rmw_many([one], [one], merge="append", returning=True),
    ]
    for call in refused:
        with pytest.raises(MergeError):
            call()
    wrong: list[Callable[[], object]] = [
        lambda: session.read(None),
        lambda: session.upsert(one, None),
        lambda: session.compare_and_set(one, one, None),
        lambda: session.compare_and_set(one, None, one),
        lambda: session.rmw(one, None, "set_if_absent"),
        lambda: session.upsert_many([one, one], [one, None]),
        lambda: session.update(one, lambda value: None, default),
    ]
    for call in wrong:
        with pytest.raises(TypeError):
            call()


def test_references_are_balanced() -> None:
    """After each call, successful or not, every argument has as many as before."""
    one, default = Held(), Held()
    codec = HeldCodec(one)
    with pyfaster.open(key=codec, value=codec) as store, store.session() as session:
        use_everything(session, one, default)
        gc.collect()
        counted = (one, default, codec.data, session)
        before = [sys.getrefcount(each) for each in counted]
        for _ in range(10):
            use_everything(session, one, default)
        gc.collect()
        assert [sys.getrefcount(each) for each in counted] == before


def test_memory_does_not_grow() -> None:
    """Thousands of operations of every kind leave no memory behind."""
    with pyfaster.open(key=bytes, value=bytes) as store, store.session() as session:
        big = b"v" * 5000
        keys = [b"a", b"b", b"c"]

        def work(times: int) -> None:
            for _ in range(times):
                session.upsert(b"k", big)
                session.read(bytearray(b"k"))  # type: ignore[call-overload]  # tested
                session.read(b"absent")
                session.rmw(b"m", b"", merge="append")
                session.update(b"k", lambda value: value)
                session.compare_and_set(b"k", big, big)
                session.upsert_many(keys, keys)
                session.read_many(keys)
                session.delete_many(keys)
                for wrong in (3, "text"):
                    with pytest.raises(TypeError):
                        session.upsert(b"k", wrong)  # type: ignore[arg-type]  # tested

        work(20)
        tracemalloc.start()
        try:
            work(10)
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            work(200)
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
    assert grown < 20_000


def test_two_threads_in_one_session_are_refused() -> None:
    """
    While one thread is inside a session, another gets SessionBusyError.

    A merge that waits stands for a long operation: it runs inside the core, in a batch
    that has released the GIL. The core's own tests attack the check itself.
    """
    inside, go = threading.Event(), threading.Event()

    def merge(value: Any, size: int, capacity: int, given: Any, given_size: int) -> int:
        inside.set()
        assert go.wait(60)
        return given_size if size < 0 else size

    signature = ctypes.CFUNCTYPE(
        ctypes.c_int64, PTR, ctypes.c_int64, ctypes.c_int64, PTR, ctypes.c_int64
    )
    callback = signature(merge)
    address = ctypes.cast(callback, PTR).value
    with pyfaster.open(key=int, value=int) as store, store.session() as session:
        session.upsert(1000, 5)
        native = pyfaster.native_merge(address)
        thread = threading.Thread(
            target=session.rmw_many, args=(range(100), 1), kwargs={"merge": native}
        )
        thread.start()
        try:
            assert inside.wait(60)
            for misuse in (
                lambda: session.read(1000),
                lambda: session.upsert(1000, 6),
                lambda: session.read_many([1000]),
                session.close,
            ):
                with pytest.raises(SessionBusyError):
                    misuse()
        finally:
            go.set()
            thread.join()
        assert session.read(1000) == 5
        assert session.serial == 101
