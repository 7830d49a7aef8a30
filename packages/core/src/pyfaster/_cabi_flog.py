# SPDX-License-Identifier: MIT
"""
The boundary for durable logs: beside `_cabi` what sees the C core's `ffi` and `lib`.

As `_cabi`: one boring function per C function of faster/flog.h, which check, borrow,
call and translate. A log is passed as its address; whoever holds its handle keeps it
alive. Functions that wait, or fail in ways that only a log can, give their status.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyfaster import _hot
from pyfaster._cabi_devices import check, config_of, fields_of, table_at
from pyfaster._cabi_figures import histogram_of, timed_by
from pyfaster._flog_values import (
    DAMAGES,
    Commit,
    CommitRecord,
    Damage,
    Found,
    Life,
    Slot,
)
from pyfaster._native import ffi, lib
from pyfaster.errors import error_for

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from pyfaster._histogram import Histogram

OK = int(lib.FASTER_OK)
NOT_FOUND = int(lib.FASTER_NOT_FOUND)
CORRUPT = int(lib.FASTER_E_CORRUPT)
TIMEOUT = int(lib.FASTER_E_TIMEOUT)
CLOSED = int(lib.FASTER_E_CLOSED)
BUSY = int(lib.FASTER_E_BUSY)
VALUE_SIZE = int(lib.FASTER_E_VALUE_SIZE)

#: The kinds of entries by name.
KINDS = {"data": int(lib.FASTER_FLOG_DATA), "commit": int(lib.FASTER_FLOG_COMMIT)}

#: Limits of the core.
COOKIE_MAX = int(lib.FASTER_FLOG_COOKIE_MAX)
ATTACHMENT_MAX = int(lib.FASTER_FLOG_ATTACHMENT_MAX)
LIVES_MAX = int(lib.FASTER_FLOG_LIVES_MAX)


def _log(address: int) -> Any:
    """
    The log at an address; 0 is that of one that is garbage.
    """
    if address == 0:
        raise error_for(CLOSED, "a log")
    return ffi.cast("struct faster_flog *", address)


def _lives(lives: Sequence[Life]) -> Any:
    rows = [(life.generation, life.first, life.until) for life in lives]
    return ffi.new("struct faster_flog_life[]", rows)


def _bytes_at(data: Any, size: int) -> bytes:
    return bytes(ffi.buffer(data, size)) if size else b""


def damage_of(what: int, address: int, expected: int, found: int) -> Damage | None:
    """
    Make a value of the numbers of `struct faster_flog_damage`; None when it is whole.
    """
    return Damage(address, DAMAGES[what], expected, found) if what else None


def _damage(c: Any) -> Damage | None:
    return damage_of(int(c.what), int(c.address), int(c.expected), int(c.found))


# --- the log ------------------------------------------------------------------------


def flog_open(device: int, lives: Sequence[Life], **fields: int) -> tuple[int, object]:
    """
    Open a log.

    Args:
        device: The address of its device's table, which is the log's from now on, also
            when this fails.

        lives: Of the log; appends go to the last one.

        **fields: Those of `struct faster_flog_config`, but for `size`; 0, which is what
            is left out, has the meaning given there.

    Returns:
        The log's address, and its handle: what frees it with the last reference.
    """
    rows = _lives(lives)
    config = config_of("faster_flog_config", fields)
    config.device = table_at(device)
    config.lives, config.life_count = rows, len(lives)
    out = ffi.new("struct faster_flog **")
    check(lib.faster_flog_open(config, out), "opening a log")
    address = int(ffi.cast("uintptr_t", out[0]))
    free = ffi.cast("uintptr_t", ffi.addressof(lib, "faster_flog_free"))
    return address, _hot.handle(address, int(free))


def flog_close(log: int, timeout_ms: int) -> int:
    """
    End it; gives the status.
    """
    return int(lib.faster_flog_close(_log(log), timeout_ms))


def flog_commit(log: int, until: int, timeout_ms: int) -> tuple[int, Commit]:
    """
    Make everything below an address durable; gives the status, too.
    """
    out = ffi.new("struct faster_flog_commit *")
    status = int(lib.faster_flog_commit(_log(log), until, timeout_ms, out))
    return status, Commit(int(out.number), int(out.until))


def flog_commit_strong(log: int, cookie: Buffer, timeout_ms: int) -> tuple[int, Commit]:
    """
    The same for all there is, with a record of its own.
    """
    out = ffi.new("struct faster_flog_commit *")
    data = bytes(cookie)
    status = int(
        lib.faster_flog_commit_strong(_log(log), data, len(data), timeout_ms, out)
    )
    return status, Commit(int(out.number), int(out.until))


def flog_request(log: int, until: int) -> int:
    """
    Have it committed soon; gives the status.
    """
    return int(lib.faster_flog_request(_log(log), until))


def flog_committed(log: int) -> Commit:
    """
    What is durable.
    """
    out = ffi.new("struct faster_flog_commit *")
    lib.faster_flog_committed(_log(log), out)
    return Commit(int(out.number), int(out.until))


def flog_failed(log: int) -> tuple[int, int, int]:
    """
    Why nothing becomes durable any more, a status or 0, and for what range.
    """
    start, until = ffi.new("uint64_t *"), ffi.new("uint64_t *")
    status = int(lib.faster_flog_failed(_log(log), start, until))
    return status, int(start[0]), int(until[0])


def flog_wait_committed(log: int, seen: int, timeout_ms: int) -> int:
    """
    Wait until more is durable; gives the status.
    """
    return int(lib.faster_flog_wait_committed(_log(log), seen, timeout_ms))


def flog_wait(log: int, timeout_ms: int) -> int:
    """
    Wait until appending is worth another attempt; gives the status.
    """
    return int(lib.faster_flog_wait(_log(log), timeout_ms))


def flog_notify(log: int, descriptor: int) -> int:
    """
    Have a number of 8 bytes written whenever more is durable; gives the status.
    """
    return int(lib.faster_flog_notify(_log(log), descriptor))


def flog_notify_end(log: int, descriptor: int) -> None:
    """
    Have nothing more written to a descriptor, once this has returned.
    """
    lib.faster_flog_notify_end(_log(log), descriptor)


def flog_attach(log: int, data: Buffer) -> int:
    """
    What later commit records carry; gives the status.
    """
    copy = bytes(data)
    return int(lib.faster_flog_attach(_log(log), copy, len(copy)))


def flog_begin_at(log: int, address: int) -> int:
    """
    Let the log begin there; gives the status.
    """
    return int(lib.faster_flog_begin_at(_log(log), address))


def flog_free_space(log: int) -> int:
    """
    Give space below the beginning back; gives the status.
    """
    return int(lib.faster_flog_free_space(_log(log)))


def flog_suspend(log: int, timeout_ms: int) -> int:
    """
    Keep everybody from appending; gives the status.
    """
    return int(lib.faster_flog_suspend(_log(log), timeout_ms))


def flog_resume(log: int) -> None:
    """
    Let everybody append and commit again.
    """
    lib.faster_flog_resume(_log(log))


def flog_restart(log: int, lives: Sequence[Life], number: int) -> int:
    """
    Go on with other lives; gives the status.
    """
    rows = _lives(lives)
    return int(lib.faster_flog_restart(_log(log), rows, len(lives), number))


def flog_poison(log: int, status: int) -> None:
    """
    Stop for good, as a failed write does.
    """
    lib.faster_flog_poison(_log(log), status)


def flog_follow(log: int) -> tuple[int, Commit]:
    """
    Look whether another process has committed more; gives the status, too.
    """
    out = ffi.new("struct faster_flog_commit *")
    status = int(lib.faster_flog_follow(_log(log), out))
    return status, Commit(int(out.number), int(out.until))


def flog_stats(log: int) -> dict[str, int]:
    """
    Take the log's figures, by the names of `struct faster_flog_stats`.
    """
    stats = config_of("faster_flog_stats", {})
    check(lib.faster_flog_stats(_log(log), stats), "taking figures")
    figures = fields_of(stats)
    del figures["size"]
    return figures


_TIMED = timed_by("faster_flog_timed", "FASTER_FLOG_TIMED_")


def flog_histograms(log: int) -> dict[str, Histogram]:
    """
    Take all histograms of a log, by the names of `enum faster_flog_timed`.
    """
    taken = ffi.new("struct faster_histogram *")
    found = {}
    for number, name in _TIMED.items():
        check(lib.faster_flog_histogram(_log(log), number, taken), "taking figures")
        found[name] = histogram_of(taken)
    return found


# --- what outlives a crash ----------------------------------------------------------


def slot_write(slot: Slot) -> bytes:
    """
    Put a slot into bytes.
    """
    fields = {
        "sequence": slot.sequence,
        "log_id": slot.log_id,
        "page_size": slot.page_size,
        "begin": slot.begin,
        "until": slot.until,
        "number": slot.number,
        "life_count": len(slot.lives),
        "attachment_size": len(slot.attachment),
    }
    c, lives = ffi.new("struct faster_flog_slot *", fields), _lives(slot.lives)
    size, data, capacity = ffi.new("uint64_t *"), ffi.NULL, 0
    while True:  # ends: the second time there is the room that the first asked for
        given = (c, lives, slot.attachment, data, capacity, size)
        status = check(lib.faster_flog_slot_write(*given), "making a slot")
        if status == OK:
            return _bytes_at(data, int(size[0]))
        capacity = int(size[0])
        data = ffi.new("uint8_t[]", capacity)


def slot_read(data: Buffer) -> tuple[int, Slot | None]:
    """
    Take the bytes of a slot apart; gives the status, and None when it is a failure.
    """
    copy = ffi.from_buffer("uint8_t[]", bytes(data))
    c = ffi.new("struct faster_flog_slot *")
    lives = ffi.new("struct faster_flog_life[]", LIVES_MAX)
    attachment = ffi.new("void const **")
    status = int(lib.faster_flog_slot_read(copy, len(copy), c, lives, attachment))
    if status < 0:
        return status, None
    slot = Slot(
        sequence=int(c.sequence),
        log_id=int(c.log_id),
        page_size=int(c.page_size),
        begin=int(c.begin),
        until=int(c.until),
        number=int(c.number),
        lives=tuple(
            Life(int(life.generation), int(life.first), int(life.until))
            for life in lives[0 : int(c.life_count)]
        ),
        attachment=_bytes_at(attachment[0], int(c.attachment_size)),
    )
    return status, slot


def record_read(payload: Buffer) -> tuple[int, CommitRecord | None]:
    """
    Take a commit record's payload apart; gives the status, and None when it is a
    failure.
    """
    copy = ffi.from_buffer("uint8_t[]", bytes(payload))
    c = ffi.new("struct faster_flog_record *")
    status = int(lib.faster_flog_record_read(copy, len(copy), c))
    if status < 0:
        return status, None
    return status, CommitRecord(
        number=int(c.number),
        begin=int(c.begin),
        until=int(c.until),
        durable=int(c.durable),
        cookie=_bytes_at(c.cookie, int(c.cookie_size)),
        attachment=_bytes_at(c.attachment, int(c.attachment_size)),
    )


def flog_recover(
    device: int, life: Life, **fields: int
) -> tuple[int, Found | None, Damage | None]:
    """
    Follow a log from a slot's `until` on.

    Args:
        device: The address of its device's table, which stays the caller's.

        life: The slot's last.

        **fields: Those of `struct faster_flog_recovery_config`, but for `size`.

    Returns:
        The status; what was found, None when it is a failure; and the damage that is
        one.

    Cost: one C call that reads to the log's end, GIL released throughout.
    """
    config = config_of("faster_flog_recovery_config", fields)
    config.device = table_at(device)
    config.life = (life.generation, life.first, life.until)
    out = ffi.new("struct faster_flog_recovery **")
    damage = ffi.new("struct faster_flog_damage *")
    status = int(lib.faster_flog_recover(config, out, damage))
    if status < 0:
        return status, None, _damage(damage)
    try:
        return status, _found(out[0]), None
    finally:
        lib.faster_flog_recovery_free(out[0])


def _found(recovery: Any) -> Found:
    c = ffi.new("struct faster_flog_found *")
    lib.faster_flog_recovery_found(recovery, c)
    cookie = lib.faster_flog_recovery_cookie(recovery)
    attachment = lib.faster_flog_recovery_attachment(recovery)
    return Found(
        number=int(c.number),
        until=int(c.until),
        entries=int(c.entries),
        cut_entries=int(c.cut_entries),
        cut_until=int(c.cut_until),
        record=int(c.record),
        begin=int(c.begin),
        cookie=_bytes_at(cookie, int(c.cookie_size)),
        attachment=_bytes_at(attachment, int(c.attachment_size)),
        damage=_damage(c.damage),
    )
