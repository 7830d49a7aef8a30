# SPDX-License-Identifier: MIT
"""A store whose log is larger than its memory: regions, scans, devices that fail."""

from __future__ import annotations

import errno
import gc
import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

import pyfaster
from pyfaster import _cabi
from pyfaster.testing import FaultyDevice, MemoryDevice, Rule

KEYS = 20_000
MEMORY = 1 << 20


def load(store: pyfaster.FasterKv[int, bytes], keys: int = KEYS) -> None:
    """Set so many keys, several times what the log may hold."""
    with store.session() as session:
        for key in range(keys):
            session.upsert(key, value_of(key))


def value_of(key: int, version: int = 0) -> bytes:
    """A value that says whose it is."""
    return f"{key}:{version}:".encode() + b"x" * (key % 60)


def open_on(device: Any, **settings: Any) -> pyfaster.FasterKv[int, bytes]:
    """A store of a megabyte on a device."""
    given = {"memory": MEMORY, "page_size": 16 << 10, **settings}
    return pyfaster.open(key=int, value=bytes, device=device, **given)


class Shelf:
    """A device in Python, which needs the GIL for everything it does."""

    def __init__(self) -> None:
        self.data = bytearray()

    def read(self, offset: int, buffer: memoryview) -> int:
        """Give what there is."""
        part = self.data[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def write(self, offset: int, buffer: memoryview) -> int:
        """Keep it."""
        end = offset + len(buffer)
        if len(self.data) < end:
            self.data.extend(bytes(end - len(self.data)))
        self.data[offset:end] = buffer
        return len(buffer)

    def sync(self) -> None:
        """Nothing is behind."""

    def truncate_before(self, offset: int) -> None:
        """Keep everything."""

    def close(self) -> None:
        """Nothing to end."""


class FullShelf(Shelf):
    """A shelf that takes twenty writes, and no more while `code` is set."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code
        self.writes = 0

    def write(self, offset: int, buffer: memoryview) -> int:
        """Keep it, where there is room."""
        self.writes += 1
        if self.code and self.writes > 20:
            raise OSError(self.code, "no room")
        return super().write(offset, buffer)


@pytest.fixture
def store() -> Iterator[pyfaster.FasterKv[int, bytes]]:
    """A loaded store on a device in memory."""
    with open_on(MemoryDevice()) as store:
        load(store)
        yield store


def test_memory_stays_within_the_budget(
    store: pyfaster.FasterKv[int, bytes],
) -> None:
    """What does not fit goes to the device, in order, and memory stays bounded."""
    stats = store.stats()
    assert stats.address_begin <= stats.address_head <= stats.address_flushed
    assert stats.address_safe_read_only <= stats.address_read_only
    assert stats.address_read_only <= stats.address_tail
    assert stats.pages_evicted > 0
    assert stats.memory_used <= stats.memory_limit == MEMORY
    assert stats.log_bytes < stats.address_tail


def test_every_key_is_read_back(store: pyfaster.FasterKv[int, bytes]) -> None:
    """Batches read what is on the device and what is in memory alike."""
    with store.session() as session:
        keys = random.Random(1).sample(range(KEYS + 100), 3000)
        got = session.read_many(keys)
    assert got == [value_of(key) if key < KEYS else None for key in keys]
    assert store.stats().device_reads > 0


def test_mutable_fraction_says_how_much_changes_in_place() -> None:
    """A larger share keeps read-only further behind the tail."""
    behind = []
    for fraction in (0.2, 0.8):
        with open_on(MemoryDevice(), mutable_fraction=fraction) as store:
            load(store)
            stats = store.stats()
            behind.append(stats.address_tail - stats.address_read_only)
            share = behind[-1] / stats.log_bytes
            assert abs(share - fraction) < 0.25
    assert behind[0] < behind[1]


def test_flush_writes_everything_and_keeps_it(
    store: pyfaster.FasterKv[int, bytes],
) -> None:
    """After a flush the device has all that was there, and memory as before."""
    tail = store.stats().address_tail
    store.flush()
    stats = store.stats()
    assert stats.address_flushed >= tail
    assert stats.address_head < stats.address_flushed


@pytest.mark.trap("X09")
def test_what_is_added_after_a_flush_is_written_too(
    store: pyfaster.FasterKv[int, bytes],
) -> None:
    """A page that was flushed half full gets its later records to the device."""
    for round_ in range(5):
        store.flush()
        for key in range(round_ * 400, round_ * 400 + 400):
            store[key] = value_of(key, round_ + 1)
    store.evict()
    stats = store.stats()
    assert stats.address_head == stats.address_tail
    with store.session() as session:
        got = session.read_many(range(2000))
    assert got == [value_of(key, key // 400 + 1) for key in range(2000)]


def test_evicted_keys_are_updated(store: pyfaster.FasterKv[int, bytes]) -> None:
    """Upserts and deletes of keys that left memory are what later reads see."""
    store.evict()
    with store.session() as session:
        session.upsert_many(range(0, KEYS, 2), [b"new"] * (KEYS // 2))
        assert session.delete_many(range(1, 2001, 2)) == [True] * 1000
        store.evict()
        got = session.read_many(range(2000))
    assert got == [None if key % 2 else b"new" for key in range(2000)]


def test_a_scan_gives_each_live_key_once(
    store: pyfaster.FasterKv[int, bytes],
) -> None:
    """Overwritten and deleted keys on the device do not come back."""
    with store.session() as session:
        session.upsert_many(range(0, KEYS, 3), [b"new"] * len(range(0, KEYS, 3)))
        session.delete_many(range(1, KEYS, 3))
    expected = dict.fromkeys(range(0, KEYS, 3), b"new")
    expected |= {key: value_of(key) for key in range(2, KEYS, 3)}
    items = list(store.scan_items())
    assert len(items) == len(expected)
    assert dict(items) == expected
    assert store.count() == len(store) == len(expected)


def test_a_scan_goes_on_from_its_cursor(
    store: pyfaster.FasterKv[int, bytes],
) -> None:
    """Pieces of a scan, with evictions between, make up the whole."""
    seen: list[int] = []
    cursor = None
    step = 1237
    while True:
        scan = store.scan(cursor)
        piece = [key for key, _ in (next(scan, (None, b"")) for _ in range(step))]
        seen += [key for key in piece if key is not None]
        if None in piece:
            break
        cursor = scan.cursor
        store.evict()
    assert sorted(seen) == list(range(KEYS))


def test_a_scan_is_right_beside_writers(
    store: pyfaster.FasterKv[int, bytes],
) -> None:
    """Each key is given once while others move to the tail and to the device."""
    seen = []
    for n, (key, value) in enumerate(store.scan()):
        seen.append(key)
        assert value.startswith(b"%d:" % key)
        if n % 100 == 0:
            store[n] = value_of(n, 1)
    assert sorted(seen) == list(range(KEYS))


def test_values_up_to_a_page_come_back() -> None:
    """A record that fills a page takes a second read, and grows and shrinks."""
    sizes = [0, 1, 7, 8, 500, 5000, (64 << 10) - 200]
    with open_on(MemoryDevice(), memory="2MiB", page_size="64KiB") as store:
        for turn in range(3):
            for key in range(60):
                store[key] = bytes([key]) * sizes[(key + turn) % len(sizes)]
            store.evict()
            with store.session() as session:
                got = session.read_many(range(60))
            assert got == [
                bytes([key]) * sizes[(key + turn) % len(sizes)] for key in range(60)
            ]


def test_closing_the_store_ends_what_was_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Updates that wait for the device have taken place when the core is closed."""
    seen = []
    close = _cabi.Kv.close

    def look_and_close(kv: _cabi.Kv, timeout_ms: int) -> None:
        figures = _cabi.kv_stats(kv)
        seen.append((figures["pending"], figures["deletes"]))
        close(kv, timeout_ms)

    with open_on(MemoryDevice()) as store:
        load(store)
        store.evict()
        session = store.session()
        for key in range(50):
            assert session.start_delete(key) is pyfaster.PENDING
        stats = store.stats()
        assert (stats.pending, stats.deletes) == (50, 0)
        monkeypatch.setattr(_cabi.Kv, "close", look_and_close)
    assert seen == [(0, 50)]
    with pytest.raises(pyfaster.ClosedError):
        session.complete_pending()


# --- borrowed values ----------------------------------------------------------------


def test_a_view_keeps_its_page(store: pyfaster.FasterKv[int, bytes]) -> None:
    """A borrowed value and its slices are intact while all else leaves memory."""
    store.flush()
    key = KEYS - 1
    with store.session() as session:
        with session.read_view(key) as view:
            assert view.readonly
            part = view[1:4]
        with pytest.raises(pyfaster.DeadlineError):
            store.evict(timeout=0.05)
        load(store, 1000)
        assert bytes(part) == value_of(key)[1:4]
        del part, view
        store.evict()
        assert store.stats().address_head == store.stats().address_tail
        assert session.read(key) == value_of(key)


def test_a_view_outlives_the_store_in_a_cycle() -> None:
    """Whatever the collector takes first, the view's bytes are there until it goes."""
    seen = []

    class Holder:
        def __del__(self) -> None:
            seen.append(bytes(self.part))

    holder: Any = Holder()
    with open_on(MemoryDevice()) as store:
        store[1] = b"value"
        store.flush()
        session = store.session()
        manager = session.read_view(1)
        holder.part = manager.__enter__()[1:]
        holder.rest = [holder, manager, session, store]
    del holder, manager, session, store
    gc.collect()
    assert seen == [b"alue"]


def test_a_view_that_stays_does_not_hang_writers() -> None:
    """Where a view keeps the only pages that could go, writers are told."""
    with open_on(MemoryDevice(), memory="256KiB", page_size="16KiB") as store:
        store[-1] = b"value"
        store.flush()
        with store.session() as session, session.read_view(-1) as view:
            with pytest.raises(pyfaster.StoreFullError):
                load(store)
            assert bytes(view) == b"value"
        load(store, 5000)
        assert store[-1] == b"value"


# --- devices that fail --------------------------------------------------------------


def fill_until_refused(store: pyfaster.FasterKv[int, bytes]) -> tuple[int, Exception]:
    """Set keys until one is refused; give how many were set, and why."""
    for key in range(10 * KEYS):
        try:
            store[key] = value_of(key)
        except pyfaster.FasterError as error:
            return key, error
    raise AssertionError("no write was refused")


@pytest.mark.fault("F05")
def test_a_write_that_fails_once_is_made_again() -> None:
    """One failed write is nobody's concern: all keys come back."""
    device = FaultyDevice(MemoryDevice(), [Rule("fail", "write", nth=5)])
    with open_on(device) as store:
        load(store)
        assert store.write_failure is None
        assert store.count() == KEYS


@pytest.mark.fault("F06")
def test_writes_that_fail_for_ever_end_in_an_error() -> None:
    """Nothing in memory is lost, the error says which bytes, and close ends."""
    rule = Rule("fail", "write", nth=20, times=None)
    with open_on(FaultyDevice(MemoryDevice(), [rule])) as store:
        count, error = fill_until_refused(store)
        assert isinstance(error, pyfaster.DeviceError)
        assert error.errno == errno.EIO
        failure = store.write_failure
        assert failure is not None
        assert failure.errno == errno.EIO
        assert "bytes" in str(failure)
        with pytest.raises(pyfaster.DeviceError, match="flush"):
            store.flush()
        with store.session() as session:
            got = session.read_many(range(count))
        assert got == [value_of(key) for key in range(count)]


@pytest.mark.fault("F09")
@pytest.mark.fault("F10")
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_writes_go_on_when_there_is_space_again(code: int) -> None:
    """A full device refuses appends, and takes them when it has room again."""
    device = FullShelf(code)
    with open_on(device) as store:
        count, error = fill_until_refused(store)
        assert isinstance(error, pyfaster.DeviceError)
        assert error.errno == code
        device.code = 0
        done, pause = count, threading.Event()
        for _ in range(100_000):  # each refused attempt makes the worker try again
            if done == KEYS:
                break
            try:
                store[done] = value_of(done)
                done += 1
            except pyfaster.DeviceError:
                pause.wait(0.001)  # for it, which may not have run yet
        assert done == KEYS
        store.flush()
        assert store.write_failure is None
        assert dict(store.scan_items()) == {key: value_of(key) for key in range(KEYS)}


@pytest.mark.fault("F08")
@pytest.mark.trap("T22")
def test_a_scan_reports_the_gap_and_goes_on() -> None:
    """A page that cannot be read costs its keys alone."""
    rule = Rule("fail", "read", times=None, begin=0, end=16 << 10)
    with open_on(FaultyDevice(MemoryDevice(), [rule])) as store:
        load(store)
        scan = store.scan()
        with pytest.raises(pyfaster.DeviceError) as raised:
            next(scan)
        assert raised.value.errno == errno.EIO
        rest = [key for key, _ in scan]
        missing = sorted(set(range(KEYS)) - set(rest))
        assert missing == list(range(len(missing)))
        assert 0 < len(missing) < 1000


@pytest.mark.fault("F08")
def test_a_damaged_page_is_never_a_value() -> None:
    """A bit that the device flips ends the scan of its page, not in a wrong value."""
    rule = Rule("flip", "read", times=None, end=16 << 10, argument=12_345)
    with open_on(FaultyDevice(MemoryDevice(), [rule])) as store:
        load(store)
        scan = store.scan()
        seen = []
        damaged = 0
        while True:
            try:
                key, value = next(scan)
            except StopIteration:
                break
            except pyfaster.CorruptionError:
                damaged += 1
                continue
            assert value == value_of(key)
            seen.append(key)
        assert damaged == 1
        assert KEYS - 1000 < len(seen) < KEYS


@pytest.mark.fault("F76")
def test_close_ends_though_a_write_never_does() -> None:
    """A device that keeps a write for ever does not keep the store open."""
    device = FaultyDevice(MemoryDevice(), [Rule("never", "write", nth=3)])
    store = open_on(device)
    with pytest.raises(pyfaster.DeadlineError):
        load(store, 2000)
        store.flush(timeout=0.05)
    store.close()
    assert store.closed


# --- what once hung or crashed ------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 64, 65])
def test_small_batches_wait_without_the_gil(count: int) -> None:
    """A batch of any size lets a device in Python run while it waits for it."""
    with (
        pyfaster.open(
            key=int, value=int, device=Shelf(), memory=MEMORY, page_size=16 << 10
        ) as store,
        store.session() as session,
    ):
        for first in range(0, 40_000, 50):
            session.upsert_many(range(first, first + 50), [1] * 50)
        store.evict()
        keys = range(count)
        assert session.read_many(keys) == [1] * count
        session.rmw_many(keys, [1] * count, merge="add")
        store.evict()
        assert session.read_many(keys) == [2] * count
        assert session.delete_many(keys) == [True] * count
        assert session.read_many(keys) == [None] * count


@pytest.mark.fault("F06")
@pytest.mark.parametrize("nth", [1, 5, 20])
def test_small_records_do_not_hang_when_writes_fail(nth: int) -> None:
    """Where the index wants memory that the log cannot give, writers are told."""
    rule = Rule("fail", "write", nth=nth, times=None)
    with pyfaster.open(
        key=int,
        value=int,
        device=FaultyDevice(MemoryDevice(), [rule]),
        memory=MEMORY,
        page_size=4096,
    ) as store:
        with pytest.raises((pyfaster.DeviceError, pyfaster.StoreFullError)):
            for key in range(10 * KEYS):
                store[key] = key
        assert store[0] == 0


def test_two_threads_of_one_session_are_told_apart() -> None:
    """A second thread gets SessionBusyError, or what is its own; never the first's."""
    with open_on(Shelf()) as store:
        load(store, 4000)
        store.evict()
        with store.session() as session:
            done = threading.Event()

            def take() -> None:
                while not done.is_set():
                    with suppress(pyfaster.SessionBusyError):
                        assert list(session.complete_pending(wait=False)) == []

            other = threading.Thread(target=take)
            other.start()
            try:
                for key in range(300):
                    while True:
                        try:
                            assert session.read(key) == value_of(key)
                            break
                        except pyfaster.SessionBusyError:
                            continue
            finally:
                done.set()
                other.join()
