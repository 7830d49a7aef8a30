# SPDX-License-Identifier: MIT
"""
Lives of one store in one directory, one after another, each judged by the next.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from kill.ledger import CHECKPOINTS, LAST_KIND, OPERATIONS, Ledger
from kill.model import Bounds, Model, Value
from kill.plan import SESSIONS, Life, Script, Update, life, mix

HERE = Path(__file__).parent

#: In the order of `enum kind` of shim.c.
KINDS = (
    "none",
    "write",
    "sync",
    "rename",
    "unlink",
    "mkdir",
    "rmdir",
    "truncate",
    "create",
    "allocate",
)

#: A bound on lives; some close their store before the moment at which they would end.
LIVES_PER_KILL = 3
#: Longer than a child waits before it ends itself.
SILENCE_S = 90.0


class Violation(AssertionError):
    """A store broke its promise; the message ends with how to see it again."""


@dataclass(slots=True)
class Tally:
    """
    What a campaign has done.

    Attributes:
        lives: Lives that were started.

        kills: How often each way to end was met: "write before", "persist", "parent".

        closed: Lives that ended with close().

        judged: Recoveries that were judged.

        updates: Updates that survived.

        checkpoints: Checkpoints that were complete.

        furthest: The last change of a file in a life at which one was killed.
    """

    lives: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    closed: int = 0
    judged: int = 0
    updates: int = 0
    checkpoints: int = 0
    furthest: int = 0

    @property
    def killed(self) -> int:
        """Lives that ended by SIGKILL."""
        return self.kills.total()

    def __str__(self) -> str:
        kinds = ", ".join(f"{name} {n}" for name, n in sorted(self.kills.items()))
        return (
            f"{self.lives} lives: {self.killed} killed, {self.closed} closed, "
            f"{self.judged} recoveries judged, {self.checkpoints} checkpoints, "
            f"{self.updates:,} updates survived; killed at the changes 1 to "
            f"{self.furthest} of files, at: {kinds}"
        )


def build_shim(folder: Path) -> Path:
    """Compile the library that counts changes of files."""
    library = folder / "shim.so"
    flags = ("-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
    source = str(HERE / "shim.c")
    subprocess.run(["cc", *flags, "-o", str(library), source, "-ldl"], check=True)
    return library


class Campaign:
    """
    Lives of one store.

    Args:
        what: Which store (`kill.stores.open_store`).

        flavour: What its keys and values are (`kill.plan.FLAVOURS`).

        folder: Where the store's directory, the ledger and the shim are made.

        kinds: The only kinds of checkpoints that are taken; all when empty.
    """

    def __init__(
        self,
        what: str,
        flavour: str,
        seed: int,
        folder: Path,
        kinds: tuple[str, ...] = (),
    ) -> None:
        self.what, self.flavour, self.seed = what, flavour, seed
        self.kinds = kinds
        self.tally = Tally()
        self._scripts = [Script(flavour, seed, n) for n in range(SESSIONS)]
        self._model = Model(self._update, SESSIONS)
        self._ledger = Ledger(folder / "ledger")
        self._sweep = 1
        environment = {
            **os.environ,
            "LD_PRELOAD": str(build_shim(folder)),
            "PYTHONPATH": os.pathsep.join(
                [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
        }
        store = folder / "store"
        self._errors = (folder / "errors.txt").open("w+")
        self._nursery = subprocess.Popen(
            [sys.executable, "-m", "kill.child", what, store, folder / "ledger"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            bufsize=0,
        )
        self._heard = b""

    def _update(self, session: int, serial: int) -> Update:
        return self._scripts[session].update(serial)

    def run(self, kills: int) -> Tally:
        """
        Start lives until so many were killed, and judge all of them.

        Raises:
            Violation: A recovery shows what must not be.
        """
        for _ in range(LIVES_PER_KILL * kills):
            if self.tally.killed == kills:
                break
            self._cycle(self._next())
        for _ in range(2):  # one that judges the last, and one that judges its close()
            one = Life(self.flavour, self.seed, self.tally.lives, "none", working=(0,))
            self._cycle(self._with_kinds(one))
        return self.tally

    def _next(self) -> Life:
        """The life that is due."""
        number = self.tally.lives
        return self._with_kinds(life(self.flavour, self.seed, number, self._sweep))

    def _with_kinds(self, one: Life) -> Life:
        """A life that takes only the kinds that are wanted."""
        if not self.kinds:
            return one
        kinds = [
            kind if kind in self.kinds else self.kinds[number % len(self.kinds)]
            for number, kind in enumerate(one.kinds)
        ]
        return dataclasses.replace(one, kinds=tuple(kinds))

    def _cycle(self, one: Life) -> None:
        self.tally.lives += 1
        self._tell(one.to_text())
        child, recovered, status = 0, False, None
        while status is None:
            word, *rest = self._hear(one).split()
            if word == "child":
                child = int(rest[0])
            elif word == "recovered":
                recovered = True
            elif word == "kill":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            elif word == "end":
                status = int(rest[0])
            if recovered and child and word in ("child", "recovered"):
                self._judge(one)
                self._tell("go")
        self._count(one, status)

    def _judge(self, one: Life) -> None:
        """Compare what the child has found with what must be there."""
        found = self._ledger.read()
        bounds = [
            Bounds(self._ledger.committed(n), self._ledger.issued(n))
            for n in range(SESSIONS)
        ]
        before = list(self._model.points)
        keys = map(self._exact, found["keys"])
        content = dict(zip(keys, map(self._exact, found["values"]), strict=True))
        faults = list(found["faults"])
        if len(content) != len(found["keys"]):
            faults.append("a scan gave a key twice")
        faults += self._model.judge(found["points"], bounds, content)
        if faults:
            self._fail(one, faults)
        for session, point in enumerate(found["points"]):
            self._ledger.reset(session, point)
        self.tally.judged += 1
        self.tally.updates += sum(self._model.points) - sum(before)

    def _exact(self, value: int | str) -> Value:
        return value if isinstance(value, int) else value.encode("latin-1")

    def _count(self, one: Life, status: int) -> None:
        """Note how a life has ended, and where the next of its sort shall."""
        words = self._ledger.words
        self.tally.checkpoints += words[CHECKPOINTS]
        if status == 0:
            self.tally.closed += 1
        elif status != -signal.SIGKILL:
            self._fail(one, [f"the child ended with status {status}"])
        else:
            way = one.phase if one.mode == "phase" else one.mode
            if one.mode == "operation":
                way = f"{KINDS[words[LAST_KIND]]} {one.where}"
                self.tally.furthest = max(self.tally.furthest, one.operation)
            self.tally.kills[way] += 1
        if one.mode == "operation":
            # A step further while lives are that long, then from the first again.
            met = words[OPERATIONS] >= one.operation
            step = 1 + mix(self.seed, one.number) % (1 + self._sweep // 4)
            self._sweep = self._sweep + step if met else 1

    def _tell(self, line: str) -> None:
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(line.encode() + b"\n")

    def _hear(self, one: Life) -> str:
        """One line of the child or its nursery."""
        assert self._nursery.stdout is not None
        while b"\n" not in self._heard:
            ready, _, _ = select.select([self._nursery.stdout], [], [], SILENCE_S)
            piece = self._nursery.stdout.read(4096) if ready else b""
            if not piece:
                self._fail(one, ["the child fell silent"])
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    def _fail(self, one: Life, faults: list[str]) -> None:
        self._errors.seek(0)
        said = self._errors.read()[-4000:]
        again = (
            f"replay: python -m kill --store {self.what} --flavour {self.flavour} "
            f"--seed {self.seed} --cycles {self.tally.killed + 1}"
            + "".join(f" --kind {kind}" for kind in self.kinds)
        )
        raise Violation(
            "\n".join([f"life {one.number} ({one.to_text()}):", *faults, said, again])
        )

    def close(self) -> None:
        """End the nursery."""
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._nursery.stdin.close()
        self._nursery.kill()
        self._nursery.wait()
        self._nursery.stdout.close()
        self._errors.close()
        self._ledger.close()

    def __enter__(self) -> Campaign:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
