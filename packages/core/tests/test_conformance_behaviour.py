# SPDX-License-Identifier: MIT
"""
The suite catches devices that keep their words and not their bytes.

The broken ones derive from a device that is right and passes every check. It is a real
table whose functions are Python, so that a mutant may break any word of the contract.
"""

from __future__ import annotations

import ctypes
import errno
import threading
from collections.abc import Callable

import pytest

from pyfaster.testing.conformance import run_conformance
from pyfaster.testing.conformance._table import DONE
from pyfaster.testing.conformance.reference import (
    End,
    Lasting,
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


@caught_by("V6-overlapping-writes-are-one-or-the-other")
class TornWrites(Reference):
    """Carries out only half of a write that meets another."""

    def hold(self, kind: str, at: int, buffer: int, length: int, end: End) -> None:
        if kind == "write" and self.held:
            half = length // 2
            self.held.append((lambda: self.put(at, buffer, half), end, length))
        else:
            super().hold(kind, at, buffer, length, end)


@caught_by("V6-syncs-in-flight")
class OneSyncAtATime(Reference):
    """Fails a sync while another is in flight."""

    def submit(self, kind: str, at: int, buffer: int, length: int, end: End) -> int:
        if kind == "sync" and self.held:
            return -errno.EBUSY
        return super().submit(kind, at, buffer, length, end)


@caught_by("V7-new-device-holds-nothing", "V7-beyond-the-end")
class OldMemory(Reference):
    """Gives what was in memory before, where nothing was written."""

    def hold(self, kind: str, at: int, buffer: int, length: int, end: End) -> None:
        if kind == "read" and at >= len(self.store.bytes):
            fill = (lambda: ctypes.memset(buffer, 7, length), end, length)
            self.held.append(fill)
        else:
            super().hold(kind, at, buffer, length, end)


@caught_by("V7-hole-is-zero", "V7-first-write-not-at-zero")
class HolesOfNoise(Reference):
    """Does not clear what it allocates."""

    def grow(self, size: int) -> None:
        self.store.bytes.extend(b"\x5a" * max(0, size - len(self.store.bytes)))


@caught_by("V8-above-is-untouched-inside-a-segment", "X-with-truncation-seed-7")
class CutsWholeSegments(Reference):
    """Rounds the offset up."""

    def truncate(self, offset: int) -> int:
        return super().truncate(-(-offset // SEGMENT) * SEGMENT)


@caught_by("V8-answers-zero")
class CountsTheCut(Reference):
    """Answers with how many bytes went."""

    def truncate(self, offset: int) -> int:
        super().truncate(offset)
        return min(offset, 1 << 20)


@caught_by("V8-below-is-old-or-gone")
class FillsTheCut(Reference):
    """Leaves other bytes below a truncation."""

    def truncate(self, offset: int) -> int:
        super().truncate(offset)
        self.store.bytes[:offset] = b"\x77" * min(offset, len(self.store.bytes))
        return 0


@caught_by("V9-close-with-writes-in-flight", "V9-close-with-syncs-in-flight")
class ForgetsAtClose(Reference):
    """Frees itself with requests in flight."""

    def close(self) -> int:
        return 0


@caught_by("V9-close-of-an-unused-device")
class HangsAtClose(Reference):
    """F76: waits at close for what never comes."""

    def close(self) -> int:
        threading.Event().wait(60)
        return 0


@caught_by("V10-poll-of-nothing")
class PollCounts(Reference):
    """Counts calls, not completions."""

    def poll(self) -> int:
        return super().poll() + 1


@caught_by("V10-one-poll-is-enough", "V10-one-wait-is-enough")
class OneAtATime(Reference):
    """Needs a poll for each request."""

    def poll(self) -> int:
        with self.lock:
            rest, self.held = self.held[1:], self.held[:1]
            count = super().poll()
            self.held += rest
        return count


@caught_by("V11-wait-of-nothing")
class WaitFails(Reference):
    """Calls it a failure that the time is over."""

    def _wait(self, _: int, timeout_ms: int) -> int:
        return super().poll() or -errno.ETIMEDOUT


@caught_by("V11-wait-brings-completions", "V10-one-wait-is-enough")
class WaitDoesNotPoll(Reference):
    """Only sleeps."""

    def _wait(self, _: int, timeout_ms: int) -> int:
        return 0


@caught_by("V11-waiting-alone-completes-ones-own")
class WaitLeavesSyncs(Reference):
    """Brings what moves bytes when it waits, and syncs only when it is polled."""

    def _wait(self, _: int, timeout_ms: int) -> int:
        with self.lock:
            syncs = [one for one in self.held if one[2] == 0]
            self.held = [one for one in self.held if one[2] != 0]
            count = self.poll()
            self.held += syncs
        return count


@caught_by("V11-waiting-alone-beside-other-threads")
class WaitForTheFirst(Reference):
    """Brings nothing to a thread that waits while another's request is the oldest."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.oldest = 0

    def hold(self, kind: str, at: int, buffer: int, length: int, end: End) -> None:
        if not self.held:
            self.oldest = threading.get_ident()
        super().hold(kind, at, buffer, length, end)

    def _wait(self, _: int, timeout_ms: int) -> int:
        return self.poll() if self.oldest == threading.get_ident() else 0


@caught_by("V2-write-from-a-completion", "V2-sync-from-a-completion")
class BusyInCompletion(Reference):
    """Refuses what is submitted from inside a completion."""

    inside = False

    def submit(self, kind: str, at: int, buffer: int, length: int, end: End) -> int:
        if self.inside:
            return -errno.EBUSY
        return super().submit(kind, at, buffer, length, end)

    def finish(self, end: End, moved: int) -> None:
        self.inside = True
        end(DONE, moved)
        self.inside = False


@caught_by("B-overwrite-replaces", "X-one-by-one-seed-1")
class WritesOnce(Reference):
    """Keeps what was written first."""

    def put(self, at: int, buffer: int, length: int) -> None:
        if not any(self.store.bytes[at : at + length]):
            super().put(at, buffer, length)


@caught_by("D-synced-bytes-are-there-again", "D-many-syncs")
class ForgetsAll(Lasting):
    """F17: says that a sync makes writes survive, and keeps nothing."""

    def close(self) -> int:
        status = super().close()
        self.store.bytes.clear()
        return status


@caught_by("D-the-last-write-wins")
class KeepsTheFirst(Lasting):
    """After opening again it holds what its first sync found."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.first: bytes = b""

    def hold(self, kind: str, at: int, buffer: int, length: int, end: End) -> None:
        super().hold(kind, at, buffer, length, end)
        if kind == "sync":
            self.first = self.first or bytes(self.store.bytes)

    def close(self) -> int:
        status = super().close()
        self.store.bytes[:] = self.first or self.store.bytes
        return status


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
