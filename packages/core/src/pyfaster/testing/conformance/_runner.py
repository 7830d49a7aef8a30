# SPDX-License-Identifier: MIT
"""
Running checks: of a factory from a program, or one by one from the pytest plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict

from pyfaster.testing.conformance._address import address_of, is_native
from pyfaster.testing.conformance._drive import Drive
from pyfaster.testing.conformance._model import (
    FAILED,
    NOT_APPLICABLE,
    PASSED,
    Broken,
    Check,
    Outcome,
    Report,
)
from pyfaster.testing.conformance._profile import Profile, promised
from pyfaster.testing.conformance._subject import Factory, Subject
from pyfaster.testing.conformance._table import UNKNOWN, Facts

#: What factories are told, and where checks expect one part of a device to end.
SEGMENT_SIZE = 1 << 20

#: Rounds of waiting after which a request counts as never completed.
PATIENCE = 500


class Suite:
    """
    The checks of one device.

    Args:
        factory: Opens the device at a named place; see `run_conformance`.

        capabilities: What it is held to beyond what it declares, by name.

        segment_size: Where a file or part of it ends.

        patience: Rounds of waiting, of some tens of milliseconds each, after which a
            request counts as never completed.
    """

    def __init__(
        self,
        factory: Factory,
        capabilities: Collection[str] = (),
        *,
        segment_size: int = SEGMENT_SIZE,
        patience: int = PATIENCE,
    ) -> None:
        self._factory = factory
        self._claimed = frozenset(capabilities)
        self._segment_size = segment_size
        self._patience = patience
        self._profile: Profile | None = None

    @property
    def profile(self) -> Profile:
        """
        What the device declares, from opening it once.
        """
        if self._profile is None:
            self._profile = self._look()
        return self._profile

    def _look(self) -> Profile:
        device = self._factory("look")
        facts = self._declared(device)
        return Profile(
            facts=facts,
            capabilities=promised(facts, self._claimed),
            python=not is_native(device),
            segment_size=self._segment_size,
        )

    def _declared(self, device: object) -> Facts:
        """
        Read what a device declares, and close it.
        """
        try:
            address, keep = address_of(device)
        except (TypeError, ValueError):
            if is_native(device):
                raise
            return UNKNOWN  # the checks of what it says of itself tell more
        drive = Drive(address, (device, keep), self._patience)
        facts = drive.facts
        if not facts.missing:
            with suppress(Broken):  # a check of its own finds that
                drive.close()
        return facts

    def facts(self) -> dict[str, object]:
        """
        What the table says, and what the device is held to, for people to read.
        """
        found: dict[str, object] = asdict(self.profile.facts)
        found["capabilities"] = ", ".join(sorted(self.profile.capabilities)) or "none"
        found["missing"] = ", ".join(self.profile.facts.missing) or "nothing"
        return found

    def run(self, check: Check) -> Outcome:
        """
        Run one check.
        """
        for need in check.needs:
            if not need.holds(self.profile):
                return Outcome(check.id, check.sentence, NOT_APPLICABLE, need.otherwise)
        reason = self._reason(check)
        status = PASSED if reason is None else FAILED
        return Outcome(check.id, check.sentence, status, reason or "")

    def _reason(self, check: Check) -> str | None:
        """
        Run a check; give why it failed, None when it did not.
        """
        subject = Subject(
            self._factory,
            address_of,
            self.profile,
            name=check.id,
            patience=self._patience,
        )
        found = _caught(lambda: check.run(subject))
        ended = _caught(subject.end)
        return found or ended


def _caught(run: Callable[[], None]) -> str | None:
    try:
        run()
    except Broken as broken:
        return str(broken)
    except Exception as error:  # noqa: BLE001 - a device may raise anything
        return f"raised {type(error).__name__}: {error}"
    return None


def chosen(checks: Collection[Check], only: Collection[str] | None) -> list[Check]:
    """
    Give the checks whose ids are, or begin with, what is asked for.

    Raises:
        ValueError: No check has such an id.
    """
    if only is None:
        return list(checks)
    starts = (only,) if isinstance(only, str) else tuple(only)
    for start in starts:
        if not any(check.id.startswith(start) for check in checks):
            raise ValueError(f"no check has an id that begins with {start!r}")
    return [check for check in checks if check.id.startswith(starts)]


def run_checks(
    checks: Collection[Check], suite: Suite, *, name: str = "device"
) -> Report:
    """
    Run checks of one device, one after another.
    """
    outcomes = tuple(suite.run(check) for check in checks)
    return Report(name, suite.facts(), outcomes)
