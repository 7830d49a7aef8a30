# SPDX-License-Identifier: MIT
"""Threads, faults and sanitizers, in C: `torture.c`, built here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pyfaster_devices_uring import _cabi

HERE = Path(__file__).parent
SOURCES = HERE.parent / "csrc"
COMPILER = shutil.which("cc")

pytestmark = [
    pytest.mark.once,
    pytest.mark.slow,
    pytest.mark.skipif(COMPILER is None, reason="this system has no compiler"),
    pytest.mark.skipif(
        _cabi.uring_probe(None) != 0, reason="this system has no io_uring for us"
    ),
]


@pytest.mark.fault("F01")
@pytest.mark.fault("F05")
@pytest.mark.fault("F77")
@pytest.mark.fault("F83")
@pytest.mark.parametrize("checks", ["thread", "address,undefined"])
def test_threads_under_faults(tmp_path: Path, checks: str) -> None:
    """Every request of four threads ends once, with its bytes, whatever goes wrong."""
    program = tmp_path / "torture"
    sources = [str(path) for path in SOURCES.glob("*.c") if path.name != "module.c"]
    flags = ["-O1", "-g", "-std=c11", "-D_GNU_SOURCE", f"-fsanitize={checks}"]
    building = [str(COMPILER), *flags, f"-I{SOURCES}", str(HERE / "torture.c")]
    subprocess.run([*building, *sources, "-lpthread", "-o", str(program)], check=True)
    for seed in range(1, 4):
        print("seed", seed)
        running = [str(program), str(tmp_path), str(seed), "40"]
        ran = subprocess.run(running, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
