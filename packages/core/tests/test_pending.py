# SPDX-License-Identifier: MIT
"""Operations whose record is on the device end right, in order, or as told."""

from __future__ import annotations

import errno
import gc
import signal
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import pyfaster
from pyfaster import PENDING, Completed
from pyfaster.errors import (
    ConfigError,
    CorruptRecordError,
    DeadlineError,
    DeviceError,
)
from pyfaster.protocols import NativeDevice, PythonDevice
from pyfaster.testing import FaultyDevice, MemoryDevice, PythonDeviceServer, Rule

Store = pyfaster.FasterKv[int, int]

KEYS = 3000
PAGE = 4096


def opened(device: NativeDevice | PythonDevice, keys: int = KEYS) -> Store:
    """A store whose keys, each with thrice itself, are all on the device."""
    store = pyfaster.open(
        key=int, value=int, device=device, memory="1MiB", page_size=PAGE
    )
    store.upsert_many(list(range(keys)), [3 * key for key in range(keys)])
    store.evict()
    return store


class Shelf:
    """A device in Python that may be told to do something at its next read."""

    sector_size = 512

    def __init__(self) -> None:
        self.bytes = bytearray(1 << 20)
        self.before: Callable[[], Any] | None = None

    def read(self, offset: int, buffer: memoryview, /) -> int:
        if self.before is not None:
            answer = self.before()
            if answer is not None:
                return answer  # type: ignore[no-any-return]  # garbage, on purpose
        buffer[:] = self.bytes[offset : offset + len(buffer)]
        return len(buffer)

    def write(self, offset: int, buffer: memoryview, /) -> int:
        self.bytes[offset : offset + len(buffer)] = buffer
        return len(buffer)

    def sync(self) -> None:
        """Nothing is gathered."""

    def truncate_before(self, offset: int, /) -> None:
        """Nothing is given back."""

    def close(self) -> None:
        """Nothing is held."""


# --- single operations --------------------------------------------------------------


def test_each_operation_waits_for_its_record() -> None:
    """Every operation on a key of the device does what it does in memory."""
    with opened(MemoryDevice()) as store, store.session() as session:
        assert session.read(1) == 3
        assert session.read(KEYS) is None
        assert session.read(KEYS, -1) == -1
        assert session[2] == 6
        assert 3 in session
        assert KEYS not in session
        room = bytearray(8)
        assert session.read_into(4, room) == 8
        assert int.from_bytes(room, "little") == 12
        assert session.serial == 0
        assert session.delete(6) is True
        assert session.delete(6) is False
        assert session.compare_and_set(7, 21, 22) is True
        assert session.compare_and_set(8, 0, 22) is False
        assert session.compare_and_set(KEYS, 0, 22) is False
        assert session.update(9, lambda value: value + 1) == 28
        assert session.update(KEYS, lambda value: value + 1, 1) == 2
        session.discard(10)
        assert session.read_many(range(6, 12)) == [None, 22, 24, 28, None, 33]
        assert store.stats().device_reads > 0


def test_a_missing_key_raises_as_in_memory() -> None:
    """Where the device has no record of a key either, it is a KeyError."""
    with opened(MemoryDevice()) as store, store.session() as session:
        for call in (
            lambda: session[KEYS],
            lambda: session.read_into(KEYS, bytearray(8)),
            lambda: session.update(KEYS, lambda value: value),
            lambda: session.__delitem__(KEYS),
        ):
            with pytest.raises(KeyError):
                call()


def test_a_buffer_without_room_stays_as_it_was() -> None:
    """A value of the device that does not fit raises, and writes nothing."""
    with opened(MemoryDevice()) as store, store.session() as session:
        room = bytearray(b"1234")
        with pytest.raises(ValueError, match="the value has 8 bytes, the buffer 4"):
            session.read_into(1, room)
        assert room == b"1234"


@pytest.mark.trap("X02")
def test_the_first_rmw_of_a_key_on_the_device_sees_its_value() -> None:
    """A merge never takes a key for absent because its record has to be read."""
    with opened(MemoryDevice()) as store, store.session() as session:
        for key in range(0, KEYS, 7):
            assert session.rmw(key, 1, "add") == 3 * key + 1
        assert session.rmw(KEYS, 1, "add") == 1


@pytest.mark.trap("X03")
def test_threads_that_insert_one_key_succeed_once() -> None:
    """Of two threads that insert, also beside records on the device, one does."""
    with opened(MemoryDevice()) as store:
        wins: list[list[int]] = [[], []]
        start = threading.Barrier(2)

        def insert(mine: list[int]) -> None:
            with store.session() as session:
                start.wait()
                mine.extend(k for k in range(2 * KEYS) if session.insert(k, -1))

        threads = [threading.Thread(target=insert, args=(mine,)) for mine in wins]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(wins[0] + wins[1]) == list(range(KEYS, 2 * KEYS))
        assert store.read_many([0, KEYS - 1, KEYS]) == [0, 3 * KEYS - 3, -1]


def test_values_larger_than_the_room_at_hand_come_whole() -> None:
    """A long value is read from the device, merged and compared like a short one."""
    with pyfaster.open(
        device=MemoryDevice(), memory="4MiB", page_size="64KiB"
    ) as store:
        long = bytes(range(256)) * 100
        store[b"k"] = long
        store.evict()
        with store.session() as session:
            assert session.read(b"k") == long
            assert session.rmw(b"k", b"!", "append") == long + b"!"
            store.evict()
            assert session.compare_and_set(b"k", long + b"!", b"") is True
            store.evict()
            assert b"k" in session
            assert session[b"k"] == b""


# --- started operations -------------------------------------------------------------


def test_started_reads_end_with_their_contexts() -> None:
    """What was not in memory is PENDING, and comes back once, with its context."""
    with opened(MemoryDevice()) as store, store.session() as session:
        session.upsert(0, 5)
        assert session.start_read(0) == 5
        contexts = {key: object() for key in range(1, 500)}
        for key, context in contexts.items():
            assert session.start_read(key, context=context) is PENDING
        assert session.start_read(KEYS + 1, "absent") in (None, PENDING)
        assert session.busy >= len(contexts)
        ended = {one.key: one for one in session.complete_pending()}
        for key, context in contexts.items():
            assert ended[key] == Completed("read", key, 3 * key, 0, context, 0, None)
            assert ended[key].context is context
            assert ended[key].result() == 3 * key
        assert session.pending == 0
        assert list(session.complete_pending()) == []


def test_started_updates_keep_the_order_of_issue() -> None:
    """Merges into one key of the device: each sees the one before; serials rise."""
    with opened(MemoryDevice()) as store, store.session() as session:
        assert session.start_rmw(5, 1, "add", context="first") is PENDING
        assert session.start_rmw(5, 10, merge="add", context="second") is PENDING
        assert session.start_upsert(5, 100, "third") is PENDING
        assert session.start_delete(6, "other") is PENDING
        assert session.start_insert(7, 0, "fourth") is PENDING
        assert session.start_compare_and_set(8, 24, 25, "fifth") is PENDING
        ended = {one.context: one for one in session.complete_pending()}
        values = {name: one.value for name, one in ended.items()}
        assert values == {
            "first": 16,
            "second": 26,
            "third": None,
            "other": True,
            "fourth": False,
            "fifth": True,
        }
        serials = [ended[name].serial for name in ("first", "second", "third")]
        assert serials == sorted(serials)
        assert sorted(one.serial for one in ended.values()) == list(range(1, 7))
        assert session.serial == 6
        assert session.read_many([5, 6, 7, 8]) == [100, None, 21, 25]


def test_an_operation_that_waits_lets_started_ones_go_on() -> None:
    """A read that waits beside started ones gives its own value, they theirs."""
    with opened(MemoryDevice()) as store, store.session() as session:
        for key in range(100):
            assert session.start_read(key) is PENDING
        assert session.read(2000) == 6000
        assert session.rmw(50, 1, "add") == 151
        values = {one.key: one.value for one in session.complete_pending()}
        assert set(values) == set(range(100))
        assert all(values[key] == 3 * key for key in values if key != 50)


def test_an_upsert_behind_a_pending_update_waits_for_its_turn() -> None:
    """An upsert after a started merge of its key is the one that stays."""
    with opened(MemoryDevice()) as store, store.session() as session:
        assert session.start_rmw(5, 1, "add") is PENDING
        session.upsert(5, -5)
        assert session.read(5) == -5
        assert [one.value for one in session.complete_pending()] == [16]


def test_complete_pending_looks_without_waiting() -> None:
    """With wait=False it gives what has ended, and what has not stays pending."""
    device = FaultyDevice(MemoryDevice(), [Rule("hold", "read", nth=1, times=1)])
    with opened(device) as store, store.session() as session:
        assert session.start_read(1) is PENDING
        assert list(session.complete_pending(wait=False)) == []
        assert session.pending == 1
        assert device.release() == 1
        assert [one.value for one in session.complete_pending()] == [3]
        with pytest.raises(ConfigError, match="timeout=-1"):
            session.complete_pending(timeout=-1)


class Token:
    """Something that can be watched going."""


def test_contexts_go_with_their_operations() -> None:
    """A context lives until its operation is told of, or its session is closed."""
    with opened(MemoryDevice()) as store:
        session = store.session()
        tokens = [Token() for _ in range(20)]
        ghosts = [weakref.ref(token) for token in tokens]
        for key, token in enumerate(tokens[:10]):
            assert session.start_read(key, token) is PENDING
        del token, tokens[:10]
        gc.collect()
        assert all(ghost() is not None for ghost in ghosts)
        assert len(list(session.complete_pending())) == 10
        assert all(ghost() is None for ghost in ghosts[:10])
        for key, token in enumerate(tokens):
            assert session.start_read(key, (token, session)) is PENDING
        del token, tokens
        session.close()
        assert session.closed
        assert all(ghost() is None for ghost in ghosts)


def test_a_session_that_is_dropped_takes_its_operations_along() -> None:
    """Operations of a session in a reference cycle are collected with it."""
    with opened(MemoryDevice()) as store:
        session = store.session()
        token = Token()
        ghost = weakref.ref(token)
        for key in range(10):
            assert session.start_read(key, (token, session)) is PENDING
        del token, session
        gc.collect()
        assert ghost() is None
        assert store.read(1) == 3


# --- what goes wrong ----------------------------------------------------------------


@pytest.mark.fault("F07")
def test_one_failed_read_is_made_again() -> None:
    """EIO once: the read is repeated, and nobody learns of it."""
    device = FaultyDevice(MemoryDevice(), [Rule("fail", "read", times=1, errno=5)])
    with opened(device) as store, store.session() as session:
        assert session.read(1) == 3
        assert device.fired() == 1
        assert [session.read(key) for key in range(100)] == list(range(0, 300, 3))


@pytest.mark.fault("F08")
def test_a_broken_range_fails_only_its_keys() -> None:
    """EIO for ever in a range: keys there fail with errno, all others are right."""
    rule = Rule("fail", "read", times=None, begin=2 * PAGE, end=4 * PAGE)
    with opened(FaultyDevice(MemoryDevice(), [rule])) as store:
        with store.session() as session:
            failed: dict[int, DeviceError] = {}
            for key in range(KEYS):
                try:
                    assert session.read(key) == 3 * key
                except DeviceError as error:
                    failed[key] = error
            assert 0 < len(failed) < KEYS // 2
            assert {one.errno for one in failed.values()} == {errno.EIO}
            assert {one.status for one in failed.values()} == {-errno.EIO}
            for key, failure in failed.items():
                assert f"read: key {key}: the device failed" in str(failure)
            key = min(failed)
            with pytest.raises(OSError, match="try again"):
                session.rmw(key, 1, "add")
            session.upsert(key, 1)
            assert session.rmw(key, 1, "add") == 2


@pytest.mark.fault("F08")
def test_a_started_operation_carries_its_failure() -> None:
    """A started operation that failed has its exception in `error`, and no value."""
    rule = Rule("fail", "read", times=None)
    device = FaultyDevice(MemoryDevice(), [rule])
    with opened(device) as store, store.session() as session:
        assert session.start_rmw(1, 1, "add", "mine") is PENDING
        (one,) = session.complete_pending()
        assert (one.kind, one.key, one.value, one.context) == ("rmw", 1, None, "mine")
        assert one.status == -errno.EIO
        with pytest.raises(DeviceError, match="rmw: key 1: the device failed"):
            one.result()


def test_a_damaged_record_is_told_with_its_key() -> None:
    """Flipped bits of a record are found, its key is named, and nothing stays so."""
    shelf = Shelf()
    with opened(shelf) as store, store.session() as session:
        assert session.read(17) == 51
        whole = bytes(shelf.bytes)
        shelf.bytes[:] = bytes(byte ^ 0x10 for byte in whole)
        with pytest.raises(CorruptRecordError, match="read: key 17: its record on the"):
            session.read(17)
        assert session.start_read(19) is PENDING
        (one,) = session.complete_pending()
        assert isinstance(one.error, CorruptRecordError)
        shelf.bytes[:] = whole
        assert session.read(17) == 51
        assert session.read(18) == 54


@pytest.mark.fault("F76")
def test_a_read_that_never_ends_leaves_the_rest_usable() -> None:
    """One I/O that never completes: a deadline is kept, others go on, close returns."""
    device = FaultyDevice(MemoryDevice(), [Rule("never", "read", times=1)])
    store = opened(device)
    session = store.session()
    assert session.start_read(1) is PENDING
    with pytest.raises(DeadlineError, match="1 operations were still"):
        list(session.complete_pending(timeout=0.1))
    assert session.read(2) == 6
    assert session.rmw(3, 1, "add") == 10
    assert session.start_read(4) is PENDING
    with pytest.raises(DeadlineError):
        for one in session.complete_pending(timeout=0.1):
            assert (one.key, one.value) == (4, 12)
    session.close(timeout=0)
    assert session.closed
    store.close()


@pytest.mark.fault("F79")
@pytest.mark.parametrize("garbage", ["raise", "text", "0", "much"])
def test_a_device_that_answers_nonsense_has_failed(garbage: str) -> None:
    """An exception or a senseless answer of a device in Python is a failed read."""
    shelf = Shelf()
    server = PythonDeviceServer(shelf)
    thrown = RuntimeError("on purpose")

    def misbehave() -> Any:
        if garbage == "raise":
            raise thrown
        return {"text": "eight", "0": 0, "much": 1 << 40}[garbage]

    with opened(server) as store, store.session() as session:
        shelf.before = misbehave
        with pytest.raises((DeviceError, CorruptRecordError)):
            session.read(1)
        assert session.start_read(2) is PENDING
        (one,) = session.complete_pending()
        assert isinstance(one.error, (DeviceError, CorruptRecordError))
        if garbage == "raise":
            assert server.failures[0].error is thrown
        shelf.before = None
        assert [session.read(key) for key in range(50)] == list(range(0, 150, 3))


def test_a_signal_ends_a_wait() -> None:
    """KeyboardInterrupt leaves an operation that waits; the session is usable."""
    shelf = Shelf()
    go_on = threading.Event()
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        signal.pthread_kill(main, signal.SIGINT)
        go_on.wait()

    # Not a matter of course: a shell's background jobs begin with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with opened(shelf) as store, store.session() as session:
        shelf.before = interrupt
        with pytest.raises(KeyboardInterrupt):
            session.rmw(1, 1, "add")
        assert session.pending == 0
        shelf.before = None
        go_on.set()
        assert session.read(2) == 6
        session.upsert(1, 0)  # behind the merge, which took place all the same
        assert session.read(1) == 0
        assert session.serial == 2
    signal.signal(signal.SIGINT, before)


def test_closing_waits_for_started_updates() -> None:
    """Updates on their way when a session is closed have taken place."""
    with opened(MemoryDevice()) as store:
        session = store.session()
        for key in range(200):
            assert session.start_rmw(key, 1, "add") is PENDING
        session.close()
        wanted = [3 * key + 1 for key in range(200)]
        assert store.read_many(list(range(200))) == wanted


def test_implicit_sessions_wait_too() -> None:
    """The store as a mapping reads from the device, in any thread."""
    with opened(MemoryDevice()) as store:
        seen: list[int] = []
        threads = [
            threading.Thread(target=lambda k=key: seen.append(store[k]))
            for key in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seen) == list(range(0, 24, 3))
        assert store.pop(9) == 27
        assert 9 not in store
        assert store.setdefault(10, 0) == 30
