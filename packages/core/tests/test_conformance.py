# SPDX-License-Identifier: MIT
"""
The conformance suite, run on the core's own devices and on what serves Python ones.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from pyfaster.testing import MemoryDevice, NullDevice
from pyfaster.testing.conformance import (
    CHECKS,
    FAILED,
    NOT_APPLICABLE,
    PASSED,
    Suite,
    run_conformance,
)
from pyfaster.testing.conformance.reference import (
    Lasting,
    Picky,
    PythonLasting,
    PythonReference,
    Reference,
    places,
)

#: The suite is the same whatever else is installed.
pytestmark = pytest.mark.once

SEGMENT = 1 << 20

#: Every device here, as a factory that is made anew for each use.
DEVICES: dict[str, Callable[[], Callable[[str], object]]] = {
    "reference": lambda: places(Reference),
    "lasting": lambda: places(Lasting),
    "picky": lambda: places(Picky),
    "memory": lambda: lambda _: MemoryDevice(SEGMENT),
    "memory-8-MiB": lambda: lambda _: MemoryDevice(SEGMENT, capacity=8 << 20),
    "null": lambda: lambda _: NullDevice(),
    "python": lambda: places(PythonReference),
    "python-lasting": lambda: places(PythonLasting),
}
_suites: dict[str, Suite] = {}


def suite(name: str) -> Suite:
    """Give the suite of a device, made when it is first asked for."""
    if name not in _suites:
        _suites[name] = Suite(DEVICES[name](), segment_size=SEGMENT)
    return _suites[name]


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_device_conforms(name: str, check: object) -> None:
    """The device keeps the sentence, or the check says why it does not apply."""
    outcome = suite(name).run(next(one for one in CHECKS if one is check))
    assert outcome.status in (PASSED, NOT_APPLICABLE), outcome.reason
    assert (outcome.reason == "") == (outcome.status == PASSED)


def test_every_check_applies_to_some_device() -> None:
    """No check goes untried here, but for what no device here declares."""
    tried = {
        check.id
        for check in CHECKS
        for name in DEVICES
        if all(need.holds(suite(name).profile) for need in check.needs)
    }
    assert {check.id for check in CHECKS} - tried == {"D-shared", "D-child-may-use-it"}


def test_there_are_enough_checks_each_with_its_sentence() -> None:
    """Ids begin with their rule, and no sentence is said twice."""
    assert len(CHECKS) >= 110
    shape = r"(T|B|V\d+|X|M|D|P)-[A-Za-z0-9_-]+"
    assert [one.id for one in CHECKS if not re.fullmatch(shape, one.id)] == []
    sentences = [check.sentence for check in CHECKS]
    assert [one for one in sentences if not one.endswith(".")] == []
    assert sorted({one for one in sentences if sentences.count(one) > 1}) == []


def test_every_rule_of_the_contract_has_a_check() -> None:
    """V1 to V11 are all guarded."""
    rules = {check.id.split("-")[0] for check in CHECKS}
    assert {f"V{number}" for number in range(1, 12)} <= rules


def test_a_report_says_what_came_of_it() -> None:
    """Counts, the table and the JSON agree, and a reason is given where one is due."""
    report = run_conformance(lambda _: NullDevice(), only=["V3", "B-read"], name="n")
    found = json.loads(report.to_json())
    assert report.ok is found["ok"] is True
    assert found["device"] == report.device == "n"
    statuses = [one["status"] for one in found["outcomes"]]
    assert statuses.count(PASSED) == len(report.passed) > 0
    assert statuses.count(NOT_APPLICABLE) == len(report.not_applicable) > 0
    assert all(one.reason for one in report.not_applicable)
    last = report.table().splitlines()[-1]
    expected = f"{len(report.passed)} passed, 0 failed, "
    assert last == expected + f"{len(report.not_applicable)} not applicable"


def test_a_failure_is_in_the_report() -> None:
    """What failed is not ok, and says what was found."""

    class Short(PythonReference):
        def write(self, offset: int, buffer: memoryview, /) -> int:
            return super().write(offset, buffer[:1])

    report = run_conformance(places(Short), only=["V4-write-moves-all"])
    assert not report.ok
    assert [one.status for one in report.failed] == [FAILED]
    assert "write" in report.failed[0].reason
    assert report.failed[0].reason in report.table()


def test_claims_are_held_against_the_device() -> None:
    """A device is held to what is claimed for it, not only to what it declares."""
    report = run_conformance(
        lambda _: MemoryDevice(), ["shared"], only=["T-claims", "D-shared"]
    )
    assert [one.id for one in report.failed] == [
        "T-claims-are-declared",
        "D-shared",
    ]


def test_only_what_there_is_may_be_chosen() -> None:
    """A misspelt id is an error, not an empty report."""
    with pytest.raises(ValueError, match="V99"):
        run_conformance(lambda _: NullDevice(), only=["V99"])


def test_importing_the_suite_does_not_import_pytest() -> None:
    """Neither pyfaster nor its conformance suite needs pytest."""
    program = (
        "import sys, pyfaster, pyfaster.testing.conformance\n"
        "sys.exit('pytest' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
