# SPDX-License-Identifier: MIT
"""Processes that write a durable store, and that mount its checkpoints."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: More than the memory of a store here, so that mounts read from the device.
KEYS = 3000
VALUE = 500
MEMORY = "1MiB"

#: What both programs begin with: a value tells its key and its life.
COMMON = """
import json, select, sys
import pyfaster

place, keys, size, memory = json.loads(sys.argv[1])

def value_of(key, life):
    return bytes([key % 251, life]) * (size // 2)

def values(life):
    return {key: value_of(key, life) for key in range(keys)}
"""

#: Does what each line says and answers with a line. "go" goes on, with checkpoints
#: among it, until the next line comes.
WRITER = """
with pyfaster.open(
    place, key=int, value=bytes, memory=memory, segment_size="1MiB",
    keep_checkpoints=64, checkpoint_on_close=False,
) as store:
    print("open", flush=True)
    for line in sys.stdin:
        word, life = line.split()
        if word == "go":
            print("going", flush=True)
            for turn in range(200):
                if select.select([sys.stdin], [], [], 0)[0]:
                    break
                store.update(values(int(life)))
                if turn % 4 == 0:
                    store.checkpoint("snapshot")
        elif word == "checkpoint":
            store.update(values(int(life)))
            print(store.checkpoint("fold-over").token, flush=True)
            store.flush()
            print("idle", flush=True)
        else:
            print("idle", flush=True)
"""

#: Mounts a checkpoint and says what came of it; goes on until a line comes.
READER = """
life, token, ends = json.loads(sys.argv[2])
with pyfaster.open(
    place, key=int, value=bytes, memory=memory, read_only=True, checkpoint=token
) as store:
    wrong = [key for key in range(keys) if store[key] != value_of(key, life)]
    found = [len(wrong), store.count(), store.stats().device_reads > 0]
    print(json.dumps(found), flush=True)
    while not ends:
        assert store[7] == value_of(7, life)
"""

#: What a reader says who has found everything as it was, on the device.
ALL_THERE = [0, KEYS, True]

#: Gives up what lets a superuser pass over the modes of files. Of Linux.
HUMBLE = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
sets = (ctypes.c_uint32 * 6)()
assert libc.capget(header, sets) == 0
for kind in (0, 1, 2):
    sets[kind] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
assert libc.capset(header, sets) == 0
"""

#: Opens a store to write to it; says the class and number of what it raised.
OPENER = """
try:
    pyfaster.open(place, key=int, value=bytes, memory=memory).close()
except pyfaster.errors.DeviceError as error:
    print(json.dumps([type(error).__name__, error.errno]), flush=True)
"""


@contextmanager
def process(program: str, place: str, *more: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program on a store's place; it is killed at the end."""
    words = [json.dumps([place, KEYS, VALUE, MEMORY])]
    words += [json.dumps(more)] if more else []
    command = [sys.executable, "-c", COMMON + program, *words]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            yield other
        finally:
            other.kill()


def heard(other: subprocess.Popen[str]) -> str:
    """Give the next line of a process."""
    assert other.stdout is not None
    return other.stdout.readline().strip()


def tell(other: subprocess.Popen[str], word: str, life: int = 0) -> None:
    """Have a writer begin something, or stop."""
    assert other.stdin is not None
    other.stdin.write(f"{word} {life}\n")
    other.stdin.flush()


def checkpoint(writer: subprocess.Popen[str], life: int) -> str:
    """Have a writer set all keys and take a checkpoint; give its token."""
    tell(writer, "checkpoint", life)
    token = heard(writer)
    assert heard(writer) == "idle"
    return token


def stamps(place: Path) -> dict[str, tuple[object, ...]]:
    """Give all that can be seen of a folder and what is below: the bytes too."""
    found = {}
    for path in (place, *sorted(place.rglob("*"))):
        at = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        seen = (at.st_ino, at.st_mode, at.st_size, at.st_mtime_ns, at.st_ctime_ns)
        found[str(path)] = (*seen, data)
    return found
