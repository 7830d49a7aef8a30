# SPDX-License-Identifier: MIT
"""
The thread that tells plugins what happens: when there is one, and when it ends.
"""

from __future__ import annotations

import errno
import gc
import os
import threading
import warnings
import weakref
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

import pyfaster
from pyfaster._cabi_events import Ears
from pyfaster.errors import ClosedError, PluginWarning
from pyfaster.events import (
    CheckpointTaken,
    EventsLost,
    IndexGrowing,
    IndexGrown,
    IndexSaturated,
    PagesEvicted,
    PagesFlushed,
    PageTurned,
    WritesStopped,
)
from pyfaster.testing import EventRecorder, MemoryDevice

THREAD = "pyfaster-events"
LONG_S = 60
PAGE = 16 << 10


def listeners() -> list[threading.Thread]:
    """The threads that listen now."""
    return [one for one in threading.enumerate() if one.name == THREAD]


def on_device(**settings: Any) -> pyfaster.FasterKv[int, bytes]:
    """A store of a quarter of a megabyte on a device."""
    given = {"memory": "256KiB", "page_size": PAGE, **settings}
    return pyfaster.open(key=int, value=bytes, device=MemoryDevice(), **given)


def fill(store: pyfaster.FasterKv[int, bytes], count: int = 2_000) -> None:
    """Write new keys; as many as usual are more than the memory of `on_device`."""
    first = store.stats().upserts
    for key in range(first, first + count):
        store[key] = b"x" * 200


def test_without_a_listener_there_is_no_thread() -> None:
    """A store that no plugin listens to starts nothing and writes nothing down."""
    with on_device() as store:
        assert not store.listening
        assert listeners() == []
        fill(store)
        figures = store.stats()
        assert figures.pages_evicted > 0
        assert (figures.events_waiting, figures.events_lost) == (0, 0)


def test_a_plugin_that_implements_other_hooks_is_no_listener() -> None:
    """Only who implements `pyfaster_event` makes a store listen."""

    class Other:
        @pyfaster.hookimpl
        def pyfaster_store_opened(self, store: object) -> None:
            """Do nothing."""

    pyfaster.register(Other(), name="other")
    try:
        with pyfaster.open() as store:
            assert not store.listening
    finally:
        pyfaster.unregister("other")


def test_one_thread_tells_all_that_happens() -> None:
    """Events of one store come from one thread, which ends with the store."""
    with EventRecorder() as told:
        with on_device() as store:
            assert store.listening
            (thread,) = listeners()
            assert thread.daemon
            fill(store)
        assert listeners() == []
    assert [store.listening] == [False]
    assert set(told.threads) == {THREAD}
    assert {one.store for one in told.events} == {store.name}
    assert len(told.of(PageTurned)) > 10


def test_each_store_has_its_own() -> None:
    """What happens in one store is not told as another's."""
    grown = threading.Event()

    def react(event: object) -> None:
        if isinstance(event, IndexGrown) and event.store == first.name:
            grown.set()

    with EventRecorder(react) as told:
        with pyfaster.open(key=int, value=int) as first, on_device() as second:
            assert len(listeners()) == 2
            first.grow_index()
            fill(second)
            assert grown.wait(LONG_S)
            assert first.name != second.name
    assert {one.store for one in told.of(PageTurned)} == {second.name}


def test_close_delivers_what_is_left() -> None:
    """When close() returns, everything that has happened was told."""
    for _ in range(20):
        with EventRecorder() as told:
            with on_device(event_capacity=65536) as store:
                fill(store, 500)
                figures = store.stats()
            turned = len(told.of(PageTurned))
            assert turned == figures.address_tail // PAGE
            assert told.of(EventsLost) == []


def test_listen_starts_the_thread_later() -> None:
    """A plugin that comes later hears what happens from `listen()` on."""
    with on_device() as store:
        fill(store, 500)
        with EventRecorder() as told:
            before = store.listening
            store.listen()
            store.listen()
            assert (before, store.listening) == (False, True)
            assert len(listeners()) == 1
            fill(store, 500)
            first = told.wait_for(PageTurned)[0]
            assert first.page > 1
    with pytest.raises(ClosedError):
        store.listen()


def test_what_is_lost_is_counted_and_told_in_its_place() -> None:
    """While a plugin is slow events are lost; the gap is told where it is."""
    go_on, reached = threading.Event(), threading.Event()

    def wait(event: object) -> None:
        reached.set()
        assert go_on.wait(LONG_S)

    with EventRecorder(wait) as told:
        with on_device(event_capacity=16) as store:
            store[0] = b"x" * 15_000
            store[1] = b"x" * 15_000
            assert reached.wait(LONG_S)
            fill(store)
            figures = store.stats()
            assert figures.events_lost > 0
            assert figures.events_waiting == 16
            go_on.set()
            told.wait_for(EventsLost)
            fill(store)
        lost = told.of(EventsLost)
        assert all(one.count > 0 for one in lost)
        assert sum(one.count for one in lost) >= figures.events_lost
        pages = [one.page for one in told.of(PageTurned)]
        assert pages == sorted(set(pages))
        gaps = [b for a, b in pairwise(pages) if b != a + 1]
        at = told.events.index(lost[0])
        before = [one.page for one in told.events[:at] if isinstance(one, PageTurned)]
        assert gaps
        assert before == pages[: len(before)]
        assert before[-1] < gaps[0]


def test_a_plugin_that_raises_is_a_warning_and_others_go_on() -> None:
    """The thread survives, others are told, and the store keeps the exception."""

    def refuse(event: object) -> None:
        raise RuntimeError("on purpose")

    with EventRecorder(refuse) as refusing, EventRecorder() as told:
        with on_device() as store:
            with warnings.catch_warnings(record=True):
                warnings.simplefilter("always")
                fill(store, 300)
                told.wait_for(PagesFlushed, 0)
                told.wait_for(PageTurned, 2)
                refusing.wait_for(PageTurned, 2)
            assert store.listening
            with warnings.catch_warnings():
                warnings.simplefilter("error", PluginWarning)
                fill(store, 300)
                told.wait_for(PageTurned, store.stats().address_tail // PAGE)
            assert store.listening
            names = {type(error) for _, error in store.plugin_errors}
            warnings.simplefilter("ignore", PluginWarning)
        warnings.simplefilter("default", PluginWarning)
        assert names == {RuntimeError}


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_no_plugin_ends_the_thread_that_serves_all(kind: type[BaseException]) -> None:
    """What is no Exception is kept like one; others are told, and the next events."""

    def refuse(event: object) -> None:
        raise kind("on purpose")

    with EventRecorder(refuse) as refusing, EventRecorder() as told:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PluginWarning)
            with on_device() as store:
                fill(store, 300)
                told.wait_for(PageTurned, 2)
                refusing.wait_for(PageTurned, 2)
                assert store.listening
        assert {type(error) for _, error in store.plugin_errors} == {kind}


def test_a_store_that_is_dropped_is_collected() -> None:
    """The thread keeps no store alive, and ends with it."""
    with EventRecorder():
        store = on_device()
        fill(store, 100)
        (thread,) = listeners()
        ghost = weakref.ref(store)
        with pytest.warns(ResourceWarning):
            del store
            while ghost() is not None:  # the thread may be telling of it
                gc.collect()
            thread.join(LONG_S)  # it may be the one that drops it, and warns
        assert not thread.is_alive()


def run_inside(work: Callable[[Any], object]) -> tuple[EventRecorder, list[object]]:
    """Do something with a store from the thread that tells of it; give what it gave."""
    results: list[object] = []
    done = threading.Event()
    here: list[Any] = []

    def react(event: object) -> None:
        if isinstance(event, IndexGrowing) and not results:
            try:
                results.append(work(here[0]))
            except Exception as error:  # noqa: BLE001 - the test looks at it
                results.append(error)
            done.set()

    with EventRecorder(react) as told, pyfaster.open(key=int, value=int) as store:
        here.append(store)
        store.grow_index()
        assert done.wait(LONG_S)
    return told, results


def test_a_handler_may_take_figures() -> None:
    """stats() from inside a handler waits for nobody."""
    _, (figures,) = run_inside(lambda store: store.stats())
    assert isinstance(figures, pyfaster.StoreStats)


def test_figures_that_come_while_others_are_told_are_told_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Figures that are handed over while the thread looks at others do not wait."""
    usual, handed = Ears.next, threading.Event()

    def hand_over(ears: Ears, timeout_ms: int) -> Any:
        if timeout_ms == 0 and not handed.is_set():  # it has taken the first ones
            handed.set()
            figures, _, taken = store._figures()  # type: ignore[misc]
            stop = -errno.EIO, 64, 128
            store._listener.hand((figures, stop, taken))  # type: ignore[union-attr]
        return usual(ears, timeout_ms)

    monkeypatch.setattr(Ears, "next", hand_over)
    with EventRecorder() as told, pyfaster.open(key=int, value=int) as store:
        store.stats()
        assert handed.wait(LONG_S)
        (stopped,) = told.wait_for(WritesStopped, timeout=LONG_S / 2)
    assert (stopped.start, stopped.end) == (64, 128)


def test_a_handler_may_close_the_store() -> None:
    """close() from inside a handler closes, and waits for no thread."""
    told, results = run_inside(lambda store: store.close())
    assert results == [None]
    for thread in listeners():
        thread.join(LONG_S)
    assert listeners() == []
    assert told.threads[0] == THREAD


def test_two_may_close_at_once() -> None:
    """A handler that closes while another thread does waits for nobody in turn."""
    inside, go_on = threading.Event(), threading.Event()
    here: list[Any] = []

    def react(event: object) -> None:
        if isinstance(event, IndexGrowing):
            inside.set()
            assert go_on.wait(LONG_S)
            here[0].close()

    with EventRecorder(react):
        store = pyfaster.open(key=int, value=int)
        here.append(store)
        store.grow_index()
        assert inside.wait(LONG_S)
        other = threading.Thread(target=store.close)
        other.start()
        go_on.set()
        store.close()
        other.join(LONG_S)
        assert not other.is_alive()
        assert listeners() == []


def test_a_handler_may_take_a_checkpoint(place: Any) -> None:
    """checkpoint() from inside a handler is told from there, too."""
    results: list[object] = []
    done = threading.Event()
    here: list[Any] = []

    def react(event: object) -> None:
        if isinstance(event, IndexGrowing):
            results.append(here[0].checkpoint("snapshot").kind)
            done.set()

    with EventRecorder(react) as told:
        with place.open(checkpoint_on_close=False) as store:
            here.append(store)
            store[1] = 1
            store.grow_index()
            assert done.wait(LONG_S)
        (taken,) = told.of(CheckpointTaken)
    assert results == ["snapshot"]
    assert told.threads[told.events.index(taken)] == THREAD


def test_a_plugin_that_never_returns_does_not_hold_up_close_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """close() says that it left a plugin behind; the thread ends when that returns."""
    monkeypatch.setattr("pyfaster._watching.GRACE_S", 0.0)
    inside, go_on = threading.Event(), threading.Event()

    def stay(event: object) -> None:
        inside.set()
        assert go_on.wait(LONG_S)

    with EventRecorder(stay):
        store = pyfaster.open(key=int, value=int)
        store.grow_index()
        assert inside.wait(LONG_S)
        with pytest.warns(PluginWarning, match="still being told"):
            store.close(1)
        assert store.closed
        (thread,) = listeners()
        go_on.set()
        thread.join(LONG_S)
        assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_child_has_no_thread_and_is_refused() -> None:
    """After fork() nothing listens in the child, and nothing hangs there."""

    def look(store: Any) -> str:
        found = [str(store.listening), str(len(listeners()))]
        for call in (store.listen, store.stats, store.close):
            try:
                call()
            except pyfaster.ForkedError:
                found.append("forked")
        del store
        gc.collect()
        return " ".join(found)

    with EventRecorder() as told:
        store = on_device()
        fill(store, 300)
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # The interpreter warns of forking with threads, which is what is tested.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            os.write(writer, look(store).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            assert pipe.read() == b"False 0 forked forked forked"
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert store.listening
        fill(store, 300)
        store.close()
    assert len(told.of(PageTurned)) > 0
    assert told.of(PagesEvicted) == sorted(told.of(PagesEvicted), key=lambda e: e.start)


def test_a_flood_of_events_hides_nothing() -> None:
    """What only figures show is told, though events come faster than they are told."""

    class Flood:
        told = 0
        saturated_at = 0

        @pyfaster.hookimpl
        def pyfaster_event(self, event: object) -> None:
            self.told += 1
            if isinstance(event, IndexSaturated):
                self.saturated_at = self.told
                seen.set()
            elif not self.saturated_at and self.told < 50_000:
                for key in range(2):  # two more for each that is told
                    store.upsert(key, 0)

    seen = threading.Event()
    plugin = Flood()
    pyfaster.register(plugin, name="flood")
    try:
        settings: dict[str, Any] = {"memory": "2MiB", "index_fraction": 0.02}
        settings |= {"sample_every": 1, "event_capacity": 1024}
        with pyfaster.open(key=int, value=int, **settings) as store:
            for key in range(1_000):
                store.upsert(key % 2, 0)
            store.upsert_many(range(8_000), range(8_000))
            assert seen.wait(LONG_S)
    finally:
        pyfaster.unregister("flood")
    assert 0 < plugin.saturated_at < 50_000
