# SPDX-License-Identifier: MIT
"""
The io_uring device keeps pyfaster's contract of devices, buffered and not.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pyfaster.protocols import DeviceSettings
from pyfaster.testing.conformance import CHECKS, SEGMENT_SIZE, Check, Suite
from pyfaster_devices_uring._fallback import open_uring

#: The suite is the same whatever else is installed.
pytestmark = pytest.mark.once

#: Options of each device that is checked. Where the kernel has no ring to give, they
#: fall back to files and are checked as such.
DEVICES: dict[str, dict[str, object]] = {
    "uring": {},
    "small-ring": {"depth": 64},
    "buffered": {"direct": False},
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
                lambda at: open_uring(str(folder / at), settings), patience=PATIENCE
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
