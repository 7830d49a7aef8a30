# SPDX-License-Identifier: MIT
"""
An embedded key-value store: a concurrent hash index over a hybrid log.

>>> import pyfaster
>>> with pyfaster.open(key=str, value=int) as store:
...     store["apples"] = 3
...     store.rmw("apples", 2, merge="add")
5
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyfaster._builtin_codecs import Bytes, UInt64
from pyfaster._histogram import Histogram
from pyfaster._merges import native_merge
from pyfaster._open import open
from pyfaster._pending import PENDING, Completed
from pyfaster._scan import ScanCursor, Scanner
from pyfaster._session import Session
from pyfaster._stats import SessionInfo, StoreStats
from pyfaster._store import FasterKv
from pyfaster._version import __version__
from pyfaster.errors import (
    CheckpointBusyError,
    CheckpointFailedError,
    CheckpointNotFoundError,
    ClosedError,
    CodecError,
    ConfigError,
    CorruptCheckpointError,
    CorruptionError,
    CorruptLogError,
    CorruptRecordError,
    DeadlineError,
    DeviceError,
    DurabilityError,
    FasterError,
    ForkedError,
    InterfaceMismatchError,
    KeyTooLargeError,
    LogAddressError,
    LogCutError,
    LogTruncatedError,
    MergeError,
    MergeOverflowError,
    OutOfMemoryError,
    PluginError,
    PluginMissingError,
    PluginWarning,
    ReadOnlyError,
    SessionBusyError,
    StoreFullError,
    StoreLockedError,
    TooManySessionsError,
    UnknownSessionError,
    UnsupportedFormatError,
    ValueTooLargeError,
)

if TYPE_CHECKING:
    from pyfaster._async import AsyncSession
    from pyfaster._config import StoreConfig
    from pyfaster._device_access import announce, open_device
    from pyfaster._opened import opened
    from pyfaster._plugins import load_plugins, register, unregister
    from pyfaster.checkpoints import CheckpointInfo, RecoveryReport
    from pyfaster.hookspecs import DeviceScheme, hookimpl
    from pyfaster.protocols import Codec, CodecProvider, HashChoice

#: Names whose modules are slow to import, or needed by plugins only.
_LAZY = {
    "AsyncSession": "pyfaster._async",
    "CheckpointInfo": "pyfaster.checkpoints",
    "Codec": "pyfaster.protocols",
    "CodecProvider": "pyfaster.protocols",
    "DeviceScheme": "pyfaster.hookspecs",
    "HashChoice": "pyfaster.protocols",
    "RecoveryReport": "pyfaster.checkpoints",
    "StoreConfig": "pyfaster._config",
    "announce": "pyfaster._device_access",
    "hookimpl": "pyfaster.hookspecs",
    "load_plugins": "pyfaster._plugins",
    "open_device": "pyfaster._device_access",
    "opened": "pyfaster._opened",
    "register": "pyfaster._plugins",
    "unregister": "pyfaster._plugins",
}


def __getattr__(name: str) -> Any:
    """
    Import what is needed rarely when it is first asked for.
    """
    if name not in _LAZY:
        raise AttributeError(f"module 'pyfaster' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """
    All public names, the lazy ones too.
    """
    return sorted(__all__)


__all__ = [
    "PENDING",
    "AsyncSession",
    "Bytes",
    "CheckpointBusyError",
    "CheckpointFailedError",
    "CheckpointInfo",
    "CheckpointNotFoundError",
    "ClosedError",
    "Codec",
    "CodecError",
    "CodecProvider",
    "Completed",
    "ConfigError",
    "CorruptCheckpointError",
    "CorruptLogError",
    "CorruptRecordError",
    "CorruptionError",
    "DeadlineError",
    "DeviceError",
    "DeviceScheme",
    "DurabilityError",
    "FasterError",
    "FasterKv",
    "ForkedError",
    "HashChoice",
    "Histogram",
    "InterfaceMismatchError",
    "KeyTooLargeError",
    "LogAddressError",
    "LogCutError",
    "LogTruncatedError",
    "MergeError",
    "MergeOverflowError",
    "OutOfMemoryError",
    "PluginError",
    "PluginMissingError",
    "PluginWarning",
    "ReadOnlyError",
    "RecoveryReport",
    "ScanCursor",
    "Scanner",
    "Session",
    "SessionBusyError",
    "SessionInfo",
    "StoreConfig",
    "StoreFullError",
    "StoreLockedError",
    "StoreStats",
    "TooManySessionsError",
    "UInt64",
    "UnknownSessionError",
    "UnsupportedFormatError",
    "ValueTooLargeError",
    "__version__",
    "announce",
    "hookimpl",
    "load_plugins",
    "native_merge",
    "open",
    "open_device",
    "opened",
    "register",
    "unregister",
]
