# SPDX-License-Identifier: MIT
"""After fork() the child's handles raise ForkedError; the parent's are untouched."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import pyfaster
from pyfaster.errors import ForkedError

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="this system has no fork()"
)


def in_child(work: Callable[[], str]) -> str:
    """Run something in a forked child; give what it returned, or how it died."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # The interpreter warns of forking with threads, which is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            text = work()
        except BaseException as error:  # noqa: BLE001 - the parent is told of any
            text = f"{type(error).__name__}: {error}"
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, text
    return text


def outcomes(calls: list[Callable[[], Any]]) -> str:
    """The names of what each call raises."""
    names = set()
    for call in calls:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - told by name
            names.add(type(error).__name__)
        else:
            names.add("nothing")
    return ",".join(sorted(names))


def test_a_child_is_refused_and_the_parent_goes_on() -> None:
    """Every entry of a store and its sessions raises ForkedError in the child only."""
    with pyfaster.open(key=str, value=int) as store:
        session = store.session("s")
        session.upsert("a", 1)
        store["b"] = 2
        scan = iter(store.items())
        next(scan)
        view = store.session()
        calls: list[Callable[[], Any]] = [
            lambda: session.read("a"),
            lambda: session.upsert("a", 2),
            lambda: session.rmw("a", 2, "add"),
            lambda: session.read_many(["a"]),
            lambda: session.upsert_many(["a"] * 100, [5] * 100),
            lambda: view.delete("a"),
            lambda: store["a"],
            lambda: store.upsert("a", 2),
            lambda: len(store),
            lambda: list(store),
            lambda: list(store.items()),
            lambda: store.session(),
            lambda: store.session("s"),
            lambda: store.grow_index(),
            lambda: store.close(),
        ]
        assert in_child(lambda: outcomes(calls)) == "ForkedError"
        assert session.read("a") == 1
        session.upsert("a", 3)
        assert dict(store.items()) == {"a": 3, "b": 2}
        assert len(list(scan)) <= 1


def test_a_child_may_open_its_own_store() -> None:
    """A store opened in the child works there."""
    with pyfaster.open() as parent:
        parent[b"k"] = b"parent"

        def work() -> str:
            with pyfaster.open() as store:
                store[b"k"] = b"child"
                return repr((store[b"k"], len(store)))

        assert in_child(work) == "(b'child', 1)"
        assert parent[b"k"] == b"parent"


def test_a_child_of_a_child_is_refused_too() -> None:
    """A store is its opener's alone, through any number of forks."""
    with pyfaster.open() as store:
        store[b"k"] = b"v"
        assert in_child(lambda: in_child(lambda: outcomes([lambda: store[b"k"]]))) == (
            "ForkedError"
        )


def test_a_child_that_drops_its_handles_harms_nobody() -> None:
    """Collecting the store in the child frees nothing of the parent's."""
    store = pyfaster.open(key=int, value=int)
    session = store.session()
    session.upsert_many(range(1000), range(1000))
    kept = [store, session]

    def work() -> str:
        nonlocal store, session
        import gc

        warnings.simplefilter("ignore", ResourceWarning)
        kept.clear()
        del store, session
        gc.collect()
        return "dropped"

    assert in_child(work) == "dropped"
    assert len(store) == 1000
    session.upsert(1, -1)
    assert store[1] == -1
    store.close()


def test_the_error_says_what_to_do() -> None:
    """ForkedError says that stores are opened after fork()."""
    with pyfaster.open() as store:
        store[b"k"] = b"v"

        def work() -> str:
            with pytest.raises(ForkedError, match=r"after fork\(\)"):
                store.read(b"k")
            return "told"

        assert in_child(work) == "told"
