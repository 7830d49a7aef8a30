# SPDX-License-Identifier: MIT
"""
A ring that only reads: beside the owner of the directory, and changing nothing.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfaster.errors import ConfigError, CorruptionError, DeviceError
from pyfaster.protocols import DeviceSettings
from pyfaster.testing import Probe
from pyfaster.testing._probe import DONE
from pyfaster_devices_uring import UringDevice, _cabi
from pyfaster_devices_uring._cabi import Script

pytestmark = pytest.mark.skipif(
    _cabi.uring_probe(None) != 0, reason="this system has no io_uring for us"
)

SEGMENT = 1 << 16
BLOCK = 4096
DATA = random.Random(4).randbytes(3 * SEGMENT)

Reader = Callable[..., tuple[Probe, UringDevice]]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the devices of this folder's `opener` keep their files."""
    return tmp_path / "store"


@pytest.fixture
def reader(place: Path) -> Any:
    """Open what is there for reading alone; all are closed at the end."""
    probes = []

    def open_one(script: Script | None = None, **given: Any) -> Any:
        whose = {"store_id": 7, "segment_size": SEGMENT, "read_only": True, **given}
        device = UringDevice(place, DeviceSettings(**whose), script=script)
        probes.append(Probe(device))
        return probes[-1], device

    yield open_one
    for probe in probes:
        probe.close()


def image(place: Path) -> dict[str, tuple[object, ...]]:
    """All that can be seen of a folder and what is below: the bytes too."""
    found = {}
    for path in (place, *sorted(place.rglob("*"))):
        at = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        seen = (at.st_ino, at.st_mode, at.st_size, at.st_mtime_ns, at.st_ctime_ns)
        found[str(path)] = (*seen, data)
    return found


@pytest.mark.parametrize("direct", [False, "try"])
def test_nothing_changes(
    opener: Any, reader: Reader, place: Path, direct: object
) -> None:
    """Every byte is read; no name, byte, time or mode is another one afterwards."""
    owner, _ = opener(direct=direct)
    assert (owner.put(0, DATA), owner.flush(), owner.close()) == (0, 0, 0)
    (place / "log" / f"{3 * SEGMENT:020x}.new").write_bytes(b"half a head")
    before = image(place)
    script = Script()
    probe, device = reader(script, options={"direct": direct})
    assert device.read_only
    assert probe.facts.capabilities == {"shared", "driven"}
    assert probe.get(0, len(DATA)) == DATA
    for offset in (0, 3 * SEGMENT):
        refused = probe.write(offset, bytes(BLOCK))
        assert probe.result(refused).result == -errno.EROFS
    assert probe.result(probe.sync()).result == -errno.EROFS
    assert probe.truncate_before(2 * SEGMENT) == -errno.EROFS
    assert probe.get(SEGMENT, 2 * SEGMENT) == DATA[SEGMENT:]
    assert probe.get(3 * SEGMENT, SEGMENT) == b""
    assert device.facts().failed == -errno.EROFS
    assert probe.close() == 0
    assert (script.seen("write"), script.seen("sync")) == (0, 0)
    assert script.seen("read") > 0
    assert image(place) == before


def test_beside_the_owner(opener: Any, reader: Reader, place: Path) -> None:
    """What the owner adds is found; what it removes is gone for who comes later."""
    owner, _ = opener(direct=False)
    first, _ = reader()
    assert first.get(0, SEGMENT) == b""
    assert owner.put(0, DATA) == 0
    second, _ = reader()
    assert first.get(2 * SEGMENT, SEGMENT) == DATA[2 * SEGMENT :]
    assert first.get(0, len(DATA)) == DATA
    assert owner.truncate_before(2 * SEGMENT) == 0
    third, _ = reader()
    assert first.get(0, len(DATA)) == second.get(0, len(DATA)) == DATA
    gone = third.read(0, SEGMENT)
    assert third.result(gone).result == -errno.ENOENT
    across = third.read(2 * SEGMENT, 2 * SEGMENT)
    third.poll()
    ended = third.wait(across)
    assert (ended.code, ended.bytes) == (DONE, SEGMENT)
    assert owner.flush() == 0


def test_what_is_missing_is_not_made(
    reader: Reader, place: Path, tmp_path: Path
) -> None:
    """Without a log there is nothing to look at, and nothing is begun."""
    with pytest.raises(DeviceError, match="no log to look at") as caught:
        reader()
    assert caught.value.errno == errno.ENOENT
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="contradict"):
        reader(fresh=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault("F42")
def test_damage_is_refused(opener: Any, reader: Reader, place: Path) -> None:
    """A segment that was cut short is no shorter log, and is not repaired."""
    owner, _ = opener(direct=False)
    assert (owner.put(0, DATA), owner.close()) == (0, 0)
    (place / "log" / f"{SEGMENT:020x}.seg").write_bytes(b"cut")
    before = image(place)
    with pytest.raises(CorruptionError, match="has 3 bytes"):
        reader()
    assert image(place) == before
