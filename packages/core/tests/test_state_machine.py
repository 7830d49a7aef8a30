# SPDX-License-Identifier: MIT
"""
A store does what a dict does, whatever is done in whichever order.

Hypothesis draws sequences of operations, among them batches and scans, on a store and a
dict at once; every result is compared. The examples are the same in each run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import pyfaster
from pyfaster.errors import MergeError, MergeOverflowError

Merges = dict[str, Callable[[Any, Any], Any]]

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
FLOATS = st.floats(-1e100, 1e100).map(lambda number: number + 0.0)  # -0.0 becomes 0.0

ARITHMETIC: Merges = {"add": lambda a, b: a + b, "min": min, "max": max}
BITS: Merges = {"bit_or": lambda a, b: a | b, "bit_and": lambda a, b: a & b}
EVERYWHERE: Merges = {"set_if_absent": lambda a, _: a}
NAMES = ("add", "min", "max", "bit_or", "bit_and", "append", "set_if_absent")


@dataclass(frozen=True)
class Pair:
    """
    A pair of codecs with the objects to try them on.

    `change` makes another value of one, for update(); `number` makes a key of a number.
    """

    key: Any
    value: Any
    keys: st.SearchStrategy[Any]
    values: st.SearchStrategy[Any]
    merges: Merges
    change: Callable[[Any], Any]
    number: Callable[[int], Any]


def few(*fixed: Any, other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly keys that meet again, sometimes any."""
    return st.one_of(st.sampled_from(fixed), st.sampled_from(fixed), other)


PAIRS = {
    "bytes-bytes": Pair(
        bytes,
        bytes,
        few(b"", b"a", b"ab", b"k" * 100, other=st.binary(max_size=300)),
        st.binary(max_size=60),
        {"append": lambda a, b: a + b} | EVERYWHERE,
        lambda old: old[::-1] + b"!",
        lambda number: b"%d" % number * (1 + number % 7),
    ),
    "str-int": Pair(
        str,
        int,
        few("", "a", "é", "wörter", other=st.text(max_size=20)),
        INT64,
        ARITHMETIC | BITS | EVERYWHERE,
        lambda old: old // 2,
        lambda number: f"key {number}",
    ),
    "int-int": Pair(
        int,
        int,
        few(0, 1, -1, 255, 256, (1 << 63) - 1, -(1 << 63), other=INT64),
        INT64,
        ARITHMETIC | BITS | EVERYWHERE,
        lambda old: old ^ 1,
        lambda number: -number,
    ),
    "bytes16-bytes100": Pair(
        pyfaster.Bytes(16),
        pyfaster.Bytes(100),
        few(
            bytes(16),
            b"k" * 16,
            b"\xff" * 16,
            other=st.binary(min_size=16, max_size=16),
        ),
        st.binary(min_size=100, max_size=100),
        EVERYWHERE,
        lambda old: old[::-1],
        lambda number: number.to_bytes(16, "big"),
    ),
    "uint64-float": Pair(
        pyfaster.UInt64,
        float,
        few(0, 1, 1 << 63, (1 << 64) - 1, other=st.integers(0, (1 << 64) - 1)),
        FLOATS,
        ARITHMETIC | EVERYWHERE,
        lambda old: old / 2,
        lambda number: (1 << 63) + number,
    ),
}


def fits(pair: Pair, value: Any) -> bool:
    """Whether a merged value can be stored."""
    return pair.value is not int or -(1 << 63) <= value < 1 << 63


def of_pair(choose: Callable[[Pair], st.SearchStrategy[Any]]) -> Any:
    """Objects of the pair that the running machine is for."""
    return st.runner().flatmap(lambda machine: choose(machine.pair))


KEYS = of_pair(lambda pair: pair.keys)
VALUES = of_pair(lambda pair: pair.values)
MERGES = of_pair(lambda pair: st.sampled_from(sorted(pair.merges)))
#: Beyond 64 items a batch is run in another way, and drawn lists seldom get so long.
LONG = st.builds(range, st.integers(0, 150), st.integers(200, 300))
SOME_KEYS = of_pair(
    lambda pair: st.one_of(
        st.lists(pair.keys, max_size=20),
        LONG.map(lambda numbers: [pair.number(number) for number in numbers]),
    )
)
SOME_ITEMS = of_pair(
    lambda pair: st.one_of(
        st.lists(st.tuples(pair.keys, pair.values), max_size=20),
        st.builds(
            lambda numbers, values: [
                (pair.number(number), values[number % len(values)])
                for number in numbers
            ],
            LONG,
            st.lists(pair.values, min_size=1, max_size=5),
        ),
    )
)


class Machine(RuleBasedStateMachine):
    """A store and a dict; subclasses say of which codecs."""

    pair: ClassVar[Pair]

    def __init__(self) -> None:
        super().__init__()
        self.store = pyfaster.open(
            key=self.pair.key, value=self.pair.value, page_size="16KiB"
        )
        self.session = self.store.session("machine")
        self.model: dict[Any, Any] = {}
        self.serial = 0

    def teardown(self) -> None:
        # Also closed after a failure, of which Hypothesis tries hundreds of variants.
        with self.store, self.session:
            assert dict(self.store.items()) == self.model
            assert self.session.serial == self.serial

    def updated(self, times: int = 1) -> None:
        self.serial += times
        assert self.session.serial == self.serial

    # --- one key, through the session ---------------------------------------

    @rule(key=KEYS)
    def read(self, key: Any) -> None:
        assert self.session.read(key) == self.model.get(key)
        assert self.session.read(key, ...) == self.model.get(key, ...)
        assert (key in self.session) == (key in self.model)

    @rule(key=KEYS)
    def get_item(self, key: Any) -> None:
        if key in self.model:
            assert self.session[key] == self.model[key]
        else:
            with pytest.raises(KeyError):
                _ = self.session[key]

    @rule(key=KEYS, value=VALUES)
    def upsert(self, key: Any, value: Any) -> None:
        self.session.upsert(key, value)
        self.model[key] = value
        self.updated()

    @rule(key=KEYS, value=VALUES)
    def insert(self, key: Any, value: Any) -> None:
        assert self.session.insert(key, value) == (key not in self.model)
        self.model.setdefault(key, value)
        self.updated()

    @rule(key=KEYS)
    def delete(self, key: Any) -> None:
        assert self.session.delete(key) == (key in self.model)
        self.model.pop(key, None)
        self.updated()

    @rule(key=KEYS)
    def discard(self, key: Any) -> None:
        self.session.discard(key)
        self.model.pop(key, None)
        self.updated()

    @rule(key=KEYS, value=VALUES, name=MERGES)
    def rmw(self, key: Any, value: Any, name: str) -> None:
        merged = value
        if key in self.model:
            merged = self.pair.merges[name](self.model[key], value)
        if fits(self.pair, merged):
            assert self.session.rmw(key, value, name) == merged
            self.model[key] = merged
            self.updated()
        else:
            with pytest.raises(MergeOverflowError):
                self.session.rmw(key, value, name)

    @rule(key=KEYS, value=VALUES, name=st.sampled_from(NAMES))
    def rmw_that_does_not_apply(self, key: Any, value: Any, name: str) -> None:
        if name not in self.pair.merges:
            with pytest.raises(MergeError):
                self.session.rmw(key, value, name)

    @rule(key=KEYS, expected=VALUES, value=VALUES, right=st.booleans())
    def compare_and_set(self, key: Any, expected: Any, value: Any, right: bool) -> None:
        if right:
            expected = self.model.get(key, expected)
        hit = key in self.model and self.model[key] == expected
        assert self.session.compare_and_set(key, expected, value) == hit
        if hit:
            self.model[key] = value
        self.updated()

    @rule(key=KEYS, initial=st.one_of(st.none(), VALUES))
    def update(self, key: Any, initial: Any) -> None:
        given = () if initial is None else (initial,)
        if key not in self.model and initial is None:
            with pytest.raises(KeyError):
                self.session.update(key, self.pair.change)
            return
        new = self.pair.change(self.model.get(key, initial))
        assert self.session.update(key, self.pair.change, *given) == new
        self.model[key] = new
        self.updated()

    # --- many keys ------------------------------------------------------------

    @rule(batch=SOME_KEYS)
    def read_many(self, batch: list[Any]) -> None:
        found = self.session.read_many(batch)
        assert list(found) == [self.model.get(key) for key in batch]

    @rule(items=SOME_ITEMS)
    def upsert_many(self, items: list[Any]) -> None:
        self.session.upsert_many([k for k, _ in items], [v for _, v in items])
        self.model.update(items)
        self.updated(len(items))

    @rule(batch=SOME_KEYS)
    def delete_many(self, batch: list[Any]) -> None:
        expected = []
        for key in batch:
            expected.append(self.model.pop(key, None) is not None)
        assert list(self.session.delete_many(batch)) == expected
        self.updated(len(batch))

    @rule(
        items=SOME_ITEMS,
        name=MERGES,
        returning=st.booleans(),
    )
    def rmw_many(self, items: list[Any], name: str, returning: bool) -> None:
        model, results = dict(self.model), []
        for key, value in items:
            if key in model:
                value = self.pair.merges[name](model[key], value)
            if not fits(self.pair, value):
                break
            model[key] = value
            results.append(value)
        arguments = [k for k, _ in items], [v for _, v in items]
        expectation: Any = contextlib.nullcontext()
        if len(results) < len(items):
            expectation = pytest.raises(MergeOverflowError)
        with expectation as caught:
            found = self.session.rmw_many(*arguments, merge=name, returning=returning)
            assert not returning or list(found) == results
        assert caught is None or caught.value.done == len(results)
        self.model = model
        self.updated(len(results))

    # --- as a mapping, in the thread's implicit session ----------------------

    @rule(key=KEYS, value=VALUES)
    def set_item(self, key: Any, value: Any) -> None:
        self.store[key] = value
        self.model[key] = value

    @rule(key=KEYS)
    def delete_item(self, key: Any) -> None:
        if key in self.model:
            del self.store[key]
            del self.model[key]
        else:
            with pytest.raises(KeyError):
                del self.store[key]

    @rule(key=KEYS)
    def pop(self, key: Any) -> None:
        assert self.store.pop(key, ...) == self.model.pop(key, ...)

    @rule(key=KEYS, value=VALUES)
    def set_default(self, key: Any, value: Any) -> None:
        assert self.store.setdefault(key, value) == self.model.setdefault(key, value)

    @precondition(lambda self: self.model)
    @rule()
    def pop_item(self) -> None:
        key, value = self.store.popitem()
        assert self.model.pop(key) == value

    @rule(items=SOME_ITEMS)
    def update_items(self, items: list[Any]) -> None:
        self.store.update(items)
        self.model.update(items)

    @precondition(lambda self: len(self.model) > 20)
    @rule()
    def clear(self) -> None:
        self.store.clear()
        self.model.clear()

    # --- the store as a whole --------------------------------------------------

    @rule()
    def scan(self) -> None:
        items = list(self.store.items())
        assert len(items) == len(self.model)
        assert dict(items) == self.model
        assert sorted(self.store) == sorted(self.model)
        assert sorted(self.store.values()) == sorted(self.model.values())

    @rule()
    def grow_index(self) -> None:
        self.store.grow_index()

    @rule()
    def change_sessions(self) -> None:
        self.session.close()
        self.session = self.store.session("machine")
        self.serial = 0

    @invariant()
    def counts_agree(self) -> None:
        assert len(self.store) == len(self.model)
        assert bool(self.store) == bool(self.model)


@pytest.mark.parametrize("name", PAIRS)
def test_a_store_does_what_a_dict_does(name: str) -> None:
    """For every pair of codecs, any sequence of operations gives a dict's results."""
    run_state_machine_as_test(
        type("Machine", (Machine,), {"pair": PAIRS[name]}),
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            print_blob=True,
        ),
    )
