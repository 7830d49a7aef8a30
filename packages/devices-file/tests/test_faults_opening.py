# SPDX-License-Identifier: MIT
"""What happens when the system fails while a directory or a segment is opened."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from file_kit import SEGMENT, Rule, descriptors, faulty, later, names, pattern, probe

from pyfaster.errors import ConfigError, DeviceError

if TYPE_CHECKING:
    from pyfaster_devices_file._cabi import Faults

DATA = pattern(2 * SEGMENT)


@pytest.mark.fault("F75")
def test_no_descriptor_is_left(place: Path) -> None:
    """At the limit of descriptors a new segment fails typed, and is made afterwards."""
    with probe(place) as device:
        assert device.put(0, DATA[:SEGMENT]) == 0
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            assert device.put(SEGMENT, DATA[SEGMENT:]) == -errno.EMFILE
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert device.put(SEGMENT, DATA[SEGMENT:]) == 0
        assert device.get(0, len(DATA)) == DATA


@pytest.mark.fault("F75")
def test_streams_are_never_used_for_data(place: Path) -> None:
    """A program without standard streams does not print into the log."""
    program = os.fork()
    if program == 0:
        code = 1
        try:
            for stream in (0, 1, 2):
                os.close(stream)
            with probe(place) as device:
                used = {fd for fd in (0, 1, 2) if Path(f"/proc/self/fd/{fd}").exists()}
                code = 0 if not used and device.put(0, DATA) == 0 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(program, 0)[1]) == 0
    with probe(place) as device:
        assert device.get(0, len(DATA)) == DATA


@pytest.mark.fault("F82")
def test_no_direct_transfers(place: Path) -> None:
    """A file system that refuses direct transfers is a ConfigError, or a fallback."""
    for rule in (
        ("open_file", -errno.EINVAL, 1, 1),
        ("align_file", -errno.EINVAL, 1, 1),
        ("write_file", -errno.EINVAL, 1, 1),
    ):
        with pytest.raises(
            ConfigError, match='no direct transfers; open with direct="'
        ):
            faulty(place, [rule], direct=True)
        device, _ = faulty(place, [rule], direct="try")
        with device:
            assert device.facts.alignment == 1
            assert device.put(1, b"x") == 0
    assert names(place) == [f"{0:020x}.seg"]


@pytest.mark.fault("F82")
def test_an_alignment_that_is_too_wide(place: Path) -> None:
    """An alignment that the layout cannot meet is refused, with the figure."""
    rule = ("align_file", 8192, 1, 1)
    with pytest.raises(
        ConfigError, match="an alignment of 8,192 bytes, more than 4,09"
    ):
        faulty(place, [rule], direct=True)
    device, _ = faulty(place, [rule], direct="try")
    with device:
        assert device.facts.alignment == 1


def attempt(place: Path, rules: list[Rule], direct: bool) -> int | Faults:
    """Open and close; give the error number, or what was called."""
    try:
        device, faults = faulty(place, rules, direct=direct)
    except DeviceError as error:
        return error.errno or 0
    device.close()
    return faults


@pytest.mark.once
@pytest.mark.parametrize(
    "call",
    [
        "make_directory",
        "open_directory",
        "sync_directory",
        "list_directory",
        "open_file",
        "read_file",
        "write_file",
        "remove_file",
        "measure_file",
        "align_file",
    ],
)
@pytest.mark.parametrize("direct", [False, True])
def test_every_call_of_opening_may_fail(place: Path, call: str, direct: bool) -> None:
    """Whatever fails first, second ... while opening is told, and nothing leaks."""
    before = descriptors()
    failures = 0
    for number in range(1, 20):
        rules: list[Rule] = [(call, -errno.EIO, number, 1)]
        place.parent.joinpath(f"n{number}").mkdir()
        where = place.parent / f"n{number}" / "store"
        if number % 2:
            with probe(where, direct=direct) as device:
                assert device.put(0, DATA) == 0
        opened = attempt(where, rules, direct)
        if isinstance(opened, int):
            failures += 1
            assert opened == errno.EIO
        else:
            assert opened.calls(call) < number or call == "remove_file"
        assert descriptors() == before
    applies = direct or call not in ("write_file", "remove_file")
    assert (failures > 0) == applies


@pytest.mark.fault("F05")
@pytest.mark.parametrize("call", ["open_file", "rename_file"])
def test_a_segment_that_cannot_be_made(place: Path, call: str) -> None:
    """A file that cannot be made fails the write that needed it, and leaves nothing."""
    device, faults = faulty(place)
    with device:
        assert device.put(0, DATA[:SEGMENT]) == 0
        later(faults, call, -errno.EACCES)
        assert device.put(SEGMENT, b"x") == -errno.EACCES
        assert len(names(place)) == 1
        assert device.put(SEGMENT, DATA[SEGMENT:]) == 0
        assert device.get(0, len(DATA)) == DATA


def test_a_file_that_cannot_be_removed(place: Path) -> None:
    """A truncation that fails has not lost what is above, and can be made again."""
    device, faults = faulty(place)
    with device:
        assert device.put(0, DATA) == 0
        later(faults, "remove_file", -errno.EACCES)
        assert device.truncate_before(SEGMENT) == -errno.EACCES
        assert len(names(place)) == 2
        assert device.get(SEGMENT, SEGMENT) == DATA[SEGMENT:]
        assert device.truncate_before(SEGMENT) == 0
        assert len(names(place)) == 1
