# SPDX-License-Identifier: MIT
"""Where a scan stands, whose cursor it takes, and what it says of damage."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from typing import Any

import pytest

import pyfaster
from pyfaster import ScanCursor, _cabi
from pyfaster.errors import (
    ConfigError,
    CorruptionError,
    CorruptRecordError,
    DeviceError,
    error_for,
)
from pyfaster.testing import FaultyDevice, MemoryDevice, Rule

Store = pyfaster.FasterKv[int, int]

KEYS = 5000
PAGE = 16 << 10


def opened(*rules: Rule) -> Store:
    """A store whose keys, each with twice itself, are all on the device."""
    device = FaultyDevice(MemoryDevice(), list(rules))
    store = pyfaster.open(
        key=int, value=int, device=device, memory="1MiB", page_size=PAGE
    )
    store.upsert_many(list(range(KEYS)), [2 * key for key in range(KEYS)])
    store.evict()
    return store


@pytest.fixture
def store() -> Iterator[Store]:
    """A store on a device that works."""
    with opened() as store:
        yield store


def page_of(error: BaseException) -> tuple[int, int]:
    """The addresses that a message names."""
    found = re.search(r"from byte ([\d,]+) to ([\d,]+) ", str(error))
    assert found is not None, str(error)
    start, end = (int(text.replace(",", "")) for text in found.groups())
    return start, end


# --- cursors ------------------------------------------------------------------------


def test_cursors_can_be_named(store: Store) -> None:
    """A scan and its cursor are of public types."""
    scan = store.scan()
    assert isinstance(scan, pyfaster.Scanner)
    assert isinstance(scan.cursor, pyfaster.ScanCursor)


def test_a_scan_that_was_not_stepped_stands_where_it_began(store: Store) -> None:
    """The cursor before the first step is that which the scan was given."""
    first = store.scan()
    whole = [key for key, _ in store.scan(first.cursor)]
    assert whole == list(range(KEYS))
    for _ in range(100):
        next(first)
    again = store.scan(first.cursor)
    assert again.cursor == first.cursor
    third = store.scan(again.cursor)
    assert next(third) == (100, 200)


def test_a_cursor_goes_through_its_numbers(store: Store) -> None:
    """Three numbers are all of a cursor: one made of them goes on the same way."""
    scan = store.scan()
    next(scan)
    kept = scan.cursor
    copy = ScanCursor(kept.position, kept.end, kept.store)
    assert [key for key, _ in store.scan(copy)] == list(range(1, KEYS))
    assert list(store.scan(ScanCursor())) == list(store.scan())


@pytest.mark.parametrize("device", [None, MemoryDevice])
def test_a_cursor_of_another_store_is_refused(device: Any) -> None:
    """A cursor of another store never reaches the core, in memory or not."""
    where = {} if device is None else {"device": device(), "memory": "1MiB"}
    with opened() as other, pyfaster.open(key=int, value=int, **where) as store:
        store[1] = 1
        other_scan, scan = other.scan(), store.scan()
        for cursor in (other_scan.cursor, ScanCursor(64, 128), ScanCursor(0, 0, 1)):
            with pytest.raises(ConfigError, match="of another store"):
                store.scan(cursor)
        next(scan)
        with pytest.raises(ConfigError, match="of another store"):
            other.scan(scan.cursor)
        assert list(store.scan(scan.cursor)) == []


@pytest.mark.parametrize("change", [(-1, 64), (64, 1 << 64), (1 << 70, 0), ("8", 64)])
def test_numbers_that_are_no_address_are_refused(
    store: Store, change: tuple[Any, Any]
) -> None:
    """A cursor of this store with senseless numbers is a ConfigError."""
    cursor = ScanCursor(*change, store.scan().cursor.store)
    with pytest.raises(ConfigError, match="no place of this store's log"):
        store.scan(cursor)


def test_places_outside_the_log_are_refused(store: Store) -> None:
    """The first step says that the place is none, and the store is as it was."""
    mine = store.scan().cursor.store
    tail = store.stats().address_tail
    for position, end in ((3, tail), (1 << 40, 1 << 41), (64, tail + 8)):
        scan = store.scan(ScanCursor(position, end, mine))
        with pytest.raises(ConfigError, match="no place of this store's log"):
            next(scan)
    assert store.count() == KEYS


def test_what_is_no_cursor_is_refused(store: Store) -> None:
    """Numbers alone are no cursor, and the message says where to get one."""
    with pytest.raises(ConfigError, match="expected what a scan's `cursor` gave"):
        store.scan((0, 0))  # type: ignore[arg-type]


# --- damage -------------------------------------------------------------------------


@pytest.mark.fault("F08")
def test_a_page_that_cannot_be_read_is_named() -> None:
    """The message has the page's addresses, the reason, and what to do."""
    rule = Rule("fail", "read", times=None, begin=PAGE, end=2 * PAGE)
    with opened(rule) as store:
        scan = store.scan()
        seen = []
        with pytest.raises(DeviceError, match="go on with the same scan") as raised:
            seen += [key for key, _ in iter(lambda: next(scan), None)]
        assert page_of(raised.value) == (PAGE, 2 * PAGE)
        assert raised.value.errno == errno.EIO
        assert raised.value.status == -errno.EIO
        assert "could not be read from the device" in str(raised.value)
        assert str(raised.value).count(store.name) == 1
        behind = scan.cursor
        assert behind.position == 2 * PAGE
        rest = [key for key, _ in scan]
        assert rest == [key for key, _ in store.scan(behind)]
        assert 0 < KEYS - len(rest) < 2 * PAGE // 16


@pytest.mark.fault("F08")
def test_a_damaged_page_is_named() -> None:
    """A flipped bit is a CorruptRecordError that says in which page it is."""
    rule = Rule("flip", "read", times=None, begin=PAGE, end=2 * PAGE, argument=9000)
    with opened(rule) as store:
        scan = store.scan()
        seen = []
        errors: list[CorruptionError] = []
        for _ in range(KEYS + 10):
            try:
                seen.append(next(scan)[0])
            except StopIteration:
                break
            except CorruptionError as error:
                errors.append(error)
        (told,) = errors
        assert type(told) is CorruptRecordError
        assert page_of(told) == (PAGE, 2 * PAGE)
        assert "fails its checksum or its bounds; go on with the same" in str(told)
        missing = sorted(set(range(KEYS)) - set(seen))
        assert missing == list(range(missing[0], missing[-1] + 1))


@pytest.mark.fault("F08")
def test_a_record_whose_newer_ones_cannot_be_read_is_named() -> None:
    """Where another page keeps a scan from judging a record, one key is missing."""
    with opened() as plain:
        begin = plain.stats().address_tail
    rule = Rule("fail", "read", times=None, begin=begin, end=begin + PAGE)
    with opened(rule) as store:
        assert store.stats().address_tail == begin
        store.upsert_many([1, 2, 3], [0, 0, 0])
        store.evict()
        scan = store.scan()
        told: list[DeviceError] = []
        seen = {}
        for _ in range(KEYS + 10):
            try:
                key, value = next(scan)
                seen[key] = value
            except StopIteration:
                break
            except DeviceError as error:
                told.append(error)
        single = [one for one in told if "the key of this record is" in str(one)]
        assert len(single) == 3
        assert all("the record of the log that ends at byte" in str(o) for o in single)
        assert set(range(KEYS)) - set(seen) == {1, 2, 3}


def test_other_failures_are_told_as_they_are(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lack of memory is no damage: the scan stays where it is."""
    scan = store.scan()
    first = next(scan)
    before = scan.cursor
    scan = store.scan(before)

    def refuse(*_: Any) -> Any:
        raise error_for(-errno.ENOMEM, "scanning")

    with monkeypatch.context() as patch:
        patch.setattr(_cabi, "scan_next", refuse)
        with pytest.raises(pyfaster.OutOfMemoryError):
            next(scan)
    assert scan.cursor == before
    assert [first, *scan] == [(key, 2 * key) for key in range(KEYS)]
