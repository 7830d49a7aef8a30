# SPDX-License-Identifier: MIT
"""Calls that another thread makes, and what becomes of them where none can be begun."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import deque
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from disk_kit import opened
from memory_files import MemoryFiles

import pyfaster
from pyfaster_checkpoint import _recover
from pyfaster_checkpoint._ahead import Ahead, First
from pyfaster_checkpoint._aside import Aside, begun
from pyfaster_checkpoint._pump import _LARGE, Pump
from pyfaster_checkpoint._recover import Recovery


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """None can be begun but a device's, as when the interpreter ends; their names."""
    refused: list[str] = []
    begin = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("pyfaster-device"):
            begin(thread)
            return
        refused.append(thread.name)
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", start)
    return refused


def alive(name: str) -> int:
    """How many threads of a name there are; others may come and go."""
    return [thread.name for thread in threading.enumerate()].count(name)


def test_calls_are_made_in_order_by_one_other_thread() -> None:
    """Each after the one before; their results and errors are those of the futures."""
    made: list[int] = []
    name = "test-calls-in-order"

    def call(number: int) -> int:
        made.append(threading.get_ident())
        return 10 // number

    with Aside(name) as other:
        assert alive(name) == 0  # nothing was asked for yet
        coming = [other.ask(call, number) for number in (5, 0, 2)]
        assert [coming[0].result(60), coming[2].result(60)] == [2, 5]
        with pytest.raises(ZeroDivisionError):
            coming[1].result(60)
        assert alive(name) == 1
    assert len(set(made)) == 1
    assert made[0] != threading.get_ident()
    assert alive(name) == 0
    other.close()


def test_leaving_waits_for_what_was_asked_for() -> None:
    """Nothing runs on behind it, also when an error leaves."""
    go_on, done = threading.Event(), []

    def call() -> None:
        assert go_on.wait(60)
        done.append(1)

    with pytest.raises(KeyError), Aside("test") as other:
        other.ask(call)
        other.ask(call)
        go_on.set()
        raise KeyError
    assert done == [1, 1]


def test_what_a_call_held_is_free_afterwards() -> None:
    """Its arguments are, while the thread waits for the next; a failed future, too."""

    class Thing:
        """Something that can be watched."""

    def fail(thing: Thing) -> None:
        raise ValueError

    with Aside("test") as other:
        thing = Thing()
        watch = weakref.ref(thing)
        future = other.ask(id, thing)
        future.result(60)
        other.ask(int).result(60)  # the thread is behind the call
        del thing, future
        assert watch() is None
    gc.disable()
    try:
        with Aside("test") as other:
            failed: Future[None] = other.ask(fail, Thing())
        assert isinstance(failed.exception(), ValueError)
        gone = weakref.ref(failed)
        del failed
        assert gone() is None
    finally:
        gc.enable()


def test_where_no_thread_can_be_begun_the_caller_does_it(no_threads: list[str]) -> None:
    """With the same results, errors and order."""
    with Aside("test") as other:
        assert other.ask(threading.get_ident).result(0) == threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            other.ask(lambda: 1 // 0).result(0)
        with Ahead(iter("abc"), threaded=True) as ahead:
            assert list(ahead) == ["a", "b", "c"]
        made: list[int] = []
        with First(lambda: made.append(1), threaded=True) as first:
            first.wait()
        assert made == [1]
    assert begun("test", int) is None
    assert "pyfaster-read-ahead" in no_threads


class Sink:
    """A file that is written; can fail."""

    def __init__(self, fails: bool = False) -> None:
        self.data = bytearray()
        self.fails = fails

    def write(self, data: Any, /) -> None:
        """Keep it."""
        if self.fails:
            raise OSError(28, "no room")
        self.data += data

    def sync(self) -> None:
        """Nothing."""

    close = abandon = sync


def test_a_stream_is_written_without_a_thread(no_threads: list[str]) -> None:
    """Large pieces, too; an error is raised where the next one comes, as ever."""
    sink = Sink()
    with Pump(sink) as pump:
        for size in (_LARGE, 3, _LARGE + 1):
            pump.put(memoryview(bytes(size)))
        pump.hash()
    assert len(sink.data) == pump.size == 2 * _LARGE + 4
    with Pump(Sink(fails=True)) as pump:
        pump.put(memoryview(bytes(_LARGE)))
        with pytest.raises(OSError, match="no room"):
            pump.wait()
    assert set(no_threads) == {"pyfaster-checkpoint-write"}


def test_a_store_is_kept_and_recovered_without_a_thread(no_threads: list[str]) -> None:
    """Large pieces, the log in ranges, and older checkpoints go."""
    data, files, count = bytearray(), MemoryFiles(), 60_000
    settings = {"memory": "8MiB", "keep_checkpoints": 1}
    with opened(data, files, **settings) as store:
        store._durability.keeper._behind = True
        for kind in ("fold-over", "snapshot"):
            store.upsert_many(range(count), range(count))
            store.checkpoint(kind)
        [left] = store.checkpoints()
    del files.places[left.token]["index.dat"]
    with opened(data, files, **settings) as store:
        assert store.get(7) == 7
        assert len(store) == count
    begun_in_vain = {"checkpoint-write", "checkpoint-remove", "recovery"}
    assert set(no_threads) == {f"pyfaster-{each}" for each in begun_in_vain}


class Engine:
    """
    As much of one as links the log; remembers what it was asked for.

    Who gets a range behind the bad one keeps it until `noticed` is set.
    """

    page_size = 4096

    def __init__(self, bad: int = -1) -> None:
        self.bad = bad
        self.made: list[tuple[int, int]] = []
        self.noticed = threading.Event()

    def log(self, start: int, end: int) -> None:
        """Link a range, unless it is the bad one."""
        self.made.append((start, end))
        if start == self.bad:
            raise pyfaster.CorruptionError("found")
        if 0 <= self.bad < start:
            assert self.noticed.wait(60)


RANGES, RANGE = 60, 16 << 20
UNTIL = RANGES * RANGE - 5


def feed(engine: Engine, threads: int, progress: Any = None) -> None:
    """Hand a log of many ranges out."""
    log = SimpleNamespace(begin=0, log_until=UNTIL)
    manifest: Any = SimpleNamespace(token="t", addresses=log)
    like: Any = engine
    recovery = Recovery(MemoryFiles(), manifest, like, threads, progress)
    recovery._feed_log(manifest, None)


@pytest.mark.parametrize("threads", [1, 2, 3, 99])
def test_the_log_is_handed_out_once(threads: int) -> None:
    """Every range to somebody, and the progress ends with all of them."""
    told: list[int] = []
    engine = Engine()
    feed(engine, threads, lambda progress: told.append(progress.done))
    assert sorted(engine.made) == [
        (n * RANGE, min((n + 1) * RANGE, UNTIL)) for n in range(RANGES)
    ]
    assert told == sorted(told)
    assert (len(told), told[-1]) == (RANGES, UNTIL)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_first_error_ends_the_others(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is raised when nobody works any more, and nothing more is begun then."""
    engine = Engine(bad=2 * RANGE)

    class Ranges(deque[tuple[int, int]]):
        """What is left to do; says so when it is given up."""

        def clear(self) -> None:
            """Give it up."""
            super().clear()
            engine.noticed.set()

    monkeypatch.setattr(_recover, "deque", Ranges)
    with pytest.raises(pyfaster.CorruptCheckpointError, match="the log: found"):
        feed(engine, threads)
    assert engine.noticed.is_set()
    assert alive("pyfaster-recovery") == 0
    # Those up to the bad one, and what each of the threads had when it was noticed.
    assert 3 <= len(engine.made) <= 3 + threads

    def tell(progress: Any) -> None:
        raise KeyError("of the user")

    engine = Engine()
    with pytest.raises(KeyError):
        feed(engine, threads, tell)
    assert alive("pyfaster-recovery") == 0
    assert 1 <= len(engine.made) <= 2 * threads  # each was asked for two
