# SPDX-License-Identifier: MIT
"""
The two slots: what a recovery begins from.

Theory of operation: a slot is a whole description of the log, under one checksum. There
are two, each in a file of its own, and the one with the larger sequence number counts.
Only the other one is written, in place, and synced before anything relies on it; so
whatever a power cut leaves of a write, one slot is whole. Where damage to either one
must lose nothing, both are written, one behind the other's sync. A slot whose write has
failed is not relied on: the next write goes there again.

The very first slot is made, and its name synced, before the second is begun. So a
directory with a first slot that is not whole, and without a second one, is of a log
whose making was interrupted, and that held nothing.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from pyfaster.errors import (
    CorruptLogError,
    DeviceError,
    FasterError,
    UnsupportedFormatError,
)
from pyfaster.flog import Slot, slot_bytes, slot_of
from pyfaster_fasterlog._files import SLOT_NAMES, SlotFile, SlotFiles
from pyfaster_fasterlog._report import SlotProblem

#: The format that is read and written.
FORMAT = 1

#: Slots are padded with zeros to a multiple of this: what any disk writes as one.
SLOT_UNIT = 4096


@dataclass(frozen=True, slots=True)
class Found:
    """
    The slots that there are.

    Attributes:
        good: Name to slot, the newest first.

        problems: Those that cannot be used.

        missing: The names of those that are not there.

        sizes: Name to bytes of the file.
    """

    good: Mapping[str, Slot] = field(default_factory=dict)
    problems: tuple[SlotProblem, ...] = ()
    missing: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def newest(self) -> Slot | None:
        """
        The slot that counts.
        """
        return next(iter(self.good.values()), None)

    @property
    def newest_name(self) -> str:
        """
        Its name; "" when there is none.
        """
        return next(iter(self.good), "")

    @property
    def is_unfinished(self) -> bool:
        """
        Whether these are what the making of a log leaves that was interrupted.
        """
        return not self.good and SLOT_NAMES[1] in self.missing

    def without(self, name: str, reason: str) -> Found:
        """
        Give up a slot that turned out not to be this log's.
        """
        good = {key: slot for key, slot in self.good.items() if key != name}
        return replace(
            self, good=good, problems=(*self.problems, SlotProblem(name, reason))
        )


def find_slots(files: SlotFiles) -> Found:
    """
    Look at both slots.

    A slot of another format is passed over where the other one is good: who writes a
    later format writes both slots before anything else.

    Raises:
        UnsupportedFormatError: One is of another format, and the other is not good.

        FasterError: The system refused to read one.
    """
    good: dict[str, Slot] = {}
    problems: list[SlotProblem] = []
    missing: list[str] = []
    sizes: dict[str, int] = {}
    other: UnsupportedFormatError | None = None
    for name in SLOT_NAMES:
        data = None
        try:
            data = files.read(name)
            if data is None:
                missing.append(name)
                continue
            sizes[name] = len(data)
            good[name] = slot_of(data)
        except CorruptLogError as error:
            problems.append(SlotProblem(name, str(error).partition(";")[0]))
        except UnsupportedFormatError as error:
            other = _other_format(name, data or b"", error.status)
            problems.append(SlotProblem(name, str(other)))
    if other is not None and not good:
        raise other
    ordered = sorted(good, key=lambda name: good[name].sequence, reverse=True)
    return Found(
        {name: good[name] for name in ordered}, tuple(problems), tuple(missing), sizes
    )


def _other_format(name: str, data: bytes, status: int) -> UnsupportedFormatError:
    """
    Say which format a slot has, as far as its bytes tell.
    """
    number = int.from_bytes(data[8:12], "little")
    return UnsupportedFormatError(
        f"{name} of the log's slots: it has format {number}, this version reads format "
        f"{FORMAT}; open it with the version that wrote it",
        status=status,
    )


class Slots:
    """
    Writes slots; one thread at a time.

    Args:
        files: Where they are kept; None for a log in memory, which has none.

        found: What is there.

    Attributes:
        written: How often one was written.
    """

    def __init__(self, files: SlotFiles | None, found: Found) -> None:
        self.files = files
        self.written = 0
        self._newest = found.newest_name
        newest = found.newest
        self._sequence = 0 if newest is None else newest.sequence
        self._sizes = dict(found.sizes)

    def settle(self) -> None:
        """
        Sync the slots that were read: what a process that was killed had only handed
        over may not vanish any more once the other one is written.

        Raises:
            DeviceError: The system refused.
        """
        if self.files is None:
            return
        for name in self._sizes:
            with _told(name):
                file = self.files.open(name)
                try:
                    file.sync()
                finally:
                    file.close()

    def write(self, slot: Slot) -> None:
        """
        Write the older slot, which is the newer one then.

        Args:
            slot: What to write; its sequence number is replaced.

        Raises:
            DeviceError: The system refused; the other slot still counts.
        """
        if self.files is None:
            return
        name = self._older()
        image = slot_bytes(replace(slot, sequence=self._sequence + 1))
        size = max(-(-len(image) // SLOT_UNIT) * SLOT_UNIT, self._sizes.get(name, 0))
        with _told(name):
            self._put(self.files, name, image.ljust(size, b"\0"))
        self._sizes[name] = size
        self._newest = name
        self._sequence += 1
        self.written += 1

    def write_both(self, slot: Slot) -> None:
        """
        Write one slot and then the other.

        Raises:
            DeviceError: The system refused one of them; the first may be written.
        """
        for _ in SLOT_NAMES:
            self.write(slot)

    def _older(self) -> str:
        first, second = SLOT_NAMES
        return second if self._newest == first else first

    def _put(self, files: SlotFiles, name: str, data: bytes) -> None:
        fresh = name not in self._sizes
        file = self._opened(files, name, fresh)
        try:
            file.write(data)
            file.sync()
        finally:
            file.close()
        if fresh:
            files.sync()

    def _opened(self, files: SlotFiles, name: str, fresh: bool) -> SlotFile:
        if fresh:
            with suppress(FileExistsError):
                return files.create(name)
        return files.open(name)

    def close(self) -> None:
        """
        Write nothing any more; the files are the place's to close.
        """
        self.files = None


@contextmanager
def _told(name: str) -> Iterator[None]:
    """
    Turn what the system refuses into an error of ours.
    """
    try:
        yield
    except FasterError:
        raise
    except OSError as error:
        raise DeviceError(
            error.errno or errno.EIO,
            f"{name} of the log's slots: {error.strerror or error}; the other slot "
            "still counts",
        ) from error


__all__ = ["Found", "Slots", "find_slots"]
