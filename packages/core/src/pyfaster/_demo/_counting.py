# SPDX-License-Identifier: MIT
"""
Counting words in sessions that a crash does not confuse.

Each share of the words has a session, named after its number, and each word takes one
serial number of it. So the commit point that a session has after a crash is also how
many of its words are counted: whoever resumes it goes on with the next one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyfaster

Counts = pyfaster.FasterKv[str, int]
CountSession = pyfaster.Session[str, int]


def session_name(number: int) -> str:
    """
    What the session of a share is called.
    """
    return f"counter {number}"


def open_counts(directory: Path) -> Counts:
    """
    Open the store of words and counts, which recovers what there is.
    """
    return pyfaster.open(directory, key=str, value=int)


def open_sessions(store: Counts, shares: int) -> list[CountSession]:
    """
    Resume the sessions that the store knows, and begin the others.
    """
    known = store.recovery.sessions if store.recovery is not None else {}
    names = [session_name(number) for number in range(shares)]
    return [
        store.resume(name) if name in known else store.session(name) for name in names
    ]


def count_on(
    session: CountSession,
    words: Sequence[str],
    batch: int,
    told: Callable[[int], None] = lambda done: None,
) -> None:
    """
    Count the words that the session has not counted yet.

    Args:
        session: Its serial says how many it has.

        words: All of its share, from the first.

        batch: How many words go into one call.

        told: Is told of the serial after each call.
    """
    for start in range(session.serial, len(words), batch):
        session.rmw_many(words[start : start + batch], 1, merge="add")
        told(session.serial)


def in_threads(work: Callable[[int], None], count: int) -> None:
    """
    Do something once for each number, each in a thread; raise what one raised.
    """
    with ThreadPoolExecutor(max(1, count)) as pool:
        for finished in [pool.submit(work, number) for number in range(count)]:
            finished.result()


def begin_threads(work: Callable[[int], None], count: int) -> None:
    """
    Begin the same in threads that nobody waits for.
    """
    for number in range(count):
        threading.Thread(target=work, args=(number,), daemon=True).start()
