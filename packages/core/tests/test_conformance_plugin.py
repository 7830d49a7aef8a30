# SPDX-License-Identifier: MIT
"""
The pytest plugin: each check is an item, and each outcome is shown as what it is.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyfaster.testing.conformance import CHECKS

#: The suite is the same whatever else is installed.
pytestmark = pytest.mark.once

#: A pytest plugin of a project that has a right and a broken device.
PROJECT = """
import pyfaster
from pyfaster.hookspecs import DeviceScheme, hookimpl
from pyfaster.testing.conformance.reference import PythonReference, places


class Broken(PythonReference):
    def sync(self):
        raise OSError(5, "no")


class Devices:
    @hookimpl
    def pyfaster_devices(self):
        right, broken = places(PythonReference), places(Broken)
        return [
            DeviceScheme("right", lambda where, settings: right(where)),
            DeviceScheme("broken", lambda where, settings: broken(where)),
            DeviceScheme(
                "boasting", lambda where, settings: right(where), {"durable": True}
            ),
        ]


pyfaster.register(Devices(), name="project")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a folder with the project's plugin."""
    (tmp_path / "project_devices.py").write_text(PROJECT)
    return tmp_path


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in the project."""
    plugins = ["-p", "project_devices", "-p", "pyfaster.testing.pytest_plugin"]
    plugins += ["-p", "no:cacheprovider"]
    suite = ["--pyargs", "pyfaster.testing.conformance"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *words, *suite],
        cwd=project,
        env={"PYTHONPATH": str(project), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_check_is_an_item(project: Path) -> None:
    """Every check is listed under its id, once for each device."""
    devices = ["--pyfaster-device=right:a", "--pyfaster-device=broken:b"]
    done = run(project, *devices, "--collect-only", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    for check in CHECKS:
        for device in ("right:a", "broken:b"):
            assert f"::{check.id}[{device}]\n" in done.stdout


def test_what_does_not_apply_is_counted_by_itself(project: Path) -> None:
    """Neither passed nor left out, and the reason is at the end."""
    done = run(project, "--pyfaster-device=right:a", "-k", "V1-write-behind or V3-")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b4 passed,.* 1 not applicable\b", done.stdout), done.stdout
    assert "1 it declares no capacity" in done.stdout


def test_a_failure_shows_the_sentence_and_what_was_found(project: Path) -> None:
    """The reader learns what was promised and what came, not where ours raised."""
    done = run(project, "--pyfaster-device=broken:b", "-k", "V6-sync-of-nothing")
    assert done.returncode == 1
    assert "A sync of a new device succeeds." in done.stdout
    assert "found: did not succeed: sync: code -0x5, 0 bytes" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_scheme_is_held_to_what_it_promises(project: Path) -> None:
    """A scheme that says durable must have a device that flushes."""
    done = run(project, "--pyfaster-device=boasting:c", "-k", "T-claims")
    assert done.returncode == 1
    assert "claimed, and not declared: flushes" in done.stdout


def test_the_folder_of_a_run_is_taken_away(project: Path) -> None:
    """The place that was named stays, and is empty."""
    done = run(project, "--pyfaster-device=right:here/there", "-k", "T-abi")
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((project / "here" / "there").iterdir()) == []
