# SPDX-License-Identifier: MIT
"""The store as a whole: sessions, threads, scans, figures, its end."""

from __future__ import annotations

import dataclasses
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

import pyfaster
from pyfaster.errors import (
    ClosedError,
    ConfigError,
    SessionBusyError,
    StoreFullError,
    TooManySessionsError,
)


@pytest.fixture
def store() -> Iterator[pyfaster.FasterKv[str, int]]:
    """An open store of words and numbers."""
    with pyfaster.open(key=str, value=int) as opened:
        yield opened


def in_thread(work: Callable[[], Any]) -> Any:
    """Run something in a thread of its own, which has ended when this returns."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def test_operations_go_to_a_session(store: pyfaster.FasterKv[str, int]) -> None:
    """Every operation of a session can be called on the store, with its result."""
    store.upsert("a", 1)
    assert store.insert("a", 9) is False
    assert store.insert("b", 2) is True
    assert store.read("a") == 1
    assert store.read("z") is None
    assert store.read("z", -1) == -1
    assert store.rmw("a", 4, merge="add") == 5
    assert store.rmw("c", 4, merge="add") == 4
    assert store.compare_and_set("a", 5, 6) is True
    assert store.compare_and_set("a", 5, 7) is False
    assert store.update("a", lambda old: old * 10) == 60
    assert store.update("d", lambda old: old + 1, initial=0) == 1
    assert store.delete("d") is True
    assert store.delete("d") is False
    store.discard("d")
    assert dict(store.items()) == {"a": 60, "b": 2, "c": 4}


def test_batches_go_to_a_session(store: pyfaster.FasterKv[str, int]) -> None:
    """The batches of a session can be called on the store."""
    store.upsert_many(["a", "b"], [1, 2])
    store.rmw_many(["a", "c"], [10, 30], merge="add")
    assert list(store.read_many(["a", "b", "c", "d"])) == [11, 2, 30, None]
    store.delete_many(["a", "d"])
    assert dict(store.items()) == {"b": 2, "c": 30}


def test_update_of_an_absent_key_needs_initial(
    store: pyfaster.FasterKv[str, int],
) -> None:
    """update(key, fn) of an absent key is a KeyError; update(items) sets items."""
    with pytest.raises(KeyError, match="a"):
        store.update("a", lambda old: old)
    store.update({"a": 1}, b=2)
    store.update([("c", 3)])
    store.update(initial=4)
    assert dict(store.items()) == {"a": 1, "b": 2, "c": 3, "initial": 4}
    with pytest.raises(TypeError):
        store.update("a", lambda old: old, 1, 2)  # type: ignore[call-overload]


def test_a_session_sees_what_others_wrote(store: pyfaster.FasterKv[str, int]) -> None:
    """Sessions, the store and other threads work on the same data."""
    with store.session() as one, store.session("two") as two:
        one.upsert("a", 1)
        assert two.read("a") == store["a"] == in_thread(lambda: store["a"]) == 1


def test_a_session_name_is_live_once(store: pyfaster.FasterKv[str, int]) -> None:
    """A second session of a name is refused until the first is closed or gone."""
    with store.session("ingest"):
        with pytest.raises(SessionBusyError, match="ingest"):
            store.session("ingest")
        with store.session("other"):
            pass
    again = store.session("ingest")
    again.close()
    again = store.session("ingest")
    del again
    gc.collect()
    with store.session("ingest") as last:
        assert last.name == "ingest"


@pytest.mark.parametrize("name", ["", 5, b"x"])
def test_a_session_name_is_a_text(
    store: pyfaster.FasterKv[str, int], name: Any
) -> None:
    """What is no text is no name."""
    with pytest.raises(ConfigError):
        store.session(name)


def test_sessions_are_listed(store: pyfaster.FasterKv[str, int]) -> None:
    """sessions() tells names, serials, and which are implicit."""
    assert store.sessions() == ()
    store["a"] = 1
    with store.session("ingest") as session:
        session.upsert("b", 2)
        session.upsert("c", 3)
        found = {(one.name, one.serial, one.implicit) for one in store.sessions()}
        assert found == {(None, 1, True), ("ingest", 2, False)}
    assert [one.implicit for one in store.sessions()] == [True]


@pytest.mark.trap("X20")
def test_two_sessions_on_one_thread_are_two(
    store: pyfaster.FasterKv[str, int],
) -> None:
    """Closing one of two sessions of a thread leaves the other one whole."""
    with store.session("a") as one:
        with store.session("b") as two:
            two.upsert("x", 1)
            one.upsert("y", 1)
        one.upsert("y", 2)
        (left,) = store.sessions()
        assert (left.name, left.serial) == ("a", 2)


def test_each_thread_has_one_implicit_session(
    store: pyfaster.FasterKv[str, int],
) -> None:
    """Threads that live at once have a session each, one for all their calls."""
    barrier = threading.Barrier(4)

    def work(number: int) -> int:
        for turn in range(10):
            store[f"{number} {turn}"] = turn
        barrier.wait()
        return len(store.sessions())

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(work, range(4))) == {4}


def test_an_ended_thread_gives_its_session_back(
    store: pyfaster.FasterKv[str, int],
) -> None:
    """A thousand threads, one after another, use one implicit session."""
    for number in range(1000):
        in_thread(partial(store.upsert, "k", number))
    assert store["k"] == 999
    implicit = [one for one in store.sessions() if one.implicit]
    assert len(implicit) == 1
    assert implicit[0].serial == 1000
    assert store.stats().sessions == 1


def test_a_dropped_store_is_freed_with_its_sessions() -> None:
    """No cycle keeps a store alive: it dies with its last reference."""
    store = pyfaster.open()
    store[b"k"] = b"v"
    session = store.session()
    store.close()
    ghost = weakref.ref(store)
    gc.disable()
    try:
        del store
        assert ghost() is None
    finally:
        gc.enable()
    with pytest.raises(ClosedError):
        session.read(b"k")


def test_sessions_are_limited() -> None:
    """Beyond sessions_max there is an error that says how many there are."""
    with pyfaster.open(sessions_max=2) as store:
        with store.session(), store.session():
            with pytest.raises(TooManySessionsError, match="2"):
                store.session()
            with pytest.raises(TooManySessionsError, match="sessions_max="):
                store[b"k"] = b"v"
        store[b"k"] = b"v"
        assert store[b"k"] == b"v"


def test_len_counts_and_bool_looks(store: pyfaster.FasterKv[str, int]) -> None:
    """len() and count() are the number of live keys; an empty store is false."""
    assert (len(store), bool(store)) == (0, False)
    store.upsert_many([str(n) for n in range(5000)], range(5000))
    for number in range(0, 5000, 2):
        store.upsert(str(number), -number)
    for number in range(0, 5000, 5):
        store.delete(str(number))
    assert len(store) == store.count() == 4000
    assert bool(store)
    store.clear()
    assert (len(store), bool(store)) == (0, False)


@pytest.mark.parametrize(
    ("key", "value"),
    [(int, int), (str, bytes), (pyfaster.Bytes(40), pyfaster.Bytes(0)), (bytes, int)],
)
def test_a_scan_gives_every_live_record_once(key: Any, value: Any) -> None:
    """Over many pieces and pages, a scan gives the newest value of each key once."""

    def make(kind: Any, number: int) -> Any:
        if kind is int:
            return number
        if kind is str:
            return str(number)
        if kind is bytes:
            return b"%d" % number * (1 + number % 50)
        return (b"%d" % number).ljust(40)[: kind.size]

    with pyfaster.open(key=key, value=value, page_size="16KiB") as store:
        model = {}
        for number in range(6000):
            name = make(key, number % 4000)
            store[name] = model[name] = make(value, number)
        items = list(store.items())
        assert len(items) == len(model)
        assert dict(items) == model
        assert sorted(store.keys()) == sorted(model)
        assert sorted(store.values()) == sorted(model.values())


def test_a_scan_makes_room_for_large_records() -> None:
    """Records larger than a scan's buffers are given whole, between small ones."""
    with pyfaster.open() as store:
        model = {b"small %d" % n: b"v" for n in range(100)}
        model[b"k" * 65_535] = b"large key"
        model[b"large"] = bytes(range(256)) * 8000
        model |= {b"more %d" % n: b"v" * n for n in range(100)}
        store.update(model)
        assert dict(store.items()) == model
        assert set(store) == set(model)


def test_a_scan_may_change_what_it_walks(store: pyfaster.FasterKv[str, int]) -> None:
    """Changing and removing keys while scanning gives each of them once, and ends."""
    names = [str(n) for n in range(5000)]
    store.upsert_many(names, range(5000))
    seen = []
    for name, value in store.items():
        seen.append(name)
        if value % 2:
            store.delete(name)
        else:
            store.upsert(name, value + 5000)
        store.upsert(f"new {name}", value)
    assert sorted(name for name in seen if not name.startswith("new")) == sorted(names)
    assert len(seen) == len(set(seen))


def test_a_scan_may_be_dropped_or_handed_over(
    store: pyfaster.FasterKv[str, int],
) -> None:
    """A scan holds nothing between its steps: any thread may go on, or nobody."""
    store.upsert_many([str(n) for n in range(3000)], range(3000))
    abandoned = iter(store.items())
    next(abandoned)
    handed = iter(store)
    first = next(handed)
    rest = in_thread(lambda: list(handed))
    assert sorted([first, *rest]) == sorted(str(n) for n in range(3000))
    store.close()
    with pytest.raises(ClosedError):
        list(abandoned)


@pytest.mark.trap("X01")
def test_merges_of_many_threads_all_count() -> None:
    """Increments of one key through implicit sessions are all there at the end."""
    with pyfaster.open(key=str, value=int) as store:

        def work(_: int) -> None:
            for _turn in range(5000):
                store.rmw("counter", 1, merge="add")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert store["counter"] == 20_000


@pytest.mark.trap("X03")
def test_one_thread_wins_an_insert() -> None:
    """Of threads that insert the same keys, exactly one succeeds for each key."""
    with pyfaster.open(key=int, value=int) as store:

        def work(number: int) -> int:
            return sum(store.insert(key, number) for key in range(5000))

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(work, range(4))) == 5000
        assert len(store) == 5000


def test_one_thread_gets_what_is_popped() -> None:
    """Of threads that pop the same keys, exactly one gets each value."""
    with pyfaster.open(key=int, value=int) as store:
        store.upsert_many(range(3000), range(3000))

        def work(_: int) -> list[int]:
            return [v for k in range(3000) if (v := store.pop(k, -1)) >= 0]

        with ThreadPoolExecutor(4) as pool:
            got = [value for values in pool.map(work, range(4)) for value in values]
        assert sorted(got) == list(range(3000))


@pytest.mark.trap("X11")
def test_the_index_grows(store: pyfaster.FasterKv[str, int]) -> None:
    """The index grows by itself and by grow_index(), and loses no key."""
    names = [str(n) for n in range(20_000)]
    store.upsert_many(names, range(20_000))
    before = store.stats().index_buckets
    for _ in range(1000):  # ends: whoever comes by a part that is not split splits it
        store.grow_index()
        assert sum(store.read_many(names)) == sum(range(20_000))
        if store.stats().index_buckets > before:
            break
    assert store.stats().index_buckets > before
    assert store.read_many(names) == list(range(20_000))
    assert len(store) == 20_000


def test_stats_are_a_frozen_snapshot(store: pyfaster.FasterKv[str, int]) -> None:
    """stats() counts operations, and what it gave never changes."""
    before = store.stats()
    store.upsert("a", 1)
    store.insert("b", 1)
    store.read("a")
    store.read("z")
    store.rmw("a", 1, merge="add")
    store.compare_and_set("a", 2, 3)
    store.delete("b")
    after = store.stats()
    assert before.operations == 0
    counted = dataclasses.asdict(after)
    for name in ("upserts", "inserts", "reads_hit", "reads_missed", "rmws", "deletes"):
        assert counted[name] == 1, name
    assert after.compares == 1
    assert after.operations == 7
    assert after.memory_bytes == after.log_bytes + after.index_bytes > 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        after.rmws = 5  # type: ignore[misc]


def fill(store: pyfaster.FasterKv[int, bytes], value: bytes) -> int:
    """Add keys until the store is full; tell how many there are."""
    count = 0
    with pytest.raises(StoreFullError):
        for count in range(100_000):
            store[count] = value
    return count


def test_a_full_store_loses_nothing() -> None:
    """At the budget, all keys are readable, and can be deleted and changed in place."""
    options: Any = {"key": int, "value": pyfaster.Bytes(200), "memory": "1MiB"}
    with pyfaster.open(**options) as store:
        count = fill(store, b"v" * 200)
        assert count > 2000
        stats = store.stats()
        assert stats.memory_bytes <= 1 << 20
        assert len(store) == count
        assert all(store[key] == b"v" * 200 for key in range(count))
        store[count - 1] = b"w" * 200
        assert store[count - 1] == b"w" * 200
        assert store.delete(count - 1) is True
        assert count - 1 not in store
        assert len(store) == count - 1
        with pytest.raises(StoreFullError):
            for key in range(count, 2 * count):
                store[key] = b"x" * 200
        assert all(store[key] == b"v" * 200 for key in range(count - 1))


def test_a_full_store_says_how_to_go_on() -> None:
    """StoreFullError names the setting that helps, and the operation's key."""
    with pyfaster.open(key=int, value=bytes, memory="64KiB") as store:
        with pytest.raises(StoreFullError, match="memory=") as caught:
            for key in range(10_000):
                store[key] = b"v" * 100
        assert isinstance(caught.value, MemoryError)


def test_closing_is_idempotent_and_final() -> None:
    """After close() every operation raises ClosedError, and close() does nothing."""
    store = pyfaster.open(key=str, value=int)
    session = store.session("s")
    store["a"] = 1
    store.close()
    store.close()
    assert store.closed
    calls: list[Callable[[], Any]] = [
        lambda: store["a"],
        lambda: store.read("a"),
        lambda: store.upsert("a", 1),
        lambda: store.delete("a"),
        lambda: store.rmw("a", 1, merge="add"),
        lambda: "a" in store,
        lambda: len(store),
        lambda: list(store.items()),
        lambda: store.read_many(["a"]),
        lambda: store.session(),
        lambda: store.grow_index(),
        lambda: session.read("a"),
        lambda: in_thread_raising(lambda: store["a"]),
    ]
    for call in calls:
        with pytest.raises(ClosedError):
            call()
    session.close()


def in_thread_raising(work: Callable[[], Any]) -> Any:
    """Run something in a new thread, and raise here what it raised there."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_leaving_with_closes() -> None:
    """The with statement closes the store, also when its body raised."""
    with pytest.raises(ZeroDivisionError), pyfaster.open() as store:
        _ = 1 // 0
    assert store.closed


@pytest.mark.parametrize("timeout", [-1, 1e9, float("nan")])
def test_a_deadline_is_checked(
    store: pyfaster.FasterKv[str, int], timeout: float
) -> None:
    """A timeout out of range is refused, and the store stays open."""
    with pytest.raises(ConfigError):
        store.close(timeout)
    assert not store.closed


def test_a_forgotten_store_warns() -> None:
    """A store that is collected while open gives a ResourceWarning."""
    store = pyfaster.open()
    with pytest.warns(ResourceWarning, match="close"):
        del store
        gc.collect()


def test_repr_tells_what_it_is(store: pyfaster.FasterKv[str, int]) -> None:
    """repr() names codecs and state, and reads nothing."""
    assert repr(store) == "<FasterKv ':memory:' utf8 -> int64, open>"
    store.close()
    assert repr(store) == "<FasterKv ':memory:' utf8 -> int64, closed>"
