# SPDX-License-Identifier: MIT
"""What `complete_pending` gives: the end of each operation, once, and to somebody."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

import pyfaster
from pyfaster import PENDING
from pyfaster.errors import ClosedError, ConfigError, DeadlineError
from pyfaster.testing import FaultyDevice, MemoryDevice, Rule

Store = pyfaster.FasterKv[int, int]
Session = pyfaster.Session[int, int]

KEYS = 1000
STARTED = 50


def opened(*rules: Rule) -> Store:
    """A store whose keys, each with thrice itself, are all on the device."""
    device = FaultyDevice(MemoryDevice(), list(rules))
    store = pyfaster.open(
        key=int, value=int, device=device, memory="1MiB", page_size=4096
    )
    store.upsert_many(list(range(KEYS)), [3 * key for key in range(KEYS)])
    store.evict()
    return store


@pytest.fixture
def session() -> Iterator[Session]:
    """A session with that many reads under way."""
    with opened() as store, store.session() as session:
        for key in range(STARTED):
            assert session.start_read(key) is PENDING
        yield session


def values(session: Session) -> dict[int, int]:
    """What all operations that nobody was told of gave, by key; each comes once."""
    given = [(one.key, one.result()) for one in session.complete_pending()]
    assert len(dict(given)) == len(given)
    return dict(given)


@pytest.mark.parametrize("seen", [0, 1, 5, STARTED])
def test_a_loop_that_breaks_off_loses_nothing(session: Session, seen: int) -> None:
    """What a loop has not come to is given by the next call, and nothing twice."""
    first = session.complete_pending()
    keys = [next(first).key for _ in range(seen)]
    rest = values(session)
    assert sorted([*keys, *rest]) == list(range(STARTED))
    assert all(rest[key] == 3 * key for key in rest)
    assert list(first) == list(session.complete_pending()) == []


@pytest.mark.parametrize("wait", [True, False])
def test_a_call_that_nobody_iterates_takes_nothing(
    session: Session, wait: bool
) -> None:
    """The iterator alone takes results; calling for one changes nothing."""
    for _ in range(3):
        session.complete_pending(wait=wait)
    assert sorted(values(session)) == list(range(STARTED))


def test_an_exception_in_the_loop_loses_nothing(session: Session) -> None:
    """A loop's body that raises has had its own operation; the others come later."""
    with pytest.raises(ZeroDivisionError):
        for one in session.complete_pending():
            _ = one.key // 0
    assert len(values(session)) == STARTED - 1


def test_operations_started_inside_the_loop_are_given_too(session: Session) -> None:
    """A loop that starts what follows goes on until that has ended."""
    seen = []
    for one in session.complete_pending():
        seen.append(one.key)
        if one.key + STARTED < KEYS:
            assert session.start_read(one.key + STARTED) is PENDING
    assert sorted(seen) == list(range(KEYS))


@pytest.mark.fault("F76")
def test_a_deadline_loses_nothing() -> None:
    """What ended before the deadline is given, what ends later by the next call."""
    rule = Rule("hold", "read", nth=1, times=1)
    device = FaultyDevice(MemoryDevice(), [rule])
    with pyfaster.open(
        key=int, value=int, device=device, memory="1MiB", page_size=4096
    ) as store:
        store.upsert_many(list(range(10)), list(range(10)))
        store.evict()
        with store.session() as session:
            for key in range(10):
                assert session.start_read(key) is PENDING
            seen = []
            with pytest.raises(DeadlineError, match="1 operations were still"):
                for one in session.complete_pending(timeout=0.05):
                    seen.append(one.key)
            assert len(seen) == 9
            assert device.release() == 1
            seen += [one.key for one in session.complete_pending()]
            assert sorted(seen) == list(range(10))


def test_closing_drops_what_was_not_asked_for(session: Session) -> None:
    """Results and contexts that nobody fetched go with the session's end."""

    class Token:
        """Something that can be watched going."""

    token = Token()
    ghost = weakref.ref(token)
    assert session.start_read(STARTED, (token, session)) is PENDING
    del token
    next(session.complete_pending())
    session.close()
    gc.collect()
    assert ghost() is None
    with pytest.raises(ClosedError):
        session.complete_pending()


def test_a_dropped_session_takes_its_results_along() -> None:
    """Results that were taken and not given do not keep a session alive."""
    with opened() as store:
        session = store.session()
        for key in range(10):
            assert session.start_read(key, session) is PENDING
        next(session.complete_pending())
        ghost = weakref.ref(session)
        del session
        gc.collect()
        assert ghost() is None


def test_busy_tells_what_has_not_been_handed_over(session: Session) -> None:
    """`busy` counts what is on its way or waits to be taken, and ends at 0."""
    assert session.busy == STARTED
    values(session)
    assert session.busy == session.pending == 0


def test_what_no_version_commits_is_not_waited_for(session: Session) -> None:
    """A store on a device is told that checkpoints are missing, not to get a path."""
    session.wait_committed()
    session.upsert(1, 1)
    assert session.committed_serial == 0
    with pytest.raises(ConfigError, match="checkpoint") as raised:
        session.wait_committed()
    assert "path" not in str(raised.value)
    assert "memory" not in str(raised.value)


def test_a_key_that_is_absent_on_the_device_is_none() -> None:
    """The context of a started read is never taken for its value."""
    with opened() as store, store.session() as session:
        session.delete(0)
        store.evict()
        assert session.start_read(0, context="mine") is PENDING
        (one,) = session.complete_pending()
        assert (one.value, one.context) == (None, "mine")


def test_updates_of_many_keys_are_under_way_together() -> None:
    """Only an update of the same key is waited for, not one that hashes near it."""
    store = opened(Rule("hold", "read", times=None))
    session = store.session()
    for key in range(0, KEYS, 20):
        assert session.start_delete(key) is PENDING
    assert store.stats().pending == KEYS // 20
    assert session.serial == KEYS // 20
    with pytest.raises(DeadlineError, match=rf"{KEYS // 20} updates were still"):
        session.close(timeout=0)
    assert not session.closed
    store.close(timeout=1)
    session.close()
