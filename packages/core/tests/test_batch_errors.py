# SPDX-License-Identifier: MIT
"""
What a failed batch says: which item it was, and what was done before.
"""

from __future__ import annotations

import array
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import pyfaster
from pyfaster import KeyTooLargeError, StoreFullError, ValueTooLargeError
from pyfaster.errors import MergeOverflowError

PAGE = 4096
LONG = 200_000


@pytest.fixture
def store() -> Iterator[pyfaster.FasterKv[bytes, bytes]]:
    """A store of bytes with small pages."""
    with pyfaster.open(page_size=PAGE) as opened:
        yield opened


@pytest.mark.parametrize("count", [4, LONG])
@pytest.mark.parametrize("merge", [False, True])
def test_the_item_that_is_too_large_is_named(
    store: pyfaster.FasterKv[bytes, bytes], count: int, merge: bool
) -> None:
    """The message has the item's number and key, both sizes, and that nothing is done.

    A batch that crosses into the core in slices behaves as a short one.
    """
    keys = [b"ok%d" % n for n in range(count)]
    values = [b"v"] * count
    values[-2] = b"v" * 5000
    with pytest.raises(ValueTooLargeError) as caught:
        if merge:
            store.rmw_many(keys, values, merge="append")
        else:
            store.upsert_many(keys, values)
    text = str(caught.value)
    assert f"item {count - 2:,}: key {keys[-2]!r}:" in text
    assert "it has 5,000 bytes" in text
    assert "page of 4,096 bytes" in text
    assert text.endswith("nothing changed")
    assert caught.value.done == 0  # type: ignore[attr-defined]  # of batches only
    assert len(store) == 0


def test_the_limits_that_are_told_are_exact(
    store: pyfaster.FasterKv[bytes, bytes],
) -> None:
    """What a message allows is taken, and a byte more is refused."""
    for key in (b"", b"k", b"k" * 8, b"k" * 1001):
        with pytest.raises(ValueTooLargeError) as caught:
            store.upsert(key, b"v" * PAGE)
        words = str(caught.value).split("at most ")[1].split()[0]
        most = int(words.replace(",", ""))
        store.upsert(key, b"v" * most)
        with pytest.raises(ValueTooLargeError, match=f"at most {most:,} bytes"):
            store.upsert(key, b"v" * (most + 1))
        with pytest.raises(ValueTooLargeError, match="item 1"):
            store.upsert_many([b"a", key], [b"", b"v" * (most + 1)])
    with pytest.raises(KeyTooLargeError) as refused:
        store.upsert_many([b"a", b"k" * PAGE], [b"", b""])
    assert "item 1: key" in str(refused.value)
    assert "at most 4,008 bytes" in str(refused.value)
    store.upsert(b"k" * 4008, b"")
    with pytest.raises(KeyTooLargeError):
        store.upsert(b"k" * 4009, b"")


@pytest.mark.parametrize("arrays", [False, True])
def test_an_item_in_the_middle_is_named(arrays: bool) -> None:
    """With arrays too the number is there, and what was done before is not denied."""
    with pyfaster.open(key=int, value=int) as store:
        store[7] = 2**63 - 1
        keys: Any = array.array("q", [5, 6, 7, 8]) if arrays else [5, 6, 7, 8]
        with pytest.raises(MergeOverflowError) as caught:
            store.rmw_many(keys, 1, merge="add")
        text = str(caught.value)
        assert "item 2:" in text
        assert ("key 7" in text) is not arrays
        assert "nothing changed" not in text
        assert text.endswith("items 0 to 1 were done")
        with pytest.raises(MergeOverflowError, match=r"nothing changed$"):
            store.rmw_many(keys[2:], 1, merge="add")
        assert store.read_many([5, 6, 7, 8]) == [1, 1, 2**63 - 1, None]


def test_a_full_store_tells_how_far_it_came() -> None:
    """A batch that fills the memory says how many items are in the store."""
    with pyfaster.open(key=int, value=bytes, memory="1MiB", page_size=PAGE) as store:
        with pytest.raises(StoreFullError) as caught:
            store.upsert_many(list(range(5000)), b"v" * 1000)
        done = caught.value.done  # type: ignore[attr-defined]  # of batches only
        assert 0 < done == len(store)
        assert f"item {done:,}: key {done}:" in str(caught.value)
        assert str(caught.value).endswith(f"items 0 to {done - 1:,} were done")


def test_a_signal_ends_a_long_batch() -> None:
    """What a signal handler raises comes between two slices, and tells `done`."""
    code = """
import array, os, signal, pyfaster
class Enough(Exception): pass
def handler(number, frame): raise Enough
signal.signal(signal.SIGVTALRM, handler)
keys = array.array("q", range(5_000_000))
with pyfaster.open(key=int, value=int, memory="512MiB") as store:
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.01)
        store.upsert_many(keys, keys)
    except Enough as error:
        assert 0 < error.done < len(keys) and error.done % 65_536 == 0, error.done
        assert store.count() == error.done
        print("told")
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout == "told\n", ended.stderr
