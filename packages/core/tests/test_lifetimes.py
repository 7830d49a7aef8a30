# SPDX-License-Identifier: MIT
"""
Sessions that die in awkward places: each test once crashed the interpreter.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from typing import Any

import pytest

import pyfaster
from pyfaster import ClosedError
from pyfaster._session import Session


def test_a_collection_in_a_weak_reference_callback() -> None:
    """A collector that runs while a session dies does not meet the dead session."""
    with pyfaster.open(key=int, value=int) as store:
        for _ in range(10):
            session = store.session()
            mark = weakref.ref(session, lambda _: gc.collect())
            session.close()
            del session
            assert mark() is None


def test_many_sessions_die_while_the_collector_runs() -> None:
    """The store's own weak references are callbacks too, at any collection."""
    before = gc.get_threshold()
    gc.set_threshold(5)
    try:
        with pyfaster.open(key=int, value=int) as store:
            kept: list[list[object]] = []
            for _ in range(500):
                session = store.session()
                session.close()
                kept.append([[], [], []])
                del session
    finally:
        gc.set_threshold(*before)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the store is not closed
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_subclass_that_hides_the_finalizer() -> None:
    """A __del__ of a subclass cannot make the store die before its session."""

    class Mine(Session[int, int]):
        me: Any

        def __del__(self) -> None:
            pass

    for _ in range(10):
        store = pyfaster.open(key=int, value=int)
        session = Mine(store._kv, store.key_codec, store.value_codec)
        session.upsert(1, 1)
        session.me = session
        del store, session
        gc.collect()


def test_a_session_that_ends_while_its_key_is_encoded() -> None:
    """Encoding runs the user's code, which may end the session: that is an error."""
    with pyfaster.open(key=int, value=int) as store:
        session = store.session()

        class Ending:
            def __index__(self) -> int:
                # what the collector calls
                session.__del__()  # type: ignore[attr-defined] # of the C type
                return 5

        with pytest.raises(ClosedError):
            session.read(Ending())  # type: ignore[arg-type] # stands for an int
        with pytest.raises(ClosedError):
            session.read(5)


IN_FINALIZERS = """
import gc, sys, pyfaster

class Last:
    def __del__(self):
        store = self.store
        for use in (
            lambda: len(store),
            lambda: list(store),
            lambda: store.read_view(b"k").__enter__(),
            lambda: store.read(b"k"),
            lambda: store.upsert_many([b"k"], [b"w"]),
            lambda: store.session("new").read(b"k"),
            lambda: store.stats(),
            lambda: bool(store),
        ):
            try:
                use()
            except pyfaster.ClosedError:
                pass
        sys.stdout.write("survived ")

def make():
    store = pyfaster.open()
    store[b"k"] = b"v"
    session = store.session() if {extra} else None
    last = Last()
    last.store, last.session, store.last = store, session, last
    return store

for _ in range(5):
    make()
    {collect}
kept = make()
"""


@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("collect", ["gc.collect()", "pass"])
def test_a_finalizer_that_uses_its_store(extra: bool, collect: str) -> None:
    """A __del__ in a cycle with the store gets ClosedError at worst, at exit too."""
    code = IN_FINALIZERS.format(extra=extra, collect=collect)
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("survived") >= 5
