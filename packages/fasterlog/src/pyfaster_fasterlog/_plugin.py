# SPDX-License-Identifier: MIT
"""
What this distribution tells pyfaster: the subcommand that looks at logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyfaster.hookspecs import hookimpl


@hookimpl
def pyfaster_cli() -> Mapping[str, Any]:
    """
    Give the subcommand, which only the command loads.
    """
    from pyfaster_fasterlog._cli import COMMANDS

    return COMMANDS
