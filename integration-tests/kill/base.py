# SPDX-License-Identifier: MIT
"""
Lives of something in one directory, one after another, each judged by the next: what
does not depend on what it is.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from kill.ledger import LAST_KIND, OPERATIONS, Ledger
from kill.plan import mix

if TYPE_CHECKING:
    from typing import Self

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
SILENCE_S = 270.0


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


class AnyLife(Protocol):
    """
    What every life has; `kill.plan.Life`.
    """

    @property
    def number(self) -> int: ...

    @property
    def mode(self) -> str: ...

    @property
    def operation(self) -> int: ...

    @property
    def where(self) -> str: ...

    @property
    def phase(self) -> str: ...

    def to_text(self) -> str:
        """
        One line, for the child.
        """
        ...


L = TypeVar("L", bound=AnyLife)


class BaseCampaign(ABC, Generic[L]):
    """
    Lives in one directory.

    Args:
        what: What lives there.

        seed: Of everything.

        folder: Where the directory, the ledger and the shim are made.
    """

    def __init__(self, what: str, seed: int, folder: Path) -> None:
        self.what, self.seed = what, seed
        self.tally = Tally()
        self._ledger = Ledger(folder / "ledger")
        self._sweep = 1
        environment = {
            **os.environ,
            "LD_PRELOAD": str(build_shim(folder)),
            "PYTHONPATH": os.pathsep.join(
                [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
        }
        place = folder / "store"
        self._errors = (folder / "errors.txt").open("w+")
        self._nursery = subprocess.Popen(
            [sys.executable, "-m", "kill.child", what, place, folder / "ledger"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            bufsize=0,
        )
        self._heard = b""

    # --- what a kind of campaign says -----------------------------------------------

    @abstractmethod
    def _next(self) -> L:
        """The life that is due."""

    @abstractmethod
    def _last(self) -> L:
        """A life that is closed in peace."""

    @abstractmethod
    def _judge(self, one: L) -> None:
        """Compare what the child has found with what must be there."""

    @abstractmethod
    def _note(self, one: L) -> None:
        """Take note of a life that has ended."""

    @abstractmethod
    def _again(self) -> str:
        """Give the options that it takes to see it again."""

    # --- lives ----------------------------------------------------------------------

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
            self._cycle(self._last())
        return self.tally

    def _cycle(self, one: L) -> None:
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

    def _count(self, one: L, status: int) -> None:
        """Note how a life has ended, and where the next of its sort shall."""
        words = self._ledger.words
        self._note(one)
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

    def _hear(self, one: L) -> str:
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

    def _fail(self, one: L, faults: list[str]) -> None:
        self._errors.seek(0)
        said = self._errors.read()[-4000:]
        again = (
            f"replay: python -m kill --store {self.what} {self._again()}"
            f"--seed {self.seed} --cycles {self.tally.killed + 1}"
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
