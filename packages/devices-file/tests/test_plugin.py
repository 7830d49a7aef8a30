# SPDX-License-Identifier: MIT
"""How the device is found, what importing does, and what is vendored."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from file_kit import settings

from pyfaster._registry import registry
from pyfaster.hookspecs import DeviceScheme
from pyfaster_devices_file import FileDevice, _plugin, open_file

PACKAGE = Path(__file__).parent.parent


def test_the_entry_point_names_the_plugin() -> None:
    """The distribution's entry point leads to the module with the hook."""
    points = metadata.distribution("pyfaster-devices-file").entry_points
    (point,) = [one for one in points if one.group == "pyfaster"]
    assert point.load() is _plugin


def test_the_scheme() -> None:
    """The hook gives one scheme, with what the device promises."""
    (scheme,) = _plugin.pyfaster_devices()
    promised = {
        "directory": True,
        "durable": True,
        "read_only": True,
        "truncates": True,
        "fork_safe": False,
    }
    assert scheme == DeviceScheme("file", open_file, promised)


def test_the_registry_finds_it(place: Path) -> None:
    """Whoever asks pyfaster for the scheme gets a device from it."""
    registry.load()
    offer = registry.named("pyfaster_devices", "file")
    assert offer is not None
    device = offer.thing.factory(str(place), settings())
    assert isinstance(device, FileDevice)
    device.close()


def test_importing_loads_nothing() -> None:
    """Importing loads no compiled module and starts no thread."""
    program = (
        "import sys, threading, pyfaster_devices_file, pyfaster_devices_file._plugin\n"
        "print('pyfaster_devices_file._file' in sys.modules, threading.active_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False 1\n"


def test_a_module_of_another_version_is_refused() -> None:
    """A compiled module that another version left behind is named."""
    program = (
        "import pyfaster_devices_file._version as v; v.__version__ = '9'\n"
        "try: import pyfaster_devices_file._cabi\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pyfaster-devices-file 9 found a compiled module of version" in done.stdout


@pytest.mark.once
def test_the_interface_is_the_cores() -> None:
    """The vendored device.h is the core's, byte for byte."""
    core = PACKAGE.parent.parent / "native" / "include" / "faster" / "device.h"
    assert (PACKAGE / "csrc" / "device.h").read_bytes() == core.read_bytes()


@pytest.mark.once
def test_the_calls_are_the_headers() -> None:
    """The names of calls that may fail are those of faulty_os.h, in their order."""
    from pyfaster_devices_file._cabi import CALLS

    header = (PACKAGE / "csrc" / "faulty_os.h").read_text("utf-8")
    block = header.split("enum faulty_call {")[1].split("FAULTY_CALLS")[0]
    names = [word.strip(" \n,") for word in block.split("FAULTY_")[1:]]
    assert tuple(name.lower() for name in names if name) == CALLS
