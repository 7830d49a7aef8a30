# SPDX-License-Identifier: MIT
"""
The process that measures: reads commands from stdin, answers on stdout.

Theory of operation. Each contender runs in a process of its own, so none inherits
another's heap, caches or threads. A process serves one role; its driver sends one JSON
object a line and gets one back: `{"ok": ...}`, `{"unavailable": reason}`, or
`{"error": traceback}`, after which the process ends. Between two commands it does
nothing, so that rounds of several processes can be interleaved on one machine.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol, cast

from benchmarks.contenders.base import UnavailableError

#: Role -> module and class.
ROLES = {
    "contender": ("benchmarks.rounds", "Rounds"),
    "fixed": ("benchmarks.bars.fixed", "Fixed"),
    "memory": ("benchmarks.bars.memory", "Memory"),
    "latency": ("benchmarks.bars.latency", "Latency"),
    "tiered": ("benchmarks.bars.tiered", "Tiered"),
    "cold-lmdb": ("benchmarks.bars.cold_lmdb", "ColdLmdb"),
    "checkpointed": ("benchmarks.bars.checkpointed", "Checkpointed"),
    "recovered": ("benchmarks.bars.recovered", "Recovered"),
    "bounded": ("benchmarks.bars.bounded", "Bounded"),
    "logged": ("benchmarks.bars.logged", "Logged"),
    "log-commits": ("benchmarks.bars.log_commits", "Commits"),
    "log-peer": ("benchmarks.bars.log_peer", "Peer"),
}


class Role(Protocol):
    """
    What a process can be: its methods are its commands.
    """

    def handle(self, command: dict[str, object]) -> dict[str, object]:
        """
        Do one command and give its answer.
        """
        ...

    def close(self) -> None:
        """
        Give everything back.
        """
        ...


def serve(source: IO[str], answers: IO[str]) -> int:
    """
    Serve commands until stdin ends; the first one names the role.
    """
    role: Role | None = None
    with tempfile.TemporaryDirectory(prefix="pyfaster-bench-") as folder:
        for line in source:
            command = json.loads(line)
            try:
                if role is None:
                    role = make_role(command, Path(folder))
                    answer: dict[str, object] = {"ok": True}
                else:
                    answer = role.handle(command)
            except UnavailableError as reason:
                answer = {"unavailable": str(reason)}
            except Exception:
                answer = {"error": traceback.format_exc()}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
            if "error" in answer or "unavailable" in answer:
                break
        if role is not None:
            role.close()
    return 0


def make_role(command: dict[str, object], folder: Path) -> Role:
    """
    Make what the process serves as.
    """
    module_name, class_name = ROLES[str(command["role"])]
    module = importlib.import_module(module_name)
    make = cast(Callable[[dict[str, object], Path], Role], getattr(module, class_name))
    return make(command, folder)


if __name__ == "__main__":
    sys.exit(serve(sys.stdin, sys.stdout))
