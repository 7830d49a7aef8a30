# SPDX-License-Identifier: MIT
"""What `pyfaster doctor` is told of io_uring."""

from __future__ import annotations

import errno

import pytest

from pyfaster_devices_uring._doctor import ring_found
from pyfaster_devices_uring._plugin import pyfaster_doctor


def test_the_system_is_asked() -> None:
    """There is one finding, whatever this system gives."""
    (finding,) = pyfaster_doctor()
    assert finding.name == "io_uring"
    assert finding.status in ("ok", "warning")
    assert bool(finding.advice) == (finding.status == "warning")


@pytest.mark.parametrize(
    ("status", "switch", "said"),
    [
        (-errno.ENOSYS, "", "the kernel has no io_uring"),
        (-errno.EPERM, "2", "io_uring_disabled is 2"),
        (-errno.EPERM, "1", "only for a group"),
        (-errno.EPERM, "0", "forbids io_uring"),
        (-errno.ENOMEM, "", "no memory for the ring"),
        (-errno.EIO, "", f"errno {errno.EIO}"),
    ],
)
def test_why_there_is_no_ring(status: int, switch: str, said: str) -> None:
    """The kernel's refusal is told in words, with the switch that causes it."""
    finding = ring_found(lambda: status, switch)
    assert (finding.status, said in finding.found) == ("warning", True)
    assert "file" in finding.advice


def test_a_ring_is_fine() -> None:
    """What was given is told, and there is nothing to do."""
    finding = ring_found(lambda: 0, "0")
    assert (finding.status, finding.advice) == ("ok", "")


def test_a_system_without_the_module_is_told_of() -> None:
    """Where only Linux has the compiled module, nothing is raised."""

    def missing() -> int:
        raise ImportError("no module for this system")

    finding = ring_found(missing, "")
    assert (finding.status, "not on this system" in finding.found) == ("warning", True)
