# SPDX-License-Identifier: MIT
"""
What kept a directory from being opened, as an exception that says what was found.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from pyfaster.errors import (
    ConfigError,
    CorruptionError,
    DeviceError,
    FasterError,
    UnsupportedFormatError,
    error_for,
)

_RESTORE = (
    "restore the file from a backup, or move it out of that folder: then what only it "
    "had is an error when it is read, or an older checkpoint serves, as the report says"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """
    What the C side found; see `struct segments_problem`.

    Attributes:
        kind: A number of `enum segments_problem_kind`; 0: the status says it all.

        base: The base address in the name of the file.

        found: What the file has.

        expected: What it should have.
    """

    kind: int
    base: int
    found: int
    expected: int

    @property
    def file(self) -> str:
        """
        The file's name inside the store's directory.
        """
        return f"log/{self.base:020x}.seg"


#: What a directory lacks that is only looked at.
NO_LOG = (
    "there is no log to look at; name the directory of a store, or open it without "
    "read_only=True to begin one"
)

#: Kind to (class, what was found, what to do). The only such table.
PROBLEMS: dict[int, tuple[type[FasterError], str, str]] = {
    1: (
        CorruptionError,
        "{file} is not a regular file with one name",
        "links are not followed; put the file itself there",
    ),
    2: (
        CorruptionError,
        "{file} has {found:,} bytes, of at least {expected:,} that it was made with",
        _RESTORE,
    ),
    3: (CorruptionError, "{file} is not a segment of a log", _RESTORE),
    4: (
        UnsupportedFormatError,
        "{file} has format version {found}, this is a reader of version {expected}",
        "open it with the version of pyfaster-devices-file that wrote it",
    ),
    5: (
        CorruptionError,
        "the header of {file} is damaged: checksum {found:#010x}, computed "
        "{expected:#010x}",
        _RESTORE,
    ),
    6: (
        UnsupportedFormatError,
        "{file} belongs to store {found:#018x}, not to store {expected:#018x}",
        "give each store a directory of its own",
    ),
    7: (
        UnsupportedFormatError,
        "{file} was made for segments of {found:,} bytes, not of {expected:,}",
        "open it with segment_size={found}",
    ),
    8: (
        CorruptionError,
        "{file} says that it begins at {found:#x}, its name says {expected:#x}",
        _RESTORE,
    ),
    9: (
        ConfigError,
        "{file} is one of, or too far from, {expected:,} files, which is the limit",
        "use a larger segment_size for a new store",
    ),
    10: (
        ConfigError,
        "the file system has no direct transfers",
        'open with direct="try" or direct=False',
    ),
    11: (
        ConfigError,
        "direct transfers need an alignment of {found:,} bytes, more than {expected:,}",
        'open with direct="try" or direct=False',
    ),
}

_STATUS = {CorruptionError: -5001, UnsupportedFormatError: -5003, ConfigError: -5013}


def problem_error(
    status: int, path: str, problem: Problem, *, read_only: bool = False
) -> FasterError:
    """
    Make the exception for a directory that could not be opened.

    Args:
        status: What the C side returned.

        path: The directory.

        problem: What it found.

        read_only: Whether nothing was to be made.
    """
    where = f"file device {path}"
    if read_only and status == -errno.ENOENT:
        return DeviceError(errno.ENOENT, f"{where}: {NO_LOG}", status=status)
    if problem.kind not in PROBLEMS:
        return error_for(status, where)
    kind, text, advice = PROBLEMS[problem.kind]
    values = {
        "file": problem.file,
        "found": problem.found,
        "expected": problem.expected,
    }
    message = f"{where}: {text.format(**values)}; {advice.format(**values)}"
    return kind(message, status=_STATUS[kind])
