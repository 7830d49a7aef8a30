# SPDX-License-Identifier: MIT
"""
A durable log on a device: what is appended, committed and read.
"""

from __future__ import annotations

import array
import ctypes
import mmap
import threading
from collections.abc import Callable
from errno import EIO
from typing import Any

import numpy as np
import pytest

from pyfaster.errors import (
    ClosedError,
    ConfigError,
    DeadlineError,
    DeviceError,
    LogAddressError,
    LogTruncatedError,
    ReadOnlyError,
    ValueTooLargeError,
)
from pyfaster.flog import (
    ATTACHMENT_MAX,
    COOKIE_MAX,
    FIRST,
    HEADER,
    KINDS,
    Commit,
    Entry,
    Life,
    LogDevice,
    NativeLog,
    record_of,
)
from pyfaster.testing import FaultyDevice, MemoryDevice, Rule

PAGE = 4096


def new(device: Any = None, **settings: Any) -> NativeLog:
    """Open a new log."""
    place = LogDevice(MemoryDevice() if device is None else device)
    given = {"log_id": 7, "page_size": PAGE, "number": 0, **settings}
    given = {"lives": [Life(1, FIRST)], "begin": FIRST, "committed": FIRST, **given}
    return NativeLog(place, **given)


def payloads(log: NativeLog, **where: Any) -> list[bytes]:
    """Give all that is committed."""
    return [entry.payload for entry in log.scan(**where)]


def refused(error: type[Exception], *calls: Callable[[], object]) -> None:
    """Make calls that all raise such an error."""
    for call in calls:
        with pytest.raises(error):
            call()


def end_of(address: int, size: int) -> int:
    """Where an entry ends."""
    return (address + HEADER + size + 7) & ~7


def test_addresses_are_places() -> None:
    """An entry lies behind the one before it, with its header, rounded up to 8."""
    with new() as log:
        address = FIRST
        for size in (0, 1, 7, 8, 9, 100, 1000):
            assert log.append(b"x" * size) == address
            address = end_of(address, size)
        assert log.stats()["address_tail"] == address


def test_only_what_is_committed_is_read() -> None:
    """A scan ends at the last commit, and goes on from there after the next."""
    with new() as log:
        log.append(b"first")
        scan = log.scan()
        assert list(scan) == []
        commit = log.commit()
        assert commit.number == 1
        assert commit == log.committed
        found = list(scan)
        assert [entry.payload for entry in found] == [b"first"]
        log.append(b"second")
        assert list(scan) == []
        log.commit()
        assert [entry.payload for entry in scan] == [b"second"]


def test_an_entry_says_where_it_is() -> None:
    """Address and next of an entry lead to itself and to the following one."""
    with new() as log:
        addresses = [log.append(bytes([i]) * i) for i in range(20)]
        log.commit()
        found = list(log.scan())
        assert [entry.address for entry in found] == addresses
        assert {entry.kind for entry in found} == {KINDS["data"]}
        for i, entry in enumerate(found):
            assert log.read(entry.address) == entry.payload
            assert payloads(log, start=entry.next) == [
                e.payload for e in found[i + 1 :]
            ]
            assert payloads(log, until=entry.next) == [
                e.payload for e in found[: i + 1]
            ]
        assert repr(found[2]) == (
            f"Entry(address={addresses[2]}, payload=b'\\x02\\x02', "
            f"next={found[2].next})"
        )


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview, array.array, np.array])
def test_anything_with_a_buffer_is_an_entry(make: Any) -> None:
    """All contiguous buffers are taken by their bytes, whatever their type."""
    data: Any
    if make is array.array:
        data = array.array("d", [1.0, 2.5])
    elif make is np.array:
        data = np.arange(6, dtype="<i4").reshape(2, 3)
    else:
        data = make(b"some bytes")
    wanted = bytes(memoryview(data).cast("B"))
    with new() as log:
        log.append(data)
        log.append_and_commit(data)
        log.append_many([data, data])
        log.append_many(data, offsets=array.array("Q", [0, len(wanted)]))
        log.commit()
        assert payloads(log) == [wanted] * 5


def test_foreign_memory_is_an_entry() -> None:
    """Memory of ctypes and of mmap, and subclasses of bytes, are taken, too."""

    class Mine(bytes):
        pass

    block = (ctypes.c_uint16 * 3)(1, 2, 3)
    with new() as log, mmap.mmap(-1, 16) as area:
        for data in (block, area, Mine(b"mine")):
            log.append(data)
        log.commit()
        assert payloads(log) == [bytes(block), bytes(16), b"mine"]


@pytest.mark.parametrize("wrong", ["text", 5, None, 1.5, object(), [b"a"]])
def test_what_has_no_buffer_is_refused(wrong: Any) -> None:
    """Without a buffer there is a TypeError, and nothing is appended."""
    with new() as log:
        refused(
            TypeError,
            lambda: log.append(wrong),
            lambda: log.append_and_commit(wrong),
            lambda: log.append_many([b"good", wrong]),
            lambda: log.append_many(wrong, offsets=array.array("Q", [0])),
        )
        assert log.stats()["entries"] == 0


def test_memory_with_gaps_is_refused() -> None:
    """A buffer that does not lie in a row is not copied silently."""
    with new() as log:
        strided = memoryview(b"abcdef")[::2]
        refused(
            BufferError,
            lambda: log.append(strided),
            lambda: log.append_many([strided]),
        )
        column: Any = np.zeros((4, 4))[:, 1]
        with pytest.raises((BufferError, ValueError)):
            log.append(column)
        assert log.stats()["entries"] == 0


def test_sizes_have_a_limit() -> None:
    """The largest entry fits a page; a larger one is refused with both sizes."""
    with new() as log:
        most = log.payload_max
        assert PAGE // 2 < most <= PAGE - HEADER
        log.append(b"m" * most)
        text = rf"it has {most + 1:,} bytes; at most {most:,} bytes are allowed"
        calls: list[Callable[[], object]] = [
            lambda: log.append(bytes(most + 1)),
            lambda: log.append(bytearray(most + 1)),
            lambda: log.append_and_commit(bytes(most + 1)),
            lambda: log.append_many([b"", bytes(most + 1)]),
            lambda: log.append_many(
                bytes(most + 1), offsets=array.array("Q", [0, 0, most + 1])
            ),
        ]
        for call in calls:
            with pytest.raises(ValueTooLargeError, match=text):
                call()
        log.commit()
        assert payloads(log) == [b"m" * most]


def test_commits_have_numbers_and_cookies() -> None:
    """A strong commit's record carries its cookie, and what was attached."""
    with new(page_size=1 << 16) as log:
        log.attach(b"state")
        log.append(b"entry")
        first = log.commit_strong(b"cookie")
        second = log.commit_strong(bytearray(b"c" * COOKIE_MAX))
        assert (first.number, second.number) == (1, 2)
        records = [
            record_of(entry.payload)
            for entry in log.scan(commits=True)
            if entry.kind == KINDS["commit"]
        ]
        assert [record.cookie for record in records] == [b"cookie", b"c" * COOKIE_MAX]
        assert [record.number for record in records] == [1, 2]
        assert [record.until for record in records] == [first.until, second.until]
        assert {record.attachment for record in records} == {b"state"}
        assert records[1].durable == first.until
        assert payloads(log) == [b"entry"]
        with pytest.raises(ValueTooLargeError):
            log.commit_strong(bytes(COOKIE_MAX + 1))
        with pytest.raises(ValueTooLargeError):
            log.attach(bytes(ATTACHMENT_MAX + 1))


def test_a_commit_covers_what_was_asked() -> None:
    """Everything below the address is durable; what is already, takes no commit."""
    with new() as log:
        log.append(b"a" * 100)
        end = end_of(log.append(b"b"), 1)
        commit = log.commit(end)
        assert commit.until >= end
        assert log.commit(end) == commit
        assert log.commit(FIRST) == commit
        log.append(b"c")
        assert log.commit().number == commit.number + 1
        with pytest.raises(LogAddressError):
            log.commit(log.stats()["address_tail"] + 8)


def test_a_request_is_carried_out() -> None:
    """Somebody waits for a commit that a thread of the log makes."""
    with new() as log:
        seen = log.committed.until
        assert not log.wait_committed(seen, timeout=0)
        end = end_of(log.append(b"later"), 5)
        log.request()
        assert log.wait_committed(seen)
        assert log.committed.until >= end
        assert log.wait_committed(seen, timeout=0)


@pytest.mark.parametrize("policy", [{"commit_bytes": 1000}, {"commit_ms": 1}])
def test_commits_by_themselves(policy: dict[str, int]) -> None:
    """With a policy nobody has to ask for commits."""
    with new(**policy) as log:
        log.append_many([b"x" * 100] * 50)
        assert log.wait_committed(FIRST)
        assert log.committed.number >= 1


def test_addresses_that_are_none() -> None:
    """What is no committed entry's address is refused, for reading and scanning."""
    with new() as log:
        address = log.append(b"entry")
        with pytest.raises(LogAddressError):
            log.read(address)
        log.commit()
        for wrong in (0, 8, address + 4, log.committed.until, 1 << 40):
            with pytest.raises(LogAddressError):
                log.read(wrong)
        with pytest.raises(LogAddressError):
            log.scan(start=address + 4)
        with pytest.raises(OverflowError):
            log.read(-1)
        with pytest.raises(TypeError):
            log.read("text")  # type: ignore[arg-type]  # that is tested


def test_a_log_begins_later() -> None:
    """What lies below the beginning is gone, for reads and scans."""
    with new() as log:
        addresses = [log.append(bytes([i]) * 100) for i in range(100)]
        log.commit()
        scan = log.scan()
        next(scan)
        log.begin_at(addresses[50])
        log.free_space()
        assert log.stats()["address_begin"] == addresses[50]
        assert payloads(log)[0] == bytes([50]) * 100
        log.begin_at(addresses[10])
        assert log.stats()["address_begin"] == addresses[50]
        with pytest.raises(LogAddressError):
            log.read(addresses[49])
        with pytest.raises(
            LogTruncatedError, match=f"begins at address {addresses[50]:,}"
        ):
            log.scan(start=addresses[49])
        with pytest.raises(LogTruncatedError):
            list(scan)
        with pytest.raises(LogAddressError):
            log.begin_at(log.committed.until + 8)


def test_an_end_is_cut_off() -> None:
    """After a new life the log goes on where it was cut, and scans notice."""
    with new() as log:
        addresses = [log.append(bytes([i]) * 100) for i in range(20)]
        log.commit()
        scan = log.scan()
        assert next(scan).address == addresses[0]
        log.suspend()
        first = (addresses[10] + 511) & ~511
        lives = [Life(1, FIRST, addresses[10]), Life(2, first)]
        log.restart(lives, log.committed.number)
        assert payloads(log) == [bytes([i]) * 100 for i in range(10)]
        assert log.append(b"new") == first
        log.commit()
        assert payloads(log)[10:] == [b"new"]
        assert [entry.payload for entry in scan][-1] == b"new"
        log.suspend()
        log.resume()
        log.append(b"more")
        log.commit()
        assert payloads(log)[10:] == [b"new", b"more"]


def test_a_closed_log_refuses() -> None:
    """After close() every call raises ClosedError; a second close does nothing."""
    log = new()
    address = log.append(b"entry")
    log.commit()
    scan = log.scan()
    log.close()
    log.close()
    assert log.closed
    refused(
        ClosedError,
        lambda: log.append(b""),
        lambda: log.append(bytearray(b"")),
        lambda: log.append_many([b"a"]),
        lambda: log.append_many(b"a", offsets=array.array("Q", [0, 1])),
        lambda: log.append_and_commit(b""),
        lambda: log.read(address),
        lambda: log.scan(),
        lambda: next(scan),
        lambda: scan.next_piece(),
        lambda: log.commit(),
        lambda: log.commit_strong(b""),
        lambda: log.request(),
        lambda: log.wait_committed(1 << 40),
        lambda: log.begin_at(FIRST),
        lambda: log.suspend(),
        lambda: log.stats(),
    )


def test_a_log_for_reading() -> None:
    """Nothing is appended to a log that was opened for reading."""
    with new(read_only=True) as log:
        refused(
            ReadOnlyError,
            lambda: log.append(b""),
            lambda: log.append_many([b""]),
            lambda: log.commit(),
            lambda: log.commit_strong(b""),
            lambda: log.begin_at(FIRST),
        )
        assert list(log.scan()) == []
        assert log.committed == Commit(0, FIRST)
        assert log.failure is None


def test_settings_out_of_range() -> None:
    """A log is not opened with settings that make no sense; the device is closed."""
    settings: list[dict[str, Any]] = [
        {"page_size": 1000},
        {"begin": 3},
        {"committed": 0},
        {"lives": []},
        {"lives": [Life(1, FIRST, 5000)]},
    ]
    for wrong in settings:
        device = MemoryDevice()
        with pytest.raises(ConfigError):
            new(device, **wrong)
    place = LogDevice(MemoryDevice())
    place.close()
    place.close()
    with pytest.raises(ClosedError):
        NativeLog(
            place,
            log_id=1,
            lives=[Life(1, FIRST)],
            begin=FIRST,
            committed=FIRST,
            number=0,
        )


def test_a_device_says_what_it_is() -> None:
    """Unit and capabilities of a device are known before a log takes it."""
    place = LogDevice(MemoryDevice())
    try:
        assert place.unit >= 1
        assert "volatile" in place.capabilities
        assert place.address != 0
    finally:
        place.close()


def test_a_device_is_synced_before_a_log_takes_it() -> None:
    """What is found on a device can be made durable; a failure to do so is told."""
    device = FaultyDevice(MemoryDevice(), [Rule("fail", "sync", nth=2, errno=EIO)])
    place = LogDevice(device)
    try:
        place.sync()
        assert device.stats()["syncs"] == 1
        with pytest.raises(DeviceError) as caught:
            place.sync()
        assert caught.value.errno == EIO
    finally:
        place.close()
    with pytest.raises(ClosedError):
        place.sync()


def test_waiting_has_a_deadline() -> None:
    """What nobody makes durable is waited for only so long."""
    with new() as log:
        log.append(b"entry")
        log.suspend()
        with pytest.raises(DeadlineError):
            log.commit_strong(b"", timeout=0.0)
        assert not log.wait_room(timeout=0)
        log.resume()
        assert log.wait_room(timeout=0)
        log.commit_strong(b"", timeout=60)


def test_many_threads_append_and_commit() -> None:
    """Each thread's entries are there, in its order, and none is there twice."""
    threads, each = 8, 200
    with new(memory=1 << 20) as log:
        start = threading.Barrier(threads)

        def work(number: int) -> None:
            start.wait(60)
            for i in range(each):
                data = b"%d %d" % (number, i)
                if i % 20 == 0:
                    address = log.append_and_commit(data)
                    assert log.committed.until > address
                elif i % 7 == 0:
                    log.append_many([data])
                else:
                    log.append(data)

        workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        log.commit()
        found = payloads(log)
    assert len(found) == threads * each
    for number in range(threads):
        mine = [data for data in found if data.startswith(b"%d " % number)]
        assert mine == [b"%d %d" % (number, i) for i in range(each)]


def test_entries_are_made_by_scans_alone() -> None:
    """There is no constructor of entries, pieces and scans."""
    with new() as log:
        log.append_and_commit(b"entry")
        scan = log.scan()
        assert scan.log is log
        piece = log.scan().next_piece()
        kinds: list[Any] = [Entry, type(scan), type(piece)]
        refused(TypeError, *kinds)
        entry: Any = next(scan)
        with pytest.raises(AttributeError):
            entry.address = 5
