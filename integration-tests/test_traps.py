# SPDX-License-Identifier: MIT
"""
docs/traps.md and the tests agree on which traps are guarded.
"""

from __future__ import annotations

import pytest

import traps

pytestmark = pytest.mark.once


def test_guarded_traps_have_a_test() -> None:
    """Every trap that the page calls guarded is carried by a test."""
    guarded = traps.listed("Guarded")
    assert guarded, "docs/traps.md lists no guarded trap"
    assert sorted(guarded.keys() - traps.carried().keys()) == []


def test_tests_carry_known_traps_only() -> None:
    """A trap that a test carries is on the page; an open one may be guarded in part."""
    known = traps.listed("Guarded").keys() | traps.listed("Open").keys()
    assert sorted(traps.carried().keys() - known) == []


def test_traps_are_listed_once() -> None:
    """No trap is both guarded and open."""
    both = traps.listed("Guarded").keys() & traps.listed("Open").keys()
    assert sorted(both) == []
