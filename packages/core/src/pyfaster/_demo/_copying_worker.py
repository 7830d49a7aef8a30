# SPDX-License-Identifier: MIT
"""
The processes of the demonstration: producers, which are killed, and the follower.

    make LOG DIR SEED            make an empty log
    produce LOG DIR SEED BATCH LIFE MOST
                                 append what the log does not hold yet
    follow LOG COPY              write what is committed into another tree

A producer tells what it found, and how much is safe behind each commit. Behind `MOST`
entries it waits to be killed; it completes the log behind the last one of all.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, Any

from pyfaster._demo._copying import NAME, entries_of, files_below, log_module

#: Entries between two notices of the follower.
STEP = 20_000


def tell(**what: object) -> None:
    """
    Write one line for the parent.
    """
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def make(log_in: Path) -> None:
    """
    Make an empty log.
    """
    log_module().FasterLog.open(log_in).close()
    tell(made=True)


def held(log: Any) -> int:
    """
    Count the entries of a log that are committed.
    """
    return sum(len(piece) for piece in log.scan().batches())


def produce(
    log_in: Path, directory: Path, *, chance: random.Random, batch: int, most: int
) -> None:
    """
    Append what the log does not hold yet, and commit now and then.
    """
    with log_module().FasterLog.open(log_in) as log:
        done = held(log)
        tell(found=done, cut=0 if log.recovery is None else log.recovery.cut_entries)
        entries = entries_of(files_below(directory), directory)
        rest = islice(entries, done, None)
        while part := list(
            islice(rest, max(0, min(chance.randint(1, 2 * batch), most - done)))
        ):
            log.append_many(part)
            done += len(part)
            log.commit()
            tell(safe=done)
        if next(rest, None) is not None:
            sys.stdin.read()  # until this process is killed
        log.complete()
        tell(safe=done, completed=True)


def follow(log_in: Path, copy: Path) -> None:
    """
    Write what is committed into another tree, until the log is completed.
    """
    count = 0
    copy.mkdir()
    with (
        log_module().FasterLog.open(log_in, read_only=True) as log,
        ExitStack() as files,
    ):
        file: IO[bytes] | None = None
        for entry in log.follow():
            payload = bytes(entry.payload)
            if payload[:1] == NAME:
                files.close()
                path = copy / payload[1:].decode()
                path.parent.mkdir(parents=True, exist_ok=True)
                file = files.enter_context(path.open("wb"))
            else:
                assert file is not None
                file.write(payload[1:])
            count += 1
            if count % STEP == 0:
                tell(followed=count)
    tell(followed=count)


def main(arguments: Sequence[str]) -> None:
    """
    Run with the process's arguments.
    """
    what, log_in, *rest = arguments
    if what == "make":
        make(Path(log_in))
    elif what == "follow":
        follow(Path(log_in), Path(rest[0]))
    else:
        directory, seed, batch, life, most = rest
        produce(
            Path(log_in),
            Path(directory),
            chance=random.Random(f"{seed}:{life}"),
            batch=int(batch),
            most=int(most),
        )


if __name__ == "__main__":
    main(sys.argv[1:])
