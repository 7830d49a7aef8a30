# SPDX-License-Identifier: MIT
"""What the table [device] of a configuration file does to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pyfaster
from pyfaster.errors import ConfigError


def segments(place: Path, text: str, tmp_path: Path) -> int:
    """How many files the log of a small store has."""
    config = tmp_path / "pyfaster.toml"
    config.write_text(text)
    given: dict[str, Any] = {"memory": "1MiB", "durable": False, "page_size": "4KiB"}
    with pyfaster.open(place, key=int, value=int, config=config, **given) as store:
        store.upsert_many(range(20_000), 0)
        store.flush()
        return len(list(place.rglob("*.seg")))


def test_segment_size_is_what_a_file_holds(place: Path, tmp_path: Path) -> None:
    """Of the same log small segments make many files, large ones a single one."""
    text = "[device]\nscheme = 'file'\nsegment_size = '{}'\n"
    many = segments(place, text.format("64KiB"), tmp_path)
    one = segments(tmp_path / "other", text.format("1GiB"), tmp_path)
    assert many >= 20_000 * 32 // (64 << 10)
    assert one == 1


def test_options_reach_the_device(place: Path, tmp_path: Path) -> None:
    """What the device knows is taken, what it does not know is refused by name."""
    assert segments(place, "[device.options]\ndirect = 'try'\n", tmp_path) == 1
    with pytest.raises(ConfigError, match="drect"):
        segments(tmp_path / "other", "[device.options]\ndrect = 'try'\n", tmp_path)
