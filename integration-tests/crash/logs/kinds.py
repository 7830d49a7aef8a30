# SPDX-License-Identifier: MIT
"""
The kinds of logs that are tried: the log as it is shipped, and the toy.
"""

from __future__ import annotations

from crash.logs.life import LogSubject
from crash.logs.toy import ToyLogSubject


def log_subject(name: str, mutant: str) -> LogSubject:
    """
    Give a kind of log by its name.
    """
    if name == "toy":
        return ToyLogSubject(mutant)
    from crash.logs.mutants import BrokenLogSubject
    from crash.logs.real import RealLogSubject

    return BrokenLogSubject(mutant) if mutant else RealLogSubject()


__all__ = ["log_subject"]
