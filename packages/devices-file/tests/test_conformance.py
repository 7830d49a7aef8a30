# SPDX-License-Identifier: MIT
"""
The file device keeps pyfaster's contract of devices: buffered, and past the page cache.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyfaster.protocols import DeviceSettings
from pyfaster.testing.conformance import CHECKS, SEGMENT_SIZE, Check, Suite
from pyfaster_devices_file import FileDevice
from pyfaster_devices_file._device import open_file

#: The suite is the same whatever else is installed.
pytestmark = pytest.mark.once

#: Options of each device that is checked. Not every file system that tests are run on
#: can go past the page cache: there, what is asked to try is a cached device.
DEVICES: dict[str, dict[str, object]] = {
    "file": {},
    "one-thread": {"threads": 1},
    "direct-if-possible": {"direct": "try"},
}


#: Rounds of 20 ms and more: a minute, on a machine that has much else to do.
PATIENCE = 3_000


@pytest.fixture(scope="module")
def suite_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Suite]:
    """Give the suite of a device; it is made when it is first asked for."""
    suites: dict[str, Suite] = {}

    def give(name: str) -> Suite:
        if name not in suites:
            folder = tmp_path_factory.mktemp(name)
            settings = DeviceSettings(
                store_id=1, segment_size=SEGMENT_SIZE, options=DEVICES[name]
            )
            suites[name] = Suite(
                lambda at: open_file(str(folder / at), settings), patience=PATIENCE
            )
        return suites[name]

    return give


@pytest.mark.fault("F81")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
@pytest.mark.parametrize("name", DEVICES)
def test_conforms(suite_of: Callable[[str], Suite], name: str, check: Check) -> None:
    """The device keeps the sentence that the check guards."""
    outcome = suite_of(name).run(check)
    assert outcome.status != "failed", outcome.reason


@pytest.mark.parametrize("name", DEVICES)
def test_is_held_to_what_it_promises(
    suite_of: Callable[[str], Suite], name: str
) -> None:
    """The checks of durability and of truncation apply to it."""
    assert {"flushes", "truncates"} <= suite_of(name).profile.capabilities


def can_go_past_the_cache(folder: Path) -> bool:
    """Ask the system itself whether files here can be opened for direct transfers."""
    flag = getattr(os, "O_DIRECT", 0)
    try:
        os.close(os.open(folder / "asked", os.O_RDWR | os.O_CREAT | flag, 0o600))
    except OSError:
        return False
    return flag != 0


def test_direct_is_direct_where_that_is_possible(tmp_path: Path) -> None:
    """What the checks above ran on went past the cache wherever a file can."""
    settings = DeviceSettings(
        store_id=1, segment_size=SEGMENT_SIZE, options=DEVICES["direct-if-possible"]
    )
    device = FileDevice(tmp_path / "log", settings)
    try:
        assert device.direct == can_go_past_the_cache(tmp_path)
        assert device.alignment > 1 or not device.direct
    finally:
        device.close()
