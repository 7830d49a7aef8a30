# SPDX-License-Identifier: MIT
"""
Merges by name, and merges of machine code.

A ctypes callback stands for machine code here. The library refuses such callbacks where
it can tell; a bare address it must trust.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest

import pyfaster
from pyfaster import MergeError, MergeOverflowError, native_merge
from pyfaster._merges import MERGES

SIGNATURE = ctypes.CFUNCTYPE(
    ctypes.c_int64,
    ctypes.POINTER(ctypes.c_uint8),
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.POINTER(ctypes.c_uint8),
    ctypes.c_int64,
)
KEPT: list[Any] = []


def code(function: Callable[..., int]) -> int:
    """Give a function an address, and keep it there."""
    callback = SIGNATURE(function)
    KEPT.append(callback)
    address = ctypes.cast(callback, ctypes.c_void_p).value
    assert address is not None
    return address


def longer(value: Any, size: int, capacity: int, given: Any, given_size: int) -> int:
    """Keep the longer of the two."""
    if size >= given_size:
        return size
    if given_size <= capacity:
        ctypes.memmove(value, given, given_size)
    return given_size


def refuse(value: Any, size: int, capacity: int, given: Any, given_size: int) -> int:
    return -1


def test_names_are_those_of_the_documentation() -> None:
    """The core's enum gives exactly the names that users are told."""
    assert sorted(MERGES) == sorted(
        [
            "add",
            "min",
            "max",
            "bit_or",
            "bit_and",
            "append",
            "set_if_absent",
            "put_newest",
        ]
    )
    assert all(merge.name == name for name, merge in MERGES.items())


@pytest.mark.parametrize(
    ("merge", "old", "given", "new"),
    [
        ("add", 3, -5, -2),
        ("min", 3, -5, -5),
        ("max", 3, -5, 3),
        ("bit_or", 0b101, 0b011, 0b111),
        ("bit_and", 0b101, 0b011, 0b001),
        ("set_if_absent", 3, 5, 3),
    ],
)
def test_merges_of_integers(merge: str, old: int, given: int, new: int) -> None:
    """Each named merge does what it says, by name or as an object."""
    with pyfaster.open(key=int, value=int) as store, store.session() as session:
        session.upsert(1, old)
        assert session.rmw(1, given, merge=merge) == new
        assert session.read(1) == new
        assert session.rmw(2, given, merge) == given
        session.upsert(1, old)
        assert session.rmw(1, given, MERGES[merge]) == new


def test_a_name_need_not_be_interned() -> None:
    """A name that was put together at run time is found too."""
    with pyfaster.open(key=int, value=int) as store, store.session() as session:
        assert session.rmw(1, 2, "".join(["a", "dd"])) == 2


def test_overflow_changes_nothing() -> None:
    """Integers refuse to overflow, and the old value stays."""
    with pyfaster.open(key=int, value=int) as store, store.session() as session:
        session.upsert(1, 2**63 - 1)
        serial = session.serial
        with pytest.raises(MergeOverflowError):
            session.rmw(1, 1, merge="add")
        assert session.read(1) == 2**63 - 1
        assert session.serial == serial


def test_append_gives_results_larger_than_the_stack() -> None:
    """The new value comes whole, whatever its size."""
    with pyfaster.open(key=str, value=str) as store, store.session() as session:
        text = ""
        for piece in ("", "a", "b" * 3000, "c" * 70_000, "d"):
            text += piece
            assert session.rmw("k", piece, merge="append") == text
        assert session["k"] == text
        assert session.serial == 5


def test_merges_that_do_not_apply_are_refused() -> None:
    """Arithmetic on text and appending to numbers raise a typed error."""
    with pyfaster.open(key=str, value=str) as store, store.session() as session:
        with pytest.raises(MergeError):
            session.rmw("k", "v", merge="add")
        assert "k" not in session
    with pyfaster.open(key=int, value=int) as numbers, numbers.session() as other:
        with pytest.raises(MergeError):
            other.rmw(1, 1, merge="append")


def test_unknown_merges_are_refused() -> None:
    """An unknown name lists the known ones; another type is a TypeError."""
    with pyfaster.open(key=int, value=int) as store, store.session() as session:
        with pytest.raises(ValueError, match=r"bit_or.*found 'sum'"):
            session.rmw(1, 1, merge="sum")
        for wrong in (None, 3, print):
            with pytest.raises(TypeError, match="merge: expected"):
                session.rmw(1, 1, merge=wrong)  # type: ignore[arg-type]  # tested


def test_machine_code_merges() -> None:
    """Code at an address sees the old value, and asks for room until it has it."""
    merge = native_merge(code(longer))
    with pyfaster.open(key=int, value=bytes) as store, store.session() as session:
        assert session.rmw(1, b"abc", merge) == b"abc"
        assert session.rmw(1, b"x", merge) == b"abc"
        assert session.rmw(1, b"y" * 5000, merge) == b"y" * 5000
        assert session.read_many([1]) == [b"y" * 5000]
        session.rmw_many([1, 2], [b"", b"z"], merge=merge)
        assert session.read_many([1, 2]) == [b"y" * 5000, b"z"]


def test_machine_code_may_refuse() -> None:
    """A negative size raises, and changes nothing."""
    merge = native_merge(code(refuse))
    with pyfaster.open(key=int, value=int) as store, store.session() as session:
        session.upsert(1, 5)
        with pytest.raises(MergeError):
            session.rmw(1, 1, merge=merge)
        assert session.read(1) == 5


def test_inputs_may_be_of_another_type() -> None:
    """`input=` says how inputs become bytes when they are not values."""

    def count(value: Any, size: int, capacity: int, given: Any, given_size: int) -> int:
        old = int.from_bytes(bytes(value[:8]), "little") if size == 8 else 0
        new = (old + given_size).to_bytes(8, "little")
        ctypes.memmove(value, new, 8)
        return 8

    merge = native_merge(code(count), input=bytes)
    with pyfaster.open(key=int, value=int) as store, store.session() as session:
        assert session.rmw(1, b"abc", merge) == 3
        assert session.rmw(1, b"de", merge) == 5
        assert session.rmw_many([1, 1], b"four", merge=merge, returning=True) == [9, 13]
        with pytest.raises(TypeError, match="expected bytes, found int"):
            session.rmw(1, 3, merge)
    with pytest.raises(TypeError, match="input="):
        native_merge(code(count), input=list)


class Compiled:
    """An object with an address, as numba's cfunc gives."""

    address = code(longer)


def test_what_has_an_address_is_taken_and_kept() -> None:
    """An int, an object with `address`, and a function of a loaded library."""
    compiled = Compiled()
    merge = native_merge(compiled)
    assert merge.address == Compiled.address
    assert merge.keep[0] is compiled
    symbol = ctypes.CDLL(None).memcmp
    expected = ctypes.cast(symbol, ctypes.c_void_p).value
    assert native_merge(symbol).address == expected == native_merge(expected).address


def cffi_callback() -> object:
    from cffi import FFI  # type: ignore[import-untyped]  # has no types

    return FFI().callback("int(int)", lambda n: n)


@pytest.mark.parametrize(
    "wrong",
    [
        SIGNATURE(longer),
        cffi_callback(),
        longer,
        "0x1000",
        None,
        1.0,
        True,
        b"code",
    ],
    ids=["ctypes", "cffi", "function", "text", "none", "float", "bool", "bytes"],
)
def test_python_callbacks_are_refused(wrong: object) -> None:
    """What would need the GIL inside the core, or is no address, is a TypeError."""
    with pytest.raises(TypeError, match="native_merge"):
        native_merge(wrong)


@pytest.mark.parametrize("wrong", [0, -1, 2**64])
def test_numbers_that_are_no_address_are_refused(wrong: int) -> None:
    """Null, negative and oversized numbers are a ValueError."""
    with pytest.raises(ValueError, match="no address"):
        native_merge(wrong)
