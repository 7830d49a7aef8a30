# SPDX-License-Identifier: MIT
"""
What a check is, what comes of it, and the list of all checks.

A check is a function that gets a `Subject` and raises `Broken` when the device does not
keep the sentence that the check guards. Modules with checks add them to the list with
the decorator `check`, in the order in which they are run and shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyfaster.testing.conformance._profile import Profile
    from pyfaster.testing.conformance._subject import Subject

PASSED = "passed"
FAILED = "failed"
NOT_APPLICABLE = "not applicable"


class Broken(AssertionError):
    """
    A device does not keep a sentence of its contract.
    """


def must(kept: object, found: str) -> None:
    """
    Raise `Broken` with what was found instead, unless the sentence is kept.
    """
    if not kept:
        raise Broken(found)


@dataclass(frozen=True, slots=True)
class Need:
    """
    What a device must be for a check to apply to it.

    Attributes:
        holds: Whether a device of that profile is.

        otherwise: Why the check does not apply to one that is not.
    """

    holds: Callable[[Profile], bool]
    otherwise: str


@dataclass(frozen=True, slots=True)
class Check:
    """
    One sentence of the contract, and the function that tries it.

    Attributes:
        id: Stable name; begins with the rule ("V4-short-write-is-not-success").

        sentence: What is promised, as the reader of a report sees it.

        run: Raises `Broken` when the promise is not kept.

        needs: What a device must be for the check to apply.
    """

    id: str
    sentence: str
    run: Callable[[Subject], None]
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What came of one check.

    Attributes:
        id: The check's.

        sentence: The check's.

        status: `PASSED`, `FAILED` or `NOT_APPLICABLE`.

        reason: What was found instead, or why the check does not apply; else empty.
    """

    id: str
    sentence: str
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """
    What came of all checks that were asked for.

    Attributes:
        device: How the device calls itself.

        facts: What it declares and is held to, by name.

        outcomes: In the order of the list of checks.
    """

    device: str
    facts: dict[str, object]
    outcomes: tuple[Outcome, ...]

    def having(self, status: str) -> tuple[Outcome, ...]:
        """
        Give the outcomes of one status.
        """
        return tuple(one for one in self.outcomes if one.status == status)

    @property
    def passed(self) -> tuple[Outcome, ...]:
        """
        The checks that the device keeps.
        """
        return self.having(PASSED)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """
        The checks that it does not keep.
        """
        return self.having(FAILED)

    @property
    def not_applicable(self) -> tuple[Outcome, ...]:
        """
        The checks that say nothing of such a device, each with its reason.
        """
        return self.having(NOT_APPLICABLE)

    @property
    def ok(self) -> bool:
        """
        Whether checks were run and none failed.
        """
        return bool(self.passed) and not self.failed

    def table(self) -> str:
        """
        Give the outcomes as lines of text, with a count at the end.
        """
        width = max((len(one.id) for one in self.outcomes), default=0)
        lines = [f"device: {self.device}"]
        lines += [f"  {name} = {value}" for name, value in self.facts.items()]
        for one in self.outcomes:
            lines.append(f"{one.id:<{width}}  {one.status}")
            if one.reason:
                lines.append(f"{'':<{width}}  {one.reason}")
        counts = [len(self.passed), len(self.failed), len(self.not_applicable)]
        words = (PASSED, FAILED, NOT_APPLICABLE)
        pairs = zip(counts, words, strict=True)
        lines.append(", ".join(f"{count} {word}" for count, word in pairs))
        return "\n".join(lines)

    def to_json(self) -> str:
        """
        Give all of it as one JSON object.
        """
        return json.dumps({"ok": self.ok, **asdict(self)}, indent=2)


#: All checks, by id.
_checks: dict[str, Check] = {}


def check(
    name: str, sentence: str, *needs: Need
) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """
    Add a function to the list of checks, by its id.
    """

    def add(run: Callable[[Subject], None]) -> Callable[[Subject], None]:
        if name in _checks:
            raise ValueError(f"two checks have the id {name!r}")
        _checks[name] = Check(name, sentence, run, needs)
        return run

    return add


def known() -> tuple[Check, ...]:
    """
    Give the checks that were added so far.
    """
    return tuple(_checks.values())
