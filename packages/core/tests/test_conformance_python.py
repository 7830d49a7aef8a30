# SPDX-License-Identifier: MIT
"""
The suite catches devices in Python that are broken on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pyfaster.testing.conformance import run_conformance
from pyfaster.testing.conformance.reference import (
    PythonLasting,
    PythonReference,
    Store,
    places,
)

#: The suite is the same whatever else is installed.
pytestmark = pytest.mark.once

SEGMENT = 1 << 20
MUTANTS: list[tuple[type[PythonReference], str]] = []


def caught_by(
    *checks: str,
) -> Callable[[type[PythonReference]], type[PythonReference]]:
    """Say which checks must catch a mutant."""

    def add(kind: type[PythonReference]) -> type[PythonReference]:
        MUTANTS.extend((kind, check) for check in checks)
        return kind

    return add


@caught_by("P-write-says-how-many", "V2-write-ends-once")
class WritesWithoutAWord(PythonReference):
    """Forgets to return from write."""

    def write(self, offset: int, buffer: memoryview, /) -> Any:
        super().write(offset, buffer)


@caught_by("P-write-says-how-many")
class SaysTrue(PythonReference):
    """Returns whether it went well."""

    def write(self, offset: int, buffer: memoryview, /) -> Any:
        return super().write(offset, buffer) == len(buffer)


@caught_by("P-read-says-how-many", "V3-read-is-done")
class ReturnsTheBytes(PythonReference):
    """Returns what was read."""

    def read(self, offset: int, buffer: memoryview, /) -> Any:
        return bytes(self.store.bytes[offset : offset + len(buffer)])


@caught_by("P-read-fills-the-buffer", "V2-many-reads-in-flight")
class FillsACopy(PythonReference):
    """Fills a copy of the buffer."""

    def read(self, offset: int, buffer: memoryview, /) -> int:
        return super().read(offset, memoryview(bytearray(buffer)))


@caught_by("P-read-of-nothing-says-so")
class ClaimsTooMuch(PythonReference):
    """Always says that the whole buffer was filled, and leaves it as it was."""

    def read(self, offset: int, buffer: memoryview, /) -> int:
        super().read(offset, buffer)
        return len(buffer)


@caught_by("P-write-lets-the-buffer-go", "P-write-copies")
class KeepsTheBuffer(PythonReference):
    """Puts the caller's memory on a list, to be written at the next call."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.kept: list[tuple[int, memoryview]] = []

    def write(self, offset: int, buffer: memoryview, /) -> int:
        self.kept.append((offset, memoryview(buffer)))
        return len(buffer)

    def sync(self) -> None:
        for offset, buffer in self.kept:
            super().write(offset, buffer)
        self.kept.clear()


@caught_by("P-read-lets-the-buffer-go")
class KeepsWhatItFilled(PythonReference):
    """Keeps a view of the last buffer that it filled."""

    last: object = None

    def read(self, offset: int, buffer: memoryview, /) -> int:
        self.last = memoryview(buffer)
        return super().read(offset, buffer)


@caught_by("P-write-takes-read-only-buffers")
class ScramblesInPlace(PythonReference):
    """Changes the caller's bytes before it keeps them."""

    def write(self, offset: int, buffer: memoryview, /) -> int:
        buffer[:] = bytes(byte ^ 0x5A for byte in buffer)
        return super().write(offset, buffer)


@caught_by("P-sync-gives-nothing", "V3-sync-is-done")
class SyncSaysTrue(PythonReference):
    """Returns whether it went well."""

    def sync(self) -> Any:
        return True


@caught_by("P-truncate-gives-nothing", "V8-answers-zero")
class TruncateSaysHowMuch(PythonReference):
    """Returns where the device begins now."""

    def truncate_before(self, offset: int, /) -> Any:
        super().truncate_before(offset)
        return offset


@caught_by("P-attributes-are-numbers")
class SpelledSizes(PythonReference):
    """Gives its capacity as text."""

    capacity = "8 MiB"


@caught_by("P-capabilities-are-names")
class UnknownWord(PythonReference):
    """Declares what the core has no word for."""

    capabilities = {"durable"}  # noqa: RUF012 - as a stranger would write it


@caught_by("B-places-are-apart", "V7-new-device-holds-nothing")
class SharedByAll(PythonReference):
    """Keeps all devices' bytes in one array."""

    everything = Store()

    def __init__(self, store: Store) -> None:
        super().__init__(self.everything)
        self.everything.bytes += b"\x01"


@caught_by("B-overwrite-replaces", "D-the-last-write-wins")
class WritesOnce(PythonLasting):
    """Keeps what was written first."""

    def write(self, offset: int, buffer: memoryview, /) -> int:
        if any(self.store.bytes[offset : offset + len(buffer)]):
            return len(buffer)
        return super().write(offset, buffer)


@caught_by("D-synced-bytes-are-there-again")
class ForgetsAtClose(PythonLasting):
    """F17: says that a sync makes writes survive, and keeps nothing."""

    def close(self) -> None:
        self.store.bytes.clear()


@pytest.mark.fault("F79")
@pytest.mark.parametrize(
    ("kind", "check"), MUTANTS, ids=[f"{k.__name__}-{c}" for k, c in MUTANTS]
)
def test_a_broken_python_device_is_caught(
    kind: type[PythonReference], check: str
) -> None:
    """The check that guards what a mutant breaks fails."""
    report = run_conformance(
        places(kind), only=[check], segment_size=SEGMENT, patience=20
    )
    assert [one.id for one in report.failed] == [check]
