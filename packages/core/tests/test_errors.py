# SPDX-License-Identifier: MIT
"""Every status has an exception, and every exception says what a user needs."""

from __future__ import annotations

import copy
import errno
import inspect

import pytest

from pyfaster import _cabi, errors
from pyfaster.errors import STATUS_ERRORS, FasterError, Place, error_for

FAILURES = {
    name: number
    for name, number in _cabi.enumerators("faster_status").items()
    if number < 0
}
CLASSES = [
    thing
    for _, thing in inspect.getmembers(errors, inspect.isclass)
    if issubclass(thing, FasterError)
]

BUILTINS = {
    "CheckpointBusyError": RuntimeError,
    "CheckpointFailedError": RuntimeError,
    "CheckpointNotFoundError": LookupError,
    "ClosedError": RuntimeError,
    "CodecError": TypeError,
    "ConfigError": ValueError,
    "CorruptCheckpointError": ValueError,
    "CorruptLogError": ValueError,
    "CorruptRecordError": ValueError,
    "CorruptionError": ValueError,
    "DeadlineError": TimeoutError,
    "DeviceError": OSError,
    "DurabilityError": OSError,
    "ForkedError": RuntimeError,
    "InterfaceMismatchError": ImportError,
    "KeyTooLargeError": ValueError,
    "LogAddressError": ValueError,
    "LogCutError": LookupError,
    "LogTruncatedError": LookupError,
    "MergeError": TypeError,
    "MergeOverflowError": OverflowError,
    "OutOfMemoryError": MemoryError,
    "PluginError": RuntimeError,
    "PluginMissingError": ImportError,
    "ReadOnlyError": PermissionError,
    "SessionBusyError": RuntimeError,
    "StoreFullError": MemoryError,
    "StoreLockedError": BlockingIOError,
    "TooManySessionsError": RuntimeError,
    "UnknownSessionError": LookupError,
    "UnsupportedFormatError": ValueError,
    "ValueTooLargeError": ValueError,
}


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_of_the_core_has_an_exception(name: str) -> None:
    """Each negative status of the core's enum is in the table, with its number."""
    error = error_for(FAILURES[name], "somewhere")
    assert type(error) is STATUS_ERRORS[FAILURES[name]][0]
    assert error.status == FAILURES[name]
    assert type(error) is not FasterError


def test_the_table_holds_nothing_that_the_core_cannot_give() -> None:
    """Apart from system errors, the table and the enum have the same numbers."""
    ours = {status for status in STATUS_ERRORS if status < -4095}
    assert ours == set(FAILURES.values())


@pytest.mark.parametrize("name", FAILURES)
def test_a_message_says_what_where_and_what_to_do(name: str) -> None:
    """A message holds the place, the key, the core's own sentence, and advice."""
    status = FAILURES[name]
    message = str(error_for(status, "reading", b"apples"))
    assert message.startswith("reading: key b'apples': ")
    sentence = _cabi.error_text(status).rstrip(".").lower()
    words = {word.strip(".,;") for word in sentence.split()}
    assert len(words & set(message.lower().replace(";", " ").split())) >= 3
    assert message.rstrip().count(";") >= 1


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_each_error_is_also_the_builtin_it_resembles(kind: type[FasterError]) -> None:
    """Each class inherits FasterError and the builtin that the contract names."""
    assert issubclass(kind, FasterError)
    if kind is not FasterError:
        assert issubclass(kind, BUILTINS[kind.__name__])
    assert kind.__doc__


def test_no_error_shadows_a_builtin() -> None:
    """No class has the name of a builtin exception."""
    import builtins

    assert not [kind for kind in CLASSES if hasattr(builtins, kind.__name__)]


def test_every_error_is_public() -> None:
    """Every error class can be imported from the package."""
    import pyfaster

    for kind in CLASSES:
        assert getattr(pyfaster, kind.__name__) is kind
        assert kind.__name__ in pyfaster.__all__


def test_a_system_error_keeps_its_errno() -> None:
    """-errno becomes a DeviceError with that errno and the system's text."""
    error = error_for(-errno.EIO, "flushing page 3")
    assert isinstance(error, errors.DeviceError)
    assert isinstance(error, OSError)
    assert error.errno == errno.EIO
    assert error.status == -errno.EIO
    assert "flushing page 3" in str(error)


def test_no_memory_is_a_memory_error() -> None:
    """-ENOMEM is a MemoryError, not an OSError."""
    error = error_for(-errno.ENOMEM, "opening", None)
    assert isinstance(error, MemoryError)
    assert not isinstance(error, OSError)


def test_an_unknown_status_is_still_an_error() -> None:
    """A number that no table knows gives the root error with the number in it."""
    error = error_for(-9999, "somewhere")
    assert type(error) is FasterError
    assert "-9999" in str(error)


def test_a_full_store_says_its_budget_and_how_to_raise_it() -> None:
    """StoreFullError quotes the budget of the place, and names the setting."""
    place = Place("store ':memory:'", memory=1 << 20)
    message = str(error_for(-5005, place, b"k"))
    assert "1,048,576 bytes" in message
    assert "memory=" in message


def test_a_large_key_says_its_size_and_the_limit() -> None:
    """KeyTooLargeError gives the key's size, the limit, and not the whole key."""
    message = str(error_for(-5009, "upsert", b"x" * 70_000))
    assert "70,000 bytes" in message
    assert "65,535" in message
    assert len(message) < 400


def test_a_text_key_is_measured_in_bytes() -> None:
    """The size of a str key is that of its UTF-8 form."""
    assert "80,000 bytes" in str(error_for(-5009, "upsert", "é" * 40_000))


def test_a_large_value_says_the_page() -> None:
    """ValueTooLargeError quotes the page size and names the setting."""
    message = str(error_for(-5010, Place("store", page_size=4096), b"k", size=5000))
    assert "4,096" in message
    assert "5,000" in message
    assert "page_size=" in message


@pytest.mark.parametrize("status", [*sorted(STATUS_ERRORS), -errno.EIO])
def test_errors_can_be_copied(status: int) -> None:
    """Class, message and status survive copying, so also the way between processes."""
    error = error_for(status, "somewhere", b"key")
    twin = copy.copy(error)
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert twin.status == status
