# SPDX-License-Identifier: MIT
"""After fork() the ring is the parent's."""

from __future__ import annotations

import os
import random
import warnings
from pathlib import Path
from typing import Any

import pytest

from pyfaster.testing._probe import DONE
from pyfaster_devices_uring import _cabi

pytestmark = pytest.mark.skipif(
    _cabi.uring_probe(None) != 0, reason="this system has no io_uring for us"
)

BLOCK = 4096
FORKED = -5007


def fork() -> int:
    """Fork; the interpreter's warning of threads is what is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


@pytest.mark.fault("F62")
def test_every_entry_refuses_a_child(opener: Any) -> None:
    """The child is refused by every function of the table; the parent goes on."""
    probe, _ = opener()
    data = random.Random(7).randbytes(4 * BLOCK)
    assert probe.put(0, data) == 0
    child = fork()
    if child == 0:
        answers = [
            probe.result(probe.read(0, BLOCK)).result,
            probe.result(probe.write(0, bytes(BLOCK))).result,
            probe.result(probe.sync()).result,
            probe.truncate_before(1 << 16),
            probe.poll(),
            probe.device_wait(1),
            probe.close(),
        ]
        os._exit(0 if answers == [FORKED] * 7 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert probe.get(0, len(data)) == data
    assert probe.flush() == 0
    assert probe.close() == 0


@pytest.mark.fault("F63")
def test_a_child_that_ends_takes_no_results(opener: Any) -> None:
    """Requests in flight over a fork end once, with their bytes, in the parent."""
    probe, _ = opener(depth=64)
    data = random.Random(8).randbytes(120 * BLOCK)
    assert probe.put(0, data) == 0
    for turn in range(5):
        tickets = [probe.read(i * BLOCK, BLOCK) for i in range(120)]
        assert probe.poll() >= 0
        child = fork()
        if child == 0:
            os._exit(0 if probe.poll() == FORKED else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, turn
        for i, ticket in enumerate(tickets):
            known = probe.wait(ticket)
            assert (known.code, known.completions) == (DONE, 1)
            assert probe.data(ticket) == data[i * BLOCK : (i + 1) * BLOCK]
    assert probe.close() == 0


@pytest.mark.fault("F62")
def test_programs_that_are_started_inherit_nothing(opener: Any) -> None:
    """The ring and the files are closed when another program is executed."""
    probe, device = opener()
    assert probe.put(0, bytes(BLOCK)) == 0
    links = {int(link.name): link for link in Path("/proc/self/fd").iterdir()}
    found = {number: target(link) for number, link in links.items()}
    ours = [number for number, name in found.items() if "io_uring" in name]
    ours += [number for number, name in found.items() if name.startswith(device.path)]
    assert len(ours) >= 3  # the ring, a segment, and the folder of segments
    assert [os.get_inheritable(number) for number in ours] == [False] * len(ours)
    assert min(ours) > 2


def target(link: Path) -> str:
    """Where a descriptor leads; it may have been closed again."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""
