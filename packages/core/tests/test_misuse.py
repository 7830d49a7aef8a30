# SPDX-License-Identifier: MIT
"""Misuse raises its documented error at the call, and the store goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pyfaster
from pyfaster.errors import (
    ClosedError,
    KeyTooLargeError,
    MergeError,
    MergeOverflowError,
    SessionBusyError,
    ValueTooLargeError,
)

PAGE = 4096


@pytest.fixture
def store() -> Iterator[pyfaster.FasterKv[bytes, bytes]]:
    """A store of bytes with small pages, which still works after the test."""
    with pyfaster.open(page_size=PAGE) as opened:
        opened[b"before"] = b"1"
        yield opened
        assert opened[b"before"] == b"1"
        opened[b"after"] = b"2"
        assert opened[b"after"] == b"2"


@pytest.fixture
def numbers() -> Iterator[pyfaster.FasterKv[str, int]]:
    """A store of words and numbers, which still works after the test."""
    with pyfaster.open(key=str, value=int) as opened:
        opened["before"] = 1
        yield opened
        assert opened["before"] == 1
        opened["after"] = 2
        assert opened.read_many(["before", "after"]) == [1, 2]


@pytest.mark.parametrize("size", [65_536, 70_000, 1 << 20])
def test_a_key_beyond_the_limit_is_refused(
    store: pyfaster.FasterKv[bytes, bytes], size: int
) -> None:
    """Every operation refuses a key that is too large, saying both sizes."""
    key = b"k" * size
    calls: list[Callable[[], Any]] = [
        lambda: store.upsert(key, b"v"),
        lambda: store.insert(key, b"v"),
        lambda: store.rmw(key, b"v", "append"),
    ]
    for call in calls:
        with pytest.raises(KeyTooLargeError, match="at most 4,008") as caught:
            call()
        assert f"{size:,}" in str(caught.value)
        assert isinstance(caught.value, ValueError)
    assert len(store) == 1


def test_the_largest_key_is_taken() -> None:
    """A key of 65,535 bytes can be stored, read, scanned and deleted."""
    key = b"k" * 65_535
    with pyfaster.open(page_size="128KiB") as store:
        store[key] = b"v"
        assert store[key] == b"v"
        assert list(store) == [key]
        del store[key]
        assert key not in store


def test_a_record_beyond_the_page_is_refused(
    store: pyfaster.FasterKv[bytes, bytes],
) -> None:
    """A value that no page holds is refused; the largest that does is taken."""
    store[b"key"] = b"old"
    with pytest.raises(ValueTooLargeError, match="page_size="):
        store[b"key"] = b"v" * PAGE
    with pytest.raises(ValueTooLargeError):
        store.insert(b"other", b"v" * PAGE)
    assert store[b"key"] == b"old"
    assert b"other" not in store
    largest = PAGE // 2
    store[b"key"] = b"v" * largest
    assert store[b"key"] == b"v" * largest


def test_a_value_cannot_grow_beyond_the_page(
    store: pyfaster.FasterKv[bytes, bytes],
) -> None:
    """Appending stops at the page with an error, and what was there stays."""
    size = 0
    with pytest.raises(ValueTooLargeError):
        for _ in range(PAGE):
            size = len(store.rmw(b"key", b"v" * 100, "append"))
    assert size > PAGE // 2
    assert store[b"key"] == b"v" * size


def test_empty_keys_and_values_are_data(
    store: pyfaster.FasterKv[bytes, bytes],
) -> None:
    """Keys and values of 0 bytes behave as all others."""
    assert b"" not in store
    store[b""] = b""
    assert b"" in store
    assert store[b""] == b""
    assert store.read(b"", b"absent") == b""
    assert store.compare_and_set(b"", b"", b"x") is True
    assert store.compare_and_set(b"", b"x", b"") is True
    assert store.rmw(b"", b"", "append") == b""
    assert store.read_many([b"", b"none"]) == [b"", None]
    assert dict(store.items()) == {b"before": b"1", b"": b""}
    assert store.delete(b"") is True
    assert store.delete(b"") is False


@pytest.mark.parametrize("wrong", ["text", 5, None, 1.5, [b"x"]])
def test_wrong_types_are_refused(
    store: pyfaster.FasterKv[bytes, bytes], wrong: Any
) -> None:
    """An object of another type is a TypeError that says which was expected."""
    calls: list[Callable[[], Any]] = [
        lambda: store[wrong],
        lambda: store.read(wrong),
        lambda: store.upsert(wrong, b"v"),
        lambda: store.upsert(b"k", wrong),
        lambda: store.insert(b"k", wrong),
        lambda: store.delete(wrong),
        lambda: store.discard(wrong),
        lambda: store.rmw(b"k", wrong, "append"),
        lambda: store.compare_and_set(b"before", wrong, b"x"),
        lambda: store.compare_and_set(b"before", b"1", wrong),
        lambda: store.update(b"before", lambda _: wrong),
        lambda: wrong in store,
        lambda: store.upsert_many([b"k", wrong], [b"v", b"v"]),
        lambda: store.upsert_many([b"k", b"l"], [b"v", wrong]),
        lambda: store.read_many([wrong]),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    assert dict(store.items()) == {b"before": b"1"}


@pytest.mark.parametrize("wrong", [1 << 63, -(1 << 63) - 1, 1 << 100])
def test_integers_beyond_64_bits_are_refused(
    numbers: pyfaster.FasterKv[str, int], wrong: int
) -> None:
    """An int that does not fit is an OverflowError, never a wrong number."""
    with pytest.raises(OverflowError):
        numbers["k"] = wrong
    with pytest.raises(OverflowError):
        numbers.upsert_many(["j", "k"], [1, wrong])
    assert "k" not in numbers


def test_a_bool_is_no_number(numbers: pyfaster.FasterKv[str, int]) -> None:
    """True is not stored as 1."""
    with pytest.raises(TypeError):
        numbers["k"] = True


def test_text_that_is_not_unicode_is_refused(
    numbers: pyfaster.FasterKv[str, int],
) -> None:
    """A lone surrogate has no UTF-8 form, so it is no key."""
    with pytest.raises(UnicodeEncodeError):
        numbers["\ud800"] = 1


def test_a_float_key_that_equals_nothing_is_refused() -> None:
    """NaN is no key; -0.0 and 0.0 are one."""
    with pyfaster.open(key=float, value=int) as store:
        with pytest.raises(ValueError):
            store[float("nan")] = 1
        store[-0.0] = 5
        assert store[0.0] == 5
        assert [str(key) for key in store] == ["0.0"]


@pytest.mark.parametrize("size", [0, 15, 17])
def test_fixed_sizes_are_exact(size: int) -> None:
    """A key or value of another size than the store's is a ValueError."""
    sixteen = pyfaster.Bytes(16)
    with pyfaster.open(key=sixteen, value=sixteen) as store:
        with pytest.raises(ValueError, match="16"):
            store[b"k" * size] = b"v" * 16
        with pytest.raises(ValueError, match="16"):
            store[b"k" * 16] = b"v" * size
        assert len(store) == 0


def test_a_merge_must_fit_the_values(
    store: pyfaster.FasterKv[bytes, bytes], numbers: pyfaster.FasterKv[str, int]
) -> None:
    """A merge on values it does not compute with is a MergeError; nothing changes."""
    for merge in ("add", "min", "max", "bit_or", "bit_and"):
        with pytest.raises(MergeError):
            store.rmw(b"before", b"1", merge)
        with pytest.raises(MergeError):
            store.rmw_many([b"before"], [b"1"], merge=merge)
    with pytest.raises(MergeError):
        numbers.rmw("before", 1, "append")
    with pyfaster.open(key=str, value=float) as floats:
        with pytest.raises(MergeError):
            floats.rmw("k", 1.0, "bit_or")
        assert len(floats) == 0


@pytest.mark.parametrize("merge", ["sum", "", 5, None, print])
def test_an_unknown_merge_is_refused(
    numbers: pyfaster.FasterKv[str, int], merge: Any
) -> None:
    """A merge is one of the names, or machine code."""
    with pytest.raises((TypeError, ValueError), match="merge"):
        numbers.rmw("before", 1, merge)


def test_a_sum_that_does_not_fit_changes_nothing(
    numbers: pyfaster.FasterKv[str, int],
) -> None:
    """An overflowing merge is an OverflowError, and the old value stays."""
    numbers["big"] = (1 << 63) - 1
    with pytest.raises(MergeOverflowError) as caught:
        numbers.rmw("big", 1, "add")
    assert isinstance(caught.value, OverflowError)
    assert numbers["big"] == (1 << 63) - 1


def test_a_closed_session_says_so(store: pyfaster.FasterKv[bytes, bytes]) -> None:
    """After close() a session raises ClosedError; close() again does nothing."""
    session = store.session("s")
    session.upsert(b"k", b"v")
    session.close()
    session.close()
    calls: list[Callable[[], Any]] = [
        lambda: session.read(b"k"),
        lambda: session.upsert(b"k", b"v"),
        lambda: session[b"k"],
        lambda: session.read_many([b"k"]),
    ]
    for call in calls:
        with pytest.raises(ClosedError):
            call()
    assert store[b"k"] == b"v"


def test_update_runs_without_a_lock(numbers: pyfaster.FasterKv[str, int]) -> None:
    """The function of update() may use the same session, and sees its own writes."""

    def function(old: int) -> int:
        numbers["inside"] = old
        return old + 1

    with numbers.session() as session:
        assert (
            session.update("before", lambda old: old + (session["before"] - old)) == 1
        )
    assert numbers.update("before", function) == 2
    assert numbers["inside"] == 1
    numbers["before"] = 1


def test_update_runs_again_when_another_was_faster(
    numbers: pyfaster.FasterKv[str, int],
) -> None:
    """A write between look and change is not lost: the function sees it."""
    seen = []

    def function(old: int) -> int:
        seen.append(old)
        if len(seen) == 1:
            thread = threading.Thread(target=lambda: numbers.upsert("key", 50))
            thread.start()
            thread.join()
        return old + 1

    numbers["key"] = 10
    assert numbers.update("key", function) == 51
    assert seen == [10, 50]


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, SystemExit, ZeroDivisionError, GeneratorExit]
)
def test_an_exception_in_update_changes_nothing(
    numbers: pyfaster.FasterKv[str, int], error: type[BaseException]
) -> None:
    """What the function raises comes out as it is; value and session are whole."""

    def function(_: int) -> int:
        raise error

    with numbers.session() as session:
        serial = session.serial
        for initial in ((), (7,)):
            with pytest.raises(error):
                session.update("before", function, *initial)
            with pytest.raises(error):
                session.update("absent", function, 7)
        assert session.serial == serial
        assert session.read("before") == 1
        assert session.read("absent") is None
        session.upsert("k", 1)


def test_two_threads_in_one_session_are_told(
    numbers: pyfaster.FasterKv[str, int],
) -> None:
    """A session used by two threads raises SessionBusyError, or works; never worse.

    Batches release the GIL, so two threads do meet; each key is then written by
    exactly the calls that did not raise.
    """
    names = [str(n) for n in range(20_000)]
    with numbers.session() as session:
        done = [0, 0]
        busy = [0, 0]
        barrier = threading.Barrier(2)

        def work(me: int) -> None:
            barrier.wait()
            for _ in range(20):
                try:
                    session.rmw_many(names, [1] * len(names), merge="add")
                    done[me] += len(names)
                except SessionBusyError as error:
                    busy[me] += 1
                    done[me] += getattr(error, "done", 0)

        threads = [threading.Thread(target=work, args=(me,)) for me in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        total = sum(value for key, value in numbers.items() if key != "before")
        assert total == sum(done)
        assert sum(busy) + sum(done) // len(names) >= 40 - 1


def test_closing_a_busy_store_ends_the_batch() -> None:
    """When the store closes, another thread's batch ends, with ClosedError at most."""
    names = [str(n) for n in range(50_000)]
    for _ in range(5):
        store = pyfaster.open(key=str, value=int)
        started = threading.Event()
        ends: list[str] = []

        def work(
            store: pyfaster.FasterKv[str, int] = store,
            started: threading.Event = started,
            ends: list[str] = ends,
        ) -> None:
            with store.session() as session:
                started.set()
                try:
                    for _ in range(10_000):  # hours, if nobody closed the store
                        session.upsert_many(names, range(len(names)))
                except ClosedError as error:
                    ends.append(type(error).__name__)

        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
        store.close()
        thread.join()
        assert ends == ["ClosedError"]
