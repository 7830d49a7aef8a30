# SPDX-License-Identifier: MIT
"""How terminals show sizes, durations and texts; the log's picture is top's test."""

from __future__ import annotations

import pytest

from pyfaster import pictures


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1,023 B"),
        (1536, "1.5 KiB"),
        (-2048, "-2.0 KiB"),
        (5 << 30, "5.0 GiB"),
        (3 << 50, "3,072.0 TiB"),
    ],
)
def test_sizes_as_people_read_them(size: float | None, said: str) -> None:
    """The unit is the largest that is in it; what is not known is a dash."""
    assert pictures.size_text(size) == said


@pytest.mark.parametrize(
    ("duration_ns", "said"),
    [
        (None, "-"),
        (42.0, "42 ns"),
        (1500.0, "1.5 µs"),
        (2e6, "2.0 ms"),
        (3e9, "3.0 s"),
        (5e12, "5,000.0 s"),
    ],
)
def test_durations_as_people_read_them(duration_ns: float | None, said: str) -> None:
    """The unit is the largest that is in it; what is not known is a dash."""
    assert pictures.duration_text(duration_ns) == said


def test_texts_steer_no_terminal() -> None:
    """What a terminal would obey is spelled out, but for what is kept."""
    assert pictures.plain_text("a\x1b[31m\nb") == "a\\x1b[31m\\nb"
    assert pictures.plain_text("a\x07\nb", keep="\n") == "a\\x07\nb"
    assert pictures.plain_text("naïve 日本") == "naïve 日本"
