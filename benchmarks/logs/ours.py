# SPDX-License-Identifier: MIT
"""
pyfaster's log on either device, with its settings as they come.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.contenders.base import UnavailableError
from benchmarks.logs.base import DurableLog


def package() -> Any:
    """
    Give the package of the log.

    Raises:
        UnavailableError: It is not installed.
    """
    try:
        return importlib.import_module("pyfaster_fasterlog")
    except ImportError as error:
        raise UnavailableError(str(error)) from error


def open_log(scheme: str, place: Path, **options: Any) -> Any:
    """
    Open a log in a directory of its own.

    Raises:
        UnavailableError: It or its device is not installed.
    """
    found = package()
    errors: Any = importlib.import_module("pyfaster.errors")
    try:
        return found.FasterLog.open(f"{scheme}:{place}", **options)
    except errors.PluginMissingError as error:
        raise UnavailableError(str(error)) from error


class FileLog(DurableLog):
    """
    The log on `file`.
    """

    scheme: ClassVar[str] = "file"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.log: Any = open_log(self.scheme, folder / "log")

    @classmethod
    def settings(cls) -> str:
        return "settings and device options as they come; a group is one append_many"

    def append_group(self, group: Sequence[bytes]) -> None:
        self.log.append_many(group)
        self.log.commit()

    def scan(self) -> int:
        count = 0
        for one in self.log.scan():
            one.payload  # noqa: B018 - makes the bytes
            count += 1
        return count

    def read(self, count: int) -> list[bytes]:
        return [one.payload for one in islice(self.log.scan(), count)]

    def close(self) -> None:
        self.log.close()


class UringLog(FileLog):
    """
    The log on `uring`.
    """

    scheme = "uring"
