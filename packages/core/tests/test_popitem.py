# SPDX-License-Identifier: MIT
"""
Emptying a store item by item.
"""

from __future__ import annotations

import pytest

import pyfaster


def test_popitem_goes_on_where_it_stood() -> None:
    """Draining gives each item once, sees what is added meanwhile, and then ends."""
    with pyfaster.open(key=int, value=int) as store:
        store.upsert_many(range(3000), range(3000))
        popped = dict(store.popitem() for _ in range(1000))
        store.upsert_many(range(5000, 5010), range(10))
        store[2999] = -1
        while store:
            key, value = store.popitem()
            assert key not in popped
            popped[key] = value
        assert popped.pop(2999) == -1
        assert sorted(popped) == [*range(2999), *range(5000, 5010)]
        with pytest.raises(KeyError):
            store.popitem()
