# SPDX-License-Identifier: MIT
"""
The log with one step left out or done in the wrong order, each of which must be seen.

What a mutant leaves out is left out between the log and its slot files or its device,
or by a method that is replaced while it runs.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from crash.device import LoadedDevice
from crash.events import Event, Recorder
from crash.image import Image
from crash.logs.files import SimSlot, SimSlots
from crash.logs.life import Commit
from crash.logs.real import RealLog, RealLogSubject
from crash.mutants import replaced
from pyfaster.flog import LogDevice
from pyfaster.testing import Rule
from pyfaster_fasterlog import _open, _slots


@dataclass(frozen=True, slots=True)
class LogMutant:
    """
    One way to be wrong.

    Attributes:
        means: What is wrong.

        workload: One that shows it.

        lies: What the device does not do, and says it did.

        sector: What a cut off write may leave as garbage.

        states: How many show it.
    """

    means: str
    workload: str
    lies: tuple[Rule, ...] = ()
    sector: int = 512
    states: int = 400


LOG_MUTANTS = {
    "no barrier": LogMutant(
        "the device is not synced by a commit",
        "log explicit",
        lies=(Rule("drop", "sync", times=None),),
    ),
    "early ack": LogMutant("what is not durable is acknowledged", "log explicit"),
    "no padding": LogMutant(
        "less is padded than a cut off write may damage", "log explicit", sector=4096
    ),
    "short write": LogMutant(
        "half a write passes for a whole one",
        "log explicit",
        lies=(Rule("tear", "write", nth=3, mask=0xAAAAAAAAAAAAAAAA),),
    ),
    "gap": LogMutant(
        "a write that was not done counts as done",
        "log explicit",
        lies=(Rule("drop", "write", nth=4),),
    ),
    "no slot sync": LogMutant("slots are not synced", "log cursors"),
    "no names": LogMutant("the slots' names are not synced", "log explicit"),
    "one slot": LogMutant("it is always the same slot that is written", "log lives"),
    "slot ahead": LogMutant("a slot names what is not durable", "log cursors"),
    "no sync at opening": LogMutant(
        "what recovery read may not be durable", "log interrupted"
    ),
    "trust a slot": LogMutant("a slot that was read may not be", "log slots fail"),
    "late life": LogMutant("a new life is not in the slots", "log lives"),
    "same generation": LogMutant("a new life has the last one's number", "log lives"),
    "space first": LogMutant(
        "space is given back before slots say so", "log truncating"
    ),
}


class BrokenSlots:
    """
    Slot files with something left out.

    Args:
        slots: Those behind.

        mutant: A name.
    """

    def __init__(self, slots: SimSlots, mutant: str) -> None:
        self._behind, self._mutant = slots, mutant

    def read(self, name: str, /) -> bytes | None:
        """
        Give what a file holds.
        """
        return self._behind.read(name)

    def create(self, name: str, /) -> SimSlot:
        """
        Make a file.
        """
        return self._left_out(self._behind.create(name), name)

    def open(self, name: str, /) -> SimSlot:
        """
        Open a file.
        """
        if self._mutant == "one slot":
            name = "slot-a"
        return self._left_out(self._behind.open(name), name)

    def _left_out(self, slot: SimSlot, name: str) -> SimSlot:
        if self._mutant == "no slot sync":
            slot.sync = lambda: None  # type: ignore[method-assign]  # left out
        if self._mutant == "trust a slot":
            self._only_written(slot)
        return slot

    def _only_written(self, slot: SimSlot) -> None:
        """
        Leave out the sync of what was only read.
        """
        write, sync, wrote = slot.write, slot.sync, [False]

        def writing(data: Any, /) -> None:
            wrote[0] = True
            write(data)

        def syncing() -> None:
            if wrote[0]:
                sync()

        slot.write, slot.sync = writing, syncing  # type: ignore[method-assign]

    def sync(self) -> None:
        """
        Sync the names, or not.
        """
        if self._mutant != "no names":
            self._behind.sync()

    def close(self) -> None:
        """
        End.
        """
        self._behind.close()


class BrokenLog(RealLog):
    """
    A log that promises too early, or too much.
    """

    mutant = ""
    recorder: Recorder

    def commit(self, cookie: bytes = b"") -> Commit:
        """
        Make everything durable.
        """
        if self.mutant == "early ack":
            until = self.log.stats().tail
            self.recorder.add(Event("ack", "commit", offset=until))
        return super().commit(cookie)

    def save(self, name: str, address: int) -> None:
        """
        Save a cursor.
        """
        if self.mutant != "slot ahead":
            super().save(name, address)
            return
        ahead = -(-(self.log.stats().tail + 64) // 512) * 512
        taken = _slots.Slots.write

        def write(slots: Any, slot: Any) -> None:
            taken(slots, replace(slot, until=ahead))

        with replaced(_slots.Slots, "write", write):
            super().save(name, address)

    def truncate_until(self, address: int) -> None:
        """
        Cut the beginning off.
        """
        if self.mutant == "space first":
            self.log.begin_at(address)
            self.log.free_space()
        super().truncate_until(address)


class BrokenLogSubject(RealLogSubject):
    """
    The log with a mutant.

    Args:
        mutant: A name.

        settings: Win over the simulator's.
    """

    kind = BrokenLog

    def __init__(self, mutant: str, settings: dict[str, Any] | None = None) -> None:
        super().__init__(settings)
        self.mutant = mutant

    def tuned(self, settings: dict[str, Any]) -> BrokenLogSubject:
        """
        Give one whose logs have these settings, too.
        """
        return BrokenLogSubject(self.mutant, {**self.settings, **settings})

    def device(self, image: Image, recorder: Recorder, **wishes: Any) -> LoadedDevice:
        """
        A device that lies as the mutant says. A recovery's does not.
        """
        lies = LOG_MUTANTS[self.mutant].lies
        if lies and "rules" in wishes:
            wishes["lies"] = lies
        return super().device(image, recorder, **wishes)

    def start(self, device: Any, slots: SimSlots, recover: int | None) -> BrokenLog:
        """
        Open a log.
        """
        with ExitStack() as stack:
            for owner, name, new in self._left_out():
                stack.enter_context(replaced(owner, name, new))
            log = self.made(device, BrokenSlots(slots, self.mutant), recover)
        assert isinstance(log, BrokenLog)
        log.mutant, log.recorder = self.mutant, slots.files.recorder
        return log

    def _left_out(self) -> list[tuple[Any, str, Any]]:
        """
        Give what is replaced while the log is opened.
        """
        if self.mutant == "no sync at opening":
            return [(LogDevice, "sync", lambda device: None)]
        if self.mutant == "late life":
            taken = _slots.Slots.write_both

            def write_both(slots: Any, slot: Any) -> None:
                if not slots._sequence:
                    taken(slots, slot)

            return [(_slots.Slots, "write_both", write_both)]
        if self.mutant == "same generation":
            new: Any = vars(_open)["next_lives"]

            def same(*args: Any, **named: Any) -> Any:
                *kept, last = new(*args, **named)
                return (*kept, replace(last, generation=last.generation - 1))

            return [(_open, "next_lives", same)]
        return []


__all__ = ["LOG_MUTANTS", "BrokenLogSubject", "LogMutant"]
