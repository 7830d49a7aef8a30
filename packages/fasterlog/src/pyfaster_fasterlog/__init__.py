# SPDX-License-Identifier: MIT
"""
A durable log for pyfaster: appended to by many, committed together, read in order.

`FasterLog.open` is where everything begins.
"""

from pyfaster.flog import Commit, Damage, Entry, LogScan, Piece
from pyfaster_fasterlog._cursors import Cursor
from pyfaster_fasterlog._errors import CommitNotFoundError, LogCompletedError
from pyfaster_fasterlog._files import DiskSlots, SlotFile, SlotFiles
from pyfaster_fasterlog._follower import LogFollower
from pyfaster_fasterlog._log import FasterLog
from pyfaster_fasterlog._policy import CommitPolicy
from pyfaster_fasterlog._report import LogRecovered, LogRecovery, SlotProblem
from pyfaster_fasterlog._settings import LogSettings, ReaderSettings
from pyfaster_fasterlog._stats import LogStats
from pyfaster_fasterlog._version import __version__

__all__ = [
    "Commit",
    "CommitNotFoundError",
    "CommitPolicy",
    "Cursor",
    "Damage",
    "DiskSlots",
    "Entry",
    "FasterLog",
    "LogCompletedError",
    "LogFollower",
    "LogRecovered",
    "LogRecovery",
    "LogScan",
    "LogSettings",
    "LogStats",
    "Piece",
    "ReaderSettings",
    "SlotFile",
    "SlotFiles",
    "SlotProblem",
    "__version__",
]
