# SPDX-License-Identifier: MIT
"""Many threads at once: nothing is lost, torn or completed twice."""

from __future__ import annotations

import random
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from file_kit import SEGMENT, faulty, names, probe

from pyfaster.testing import Probe

UNIT = 4096
THREADS = 6
TURNS = 150
HERE = Path(__file__).parent
SOURCES = HERE.parent / "csrc"
COMPILER = shutil.which("cc")

#: Sources that are not the device's, or another system's.
OTHERS = {"module.c", "os_macos.c", "os_windows.c"}


def work(device: Probe, number: int, seed: int) -> None:
    """Write, read and sync in a stripe of one's own, and compare."""
    chance = random.Random(seed + number)
    stripe = [bytes(UNIT)] * 64
    for _ in range(TURNS):
        at = chance.randrange(64)
        offset = (at * THREADS + number) * UNIT
        action = chance.randrange(8)
        if action < 4:
            stripe[at] = chance.randbytes(UNIT)
            assert device.put(offset, stripe[at]) == 0
        elif action < 7:
            found = device.get(offset, UNIT)
            assert found == stripe[at][: len(found)]
            assert found or not any(stripe[at])
        else:
            assert device.flush() == 0


@pytest.mark.slow
@pytest.mark.parametrize("direct", [False, True], ids=["cached", "direct"])
def test_stripes(place: Path, direct: bool) -> None:
    """Threads that share files, each with sectors of its own, read what they wrote."""
    seed = 4711
    print(f"seed={seed}")
    with probe(place, threads=8, direct=direct) as device:
        with ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(work, device, n, seed) for n in range(THREADS)]:
                done.result()
        assert device.completed == device.submitted


@pytest.mark.slow
def test_many_make_one_segment(place: Path) -> None:
    """However many writes need a new file at once, it is made once."""
    device, faults = faulty(place, threads=16)
    with device:
        for number in range(20):
            base = number * SEGMENT
            tickets = [
                device.write(base + n * UNIT, bytes([n]) * UNIT) for n in range(16)
            ]
            assert {device.wait(ticket).bytes for ticket in tickets} == {UNIT}
        assert faults.calls("rename_file") == 20
        wanted = b"".join(bytes([n]) * UNIT for n in range(16))
        assert device.get(19 * SEGMENT, SEGMENT) == wanted
    assert len(names(place)) == 20


@pytest.mark.slow
@pytest.mark.fault("F94")
def test_reading_while_files_go(place: Path) -> None:
    """A read that meets a truncation gives the bytes, or that they are gone."""
    count = 24
    with probe(place, threads=8) as device:
        for number in range(count):
            assert device.put(number * SEGMENT, bytes([number]) * SEGMENT) == 0
        for number in range(1, count):
            tickets = {
                n: device.read(n * SEGMENT, SEGMENT) for n in range(number - 1, count)
            }
            assert device.truncate_before(number * SEGMENT) == 0
            for n, ticket in tickets.items():
                known = device.wait(ticket)
                gone = known.code == -2 and n < number
                assert gone or device.data(ticket) == bytes([n]) * SEGMENT
    assert names(place) == [f"{(count - 1) * SEGMENT:020x}.seg"]


@pytest.mark.slow
def test_more_requests_than_usual(place: Path) -> None:
    """Thousands of requests may wait; each is completed once."""
    with probe(place, threads=2) as device:
        tickets = [device.write(n % 16 * UNIT, bytes(UNIT)) for n in range(3_000)]
        codes = {device.wait(ticket).completions for ticket in tickets}
        assert codes == {1}


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.fault("F01")
@pytest.mark.fault("F05")
@pytest.mark.fault("F77")
@pytest.mark.skipif(
    COMPILER is None or not Path("/proc/self").exists(),
    reason="this system has no compiler, or is not Linux",
)
@pytest.mark.parametrize("checks", ["thread", "address,undefined"])
def test_threads_under_faults(tmp_path: Path, checks: str) -> None:
    """Every request of four threads ends once, with its bytes, whatever goes wrong."""
    program = tmp_path / "torture"
    files = [str(path) for path in SOURCES.glob("*.c") if path.name not in OTHERS]
    flags = ["-O1", "-g", "-std=c11", "-D_GNU_SOURCE", f"-fsanitize={checks}"]
    building = [str(COMPILER), *flags, f"-I{SOURCES}", str(HERE / "torture.c")]
    subprocess.run([*building, *files, "-lpthread", "-o", str(program)], check=True)
    for seed in range(1, 4):
        print("seed", seed)
        running = [str(program), str(tmp_path / "store"), str(seed), "40"]
        ran = subprocess.run(running, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
