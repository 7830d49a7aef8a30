# SPDX-License-Identifier: MIT
"""
The boundary for checkpoints and recovery: beside `_cabi` what sees `ffi` and `lib`.

As `_cabi`: one boring function per C function of faster/api.h, which check, borrow,
call and translate. Loaded when a store is opened that keeps checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyfaster import _cabi
from pyfaster._checkpoint_values import KINDS, PARTS, PHASES, Block
from pyfaster._native import ffi, lib
from pyfaster.errors import CorruptionError, error_for

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: The core's numbers, by the words that Python uses.
KIND = dict(zip(KINDS, (1, 2, 3, 4), strict=True))
PHASE = dict(enumerate(PHASES))
PART = dict(zip(PARTS, (1, 2, 3), strict=True))

SHORT = int(lib.FASTER_SHORT)
RETRY = int(lib.FASTER_RETRY)
CORRUPT = int(lib.FASTER_E_CORRUPT)
TIMEOUT = int(lib.FASTER_E_TIMEOUT)
BUSY = int(lib.FASTER_E_BUSY)


def _check(status: int, where: str) -> int:
    if status < 0:
        raise error_for(status, where)
    return status


@contextmanager
def _bytes_of(data: Buffer, *, writable: bool = False) -> Iterator[tuple[Any, int]]:
    """
    Borrow a buffer for one call.
    """
    with memoryview(data).cast("B") as view:
        borrowed = ffi.from_buffer("uint8_t[]", view, require_writable=writable)
        try:
            yield borrowed, len(view)
        finally:
            ffi.release(borrowed)


# --- sessions -----------------------------------------------------------------------


def session_resume(kv: _cabi.Kv, number: int, serial: int) -> int:
    """
    Open a session that checkpoints keep a commit point of; give its address.

    Args:
        kv: The store.

        number: Its own, not 0.

        serial: Behind which it goes on, unless one of this number was open before.
    """
    out = ffi.new("struct faster_session **")
    _check(lib.faster_session_resume(kv.c, number, serial, out), "resuming a session")
    return int(ffi.cast("uintptr_t", out[0]))


def session_forget(kv: _cabi.Kv, number: int) -> int:
    """
    Keep a closed session's commit point no longer; gives the status.
    """
    return int(lib.faster_session_forget(kv.c, number))


# --- a checkpoint -------------------------------------------------------------------


def checkpoint_begin(
    kv: _cabi.Kv,
    *,
    kind: int,
    with_index: bool,
    base_version: int,
    base_final: int,
    seed: int,
) -> Any:
    """
    Begin a checkpoint; gives its handle, which `checkpoint_end` frees.
    """
    fields = {
        "size": ffi.sizeof("struct faster_checkpoint_config"),
        "kind": kind,
        "with_index": int(with_index),
        "base_version": base_version,
        "base_final": base_final,
        "seed": seed,
    }
    config = ffi.new("struct faster_checkpoint_config *", fields)
    out = ffi.new("struct faster_checkpoint **")
    _check(lib.faster_checkpoint_begin(kv.c, config, out), "beginning a checkpoint")
    return out[0]


def checkpoint_advance(checkpoint: Any, timeout_ms: int) -> int:
    """
    Go on to the next phase; gives the status.
    """
    return int(lib.faster_checkpoint_advance(checkpoint, timeout_ms))


def checkpoint_facts(checkpoint: Any) -> dict[str, int]:
    """
    What is known so far, by the names of `struct faster_checkpoint_facts`.
    """
    facts = ffi.new("struct faster_checkpoint_facts *")
    facts.size = ffi.sizeof("struct faster_checkpoint_facts")
    lib.faster_checkpoint_facts_of(checkpoint, facts)
    names = (name for name, _ in ffi.typeof("struct faster_checkpoint_facts").fields)
    return {name: int(getattr(facts, name)) for name in names if name != "size"}


def checkpoint_points(checkpoint: Any, capacity: int) -> dict[int, int]:
    """
    The captured commit points: number of a session to serial number.
    """
    points = ffi.new("struct faster_point[]", max(capacity, 1))
    count = ffi.new("uint64_t *")
    where = "taking commit points"
    status = lib.faster_checkpoint_points(checkpoint, points, capacity, count)
    _check(status, where)
    found = (points[i] for i in range(count[0]))
    return {int(point.id): int(point.serial) for point in found}


def checkpoint_read(checkpoint: Any, part: int, buffer: memoryview) -> int | None:
    """
    Fill a buffer with the next blocks of a stream; None: the stream begins anew.

    Cost: one C call, GIL released throughout.
    """
    size = ffi.new("uint64_t *")
    with _bytes_of(buffer, writable=True) as (data, room):
        status = lib.faster_checkpoint_read(checkpoint, part, data, room, size)
    if _check(status, "reading a checkpoint's stream") == RETRY:
        return None
    return int(size[0])


def checkpoint_end(checkpoint: Any) -> None:
    """
    End a checkpoint, and free its handle.
    """
    lib.faster_checkpoint_end(checkpoint)


# --- recovery -----------------------------------------------------------------------


def recovery_begin(
    kv: _cabi.Kv,
    skips: Sequence[tuple[int, int, int]],
    generations: Sequence[tuple[int, int]],
    **fields: int,
) -> Any:
    """
    Begin a recovery; gives its handle, which `recovery_free` frees.

    Args:
        kv: A store that was opened for it and has no sessions.

        skips: (from, until, version).

        generations: (first address, number); none: the store's own.

        **fields: The others of `struct faster_recovery_config`, but for `size`.
    """
    rows = [
        {"from": start, "until": until, "version": version}
        for start, until, version in skips
    ]
    ranges = ffi.new("struct faster_skip[]", rows) if rows else ffi.NULL
    lives = [{"first": first, "number": number} for first, number in generations]
    numbers = ffi.new("struct faster_generation[]", lives) if lives else ffi.NULL
    known = {
        "size": ffi.sizeof("struct faster_recovery_config"),
        "skips": ranges,
        "skip_count": len(rows),
        "generations": numbers,
        "generation_count": len(lives),
        **fields,
    }
    config = ffi.new("struct faster_recovery_config *", known)
    out = ffi.new("struct faster_recovery **")
    _check(lib.faster_recovery_begin(kv.c, config, out), "beginning a recovery")
    return out[0]


def recovery_index(recovery: Any, blocks: Buffer) -> int:
    """
    Take whole blocks of the index's copy; gives the status.
    """
    with _bytes_of(blocks) as (data, size):
        return int(lib.faster_recovery_index(recovery, data, size))


def recovery_log(recovery: Any, start: int, until: int) -> int:
    """
    Read, verify and link a range of the log's device; gives the status.

    Cost: one C call that reads the range, GIL released throughout.
    """
    return int(lib.faster_recovery_log(recovery, start, until))


def recovery_pages(recovery: Any, address: int, data: Buffer) -> int:
    """
    Take the log's next bytes; gives the status.
    """
    with _bytes_of(data) as (view, size):
        return int(lib.faster_recovery_pages(recovery, address, view, size))


def recovery_finish(recovery: Any) -> int:
    """
    Make the store usable; gives the status.
    """
    return int(lib.faster_recovery_finish(recovery))


def recovery_damage(recovery: Any) -> tuple[int, int]:
    """
    Where damage was found last, and what: a number of the core's.
    """
    damage = ffi.new("struct faster_damage *")
    lib.faster_recovery_damage(recovery, damage)
    return int(damage.address), int(damage.what)


def recovery_free(recovery: Any) -> None:
    """
    Free the handle.
    """
    lib.faster_recovery_free(recovery)


# --- blocks -------------------------------------------------------------------------


def block_next(data: Buffer, seed: int, part: int, number: int) -> Block | None:
    """
    Verify the block at the beginning of a buffer; None when the buffer is too short.
    """
    block = ffi.new("struct faster_block *")
    with _bytes_of(data) as (view, size):
        status = lib.faster_block_next(view, size, seed, part, number, block)
    if status == CORRUPT:
        raise CorruptionError(
            f"block {number:,} of a checkpoint's file fails its checksum or is another "
            "one; recover from another checkpoint",
            status=status,
        )
    if _check(status, "verifying a block") == SHORT:
        return None
    return Block(
        int(block.payload), int(block.bytes), int(block.whole), bool(block.last)
    )


def image_apply(image: memoryview, address: int, payload: Buffer) -> int:
    """
    Put a delta's records over a piece of the log; gives how many lay in it.
    """
    applied = ffi.new("uint64_t *")
    with _bytes_of(image, writable=True) as (target, size):
        with _bytes_of(payload) as (source, length):
            status = lib.faster_image_apply(
                target, address, size, source, length, applied
            )
    _check(status, "applying a delta")
    return int(applied[0])


__all__ = [
    "BUSY",
    "CORRUPT",
    "KIND",
    "PART",
    "PHASE",
    "TIMEOUT",
    "block_next",
    "checkpoint_advance",
    "checkpoint_begin",
    "checkpoint_end",
    "checkpoint_facts",
    "checkpoint_points",
    "checkpoint_read",
    "image_apply",
    "recovery_begin",
    "recovery_damage",
    "recovery_finish",
    "recovery_free",
    "recovery_index",
    "recovery_log",
    "recovery_pages",
    "session_forget",
    "session_resume",
]
