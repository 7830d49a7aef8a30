# SPDX-License-Identifier: MIT
"""
What a device written in Python raised, as who uses the store finds it.
"""

from __future__ import annotations

import errno
import os
import traceback

import pytest

import pyfaster
from pyfaster._home import Home
from pyfaster.events import WritesResumed, WritesStopped
from pyfaster.protocols import DeviceFailure
from pyfaster.testing import EventRecorder, MemoryDevice


class Shelf:
    """Keeps bytes, and raises instead where a test says so."""

    def __init__(self) -> None:
        self.bytes = bytearray()
        self.wrong: dict[str, BaseException] = {}

    def read(self, offset: int, buffer: memoryview) -> int:
        if "read" in self.wrong:
            raise self.wrong["read"]
        part = self.bytes[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def write(self, offset: int, buffer: memoryview) -> int:
        if "write" in self.wrong:
            raise self.wrong["write"]
        end = offset + len(buffer)
        self.bytes.extend(bytes(max(0, end - len(self.bytes))))
        self.bytes[offset:end] = buffer
        return len(buffer)

    def sync(self) -> None:
        pass

    def truncate_before(self, offset: int) -> None:
        pass

    def close(self) -> None:
        pass


def opened(device: object) -> pyfaster.FasterKv[int, int]:
    """A small store on a device."""
    return pyfaster.open(
        key=int,
        value=int,
        device=device,  # type: ignore[arg-type]
        memory="1MiB",
        page_size="16KiB",
    )


@pytest.mark.fault("F79")
def test_the_cause_of_a_write_failure_is_what_was_raised() -> None:
    """`write_failure` and what `flush` and `evict` raise lead to the traceback."""
    shelf = Shelf()
    thrown = ValueError("on purpose")
    with opened(shelf) as store:
        store[1] = 1
        shelf.wrong["write"] = thrown
        for move in (store.flush, store.evict):
            with pytest.raises(pyfaster.DeviceError) as raised:
                move()
            assert raised.value.errno == errno.EIO
            assert raised.value.__cause__ is thrown
        failure = store.write_failure
        assert failure is not None
        assert failure.__cause__ is thrown
        frames = traceback.extract_tb(thrown.__traceback__)
        assert frames[-1].line == 'raise self.wrong["write"]'
        assert store.device_failures
        shelf.wrong.clear()
        store.flush()
        assert store.write_failure is None


@pytest.mark.fault("F79")
def test_what_a_read_raised_is_kept() -> None:
    """A read that fails has the errno; the store has the exception."""
    shelf = Shelf()
    thrown = OSError(errno.ESTALE, "on purpose")
    with opened(shelf) as store:
        store[1] = 1
        store.evict()
        assert store.device_failures == ()
        shelf.wrong["read"] = thrown
        with pytest.raises(pyfaster.DeviceError) as raised, store.session() as session:
            session.read(1)
        assert raised.value.errno == errno.ESTALE
        kinds = {failure.kind for failure in store.device_failures}
        assert kinds == {"read"}
        assert all(one.error is thrown for one in store.device_failures)
        shelf.wrong.clear()
        assert store[1] == 1


@pytest.mark.fault("F06")
@pytest.mark.fault("F79")
def test_writes_that_stop_and_go_on_are_told() -> None:
    """Plugins are told once that writing has stopped, why and where, and of its end."""
    shelf = Shelf()
    with EventRecorder() as told:
        with opened(shelf) as store:
            store[1] = 1
            shelf.wrong["write"] = OSError(errno.EIO, "on purpose")
            with pytest.raises(pyfaster.DeviceError):
                store.flush()
            (stopped,) = told.wait_for(WritesStopped)
            tail = store.stats().address_tail
            assert (stopped.store, stopped.errno) == (store.name, errno.EIO)
            assert stopped.message == os.strerror(errno.EIO)
            assert stopped.start < stopped.end <= tail
            shelf.wrong.clear()
            store.flush()
            told.wait_for(WritesResumed)
        kinds = (WritesStopped, WritesResumed)
        found = [one for one in told.events if isinstance(one, kinds)]
    assert found == [stopped, WritesResumed(store.name)]


def test_a_cause_is_the_last_write_of_those_bytes() -> None:
    """Other kinds of requests and other places are nobody's cause."""
    errors = [RuntimeError(str(number)) for number in range(5)]
    kept = (
        DeviceFailure("write", 0, 512, errors[0]),
        DeviceFailure("write", 512, 512, errors[1]),
        DeviceFailure("write", 512, 512, errors[2]),
        DeviceFailure("read", 512, 512, errors[3]),
        DeviceFailure("write", 1024, 512, errors[4]),
    )

    class Kept(Home):
        device_failures = kept

    home = Kept("name")
    assert home.cause(512, 1024) is errors[2]
    assert home.cause(100, 200) is errors[0]
    assert home.cause(600, 5000) is errors[4]
    assert home.cause(1536, 4096) is None


def test_other_devices_keep_no_exceptions() -> None:
    """A device in C raises nothing, a store in memory has no device."""
    with opened(MemoryDevice()) as store, pyfaster.open() as other:
        assert store.device_failures == other.device_failures == ()
