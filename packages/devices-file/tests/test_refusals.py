# SPDX-License-Identifier: MIT
"""What is in the directory and not ours is refused, and nothing is changed."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from file_kit import SEGMENT, crc32c, names, pattern, probe, segment

from pyfaster.errors import (
    ConfigError,
    CorruptionError,
    DeviceError,
    UnsupportedFormatError,
)

DATA = pattern(3 * SEGMENT)


@pytest.fixture
def written(place: Path) -> Path:
    """A directory with three segments."""
    with probe(place) as device:
        assert device.put(0, DATA) == 0
        assert device.flush() == 0
    return place


def refuse(place: Path, kind: type[Exception], words: str, **changes: object) -> None:
    """Open, and see that it is refused with these words and changes no file."""
    before = {path: path.lstat() for path in (place / "log").iterdir()}
    with pytest.raises(kind, match=words):
        probe(place, **changes)
    after = {path: path.lstat() for path in (place / "log").iterdir()}
    assert {path: found.st_mtime_ns for path, found in before.items()} == {
        path: found.st_mtime_ns for path, found in after.items()
    }


def patch(path: Path, at: int, data: bytes, *, sign: bool) -> None:
    """Change bytes of a header; with a checksum that is right if `sign`."""
    whole = bytearray(path.read_bytes())
    whole[at : at + len(data)] = data
    if sign:
        whole[4092:4096] = struct.pack("<I", crc32c(bytes(whole[:4092])))
    path.write_bytes(whole)


@pytest.mark.fault("F45")
def test_another_store(written: Path) -> None:
    """Segments of another store are refused, with both ids."""
    refuse(
        written,
        UnsupportedFormatError,
        "belongs to store 0x0123456789abcdef, not to store 0x0000000000000007",
        store_id=7,
    )


@pytest.mark.fault("F45")
def test_a_segment_of_another_store_among_ours(written: Path, tmp_path: Path) -> None:
    """One file that was copied from another store is found and named."""
    other = tmp_path / "other"
    with probe(other, store_id=9) as device:
        assert device.put(SEGMENT, b"x") == 0
    segment(other, SEGMENT).replace(segment(written, SEGMENT))
    refuse(written, UnsupportedFormatError, f"{SEGMENT:020x}.seg belongs to store")


@pytest.mark.fault("F45")
def test_swapped_segments(written: Path) -> None:
    """A file under another one's name is refused."""
    segment(written, 2 * SEGMENT).replace(segment(written, SEGMENT))
    refuse(written, CorruptionError, "says that it begins at 0x20000, its name .*0x1")


@pytest.mark.fault("F46")
@pytest.mark.parametrize("version", [0, 2, 0xFFFFFFFF])
def test_another_version(written: Path, version: int) -> None:
    """A format that is newer or older is refused with both versions."""
    patch(segment(written), 8, struct.pack("<I", version), sign=True)
    words = f"format version {version}, this is a reader of version 1"
    refuse(written, UnsupportedFormatError, words)


@pytest.mark.fault("F42")
@pytest.mark.parametrize("base", [0, SEGMENT, 2 * SEGMENT])
@pytest.mark.parametrize("size", [0, 1, 47, 4092, 4095, 4096, 9999, 4095 + SEGMENT])
def test_a_file_cut_short(written: Path, base: int, size: int) -> None:
    """A file that is shorter than it was made is refused, wherever it ends."""
    os.truncate(segment(written, base), size)
    refuse(written, CorruptionError, f"{base:020x}.seg has {size:,} bytes, of at least")


@pytest.mark.fault("F38")
def test_a_header_of_zeros(written: Path) -> None:
    """An all-zero header is no segment."""
    patch(segment(written), 0, bytes(4096), sign=False)
    refuse(written, CorruptionError, "is not a segment")


@pytest.mark.fault("F34")
def test_every_damaged_byte_is_found(written: Path) -> None:
    """A flipped bit in any byte of a header is refused."""
    path = segment(written)
    good = path.read_bytes()
    for at in [*range(0, 64), *range(64, 4096, 61), 4093, 4094, 4095]:
        whole = bytearray(good)
        whole[at] ^= 1 << (at % 8)
        path.write_bytes(whole)
        with pytest.raises((CorruptionError, UnsupportedFormatError)):
            probe(written)
    path.write_bytes(good)
    probe(written).close()


def test_reserved_bytes_are_zero(written: Path) -> None:
    """A header with something where version 1 has nothing is refused."""
    patch(segment(written), 100, b"\x01", sign=True)
    refuse(written, CorruptionError, "header of .* is damaged")


def test_another_segment_size(written: Path) -> None:
    """A segment size that is not the files' is refused with the right one."""
    words = "made for segments of 65,536 bytes, not of 131,072; .*segment_size=65536"
    refuse(written, UnsupportedFormatError, words, segment_size=2 * SEGMENT)
    refuse(written, UnsupportedFormatError, "65,536", segment_size=SEGMENT // 2)


@pytest.mark.fault("F89")
@pytest.mark.parametrize("how", ["symlink", "hardlink", "fifo", "directory"])
def test_only_plain_files(written: Path, tmp_path: Path, how: str) -> None:
    """A name of ours that is a link, a fifo or a directory is refused."""
    path = segment(written, SEGMENT)
    aside = tmp_path / "aside"
    path.rename(aside)
    make: dict[str, Callable[[], None]] = {
        "symlink": lambda: path.symlink_to(aside),
        "hardlink": lambda: path.hardlink_to(aside),
        "fifo": lambda: os.mkfifo(path),
        "directory": path.mkdir,
    }
    make[how]()
    refuse(written, CorruptionError, "not a regular file with one name")


@pytest.mark.fault("F89")
def test_a_linked_folder(written: Path, tmp_path: Path) -> None:
    """The folder of the log is not followed through a symbolic link."""
    (written / "log").rename(tmp_path / "aside")
    (written / "log").symlink_to(tmp_path / "aside")
    with pytest.raises(DeviceError):
        probe(written)


@pytest.mark.fault("F89")
def test_odd_names_are_left_alone(written: Path) -> None:
    """Names that are not built by us are neither read nor removed."""
    odd = ["x.seg", "0000000000000001000G.seg", "00000000000000010000.SEG", "f" * 64]
    odd += [f"{1 << 64:020x}.seg", "0" * 20 + ".seg.bak", "-" + "0" * 19 + ".seg"]
    for name in odd:
        (written / "log" / name).write_bytes(b"mine")
    with probe(written, fresh=True) as device:
        assert device.get(0, 10) == b""
    assert names(written) == sorted(odd)


def test_files_far_apart(written: Path) -> None:
    """A file farther away than the table reaches is refused, with advice."""
    base = SEGMENT << 40
    path = segment(written, base)
    path.write_bytes(segment(written).read_bytes())
    patch(path, 24, struct.pack("<Q", base), sign=True)
    refuse(written, ConfigError, "larger segment_size")


@pytest.mark.fault("F44")
def test_a_missing_segment_is_an_error(written: Path) -> None:
    """Bytes whose file is missing between others are an error, never zeros."""
    segment(written, SEGMENT).unlink()
    with probe(written) as device:
        with pytest.raises(FileNotFoundError):
            device.get(SEGMENT, 512)
        with pytest.raises(FileNotFoundError):
            device.get(SEGMENT - 512, 1024)
        assert device.put(SEGMENT, b"x") == -2
        assert device.get(0, SEGMENT) == DATA[:SEGMENT]
        assert device.get(2 * SEGMENT, SEGMENT) == DATA[2 * SEGMENT :]


def test_fresh_removes_any_store(written: Path) -> None:
    """With fresh the segments of whatever store and size are gone."""
    with probe(written, fresh=True, store_id=9, segment_size=4096) as device:
        assert names(written) == []
        assert device.get(0, 10) == b""
        assert device.put(0, b"new") == 0
    assert names(written) == ["0" * 20 + ".seg"]


def test_fresh_spares_what_is_no_segment(written: Path) -> None:
    """Fresh removes nothing when one of the files is not a segment."""
    segment(written, SEGMENT).write_bytes(b"a letter to my aunt" * 500)
    refuse(written, CorruptionError, "is not a segment", fresh=True)
    assert len(names(written)) == 3


@pytest.mark.fault("F26")
def test_unfinished_files_are_removed(written: Path) -> None:
    """What an interrupted creation left is removed, and does not hinder the next."""
    for base in (3 * SEGMENT, SEGMENT):
        segment(written, base).with_suffix(".new").write_bytes(b"half")
    with probe(written) as device:
        assert len(names(written)) == 3
        segment(written, 3 * SEGMENT).with_suffix(".new").write_bytes(b"half")
        assert device.put(3 * SEGMENT, b"x") == 0
        assert device.get(0, 3 * SEGMENT + 1) == DATA + b"x"
    assert len(names(written)) == 4


@pytest.mark.fault("F43")
def test_garbage_behind_a_segment_is_ignored(written: Path) -> None:
    """Bytes behind the end of a segment's range are never read."""
    path = segment(written, SEGMENT)
    path.write_bytes(path.read_bytes() + b"garbage" * 1000)
    with probe(written) as device:
        assert device.get(0, 4 * SEGMENT) == DATA
