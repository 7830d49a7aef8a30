# SPDX-License-Identifier: MIT
"""
The process that the demonstration kills.

It counts words and takes checkpoints meanwhile, writes a line for each checkpoint, and
never ends by itself: its sessions stop short of their last words, so that it is in the
middle of its work whenever it is killed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pyfaster._demo._counting import (
    begin_threads,
    count_on,
    open_counts,
    open_sessions,
)
from pyfaster._demo._wordcount import python_files, read_words, share_out

#: What it counts of each share.
PART = 0.75
#: A bound on checkpoints: it is killed long before.
CHECKPOINTS_MAX = 10_000


def run(store_in: Path, directory: Path, threads: int, batch: int) -> None:
    """
    Count until killed.

    Args:
        store_in: Where the store is.

        directory: Where the words are.
    """
    texts, _ = read_words(python_files(directory), lambda what, done, total: None)
    shares = [words[: int(len(words) * PART)] for words in share_out(texts, threads)]
    with open_counts(store_in) as store:
        sessions = open_sessions(store, threads)
        tell({"words": sum(map(len, shares))})
        begin_threads(lambda n: count_on(sessions[n], shares[n], batch), threads)
        for _ in range(CHECKPOINTS_MAX):
            info = store.checkpoint()
            tell({"checkpoint": info.token, "sessions": dict(info.sessions)})


def tell(what: dict[str, object]) -> None:
    """
    Write one line for the parent.
    """
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> None:
    """
    Run with the process's arguments.
    """
    store_in, directory, threads, batch = arguments
    run(Path(store_in), Path(directory), int(threads), int(batch))


if __name__ == "__main__":
    main(sys.argv[1:])
