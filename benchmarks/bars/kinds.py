# SPDX-License-Identifier: MIT
"""
What a bar is.
"""

from __future__ import annotations

from dataclasses import dataclass

AT_MOST, AT_LEAST = "<=", ">="


@dataclass(frozen=True, slots=True)
class Bar:
    """
    One bar.

    Attributes:
        group: Which measurement gives its figure.

        relation: AT_MOST or AT_LEAST: how the figure must lie to the bound.

        orientation: True when a miss is worth knowing but fails nothing, because the
            other figure is from another machine, or nobody was promised anything.
    """

    name: str
    group: str
    what: str
    relation: str
    bound: float
    unit: str
    orientation: bool = False
