# SPDX-License-Identifier: MIT
"""
A durable log's native half, for those who build a log of it.

Theory of operation: entries of bytes are appended in memory, by any number of threads,
and a commit makes durable what was appended before. The log lies on one device. Where
it begins and which lives it had is kept in two slots outside of it, which whoever uses
this module writes to files of its own: always the data first, then the older slot. At
opening it reads the newer valid slot, and `recover` follows the log from there to its
last commit. What is appended then belongs to a new life, whose slots are durable before
its first entry.

`NativeLog` has its operations from `pyfaster._hot` and the rest from here. A directory,
its lock, names of cursors and asynchronous forms are left to others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyfaster import _cabi_flog as cabi
from pyfaster import _hot
from pyfaster._bell import Bell, give_bell, take_bell
from pyfaster._devices import MemoryDevice
from pyfaster._flog_errors import log_error
from pyfaster._flog_native import NativeLog
from pyfaster._flog_recovery import (
    LogDevice,
    record_of,
    recover,
    slot_bytes,
    slot_of,
)
from pyfaster._flog_values import (
    DAMAGES,
    FIRST,
    HEADER,
    Commit,
    CommitRecord,
    Damage,
    Found,
    Life,
    Slot,
)
from pyfaster._hot import Entry, LogScan, Piece
from pyfaster._opened import log_closed, log_opened
from pyfaster._sizes import parse_size

#: What a log takes at most.
COOKIE_MAX = cabi.COOKIE_MAX
ATTACHMENT_MAX = cabi.ATTACHMENT_MAX
LIVES_MAX = cabi.LIVES_MAX

#: The kinds of entries, by name.
KINDS = cabi.KINDS

_hot.set_log_errors(log_error)


def log_settings(config: object, settings: Mapping[str, Any]) -> dict[str, Any]:
    """
    Put the settings of a log together: the table [fasterlog] of a file, variables
    `PYFASTER__FASTERLOG__NAME` of the environment over it, a program's words on top.

    Args:
        config: The path of a TOML file, a mapping of settings or of tables, or None.

        settings: What was given by keyword; as it is, and the strongest.

    Returns:
        What somebody said, by the names that `LogTable` has for it.

    Raises:
        ConfigError: Something in the file, the environment or `config` is wrong.
    """
    from pyfaster._config_layers import log_settings  # slow to import

    return log_settings(config, settings)


__all__ = [
    "ATTACHMENT_MAX",
    "COOKIE_MAX",
    "DAMAGES",
    "FIRST",
    "HEADER",
    "KINDS",
    "LIVES_MAX",
    "Bell",
    "Commit",
    "CommitRecord",
    "Damage",
    "Entry",
    "Found",
    "Life",
    "LogDevice",
    "LogScan",
    "MemoryDevice",
    "NativeLog",
    "Piece",
    "Slot",
    "give_bell",
    "log_closed",
    "log_opened",
    "log_settings",
    "parse_size",
    "record_of",
    "recover",
    "slot_bytes",
    "slot_of",
    "take_bell",
]
