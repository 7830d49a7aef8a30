# SPDX-License-Identifier: MIT
"""
A process with a durable log: many entries go in, and come back.

Each append begins with a new log, whose directory is removed afterwards; what is
scanned was loaded once. What the log holds is compared with what was appended, outside
of the clock.
"""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders.base import UnavailableError
from benchmarks.logs.base import (
    ENTRY_SIZE,
    SLICE,
    check_read,
    check_rows,
    entries,
    group_of,
    rows_of,
)
from benchmarks.logs.ours import open_log, package
from benchmarks.raw import segments
from benchmarks.raw.plain import can_drop, drop
from benchmarks.rounds import WrongAnswerError, number

#: The commits of `append` one by one, in milliseconds.
EVERY_MS = 10

#: What an entry takes of the log, and the least memory that a log is given.
EXTENT = 120
MEMORY_MIN = 32 << 20

#: Entries of a turn, where two take turns.
TURN = 50_000

#: Entries that are read one by one and compared.
CHECKED = 1_000


class Logged:
    """
    The role "logged".
    """

    def __init__(self, command: dict[str, object], folder: Path) -> None:
        if not can_drop():
            raise UnavailableError("this system lets no file leave its cache")
        self._scheme = str(command["scheme"])
        self._folder = folder
        self._turn = 0
        self._log: Any = None
        self._count = 0
        open_log(self._scheme, self._new_place()).close()
        self._remove_place()

    def handle(self, command: dict[str, object]) -> dict[str, object]:
        """
        Do "append", "singles", "load", "parts", "drop", "batches" or "entries".
        """
        do = str(command["do"])
        if do == "append":
            return self._append(str(command["form"]), number(command, "count"))
        if do == "singles":
            return self._singles(number(command, "count"))
        if do == "load":
            return self._load(number(command, "count"))
        if do == "parts":
            return {"ok": True, "parts": segments(self._place, self._end)}
        if do == "drop":
            drop(str(path) for path in self._place.rglob("*.seg"))
            return {"ok": True}
        if do == "batches":
            return self._scan(scan_batches)
        if do == "entries":
            return self._scan(scan_entries)
        raise ValueError(f"no such command: {do!r}")

    @property
    def _place(self) -> Path:
        return self._folder / f"log-{self._turn}"

    def _new_place(self) -> Path:
        self._turn += 1
        return self._place

    def _remove_place(self) -> None:
        shutil.rmtree(self._place)

    # --- appending ------------------------------------------------------------------

    def _append(self, form: str, count: int) -> dict[str, object]:
        """
        Append slices, and commit once; give how long that took.
        """
        append = BY_FORM[form]
        log = open_log(self._scheme, self._new_place())
        try:
            gc.collect()
            used = time.process_time()
            begin = time.perf_counter()
            append(log, count)
            appended = time.perf_counter()
            log.commit()
            spent = time.perf_counter() - begin
            used = time.process_time() - used
            answer = figures_of(log) | {
                "seconds": spent,
                "commit_seconds": begin + spent - appended,
                "processor_seconds": used,
            }
            check_count(int(log.stats().entries), count)
            check_read(0, [one.payload for one in islice(log.scan(), CHECKED)])
        finally:
            log.close()
            self._remove_place()
        return answer

    def _singles(self, count: int) -> dict[str, object]:
        """
        Append one by one while commits go on, and the same to a list.

        The log has memory for all of it: the disk's rate is another bar's. It went
        through that memory before, as a log has that is not new.
        """
        data = group_of(0, count)
        policy = package().CommitPolicy(every_seconds=EVERY_MS / 1000)
        memory = roomy(count)
        warming = -(-memory // EXTENT)
        log = open_log(self._scheme, self._new_place(), commit=policy, memory=memory)
        try:
            append_buffer(log, warming)
            log.commit()
            before = log.stats()
            kept: list[bytes] = []
            listed, spent = time_in_turns((kept.append, log.append), data)
            after = log.stats()
            log.commit()
            answer = figures_of(log) | {
                "seconds": spent,
                "list_seconds": listed,
                "commits": after.commits - before.commits,
                "room_waits": after.room_waits - before.room_waits,
            }
            check_count(int(log.stats().entries), warming + count)
            scan = log.scan(before.tail)
            check_read(0, [one.payload for one in islice(scan, CHECKED)])
        finally:
            log.close()
            self._remove_place()
        return answer

    # --- scanning -------------------------------------------------------------------

    def _load(self, count: int) -> dict[str, object]:
        """
        Make the log that is scanned, and compare all of it.
        """
        with open_log(self._scheme, self._new_place()) as log:
            append_buffer(log, count)
            log.commit()
            self._end = int(log.stats().committed)
            check_all(log, count)
        self._count = count
        return {"ok": True}

    def _scan(self, scan: Callable[[Any], int]) -> dict[str, object]:
        """
        Read from beginning to end.
        """
        with open_log(self._scheme, self._place) as log:
            size = int(log.stats().committed - log.stats().begin)
            gc.collect()
            used = time.process_time()
            begin = time.perf_counter()
            found = scan(log)
            spent = time.perf_counter() - begin
            used = time.process_time() - used
            check_count(found, self._count)
        return {
            "ok": True,
            "seconds": spent,
            "processor_seconds": used,
            "entries": found,
            "log_bytes": size,
        }

    def close(self) -> None:
        """
        Nothing is open between two commands.
        """


def roomy(count: int) -> int:
    """
    Give memory for twice so many entries, a power of two.
    """
    return 1 << max(MEMORY_MIN - 1, 2 * count * EXTENT - 1).bit_length()


# --- the loops under the clock ------------------------------------------------------


def append_buffer(log: Any, count: int) -> None:
    """
    Append entries out of a buffer with offsets.
    """
    rows = rows_of(0, SLICE).reshape(-1)
    offsets = np.arange(SLICE + 1, dtype=np.uint64) * ENTRY_SIZE
    append_many, left = log.append_many, count
    while left > 0:
        append_many(rows, offsets=offsets[: min(left, SLICE) + 1])
        left -= SLICE


def append_list(log: Any, count: int) -> None:
    """
    Append lists of bytes.
    """
    append_many, left = log.append_many, count
    whole = entries()
    while left >= SLICE:
        append_many(whole)
        left -= SLICE
    if left:
        append_many(group_of(0, left))


BY_FORM: dict[str, Callable[[Any, int], None]] = {
    "buffer": append_buffer,
    "list": append_list,
}


def time_in_turns(
    calls: Sequence[Callable[[bytes], object]], data: Sequence[bytes]
) -> list[float]:
    """
    Call each for all data, a part at a time; give the seconds of each one's.
    """
    parts = [data[first : first + TURN] for first in range(0, len(data), TURN)]
    spent = [0.0] * len(calls)
    gc.collect()
    gc.disable()
    try:
        for part in parts:
            for which, call in enumerate(calls):
                spent[which] += time_each(call, part)
    finally:
        gc.enable()
    return spent


def time_each(call: Callable[[bytes], object], data: Iterable[bytes]) -> float:
    """
    Call for each; give the seconds of all.
    """
    begin = time.perf_counter()
    for one in data:
        call(one)
    return time.perf_counter() - begin


def scan_batches(log: Any) -> int:
    """
    Read pieces; give how many entries they have.
    """
    found = 0
    for piece in log.scan().batches():
        found += len(piece)
    return found


def scan_entries(log: Any) -> int:
    """
    Read entries one by one, as bytes; give how many there are.
    """
    found = 0
    for one in log.scan():
        one.payload  # noqa: B018 - makes the bytes
        found += 1
    return found


# --- answers ------------------------------------------------------------------------


def figures_of(log: Any) -> dict[str, object]:
    """
    Give what the log says of itself.
    """
    stats = log.stats()
    return {
        "ok": True,
        "log_bytes": int(stats.committed - stats.begin),
        "payload_bytes": int(stats.payload_bytes),
        "written_bytes": int(stats.written_bytes),
    }


def check_count(found: int, wanted: int) -> None:
    """
    Compare how many entries there are.
    """
    if found != wanted:
        raise WrongAnswerError(f"there are {found} entries, and should be {wanted}")


def check_all(log: Any, count: int) -> None:
    """
    Compare every entry.
    """
    found = 0
    for piece in log.scan().batches():
        rows = rows_of_piece(piece)
        check_rows(found, rows)
        found += len(rows)
    check_count(found, count)


def rows_of_piece(piece: Any) -> NDArray[np.uint8]:
    """
    Give a piece's entries as rows.
    """
    data = np.frombuffer(piece.data, dtype=np.uint8)
    starts = np.frombuffer(piece.starts, dtype=np.uint32).astype(np.int64)
    sizes = np.frombuffer(piece.sizes, dtype=np.uint32)
    if (sizes != ENTRY_SIZE).any():
        raise WrongAnswerError("an entry has another size")
    rows: NDArray[np.uint8] = data[starts[:, None] + np.arange(ENTRY_SIZE)]
    return rows
