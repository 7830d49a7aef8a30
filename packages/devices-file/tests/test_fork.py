# SPDX-License-Identifier: MIT
"""After fork() the device is the parent's: the child is refused and harms nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from file_kit import SEGMENT, pattern, probe, settings

from pyfaster.testing import Probe
from pyfaster_devices_file import FileDevice

DATA = pattern(SEGMENT)


def in_child(action: Callable[[], bool]) -> int:
    """Run something in a child; give 0 when it was true."""
    child = os.fork()
    if child == 0:
        code = 2
        try:
            code = 0 if action() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def is_refused(device: Probe) -> bool:
    """Whether every entry of the table refuses this process."""
    refused = -errno.EOWNERDEAD
    tickets = [device.read(0, 10), device.write(0, b"x"), device.sync()]
    known = [device.result(ticket) for ticket in tickets]
    others = [device.truncate_before(SEGMENT), device.poll(), device.device_wait(60.0)]
    return (
        all((one.result, one.completions) == (refused, 0) for one in known)
        and others == [refused] * 3
    )


@pytest.mark.fault("F62")
def test_a_child_is_refused(place: Path) -> None:
    """In a child every call fails at once; the parent goes on undisturbed."""
    with probe(place) as device:
        assert device.put(0, DATA) == 0
        assert in_child(lambda: is_refused(device)) == 0
        assert device.get(0, SEGMENT) == DATA
        assert device.flush() == 0


@pytest.mark.fault("F62")
def test_closing_in_a_child(place: Path) -> None:
    """A child that closes is refused too, and the parent's device stays open."""
    with probe(place) as device:
        assert device.put(0, DATA) == 0
        assert in_child(lambda: device.close() == -errno.EOWNERDEAD) == 0
        assert device.get(0, SEGMENT) == DATA
        assert device.put(SEGMENT, DATA) == 0


@pytest.mark.fault("F62")
def test_an_object_in_a_child(place: Path) -> None:
    """A child's copy of an object that nobody took ends, and the parent's does not."""
    device = FileDevice(place, settings())

    def end() -> bool:
        device.close()
        return True

    assert in_child(end) == 0
    with Probe(device) as hand:
        assert hand.put(0, DATA) == 0
        assert hand.get(0, SEGMENT) == DATA


@pytest.mark.fault("F63")
def test_fork_with_requests_in_flight(place: Path) -> None:
    """What is in flight when a child is made and ends, completes once in the parent."""
    with probe(place, threads=4) as device:
        for turn in range(8):
            tickets = [
                device.write((turn * 16 + n) * 4096, bytes([turn]) * 4096)
                for n in range(16)
            ]
            tickets.append(device.sync())
            # The child only ends: a thread may hold the probe's lock while we fork.
            assert in_child(lambda: True) == 0
            assert {device.wait(ticket).completions for ticket in tickets} == {1}
        assert device.completed == device.submitted
        assert device.get(7 * 16 * 4096, 4096) == b"\7" * 4096


@pytest.mark.fault("F62")
def test_a_child_may_open_its_own(place: Path, tmp_path: Path) -> None:
    """A child, and its child, may open devices of their own."""

    def use(path: Path) -> bool:
        with probe(path) as own:
            return own.put(0, DATA) == 0 and own.get(0, SEGMENT) == DATA

    with probe(place) as device:
        assert device.put(0, b"x") == 0
        assert in_child(lambda: use(tmp_path / "a")) == 0
        assert in_child(lambda: in_child(lambda: use(tmp_path / "b")) == 0) == 0
