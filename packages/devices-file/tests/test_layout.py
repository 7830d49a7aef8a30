# SPDX-License-Identifier: MIT
"""Where the bytes are: names, the header block byte by byte, positions, modes."""

from __future__ import annotations

import errno
import stat
import struct
from pathlib import Path

import pytest
from file_kit import HEADER, SEGMENT, STORE, crc32c, names, pattern, probe, segment

from pyfaster.errors import DeviceError

#: The first 48 bytes of a header, and the checksum in its last four.
BASE = 3 * SEGMENT
GOLDEN = bytes.fromhex(
    "50594653 45470d0a 01000000 00100000 efcdab89 67452301"
    "00000300 00000000 00000100 00000000 05000000 00000000"
)


def test_the_checksum_is_crc32c() -> None:
    """The checksum of the tests gives the known answer of CRC-32C."""
    assert crc32c(b"123456789") == 0xE3069283


def test_header_bytes(place: Path) -> None:
    """A segment begins with exactly the bytes of the documented format."""
    with probe(place, generation=5) as device:
        assert device.put(BASE, b"x") == 0
    header = segment(place, BASE).read_bytes()[:HEADER]
    assert header[:48] == GOLDEN
    assert not any(header[48:4092])
    assert header[4092:] == struct.pack("<I", crc32c(header[:4092]))
    assert struct.unpack_from("<QQQ", header, 16) == (STORE, BASE, SEGMENT)


def test_positions(place: Path) -> None:
    """Byte o of the log is at 4096 + o % segment_size of its segment."""
    data = pattern(3 * SEGMENT)
    with probe(place) as device:
        assert device.put(0, data) == 0
    for number in range(3):
        part = data[number * SEGMENT : (number + 1) * SEGMENT]
        assert segment(place, number * SEGMENT).read_bytes()[HEADER:] == part


def test_names_are_base_addresses(place: Path) -> None:
    """Files are named by twenty hexadecimal digits of their base address."""
    with probe(place) as device:
        assert device.put(SEGMENT - 1, b"ab") == 0
    assert names(place) == ["00000000000000000000.seg", "00000000000000010000.seg"]


def test_only_the_owner_has_access(place: Path) -> None:
    """Directories that are made have mode 0700, files 0600."""
    with probe(place) as device:
        assert device.put(0, b"x") == 0
    for path in (place, place / "log"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(segment(place).stat().st_mode) == 0o600


def test_the_parent_is_not_made(tmp_path: Path) -> None:
    """A directory is made only where its parent is."""
    with pytest.raises(DeviceError, match="No such file") as caught:
        probe(tmp_path / "none" / "store")
    assert caught.value.errno == errno.ENOENT
    assert list(tmp_path.iterdir()) == []


def test_files_have_their_full_size(place: Path) -> None:
    """A file has its full size at once, and takes room for what was written only."""
    with probe(place, segment_size=1 << 30) as device:
        assert device.put(0, b"abc") == 0
    found = segment(place).stat()
    assert found.st_size == HEADER + (1 << 30)
    assert found.st_blocks * 512 < 1 << 20


def test_preallocation_takes_the_room(place: Path) -> None:
    """With preallocate a file takes its whole room at once, and reads as zeros."""
    with probe(place, preallocate=True) as device:
        assert device.put(0, b"abc") == 0
        assert device.get(0, SEGMENT) == b"abc" + bytes(SEGMENT - 3)
    found = segment(place).stat()
    assert found.st_size == HEADER + SEGMENT
    assert found.st_blocks * 512 >= HEADER + SEGMENT
