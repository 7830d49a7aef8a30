# SPDX-License-Identifier: MIT
"""
CPython's own tests of mappings, run against the store.

They come with the interpreter, as `test.mapping_tests`. Some distributions of Python
leave the package `test` out; there, and only there, these tests are reported as skipped
with that reason. What a store cannot be by its nature is in `EXCLUDED`, each with why.
"""

from __future__ import annotations

import ast
from collections.abc import MutableMapping
from typing import Any

import pytest

import pyfaster

mapping_tests: Any = pytest.importorskip(
    "test.mapping_tests", reason="this Python comes without its package 'test'"
)

#: Tests that a store cannot pass, and why.
EXCLUDED = {
    "test_fromkeys": "a store is opened with codecs; its class makes no stores",
    "test_copy": "a store is a resource, not a value; it has no copy()",
}

#: Tests of which only the basic form applies, and why.
BASIC_ONLY = {
    "test_setdefault": "the full form changes a list that it got, inside the mapping",
    "test_popitem": "the full form needs copy(), and the order of a dict",
}


class LiteralCodec:
    """Stores what `ast.literal_eval` reads: these tests use keys of several types."""

    name = "literal"
    size = None
    canonical = True
    value_type = "opaque"
    native = None
    dtype = None

    def encode(self, value: object, /) -> bytes:
        """The object's literal."""
        return repr(value).encode()

    def decode(self, data: bytes, /) -> Any:
        """The object that a literal means."""
        return ast.literal_eval(data.decode())


class TestStoreIsAMapping(mapping_tests.TestMappingProtocol):  # type: ignore[misc]
    """A store of literals, held to what Python asks of its own mappings."""

    def type2test(self, *args: Any, **items: Any) -> pyfaster.FasterKv[Any, Any]:
        """Open a store with items, as dict() would make a dict."""
        store = pyfaster.open(key=LiteralCodec(), value=LiteralCodec())
        self.addCleanup(store.close)
        store.update(*args, **items)
        return store


for name in EXCLUDED:
    setattr(TestStoreIsAMapping, name, None)
for name in BASIC_ONLY:
    basic = getattr(mapping_tests.BasicTestMappingProtocol, name)
    setattr(TestStoreIsAMapping, name, basic)


def test_exclusions_exist() -> None:
    """Each exclusion names a test that would run otherwise, and has a reason."""
    for excluded, reason in (EXCLUDED | BASIC_ONLY).items():
        assert hasattr(mapping_tests.TestMappingProtocol, excluded)
        assert reason


def test_a_store_is_a_mutable_mapping() -> None:
    """isinstance() says so, and no method of the protocol is missing."""
    with pyfaster.open(key=str, value=int) as store:
        assert isinstance(store, MutableMapping)
        store.update(a=1, b=2)
        assert dict(store) == {"a": 1, "b": 2}
        assert {**store} == {"a": 1, "b": 2}
        assert store == {"a": 1, "b": 2}
        assert store != {"a": 1}
        assert store != {"a": 1, "b": 3}
        assert store != {"a": 1, "c": 2}
        assert store != [("a", 1)]
        assert {"b": 2, "a": 1} == store  # noqa: SIM300 - the dict is asked first
        with pytest.raises(TypeError, match="unhashable"):
            hash(store)


def test_views_follow_the_store() -> None:
    """keys(), values() and items() are views: they show what the store holds now."""
    with pyfaster.open(key=str, value=int) as store:
        keys, values, items = store.keys(), store.values(), store.items()
        assert (len(keys), len(values), len(items)) == (0, 0, 0)
        store.update(a=1, b=2)
        assert keys == {"a", "b"}
        assert keys & {"a", "z"} == {"a"}
        assert sorted(values) == [1, 2]
        assert 2 in values
        assert 3 not in values
        assert items == {("a", 1), ("b", 2)}
        assert ("a", 1) in items
        assert ("a", 2) not in items


def test_setdefault_needs_a_value_that_the_store_holds() -> None:
    """Without a default, setdefault() means None, which a store of ints refuses."""
    with pyfaster.open(key=str, value=int) as store:
        with pytest.raises(TypeError):
            store.setdefault("a")
        assert store.setdefault("a", 1) == 1
        assert store.setdefault("a") == 1
