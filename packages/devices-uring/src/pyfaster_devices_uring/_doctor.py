# SPDX-License-Identifier: MIT
"""
What `pyfaster doctor` is told of io_uring: whether this process can have a ring.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pyfaster.hookspecs import Finding
from pyfaster_devices_uring._problems import REFUSALS

#: Where Linux says who may have a ring.
SWITCH = "/proc/sys/kernel/io_uring_disabled"

_SWITCHES = {
    "1": "kernel.io_uring_disabled is 1: only for a group and for administrators",
    "2": "kernel.io_uring_disabled is 2: for nobody",
}
_ADVICE = (
    "stores on uring: are served by the device file meanwhile, which is slower where "
    "much is read; allow io_uring (sysctl, the container's seccomp profile)"
)


def probe() -> int:
    """
    Ask for a ring, and give it back: 0, or a negative errno.

    Raises:
        ImportError: There is no compiled module for this system.
    """
    from pyfaster_devices_uring._cabi import uring_probe

    return uring_probe(None)


def switch() -> str:
    """
    What the system's switch says; "" where there is none.
    """
    try:
        return Path(SWITCH).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def ring_found(ask: Callable[[], int] = probe, said: str | None = None) -> Finding:
    """
    Whether this process can have a ring, and why not.

    Args:
        ask: Gives 0, or a negative errno.

        said: What the system's switch says; asked for when not given.
    """
    try:
        status = ask()
    except ImportError as error:
        return Finding("io_uring", "warning", f"not on this system ({error})", _ADVICE)
    if status >= 0:
        return Finding("io_uring", "ok", "the kernel gave a ring")
    why = REFUSALS.get(-status, f"the kernel refused a ring (errno {-status})")
    setting = _SWITCHES.get(switch() if said is None else said, "")
    found = f"{why}; {setting}" if setting else why
    return Finding("io_uring", "warning", found, _ADVICE)


__all__ = ["ring_found"]
