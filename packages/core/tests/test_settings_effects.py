# SPDX-License-Identifier: MIT
"""
What a setting does, said in a file: each test looks at what changes, not at the value.

`integration-tests/test_settings.py` has the list of all settings and their tests.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pyfaster
from pyfaster.errors import (
    CheckpointFailedError,
    ConfigError,
    DeadlineError,
    ReadOnlyError,
    StoreFullError,
    TooManySessionsError,
    ValueTooLargeError,
)
from pyfaster.testing import MemoryDevice

File = Callable[[str], Path]


@pytest.fixture
def file(tmp_path: Path) -> File:
    """Writes a configuration file."""

    def write(text: str) -> Path:
        path = tmp_path / "pyfaster.toml"
        path.write_text(text)
        return path

    return write


def opened(config: Path, **more: Any) -> pyfaster.FasterKv[int, int]:
    """A store of integers with a file's settings."""
    given: dict[str, Any] = {"key": int, "value": int, **more}
    return pyfaster.open(config=config, **given)


def fill(store: pyfaster.FasterKv[int, int], most: int = 1 << 20) -> int:
    """Put keys until the store is full; give how many it took."""
    for key in range(most):
        try:
            store.upsert(key, key)
        except StoreFullError:
            return key
    return most


def test_memory_bounds_what_a_store_takes(file: File) -> None:
    """Beyond the budget a store in memory is full; with twice as much it takes more."""
    counts = []
    for size in ("256KiB", "512KiB"):
        with opened(file(f'[store]\nmemory = "{size}"\n')) as store:
            counts.append(fill(store))
            figures = store.stats()
            assert figures.memory_used <= figures.memory_limit
    assert counts[1] > counts[0] * 3 // 2


def test_index_fraction_bounds_the_index(file: File) -> None:
    """A small share stops the index where a large one lets it grow."""
    figures = []
    for share in (0.02, 0.5):
        text = f'[store]\nmemory = "2MiB"\nindex_fraction = {share}\n'
        with opened(file(text)) as store:
            store.upsert_many(range(9000), 0)
            figures.append(store.stats())
    small, large = figures
    assert small.index_saturated
    assert not large.index_saturated
    assert (small.index_growths, small.index_growing) == (0, False)
    assert large.index_growths or large.index_growing


def test_expected_keys_save_growing(file: File) -> None:
    """An index for so many keys holds them as it is; another one has to grow."""
    growths = []
    for keys in (0, 50_000):
        with opened(file(f"[store]\nexpected_keys = {keys}\n")) as store:
            store.upsert_many(range(50_000), 0)
            figures = store.stats()
            growths.append(figures.index_growths + figures.index_growing)
    assert growths[0] > growths[1] == 0


def test_the_hash_has_to_be_known(file: File) -> None:
    """A name that nobody has is refused; the core's own opens a store."""
    with opened(file('[store]\nhash = "xxh3"\n')) as store:
        store[1] = 2
    with pytest.raises((ConfigError, pyfaster.PluginMissingError), match="hash='none'"):
        opened(file('[store]\nhash = "none"\n'))


def test_close_timeout_is_how_long_is_waited(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits without a timeout of its own waits so long."""
    from pyfaster import _cabi

    waited = []

    def flush(kv: object, timeout_ms: int) -> int:
        waited.append(timeout_ms)
        return 0

    monkeypatch.setattr(_cabi, "kv_flush", flush)
    with opened(file("[store]\nclose_timeout = 7.5\n")) as store:
        store.flush()
    assert waited == [7500]


def test_durable_says_whether_checkpoints_are_kept(place: Any, file: File) -> None:
    """With durable=false there is nowhere to keep one, and none is asked for."""
    with pytest.raises(ConfigError, match="durable=False contradict"):
        place.open(config=file("[store]\ndurable = false\n"))
    with place.open(config=file("[store]\ndurable = true\n")) as store:
        assert store.checkpoint().token


def test_read_only_only_looks(place: Any, file: File) -> None:
    """A file can make a store one that is only looked at."""
    with place.open() as store:
        store[1] = 2
    with place.open(config=file("[store]\nread_only = true\n")) as store:
        assert store[1] == 2
        with pytest.raises(ReadOnlyError):
            store[1] = 3


def test_page_size_bounds_a_record(file: File) -> None:
    """What does not fit a page is refused; the log grows page by page."""
    for size, fits in (("4KiB", False), ("64KiB", True)):
        with pyfaster.open(config=file(f'[log]\npage_size = "{size}"\n')) as store:
            if fits:
                store[b"k"] = b"v" * 5000
                assert store.stats().log_bytes % (64 << 10) == 0
            else:
                with pytest.raises(ValueTooLargeError):
                    store[b"k"] = b"v" * 5000


def test_mutable_fraction_says_how_much_changes_in_place(file: File) -> None:
    """With a small share more of the log is read-only after the same updates."""
    behind = []
    for share in (0.1, 0.9):
        text = f'[log]\nmutable_fraction = {share}\n[store]\nmemory = "256KiB"\n'
        with opened(file(text), device=MemoryDevice(), page_size="4KiB") as store:
            store.upsert_many(range(5000), 0)
            figures = store.stats()
            behind.append(figures.address_tail - figures.address_read_only)
    assert behind[0] < behind[1]


def test_read_cache_answers_what_was_read_before(file: File) -> None:
    """With a cache the second read of a record is no read from the device."""
    reads = []
    for size in ("0", "128KiB"):
        text = f'[log]\nread_cache = "{size}"\n[store]\nmemory = "1MiB"\n'
        with opened(file(text), device=MemoryDevice()) as store:
            store.upsert_many(range(100), 7)
            store.evict()
            for _ in range(2):
                assert store[5] == 7
            figures = store.stats()
            reads.append((figures.device_reads, figures.cache_hits))
    assert reads == [(2, 0), (1, 1)]


def test_recover_chooses_a_checkpoint(place: Any, file: File) -> None:
    """The token of an older one brings that back; "none" refuses where some are."""
    with place.open(keep_checkpoints=9) as store:
        store[1] = 1
        older = store.checkpoint().token
        store[1] = 2
    with pytest.raises(ConfigError, match="recover"):
        place.open(config=file("[checkpoint]\nrecover = 'none'\n"))
    with place.open(config=file(f"[checkpoint]\nrecover = '{older}'\n")) as store:
        assert store[1] == 1


def test_mount_chooses_what_is_looked_at(place: Any, file: File) -> None:
    """The token of one of several is what a store that only looks shows."""
    with place.open(keep_checkpoints=9) as store:
        store[1] = 1
        older = store.checkpoint().token
        store[1] = 2
    text = f"[store]\nread_only = true\n[checkpoint]\nmount = '{older}'\n"
    with place.open(config=file(text)) as store:
        assert store[1] == 1


def test_on_close_says_whether_a_last_one_is_taken(place: Any, file: File) -> None:
    """Without it what came since the last checkpoint is gone."""
    found: list[int] = []
    for word in ("true", "false"):
        with place.open(config=file(f"[checkpoint]\non_close = {word}\n")) as store:
            store[1] = len(found) + 1
        with place.open(checkpoint_on_close=False) as store:
            found.append(store[1])
    assert found == [1, 1]


def test_timeout_gives_a_checkpoint_up(place: Any, file: File) -> None:
    """With no time at all none can be taken; a call may say more."""
    text = "[checkpoint]\ntimeout = 0\non_close = false\n"
    with place.open(config=file(text)) as store:
        store[1] = 1
        with pytest.raises((DeadlineError, CheckpointFailedError)):
            store.checkpoint()
        assert store.checkpoint(timeout=60).token


@pytest.mark.parametrize(("text", "left"), [("keep = 1", 1), ("keep = 3", 3)])
def test_keep_says_how_many_stay(place: Any, file: File, text: str, left: int) -> None:
    """Older ones go when a new one is complete."""
    config = file(f"[checkpoint]\n{text}\non_close = false\n")
    with place.open(config=config) as store:
        for key in range(5):
            store[key] = key
            store.checkpoint("fold-over")
        assert len(store.checkpoints()) == left


def test_keep_for_keeps_what_is_young(place: Any, file: File) -> None:
    """Within its time none goes, however many there are."""
    text = "[checkpoint]\nkeep = 1\nkeep_for = 3600\non_close = false\n"
    with place.open(config=file(text)) as store:
        for key in range(5):
            store[key] = key
            store.checkpoint("fold-over")
        assert len(store.checkpoints()) == 5


def test_sessions_max_bounds_sessions(file: File) -> None:
    """One more than so many is refused."""
    with opened(file("[sessions]\nmax = 2\n")) as store:
        with store.session(), store.session():
            with pytest.raises(TooManySessionsError):
                store.session()


def test_sample_every_says_what_is_timed(file: File) -> None:
    """1 times every operation, 0 none, 8 one in eight."""
    timed = []
    for every in (0, 1, 8):
        with opened(file(f"[observability]\nsample_every = {every}\n")) as store:
            with store.session() as session:
                for key in range(800):
                    session.upsert(key, key)
            timed.append(store.stats().latencies["upsert"].samples)
    assert timed == [0, 800, 100]
