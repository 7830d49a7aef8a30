# SPDX-License-Identifier: MIT
"""
T: the table can be used, and what it declares makes sense.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from pyfaster.testing.conformance._model import check, must
from pyfaster.testing.conformance._profile import NATIVE, SECTOR_MIN, USABLE
from pyfaster.testing.conformance._subject import Subject
from pyfaster.testing.conformance._table import (
    ABI,
    CAPABILITIES,
    FUNCTIONS,
    Table,
    is_power_of_two,
)


@check("T-abi", "The table names the interface it was built for.")
def abi(subject: Subject) -> None:
    found = subject.profile.facts.abi
    must(found == ABI, f"abi is {found}, not {ABI}")


@check("T-size", "The table is at least as large as the interface's struct.")
def size(subject: Subject) -> None:
    found = subject.profile.facts.size
    must(found >= ctypes.sizeof(Table), f"{found} bytes, not {ctypes.sizeof(Table)}")


def _function(name: str) -> Callable[[Subject], None]:
    def present(subject: Subject) -> None:
        must(name not in subject.profile.facts.missing, f"{name} is NULL")

    return present


for _name in FUNCTIONS:
    check(f"T-has-{_name}", f"The table has the function {_name}.")(_function(_name))


@check("T-sector-is-a-power-of-two", "sector_size is a power of two.")
def sector_power(subject: Subject) -> None:
    found = subject.profile.facts.sector_size
    must(is_power_of_two(found), f"sector_size is {found}")


@check("T-sector-is-512-or-more", "sector_size is at least 512.")
def sector_least(subject: Subject) -> None:
    found = subject.profile.facts.sector_size
    must(found >= SECTOR_MIN, f"sector_size is {found}")


@check("T-alignment-is-a-power-of-two", "alignment is a power of two.")
def alignment_power(subject: Subject) -> None:
    found = subject.profile.facts.alignment
    must(is_power_of_two(found), f"alignment is {found}")


@check("T-capacity-holds-a-request", "capacity is 0, or one request fits into it.")
def capacity_least(subject: Subject) -> None:
    found = subject.profile.facts.capacity
    must(subject.profile.room(subject.unit), f"capacity is {found}")


@check("T-max-io-is-a-request", "max_io is 0, or an aligned sector fits into it.")
def max_io_least(subject: Subject) -> None:
    found = subject.profile.facts.max_io
    must(found == 0 or found >= subject.unit, f"max_io is {found}")


@check("T-atomic-unit-is-a-power-of-two", "atomic_unit is 0 or a power of two.")
def atomic_unit_power(subject: Subject) -> None:
    found = subject.profile.facts.atomic_unit
    must(found == 0 or is_power_of_two(found), f"atomic_unit is {found}")


@check("T-reserved-is-zero", "The reserved word is zero.")
def reserved_zero(subject: Subject) -> None:
    found = subject.profile.facts.reserved
    must(found == 0, f"reserved is {found}")


@check("T-capabilities-are-known", "Only bits that have a name are set.")
def bits_known(subject: Subject) -> None:
    rest = subject.profile.facts.capabilities >> len(CAPABILITIES)
    must(rest == 0, f"capabilities has the unknown bits {rest << len(CAPABILITIES):#x}")


@check(
    "T-claims-are-declared",
    "What the device is offered with is what its table declares.",
)
def claims_declared(subject: Subject) -> None:
    facts = subject.profile.facts
    unknown = sorted(subject.profile.capabilities - set(CAPABILITIES))
    must(not unknown, f"no capability has the name {', '.join(unknown)}")
    lost = [name for name in subject.profile.capabilities if not facts.declares(name)]
    must(not lost, f"claimed, and not declared: {', '.join(sorted(lost))}")


@check(
    "T-discards-excludes-flushes",
    "A device that keeps nothing does not claim that a sync makes writes survive.",
)
def discards_alone(subject: Subject) -> None:
    facts = subject.profile.facts
    both = facts.declares("discards") and facts.declares("flushes")
    must(not both, "it declares both discards and flushes")


@check(
    "T-volatile-excludes-flushes",
    "Contents that end with the process do not survive a power cut.",
)
def volatile_alone(subject: Subject) -> None:
    facts = subject.profile.facts
    both = facts.declares("volatile") and facts.declares("flushes")
    must(not both, "it declares both volatile and flushes")


@check(
    "T-table-stays-as-it-was",
    "What the table says does not change while the device is used.",
    USABLE,
)
def table_constant(subject: Subject) -> None:
    drive = subject.open()
    before = drive.facts
    subject.put(drive, 0, bytes(subject.unit))
    subject.get(drive, 0, subject.unit)
    subject.synced(drive)
    must(drive.facts == before, f"before {before}, after {drive.facts}")


@check(
    "T-handed-over-once",
    "A device whose table was taken refuses to hand it over again.",
    USABLE,
    NATIVE,
)
def handed_over_once(subject: Subject) -> None:
    device = subject.device()
    subject.drive(device)
    try:
        device.__faster_device__(ABI)
    except Exception:  # noqa: BLE001 - any refusal will do
        return
    must(False, "the second call of __faster_device__ gave an address")
