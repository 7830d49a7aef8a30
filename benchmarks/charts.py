# SPDX-License-Identifier: MIT
"""
Small charts as inline SVG: horizontal bars, and one curve.

Nothing is loaded from anywhere: no scripts, no fonts, no style sheets. Colours are set
once, in `PALETTE`, so a contender has the same colour in every chart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

PALETTE = {
    "pyfaster": "#1b6ca8",
    "pyfaster-varlen": "#6aaed6",
    "dict": "#6b6b6b",
    "lmdb": "#c8553d",
    "rocksdict": "#d9a441",
    "plyvel": "#7a9e4b",
    "sqlite-memory": "#8e6bb0",
    "sqlite-wal": "#b79fcf",
}
OTHER = "#999999"

LABEL_WIDTH = 120
BAR_WIDTH = 380
TEXT_WIDTH = 150
BAR_HEIGHT = 13
GAP = 3
TITLE_HEIGHT = 22


@dataclass(frozen=True, slots=True)
class Row:
    """
    One bar.

    Attributes:
        value: Its length, or None for a contender that was not measured.

        low, high: The range of the rounds, drawn as a thin line.

        text: What stands behind the bar.
    """

    label: str
    value: float | None
    low: float
    high: float
    text: str


def bar_chart(title: str, rows: Sequence[Row]) -> str:
    """
    Draw rows as horizontal bars on a common scale that starts at zero.
    """
    longest = max((row.high for row in rows if row.value is not None), default=0.0)
    scale = BAR_WIDTH / longest if longest > 0 else 0.0
    height = TITLE_HEIGHT + len(rows) * (BAR_HEIGHT + GAP)
    width = LABEL_WIDTH + BAR_WIDTH + TEXT_WIDTH
    parts = [opening(width, height, title), heading(title)]
    for place, row in enumerate(rows):
        top = TITLE_HEIGHT + place * (BAR_HEIGHT + GAP)
        parts.append(bar(row, top, scale))
    parts.append("</svg>")
    return "\n".join(parts)


def opening(width: int, height: int, title: str) -> str:
    """
    Open an SVG element of a fixed size.
    """
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(title, quote=True)}">'
    )


def heading(title: str) -> str:
    """
    Draw a chart's title.
    """
    return f'<text x="0" y="14" class="title">{escape(title)}</text>'


def bar(row: Row, top: int, scale: float) -> str:
    """
    Draw one row.
    """
    base = top + BAR_HEIGHT - 3
    label = (
        f'<text x="{LABEL_WIDTH - 6}" y="{base}" class="label">'
        f"{escape(row.label)}</text>"
    )
    length = 0.0 if row.value is None else row.value * scale
    after = LABEL_WIDTH + max(length, row.high * scale if row.value is not None else 0)
    text = f'<text x="{after + 6:.1f}" y="{base}">{escape(row.text)}</text>'
    if row.value is None:
        return label + text
    colour = PALETTE.get(row.label, OTHER)
    middle = top + BAR_HEIGHT / 2
    return (
        f"{label}"
        f'<rect x="{LABEL_WIDTH}" y="{top}" width="{length:.1f}" '
        f'height="{BAR_HEIGHT}" fill="{colour}"/>'
        f'<line x1="{LABEL_WIDTH + row.low * scale:.1f}" y1="{middle}" '
        f'x2="{LABEL_WIDTH + row.high * scale:.1f}" y2="{middle}" class="range"/>'
        f"{text}"
    )


def curve(
    title: str, lines: Sequence[tuple[str, Sequence[tuple[float, float]]]]
) -> str:
    """
    Draw curves of (x, y) points on common scales that start at zero.
    """
    width, height = LABEL_WIDTH + BAR_WIDTH + TEXT_WIDTH, 260
    points = [point for _, one in lines for point in one]
    right = max((x for x, _ in points), default=1.0) or 1.0
    top = max((y for _, y in points), default=1.0) or 1.0
    left, floor, room = 60, height - 24, height - 24 - TITLE_HEIGHT
    span = width - left - TEXT_WIDTH
    parts = [opening(width, height, title), heading(title)]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        level = floor - share * room
        parts.append(
            f'<line x1="{left}" y1="{level:.1f}" x2="{left + span}" y2="{level:.1f}" '
            f'class="grid"/><text x="{left - 6}" y="{level + 4:.1f}" class="label">'
            f"{top * share:.3g}</text>"
        )
    for place, (label, one) in enumerate(lines):
        colour = list(PALETTE.values())[place % len(PALETTE)]
        path = " ".join(
            f"{left + x / right * span:.1f},{floor - y / top * room:.1f}"
            for x, y in one
        )
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" '
            f'stroke-width="1.5"/><text x="{left + span + 8}" '
            f'y="{TITLE_HEIGHT + 14 * (place + 1)}" fill="{colour}">'
            f"{escape(label)}</text>"
        )
    parts.append(
        f'<text x="{left + span}" y="{height - 6}" class="label">'
        f"{right:,.0f} items</text></svg>"
    )
    return "\n".join(parts)
