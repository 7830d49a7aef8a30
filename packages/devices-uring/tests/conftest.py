# SPDX-License-Identifier: MIT
"""Opening a device under a probe, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyfaster.protocols import DeviceSettings
from pyfaster.testing import Probe
from pyfaster_devices_uring import UringDevice

SEGMENT = 1 << 16

Opener = Callable[..., tuple[Probe, UringDevice]]


@pytest.fixture
def opener(tmp_path: Path) -> Iterator[Opener]:
    """Open a device in the test's folder; all are closed at its end."""
    probes = []

    def open_one(
        *, segment_size: int = SEGMENT, script: Any = None, **options: Any
    ) -> tuple[Probe, UringDevice]:
        settings = DeviceSettings(7, segment_size=segment_size, options=options)
        device = UringDevice(tmp_path / "store", settings, script=script)
        probes.append(Probe(device))
        return probes[-1], device

    yield open_one
    for probe in probes:
        probe.close()
