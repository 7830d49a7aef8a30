# SPDX-License-Identifier: MIT
"""
docs/formats.md is what a durable log writes: a reader by the page alone reads it.
"""

from __future__ import annotations

import random
import shutil
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path

import pytest

import formats
from formats import FIRST, Difference
from log_format import Life, Log, State
from pyfaster.errors import CorruptLogError
from pyfaster.flog import Commit
from pyfaster_fasterlog import FasterLog

pytestmark = pytest.mark.once

SEED = 11
PAGE = 16 << 10
SEGMENT = 32 << 10
HEADER, RECORD = 16, 40


@dataclass
class Made:
    """What was done to a log, and copies of its directory."""

    where: Path
    entries: list[tuple[int, bytes]] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    expected: dict[str, Expected] = field(default_factory=dict)

    def opened(self) -> FasterLog:
        """Open it."""
        size = None if self.where.exists() else PAGE
        return FasterLog.open(
            self.where, page_size=size, segment_size=SEGMENT, memory="64KiB"
        )

    def put(self, log: FasterLog, payload: bytes) -> int:
        """Append an entry."""
        address = log.append(payload)
        self.entries.append((address, payload))
        return address

    def put_all(self, log: FasterLog, payloads: list[bytes]) -> None:
        """Append entries as one."""
        addresses = array("Q", [0] * len(payloads))
        log.append_many(payloads, atomic=True, addresses=addresses)
        self.entries += zip(addresses, payloads, strict=True)

    def commit(self, log: FasterLog, cookie: bytes | None = None) -> Commit:
        """Commit."""
        self.commits.append(log.commit(cookie=cookie))
        return self.commits[-1]

    def keep(self, log: FasterLog, name: str, cookie: bytes = b"") -> None:
        """Copy the directory, beside what a reader should find in it."""
        shutil.copytree(self.where, self.where.parent / name)
        at, begin = log.committed, log.begin
        self.expected[name] = Expected(
            self.where.parent / name,
            [one for one in self.entries if begin <= one[0] < at.until],
            at,
            begin,
            State(0, log.completed, dict(log.cursors())),
            cookie,
            log.stats().generation,
        )


@dataclass
class Expected:
    """A copy of a log's directory, and what is in it."""

    where: Path
    entries: list[tuple[int, bytes]]
    commit: Commit
    begin: int
    state: State
    cookie: bytes
    generation: int


def first_life(made: Made) -> None:
    """Entries of many sizes, and a record that leaves 8, and no bytes of its unit."""
    with made.opened() as log:
        made.keep(log, "empty")
        made.put(log, b"")
        unit = made.commit(log).until
        for left in (8, 0):
            made.put(log, b"s" * (unit - left - 2 * HEADER - RECORD))
            made.commit(log)
        for size in (0, 1, 7, 8, 9, 100, 511, 4096, log.payload_max, 0):
            made.put(log, random.Random(size).randbytes(size))
        made.keep(log, "killed")
        made.put_all(log, [b"batch", b"", b"of", b"four" * 500])
        made.commit(log, b"first")
        for number in range(40):
            made.put(log, b"%d " % number * number)
        made.commit(log)
        made.put(log, b"not committed")
        made.keep(log, "cut off", b"first")


def later_lives(made: Made) -> None:
    """Another opening, a cut within a unit, and the space of before given back."""
    with made.opened() as log:
        made.keep(log, "opened", b"first")
        for number in range(600):
            made.put(log, b"later %d" % number)
        made.commit(log, b"second")
        log.cursor("b").save()
        cursor = log.cursor("\xe4")
        for _ in islice(cursor.scan(), 3):
            cursor.save()
        made.keep(log, "cursors", b"second")
        cut = made.entries[-200][0]
        log.truncate_suffix(cut)
        made.entries = [one for one in made.entries if one[0] < cut]
        made.keep(log, "cut", b"second")
        for number in range(900):
            made.put(log, b"after the cut %d" % number)
        made.commit(log)
        made.keep(log, "went on", b"second")
        log.truncate_until(next(at for at, _ in made.entries if at > SEGMENT + 5000))
        made.keep(log, "truncated", b"second")
        log.drop_cursor("b")
        made.put(log, b"the last one")
    with made.opened() as log:
        made.commits.append(log.complete())
        made.keep(log, "completed", b"second")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A log to which about everything was done, copied again and again."""
    pytest.importorskip("pyfaster_devices_file")
    made = Made(tmp_path_factory.mktemp("log") / "log")
    first_life(made)
    later_lives(made)
    return made


STAGES = ["empty", "killed", "cut off", "opened", "cursors", "cut", "went on"]
STAGES += ["truncated", "completed"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_reader_by_the_page_finds_what_was_committed(made: Made, stage: str) -> None:
    """Entries, their places, the last commit, cursors and marks come from the bytes."""
    wanted, read = made.expected[stage], Log(made.expected[stage].where)
    assert read.entries == wanted.entries
    assert (read.number, read.until) == (wanted.commit.number, wanted.commit.until)
    assert read.begin == wanted.begin
    assert read.slot.lives[-1].generation == wanted.generation
    assert read.cookie == wanted.cookie
    assert read.state.cursors == wanted.state.cursors
    assert read.state.completed == wanted.state.completed
    assert len(read.slots) == 2


@pytest.mark.parametrize("stage", STAGES)
def test_what_the_page_finds_is_what_an_opening_finds(
    made: Made, stage: str, tmp_path: Path
) -> None:
    """The reader's recovery is that of the log."""
    shutil.copytree(made.expected[stage].where, tmp_path / "log")
    read = Log(tmp_path / "log")
    with FasterLog.open(tmp_path / "log") as log:
        found = log.recovery
        assert found is not None
        assert (found.number, found.until) == (read.number, read.until)
        assert (found.begin, found.cookie) == (read.begin, read.cookie)
        assert dict(log.cursors()) == read.state.cursors
        assert [(one.address, one.payload) for one in log.scan()] == read.entries


@pytest.mark.parametrize("stage", STAGES)
def test_every_byte_is_explained(made: Made, stage: str) -> None:
    """Parts follow one another to the end of the files; what nobody wrote is zeros."""
    read = Log(made.expected[stage].where)
    at = read.base
    for part in read.parts:
        assert part.address == at < part.end
        at = part.end
    assert at == read.limit
    named = {one.what for one in read.parts}
    if stage == "empty":
        assert (read.limit, named) == (0, set())
        return
    if stage in ("opened", "completed"):
        last = read.parts[-1]
        assert last.what == "behind the end"
        assert not any(read.bytes_at(last.address, last.end))
    wanted = {"data", "commit record", "filler", "behind the end"}
    wanted |= {"zeros"} if read.base == 0 else {"given back"}
    wanted |= {"nothing"} if stage in ("cut", "went on", "truncated") else set()
    assert wanted - named == set()


def test_fillers_close_units_and_pages(made: Made) -> None:
    """There is one of 8 bytes, a record that needs none, and one at a page's end."""
    read = Log(made.expected["cut off"].where)
    fillers = [one for one in read.parts if one.what == "filler"]
    assert 8 in {one.end - one.address for one in fillers}
    before = {after.address: one.what for one, after in pairwise(read.parts)}
    ends = [one for one in fillers if before[one.address] == "data"]
    assert ends
    assert all(one.end % PAGE == 0 for one in ends)
    ended = {one.end for one in read.parts if one.what == "commit record"}
    assert ended & {one.head["until"] for one in read.records}
    for one in read.records:
        unit = made.commits[0].until
        assert one.head["until"] % unit == 0
        assert one.head["until"] - one.address < PAGE // 2


def test_records_say_what_commit_returned(made: Made) -> None:
    """Numbers, ends, what was durable before, and cookies."""
    read = Log(made.expected["cut off"].where)
    said = [(one.head["number"], one.head["until"]) for one in read.records]
    assert said == [(one.number, one.until) for one in made.commits[: len(said)]]
    assert [one.head["durable"] for one in read.records] == [
        FIRST,
        *(until for _, until in said[:-1]),
    ]
    assert {one.head["begin"] for one in read.records} == {FIRST}
    assert [one.cookie for one in read.records][-2:] == [b"first", b""]
    assert read.records[-1].attached == (b"first", State())
    later = Log(made.expected["went on"].where)
    assert later.records[-1].attached == (b"second", later.slot.state)
    assert sorted(later.slot.state.cursors) == ["b", "\xe4"]


def test_lives_are_those_that_there_were(made: Made) -> None:
    """An opening and a cut begin one; a cut within a unit leaves a gap behind it."""
    unit = made.commits[0].until
    one, two = Log(made.expected["cursors"].where).slot.lives
    assert (one.generation, one.first) == (1, FIRST)
    assert (two.generation, two.first, two.until) == (2, one.until, 0)
    read = Log(made.expected["cut"].where)
    cut, new = read.slot.lives[1:]
    assert read.slot.lives[0] == one
    assert (cut.generation, cut.first) == (2, two.first)
    assert cut.until % unit != 0
    assert new == Life(3, -(-cut.until // unit) * unit, 0)
    assert read.slot.head["until"] == new.first
    gap = next(part for part in read.parts if part.what == "nothing")
    assert (gap.address, gap.end) == (cut.until, new.first)
    assert Log(made.expected["truncated"].where).base == SEGMENT


def test_segments_have_the_generation_of_the_opening(made: Made) -> None:
    """That of a life which a cut began is in no header."""
    read = Log(made.expected["went on"].where)
    assert read.slot.lives[-1].generation == 3
    assert set(read.generations.values()) == {2, 3}
    assert list(read.generations) == list(range(0, read.limit, SEGMENT))


def test_slots_are_written_one_after_the_other(made: Made) -> None:
    """Sequence numbers are one apart; an opening writes the same into both."""
    for stage in STAGES:
        one, two = Log(made.expected[stage].where).slots.values()
        assert abs(one.head["sequence"] - two.head["sequence"]) == 1
        if stage in ("empty", "opened", "cut", "truncated", "completed"):
            for name in set(one.head) - {"sequence"}:
                assert one.head[name] == two.head[name]
            assert (one.lives, one.state) == (two.lives, two.state)


def test_names_are_those_of_the_page(made: Made) -> None:
    """Nothing else lies in a log's directory."""
    rows = formats.table("A durable log", "name")
    slots = {row[0] for row in rows if row[0].startswith("commits/")}
    for stage in STAGES:
        where = made.expected[stage].where
        found = {str(one.relative_to(where)) for one in where.glob("*/*")}
        assert {one for one in found if one.startswith("commits/")} == slots
        logs = {one for one in found if one.startswith("log/")}
        assert all(one.endswith(".seg") and len(one) == 28 for one in logs)
        assert found == slots | logs
        assert (where / "log.lock").read_text().strip().isdigit()


# --- what is damaged ------------------------------------------------------------------


def flip(data: bytearray, bit: int) -> None:
    """Change one bit."""
    data[bit // 8] ^= 1 << bit % 8


@pytest.mark.parametrize("what", ["data", "commit record", "filler"])
def test_the_reader_is_no_rubber_stamp(made: Made, what: str) -> None:
    """One bit that is another is a difference, in entries, records and fillers."""
    dice, read = random.Random(SEED), Log(made.expected["completed"].where)
    print("seed", SEED)
    parts = [one for one in read.parts if one.what == what]
    assert parts
    for part in dice.sample(parts, min(len(parts), 40)):
        counts = min(HEADER + len(part.payload), part.end - part.address)
        bit = (part.address - read.base) * 8 + dice.randrange(counts * 8)
        flip(read.data, bit)
        with pytest.raises(Difference):
            print(part, bit, read.walk())
        flip(read.data, bit)
    assert read.walk() == read.parts


def changed(where: Path, tmp_path: Path, name: str, bit: int) -> Path:
    """Copy a log, and change one bit of a file of it."""
    place = tmp_path / "log"
    if not place.exists():
        shutil.copytree(where, place)
    data = bytearray((place / name).read_bytes())
    flip(data, bit)
    (place / name).write_bytes(data)
    return place


@pytest.mark.parametrize("bit", [3, 500, 4091 * 8, 4095 * 8])
def test_a_segment_whose_header_is_damaged_is_refused(
    made: Made, tmp_path: Path, bit: int
) -> None:
    """Its checksum is over all of it."""
    where, name = made.expected["cut"].where, f"log/{SEGMENT:020x}.seg"
    with pytest.raises(Difference):
        Log(changed(where, tmp_path, name, bit))


def test_a_slot_that_is_not_whole_does_not_count(made: Made, tmp_path: Path) -> None:
    """The other one does, with the same entries; without any the log is refused."""
    where = made.expected["went on"].where
    whole = Log(where)
    newer = max(whole.slots, key=lambda name: whole.slots[name].head["sequence"])
    read = Log(changed(where, tmp_path, newer, 8 * 50))
    assert set(read.slots) == set(whole.slots) - {newer}
    assert (read.entries, read.until) == (whole.entries, whole.until)
    (older,) = read.slots
    with pytest.raises(Difference, match="no slot is whole"):
        Log(changed(where, tmp_path, older, 8 * 100))


def first_commit_lost(read: Log) -> int:
    """An address in what the first commit made durable, before others."""
    return read.records[0].address


def last_commit_lost(read: Log) -> int:
    """The address of the last record, behind which nothing says anything."""
    return read.records[-1].address


@pytest.mark.parametrize("place", [first_commit_lost, last_commit_lost])
def test_what_is_behind_the_slots_is_followed(
    made: Made, tmp_path: Path, place: Callable[[Log], int]
) -> None:
    """Damage before a later commit is refused, else cut off, as an opening does."""
    where = made.expected["cut off"].where
    whole = Log(where)
    assert whole.slot.head["until"] == FIRST
    at = place(whole)
    name = f"log/{at - at % SEGMENT:020x}.seg"
    bit = 8 * (4096 + at % SEGMENT + HEADER + 1)
    read = Log(changed(where, tmp_path, name, bit))
    if place is first_commit_lost:
        with pytest.raises(Difference, match="something durable is lost"):
            print(read.parts)
        with pytest.raises(CorruptLogError):
            FasterLog.open(tmp_path / "log")
        return
    assert read.until == whole.records[-2].head["until"]
    with FasterLog.open(tmp_path / "log") as log:
        assert log.recovery is not None
        assert (log.recovery.number, log.recovery.until) == (read.number, read.until)
        assert [(one.address, one.payload) for one in log.scan()] == read.entries
