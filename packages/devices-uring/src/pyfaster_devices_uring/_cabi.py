# SPDX-License-Identifier: MIT
"""
The boundary: the only module that sees the device's `ffi` and `lib`.

One function per C function of `csrc/module.h`, and the two handles. It is imported when
a device is opened, never before: only Linux has the compiled module.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from pyfaster.errors import error_for
from pyfaster.protocols import DeviceSettings
from pyfaster_devices_uring._options import Options
from pyfaster_devices_uring._problems import Trouble, trouble_error
from pyfaster_devices_uring._uring import ffi, lib
from pyfaster_devices_uring._version import __version__

#: Have the kernel answer: SCRIPT_ASK.
ASK = 1 << 30

#: Have the kernel do it, and lose what it answers: SCRIPT_LOSE.
LOSE = ASK + 1

#: The calls that a script answers, in the order of their numbers.
CALLS = ("setup", "enter", "configure", "wait")

#: The kinds of requests, as <linux/io_uring.h> numbers them.
OPCODES = {"empty": 0, "sync": 3, "read": 22, "write": 23}


def _check_build() -> None:
    """
    Refuse a compiled module that another version left behind.
    """
    built = ffi.string(lib.uring_version).decode("ascii")
    if built != __version__:
        raise ImportError(
            f"pyfaster-devices-uring {__version__} found a compiled module of version "
            f"{built}; the installation is half upgraded: run pip install "
            f"--force-reinstall pyfaster-devices-uring=={__version__}"
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """
    What a device is, and what it has done; the figures stay when it is closed.

    Attributes:
        open: Whether it is open.

        sector_size: What the disk writes as one.

        alignment: Of offsets, lengths and memory; 1 when not direct.

        direct: Whether bytes are moved past the system's cache.

        restricted: Whether the kernel refuses all but reads, writes and flushes.

        depth: How many requests may be in the kernel at once.

        failed: 0, or the status of the first sync that failed; -EROFS when it only
            reads.

        enters: System calls made for handing over requests and waiting.

        submitted: Requests, and parts of requests, that were handed over.

        completed: Requests that ended.

        retried: Parts handed over again after an error that passes.

        rests: Parts handed over because the one before was short, or ended a file.

        excess: Requests that had to wait for room in the ring.

        overflows: Times that the kernel had more results than room.

        keeper: Requests that the device's own thread has ended.

        helped: Requests that their submitter has carried out itself, in wait.
    """

    open: bool
    sector_size: int
    alignment: int
    direct: bool
    restricted: bool
    depth: int
    failed: int
    enters: int
    submitted: int
    completed: int
    retried: int
    rests: int
    excess: int
    overflows: int
    keeper: int
    helped: int


_FLAGS = ("open", "direct", "restricted")


class Script:
    """
    A kernel that answers as it is told: `csrc/script.h`. For tests.
    """

    __slots__ = ("c",)

    def __init__(self) -> None:
        c = lib.uring_script_new()
        if c == ffi.NULL:
            raise MemoryError("no memory for a script")
        self.c = ffi.gc(c, lib.uring_script_free)

    def answer(self, call: str, *answers: int) -> Script:
        """
        Have the next calls of a kind answered so; `ASK` asks the kernel.
        """
        for answer in answers:
            _check(lib.uring_script_answer(self.c, CALLS.index(call), answer))
        return self

    def rule(
        self,
        kind: str,
        *,
        skip: int = 0,
        count: int = 1,
        length: int = 0,
        result: int = ASK,
    ) -> Script:
        """
        Shorten some requests of a kind, or answer them in the kernel's place.

        Args:
            kind: One of `OPCODES`.

            skip: How many are left alone before.

            count: How many are meant.

            length: How many bytes at most the kernel is asked to move; 0: all.

            result: What the request ends with, without reaching a file.
        """
        fields = (OPCODES[kind], skip, count, length, result)
        _check(lib.uring_script_rule(self.c, ffi.new("struct uring_rule *", fields)))
        return self

    def results(self, count: int) -> Script:
        """
        Have room for so few results, without the device's knowing.
        """
        lib.uring_script_results(self.c, count)
        return self

    def hide(self, features: int) -> Script:
        """
        Deny these features of the kernel.
        """
        lib.uring_script_hide(self.c, features)
        return self

    def performs(self) -> Script:
        """
        Let the device make plain calls, too; the rules meet them. Before it is opened.
        """
        lib.uring_script_performs(self.c)
        return self

    def calls(self, call: str) -> int:
        """
        How many calls of a kind there were, answered by whomever.
        """
        return int(self._counts().calls[CALLS.index(call)])

    def seen(self, kind: str) -> int:
        """
        How many requests of a kind were handed over.
        """
        return int(self._counts().seen[OPCODES[kind]])

    def drained(self) -> int:
        """
        How many requests were to wait for all earlier ones.
        """
        return int(self._counts().drained)

    def _counts(self) -> Any:
        counts = ffi.new("struct uring_counts *")
        lib.uring_script_counts(self.c, counts)
        return counts


class Handle:
    """
    A device's table in memory of its own.
    """

    __slots__ = ("c", "script")

    def __init__(self, c: Any, script: Script | None) -> None:
        # The memory outlives the device: whoever closes it reads the table to do so.
        self.c = ffi.gc(c, lib.uring_free)
        self.script = script  # the device calls it until it is closed

    @property
    def address(self) -> int:
        """
        Where the table is.
        """
        return int(ffi.cast("uintptr_t", lib.uring_address(self.c)))


def _check(status: int) -> None:
    if status < 0:
        raise error_for(status, "script")


def _script(script: Script | None) -> Any:
    return ffi.NULL if script is None else script.c


def uring_open(
    path: bytes,
    given: DeviceSettings,
    options: Options,
    script: Script | None,
) -> Handle:
    """
    Open a device.

    Raises:
        RingRefusedError: There is no ring to be had; nothing was touched.

        FasterError: What is in the directory is not what was expected, or the system
            refused something.
    """
    kept = ffi.new("char[]", path)
    direct = 2 if options.direct == "try" else int(options.direct)
    whose = (given.store_id, given.generation, given.segment_size)
    flags = (given.fresh, options.preallocate, given.read_only)
    fields = (kept, *whose, options.depth, direct, *flags)
    wanted = ffi.new("struct uring_options *", fields)
    device, found = ffi.new("void **"), ffi.new("struct uring_trouble *")
    status = lib.uring_open(wanted, _script(script), device, found)
    if status < 0:
        where = path.decode("utf-8", "replace")
        facts = (found.kind, found.base, found.found, found.expected)
        trouble = Trouble(bool(found.ring), *facts)
        raise trouble_error(status, where, trouble, read_only=given.read_only)
    return Handle(device[0], script)


def uring_close(handle: Handle) -> None:
    """
    Close a device that nobody else was given.

    Raises:
        DeviceError: The system could not keep what was written.
    """
    status = lib.uring_close(handle.c)
    if status < 0:
        raise error_for(status, "uring device: close")


def uring_facts(handle: Handle) -> Facts:
    """
    Give what a device is and has done, open or closed.
    """
    facts = ffi.new("struct uring_facts *")
    lib.uring_facts(handle.c, facts)
    values = {field.name: getattr(facts, field.name) for field in fields(Facts)}
    return Facts(**values | {name: bool(values[name]) for name in _FLAGS})


def uring_probe(script: Script | None) -> int:
    """
    Give 0 when this process can have a ring, else -errno.
    """
    return int(lib.uring_probe(_script(script)))


_check_build()
