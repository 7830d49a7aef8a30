# SPDX-License-Identifier: MIT
"""
The suite and the faulty device: what breaks the contract is caught, what it allows is
not.
"""

from __future__ import annotations

import pytest

from pyfaster.testing import FaultyDevice, MemoryDevice, Rule
from pyfaster.testing.conformance import run_conformance

#: The suite is the same whatever else is installed.
pytestmark = pytest.mark.once

SEGMENT = 1 << 20

#: A fault that breaks a promise, and the check that guards it.
BROKEN: list[tuple[Rule, str]] = [
    (Rule("refuse", "read", times=None), "V3-read-is-done"),
    (Rule("refuse", "write", times=None), "V3-write-is-done"),
    (Rule("refuse", "sync", times=None), "V6-sync-of-nothing"),
    (Rule("fail", "read"), "V2-read-ends-once"),
    (Rule("fail", "write", nth=7), "V2-many-writes-in-flight"),
    (Rule("fail", "sync", nth=2), "V6-sync-again"),
    (Rule("fail", "truncate"), "V8-answers-zero"),
    (Rule("code", "write", argument=0), "V3-write-is-done"),
    (Rule("code", "read", argument=12345), "V3-read-is-done"),
    (Rule("code", "sync", argument=0), "V3-sync-is-done"),
    (Rule("bytes", "read", argument=1 << 20), "V4-read-moves-no-more-than-asked"),
    (Rule("bytes", "write", argument=1), "V4-write-moves-all"),
    (Rule("short", "write", argument=-1, times=None), "V4-write-moves-all"),
    (Rule("short", "read", argument=-1, times=None), "V7-short-only-at-the-end"),
    (Rule("never", "write", nth=100), "V2-many-writes-in-flight"),
    (Rule("never", "sync"), "V6-sync-after-a-write"),
    (Rule("hold", "read", nth=5), "V10-one-poll-is-enough"),
    (Rule("hold", "write", nth=5), "V11-wait-brings-completions"),
    (Rule("twice", "write", times=None), "V2-write-ends-once"),
    (Rule("twice", "read", times=None), "V2-many-reads-in-flight"),
    (Rule("twice", "sync", times=None), "V6-syncs-in-flight"),
    (Rule("late", "write", nth=3), "V9-close-with-writes-in-flight"),
    (Rule("flip", "read", argument=77), "B-round-trip-of-a-page"),
    (Rule("flip", "write", argument=77, times=None), "B-contents-zeros"),
    (Rule("drop", "write", nth=2), "B-overwrite-replaces"),
    (Rule("tear", "write", mask=0x0F), "B-round-trip-of-64-KiB"),
    (Rule("misdirect", "write", nth=3, argument=512), "B-write-of-many-adjacent"),
    (Rule("misdirect", "read", argument=512), "V2-many-reads-in-flight"),
    (Rule("stale", "read", nth=3), "B-overwrite-replaces"),
]


@pytest.mark.fault("F81")
@pytest.mark.parametrize(
    ("rule", "check"), BROKEN, ids=[f"{r.fault}-{r.kinds}-{c}" for r, c in BROKEN]
)
def test_a_fault_is_caught(rule: Rule, check: str) -> None:
    """The check that guards what a fault breaks fails."""

    def factory(_: str) -> object:
        return FaultyDevice(MemoryDevice(SEGMENT), [rule])

    report = run_conformance(factory, only=[check], segment_size=SEGMENT, patience=10)
    assert check in [one.id for one in report.failed]


#: What a device may do: V2 leaves it the thread and the moment.
ALLOWED = [
    Rule("inline", "read write sync", times=None),
    Rule("foreign", "read write sync", times=None),
    Rule("foreign", "read write sync", every=2, times=None),
]


@pytest.mark.fault("F77")
@pytest.mark.fault("F78")
@pytest.mark.parametrize("rule", ALLOWED, ids=lambda rule: f"{rule.fault}-{rule.every}")
def test_what_is_allowed_is_not_a_fault(rule: Rule) -> None:
    """Completions inside the submission, and of foreign threads, pass every check."""

    def factory(_: str) -> object:
        return FaultyDevice(MemoryDevice(SEGMENT), [rule])

    report = run_conformance(factory, segment_size=SEGMENT)
    assert [(one.id, one.reason) for one in report.failed] == []


@pytest.mark.fault("F81")
@pytest.mark.parametrize(
    ("claims", "check"),
    [
        ({"claim": ["flushes"]}, "T-volatile-excludes-flushes"),
        (
            {"claim": ["flushes"], "hide": ["volatile"]},
            "D-synced-bytes-are-there-again",
        ),
        ({"claim": ["discards"]}, "B-discarded-writes-read-as-zeros"),
        ({"sector_size": 768}, "T-sector-is-a-power-of-two"),
        ({"max_io": 100}, "T-max-io-is-a-request"),
    ],
)
def test_a_false_claim_is_caught(claims: dict[str, object], check: str) -> None:
    """A table that claims what the device does not do is found out."""

    def factory(_: str) -> object:
        return FaultyDevice(MemoryDevice(SEGMENT), **claims)  # type: ignore[arg-type]

    report = run_conformance(factory, only=[check], segment_size=SEGMENT, patience=10)
    assert [one.id for one in report.failed] == [check]
