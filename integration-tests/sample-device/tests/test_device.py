# SPDX-License-Identifier: MIT
"""
The device keeps pyfaster's contract, and its own words beyond it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_device import SampleDevice, pyfaster_devices

from pyfaster.protocols import DeviceSettings, PythonDevice
from pyfaster.testing.conformance import CHECKS, Suite

(SCHEME,) = pyfaster_devices()


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """The suite, with blocks so small that requests meet many."""
    folder = tmp_path_factory.mktemp("devices")
    settings = DeviceSettings(store_id=1, options={"block_size": 2048})
    return Suite(lambda place: SCHEME.factory(str(folder / place), settings))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_conforms(suite: Suite, check: object) -> None:
    """The device keeps the sentence of the check."""
    outcome = suite.run(next(one for one in CHECKS if one is check))
    assert outcome.status != "failed", outcome.reason


def test_is_a_python_device(tmp_path: Path) -> None:
    """It has the shape that pyfaster's protocols ask for."""
    device = SampleDevice(tmp_path, store_id=1)
    assert isinstance(device, PythonDevice)
    device.close()


def test_zeros_take_little_room(tmp_path: Path) -> None:
    """Blocks are compressed."""
    device = SampleDevice(tmp_path, store_id=1)
    device.write(0, memoryview(bytes(1 << 20)))
    device.close()
    assert (tmp_path / "blocks.sqlite3").stat().st_size < 1 << 18


def test_truncation_takes_rows_away(tmp_path: Path) -> None:
    """What lies below the offset is no longer in the table."""
    device = SampleDevice(tmp_path, store_id=1)
    device.write(0, memoryview(b"x" * 16384))
    device.truncate_before(8192 + 100)
    (count,) = device._file.execute("SELECT count(*) FROM blocks").fetchone()
    device.close()
    assert count == 2


def test_another_store_is_refused(tmp_path: Path) -> None:
    """A file belongs to the store that made it."""
    SampleDevice(tmp_path, store_id=1).close()
    with pytest.raises(ValueError, match="store_id"):
        SampleDevice(tmp_path, store_id=2)


@pytest.mark.parametrize("options", [{"blocksize": 1}, {"block_size": "4k"}])
def test_unknown_options_are_refused(
    tmp_path: Path, options: dict[str, object]
) -> None:
    """A misspelt or senseless option is an error."""
    with pytest.raises(ValueError, match="block"):
        SCHEME.factory(str(tmp_path), DeviceSettings(store_id=1, options=options))
