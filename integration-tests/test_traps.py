# SPDX-License-Identifier: MIT
"""
docs/traps.md, docs/faults.md and the tests agree on what is guarded.
"""

from __future__ import annotations

import pytest

from traps import PAGES, Page

pytestmark = [pytest.mark.once, pytest.mark.parametrize("page", PAGES, ids=str)]


def test_what_is_guarded_has_a_test(page: Page) -> None:
    """Every id that the page calls guarded is carried by a test."""
    guarded = page.listed("Guarded")
    assert guarded, f"{page} lists nothing that is guarded"
    assert sorted(guarded.keys() - page.carried().keys()) == []


def test_tests_carry_known_ids_only(page: Page) -> None:
    """An id that a test carries is on the page; an open one may be guarded in part."""
    known = page.listed("Guarded").keys() | page.listed("Open").keys()
    assert sorted(page.carried().keys() - known) == []


def test_ids_are_listed_once(page: Page) -> None:
    """Nothing is both guarded and open."""
    both = page.listed("Guarded").keys() & page.listed("Open").keys()
    assert sorted(both) == []
