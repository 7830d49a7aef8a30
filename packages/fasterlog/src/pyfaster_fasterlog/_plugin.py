# SPDX-License-Identifier: MIT
"""
What this distribution tells pyfaster: the subcommand that looks at logs, and who can
read what a log's directory holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyfaster.hookspecs import hookimpl
from pyfaster.protocols import Inspector


@hookimpl
def pyfaster_cli() -> Mapping[str, Any]:
    """
    Give the subcommand, which only the command loads.
    """
    from pyfaster_fasterlog._cli import COMMANDS

    return COMMANDS


@hookimpl
def pyfaster_inspectors() -> list[Inspector]:
    """
    Give who reads a log's directory.
    """
    from pyfaster_fasterlog._inspector import LogInspector

    return [LogInspector()]
