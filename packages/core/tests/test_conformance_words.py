# SPDX-License-Identifier: MIT
"""
The suite catches devices whose table, refusals or completions are broken.

The broken ones derive from a device that is right and passes every check. It is a real
table whose functions are Python, so that a mutant may break any word of the contract.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable

import pytest

from pyfaster.testing.conformance import run_conformance
from pyfaster.testing.conformance._table import DONE, FUNCTIONS
from pyfaster.testing.conformance.reference import (
    UNIT,
    End,
    Picky,
    Reference,
    Store,
    places,
)

#: The suite is the same whatever else is installed.
pytestmark = pytest.mark.once

SEGMENT = 1 << 20

# --- the mutants --------------------------------------------------------------------

MUTANTS: list[tuple[type[Reference], str]] = []


def caught_by(*checks: str) -> Callable[[type[Reference]], type[Reference]]:
    """Say which checks must catch a mutant."""

    def add(kind: type[Reference]) -> type[Reference]:
        MUTANTS.extend((kind, check) for check in checks)
        return kind

    return add


def declares(
    name: str, check: str, base: type[Reference] = Reference, **fields: int
) -> None:
    """Add a mutant whose table says something wrong."""
    caught_by(check)(type(name, (Reference,), {"fields": fields}))


declares("OtherInterface", "T-abi", abi=2)
declares("SmallTable", "T-size", size=64)
declares("OddSector", "T-sector-is-a-power-of-two", sector_size=600)
declares("TinySector", "T-sector-is-512-or-more", sector_size=256)
declares("OddAlignment", "T-alignment-is-a-power-of-two", alignment=48)
declares("NoAlignment", "T-alignment-is-a-power-of-two", alignment=0)
declares("NoRoom", "T-capacity-holds-a-request", capacity=100)
declares("TinyRequests", "T-max-io-is-a-request", max_io=100)
declares("OddUnit", "T-atomic-unit-is-a-power-of-two", atomic_unit=1000)
declares("UsedReserve", "T-reserved-is-zero", reserved=1)
declares("UnknownBits", "T-capabilities-are-known", capabilities=1 << 40)
declares("KeepsNothingForEver", "T-discards-excludes-flushes", capabilities=2 | 8)
declares("VolatileForEver", "T-volatile-excludes-flushes", capabilities=1 | 8)
declares("NothingKept", "B-discarded-writes-read-as-zeros", capabilities=1 | 2)


@caught_by("T-has-wait")
class WithoutWait(Reference):
    """A table of before `wait` was there."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.table.wait = FUNCTIONS["wait"]()


@caught_by("T-handed-over-once")
class HandedOverAgain(Reference):
    """Gives its table to whoever asks."""

    def __faster_device__(self, abi: int, /) -> int:
        return ctypes.addressof(self.table)


@caught_by("T-table-stays-as-it-was")
class ChangingTable(Reference):
    """Finds out its sector size late."""

    def poll(self) -> int:
        self.table.sector_size = 4096
        return super().poll()


@caught_by("V1-write-begins-behind-all-offsets", "V1-usable-after-refusals")
class RefusesAndCompletes(Reference):
    """Completes what it refuses."""

    def submit(self, kind: str, at: int, buffer: int, length: int, end: End) -> int:
        refused = super().submit(kind, at, buffer, length, end)
        if refused != 0:
            end(refused, 0)
        return refused


@caught_by("V1-write-begins-behind-all-offsets", "V1-read-wraps-around")
class WrapsAround(Reference):
    """Counts offsets in fewer bits."""

    def submit(self, kind: str, at: int, buffer: int, length: int, end: End) -> int:
        low = at & 0xFFFF
        return super().submit(kind, low, buffer, min(length, UNIT), end)


@caught_by("V1-write-with-misaligned-offset", "V1-read-with-misaligned-offset")
class RoundsDown(Picky):
    """Takes any offset and goes to the sector's beginning."""

    def submit(self, kind: str, at: int, buffer: int, length: int, end: End) -> int:
        down = at // UNIT * UNIT
        with self.lock:
            self.hold(kind, down, buffer, length, end)
        return 0


@caught_by("V1-write-behind-the-capacity", "V1-write-across-the-capacity")
class GrowsForEver(Picky):
    """Takes writes behind its capacity."""

    def refusal(self, kind: str, at: int, buffer: int, length: int) -> int:
        found = super().refusal(kind, at, buffer, length)
        return 0 if found == -errno.ENOSPC else found


@caught_by("V1-write-far-behind-the-capacity")
class SaysSomethingElse(Picky):
    """Is full and calls it an I/O error."""

    def refusal(self, kind: str, at: int, buffer: int, length: int) -> int:
        found = super().refusal(kind, at, buffer, length)
        return -errno.EIO if found == -errno.ENOSPC else found


@caught_by("V1-write-above-max-io")
class CutsAtMaxIo(Picky):
    """Writes the first max_io bytes and says that it wrote all."""

    def submit(self, kind: str, at: int, buffer: int, length: int, end: End) -> int:
        less = min(length, self.table.max_io)
        return super().submit(kind, at, buffer, less, lambda code, _: end(code, length))


@caught_by("V2-write-ends-once", "V2-none-is-lost-over-time")
class CompletesTwice(Reference):
    """F78: completes a request a second time."""

    def finish(self, end: End, moved: int) -> None:
        end(DONE, moved)
        end(DONE, moved)


@caught_by("V2-many-writes-in-flight")
class LosesRequests(Reference):
    """Forgets the hundredth request."""

    count = 0

    def finish(self, end: End, moved: int) -> None:
        self.count += 1
        if self.count != 100:
            end(DONE, moved)


@caught_by("V3-write-is-done", "V3-sync-is-done", "V2-write-ends-once")
class SaysZero(Reference):
    """F79: what a broken callback leaves behind."""

    def finish(self, end: End, moved: int) -> None:
        end(0, moved)


@caught_by("V3-failures-are-negative")
class PositiveErrno(Reference):
    """Fails every third request with a positive number."""

    count = 0

    def finish(self, end: End, moved: int) -> None:
        self.count += 1
        end(errno.EIO if self.count % 3 == 0 else DONE, moved)


@caught_by("V4-write-moves-all", "B-round-trip-of-two-of-the-smallest")
class ShortWrite(Reference):
    """F01: writes less than was asked and calls it done."""

    def hold(self, kind: str, at: int, buffer: int, length: int, end: End) -> None:
        less = UNIT if kind == "write" else length
        super().hold(kind, at, buffer, less, end)


@caught_by("V4-read-of-what-was-written-is-whole", "V7-short-only-at-the-end")
class ShortRead(Reference):
    """F03: reads less than there is."""

    def hold(self, kind: str, at: int, buffer: int, length: int, end: End) -> None:
        less = UNIT if kind == "read" else length
        super().hold(kind, at, buffer, less, end)


@caught_by("V4-read-moves-no-more-than-asked")
class SaysTooMuch(Reference):
    """Says that more bytes were read than were asked for."""

    def finish(self, end: End, moved: int) -> None:
        end(DONE, moved + 1 if moved else 0)


@caught_by("V4-said-bytes-are-there", "V2-many-reads-in-flight")
class ReadsNothing(Reference):
    """Says that bytes were read and leaves the buffer as it was."""

    def get(self, at: int, buffer: int, length: int) -> None:
        pass


@caught_by("V4-read-moves-no-more-than-asked", "V5-requests-keep-to-their-buffers")
class Overruns(Reference):
    """Writes a byte behind the buffer."""

    def get(self, at: int, buffer: int, length: int) -> None:
        ctypes.memset(buffer + length, 0, 1)
        super().get(at, buffer, length)


@caught_by("V5-write-leaves-its-buffer-alone")
class EncryptsInPlace(Reference):
    """Changes the caller's bytes."""

    def put(self, at: int, buffer: int, length: int) -> None:
        super().put(at, buffer, length)
        ctypes.memset(buffer, 0, 1)


@caught_by("V5-write-buffer-is-free-when-done", "V5-read-buffer-is-free-when-done")
class LooksAgain(Reference):
    """Uses the buffer once more at the next poll."""

    late: Callable[[], object] | None = None

    def poll(self) -> int:
        with self.lock:
            held = [carry_out for carry_out, _, _ in self.held]
            count = super().poll()
            late, self.late = self.late, held[-1] if held else None
            if late is not None:
                late()
        return count


@pytest.mark.fault("F81")
@pytest.mark.parametrize(
    ("kind", "check"), MUTANTS, ids=[f"{k.__name__}-{c}" for k, c in MUTANTS]
)
def test_a_broken_device_is_caught(kind: type[Reference], check: str) -> None:
    """The check that guards what a mutant breaks fails."""
    report = run_conformance(
        places(kind), only=[check], segment_size=SEGMENT, patience=20
    )
    assert [one.id for one in report.failed if one.id == check] == [check]
