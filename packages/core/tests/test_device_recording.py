# SPDX-License-Identifier: MIT
"""The recording device from Python: what was asked, when, and what a sync covers."""

from __future__ import annotations

import pytest

from pyfaster.errors import DeviceError
from pyfaster.testing import (
    DONE,
    FaultyDevice,
    MemoryDevice,
    Probe,
    RecordingDevice,
    Rule,
)


def test_what_passes_is_recorded() -> None:
    """Writes with their bytes, syncs and truncations; reads only when asked for."""
    device = RecordingDevice(MemoryDevice())
    with Probe(device) as probe:
        assert probe.put(8, b"abc") == 0
        assert probe.get(8, 3) == b"abc"
        assert probe.flush() == 0
        assert probe.truncate_before(4) == 0
    kinds = [(event.kind, event.submitted, event.completed) for event in device]
    assert kinds == [("write", 1, 2), ("sync", 3, 4), ("truncate", 5, 6)]
    write = device[0]
    assert (write.offset, write.data, write.moved, write.code) == (8, b"abc", 3, DONE)
    assert device[-1].offset == 4
    with pytest.raises(IndexError):
        device[3]


def test_reads_are_recorded_when_asked_for() -> None:
    """With reads=True a read is an event like others."""
    device = RecordingDevice(MemoryDevice(), reads=True, contents=False)
    with Probe(device) as probe:
        assert probe.put(0, b"a") == 0
        assert probe.get(0, 9) == b"a"
    assert [event.kind for event in device] == ["write", "read"]
    assert device[0].data is None
    assert device[0].hash == 0xAF63DC4C8601EC8C
    assert device[1].moved == 1


def test_a_sync_covers_what_was_completed_before_it() -> None:
    """A write in flight when the sync was submitted is not covered, nor a failure."""
    rules = [Rule("hold", "write", nth=2), Rule("fail", "write", nth=3)]
    faulty = FaultyDevice(MemoryDevice(), rules)
    device = RecordingDevice(faulty)
    with Probe(device) as probe:
        assert probe.put(0, b"first") == 0
        held = probe.write(512, b"second")
        assert probe.put(1024, b"third") != 0
        assert probe.flush() == 0
        with pytest.raises(DeviceError):
            device.clear()
        assert faulty.release() == 1
        assert probe.wait(held).code == DONE
        assert probe.flush() == 0
    first, second = (event for event in device if event.kind == "sync")
    assert [write.data for write in device.covered(first)] == [b"first"]
    assert [write.data for write in device.covered(second)] == [b"first", b"second"]


def test_a_recording_is_bounded() -> None:
    """Beyond its bounds a recording counts, and the device works on."""
    device = RecordingDevice(MemoryDevice(), events_max=2, bytes_max=5)
    with Probe(device) as probe:
        assert [probe.put(0, data) for data in (b"abcd", b"efgh", b"ijkl")] == [0, 0, 0]
        assert probe.get(0, 4) == b"ijkl"
    assert (len(device), device.lost) == (2, 1)
    assert [event.data for event in device] == [b"abcd", None]
    assert device[0].hash != device[1].hash
    device.clear()
    assert (len(device), device.lost) == (0, 0)


def test_a_recording_stands_before_a_device_in_python() -> None:
    """Devices written in Python are recorded as any other; both are closed once."""

    class Device:
        closes = 0

        def read(self, offset: int, buffer: memoryview) -> int:
            return 0

        def write(self, offset: int, buffer: memoryview) -> int:
            return len(buffer)

        def sync(self) -> None:
            return None

        def truncate_before(self, offset: int) -> None:
            return None

        def close(self) -> None:
            self.closes += 1

    inner = Device()
    device = RecordingDevice(inner)
    with Probe(device) as probe:
        assert probe.put(0, b"x") == 0
        assert probe.wait(probe.write(0, b"y")).foreign
    assert inner.closes == 1
    assert len(device) == 2
    untaken = RecordingDevice(Device())
    untaken.close()
