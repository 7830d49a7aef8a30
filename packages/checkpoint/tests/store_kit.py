# SPDX-License-Identifier: MIT
"""Stores in directories, small and with every kind of file, to be looked through."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import pyfaster
from pyfaster_checkpoint._findings import StoreReport
from pyfaster_checkpoint._manifest import Manifest, members_of, seal
from pyfaster_checkpoint._parse import parse
from pyfaster_checkpoint._verify import verify

SMALL = {
    "memory": "1MiB",
    "page_size": "4KiB",
    "segment_size": "1MiB",
    "checkpoint_on_close": False,
    "keep_checkpoints": 9,
}


def open_store(place: Path, **settings: Any) -> pyfaster.FasterKv[Any, Any]:
    """Open a small store of integers in a directory."""
    given: dict[str, Any] = {"key": int, "value": int, **SMALL, **settings}
    return pyfaster.open(f"file:{place}", **given)


def build(place: Path) -> None:
    """Fill a store; take a snapshot, an incremental one based on it, a fold-over."""
    with open_store(place) as store, store.session("a") as session:
        session.upsert_many(range(600), range(600))
        store.checkpoint("snapshot")
        for key in range(0, 600, 40):
            session.upsert(key, -key)
        session.delete(7)
        store.checkpoint("incremental")
        session.upsert_many(range(500, 900), range(400))
        store.checkpoint("fold-over", cookie=b"line 9")


def build_varlen(place: Path) -> None:
    """The same of keys and values of any size."""
    with open_store(place, key=str, value=bytes) as store:
        with store.session("a") as session:
            for key in range(300):
                session.upsert(f"key {key}" * (1 + key % 7 * 9), b"v" * (key % 70))
            store.checkpoint("snapshot")
            session.upsert("key 1", b"w" * 500)
            store.checkpoint("incremental")
            session.delete("key 7")
            store.checkpoint("fold-over")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Stores that were closed; tests change copies of them."""
    pytest.importorskip("pyfaster_devices_file")
    root = tmp_path_factory.mktemp("built")
    build(root / "fixed")
    build_varlen(root / "varlen")
    return {"fixed": root / "fixed", "varlen": root / "varlen"}


@pytest.fixture
def store(built: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a store with three checkpoints."""
    return Path(shutil.copytree(built["fixed"], tmp_path / "store"))


def tokens(place: Path) -> list[str]:
    """The checkpoints, the oldest first."""
    return sorted(path.name for path in (place / "checkpoints").iterdir())


def files(place: Path) -> list[str]:
    """The files of a store but for its lock, below its directory."""
    found = (path for path in place.rglob("*") if path.is_file())
    names = sorted(str(path.relative_to(place)) for path in found)
    return [name for name in names if name not in ("store.lock", "checkpoints.begun")]


def manifest(place: Path, token: str) -> Manifest:
    """What a checkpoint says of itself."""
    path = place / "checkpoints" / token / "manifest.json"
    return parse(path.read_bytes(), token)


def rewrite(place: Path, token: str, **changes: Any) -> None:
    """Give a checkpoint a manifest that lies, with a right checksum."""
    members = members_of(manifest(place, token)) | changes
    path = place / "checkpoints" / token / "manifest.json"
    path.write_bytes(seal(members))


def about(place: Path, name: str) -> tuple[StoreReport, list[Any]]:
    """Look through a store; give the report and the findings that name a file."""
    report = verify(place)
    return report, [each for each in report.findings if each.file == name]


def state(place: Path) -> dict[str, tuple[bytes, int]]:
    """The bytes of every file, and the times of files and directories."""
    return {
        str(path): (
            path.read_bytes() if path.is_file() else b"",
            path.lstat().st_mtime_ns,
        )
        for path in [place, *sorted(place.rglob("*"))]
    }
