# SPDX-License-Identifier: MIT
"""
The boundary: the only module that sees the device's `ffi` and `lib`.

One function per C function of `csrc/module.h`, and the two handles. It is imported when
a device is opened, never before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pyfaster.errors import error_for
from pyfaster.protocols import DeviceSettings
from pyfaster_devices_file._file import ffi, lib
from pyfaster_devices_file._options import Options
from pyfaster_devices_file._problems import Problem, problem_error
from pyfaster_devices_file._version import __version__

#: The calls that can be made to fail: `enum faulty_call`.
CALLS = (
    "make_directory",
    "open_directory",
    "sync_directory",
    "list_directory",
    "open_file",
    "rename_file",
    "remove_file",
    "close_file",
    "measure_file",
    "align_file",
    "allocate_file",
    "resize_file",
    "read_file",
    "write_file",
    "sync_file",
)

#: A result that parks the caller until it is let go; for reads, writes and syncs.
PARK = -(1 << 63)

_FOR_EVER = (1 << 64) - 1


def _check_build() -> None:
    """
    Refuse a compiled module that another version left behind.
    """
    built = ffi.string(lib.file_version).decode("ascii")
    if built != __version__:
        raise ImportError(
            f"pyfaster-devices-file {__version__} found a compiled module of version "
            f"{built}; the installation is half upgraded: run pip install "
            f"--force-reinstall pyfaster-devices-file=={__version__}"
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """
    What opening a device found out.
    """

    sector_size: int
    alignment: int
    direct: bool


class Faults:
    """
    A system that fails when it is told to, for tests.

    A device that was opened with it holds it until it is closed.
    """

    __slots__ = ("c",)

    def __init__(self) -> None:
        made = lib.file_faults_new()
        if made == ffi.NULL:
            raise MemoryError
        self.c = ffi.gc(made, lib.file_faults_free)

    def add(self, call: str, result: int, first: int = 1, count: int = 1) -> None:
        """
        Decide what calls give.

        Args:
            call: One of `CALLS`.

            result: -errno, or how many bytes at most are moved, or `PARK`.

            first: The first call that is meant, counted from 1.

            count: How many are meant; 0: all that follow.
        """
        many = count or _FOR_EVER
        number = CALLS.index(call)
        status = lib.file_faults_add(self.c, number, first, many, result)
        if status < 0:
            raise error_for(status, "faults")

    def parked(self, count: int, timeout_ms: int = 60_000) -> bool:
        """
        Wait until so many calls are parked; whether they are.
        """
        return bool(lib.file_faults_await(self.c, count, timeout_ms))

    def release(self) -> None:
        """
        Let go all calls that are parked.
        """
        lib.file_faults_release(self.c)

    def calls(self, call: str) -> int:
        """
        How many calls of a kind there were.
        """
        return int(lib.file_faults_calls(self.c, CALLS.index(call)))


class Table:
    """
    A device's table in memory of its own.

    Attributes:
        c: What C knows it by.

        held: What the device needs while it is open.
    """

    __slots__ = ("c", "held")

    def __init__(self, c: Any, held: object) -> None:
        # The memory outlives the device: whoever closes it reads the table to do so.
        self.c = ffi.gc(c, lib.file_free)
        self.held = held

    @property
    def address(self) -> int:
        """
        Where it is.
        """
        return int(ffi.cast("uintptr_t", self.c))


def file_open(
    path: bytes,
    given: DeviceSettings,
    options: Options,
    faults: Faults | None,
) -> tuple[Table, Facts]:
    """
    Open a device.

    Raises:
        FasterError: What is in the directory is not what was expected, or the system
            refused something.
    """
    kept = ffi.new("char[]", path)
    direct = 2 if options.direct == "try" else int(options.direct)
    settings = ffi.new(
        "struct file_settings *",
        {
            "path": kept,
            "store_id": given.store_id,
            "generation": given.generation,
            "segment_size": given.segment_size,
            "threads": options.threads,
            "direct": direct,
            "fresh": given.fresh,
            "preallocate": options.preallocate,
            "read_only": given.read_only,
        },
    )
    device, facts = ffi.new("void **"), ffi.new("struct file_facts *")
    system = ffi.NULL if faults is None else faults.c
    status = lib.file_open(settings, system, device, facts)
    if status < 0:
        problem = Problem(facts.problem, facts.base, facts.found, facts.expected)
        where = path.decode("utf-8", "replace")
        raise problem_error(status, where, problem, read_only=given.read_only)
    found = Facts(facts.sector_size, facts.alignment, bool(facts.direct))
    return Table(device[0], faults), found


def file_close(table: Table) -> None:
    """
    Close a device that nobody else was given.

    Raises:
        DeviceError: The system could not keep what was written.
    """
    status = lib.file_close(table.c)
    if status < 0:
        raise error_for(status, "file device: close")


def faults(rules: Iterable[tuple[str, int, int, int]]) -> Faults:
    """
    Make a system with rules: call, result, first, count.
    """
    made = Faults()
    for rule in rules:
        made.add(*rule)
    return made


_check_build()
