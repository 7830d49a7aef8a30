# SPDX-License-Identifier: MIT
"""Manifests to begin with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fake_store import LAYOUT

from pyfaster_checkpoint._manifest import Addresses, FileEntry, Manifest, make_token

TOKEN = make_token(5, 0xABC)
PARENT = make_token(4, 0xDEF)


def snapshot(**changes: Any) -> Manifest:
    """A snapshot with a copy of the index, with changed fields."""
    layout: Any = LAYOUT
    made = Manifest(
        token=TOKEN,
        kind="snapshot",
        sequence=5,
        version=9,
        store_id=0x1234,
        seed=77,
        addresses=Addresses(64, 4096, 8192, 2048, 1024, 4, 100),
        layout=layout,
        generations=((0, 1 << 32), (1024, 2 << 32 | 5)),
        skips=((512, 640, 3), (640, 704, 5)),
        index=TOKEN,
        created=1_700_000_000,
        segment_size=1 << 20,
        sessions={"ingest": (1, 500), "é\ud800": (2, 0)},
        next_session_id=3,
        files=(FileEntry("index.dat", 320, 1), FileEntry("snapshot.dat", 6400, 2)),
        cookie=b"\x00\xff",
        records=100,
    )
    return replace(made, **changes)
