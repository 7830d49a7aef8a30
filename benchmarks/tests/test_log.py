# SPDX-License-Identifier: MIT
"""
The bars on the durable log: what is compared with what, and that answers are checked.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.bars import bare, log, logged
from benchmarks.bars.log_commits import (
    TURN,
    Limit,
    figures_of,
    take_turns,
    time_calls,
)
from benchmarks.bars.log_peer import Peer
from benchmarks.bars.log_spec import LOG_BARS, PEERS, SCHEMES
from benchmarks.bars.results import SMOKE, BarResults
from benchmarks.bars.spec import BARS, GROUPS
from benchmarks.driver import ContenderMissingError
from benchmarks.logs import LOGS, find_log
from benchmarks.logs.base import (
    ENTRY_SIZE,
    SLICE,
    check_read,
    check_rows,
    entry,
    group_of,
    rows_of,
)
from benchmarks.raw.plain import can_drop
from benchmarks.rounds import WrongAnswerError

can_forget = pytest.mark.skipif(
    not can_drop(), reason="this system has no posix_fadvise"
)


def test_every_log_bar_has_what_measures_it() -> None:
    """Groups of bars and measurements are the same, and no bar has another's name."""
    assert {bar.group for bar in LOG_BARS} == log.MEASURES.keys()
    assert log.MEASURES.keys() <= set(GROUPS)
    names = [bar.name for bar in BARS]
    assert len(names) == len(set(names))
    assert all(bar.name.startswith(bar.group) for bar in LOG_BARS)


def test_every_log_can_be_named() -> None:
    """Both devices and all peers are among the logs, each with one line of text."""
    assert {*SCHEMES, *PEERS} == LOGS.keys()
    for name in LOGS:
        text = find_log(name).settings()
        assert text
        assert "\n" not in text


def test_entries_go_round_in_a_slice() -> None:
    """An entry's bytes follow from its number, in every form they are made in."""
    assert len(entry(0)) == ENTRY_SIZE
    assert entry(SLICE + 3) == entry(3) != entry(4)
    group = group_of(SLICE - 2, 4)
    assert group == [entry(SLICE - 2), entry(SLICE - 1), entry(0), entry(1)]
    assert b"".join(group) == rows_of(SLICE - 2, 4).tobytes()
    check_rows(SLICE - 2, rows_of(SLICE - 2, 4))
    check_read(SLICE - 2, group)


def test_wrong_entries_are_found() -> None:
    """An entry that is another's, or was changed, fails the round."""
    rows = rows_of(0, 10)
    rows[7, 50] ^= 1
    with pytest.raises(
        WrongAnswerError, match=r"1 of 10 entries.* the first of them 7"
    ):
        check_rows(0, rows)
    with pytest.raises(WrongAnswerError, match="10 of 10"):
        check_rows(1, rows_of(0, 10))
    with pytest.raises(WrongAnswerError, match="entry 1 is wrong"):
        check_read(0, [entry(0), entry(2)])
    with pytest.raises(WrongAnswerError, match="there are 3 entries, and should be 4"):
        logged.check_count(3, 4)


def piece_of(rows: Any, size: int = ENTRY_SIZE) -> Any:
    """Entries as a scan gives them, with what is between them."""
    count = len(rows)
    data = np.zeros((count, 120), dtype=np.uint8)
    data[:, 16 : 16 + ENTRY_SIZE] = rows
    starts = np.arange(count, dtype=np.uint32) * 120 + 16
    sizes = np.full(count, size, dtype=np.uint32)
    return SimpleNamespace(
        data=data.tobytes(), starts=starts.tobytes(), sizes=sizes.tobytes()
    )


def test_pieces_are_compared_as_rows() -> None:
    """All entries of all pieces are looked at, and their sizes and their number."""
    pieces = [piece_of(rows_of(0, 5)), piece_of(rows_of(5, 3))]
    scan = SimpleNamespace(batches=lambda: iter(pieces))
    fake = SimpleNamespace(scan=lambda: scan)
    logged.check_all(fake, 8)
    with pytest.raises(WrongAnswerError, match="there are 8 entries"):
        logged.check_all(fake, 9)
    pieces.reverse()
    with pytest.raises(WrongAnswerError, match="3 of 3 entries are wrong"):
        logged.check_all(fake, 8)
    pieces[:] = [piece_of(rows_of(0, 2), size=99)]
    with pytest.raises(WrongAnswerError, match="another size"):
        logged.check_all(fake, 2)


class Appended:
    """A log that keeps what it is given."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    def append_many(self, entries: Any, *, offsets: Any = None) -> None:
        """Take a buffer with offsets, or a list."""
        if offsets is None:
            self.got += entries
            return
        data = bytes(entries)
        ends = [int(one) for one in offsets]
        self.got += [data[a:b] for a, b in pairwise(ends)]


@pytest.mark.parametrize("form", sorted(logged.BY_FORM))
@pytest.mark.parametrize("count", [1, SLICE, SLICE + 7])
def test_both_forms_append_the_same(form: str, count: int) -> None:
    """So many entries, in their order, whether as lists or in a buffer."""
    kept = Appended()
    logged.BY_FORM[form](kept, count)
    assert kept.got == group_of(0, count)
    assert logged.BY_FORM.keys() == set(log.FORMS)


def test_appends_one_by_one_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both get all entries in their order, and neither is a turn's length ahead."""
    monkeypatch.setattr(logged, "TURN", 3)
    first: list[bytes] = []
    second: list[bytes] = []
    ahead: list[int] = []

    def append(one: bytes) -> None:
        ahead.append(len(first) - len(second))
        second.append(one)

    spent = logged.time_in_turns((first.append, append), group_of(0, 8))
    assert first == second == group_of(0, 8)
    assert ahead == [3, 2, 1, 3, 2, 1, 2, 1]
    assert len(spent) == 2
    assert min(spent) >= 0


def test_memory_has_room_for_all_entries() -> None:
    """A power of two, and at least twice what the entries take."""
    for count in (1, 139_810, 139_811, 1_000_000):
        size = logged.roomy(count)
        assert size >= 2 * count * logged.EXTENT
        assert size >= logged.MEMORY_MIN
        assert size & (size - 1) == 0
    assert logged.roomy(1_000_000) == 256 << 20


def test_a_limit_counts_and_ends() -> None:
    """At most so many; at least one, however little time there is; each is timed."""
    limit = Limit(3, 3_600.0)
    done: list[int] = []
    spent = time_calls(lambda: done.append(1), limit)
    assert len(done) == len(spent) == limit.done == 3
    short = Limit(1_000_000, 0.0)
    assert len(time_calls(lambda: None, short)) == short.done == 1


def test_turns_are_taken_and_times_are_of_calls() -> None:
    """Each has as many calls, a few at a time; percentiles are of all its turns."""
    order: list[str] = []

    def one(name: str, took: int) -> Callable[[Limit], array[int]]:
        def work(limit: Limit) -> array[int]:
            order.append(name)
            return array("q", [took] * limit.count)

        return work

    kinds = {"a": one("a", 1_000), "b": one("b", 4_000)}
    spent = take_turns(kinds, TURN + 1, 3_600.0)
    assert order == ["a", "b"] * 2
    assert {name: len(times) for name, times in spent.items()} == {
        "a": TURN + 1,
        "b": TURN + 1,
    }
    assert figures_of(spent["b"]) == {
        "appends/s": 250_000.0,
        "p50, us": 4.0,
        "p99, us": 4.0,
        "mean, us": 4.0,
    }
    assert len(take_turns(kinds, 10 * TURN, 0.0)["a"]) == TURN


@pytest.mark.skipif(not hasattr(os, "fdatasync"), reason="this system has no fdatasync")
@pytest.mark.parametrize("filled", [False, True], ids=["sparse", "filled"])
def test_a_bare_loop_writes_and_syncs_each_sector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, filled: bool
) -> None:
    """One sync for each write, one behind the other, in a file as the segment is."""
    example = bare.Example(0, 4 << 20, filled=filled)
    monkeypatch.setattr(bare, "example_below", lambda folder: example)
    blocks = 8
    synced: list[int] = []
    sync = os.fdatasync

    def watched(descriptor: int) -> None:
        synced.append(os.lseek(descriptor, 0, os.SEEK_CUR))
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", watched)
    with bare.Bare(tmp_path, 512, blocks) as loop:
        path = tmp_path / "bare"
        assert path.stat().st_size == 4 << 20
        assert (path.stat().st_blocks * 512 >= 1 << 20) is filled
        for _ in range(blocks):
            loop.write_next()
        data = path.read_bytes()
    assert len(synced) == blocks
    sectors = {data[4096 + at : 4608 + at] for at in range(0, blocks * 512, 512)}
    assert len(sectors) == 1
    assert any(sectors.pop())
    assert not any(data[4096 + blocks * 512 :])
    assert list(tmp_path.iterdir()) == []


def test_a_bare_file_is_scattered_as_the_segment_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Single pages lie behind the sectors if the segment is in many parts."""
    places: list[int] = []
    write = os.pwrite

    def watched(descriptor: int, data: Any, at: int) -> int:
        places.append(at)
        return write(descriptor, data, at)

    monkeypatch.setattr(os, "pwrite", watched)
    for extents, made in ((1, 0), (3, 0), (4, bare.EXTENTS_MADE)):
        example = bare.Example(0, 1 << 16, filled=False, extents=extents)
        monkeypatch.setattr(bare, "example_below", lambda folder, found=example: found)
        places.clear()
        with bare.Bare(tmp_path, 512, 200):
            assert len(set(places)) == len(places) == made
            assert all(at >= 4096 + 200 * 512 for at in places)


@pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="this system does not list descriptors"
)
def test_a_segments_flags_are_found(tmp_path: Path) -> None:
    """The last segment that is open below the folder is the example, and no other."""
    assert bare.example_below(tmp_path).size == 0
    folder = tmp_path / "log"
    folder.mkdir()
    for name, size in (("1.seg", 1), ("2.seg", 8192), ("2.other", 5)):
        (folder / name).write_bytes(bytes(size))
    descriptors = [
        os.open(folder / name, os.O_RDWR | flags)
        for name, flags in (("1.seg", 0), ("2.seg", os.O_DSYNC), ("2.other", 0))
    ]
    try:
        example = bare.example_below(tmp_path)
        assert bare.example_below(tmp_path / "elsewhere").size == 0
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    assert example.size == 8192
    assert example.flags == os.O_DSYNC
    assert example.filled


def test_many_are_held_to_the_lower_of_two() -> None:
    """Twenty times what one reaches, or 40,000; one is held to the bare loop's time."""
    figures = {
        "bare: p50, us": [100.0, 10.0],
        "thread: p50, us": [110.0, 12.0],
        "task: p50, us": [150.0, 11.0],
        "thread: appends/s": [1_000.0, 50_000.0],
        "threads: appends/s": [30_000.0, 20_000.0],
        "task: appends/s": [1_500.0, 30_000.0],
        "tasks: appends/s": [30_000.0, 80_000.0],
    }
    rounds = log.commit_ratios("file", figures)
    assert rounds == {
        "log-commit-thread-file": [1.1, 1.2],
        "log-commit-threads-file": [1.5, 0.5],
        "log-commit-task-file": [1.5, 1.1],
        "log-commit-tasks-file": [1.0, 2.0],
    }


def test_peers_that_are_missing_have_no_bar() -> None:
    """What was measured is compared round by round; the rest is left out."""
    figures = {
        f"{name}: {work}": [speed]
        for name, speed in (("file", 6.0), ("uring", 3.0), ("sqlite3", 2.0))
        for work in ("append", "scan")
    }
    assert log.peer_ratios(figures) == {
        "log-peers-append-file-vs-sqlite3": [3.0],
        "log-peers-append-uring-vs-sqlite3": [1.5],
        "log-peers-scan-file-vs-sqlite3": [3.0],
        "log-peers-scan-uring-vs-sqlite3": [1.5],
    }


#: Peers whose packages are here; the first is in the standard library.
MODULES = {"sqlite3": "sqlite3", "lmdb": "lmdb", "persist-queue": "persistqueue"}
HERE = [name for name in PEERS if find_spec(MODULES[name]) is not None]


@contextmanager
def peer(name: str, folder: Path) -> Iterator[Peer]:
    """A process's role, in this one."""
    role = Peer({"log": name}, folder)
    try:
        yield role
    finally:
        role.close()


@can_forget
@pytest.mark.parametrize("name", HERE)
def test_peers_keep_what_they_are_given(tmp_path: Path, name: str) -> None:
    """Groups are appended in order; what is loaded is scanned whole."""
    with peer(name, tmp_path) as role:
        words = {"do": "groups", "size": 3, "count": 4, "milliseconds": 60_000}
        assert role.handle(dict(words))["entries"] == 12
        assert role.handle(dict(words))["seconds"]
        assert role._log.read(100) == group_of(0, 24)
        loaded = role.handle({"do": "load", "count": 250})["count"]
        assert loaded == 250 // find_log(name).few
        assert role.handle({"do": "scan"})["rate"]
        assert role.handle({"do": "scan"})["rate"]


@can_forget
def test_a_peer_that_loses_an_entry_fails(tmp_path: Path) -> None:
    """What was loaded and is not found is no faster scan."""
    with peer("sqlite3", tmp_path) as role:
        role.handle({"do": "load", "count": 10})
        role._count += 1
        with pytest.raises(WrongAnswerError, match="there are 10 entries"):
            role.handle({"do": "scan"})


def test_a_log_without_its_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that is not installed is a reason in the report; ours ends the group."""

    def refuse(name: str, count: int, stack: object) -> None:
        raise ContenderMissingError(f"no module {name}")

    monkeypatch.setattr(log, "start_peer", refuse)
    results, stack = BarResults(), ExitStack()
    assert log.peer_or_none("lmdb", SMOKE, results, stack) is None
    assert results.contenders_missing == {"lmdb as a log": "no module lmdb"}
    with pytest.raises(ContenderMissingError):
        log.peer_or_none("file", SMOKE, results, stack)
