# SPDX-License-Identifier: MIT
"""
What `pyfaster info` and `pyfaster verify` are told of a store's directory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from pyfaster_checkpoint import _tables
from pyfaster_checkpoint._catalog import Catalog, Entry, info_of
from pyfaster_checkpoint._cli import reading
from pyfaster_checkpoint._manifest import FORMAT, Manifest
from pyfaster_checkpoint._verify import LOCK, is_store, verify

#: What only a durable log has.
_OF_LOGS = ("log.lock", "commits")


class StoreInspector:
    """
    Reads what a store's directory holds; it has no state of its own.
    """

    kind = "store"

    def holds(self, directory: Path, /) -> bool:
        """
        Whether something of a store is there, and nothing of a log.
        """
        if os.path.lexists(directory / LOCK):
            return True
        foreign = any(os.path.lexists(directory / name) for name in _OF_LOGS)
        return is_store(directory) and not foreign

    def describe(self, directory: Path, /) -> Mapping[str, object]:
        """
        Say what the checkpoints say, the newest above all.

        Raises:
            FasterError: They cannot be read.
        """
        with reading(directory) as (_, catalog):
            entry = next(iter(catalog.entries), None)
            newest = next(catalog.sound(), None)
        facts: dict[str, object] = {
            "checkpoints": _counts(catalog),
            "newest": _newest(entry),
        }
        return facts if newest is None else facts | _made(newest)

    def verify(self, directory: Path, /, *, as_json: bool) -> bool:
        """
        Look through log, checkpoints and copies of the index.
        """
        with _tables.progress(hidden=as_json) as notice:
            report = verify(directory, notice)
        if as_json:
            data = {**asdict(report), "kind": self.kind, "ok": report.ok}
            typer.echo(json.dumps(data, indent=2))
        else:
            _tables.show_store(report, Console(markup=False))
        return report.ok


def _counts(catalog: Catalog) -> dict[str, int]:
    infos = [info_of(entry) for entry in catalog.entries]
    return {
        "complete": len(infos),
        "damaged": sum(entry.is_damaged for entry in catalog.entries),
        "left_behind": sum(entry.is_left for entry in catalog.entries),
        "unfinished": len(catalog.unfinished),
        "bytes": sum(info.size for info in infos),
        "format": FORMAT,
    }


def _newest(entry: Entry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    info = info_of(entry)
    return {
        "token": info.token,
        "kind": info.kind,
        "version": info.version,
        "taken": _tables.when(info.created),
        "parent": info.parent,
        "bytes": info.size,
        "damage": info.damage,
    }


def _made(manifest: Manifest) -> dict[str, object]:
    """
    How a store is made, and how far it was, by its newest good checkpoint.
    """
    at = manifest.addresses
    return {
        "store": f"{manifest.store_id:016x}",
        "lives": len(manifest.generations),
        "records": manifest.records,
        "layout": dict(manifest.layout),
        "segment_size": manifest.segment_size,
        "addresses": {name: getattr(at, name) for name in at.__slots__},
        "sessions": {name: serial for name, (_, serial) in manifest.sessions.items()},
    }


__all__ = ["StoreInspector"]
