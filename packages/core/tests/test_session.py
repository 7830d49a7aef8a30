# SPDX-License-Identifier: MIT
"""
A session's operations on one key, on the core itself.
"""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import pyfaster
from pyfaster import (
    Bytes,
    ClosedError,
    KeyTooLargeError,
    MergeError,
    UInt64,
    ValueTooLargeError,
)
from pyfaster._session import Session

KINDS: list[tuple[Any, Any, Any, Any]] = [
    (bytes, bytes, b"key", b"value"),
    (str, str, "k\u00e9y", "v\U0001f600lue"),
    (int, int, -3, 2**63 - 1),
    (UInt64, UInt64, 2**64 - 1, 0),
    (float, float, 1.5, -0.0),
    (Bytes(3), Bytes(2), b"key", b"va"),
    (str, int, "apples", 3),
    (int, bytes, 3, b""),
]


@pytest.mark.parametrize(("key_type", "value_type", "key", "value"), KINDS)
def test_every_operation_for_every_type(
    key_type: Any, value_type: Any, key: Any, value: Any
) -> None:
    """The operations on one key do what their names say, whatever the types."""
    with (
        pyfaster.open(key=key_type, value=value_type) as store,
        store.session() as session,
    ):
        assert session.read(key) is None
        assert session.read(key, "none") == "none"
        assert key not in session
        with pytest.raises(KeyError) as caught:
            session[key]
        assert caught.value.args == (key,)
        assert session.insert(key, value) is True
        assert session.insert(key, value) is False
        assert key in session
        assert session.read(key) == session[key] == value
        assert repr(session.read(key)) == repr(value)
        assert session.compare_and_set(key, value, value) is True
        assert session.delete(key) is True
        assert session.delete(key) is False
        assert session.compare_and_set(key, value, value) is False
        session[key] = value
        del session[key]
        with pytest.raises(KeyError):
            del session[key]
        session.upsert(key, value)
        session.discard(key)
        session.discard(key)
        assert session.read(key) is None


def test_every_update_takes_a_serial() -> None:
    """Updates are numbered 1, 2, 3, even those that change nothing; reads are not."""
    with pyfaster.open(key=int, value=int) as store, store.session("s") as session:
        updates: list[Callable[[], object]] = [
            lambda: session.upsert(1, 1),
            lambda: session.insert(1, 1),
            lambda: session.delete(2),
            lambda: session.compare_and_set(1, 5, 6),
            lambda: session.compare_and_set(1, 1, 6),
            lambda: session.rmw(1, 1, merge="add"),
            lambda: session.discard(1),
        ]
        assert session.serial == 0
        for serial, update in enumerate(updates, 1):
            update()
            assert session.serial == serial
            session.read(1)
            assert 1 in session or session.read(1) is None
            assert session.serial == serial
        with pytest.raises(TypeError):
            session.upsert(1, "1")  # type: ignore[arg-type]  # what is tested
        assert session.serial == len(updates)
        assert session.committed_serial == 0


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 2049, 65_536, 1_000_000])
def test_values_of_any_size(size: int) -> None:
    """What is larger than the stack's buffer comes back as whole as what is not."""
    value = random.Random(size).randbytes(size)
    with pyfaster.open() as store, store.session() as session:
        session.upsert(b"k", value)
        assert session.read(b"k") == session[b"k"] == value
        assert session.compare_and_set(b"k", value, value + b"x")
        assert session.update(b"k", lambda old: old[:-1]) == value
        buffer = bytearray(size)
        assert session.read_into(b"k", buffer) == size
        assert bytes(buffer) == value


@pytest.mark.parametrize("size", [0, 1, 8, 255, 65_535])
def test_keys_of_any_size(size: int) -> None:
    """A key may be empty, and may have 65,535 bytes."""
    key = b"k" * size
    with pyfaster.open() as store, store.session() as session:
        session.upsert(key, b"v")
        assert session.read(key) == b"v"
        assert session.read(key + b"x" if size < 65_535 else key[1:]) is None
        assert session.delete(key)


def test_fixed_values_larger_than_the_stack() -> None:
    """Large values of fixed size are read and merged whole."""
    value = bytes(range(250)) * 20
    with (
        pyfaster.open(key=int, value=Bytes(5000)) as store,
        store.session() as session,
    ):
        assert session.rmw(1, value, merge="set_if_absent") == value
        assert session.read(1) == value
        with session.read_view(1) as view:
            assert bytes(view) == value


def test_sizes_that_are_too_large_are_refused() -> None:
    """A key of 65,536 bytes and a value beyond a page raise typed errors."""
    with pyfaster.open(page_size="1MiB") as store, store.session() as session:
        with pytest.raises(KeyTooLargeError):
            session.upsert(b"k" * 65_536, b"v")
        with pytest.raises(ValueTooLargeError):
            session.upsert(b"k", bytes(2_000_000))
        assert session.serial == 0
        assert session.read(b"k") is None


def test_bytes_like_keys_are_equal_keys() -> None:
    """A bytearray or memoryview names the same key as its bytes."""
    with pyfaster.open(key=bytes, value=bytes) as store:
        session: Session[Any, Any] = store.session()
        session.upsert(bytearray(b"k"), memoryview(b"v"))
        assert session.read(b"k") == session.read(memoryview(b"k")) == b"v"


def test_zero_is_one_key() -> None:
    """0.0, -0.0 and 0 are the same key of float64; NaN is none."""
    with pyfaster.open(key=float, value=int) as store, store.session() as session:
        session.upsert(-0.0, 1)
        assert session[0.0] == session[0] == session[-0.0] == 1
        with pytest.raises(ValueError, match="nan equals no key"):
            session.upsert(float("nan"), 1)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda s: s.read(True), TypeError),
        (lambda s: s.read("1"), TypeError),
        (lambda s: s.upsert(1, 1.0), TypeError),
        (lambda s: s.upsert(1.0, 1), TypeError),
        (lambda s: s.insert(None, 1), TypeError),
        (lambda s: s.delete(b"1"), TypeError),
        (lambda s: s.discard([1]), TypeError),
        (lambda s: s.rmw(1, "1", merge="add"), TypeError),
        (lambda s: s.compare_and_set(1, "1", 1), TypeError),
        (lambda s: s.compare_and_set(1, 1, False), TypeError),
        (lambda s: s["1"], TypeError),
        (lambda s: s.__setitem__(1, None), TypeError),
        (lambda s: s.__delitem__("1"), TypeError),
        (lambda s: "1" in s, TypeError),
        (lambda s: s.read(2**63), OverflowError),
        (lambda s: s.upsert(1, -(2**63) - 1), OverflowError),
        (lambda s: s.read_into(1, b"readonly"), BufferError),
        (lambda s: s.read_into(1, 3), TypeError),
    ],
)
def test_wrong_types_raise_before_anything_happens(
    call: Callable[[Any], object], error: type[Exception]
) -> None:
    """A key or value of the wrong type changes nothing and takes no serial."""
    with pyfaster.open(key=int, value=int) as store, store.session() as session:
        with pytest.raises(error):
            call(session)
        assert session.serial == 0
        assert store.count() == 0


# --- update ---------------------------------------------------------------------------


def test_update_applies_a_function() -> None:
    """The new value is what the function gives for the old one, and is returned."""
    with pyfaster.open(key=str, value=int) as store, store.session() as session:
        session.upsert("a", 1)
        assert session.update("a", lambda value: value + 1) == 2
        assert session.read("a") == 2


def test_update_of_an_absent_key_needs_initial() -> None:
    """With `initial` the function gets it; without, KeyError, and nothing is set."""
    with pyfaster.open(key=str, value=int) as store, store.session() as session:
        with pytest.raises(KeyError, match="'a'"):
            session.update("a", lambda value: value + 1)
        assert "a" not in session
        assert session.update("a", lambda value: value + 1, initial=10) == 11
        assert session.update("a", lambda value: value + 1, initial=10) == 12


def test_no_lock_is_held_while_the_function_runs() -> None:
    """The function may use the very session that runs it; its change is seen."""
    with pyfaster.open(key=str, value=int) as store, store.session() as session:
        session.upsert("a", 1)
        seen: list[int] = []

        def function(value: int) -> int:
            seen.append(value)
            if len(seen) == 1:
                session.upsert("a", 100)
            if len(seen) == 2:
                session.delete("a")
            return value + 1

        assert session.update("a", function, initial=7) == 8
        assert seen == [1, 100, 7]
        assert session.read("a") == 8


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_value_alone(error: type[BaseException]) -> None:
    """Whatever the function raises comes out, and the store is unchanged."""

    def function(value: int) -> int:
        raise error("mine")

    with pyfaster.open(key=str, value=int) as store, store.session() as session:
        session.upsert("a", 1)
        with pytest.raises(error, match="mine"):
            session.update("a", function)
        with pytest.raises(error, match="mine"):
            session.update("b", function, initial=1)
        with pytest.raises(TypeError, match="value: expected int, found str"):
            session.update("a", str)  # type: ignore[arg-type]  # what is tested
        assert session.read("a") == 1
        assert "b" not in session
        assert session.serial == 1


# --- buffers and views ----------------------------------------------------------------


def test_read_into_copies_the_encoded_value() -> None:
    """The value's bytes come into the buffer's beginning; the rest is untouched."""
    with pyfaster.open(key=int, value=int) as store, store.session() as session:
        session.upsert(1, 0x0102)
        buffer = bytearray(b"\xff" * 10)
        assert session.read_into(1, buffer) == 8
        assert buffer == b"\x02\x01\0\0\0\0\0\0\xff\xff"
        assert session.read_into(1, memoryview(buffer)[2:]) == 8
        with pytest.raises(KeyError):
            session.read_into(2, buffer)
        before = bytes(buffer)
        with pytest.raises(ValueError, match="8 bytes, the buffer 7"):
            session.read_into(1, memoryview(buffer)[:7])
        assert bytes(buffer) == before


@pytest.mark.parametrize("value", [b"", b"v" * 10, b"v" * 100_000])
def test_read_view_shows_the_encoded_value(value: bytes) -> None:
    """The view is read-only, holds the value, and ends with the `with` statement."""
    with pyfaster.open() as store, store.session() as session:
        session.upsert(b"k", value)
        with session.read_view(b"k") as view:
            assert bytes(view) == value
            assert view.readonly
            session.upsert(b"k", b"changed")
            assert bytes(view) == value
        with pytest.raises(ValueError, match="released"):
            bytes(view)
        with pytest.raises(KeyError), session.read_view(b"absent"):
            pass


def test_a_view_that_is_still_used_does_not_fail_the_statement() -> None:
    """What was made from a view stays valid after the `with` statement."""
    with pyfaster.open() as store, store.session() as session:
        session.upsert(b"k", b"value")
        with session.read_view(b"k") as view:
            kept = memoryview(view)[1:3]
        assert bytes(kept) == b"al"
        del kept, view


# --- lifetime -------------------------------------------------------------------------


def test_a_session_is_closed_by_its_with_statement() -> None:
    """After close every operation raises ClosedError, and close does nothing."""
    with pyfaster.open(key=int, value=int) as store:
        with store.session("named") as session:
            assert session.name == "named"
            before = session.closed
            session.upsert(1, 1)
        session.close()
        assert (before, session.closed) == (False, True)
        assert "'named'" in repr(session)
        for call in (
            lambda: session.read(1),
            lambda: session.upsert(1, 1),
            lambda: session.rmw(1, 1, merge="add"),
            lambda: session.read_many([1]),
            lambda: session.delete_many([1]),
        ):
            with pytest.raises(ClosedError):
                call()


def test_a_session_outlives_its_store_safely() -> None:
    """When the store is closed, and even collected, a session raises ClosedError."""
    store = pyfaster.open(key=int, value=int)
    session = store.session()
    store.close()
    with pytest.raises(ClosedError):
        session.read(1)
    del store
    gc.collect()
    with pytest.raises(ClosedError):
        session.upsert(1, 1)


def test_sessions_can_be_referred_to_weakly() -> None:
    """A session that nobody holds is gone at once, and its slot is free again."""
    with pyfaster.open(sessions_max=4) as store:
        for _ in range(100):
            session = store.session()
            gone = weakref.ref(session)
            session.upsert(b"k", b"v")
            del session
            assert gone() is None


def test_sessions_are_generic() -> None:
    """The class can be subscripted, as annotations do."""
    assert Session[str, int] is not None
    assert isinstance(Session, type)


class Reversed:
    """A codec in Python whose bytes are not those of any builtin kind."""

    name = "test:reversed"
    size = None
    canonical = True
    value_type = "text"
    native = None
    dtype = None

    def encode(self, value: str, /) -> bytes:
        if not isinstance(value, str):
            raise TypeError(f"expected str, found {type(value).__name__}")
        return value[::-1].encode()

    def decode(self, data: bytes, /) -> str:
        return data.decode()[::-1]


def test_codecs_in_python_serve_every_operation() -> None:
    """A codec of the user's takes part wherever a builtin one does."""
    codec = Reversed()
    with pyfaster.open(key=codec, value=codec) as store, store.session() as session:
        session.upsert("abc", "value")
        assert session.read("abc") == session["abc"] == "value"
        assert session.rmw("abc", ">", merge="append") == ">value"
        assert session.update("abc", str.upper) == ">VALUE"
        assert session.read_many(["abc", "x"]) == [">VALUE", None]
        assert session.delete_many(["abc", "x"]) == [True, False]
        with pytest.raises(TypeError, match="expected str, found int"):
            session.read(3)  # type: ignore[call-overload]  # what is tested
        with pytest.raises(MergeError):
            session.rmw("abc", "x", merge="add")


@pytest.mark.fault("F80")
def test_a_function_that_raises_changes_nothing() -> None:
    """What `update`'s function raises is the caller's; the value stays as it was."""
    with pyfaster.open(key=str, value=int) as store, store.session() as session:
        session.upsert("k", 1)

        def fail(_: int | None) -> int:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            session.update("k", fail)
        assert session.read("k") == 1
        assert session.rmw("k", 1, merge="add") == 2


@pytest.mark.fault("F80")
def test_a_function_may_use_the_session_it_runs_for() -> None:
    """No lock is held while the function runs: it may change its own key."""
    with pyfaster.open(key=str, value=int) as store, store.session() as session:
        session.upsert("k", 1)
        calls = []

        def meddle(value: int | None) -> int:
            assert value is not None
            calls.append(value)
            if len(calls) == 1:
                session.upsert("k", 10)
            return value + 1

        assert session.update("k", meddle) == 11
        assert calls == [1, 10]
