# SPDX-License-Identifier: MIT
"""
The C module against a scripted core: what it does with each outcome.

The script stands behind the same table of functions as the core, so outcomes that are
rare in the core (retries, room that is missing twice) come exactly when a test wants.
"""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pyfaster
from pyfaster import _cabi, _hot
from pyfaster._native import ffi, lib
from pyfaster.errors import ClosedError, StoreFullError, core_error

STATUS = _cabi.enumerators("faster_status")
OK, NOT_FOUND, SHORT, RETRY = (
    STATUS[f"FASTER_{name}"] for name in ("OK", "NOT_FOUND", "SHORT", "RETRY")
)
MUTABLE, FULL = STATUS["FASTER_MUTABLE"], STATUS["FASTER_E_FULL"]

LIBC = ctypes.CDLL(None)
U64, PTR = ctypes.c_uint64, ctypes.c_void_p
OUT, BYTES = ctypes.POINTER(U64), [PTR, U64]
NOT_CALLED = [name for name, _ in ffi.typeof("struct faster_hot_table").fields[18:]]


class ItemsStruct(ctypes.Structure):
    _fields_ = [("data", PTR), ("offsets", PTR), ("size", U64), ("stride", U64)]


ITEMS = ctypes.POINTER(ItemsStruct)

#: The functions of `struct faster_hot_table`, in its order.
FUNCTIONS: dict[str, list[Any]] = {
    "read": [ctypes.c_int, PTR, *BYTES, *BYTES, OUT],
    "upsert": [ctypes.c_int, PTR, *BYTES, *BYTES],
    "insert": [ctypes.c_int, PTR, *BYTES, *BYTES],
    "remove": [ctypes.c_int, PTR, *BYTES],
    "rmw": [ctypes.c_int, PTR, PTR, *BYTES, *BYTES, *BYTES, OUT],
    "compare_and_set": [ctypes.c_int, PTR, *BYTES, *BYTES, *BYTES],
    "read_many": [ctypes.c_int, PTR, ITEMS, U64, PTR, OUT],
    "upsert_many": [ctypes.c_int, PTR, ITEMS, ITEMS, U64, OUT],
    "rmw_many": [ctypes.c_int, PTR, PTR, ITEMS, ITEMS, U64, PTR, OUT],
    "delete_many": [ctypes.c_int, PTR, ITEMS, U64, PTR, OUT],
    "session_serial": [U64, PTR],
    "session_wait": [None, PTR],
    "session_close": [ctypes.c_int, PTR],
    "session_free": [None, PTR],
    "error_text": [ctypes.c_char_p, ctypes.c_int],
    "discard": [ctypes.c_int, PTR, *BYTES],
    **{name: [ctypes.c_int] for name in NOT_CALLED},
}


def address_of(function: Any) -> int | None:
    """Where a C function is."""
    return ctypes.cast(function, PTR).value


class Table(ctypes.Structure):
    _fields_ = [
        ("abi", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        *[(name, PTR) for name in FUNCTIONS],
    ]


class Script:
    """
    A core that says what it is told to.

    Attributes:
        calls: The functions that were called, in order.

        answers: For each function what to do in its calls; the last one repeats.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.answers: dict[str, list[Callable[..., int | None] | int]] = {}
        self.sessions: list[_hot.Session[Any, Any]] = []
        self._kept: list[Any] = []
        self.table = Table(abi=1, size=ctypes.sizeof(Table))
        for name, (result, *args) in FUNCTIONS.items():
            function = ctypes.CFUNCTYPE(result, *args)(self._answer(name))
            self._kept.append(function)
            setattr(self.table, name, address_of(function))

    def _answer(self, name: str) -> Callable[..., Any]:
        def function(*args: Any) -> Any:
            self.calls.append(name)
            answers = self.answers.get(name, [0])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            return answer(*args) if callable(answer) else answer

        return function

    def session(
        self,
        key: _hot.Codec | None = None,
        value: _hot.Codec | None = None,
        address: int = 0x1000,
    ) -> _hot.Session[Any, Any]:
        session: _hot.Session[Any, Any] = _hot.Session(
            address,
            None,
            key or _hot.Codec("bytes", key=True),
            value or _hot.Codec("bytes"),
        )
        self.sessions.append(session)
        return session


@pytest.fixture
def script() -> Iterator[Script]:
    """Put a scripted core in place of the real one, for one test."""
    gc.collect()  # no session of the real core may be freed by the script
    one = Script()
    _hot.init(ctypes.addressof(one.table))
    try:
        yield one
        for session in one.sessions:
            session.__del__()  # type: ignore[attr-defined]  # frees what is scripted
    finally:
        _hot.init(int(ffi.cast("uintptr_t", lib.faster_hot_table())))


def give(data: bytes) -> Callable[..., int]:
    """A read that finds `data`, or says how much room it needs."""

    def read(
        session: Any, key: Any, key_size: int, out: Any, capacity: int, size: Any
    ) -> int:
        size[0] = len(data)
        if len(data) > capacity:
            return SHORT
        ctypes.memmove(out, data, len(data))
        return OK

    return read


# --- the table ------------------------------------------------------------------------


@pytest.mark.parametrize(("abi", "cut"), [(2, 0), (0, 0), (1, 8)])
def test_a_table_of_another_interface_is_refused(abi: int, cut: int) -> None:
    """Number and size are checked before any function is called."""
    table = Table(abi=abi, size=ctypes.sizeof(Table) - cut)
    with pytest.raises(ImportError, match="interface"):
        _hot.init(ctypes.addressof(table))
    with pytest.raises(ValueError, match="no table"):
        _hot.init(0)


def test_a_longer_table_is_accepted(script: Script) -> None:
    """The table grows at its end; what is known stays where it is."""
    script.table.size += 8
    _hot.init(ctypes.addressof(script.table))
    script.answers["read"] = [give(b"v")]
    assert script.session().read(b"k") == b"v"


# --- outcomes -------------------------------------------------------------------------

OPERATIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "read": ("read", lambda s: s.read(b"k")),
    "getitem": ("read", lambda s: s[b"k"]),
    "contains": ("read", lambda s: b"k" in s),
    "read_into": ("read", lambda s: s.read_into(b"k", bytearray(8))),
    "upsert": ("upsert", lambda s: s.upsert(b"k", b"v")),
    "setitem": ("upsert", lambda s: s.__setitem__(b"k", b"v")),
    "insert": ("insert", lambda s: s.insert(b"k", b"v")),
    "delete": ("remove", lambda s: s.delete(b"k")),
    "discard": ("discard", lambda s: s.discard(b"k")),
    "delitem": ("remove", lambda s: s.__delitem__(b"k")),
    "compare_and_set": (
        "compare_and_set",
        lambda s: s.compare_and_set(b"k", b"a", b"b"),
    ),
    "rmw": ("rmw", lambda s: s.rmw(b"k", b"v", "append")),
    "update": ("read", lambda s: s.update(b"k", lambda v: v)),
    "read_list": ("read_many", lambda s: s.read_list([b"k"])),
    "upsert_list": ("upsert_many", lambda s: s.upsert_list([b"k"], [b"v"])),
    "rmw_list": ("rmw_many", lambda s: s.rmw_list([b"k"], [b"v"], "append")),
    "delete_list": ("delete_many", lambda s: s.delete_list([b"k"])),
}
SINGLE = [name for name in OPERATIONS if not name.endswith("_list")]


@pytest.mark.parametrize("name", OPERATIONS)
def test_failures_become_typed_errors(script: Script, name: str) -> None:
    """A negative status raises the class of its number, once, and names the key."""
    function, operation = OPERATIONS[name]
    script.answers[function] = [FULL]
    with pytest.raises(StoreFullError) as caught:
        operation(script.session())
    assert caught.value.status == FULL
    assert "b'k'" in str(caught.value)
    assert script.calls.count(function) == 1
    assert getattr(caught.value, "done", 0) == 0


@pytest.mark.parametrize("name", SINGLE)
def test_a_retry_waits_and_calls_again(script: Script, name: str) -> None:
    """After FASTER_RETRY the session waits outside, and the operation is repeated."""
    function, operation = OPERATIONS[name]
    script.answers["read"] = [give(b"v")]
    script.answers[function] = [RETRY, RETRY, *script.answers.get(function, [OK])]
    operation(script.session())
    again = [function, "session_wait"]
    assert script.calls[:5] == [*again, *again, function]


@pytest.mark.parametrize("name", SINGLE)
def test_a_signal_ends_the_waiting(script: Script, name: str) -> None:
    """
    Ctrl-C while others are in the way raises; the operation is not made.

    libc's raise(int) stands for session_wait(session), and the session's address is the
    signal's number: a callback in Python would take the signal for itself.
    """
    function, operation = OPERATIONS[name]
    script.answers[function] = [RETRY]
    script.table.session_wait = address_of(LIBC["raise"])
    session = script.session(address=signal.SIGINT)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            operation(session)
    finally:
        signal.signal(signal.SIGINT, before)
    assert script.calls == [function]


def test_waiting_lets_other_threads_run(script: Script) -> None:
    """The GIL is released while a session waits: another thread ends the waiting."""
    ran = threading.Event()

    def wait(_: Any) -> None:
        threading.Thread(target=ran.set).start()
        assert ran.wait(60)

    script.answers["read"] = [RETRY, give(b"v")]
    script.answers["session_wait"] = [wait]
    assert script.session().read(b"k") == b"v"


@pytest.mark.parametrize("name", SINGLE)
def test_unknown_outcomes_raise(script: Script, name: str) -> None:
    """An outcome that this version does not know is no silent success."""
    function, operation = OPERATIONS[name]
    script.answers[function] = [MUTABLE]
    with pytest.raises(pyfaster.FasterError, match="unknown status"):
        operation(script.session())


def test_a_value_may_grow_while_room_is_made(script: Script) -> None:
    """Each FASTER_SHORT is answered with the room it asks for, until it fits."""
    first, second = b"a" * 3000, b"b" * 90_000
    script.answers["read"] = [give(first), give(second), give(second)]
    assert script.session().read(b"k") == second
    script.answers["read"] = [give(first), NOT_FOUND]
    assert script.session().read(b"k", "gone") == "gone"
    script.answers["read"] = [give(first), FULL]
    with pytest.raises(StoreFullError):
        script.session().read(b"k")


def test_room_that_cannot_exist_is_a_memory_error(script: Script) -> None:
    """A size beyond the address space raises, and frees what there was."""

    def endless(*args: Any) -> int:
        args[-1][0] = 2**63
        return SHORT

    script.answers["read"] = [endless]
    with pytest.raises(MemoryError):
        script.session().read(b"k")


def test_update_starts_again_when_others_were_faster(script: Script) -> None:
    """A lost compare-and-set or insert reads anew and calls the function again."""
    mismatch, exists = STATUS["FASTER_MISMATCH"], STATUS["FASTER_EXISTS"]
    seen: list[bytes] = []

    def function(value: bytes) -> bytes:
        seen.append(value)
        return value + b"!"

    script.answers["read"] = [give(b"a"), NOT_FOUND, give(b"b" * 5000)]
    script.answers["compare_and_set"] = [mismatch, OK]
    script.answers["insert"] = [exists]
    result = script.session().update(b"k", function, initial=b"i")
    assert seen == [b"a", b"i", b"b" * 5000]
    assert result == b"b" * 5000 + b"!"
    assert script.calls == [
        "read",
        "compare_and_set",
        "read",
        "insert",
        *["read"] * 2,
        "compare_and_set",
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_the_function_raises_ends_the_update(
    script: Script, error: type[BaseException]
) -> None:
    """Nothing is written when the function raises, whatever it raises."""

    def function(value: bytes) -> bytes:
        raise error

    session = script.session()
    for read in (give(b"a"), give(b"a" * 5000), NOT_FOUND):
        script.answers["read"] = [read]
        with pytest.raises(error):
            session.update(b"k", function, initial=b"i")
    assert set(script.calls) == {"read"}


# --- batches --------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 1000])
def test_a_failed_batch_tells_how_far_it_came(script: Script, count: int) -> None:
    """`done` counts the finished items, and the message names the next key."""

    def fail(*args: Any) -> int:
        args[-1][0] = 2
        return FULL

    keys = [str(i).encode() for i in range(count)]
    for name in ("read", "upsert", "rmw", "delete"):
        script.answers[f"{name}_many"] = [fail]
    session = script.session()
    for operation in (
        lambda: session.read_list(keys),
        lambda: session.upsert_list(keys, keys),
        lambda: session.rmw_list(keys, keys, "append"),
        lambda: session.rmw_list(keys, keys, "append", returning=True),
        lambda: session.delete_list(keys),
    ):
        with pytest.raises(StoreFullError, match="b'2'") as caught:
            operation()
        assert caught.value.done == 2  # type: ignore[attr-defined]  # of batches only


def test_what_cannot_be_encoded_stops_a_batch_before_it_begins(script: Script) -> None:
    """A wrong type anywhere in a batch, and the core is not entered."""
    session = script.session()
    for keys in ([b"a", 3], [None], (b"a", b"b", "c")):
        with pytest.raises(TypeError, match="key: expected bytes"):
            session.read_list(keys)
        with pytest.raises(TypeError, match="value: expected bytes"):
            session.upsert_list([b"a"] * len(keys), keys)
    with pytest.raises(ValueError, match="2 keys come with 3 values"):
        session.upsert_list([b"a", b"b"], [b"a", b"b", b"c"])
    with pytest.raises(TypeError, match="iterable"):
        session.read_list(3)  # type: ignore[arg-type]  # what is tested
    assert script.calls == []


def test_long_batches_release_the_gil(script: Script) -> None:
    """
    Other Python threads run while a batch of more than 64 items is in the core.

    libc's sem_wait stands for the core's batch, and the session's address is the
    semaphore's.  Only the thread below can post it, and it can only run when the GIL
    is released: the switch interval is longer than the test.
    """
    semaphore = ctypes.create_string_buffer(64)
    assert LIBC.sem_init(semaphore, 0, 0) == 0
    script.table.delete_many = address_of(LIBC.sem_wait)
    session = script.session(address=ctypes.addressof(semaphore))
    begun = threading.Lock()
    begun.acquire()

    def post() -> None:
        with begun:
            LIBC.sem_post(semaphore)

    thread = threading.Thread(target=post)
    thread.start()
    interval = sys.getswitchinterval()
    try:
        sys.setswitchinterval(600)
        begun.release()
        found = session.delete_list([b"k"] * 65)
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert found == [False] * 65


def test_one_object_for_all_items_has_no_stride(script: Script) -> None:
    """A repeated value is encoded once, and the core reads it again and again."""
    seen = []

    def batch(session: Any, keys: Any, values: Any, n: int, done: Any) -> int:
        items = values.contents
        data = ctypes.string_at(items.data, items.size)
        seen.append((data, items.offsets, items.stride, n))
        done[0] = n
        return OK

    script.answers["upsert_many"] = [batch]
    value = _hot.repeat(_hot.Codec("bytes"), b"abc", 3)
    script.session().upsert_list([b"1", b"2", b"3"], value)
    assert seen == [(b"abc", None, 0, 3)]


# --- objects --------------------------------------------------------------------------


def test_sessions_are_freed_once(script: Script) -> None:
    """The handle goes with the object, not with close, and only once."""
    session = script.session()
    script.sessions.clear()
    session.end()
    session.end()
    assert script.calls == ["session_close", "session_close"]
    gone = weakref.ref(session)
    del session
    assert gone() is None
    assert script.calls[2:] == ["session_free"]


class Owner:
    """What keeps a store's handle; notes when it goes."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls
        self.session: object = None

    def __del__(self) -> None:
        self.calls.append("owner")


def test_the_owner_outlives_the_session(script: Script) -> None:
    """The store's handle is dropped after the session's."""
    codec = _hot.Codec("bytes", key=True)
    session: _hot.Session[Any, Any]
    session = _hot.Session(0x1000, Owner(script.calls), codec, codec)
    del session
    assert script.calls == ["session_free", "owner"]


def test_sessions_in_cycles_are_collected(script: Script) -> None:
    """A session that its owner knows is found by the collector, and freed once."""
    codec = _hot.Codec("bytes", key=True)
    owner = Owner(script.calls)
    session: _hot.Session[Any, Any] = _hot.Session(0x1000, owner, codec, codec)
    owner.session = session
    gone = weakref.ref(session)
    del owner, session
    gc.collect()
    assert gone() is None
    assert sorted(script.calls) == ["owner", "session_free"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_finalized_session_is_closed(script: Script, name: str) -> None:
    """What a finalizer resurrects raises ClosedError, and never enters the core."""
    session = script.session()
    session.__del__()  # type: ignore[attr-defined]  # what the collector calls
    with pytest.raises(ClosedError):
        OPERATIONS[name][1](session)
    session.end()
    assert session.serial == 0
    assert script.calls == ["session_free"]


def test_the_error_factory_is_checked(script: Script) -> None:
    """A factory that gives no exception is an error itself; one that raises wins."""
    script.answers["upsert"], session = [FULL], script.session()
    try:
        no_exception: Any = lambda *said: 3  # noqa: E731 - one line
        _hot.set_error_factory(no_exception)
        with pytest.raises(SystemError, match="no exception"):
            session.upsert(b"k", b"v")
        _hot.set_error_factory(lambda *said: [][said[0]])
        with pytest.raises(IndexError):
            session.upsert(b"k", b"v")
    finally:
        _hot.set_error_factory(core_error)
