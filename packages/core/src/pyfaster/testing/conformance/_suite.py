# SPDX-License-Identifier: MIT
"""
All checks, and the function that runs them. pytest collects this file (see
`pyfaster.testing.pytest_plugin`).
"""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module

from pyfaster.testing.conformance._model import Check, Report, known
from pyfaster.testing.conformance._runner import (
    PATIENCE,
    SEGMENT_SIZE,
    Suite,
    chosen,
    run_checks,
)
from pyfaster.testing.conformance._subject import Factory

#: The modules that add checks, in the order in which these are run.
_MODULES = (
    "table",
    "bytes",
    "ends",
    "refusals",
    "completions",
    "order",
    "truncation",
    "progress",
    "threads",
    "model",
    "reopen",
    "python",
)

for _module in _MODULES:
    import_module(f"pyfaster.testing.conformance._check_{_module}")

#: All checks, in the order in which they are run.
CHECKS: tuple[Check, ...] = known()


def run_conformance(
    factory: Factory,
    capabilities: Collection[str] = (),
    *,
    only: Collection[str] | None = None,
    name: str = "device",
    segment_size: int = SEGMENT_SIZE,
    patience: int = PATIENCE,
) -> Report:
    """
    Run the checks of a device.

    Args:
        factory: Opens the device at a named place: a name that is new is an empty
            place, a name that was used before is that place as it was left. Called
            from one thread.

        capabilities: What the device is held to, by name, beyond what it declares.

        only: Ids of checks, or how they begin ("V4"); all when not given.

        name: How the report calls the device.

        segment_size: Where one file or part of the device ends, if it has such.

        patience: After how many rounds of waiting, of some tens of milliseconds each,
            a request counts as never completed.

    Returns:
        What came of each check.

    Raises:
        ValueError: `only` names no check.

        Exception: What the factory raised when the device was opened first.
    """
    suite = Suite(factory, capabilities, segment_size=segment_size, patience=patience)
    return run_checks(chosen(CHECKS, only), suite, name=name)
