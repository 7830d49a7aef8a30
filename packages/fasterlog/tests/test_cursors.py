# SPDX-License-Identifier: MIT
"""Cursors, and what slots carry of them."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_kit import crash, fill, flip, open_log, payloads, reopen, slot

from pyfaster.errors import ConfigError, CorruptLogError, LogAddressError
from pyfaster_fasterlog._state import (
    CURSORS_MAX,
    NAME_BYTES_MAX,
    State,
    pack,
    unpack,
)

NAMES = st.text(min_size=1, max_size=20).filter(
    lambda name: not any("\ud800" <= one <= "\udfff" for one in name)
)
STATES = st.builds(
    lambda number, completed, cursors: State(
        number, completed, MappingProxyType(dict(sorted(cursors.items())))
    ),
    st.integers(1, (1 << 64) - 1),
    st.booleans(),
    st.dictionaries(NAMES, st.integers(0, (1 << 64) - 1), max_size=8),
)


def test_a_cursor_goes_where_entries_are_read(place: Path) -> None:
    """Inside the loop a cursor stands at the entry at hand, behind it at the end."""
    with open_log(place) as log:
        at = fill(log, 5)
        log.commit()
        cursor = log.cursor("c")
        assert cursor.position == log.begin
        assert cursor.saved is None
        for number, entry in enumerate(cursor.scan()):
            assert cursor.position == entry.address == at[number]
            if number == 2:
                break
        cursor.save()
        assert dict(log.cursors()) == {"c": at[2]}
        rest = [int(entry.payload) for entry in log.cursor("c").scan()]
        assert rest == [2, 3, 4]
        assert list(map(int, payloads(log))) == list(range(5))
        for entry in cursor.scan():
            cursor.save(entry.next)
        assert list(cursor.scan()) == []
        assert "c" in repr(cursor)


def test_a_saved_position_survives_a_crash(place: Path) -> None:
    """save() is durable when it returns; what was not saved is not there."""
    log = open_log(place)
    at = fill(log, 5)
    log.commit()
    log.cursor("billing").save(at[3])
    log.cursor("other").save(at[1])
    log.cursor("moved").position = at[2]
    log.drop_cursor("other")
    log.drop_cursor("nobody")
    crash(log)
    with reopen(place) as log:
        assert dict(log.cursors()) == {"billing": at[3]}
        assert [int(e.payload) for e in log.cursor("billing").scan()] == [3, 4]


def test_commits_carry_cursors(place: Path) -> None:
    """With the newer slot damaged, a commit behind it still knows the position."""
    log = open_log(place)
    at = fill(log, 5)
    log.commit()
    log.cursor("c").save(at[3])
    log.append_and_commit(b"more")
    crash(log)
    newer = max(("slot-a", "slot-b"), key=lambda name: sequence(place, name))
    flip(slot(place, newer), 50)
    with reopen(place) as log:
        assert dict(log.cursors()) == {"c": at[3]}


def sequence(place: Path, name: str) -> int:
    """Give a slot's sequence number."""
    from pyfaster.flog import slot_of

    return slot_of(slot(place, name).read_bytes()).sequence


def test_positions_are_of_what_is_committed(place: Path) -> None:
    """A position outside of what is committed is refused."""
    with open_log(place) as log:
        at = fill(log, 5)
        log.commit()
        later = log.append(b"later")
        log.truncate_until(at[2])
        cursor = log.cursor("c")
        for wrong in (at[1], later + 24, 1 << 50):
            with pytest.raises(LogAddressError, match="outside"):
                cursor.save(wrong)
        assert log.cursors() == {}


def test_cursors_stay_inside_of_the_log(place: Path) -> None:
    """Truncation at either end moves cursors to that end."""
    with open_log(place) as log:
        at = fill(log, 10)
        log.commit()
        log.cursor("first").save(at[1])
        log.cursor("last").save(at[8])
        log.truncate_until(at[3])
        log.truncate_suffix(at[6])
        assert log.cursors()["first"] == at[3]
        assert log.cursors()["last"] >= at[6]
        log.append_and_commit(b"new")
        assert [entry.payload for entry in log.cursor("last").scan()] == [b"new"]
    with reopen(place) as log:
        assert log.cursor("first").position == at[3]


@pytest.mark.parametrize("name", ["", "x" * (NAME_BYTES_MAX + 1), "\udc80", 7])
def test_wrong_names_are_refused(place: Path, name: str) -> None:
    """A name is a text of 1 to 255 bytes."""
    with open_log(place) as log:
        with pytest.raises(ConfigError, match="name"):
            log.cursor(name)


def test_there_may_be_many_cursors(place: Path) -> None:
    """More cursors than a commit record carries are kept in slots; there is a most."""
    state = State()
    for number in range(CURSORS_MAX):
        state = state.with_cursor(f"cursor {number}", number)
    with pytest.raises(ConfigError, match="drop"):
        state.with_cursor("one more", 0)
    assert State.decode(state.encode()) == state
    with open_log(place) as log:
        at = log.append(b"entry")
        log.commit()
        for number in range(8):
            log._state = log._state.with_cursor(f"{number}" * 250, at)
        for number in range(100, 160):
            log._state = log._state.with_cursor(f"{number}" * 80, at)
        log.cursor("last").save(at)
        log.append(b"more")
        log.commit()
    with reopen(place) as log:
        assert len(log.cursors()) == 69


@given(STATES, st.binary(max_size=40))
def test_states_come_back(state: State, cookie: bytes) -> None:
    """What is put into bytes is what they give."""
    assert State.decode(state.encode()) == state
    assert unpack(pack(state, cookie)) == (state, cookie)
    assert unpack(pack(State(), cookie)) == (State(), cookie)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_state_or_damage(data: bytes) -> None:
    """Bytes are in the form that is written, or refused."""
    try:
        state = State.decode(data)
    except CorruptLogError:
        return
    assert state.encode() == data


@given(STATES, st.data())
def test_damaged_states_are_refused(state: State, data: st.DataObject) -> None:
    """Bytes that were cut off, or have others behind them, are no state."""
    whole = state.encode()
    cut = data.draw(st.integers(1, len(whole) - 1))
    for wrong in (whole[:cut], whole + b"\0"):
        with pytest.raises(CorruptLogError):
            State.decode(wrong)
    with pytest.raises(CorruptLogError):
        unpack(b"\xff\xff\xff\xff")
    with pytest.raises(CorruptLogError):
        unpack(b"\1")
