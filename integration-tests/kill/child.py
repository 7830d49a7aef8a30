# SPDX-License-Identifier: MIT
"""
The process that is killed, and the one that makes such processes.

`python -m kill.child STORE DIRECTORY LEDGER` reads lives from its standard input, a
line each, and forks a child for each, so that nothing has to be imported anew. The
child opens the store, leaves what it found in the ledger, says "recovered", and waits
for "go"; then it lives as it was told, and most often ends as it was told.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from kill.ledger import (
    CHECKPOINTS,
    DONE,
    ISSUED,
    OPERATIONS,
    WORDS,
    Ledger,
)
from kill.log_child import LogChild
from kill.log_plan import LogLife
from kill.model import Value
from kill.plan import CLOSED_EVERY, SESSIONS, WHERE, Life, Script, mix
from kill.stores import Worker, known_keys, open_store

#: Checkpoints of one life, at most.
CHECKPOINTS_MOST = 4
#: How many times as much a session does that works in batches, which run beside others:
#: now and then so much that it is still at it when the phase changes.
BATCHED = (2, 2, 2, 2, 2, 20)
#: A child that is stuck says where, and ends: long after the slowest that is not.
STUCK_S = 240
#: Threads take turns so often, in seconds: many orders in a short life.
TURN_S = 5e-6


def say(*words: object) -> None:
    """Tell the campaign, in one write."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def hear() -> str:
    """Read one line, and nothing behind it: the input is shared with others."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return ""
        line += byte
    return line.decode().rstrip()


def die() -> None:
    """End this process as a power switch would."""
    os.kill(os.getpid(), signal.SIGKILL)


class Gate:
    """
    Lets updates through in portions, so that some fall into every phase.
    """

    def __init__(self) -> None:
        self._opened = self._passed = self._parked = 0
        self._ended = False
        self._changed = threading.Condition()

    def more(self) -> None:
        """
        Allow another portion; wait until somebody who was waiting has gone through.

        Nobody is waited for who is in the store, which may in turn wait for the caller.
        """
        with self._changed:
            self._opened += 1
            passed, parked = self._passed, self._parked
            self._changed.notify_all()
            while parked and self._passed == passed and not self._ended:
                self._changed.wait()

    def end(self) -> None:
        """Allow no more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait(self, portions: int) -> bool:
        """Wait for a portion behind those; False at the end."""
        with self._changed:
            self._parked += 1
            while not self._ended and self._opened <= portions:
                self._changed.wait()
            self._parked -= 1
            self._passed += 1
            self._changed.notify_all()
            return not self._ended


class Child:
    """One life of a store."""

    def __init__(self, what: str, directory: Path, ledger: Ledger, life: Life) -> None:
        self._what, self._directory, self._ledger = what, directory, ledger
        self._life = life
        portions = CHECKPOINTS_MOST * 6  # one for each phase
        self._portion = 1 + life.updates // portions // len(life.working)
        self._gate = Gate()
        self._faults: list[str] = []
        self._phase = ""
        self._told = False

    def live(self) -> None:
        """Open, tell, work, close."""
        life = self._life
        if life.mode == "operation":
            self._arm()
        store = open_store(self._what, life.flavour, self._directory)
        recovered = store.recovery.sessions if store.recovery else {}
        self._tell(store, dict(recovered))
        if hear() != "go":
            os._exit(3)
        workers = {}
        for number in (*life.working, *life.idle):
            name = f"s{number}"
            workers[number] = Worker(store, name, life.styles[number])
            self._check(workers[number].session, number, recovered.get(name, 0))
        threads = [
            threading.Thread(target=self._guard, args=(self._work, number, worker))
            for number, worker in workers.items()
            if number in life.working
        ]
        for thread in threads:
            thread.start()
        self._guard(self._take_all, store)
        self._gate.end()
        for thread in threads:
            thread.join()
        if not self._faults:
            for number, worker in workers.items():
                if number % 2:
                    worker.close()
            odd = life.number % (2 * CLOSED_EVERY) == CLOSED_EVERY - 1
            if not odd or "snapshot" not in life.kinds:  # else close() takes its own
                kind = next(kind for kind in life.kinds if kind != "index")
                store.checkpoint(kind, progress=lambda notice: None)
            serials = {n: worker.session.serial for n, worker in workers.items()}
            store.close()
            for number, serial in serials.items():
                self._ledger.commit(number, serial)
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

    def _tell(self, store: Any, recovered: dict[str, int]) -> None:
        """Leave what the store holds, by scan and by key."""
        found = dict(store.items())
        passed = store.recovery.passed_over if store.recovery else ()
        report: dict[str, Any] = {
            "points": [recovered.get(f"s{n}", 0) for n in range(SESSIONS)],
            "keys": [plain(key) for key in found],
            "values": [plain(value) for value in found.values()],
            "faults": [f"passed over {one.token}: {one.reason}" for one in passed],
        }
        if self._what == "file":
            report["faults"] += self._disagreements(store, found)
        self._ledger.write(report)
        say("recovered")

    def _disagreements(self, store: Any, found: dict[Value, Value]) -> list[str]:
        """Read every key by itself, too; the index and the scan must agree."""
        keys = list({*known_keys(self._life.flavour), *found})
        with store.session() as session:
            values = session.read_many(keys)
        return [
            f"key {key!r}: read {value!r}, scanned {found.get(key)!r}"
            for key, value in zip(keys, values, strict=True)
            if value != found.get(key)
        ]

    def _check(self, session: Any, number: int, point: int) -> None:
        """A session goes on behind its commit point."""
        if (session.serial, session.committed_serial) != (point, point):
            self._faults.append(
                f"session {number} goes on at {session.serial}, committed "
                f"{session.committed_serial}, expected {point}"
            )

    def _guard(self, run: Any, *arguments: Any) -> None:
        """Keep what a thread raised."""
        try:
            run(*arguments)
        except BaseException:  # noqa: BLE001 - whatever it is, it is a finding
            self._faults.append(traceback.format_exc())
            self._gate.end()

    def _work(self, number: int, worker: Worker) -> None:
        """Do what the session does from its serial on."""
        life, words = self._life, self._ledger.words
        issued = self._ledger.place(number, ISSUED)
        done = self._ledger.place(number, DONE)
        script = Script(life.flavour, life.seed, number)
        session = worker.session
        portions = 0
        while True:
            portion = self._portion
            if life.styles[number] == "batch":
                portion *= BATCHED[mix(life.number, number, portions) % len(BATCHED)]
            # Prepared before, so that all who pass the gate work at the same time.
            ready = [
                (serial + len(updates) - 1, worker.prepare(updates))
                for serial, updates in script.run(session.serial + 1, portion)
            ]
            if not self._gate.wait(portions):
                return
            portions += 1
            for last, do in ready:
                words[issued] = last
                do()
                words[done] = last
                if session.serial != last:
                    raise AssertionError(f"serial {session.serial}, expected {last}")
                self._ledger.commit(number, session.committed_serial)
                if number == life.working[0]:
                    self._note(portions, last)

    def _note(self, portions: int, serial: int) -> None:
        """Tell the parent, once, when it is to kill this process."""
        life = self._life
        due = portions >= life.portion and serial % 7 == life.portion % 7
        if life.mode == "parent" and due and not self._told:
            self._told = True
            say("kill")

    def _take_all(self, store: Any) -> None:
        """Take checkpoints while the others work."""
        for taken in range(CHECKPOINTS_MOST):
            kind = self._life.kinds[taken % len(self._life.kinds)]
            self._gate.more()
            self._phase = ""
            info = store.checkpoint(
                kind, progress=lambda notice, n=taken: self._hear_phase(n, notice.phase)
            )
            self._hear_phase(taken, "rest")
            self._ledger.words[CHECKPOINTS] = taken + 1
            if kind != "index":
                for number in range(SESSIONS):
                    self._ledger.commit(number, info.sessions.get(f"s{number}", 0))

    def _hear_phase(self, taken: int, phase: str) -> None:
        """Let more updates through in each phase; end in the chosen one."""
        if phase == self._phase:
            return
        self._phase = phase
        life = self._life
        if life.mode == "phase" and (taken + 1, phase) == (life.nth, life.phase):
            die()
        self._gate.more()


def plain(value: Value) -> int | str:
    """What JSON can hold."""
    return value if isinstance(value, int) else value.decode("latin-1")


def is_log(what: str) -> bool:
    """Whether it is a log that lives there, not a store."""
    return what.partition(":")[0] == "log"


def live(what: str, directory: Path, ledger: Ledger, line: str) -> None:
    """Be a child: whatever happens, this process ends here."""
    faulthandler.dump_traceback_later(STUCK_S, exit=True)
    sys.setswitchinterval(TURN_S)
    try:
        if is_log(what):
            mutant = what.partition(":")[2]
            LogChild(mutant, directory, ledger, LogLife.from_text(line)).live(say, hear)
        else:
            Child(what, directory, ledger, Life.from_text(line)).live()
    except BaseException:  # noqa: BLE001 - it is told, and ends the process
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Make children until there are no more lives to live."""
    what, directory, path = sys.argv[1:]
    ledger = Ledger(Path(path))
    assert len(ledger.words) == WORDS
    if what == "file":
        import pyfaster  # once, for all children

        _ = pyfaster.StoreConfig
    elif is_log(what):
        from pyfaster_fasterlog import FasterLog

        _ = FasterLog
    while line := hear():
        if line == "go":
            continue  # its child was killed before it could read that
        ledger.begin()
        child = os.fork()
        if child == 0:
            live(what, Path(directory), ledger, line)
        say("child", child)
        say("end", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()
