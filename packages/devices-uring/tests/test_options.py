# SPDX-License-Identifier: MIT
"""What may be asked of a device, and what is said of the rest."""

from __future__ import annotations

import random
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pyfaster._registry import Registry
from pyfaster.errors import ConfigError, DeviceError, UnsupportedFormatError
from pyfaster.protocols import DeviceSettings
from pyfaster_devices_uring import UringDevice, _cabi, open_uring

needs_ring = pytest.mark.skipif(
    _cabi.uring_probe(None) != 0, reason="this system has no io_uring for us"
)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"deep": 64}, "'deep' is unknown; did you mean 'depth'"),
        ({"depth": 63}, "depth is 63"),
        ({"depth": 32}, "power of two from 64"),
        ({"depth": 8192}, "to 4,096"),
        ({"depth": True}, "depth is True"),
        ({"depth": 64.0}, "depth is 64.0"),
        ({"direct": "yes"}, "direct is 'yes'"),
        ({"preallocate": 1}, "preallocate is 1"),
        ({"fallback": None}, "fallback is None"),
    ],
)
def test_wrong_options_are_named(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    """An option that is unknown or wrong is refused, and nothing is made."""
    with pytest.raises(ConfigError) as caught:
        open_uring(str(tmp_path / "store"), DeviceSettings(1, options=options))
    assert words in str(caught.value)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("size", [0, 2048, 4097, 1 << 41, True, "1"])
def test_wrong_segment_sizes_are_refused(tmp_path: Path, size: Any) -> None:
    """Segments are powers of two from 4 KiB to 1 TiB."""
    with pytest.raises(ConfigError, match="segment_size"):
        UringDevice(tmp_path / "store", DeviceSettings(1, segment_size=size))


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_wrong_paths_are_refused(path: str) -> None:
    """A device is at a path."""
    with pytest.raises(ConfigError, match="no path"):
        UringDevice(path, DeviceSettings(1))


@needs_ring
def test_a_missing_parent_is_told(tmp_path: Path) -> None:
    """The parent of the directory is not made."""
    with pytest.raises(DeviceError) as caught:
        UringDevice(tmp_path / "no" / "store", DeviceSettings(1))
    assert caught.value.errno == 2


@needs_ring
def test_segments_of_others_are_refused(tmp_path: Path) -> None:
    """The files of another store, or of other segments, are told apart."""
    from pyfaster.testing import Probe

    path = tmp_path / "store"
    with Probe(UringDevice(path, DeviceSettings(1, segment_size=1 << 16))) as probe:
        assert probe.put(0, bytes(4096)) == 0
    with pytest.raises(UnsupportedFormatError, match="belongs to store"):
        UringDevice(path, DeviceSettings(2, segment_size=1 << 16))
    with pytest.raises(UnsupportedFormatError, match="segment_size=65536"):
        UringDevice(path, DeviceSettings(1, segment_size=1 << 17))
    name = path / "log" / f"{0:020x}.seg"
    damaged = bytearray(name.read_bytes())
    damaged[30] ^= 1
    name.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"header of log/0+.seg is damaged"):
        UringDevice(path, DeviceSettings(1, segment_size=1 << 16))
    options = {"preallocate": True}
    fresh = DeviceSettings(2, segment_size=1 << 16, fresh=True, options=options)
    with Probe(UringDevice(path, fresh)) as probe:
        assert probe.get(0, 4096) == b""
        assert probe.put(0, bytes(4096)) == 0


@pytest.mark.fault("F82")
@needs_ring
def test_direct_is_found_out_or_refused(tmp_path: Path) -> None:
    """`direct` says what came of "try"; True is kept or refused by name."""
    tried = UringDevice(tmp_path / "one", DeviceSettings(1))
    if tried.direct:
        assert tried.alignment >= 512
    else:
        with pytest.raises(ConfigError, match="no direct transfers"):
            settings = DeviceSettings(1, options={"direct": True})
            UringDevice(tmp_path / "two", settings)
    tried.close()
    tried.close()


@pytest.mark.skipif(
    find_spec("pyfaster_devices_file") is None,
    reason="the file device is not installed",
)
@needs_ring
def test_the_file_device_reads_the_same_directory(tmp_path: Path) -> None:
    """What one device wrote the other reads, in both directions."""
    from pyfaster.testing import Probe

    path = str(tmp_path / "store")
    data = random.Random(10).randbytes(3 << 16)
    registry = Registry()
    registry.load()
    settings = DeviceSettings(1, segment_size=1 << 16)
    schemes = ["uring", "file", "uring"]
    for i, scheme in enumerate(schemes):
        offer = registry.named("pyfaster_devices", scheme)
        assert offer is not None
        with Probe(offer.thing.factory(path, settings)) as probe:
            for j in range(i):
                assert probe.get(j * len(data), len(data)) == data
            assert probe.put(i * len(data), data) == 0
            assert probe.flush() == 0
