# SPDX-License-Identifier: MIT
"""
What kind of device is checked, and what a check may need it to be.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from pyfaster.testing.conformance._model import Need
from pyfaster.testing.conformance._table import (
    CAPABILITIES,
    Facts,
    is_power_of_two,
)

SECTOR_MIN = 512

#: The largest request that is made to reach a limit.
MAX_IO_MOST = 1 << 26


@dataclass(frozen=True, slots=True)
class Profile:
    """
    What is known of a device before the first request.

    Attributes:
        facts: What its table says.

        capabilities: What the device is held to, by name.

        python: Whether it is written in Python, served by the core.

        segment_size: Where one file or part of it ends; checks reach across it.
    """

    facts: Facts
    capabilities: frozenset[str]
    python: bool
    segment_size: int

    @property
    def usable(self) -> bool:
        """
        Whether the table is good enough to submit a request through it.
        """
        facts = self.facts
        return facts.missing == () and is_power_of_two(facts.alignment)

    @property
    def unit(self) -> int:
        """
        The smallest request: a sector, or what alignment asks for if that is more.
        """
        return max(SECTOR_MIN, self.facts.sector_size, self.facts.alignment)

    def room(self, size: int) -> bool:
        """
        Whether the device can hold that many bytes.
        """
        return self.facts.capacity == 0 or self.facts.capacity >= size


def promised(facts: Facts, claimed: frozenset[str]) -> frozenset[str]:
    """
    Give what a device is held to: what it declares, and what is claimed for it.
    """
    return claimed.union(name for name in CAPABILITIES if facts.declares(name))


def having(name: str) -> Need:
    """
    Need a capability.
    """
    return Need(
        lambda profile: name in profile.capabilities, f"it does not declare {name}"
    )


def lacking(name: str) -> Need:
    """
    Need that a capability is absent.
    """
    return Need(lambda profile: name not in profile.capabilities, f"it declares {name}")


def room(size: int) -> Need:
    """
    Need a capacity of so many bytes.
    """
    return Need(
        lambda profile: profile.room(size), f"its capacity is below {size} bytes"
    )


#: The table can be called at all.
USABLE = Need(
    lambda profile: profile.usable, "its table lacks what a request needs (rule T)"
)
#: Bytes that were written can be read.
KEEPS = Need(
    lambda profile: "discards" not in profile.capabilities,
    "it declares discards: it keeps nothing",
)
#: What was synced is there when the place is opened again.
PERSISTS = Need(
    lambda profile: (
        "flushes" in profile.capabilities and "volatile" not in profile.capabilities
    ),
    "it does not declare flushes, or its contents end with the process",
)
ALIGNED = Need(
    lambda profile: profile.facts.alignment > 1, "its alignment is 1: nothing misfits"
)
BOUNDED = Need(lambda profile: profile.facts.capacity > 0, "it declares no capacity")
LIMITED = Need(
    lambda profile: 0 < profile.facts.max_io <= MAX_IO_MOST,
    "it declares no max_io, or one that is too large to be tried",
)
PYTHON = Need(lambda profile: profile.python, "it is written in C")
NATIVE = Need(lambda profile: not profile.python, "it is written in Python")
CAN_FORK = Need(lambda _: hasattr(os, "fork"), "this system has no fork()")
