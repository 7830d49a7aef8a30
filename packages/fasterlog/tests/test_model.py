# SPDX-License-Identifier: MIT
"""Whatever is done to a log, in whatever order, it is as a plain list says."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)
from log_kit import follower, open_log, reopen

from pyfaster.errors import LogAddressError
from pyfaster_fasterlog import FasterLog

pytest.importorskip("pyfaster_devices_file")

SIZES = st.integers(0, 40) | st.sampled_from([500, 4000, 30_000])


class LogModel(RuleBasedStateMachine):
    """
    A log against a list.

    `kept` has the entries that are committed, as (address, payload); `waiting` those
    that are not; `commits` what each commit number that recover= may name has kept.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="pyfaster-log-model-"))
        self.place = self.folder / "wal"
        self.log: FasterLog = open_log(self.place)
        self.kept: list[tuple[int, bytes]] = []
        self.waiting: list[tuple[int, bytes]] = []
        self.commits: dict[int, list[tuple[int, bytes]]] = {}
        self.cursors: dict[str, int] = {}
        self.cookie = b""
        self.gone = 0  # commits up to this number were cut off, with their records
        self.count = 0

    def payload(self, size: int) -> bytes:
        """Give bytes that no other entry has, if there is room for that."""
        self.count += 1
        return str(self.count).encode().rjust(size)[:size]

    @rule(size=SIZES)
    def append(self, size: int) -> None:
        """One entry."""
        payload = self.payload(size)
        self.waiting.append((self.log.append(payload), payload))

    @rule(sizes=st.lists(SIZES, max_size=6), atomic=st.booleans())
    def append_many(self, sizes: list[int], atomic: bool) -> None:
        """Many entries."""
        many = [self.payload(min(size, 5000)) for size in sizes]
        room = memoryview(bytearray(8 * len(many))).cast("Q")
        self.log.append_many(many, atomic=atomic, addresses=room)
        self.waiting += zip(room, many, strict=True)

    def note(self, number: int) -> None:
        """Everything is committed."""
        self.kept += self.waiting
        self.waiting = []
        if number > self.gone:
            self.commits[number] = list(self.kept)

    @rule()
    def commit(self) -> None:
        """Make all durable."""
        self.note(self.log.commit().number)

    @rule(cookie=st.binary(min_size=1, max_size=20))
    def commit_with_a_cookie(self, cookie: bytes) -> None:
        """Make all durable, and say where."""
        self.note(self.log.commit(cookie=cookie).number)
        self.cookie = cookie

    @rule(size=SIZES)
    def append_and_commit(self, size: int) -> None:
        """Both at once."""
        payload = self.payload(size)
        self.waiting.append((self.log.append_and_commit(payload), payload))
        self.kept += self.waiting
        self.waiting = []

    @precondition(lambda self: self.kept)
    @rule(data=st.data(), name=st.sampled_from(["a", "b"]))
    def _save_cursor(self, data: st.DataObject, name: str) -> None:
        """A cursor at some entry."""
        address, _ = data.draw(st.sampled_from(self.kept))
        self.log.cursor(name).save(address)
        self.cursors[name] = address

    @rule(name=st.sampled_from(["a", "b"]))
    def drop_cursor(self, name: str) -> None:
        """No cursor."""
        self.log.drop_cursor(name)
        self.cursors.pop(name, None)

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def truncate_until(self, data: st.DataObject) -> None:
        """Another beginning."""
        index = data.draw(st.integers(0, len(self.kept) - 1))
        address = self.kept[index][0]
        self.log.truncate_until(address)
        self.kept = self.kept[index:]
        self.commits = {}
        self.cursors = {name: max(at, address) for name, at in self.cursors.items()}

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def truncate_suffix(self, data: st.DataObject) -> None:
        """Another end."""
        index = data.draw(st.integers(0, len(self.kept) - 1))
        address = self.kept[index][0]
        self.log.truncate_suffix(address)
        self.gone = self.log.committed.number
        self.kept, self.waiting, self.commits = self.kept[:index], [], {}
        self.clamp(address)

    def clamp(self, address: int) -> None:
        """Cursors behind an end have been moved to where the log goes on."""
        found = self.log.cursors()
        for name, at in self.cursors.items():
            if at >= address:
                assert found[name] >= address
                self.cursors[name] = found[name]

    @rule()
    def reopen(self) -> None:
        """Close, which commits, and open."""
        self.log.close()
        self.kept += self.waiting
        self.waiting = []
        self.log = reopen(self.place)
        self.look_at_report()

    @rule()
    def crash(self) -> None:
        """Open without having closed."""
        self.log.close(commit=False)
        self.waiting = []
        self.log = reopen(self.place)
        self.look_at_report()

    def look_at_report(self) -> None:
        """What was recovered is what was committed last."""
        assert self.log.recovery is not None
        assert self.log.recovery.cookie == self.cookie
        assert self.log.recovery.slots == ()

    @precondition(lambda self: self.commits)
    @rule(data=st.data())
    def go_back(self, data: st.DataObject) -> None:
        """Open as of a commit."""
        number = data.draw(st.sampled_from(sorted(self.commits)))
        self.log.close(commit=False)
        self.kept, self.waiting = list(self.commits[number]), []
        self.commits = {
            other: kept for other, kept in self.commits.items() if other <= number
        }
        self.log = reopen(self.place, recover=number)
        assert self.log.recovery is not None
        self.cookie = self.log.recovery.cookie
        end = self.kept[-1][0] + 1 if self.kept else 0
        self.clamp(end)

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """One entry; and what is none."""
        address, payload = data.draw(st.sampled_from(self.kept))
        assert self.log.read(address) == payload
        with pytest.raises(LogAddressError):
            self.log.read(address + 1)

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def scan_a_range(self, data: st.DataObject) -> None:
        """From one entry to another, by entries and by pieces."""
        first = data.draw(st.integers(0, len(self.kept) - 1))
        last = data.draw(st.integers(first, len(self.kept) - 1))
        start, until = self.kept[first][0], self.kept[last][0]
        if until > start:
            wanted = self.kept[first:last]
            found = [(e.address, e.payload) for e in self.log.scan(start, until)]
            assert found == wanted
            pieces = self.log.scan(start, until).batches()
            views = [bytes(view) for piece in pieces for view in piece]
            assert views == [payload for _, payload in wanted]

    @rule()
    def look_from_elsewhere(self) -> None:
        """A follower sees what is committed."""
        with follower(self.place) as reader:
            found = [(entry.address, entry.payload) for entry in reader.scan()]
            assert found == self.kept
            assert dict(reader.cursors()) == self.cursors

    @invariant()
    def is_as_the_list_says(self) -> None:
        """What is committed, and cursors."""
        found = [(entry.address, entry.payload) for entry in self.log.scan()]
        assert found == self.kept
        assert dict(self.log.cursors()) == self.cursors

    def teardown(self) -> None:
        """Remove the log."""
        self.log.close()
        shutil.rmtree(self.folder)


LogModel.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, derandomize=True
)
test_a_log_is_as_a_list_says = LogModel.TestCase
