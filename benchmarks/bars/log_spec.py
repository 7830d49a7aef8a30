# SPDX-License-Identifier: MIT
"""
The bars on the durable log as data.
"""

from __future__ import annotations

from benchmarks.bars.kinds import AT_LEAST, AT_MOST, Bar

#: Devices that a log is measured on.
SCHEMES = ("file", "uring")

#: How many tasks, or threads, append at once, and how many entries make a group.
TASKS = 64

#: Durable appends of all tasks in a second that are enough, whatever one task reaches.
ENOUGH = 40_000.0
TIMES_ONE = 20.0

#: Single entries in a second that are enough, whatever sqlite3 reaches.
ENTRIES_ENOUGH = 2e6
TIMES_SQLITE = 5.0

#: What the devices' rates of writing are relative to.
RAW = {
    "file": "plain writes",
    "uring": "the faster of plain writes and of writes past the system's cache",
}

PEERS = ("sqlite3", "lmdb", "persist-queue")


def append_bars(scheme: str) -> tuple[Bar, ...]:
    """
    Give the bars on appending without waiting for each entry.
    """
    return (
        *(
            Bar(
                f"log-append-{form}-{scheme}",
                "log-append",
                f"append_many of 100 B entries, given as {what}, one commit at the "
                f"end, on {scheme}: bytes of the log in a second, relative to "
                f"{RAW[scheme]} that write as many bytes to a new file and sync it",
                AT_LEAST,
                0.8,
                "x rate",
            )
            for form, what in (
                ("buffer", "one buffer with offsets"),
                ("list", "lists of bytes"),
            )
        ),
        Bar(
            f"log-append-single-{scheme}",
            "log-append",
            f"append of 100 B entries one by one, with a commit every 10 ms, on "
            f"{scheme}: time relative to list.append of the same bytes",
            AT_MOST,
            4.0,
            "x time",
        ),
    )


def commit_bars(scheme: str) -> tuple[Bar, ...]:
    """
    Give the bars on durable appends.
    """
    bare = (
        "relative to a loop that writes and syncs the next sector of an equally "
        "prepared file, opened with the same flags"
    )
    many = (
        "appends in a second, relative to the lower of 20 times what one {} reaches "
        "and 40,000"
    )
    return (
        Bar(
            f"log-commit-task-{scheme}",
            "log-commit",
            f"durable append of 100 B by one asyncio task, on {scheme}: median time "
            f"{bare}",
            AT_MOST,
            1.3,
            "x time",
        ),
        Bar(
            f"log-commit-thread-{scheme}",
            "log-commit",
            f"append_and_commit of 100 B by one thread, on {scheme}: median time "
            f"{bare}",
            AT_MOST,
            1.3,
            "x time",
        ),
        Bar(
            f"log-commit-tasks-{scheme}",
            "log-commit",
            f"durable appends of 100 B by {TASKS} asyncio tasks, on {scheme}: "
            + many.format("task"),
            AT_LEAST,
            1.0,
            "x rate",
        ),
        Bar(
            f"log-commit-threads-{scheme}",
            "log-commit",
            f"append_and_commit of 100 B by {TASKS} threads, on {scheme}: "
            + many.format("thread"),
            AT_LEAST,
            1.0,
            "x rate",
            orientation=True,
        ),
    )


def scan_bars(scheme: str) -> tuple[Bar, ...]:
    """
    Give the bars on reading from beginning to end.
    """
    return (
        Bar(
            f"log-scan-batches-{scheme}",
            "log-scan",
            f"scan of 100 B entries in batches without a copy, on {scheme}: bytes of "
            "the log in a second, relative to reads of the same files from beginning "
            "to end; nothing is in the system's cache",
            AT_LEAST,
            0.7,
            "x rate",
        ),
        Bar(
            f"log-scan-entries-{scheme}",
            "log-scan",
            f"scan of 100 B entries one by one, on {scheme}: entries in a second, "
            "relative to the lower of 2 M and 5 times a sqlite3 SELECT of the same "
            "rows; nothing is in the system's cache",
            AT_LEAST,
            1.0,
            "x rate",
        ),
    )


def peer_bars(scheme: str) -> tuple[Bar, ...]:
    """
    Give the bars beside other programs' logs.
    """
    return tuple(
        Bar(
            f"log-peers-{work}-{scheme}-vs-{peer}",
            "log-peers",
            f"{what}, on {scheme}: speed relative to {peer}",
            AT_LEAST,
            1.0,
            "x speed",
        )
        for work, what in (
            ("append", f"entries of 100 B in groups of {TASKS}, each group durable"),
            ("scan", "entries of 100 B read one by one; nothing is in the cache"),
        )
        for peer in PEERS
    )


LOG_BARS = tuple(
    bar
    for bars in (append_bars, commit_bars, scan_bars, peer_bars)
    for scheme in SCHEMES
    for bar in bars(scheme)
)
