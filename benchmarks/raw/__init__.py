# SPDX-License-Identifier: MIT
"""
What the file system gives by itself: the rates that a store on a device is held to.

raw.c is compiled when it is needed, into a folder of the caller's. It has none of the
store's code in it, and its reads go to the very files that a store has written.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "raw.c"

#: How the two loops are run: as the bars say.
WRITE_DEPTH = 16
READ_DEPTH = 64
BLOCK = 4096

MIB = 1 << 20

#: Segments are named by their base address and begin with a block about themselves.
SEGMENT_SUFFIX = ".seg"
SEGMENT_HEADER = 4096


class RawError(Exception):
    """
    The raw loops cannot be compiled or run here; the message says why.
    """


@dataclass(frozen=True, slots=True)
class Written:
    """
    A run of writes.

    Units: seconds, and bytes in a second.
    """

    rate: float
    seconds: float
    sync_seconds: float


class Raw:
    """
    The compiled program.

    Args:
        folder: Where it is put.

    Raises:
        RawError: There is no C compiler, or the program does not compile.
    """

    def __init__(self, folder: Path) -> None:
        self._program = folder / "raw"
        compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
        flags = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-o", str(self._program)]
        run([*shlex.split(compiler), *flags, str(SOURCE)])

    def write(self, folder: Path, size: int) -> Written:
        """
        Write a new file of about so many bytes, and remove it.
        """
        path = folder / "raw-writes"
        spans = max(1, size // MIB)
        try:
            said = self._ask("write", path, spans, WRITE_DEPTH)
        finally:
            path.unlink(missing_ok=True)
        rate = said["bytes"] / said["seconds"]
        return Written(rate, said["seconds"], said["sync_seconds"])

    def read(
        self,
        parts: Sequence[tuple[str, int]],
        seconds: float,
        seed: int,
        block: int = BLOCK,
    ) -> float:
        """
        Read blocks at random; give how many in a second.

        Args:
            parts: Files, and how many of their bytes are data.

            block: Bytes of a read, at most 4 KiB.
        """
        flat = [str(word) for part in parts for word in part]
        said = self._ask("read", seconds, 0, READ_DEPTH, seed, block, *flat)
        return said["reads"] / said["seconds"]

    def scan(self, parts: Sequence[tuple[str, int]]) -> float:
        """
        Read files from beginning to end; give bytes in a second.

        Args:
            parts: Files, and how many of their bytes are data.
        """
        flat = [str(word) for part in parts for word in part]
        said = self._ask("scan", WRITE_DEPTH, *flat)
        return said["bytes"] / said["seconds"]

    def _ask(self, *words: object) -> dict[str, float]:
        said: dict[str, float] = json.loads(run([str(self._program), *map(str, words)]))
        return said


def run(command: Sequence[str]) -> str:
    """
    Run a program and give what it printed.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise RawError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise RawError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")
    return done.stdout


def segments(folder: Path, until: int) -> list[tuple[str, int]]:
    """
    Give the segments below a store's directory, and how much of each is data.

    Args:
        until: The log's bytes that are on the device.
    """
    parts: list[tuple[str, int]] = []
    for path in sorted(folder.rglob(f"*{SEGMENT_SUFFIX}")):
        data = until - int(path.stem, 16)
        if data > 0:
            size = path.stat().st_size
            parts.append((str(path), min(size, SEGMENT_HEADER + data)))
    return parts
