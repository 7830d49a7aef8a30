# SPDX-License-Identifier: MIT
"""
From what the core says of a durable log to exceptions.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from pyfaster import _cabi_flog as cabi
from pyfaster import _hot
from pyfaster._devices import PythonDeviceServer
from pyfaster.errors import (
    ClosedError,
    CorruptLogError,
    DurabilityError,
    FasterError,
    LogAddressError,
    LogCutError,
    LogTruncatedError,
    ReadOnlyError,
    SessionBusyError,
    error_for,
)

if TYPE_CHECKING:
    from pyfaster._flog_values import Damage

_WHOLE = (0, 0, 0, 0)


def corrupt_error(
    where: str, damage: Damage | None, found: str = "stored bytes are damaged"
) -> CorruptLogError:
    """
    Make the exception for damage.

    Args:
        where: Begins the message.

        damage: Where it is, if that is known.

        found: What was found, when it is not.
    """
    what = found if damage is None else str(damage)
    error = CorruptLogError(
        f"{where}: {what}; what lies before it can be read: scan up to there, or go "
        "back to a copy of the log",
        status=cabi.CORRUPT,
    )
    error.damage = damage
    return error


def log_error(
    source: _hot.Log | _hot.LogScan,
    status: int,
    where: str,
    done: int = -1,
    size: int = -1,
    damage: tuple[int, int, int, int] = _WHOLE,
) -> FasterError:
    """
    Make the exception for what a log or a scan refused; the C module calls this.

    Args:
        source: What was used.

        status: What the core returned.

        where: The operation.

        done: How many entries of a batch were appended before; -1 outside of batches.

        size: Of a payload; -1 when unknown.

        damage: Address, kind, what was expected and what was found, as numbers.
    """
    if status == cabi.CORRUPT:
        address, what, expected, found = damage
        return corrupt_error(where, cabi.damage_of(what, address, expected, found))
    if status == cabi.CLOSED:
        return ClosedError(
            f"{where}: the log or the scan has been closed; open a new one",
            status=status,
        )
    if status == cabi.BUSY:
        return SessionBusyError(
            f"{where}: another thread is inside; give each thread a scan of its own, "
            "and cut a log off in one thread at a time",
            status=status,
        )
    if isinstance(source, _hot.LogScan):
        return _scan_error(source.log, status, where, source.position)
    if status == cabi.VALUE_SIZE:
        most = source.payload_max
        return error_for(status, where, size=size if size >= 0 else None, limit=most)
    failure = _failure(source, status, where, done)
    if failure is None and where == "scan":
        return _scan_error(source, status, where, 0)
    return failure or _misuse(status, where)


def _scan_error(
    log: _hot.Log | None, status: int, where: str, position: int
) -> FasterError:
    if status == -errno.ERANGE:
        text = "the log was cut off below this scan's place"
        return LogCutError(f"{where}: {text}; begin another scan", status=status)
    if status == -errno.ENOENT and log is not None and log.address:
        begin = cabi.flog_stats(log.address)["address_begin"]
        if position < begin:
            text = f"the log now begins at address {begin:,}, above this scan's place"
            return LogTruncatedError(
                f"{where}: {text}; begin another scan", status=status
            )
    return _misuse(status, where)


def _misuse(status: int, where: str) -> FasterError:
    if status == -errno.EINVAL:
        return LogAddressError(
            f"{where}: the address is no entry's, or outside of what is committed; "
            "addresses are what append() gave, and a scan's entries",
            status=status,
        )
    if status == -errno.EROFS:
        return ReadOnlyError(
            f"{where}: the log was opened for reading; its writer may append",
            status=status,
        )
    return error_for(status, where)


def _failure(
    log: _hot.Log, status: int, where: str, done: int
) -> DurabilityError | None:
    """
    The exception for a log that has failed for good; None when it has not.
    """
    if log.address == 0 or not -4096 < status < 0:
        return None
    failed, start, until = cabi.flog_failed(log.address)
    if failed != status:
        return None
    durable = cabi.flog_committed(log.address).until
    some = f"; {done:,} entries of the batch were appended" if done > 0 else ""
    error = DurabilityError(
        -status,
        f"{where}: writing to the device has failed at [{start:,}, {until:,}): "
        f"{os.strerror(-status)}; everything below {durable:,} is durable and can be "
        f"read, nothing more will be: remove the cause and open the log anew{some}",
        status=status,
    )
    error.start, error.until, error.durable = start, until, durable
    error.__cause__ = _cause(log.owner)
    return error


def _cause(owner: object) -> BaseException | None:
    """
    What a device in Python raised last, when it was to write or to sync.
    """
    if isinstance(owner, PythonDeviceServer):
        for failure in reversed(tuple(owner.failures)):
            if failure.kind in ("write", "sync"):
                return failure.error
    return None


__all__ = ["corrupt_error", "log_error"]
