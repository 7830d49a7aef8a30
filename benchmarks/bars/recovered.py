# SPDX-License-Identifier: MIT
"""
A process that recovers a store from a checkpoint, again and again.

Opening changes nothing that the next opening would need, so each finds the same files.
All items are compared with the model afterwards.
"""

from __future__ import annotations

import gc
import time
from pathlib import Path

import numpy as np

from benchmarks.bars.checkpointed import check, load
from benchmarks.cases import Case
from benchmarks.contenders.base import UnavailableError
from benchmarks.contenders.durable_store import SHAPE, Durable
from benchmarks.operations import Model
from benchmarks.raw import segments
from benchmarks.raw.plain import can_drop, drop
from benchmarks.rounds import number

CHECKPOINTS = "checkpoints"
INDEX = "index.dat"


class Recovered:
    """
    The role "recovered".
    """

    def __init__(self, command: dict[str, object], folder: Path) -> None:
        if not can_drop():
            raise UnavailableError("this system lets no file leave its cache")
        self._folder = folder
        self._scheme = str(command["scheme"])
        self._items = number(command, "items")
        self._model = Model(self._items)
        store = self._open()
        try:
            load(store, np.arange(self._items, dtype=np.int64), self._model)
            begin = time.perf_counter()
            info = store.store.checkpoint(str(command["kind"]))
            self._seconds = time.perf_counter() - begin
            self._size = info.size
            self._flushed = store.store.stats().address_flushed
        finally:
            store.close()
        self._place = store.place
        gc.freeze()

    def _open(self) -> Durable:
        return Durable(self._scheme, self._folder, self._items)

    def handle(self, command: dict[str, object]) -> dict[str, object]:
        """
        Do "parts", "drop", "forget" or "recover".
        """
        do = str(command["do"])
        if do == "parts":
            return self._parts()
        if do == "drop":
            drop(str(path) for path in self._files())
            return {"ok": True}
        if do == "forget":
            for path in self._place.glob(f"{CHECKPOINTS}/*/{INDEX}"):
                path.unlink()
            return {"ok": True}
        if do == "recover":
            return self._recover()
        raise ValueError(f"no such command: {do!r}")

    def _files(self) -> list[Path]:
        return [
            path
            for path in sorted(self._place.rglob("*"))
            if path.suffix in (".seg", ".dat", ".json")
        ]

    def _parts(self) -> dict[str, object]:
        """
        Give the files, and what of each holds data; and what the checkpoint took.
        """
        parts = segments(self._place, self._flushed)
        parts += [
            (str(path), path.stat().st_size)
            for path in self._files()
            if path.suffix == ".dat"
        ]
        return {
            "ok": True,
            "parts": parts,
            "seconds": self._seconds,
            "file_bytes": self._size,
        }

    def _recover(self) -> dict[str, object]:
        """
        Open the store, and compare everything.
        """
        gc.collect()
        used = time.process_time()
        begin = time.perf_counter()
        store = self._open()
        spent = time.perf_counter() - begin
        used = time.process_time() - used
        try:
            report = store.store.recovery
            handle = store.handles(Case("C", "uniform", SHAPE, 1, 1))[0]
            numbers = np.arange(self._items, dtype=np.int64)
            check(store, handle, self._model, numbers)
        finally:
            store.close()
        return {
            "ok": True,
            "seconds": spent,
            "processor_seconds": used,
            "bytes": report.log_bytes + report.file_bytes,
            "with_index": report.index is not None,
            "phases": {name: took * 1e3 for name, took in report.phases.items()},
        }

    def close(self) -> None:
        """
        Nothing is open between two commands.
        """
