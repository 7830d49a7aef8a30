# SPDX-License-Identifier: MIT
"""The distribution: its plugin, what importing it does, and what it shares."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pyfaster_devices_uring
from pyfaster_devices_uring import _plugin

PACKAGE = Path(__file__).parent.parent
REPOSITORY = PACKAGE.parent.parent
FILE_DEVICE = PACKAGE.parent / "devices-file" / "csrc"
SHARED = (
    "os.h",
    "os_linux.c",
    "os_posix.c",
    "os_posix.h",
    "segment_header.c",
    "segment_header.h",
    "segments.c",
    "segments.h",
    "segments_open.c",
    "segments_table.h",
)


def test_the_scheme_is_offered() -> None:
    """The plugin gives the scheme "uring"."""
    (scheme,) = _plugin.pyfaster_devices()
    assert (scheme.name, scheme.capabilities["durable"]) == ("uring", True)
    assert scheme.capabilities["read_only"] is True
    assert scheme.factory is pyfaster_devices_uring.open_uring


def test_importing_loads_nothing_of_c() -> None:
    """The compiled module is loaded by the first device, not by an import."""
    code = (
        "import sys, pyfaster_devices_uring._plugin\n"
        "print('pyfaster_devices_uring._uring' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "False"


@pytest.mark.once
@pytest.mark.parametrize("name", SHARED)
def test_segments_are_those_of_the_file_device(name: str) -> None:
    """Both devices read the same directories: they have the same sources."""
    assert (PACKAGE / "csrc" / name).read_bytes() == (FILE_DEVICE / name).read_bytes()


@pytest.mark.once
def test_the_interface_is_that_of_the_core() -> None:
    """The vendored device.h is the core's."""
    ours = (PACKAGE / "csrc" / "device.h").read_bytes()
    assert ours == (REPOSITORY / "native/include/faster/device.h").read_bytes()
