# SPDX-License-Identifier: MIT
"""What changes while a store is open, and what says why it does not."""

from __future__ import annotations

import threading
from itertools import count
from typing import Any

import pytest

import pyfaster
from pyfaster._reconfigure import FIXED, LIVE
from pyfaster.errors import (
    CheckpointFailedError,
    ClosedError,
    ConfigError,
    DeadlineError,
    ReadOnlyError,
    StoreFullError,
    TooManySessionsError,
)
from pyfaster.testing import MemoryDevice

LONG_S = 60.0


def fill(store: pyfaster.FasterKv[int, int], start: int = 0) -> int:
    """Put keys until the store is full; give the first that it did not take."""
    for key in count(start):
        try:
            store.upsert(key, key)
        except StoreFullError:
            return key
    raise AssertionError


def test_every_setting_may_change_or_says_why_not() -> None:
    """Each setting is in one of the two lists."""
    assert sorted([*LIVE, *FIXED]) == sorted(pyfaster.StoreConfig.model_fields)


@pytest.mark.parametrize("name", FIXED)
def test_what_cannot_change_says_why_and_the_way_out(name: str) -> None:
    """The error names the setting and its reason; nothing has changed."""
    value = getattr(pyfaster.StoreConfig(), name)
    with pyfaster.open() as store:
        before = store.config
        with pytest.raises(ConfigError) as caught:
            store.reconfigure(**{"close_timeout": 3, name: value})
        assert f"keyword {name}: it cannot change" in str(caught.value)
        assert FIXED[name] in str(caught.value)
        assert store.config is before


def test_memory_goes_up_and_down() -> None:
    """A full store that gets more goes on; one that gets less refuses what is new."""
    with pyfaster.open(key=int, value=int, memory="256KiB") as store:
        first = fill(store)
        assert store.reconfigure(memory="512KiB").memory == 512 << 10
        assert store.stats().memory_limit == 512 << 10
        second = fill(store, first)
        assert second > first * 3 // 2
        store.reconfigure(memory="256KiB")
        with pytest.raises(StoreFullError):
            store.upsert(second, 0)
        store.upsert(0, 1)  # changes in place go on
        store.reconfigure(memory=None)
        store.upsert(second, second)
        assert store.stats().memory_limit == 0
        assert all(store[key] == key for key in range(1, second, 97))


def test_memory_has_a_largest_value() -> None:
    """Beyond the addresses that the log has the error says how many there are."""
    with pyfaster.open(key=int, value=int, memory="256KiB") as store:
        with pytest.raises(ConfigError, match="addresses for 1,048,576 bytes"):
            store.reconfigure(memory="2MiB")
        store.reconfigure(memory="1MiB")
        assert fill(store) > 10_000


def test_memory_on_a_device_stays() -> None:
    """There the log has its place; the error says what to do."""
    with pyfaster.open(device=MemoryDevice(), memory="1MiB") as store:
        with pytest.raises(ConfigError, match=r"on a device.*close the store"):
            store.reconfigure(memory="2MiB")


def test_settings_are_checked_together_with_the_others() -> None:
    """What contradicts settings that stay is refused, and nothing changes."""
    with pyfaster.open(memory="64MiB", page_size="4MiB") as store:
        for wrong in ({"memory": "1MiB"}, {"memory": "x"}, {"sessions_max": 0}):
            with pytest.raises(ConfigError, match=next(iter(wrong))):
                store.reconfigure(**wrong)
        with pytest.raises(ConfigError, match="did you mean 'memory'"):
            store.reconfigure(memry=1)  # type: ignore[call-arg]  # what is tested
        assert store.config == pyfaster.StoreConfig(memory="64MiB", page_size="4MiB")


def test_sessions_max_goes_up_and_down() -> None:
    """More sessions may be opened, those that are open stay."""
    with pyfaster.open(key=int, value=int, sessions_max=1) as store:
        with store.session() as one:
            with pytest.raises(TooManySessionsError):
                store.session()
            store.reconfigure(sessions_max=2)
            with store.session() as two:
                store.reconfigure(sessions_max=1)
                two.upsert(1, 2)
                assert one.read(1) == 2
            with pytest.raises(TooManySessionsError, match=r"there are 1\)"):
                store.session()


def test_close_timeout_holds_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits without a timeout of its own waits by the new one."""
    from pyfaster import _cabi

    waited = []

    def flush(kv: object, timeout_ms: int) -> int:
        waited.append(timeout_ms)
        return 0

    monkeypatch.setattr(_cabi, "kv_flush", flush)
    with pyfaster.open() as store:
        store.reconfigure(close_timeout=2)
        store.flush()
    assert waited == [2000]


def test_mutable_fraction_moves_the_regions() -> None:
    """A smaller share makes more of the log read-only, with no further update."""
    given: dict[str, Any] = {"memory": "256KiB", "page_size": "4KiB"}
    with pyfaster.open(key=int, value=int, device=MemoryDevice(), **given) as store:
        store.upsert_many(range(4000), 0)
        before = store.stats()
        wide = before.address_tail - before.address_read_only
        store.reconfigure(mutable_fraction=0.01)
        store.flush()
        store.upsert_many(range(4000), 0)
        after = store.stats()
        assert after.address_tail - after.address_read_only < wide // 2


def test_sample_every_holds_at_once() -> None:
    """From then on operations are timed, or no more."""
    with pyfaster.open(key=int, value=int, sample_every=0) as store:
        with store.session() as session:
            session.upsert(0, 0)
            store.reconfigure(sample_every=1)
            for key in range(64):
                session.upsert(key, key)
            timed = store.stats().latencies["upsert"].samples
            assert 0 < timed <= 64
            store.reconfigure(sample_every=0)
            for key in range(64):
                session.upsert(key, key)
            assert store.stats().latencies["upsert"].samples - timed <= 1


# --- checkpoints --------------------------------------------------------------------


def test_checkpoints_begin_and_end_in_the_background(place: Any) -> None:
    """An interval starts the thread at once, None ends it, another one replaces it."""
    taken = threading.Event()

    class Watching:
        @pyfaster.hookimpl
        def pyfaster_event(self, event: object) -> None:
            if type(event).__name__ == "CheckpointTaken":
                taken.set()

    pyfaster.register(Watching(), name="watching")
    try:
        with place.open(checkpoint_on_close=False) as store:
            assert running() == 0
            store[1] = 1
            store.reconfigure(checkpoint_every=0.001)
            assert taken.wait(LONG_S)
            store.reconfigure(checkpoint_every=3600)
            ended()
            assert running() == 1
            store.reconfigure(checkpoint_every=None)
            ended(0)
            assert store.config.checkpoint_every is None
    finally:
        pyfaster.unregister("watching")


def running() -> int:
    """How many threads take checkpoints from time to time."""
    return len(repeaters())


def repeaters() -> list[threading.Thread]:
    """Those threads."""
    return [one for one in threading.enumerate() if one.name == "pyfaster-checkpoints"]


def ended(left: int = 1) -> None:
    """Wait until all but the newest have come to their end."""
    threads = repeaters()
    for thread in threads[: len(threads) - left]:
        thread.join(LONG_S)


def test_what_is_kept_of_checkpoints_follows(place: Any) -> None:
    """The next checkpoint goes by the new number, and by the new time."""
    with place.open(keep_checkpoints=5, checkpoint_on_close=False) as store:

        def left_after_one_more() -> int:
            store[1] = len(store)
            store.checkpoint("fold-over")
            return len(store.checkpoints())

        assert [left_after_one_more() for _ in range(4)] == [1, 2, 3, 4]
        store.reconfigure(keep_checkpoints=2)
        assert left_after_one_more() == 2
        store.reconfigure(keep_for=3600)
        assert [left_after_one_more() for _ in range(3)] == [3, 4, 5]
        store.reconfigure(keep_for=None)
        assert left_after_one_more() == 2


def test_the_timeout_of_checkpoints_follows(place: Any) -> None:
    """With no time none is taken; the last one on close goes by it, too."""
    store = place.open()
    store[1] = 1
    store.reconfigure(checkpoint_timeout=0)
    for take in (store.checkpoint, store.close):
        with pytest.raises((DeadlineError, CheckpointFailedError)):
            take()
    store.reconfigure(checkpoint_timeout=60)
    store.close()
    with place.open() as again:
        assert again[1] == 1


@pytest.mark.parametrize("wanted", [True, False])
def test_the_last_checkpoint_follows(place: Any, wanted: bool) -> None:
    """Whether close takes one is what was said last."""
    with place.open(checkpoint_on_close=not wanted) as store:
        store[1] = 1
        store.reconfigure(checkpoint_on_close=wanted)
    with place.open() as again:
        assert (1 in again) is wanted


def test_without_checkpoints_their_settings_are_refused() -> None:
    """A store that takes none says so."""
    with pyfaster.open() as store:
        with pytest.raises(ConfigError, match="takes no checkpoints"):
            store.reconfigure(checkpoint_every=5)


# --- who may not --------------------------------------------------------------------


def test_a_closed_store_and_one_that_only_looks_refuse(place: Any) -> None:
    """Each with its own error."""
    with place.open() as store:
        store[1] = 1
    with pytest.raises(ClosedError):
        store.reconfigure(close_timeout=1)
    with place.open(read_only=True) as mount:
        with pytest.raises(ReadOnlyError):
            mount.reconfigure(close_timeout=1)


def test_many_threads_may_reconfigure_while_others_work() -> None:
    """Operations go on, and what holds in the end is what somebody said."""
    with pyfaster.open(key=int, value=int, memory="4MiB") as store:
        go = threading.Barrier(3)

        def work() -> None:
            go.wait(LONG_S)
            for key in range(2000):
                store.upsert(key, key)

        def change(sizes: tuple[str, str]) -> None:
            go.wait(LONG_S)
            for number in range(100):
                store.reconfigure(
                    memory=sizes[number % 2], sample_every=2 ** (number % 4)
                )

        threads = [
            threading.Thread(target=work),
            threading.Thread(target=change, args=(("4MiB", "8MiB"),)),
            threading.Thread(target=change, args=(("8MiB", "4MiB"),)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG_S)
        assert store.config.memory == store.stats().memory_limit
        assert all(store[key] == key for key in range(2000))
