# SPDX-License-Identifier: MIT
"""
The life of a log in a process that is killed; `kill.child` makes the process.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
import traceback
from pathlib import Path
from typing import Any

from kill.ledger import COMMITTED, DONE, ISSUED, OPERATIONS, Ledger
from kill.log_plan import ENTRIES_MORE, PORTIONS, WRITERS, LogLife, entry, parsed
from kill.plan import WHERE, mix

#: Places of words of the log itself, behind those of the writers.
LOG_WORDS = 100
#: For each of these what was asked for, and then what was acknowledged.
CUT, BEGIN, CURSOR = range(LOG_WORDS, LOG_WORDS + 6, 2)
#: The number of the last commit that was acknowledged.
NUMBER = LOG_WORDS + 6

SETTINGS: dict[str, Any] = {
    "page_size": 1 << 14,
    "memory": "256KiB",
    "segment_size": 1 << 16,
    "slot_every": 8,
}
#: How the harness is shown to notice: what a child does wrong.
MUTANTS = {
    "early": "what is appended counts as durable",
    "twice": "an entry is appended twice",
    "behind": "a writer goes on one entry too far",
    "cursor": "a cursor counts as saved before it is",
}


def policy(life: LogLife) -> dict[str, Any]:
    """
    Give when the log commits by itself in a life.
    """
    how: dict[str, Any] = {"max_in_flight": life.in_flight}
    if life.style == "bytes":
        how["every_bytes"] = 2048
    elif life.style == "seconds":
        how["every_seconds"] = 0.001
    return how


class LogChild:
    """
    One life of a log.

    Args:
        mutant: A name of `MUTANTS`, or "".
    """

    def __init__(
        self, mutant: str, directory: Path, ledger: Ledger, life: LogLife
    ) -> None:
        self._mutant, self._directory = mutant, directory
        self._ledger, self._life = ledger, life
        self._lock = threading.Lock()
        self._portions = 0
        self._faults: list[str] = []
        self._entries: list[tuple[int, int, int, int]] = []

    def live(self, say: Any, hear: Any) -> None:
        """Open, tell, work, close."""
        from pyfaster_fasterlog import CommitPolicy, FasterLog

        life = self._life
        if life.mode == "operation":
            self._arm()
        commit = CommitPolicy(**policy(life))
        log: Any = FasterLog.open(self._directory, commit=commit, **SETTINGS)
        self._tell(log)
        say("recovered")
        if hear() != "go":
            os._exit(3)
        self._say = say
        if life.cut:
            self._cut(log)
        if life.style == "tasks":
            self._guard(asyncio.run, self._tasks(log))
        else:
            self._threads(log)
        if not self._faults:
            log.close()
            for writer in range(WRITERS):
                self._ledger.commit(writer, self._ledger.issued(writer))
        if self._faults:
            raise AssertionError("; ".join(self._faults))

    def _arm(self) -> None:
        """Let the shim count from here on."""
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._ledger.words))
        arm = ctypes.CDLL(None).kill_arm
        arm.argtypes = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32)
        arm.restype = None
        where = WHERE.index(self._life.where) + 1
        arm(address + 8 * OPERATIONS, self._life.operation, where)

    def _tell(self, log: Any) -> None:
        """Leave what the log holds."""
        life, faults = self._life, []
        for one in log.scan():
            about = parsed(life.seed, bytes(one.payload), life.number)
            if about is None:
                faults.append(f"{bytes(one.payload)[:20]!r} at {one.address}")
            else:
                self._entries.append((one.address, *about))
        for address, *_ in self._entries[:: max(1, len(self._entries) // 20)]:
            data = bytes(log.read(address))
            if parsed(life.seed, data, life.number) is None:
                faults.append(f"read({address}) gives {data[:20]!r}")
        committed = log.committed
        report = {
            "entries": self._entries,
            "begin": log.begin,
            "until": committed.until,
            "number": committed.number,
            "cursor": log.cursors().get("c", 0),
            "faults": faults,
        }
        self._ledger.write(report)

    def _guard(self, run: Any, *arguments: Any) -> None:
        """Keep what a thread raised."""
        try:
            run(*arguments)
        except BaseException:  # noqa: BLE001 - whatever it is, it is a finding
            self._faults.append(traceback.format_exc())

    # --- what is done ---------------------------------------------------------------

    def _cut(self, log: Any) -> None:
        """Cut off the last few entries."""
        kept = self._entries[: -1 - mix(self._life.number) % 5]
        lost = self._entries[len(kept) :]
        if not lost:
            return
        points = {writer: serial - 1 for _, writer, serial, _ in reversed(lost)}
        words = self._ledger.words
        words[CUT] = lost[0][0]
        for writer, serial in points.items():
            words[self._ledger.place(writer, COMMITTED)] = serial
        log.truncate_suffix(lost[0][0])
        words[CUT + 1] = lost[0][0]
        for writer, serial in points.items():
            words[self._ledger.place(writer, ISSUED)] = serial
        self._entries = kept

    def _threads(self, log: Any) -> None:
        """Append from threads, and move the beginning and a cursor meanwhile."""
        threads = [
            threading.Thread(target=self._guard, args=(self._work, log, writer))
            for writer in range(self._life.writers)
        ]
        for thread in threads:
            thread.start()
        self._guard(self._move, log)
        for thread in threads:
            thread.join()

    def _work(self, log: Any, writer: int) -> None:
        """Append portions, each followed by what makes it durable."""
        for portion in range(PORTIONS):
            life, last = self._life, []
            for _ in range(1 + mix(life.number, writer, portion) % ENTRIES_MORE):
                last.append(self._append(log, writer))
            self._settle(log, writer, last)
            self._note()

    def _append(self, log: Any, writer: int) -> tuple[int, int]:
        """Append the next entry; give its serial number and its address."""
        life = self._life
        place = self._ledger.place(writer, ISSUED)
        serial = self._ledger.words[place] + 1
        serial += self._mutant == "behind" and serial == 40
        self._ledger.words[place] = serial
        data = entry(life.seed, writer, serial, life.number)
        if life.style == "group":
            address = log.append_and_commit(data)
            self._ledger.commit(writer, serial)
        else:
            address = log.append(data)
        if self._mutant == "twice" and serial == 50:
            log.append(data)
        if self._mutant == "early":
            self._ledger.commit(writer, serial)
        return serial, address

    def _settle(self, log: Any, writer: int, last: list[tuple[int, int]]) -> None:
        """Make a portion durable, or see what is."""
        life, words = self._life, self._ledger.words
        if life.style == "explicit":
            done = log.commit()
        elif life.style == "strong":
            done = log.commit(cookie=b"%d" % last[-1][0])
        else:
            done = log.committed
        words[self._ledger.place(writer, DONE)] = last[-1][0]
        safe = [serial for serial, address in last if address < done.until]
        if safe:
            self._ledger.commit(writer, safe[-1])
        with self._lock:
            words[NUMBER] = max(words[NUMBER], done.number)

    def _note(self) -> None:
        """Tell the parent, once, when it is to kill this process."""
        with self._lock:
            self._portions += 1
            due = self._portions == self._life.portion
        if due and self._life.mode == "parent":
            self._say("kill")

    def _move(self, log: Any) -> None:
        """Save a cursor now and then, and cut the beginning off."""
        words, entries = self._ledger.words, self._entries
        for turn in range(4):
            if not entries:
                return
            at = mix(self._life.number, turn) % len(entries)
            words[CURSOR] = max(entries[at][0], words[BEGIN + 1])
            if self._mutant == "cursor":
                words[CURSOR + 1] = words[CURSOR]
            log.cursor("c").save(words[CURSOR])
            words[CURSOR + 1] = words[CURSOR]
            if self._life.truncate and turn == 2:
                words[BEGIN] = entries[len(entries) // 3][0]
                log.truncate_until(words[BEGIN])
                words[BEGIN + 1] = words[BEGIN]

    async def _tasks(self, log: Any) -> None:
        """Append from tasks of one loop, several at once for each writer."""
        await asyncio.gather(
            *(self._task(log, writer) for writer in range(self._life.writers))
        )

    async def _task(self, log: Any, writer: int) -> None:
        life, words = self._life, self._ledger.words
        place = self._ledger.place(writer, ISSUED)
        for portion in range(PORTIONS):
            serial = words[place] = words[place] + 1
            data = entry(life.seed, writer, serial, life.number)
            if portion % 3 == 0:
                await log.append_async(data)
                await log.commit_async()
            else:
                await log.append_and_commit_async(data)
            self._ledger.commit(writer, serial)
            self._note()


__all__ = ["BEGIN", "CURSOR", "CUT", "LOG_WORDS", "MUTANTS", "NUMBER", "LogChild"]
