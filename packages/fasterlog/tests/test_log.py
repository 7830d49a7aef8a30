# SPDX-License-Identifier: MIT
"""What a log does while all is well."""

from __future__ import annotations

import threading
from array import array
from pathlib import Path
from typing import Any

import pytest
from log_kit import fill, open_log, payloads, reopen

from pyfaster.errors import (
    ClosedError,
    ConfigError,
    DeadlineError,
    LogAddressError,
    ValueTooLargeError,
)
from pyfaster.testing import FaultyDevice, MemoryDevice, Rule
from pyfaster_fasterlog import (
    CommitPolicy,
    DiskSlots,
    FasterLog,
    LogCompletedError,
)


def test_entries_come_back_in_order(place: Path) -> None:
    """What was appended and committed is scanned in order, at the addresses told."""
    with open_log(place) as log:
        given = [b"", b"a", b"12345678", b"x" * 1000]
        addresses = [log.append(payload) for payload in given]
        commit = log.commit()
        found = list(log.scan())
        assert [entry.payload for entry in found] == given
        assert [entry.address for entry in found] == addresses
        assert [entry.next for entry in found[:-1]] == addresses[1:]
        assert commit.number >= 1
        assert commit.until >= found[-1].next
        assert log.committed == commit


@pytest.mark.trap("X13")
def test_nothing_is_there_before_it_is_committed(place: Path) -> None:
    """Entries that were only appended are in no scan, and each committed one is."""
    with open_log(place) as log:
        fill(log, 5)
        assert payloads(log) == []
        log.commit()
        fill(log, 3)
        assert len(payloads(log)) == 5


@pytest.mark.trap("X14")
def test_more_than_memory_holds_is_kept(place: Path) -> None:
    """Appending many times what the memory holds loses no entry: it waits for room."""
    with open_log(place) as log:
        fill(log, 4000, 400)
        log.commit()
        found = payloads(log)
        assert [int(payload) for payload in found] == list(range(4000))
        assert log.stats().memory_bytes <= 256 << 10


@pytest.mark.trap("X15")
def test_a_log_of_many_segments_is_there_again(place: Path) -> None:
    """After closing and opening, every entry of every segment is there."""
    with open_log(place) as log:
        fill(log, 2000)
    assert len(list((place / "log").glob("*.seg"))) > 2
    with reopen(place) as log:
        assert [int(payload) for payload in payloads(log)] == list(range(2000))


@pytest.mark.trap("X17")
def test_a_log_commits_by_itself(place: Path) -> None:
    """With every_seconds entries become durable though nobody asks for it."""
    with open_log(place, commit=CommitPolicy(every_seconds=0.001)) as log:
        address = log.append(b"soon")
        assert log.wait_committed(address, timeout=60)
        assert payloads(log) == [b"soon"]


def test_a_log_commits_after_some_bytes(place: Path) -> None:
    """With every_bytes a commit comes once so much waits."""
    with open_log(place, commit=CommitPolicy(every_bytes="4KiB")) as log:
        first = fill(log, 100)[0]
        assert log.wait_committed(first, timeout=60)


def test_read_gives_one_entry(place: Path) -> None:
    """An entry is read by its address, also an empty one; no other address is."""
    with open_log(place) as log:
        one, two, three = log.append(b"one"), log.append(b""), log.append(b"3" * 5000)
        log.commit()
        assert [log.read(at) for at in (one, two, three)] == [b"one", b"", b"3" * 5000]
        later = log.append(b"later")
        for wrong in (0, 8, later, 1 << 40):
            with pytest.raises(LogAddressError):
                log.read(wrong)


@pytest.mark.trap("T26")
def test_an_empty_entry_is_one(place: Path) -> None:
    """Entries without bytes are counted, scanned and recovered like others."""
    with open_log(place) as log:
        for _ in range(10):
            log.append(b"")
    with reopen(place) as log:
        assert payloads(log) == [b""] * 10


def test_an_entry_fits_a_page(place: Path) -> None:
    """The largest payload is taken; one byte more is refused, and the message says
    the limit."""
    with open_log(place) as log:
        most = log.payload_max
        log.append(b"m" * most)
        with pytest.raises(ValueTooLargeError, match=f"{most:,}"):
            log.append(b"m" * (most + 1))
        log.commit()
        assert [len(payload) for payload in payloads(log)] == [most]


def test_many_entries_of_a_sequence(place: Path) -> None:
    """append_many takes bytes and other buffers, and tells addresses and the end."""
    with open_log(place) as log:
        given: list[Any] = [b"a", bytearray(b"bb"), memoryview(b"ccc")]
        room = array("Q", [0, 0, 0])
        end = log.append_many(given, addresses=room)
        log.commit(end)
        assert payloads(log) == [b"a", b"bb", b"ccc"]
        assert [log.read(address) for address in room] == [b"a", b"bb", b"ccc"]


def test_many_entries_of_one_buffer(place: Path) -> None:
    """append_many takes one buffer with offsets."""
    with open_log(place) as log:
        log.append_many(b"abbccc", offsets=array("Q", [0, 1, 3, 3, 6]))
        log.commit()
        assert payloads(log) == [b"a", b"bb", b"", b"ccc"]


def test_an_atomic_batch_stays_together(place: Path) -> None:
    """No entry of another thread comes between those of an atomic batch."""
    with open_log(place) as log:
        start = threading.Barrier(3)

        def produce(who: int) -> None:
            start.wait()
            for number in range(50):
                name = f"{who}.{number}".encode()
                log.append_many([name] * 4, atomic=True)

        threads = [threading.Thread(target=produce, args=(who,)) for who in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        log.commit()
        found = payloads(log)
        assert len(found) == 3 * 50 * 4
        assert all(len(set(found[at : at + 4])) == 1 for at in range(0, 600, 4))


def test_pieces_are_the_entries(place: Path) -> None:
    """Batches of a scan have the same payloads as its entries, without copies."""
    with open_log(place) as log:
        fill(log, 1500)
        log.commit()
        pieces = list(log.scan().batches())
        assert sum(map(len, pieces)) == 1500
        views = [bytes(view) for piece in pieces for view in piece]
        assert views == payloads(log)


def test_a_scan_of_a_range(place: Path) -> None:
    """A scan begins at an address, and ends before another."""
    with open_log(place) as log:
        at = fill(log, 20)
        log.commit()
        found = [entry.address for entry in log.scan(at[5], at[9])]
        assert found == at[5:9]
        assert [int(entry.payload) for entry in log.scan(at[18])] == [18, 19]


def test_strong_commits_have_numbers_and_cookies(place: Path) -> None:
    """Commits with a cookie have ascending numbers; the last one's cookie is told
    when the log is opened, after closing and after a crash."""
    with open_log(place) as log:
        log.append(b"1")
        first = log.commit(cookie=b"line 1")
        second = log.commit(cookie=b"line 2")
        assert second.number > first.number
    log = reopen(place)
    assert log.recovery is not None
    assert log.recovery.cookie == b"line 2"
    log.append(b"2")
    log.commit(cookie=b"line 3")
    log.close(commit=False)
    with reopen(place) as log:
        assert log.recovery is not None
        assert log.recovery.cookie == b"line 3"


def test_a_completed_log_ends(place: Path) -> None:
    """After complete() nothing is appended, in this life or the next; all is read."""
    with open_log(place) as log:
        bound = log.append
        fill(log, 3)
        commit = log.complete()
        assert log.completed
        assert log.complete() == commit
        assert log.commit() == commit
        for append in (log.append, log.append_and_commit, log.try_append):
            with pytest.raises(LogCompletedError, match="completed"):
                append(b"more")
        with pytest.raises(LogCompletedError):
            log.append_many([b"more"])
        with pytest.raises(LogCompletedError):
            log.truncate_suffix(64)
        with pytest.raises(ClosedError):
            bound(b"more")
        assert len(payloads(log)) == 3
    with reopen(place) as log:
        assert log.completed
        assert len(payloads(log)) == 3
        with pytest.raises(LogCompletedError):
            log.append(b"more")


def test_a_log_in_memory() -> None:
    """ ":memory:" is a log that ends with the process."""
    with FasterLog.open(":memory:") as log:
        address = log.append_and_commit(b"one")
        cursor = log.cursor("c")
        cursor.save(address)
        log.append(b"two")
        log.commit()
        log.truncate_until(address)
        assert payloads(log) == [b"one", b"two"]
        assert log.name == ":memory:"
        assert log.recovery is None


def test_many_producers_and_consumers(place: Path) -> None:
    """Four threads append and commit, two follow: both see every entry once, each
    producer's in its order."""
    with open_log(place) as log:
        seen: list[list[bytes]] = [[], []]

        def produce(who: int) -> None:
            for number in range(100):
                log.append_and_commit(b"%d %d" % (who, number))

        def consume(which: int) -> None:
            seen[which].extend(entry.payload for entry in log.follow())

        readers = [threading.Thread(target=consume, args=(i,)) for i in range(2)]
        writers = [threading.Thread(target=produce, args=(i,)) for i in range(4)]
        for thread in readers + writers:
            thread.start()
        for thread in writers:
            thread.join()
        log.complete()
        for thread in readers:
            thread.join()
        assert seen[0] == seen[1] == payloads(log)
        for who in range(4):
            mine = [int(p.split()[1]) for p in seen[0] if int(p.split()[0]) == who]
            assert mine == list(range(100))


def test_a_commit_may_run_out_of_time(tmp_path: Path) -> None:
    """A commit that takes longer than it may is no failure: the next one does it."""
    device = FaultyDevice(MemoryDevice(), [Rule("hold", "sync", nth=2)])
    files = DiskSlots(tmp_path / "slots")
    with FasterLog.open(device=device, files=files, trust_device=True) as log:
        durable = log.append_and_commit(b"first")
        at = log.append(b"second")
        for _ in range(1000):
            with pytest.raises(DeadlineError):
                log.commit(timeout=0.01)
            if device.fired():  # the sync is there, and does not end
                break
        assert log.failure is None
        assert durable < log.committed.until <= at
        assert device.release() == 1
        assert log.commit().until > at
        assert log.read(at) == b"second"


def test_stats_count(place: Path) -> None:
    """Figures say what was done, and what is durable."""
    with open_log(place) as log:
        fill(log, 10)
        before = log.stats()
        assert (before.entries, before.payload_bytes) == (10, 1000)
        assert before.uncommitted_bytes > 1000
        commit = log.commit()
        after = log.stats()
        assert (after.committed, after.number) == (commit.until, commit.number)
        assert after.uncommitted_bytes == 0
        assert after.begin == 64
        with pytest.raises(AttributeError):
            after.entries = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "settings",
    [
        {"page_size": 5000},
        {"page_size": "1KiB"},
        {"memory": "lots"},
        {"memory": True},
        {"segment_size": "32KiB"},
        {"recover": "newest"},
        {"recover": -1},
        {"slot_every": 0},
        {"device": "file", "path": "uring:x"},
        {"path": "file:"},
        {"path": 7},
        {"path": None, "device": "file"},
        {"pagesize": 65536},
        {"commit": 7},
        {"path": ":memory:", "read_only": True},
    ],
    ids=str,
)
def test_wrong_settings_are_refused(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    """A setting that makes no sense is a ConfigError, and nothing is made."""
    given = {"path": tmp_path / "wal", "page_size": "64KiB", **settings}
    if settings.get("read_only"):
        del given["page_size"]
    with pytest.raises(ConfigError):
        FasterLog.open(**given)  # type: ignore[call-overload]
    assert not list(tmp_path.iterdir())


def test_readers_have_fewer_settings(place: Path) -> None:
    """What makes no sense for reading is named; so is what may have been meant."""
    with pytest.raises(ConfigError, match="memory"):
        FasterLog.open(place, read_only=True, memory=1)  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="did you mean 'page_size'"):
        FasterLog.open(place, pagesize=65536)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "policy",
    [
        {"every_bytes": 0},
        {"every_bytes": "few"},
        {"every_seconds": 0},
        {"every_seconds": 1e9},
        {"max_in_flight": 0},
        {"max_in_flight": True},
    ],
    ids=str,
)
def test_wrong_policies_are_refused(policy: dict[str, object]) -> None:
    """A policy that makes no sense is a ConfigError."""
    with pytest.raises(ConfigError):
        CommitPolicy(**policy)  # type: ignore[arg-type]


def test_policies_say_what_they_are() -> None:
    """A policy without any rule is not automatic."""
    assert not CommitPolicy().is_automatic
    policy = CommitPolicy(every_bytes="1KiB", every_seconds=0.5)
    assert policy.is_automatic
    assert (policy.commit_bytes, policy.commit_ms) == (1024, 500)
