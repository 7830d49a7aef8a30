# SPDX-License-Identifier: MIT
"""
The conformance suite of devices: one check for each sentence of their contract.

The contract is faster/device.h (rules V1 to V11) and, for devices written in Python,
`pyfaster.protocols.PythonDevice`. A program asks with `run_conformance`; a project's
tests ask with pytest:

    pytest -p pyfaster.testing.pytest_plugin --pyfaster-device=sample:/tmp/x \\
        --pyargs pyfaster.testing.conformance

A check that says nothing of a device, because of what it declares, is reported as not
applicable, with the reason. All checks are deterministic: what looks random comes from
seeds, and waiting is bounded by a count of rounds.
"""

from __future__ import annotations

from pyfaster.testing.conformance._model import (
    FAILED,
    NOT_APPLICABLE,
    PASSED,
    Broken,
    Check,
    Need,
    Outcome,
    Report,
)
from pyfaster.testing.conformance._profile import Profile
from pyfaster.testing.conformance._runner import SEGMENT_SIZE, Suite
from pyfaster.testing.conformance._subject import Factory
from pyfaster.testing.conformance._suite import CHECKS, run_conformance
from pyfaster.testing.conformance._table import CAPABILITIES

__all__ = [
    "CAPABILITIES",
    "CHECKS",
    "FAILED",
    "NOT_APPLICABLE",
    "PASSED",
    "SEGMENT_SIZE",
    "Broken",
    "Check",
    "Factory",
    "Need",
    "Outcome",
    "Profile",
    "Report",
    "Suite",
    "run_conformance",
]
