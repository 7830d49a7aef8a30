# SPDX-License-Identifier: MIT
"""
The boundary: what sees the C core's `ffi` and `lib`.

The whole of it is this module for stores, `_cabi_devices` for devices,
`_cabi_checkpoint` for checkpoints, `_cabi_flog` for durable logs, and `testing/_cabi`
for what tests are made with; each is loaded when it is needed.

One boring function per C function, same name less the prefix, same argument order, for
what is wide or rare; operations and batches go through `pyfaster._hot`. Each function
does four things: check lengths and contiguity, borrow or allocate memory, call,
and turn a status into a return value or an exception. Policy, defaults and loops that
enlarge a buffer belong to the modules above.

A session is passed as the address that `session_open` gave. Whoever holds the address
(the session object of `pyfaster._hot`) closes and frees it, and keeps the `Kv` alive
until then.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyfaster import _hot
from pyfaster._buffers import Results as Results
from pyfaster._buffers import view_of
from pyfaster._native import ffi, lib
from pyfaster._version import __version__
from pyfaster.errors import error_for

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: The interface that this module was written against.
ABI = 1

#: Failures that other modules ask for by name; the header's numbers.
BUSY: int = lib.FASTER_E_BUSY
CLOSED: int = lib.FASTER_E_CLOSED
FULL: int = lib.FASTER_E_FULL
FORKED: int = lib.FASTER_E_FORKED
CONFIG: int = lib.FASTER_E_CONFIG

#: Failures of the system are above this and are -errno; ours are below.
SYSTEM_LOWEST = -4095


def _check_build() -> None:
    """
    Refuse a compiled module that another version left behind.
    """
    built = ffi.string(lib.pyfaster_version).decode("ascii")
    if built == __version__ and lib.FASTER_ABI == ABI:
        return
    raise ImportError(
        f"pyfaster {__version__} (interface {ABI}) found a compiled module of version "
        f"{built} (interface {lib.FASTER_ABI}); the installation is half upgraded: "
        f"run pip install --force-reinstall pyfaster=={__version__}"
    )


def error_text(status: int) -> str:
    """
    Give the sentence of a status; for -errno that of the system.
    """
    if SYSTEM_LOWEST <= status < 0:
        return os.strerror(-status)
    text: bytes = ffi.string(lib.faster_strerror(status))
    return text.decode("ascii")


def enumerators(name: str) -> dict[str, int]:
    """
    Give the names and numbers of an enum of the interface.

    Args:
        name: As in the headers, without the word: "faster_status".
    """
    return dict(ffi.typeof(f"enum {name}").relements)


def _check(status: int, where: str) -> int:
    """
    Return a status that is not a failure; `where` begins the message of one.
    """
    if status < 0:
        raise error_for(status, where)
    return status


# --- buffers ------------------------------------------------------------------------


class _Borrowed:
    """
    Buffers that C uses during one call, given back when the `with` block ends.

    At once, and not when the frame goes: an exception keeps its frames, and the
    collector may clear a memoryview before what has borrowed from it.
    """

    __slots__ = ("_views",)

    def __init__(self) -> None:
        self._views: list[Any] = []

    def __enter__(self) -> _Borrowed:
        return self

    def __exit__(self, *error: object) -> None:
        for view in self._views:
            ffi.release(view)
        self._views.clear()

    def take(self, kind: str, view: memoryview | None) -> Any:
        """
        Borrow a buffer; NULL for none.
        """
        if view is None:
            return ffi.NULL
        self._views.append(ffi.from_buffer(f"{kind}[]", view))
        return self._views[-1]


def _results(borrowed: _Borrowed, results: Results | None) -> Any:
    """
    Borrow room for results.
    """
    if results is None:
        return ffi.NULL
    room = borrowed.take("uint8_t", results.data)
    starts = borrowed.take("uint64_t", results.offsets)
    if results.offsets is not None and starts[0] > results.capacity:
        raise ValueError(f"offset {starts[0]} is outside {results.capacity} bytes")
    fields = (room, results.capacity, starts, ffi.NULL)
    return ffi.new("struct faster_results *", fields)


# --- the store ----------------------------------------------------------------------


class Kv:
    """
    The handle of a store in the core.

    Its memory must outlive every session opened from it, which holds `handle` for that
    purpose. Leaving it open until it is collected warns.

    Attributes:
        handle: What frees the store when nobody holds it any more. The collector does
            not see it, so it outlives all finalizers of the same garbage; what
            `ffi.gc` gives would be one of those.

        waits: Whether operations may wait for a device.
    """

    __slots__ = ("_c", "_closed", "handle", "waits")

    def __init__(self, c: Any, *, waits: bool) -> None:
        free = ffi.cast("uintptr_t", ffi.addressof(lib, "faster_kv_free"))
        self.handle = _hot.handle(int(ffi.cast("uintptr_t", c)), int(free))
        self._c = c
        self._closed = False
        self.waits = waits

    @property
    def c(self) -> Any:
        """
        The pointer; the core itself refuses calls on a closed store.
        """
        return self._c

    @property
    def closed(self) -> bool:
        """
        Whether `close` has succeeded.
        """
        return self._closed

    def close(self, timeout_ms: int) -> None:
        """
        Close the store; a second call does nothing.

        Raises:
            FasterError: A call in flight did not end in time; close may be repeated.

        Cost: one C call that may block up to `timeout_ms`.
        """
        if not self._closed:
            _check(lib.faster_kv_close(self._c, timeout_ms), "closing the store")
            self._closed = True

    def __del__(self) -> None:
        if not self._closed:
            warnings.warn(
                "a store was collected without close(); use it in a with statement",
                ResourceWarning,
                stacklevel=2,
            )


def kv_open(
    *,
    device: int = 0,
    generations: Sequence[tuple[int, int]] = (),
    **fields: int,
) -> Kv:
    """
    Open a store.

    Args:
        device: The address of a `struct faster_device`, which is the store's from now
            on; whoever calls keeps it alive. 0 for a store in memory.

        generations: (first address, number) of the store's lives; the last is this
            one. None given: one with the number 1.

        **fields: Those of `struct faster_kv_config`, but for `size`; 0, which is what
            is left out, has the meaning given there.

    Raises:
        FasterError: A setting is out of range, or the memory budget is too small.
    """
    size = ffi.sizeof("struct faster_kv_config")
    config = ffi.new("struct faster_kv_config *", {"size": size, **fields})
    config.device = ffi.cast("struct faster_device *", device)
    lives = ffi.new("struct faster_generation[]", list(generations))
    if generations:
        config.generations, config.generation_count = lives, len(generations)
    out = ffi.new("struct faster_kv **")
    _check(lib.faster_kv_open(config, out), "opening a store")
    return Kv(out[0], waits=device != 0)


def kv_stats(kv: Kv) -> dict[str, int]:
    """
    Take the store's figures, by the names of `struct faster_kv_stats`.
    """
    stats = ffi.new("struct faster_kv_stats *")
    stats.size = ffi.sizeof("struct faster_kv_stats")
    _check(lib.faster_kv_stats(kv.c, stats), "taking figures")
    names = (name for name, _ in ffi.typeof("struct faster_kv_stats").fields)
    return {name: getattr(stats, name) for name in names if name != "size"}


def kv_flush(kv: Kv, timeout_ms: int) -> int:
    """
    Write everything that is in the log now; gives the status, also of a failure.
    """
    return int(lib.faster_kv_flush(kv.c, timeout_ms))


def kv_evict(kv: Kv, timeout_ms: int) -> int:
    """
    The same, and let it leave memory.
    """
    return int(lib.faster_kv_evict(kv.c, timeout_ms))


def kv_resume(kv: Kv) -> None:
    """
    Let writing begin again after it has failed.
    """
    _check(lib.faster_kv_resume_writes(kv.c), "resuming writes")


def kv_failure(kv: Kv) -> tuple[int, int, int]:
    """
    What stopped writing to the device: a status, 0 for nothing, and from which address
    to which.
    """
    start, end = ffi.new("uint64_t *"), ffi.new("uint64_t *")
    status = int(lib.faster_kv_failure(kv.c, start, end))
    return status, int(start[0]), int(end[0])


def kv_grow_index(kv: Kv) -> None:
    """
    Start doubling the index now.
    """
    _check(lib.faster_kv_grow_index(kv.c), "growing the index")


def kv_drain(kv: Kv, timeout_ms: int) -> int:
    """
    Bring updates of sessions that were dropped to their end; gives the status.
    """
    return int(lib.faster_kv_drain(kv.c, timeout_ms))


# --- sessions -----------------------------------------------------------------------


def session_open(kv: Kv) -> int:
    """
    Open a session.

    Returns:
        The address of its `struct faster_session`. The caller frees it through the
        table of functions, and keeps `kv` until then.
    """
    out = ffi.new("struct faster_session **")
    _check(lib.faster_session_open(kv.c, out), "opening a session")
    return int(ffi.cast("uintptr_t", out[0]))


def _session(address: int, where: str) -> Any:
    """
    The session at an address; 0 is that of one whose finalizer has run.
    """
    if address == 0:
        raise error_for(CLOSED, where)
    return ffi.cast("struct faster_session *", address)


def session_wait(session: int) -> None:
    """
    Let other threads go on before a call is made again.
    """
    lib.faster_session_wait(_session(session, "waiting"))


def session_notify(session: int, descriptor: int) -> None:
    """
    Have a number of 8 bytes written to a descriptor whenever the device has completed
    something; -1 for none.
    """
    where = _session(session, "notifying")
    _check(lib.faster_session_notify(where, descriptor), "notifying")


def session_drain(session: int, timeout_ms: int) -> int:
    """
    Bring the session's operations to their end; gives the status.
    """
    return int(lib.faster_session_drain(_session(session, "draining"), timeout_ms))


def session_updates(session: int) -> int:
    """
    How many updates of the session are on their way.
    """
    if session == 0:  # that of one whose finalizer has run
        return 0
    return int(lib.faster_session_updates(_session(session, "closing")))


# --- scans --------------------------------------------------------------------------


class Cursor:
    """
    Where a scan stands.

    Args:
        position: Where it begins; 0 for the beginning.

        end: Where it ends; 0 with position 0 for the present tail.

        places: Room for the place behind each row, or None.

        keep: The store's handle, which must outlive the pages that the cursor holds.
    """

    __slots__ = ("_borrowed", "_keep", "c")

    def __init__(
        self,
        position: int = 0,
        end: int = 0,
        places: Buffer | None = None,
        keep: object = None,
    ) -> None:
        self._keep = keep
        self._borrowed = ffi.NULL
        if places is not None:
            self._borrowed = ffi.from_buffer("uint64_t[]", places)
        self.c = ffi.new("struct faster_cursor *", {"position": position, "end": end})
        self.c.places = self._borrowed

    @property
    def position(self) -> int:
        """
        Where the next call goes on.
        """
        return int(self.c.position)

    @property
    def end(self) -> int:
        """
        Where the scan ends.
        """
        return int(self.c.end)

    def __del__(self) -> None:
        lib.faster_cursor_close(self.c)


def scan_next(
    session: int, cursor: Cursor, keys: Results, values: Results | None, count: int
) -> tuple[int, int, int]:
    """
    Give the next live records, at most `count`.

    Returns:
        How many were found, and how much room the next record's key and value need
        when it did not fit; both 0 when it did.

    Cost: one C call, GIL released throughout.
    """
    session_c = _session(session, "scanning")
    keys.require(count)
    if values is not None:
        values.require(count)
    found, need_key, need_value = (ffi.new("uint64_t *") for _ in range(3))
    with _Borrowed() as borrowed:
        rooms = _results(borrowed, keys), _results(borrowed, values)
        needs = found, need_key, need_value
        status = lib.faster_scan_next(session_c, cursor.c, *rooms, count, *needs)
    if _check(status, "scanning") == lib.FASTER_SHORT and found[0] == 0:
        return 0, int(need_key[0]), int(need_value[0])
    return int(found[0]), 0, 0


# --- views --------------------------------------------------------------------------


def view_open(kv: Kv, session: int, key: Buffer) -> tuple[int, memoryview | None]:
    """
    Borrow a value of a record that cannot change any more.

    Returns:
        The outcome, and the value when it is FASTER_OK. The record stays pinned until
        the memoryview and all its slices are released or collected.

    Shape: uint8 (size,), read-only.
    """
    view = ffi.new("struct faster_view *")
    session_c = _session(session, "read_view")
    with _Borrowed() as borrowed:
        data = borrowed.take("uint8_t", view_of(key))
        status = lib.faster_view_open(session_c, data, len(data), view)
    if _check(status, "read_view") != lib.FASTER_OK:
        return status, None
    # The last slice to go gives the record back.
    parts = kv.c, view, ffi.addressof(lib, "faster_view_close")
    addresses = (int(ffi.cast("uintptr_t", part)) for part in parts)
    return status, memoryview(_hot.view(kv.handle, *addresses))


def view_close(view: memoryview) -> None:
    """
    Give a borrowed value back; a second call does nothing.
    """
    view.release()


def hash_bytes(hash: int, data: Buffer, seed: int = 0) -> int:
    """
    Hash some bytes as the store hashes keys.

    Args:
        hash: A number of `enum faster_hash`.

        data: What to hash.

        seed: A number below 2 to the 64.
    """
    with _Borrowed() as borrowed:
        view = borrowed.take("uint8_t", view_of(data))
        return int(lib.faster_hash_bytes(hash, view, len(view), seed))


_check_build()
# The other compiled module reaches the core through this table.
_hot.init(int(ffi.cast("uintptr_t", lib.faster_hot_table())))
