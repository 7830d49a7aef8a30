# SPDX-License-Identifier: MIT
"""
Every error that pyfaster raises, and the one table from the core's numbers to them.

Each class also inherits the builtin it resembles, so that code which knows nothing of
pyfaster handles it sensibly. `error_for` is how a failed call into the core becomes an
exception; nothing else builds these from numbers.
"""

from __future__ import annotations

import errno
import os

from pyfaster._error_text import KEY_SIZE_MAX as KEY_SIZE_MAX
from pyfaster._error_text import Place as Place
from pyfaster._error_text import figures_of, opening

_NOTHING = "; nothing changed"
_CORRUPT = -5001
_DAMAGED = (
    "its record on the device fails its checksum or its bounds; other keys are not "
    "affected: set this one anew, or recover from an older checkpoint"
)
_UNREACHED = "; nothing changed: try again, and look after the device if it goes on"
#: Failures of a whole call, which no item of a batch is to blame for.
_OF_CALLS = (-5004, -5006, -5007)


class FasterError(Exception):
    """
    The root of all errors of pyfaster.

    Attributes:
        status: The core's number for the failure; 0 when the core was not asked.
    """

    def __init__(self, *args: object, status: int = 0) -> None:
        super().__init__(*args)
        self.status = status


class ConfigError(FasterError, ValueError):
    """
    A setting is unknown, out of range, or contradicts another.
    """


class CodecError(ConfigError, TypeError):
    """
    There is no codec for what was asked, or it may not serve where it was put.
    """


class PluginError(FasterError, RuntimeError):
    """
    A plugin failed: it raised, answered a hook wrongly, or claims a name twice.
    """


class PluginWarning(RuntimeWarning):
    """
    A plugin failed where nobody asked for it; the store goes on without it.
    """


class PluginMissingError(FasterError, ImportError):
    """
    What was asked needs a distribution that is not installed.
    """


class InterfaceMismatchError(FasterError, ImportError):
    """
    Two parts of pyfaster were built for different interfaces.
    """


class StoreLockedError(FasterError, BlockingIOError):
    """
    Another process, or another object of this one, owns the store.
    """


class SessionBusyError(FasterError, RuntimeError):
    """
    Two threads used one session at once, or a session's name is live already.
    """


class ClosedError(FasterError, RuntimeError):
    """
    The store or the session has been closed.
    """


class ForkedError(FasterError, RuntimeError):
    """
    The handle was opened by the parent of this process.
    """


class DeadlineError(FasterError, TimeoutError):
    """
    The deadline passed before the work was done.
    """


class CorruptionError(FasterError, ValueError):
    """
    Stored bytes fail their checksum or their bounds.
    """


class CorruptRecordError(CorruptionError):
    """
    One record's bytes are damaged; other keys are not affected.
    """


class CorruptCheckpointError(CorruptionError):
    """
    A checkpoint's files are damaged or incomplete.

    Attributes:
        token: The checkpoint's name; "" when it is of none in particular.
    """

    def __init__(self, *args: object, status: int = 0, token: str = "") -> None:
        super().__init__(*args, status=status)
        self.token = token


class CorruptLogError(CorruptionError):
    """
    The durable log's files are damaged before their committed end.

    Attributes:
        damage: Where, and how, as `pyfaster.flog.Damage`; None when it is no entry's.
    """

    damage: object = None


class LogCutError(FasterError, LookupError):
    """
    The end of the durable log was cut off below the place that was to be read.
    """


class LogTruncatedError(FasterError, LookupError):
    """
    The durable log now begins above the place that was to be read.
    """


class LogAddressError(FasterError, ValueError):
    """
    The address is no entry's of the durable log, or is not committed.
    """


class UnsupportedFormatError(FasterError, ValueError):
    """
    Stored bytes are of another format, layout, codec or hash.
    """


class DeviceError(FasterError, OSError):
    """
    The system refused an operation; `errno` says why.
    """


class DurabilityError(DeviceError):
    """
    Writing to the durable log's device has failed: nothing more becomes durable.

    Attributes:
        start: The first address that could not be made durable.

        until: The address behind the last; 0: all that was appended.

        durable: Everything below is durable, and stays readable.
    """

    start = 0
    until = 0
    durable = 0


class CheckpointFailedError(FasterError, RuntimeError):
    """
    This checkpoint could not be taken; the store and older checkpoints are usable.
    """


class CheckpointBusyError(CheckpointFailedError):
    """
    Another checkpoint of the store is being taken.
    """


class CheckpointNotFoundError(FasterError, LookupError):
    """
    There is no checkpoint of this name.
    """


class UnknownSessionError(FasterError, LookupError):
    """
    No checkpoint knows a session of this name.
    """


class ReadOnlyError(FasterError, PermissionError):
    """
    The store is a checkpoint that was opened for reading.
    """


class KeyTooLargeError(FasterError, ValueError):
    """
    The key is larger, or of another size, than the store allows.
    """


class ValueTooLargeError(FasterError, ValueError):
    """
    The value is larger, or of another size, than the store allows.
    """


class StoreFullError(FasterError, MemoryError):
    """
    The memory budget is used up; nothing was changed and nothing was lost.
    """


class OutOfMemoryError(FasterError, MemoryError):
    """
    The system gave no memory; nothing was changed.
    """


class TooManySessionsError(FasterError, RuntimeError):
    """
    All session slots are taken.
    """


class MergeError(FasterError, TypeError):
    """
    The merge does not apply to this store's values.
    """


class MergeOverflowError(FasterError, OverflowError):
    """
    The merged value does not fit the value's type; the old one is unchanged.
    """


#: Status to (class, what was found, what to do). The only such table.
STATUS_ERRORS: dict[int, tuple[type[FasterError], str, str]] = {
    -5001: (
        CorruptionError,
        "stored bytes fail their checksum or their bounds",
        "recover from an older checkpoint",
    ),
    -5002: (
        InterfaceMismatchError,
        "the two sides were built for different interfaces",
        "install pyfaster and its plugins in versions that belong together",
    ),
    -5003: (
        UnsupportedFormatError,
        "stored bytes are of another format or layout",
        "open it with the settings and the version that wrote it",
    ),
    -5004: (
        ClosedError,
        "the store or session has been closed",
        "open a new one",
    ),
    -5005: (
        StoreFullError,
        "the memory budget is used up; nothing changed",
        "open with a larger memory=; keys that exist can still be read, deleted "
        "and updated in place",
    ),
    -5006: (
        SessionBusyError,
        "another thread is inside this session",
        "give each thread a session of its own with store.session()",
    ),
    -5007: (
        ForkedError,
        "the handle belongs to the parent of this process",
        "open stores after fork(), or use the 'spawn' start method",
    ),
    -5008: (
        TooManySessionsError,
        "all session slots are taken",
        "close sessions that are not used, or open with a larger sessions_max=",
    ),
    -5009: (
        KeyTooLargeError,
        "the key is larger or of another size than allowed",
        "store a digest of the key and keep the long form in the value",
    ),
    -5010: (
        ValueTooLargeError,
        "the value is larger or of another size than allowed",
        "split it, or open with a larger page_size=",
    ),
    -5011: (
        MergeError,
        "the merge does not apply to this store's values",
        "use a merge for the value's type, or update(key, function)",
    ),
    -5012: (
        MergeOverflowError,
        "the result does not fit the value's type; nothing changed",
        "use a wider value type",
    ),
    -5013: (
        ConfigError,
        "a setting is out of range or contradicts another",
        "see pyfaster.StoreConfig for the ranges",
    ),
    -5014: (
        DeadlineError,
        "the deadline passed before the work was done",
        "call again, or allow more time",
    ),
    -errno.ENOMEM: (
        OutOfMemoryError,
        "the system gave no memory; nothing changed",
        "open with a smaller memory=, or free memory",
    ),
}


def error_for(
    status: int,
    where: object,
    key: object = None,
    *,
    size: int | None = None,
    limit: int | None = None,
) -> FasterError:
    """
    Make the exception for a negative status.

    Args:
        status: What the core returned: a failure of `status.h`, or -errno.

        where: What failed: a text, or a `Place` whose figures the message quotes.

        key: The key as the user or the core knows it, when there is one.

        size: How large the refused key or value was, when the caller knows.

        limit: How large it may be, when the caller knows.

    Returns:
        An exception, not raised, whose `status` is the number.
    """
    text = opening(where, key)
    if status in STATUS_ERRORS:
        kind, found, advice = STATUS_ERRORS[status]
        figures = figures_of(status, where, key, size, limit)
        return kind(f"{text}: {found}{figures}; {advice}", status=status)
    if -4096 < status < 0:
        return DeviceError(-status, f"{text}: {os.strerror(-status)}", status=status)
    return FasterError(
        f"{text}: the core gave the unknown status {status}; "
        "install pyfaster and its plugins in versions that belong together",
        status=status,
    )


def core_error(
    status: int,
    where: str,
    key: object,
    item: int,
    done: int,
    size: int,
    limit: int,
    page_size: int,
    note: str | None,
) -> FasterError:
    """
    Make the exception for an operation that the C module ran.

    Args:
        status: As in `error_for`.

        where: The operation.

        key: The key as the user gave it, or None.

        item: Which item of a batch failed; -1 outside of batches.

        done: How many items of a batch were done before; -1 outside of batches.

        size: How large the refused key or value was; -1 when unknown.

        limit: How large it may be; 0 when unknown.

        page_size: The store's; 0 when it does not matter.

        note: What was found, where the status says too little.
    """
    if status in _OF_CALLS:
        item, key = -1, None
    place = f"{where}: item {item:,}" if item >= 0 else where
    error = error_for(
        status,
        Place(place, page_size=page_size),
        key,
        size=None if size < 0 else size,
        limit=limit or None,
    )
    (text,) = error.args[-1:]
    begin = opening(place, key)
    if status == _CORRUPT:
        error = CorruptRecordError(text, status=status)
        text = f"{begin}: {_DAMAGED}"
    elif isinstance(error, DeviceError):
        text = f"{begin}: the device failed: {os.strerror(-status)}{_UNREACHED}"
    if note is not None:
        text = f"{begin}: {note}"
    if done >= 0:
        text = text.replace(_NOTHING, "") + _NOTHING
    if done > 0:
        some = "item 0 was" if done == 1 else f"items 0 to {done - 1:,} were"
        text = f"{text.removesuffix(_NOTHING)}; {some} done"
    error.args = (*error.args[:-1], text)
    if isinstance(error, DeviceError):
        error.strerror = text  # which is what str() shows
    return error


def pip_line(extra: str) -> str:
    """
    What a user types to get an optional part of pyfaster.
    """
    return f'pip install "pyfaster[{extra}]"'


__all__ = [
    "KEY_SIZE_MAX",
    "STATUS_ERRORS",
    "CheckpointBusyError",
    "CheckpointFailedError",
    "CheckpointNotFoundError",
    "ClosedError",
    "CodecError",
    "ConfigError",
    "CorruptCheckpointError",
    "CorruptLogError",
    "CorruptRecordError",
    "CorruptionError",
    "DeadlineError",
    "DeviceError",
    "DurabilityError",
    "FasterError",
    "ForkedError",
    "InterfaceMismatchError",
    "KeyTooLargeError",
    "LogAddressError",
    "LogCutError",
    "LogTruncatedError",
    "MergeError",
    "MergeOverflowError",
    "OutOfMemoryError",
    "Place",
    "PluginError",
    "PluginMissingError",
    "PluginWarning",
    "ReadOnlyError",
    "SessionBusyError",
    "StoreFullError",
    "StoreLockedError",
    "TooManySessionsError",
    "UnknownSessionError",
    "UnsupportedFormatError",
    "ValueTooLargeError",
    "core_error",
    "error_for",
    "pip_line",
]
