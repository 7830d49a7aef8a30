# SPDX-License-Identifier: MIT
"""
The log itself under the simulator: on a device in memory, with slot files in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crash.device import LoadedDevice
from crash.events import Recorder
from crash.image import Image
from crash.logs.files import SimSlots
from crash.logs.life import Commit
from crash.logs.oracle import Found
from crash.subject import Refused
from pyfaster.errors import CorruptLogError
from pyfaster_fasterlog import CommitPolicy, FasterLog

#: Small pages, so that a small log has several.
PAGE = 4096
#: What the log has not committed by itself for so long, it never will; in seconds.
WAIT_S = 60.0
#: Of these settings a commit policy is made.
POLICY = frozenset({"every_bytes", "every_seconds", "max_in_flight"})


class RealLog:
    """
    A log that is open; `crash.logs.life.RunningLog`.

    Args:
        device: Its device.

        slots: Its slot files.

        settings: Win over the simulator's.

        recover: A commit to go back to.
    """

    def __init__(
        self,
        device: LoadedDevice,
        slots: Any,
        settings: Mapping[str, Any],
        recover: int | None,
    ) -> None:
        rest = {name: value for name, value in settings.items() if name not in POLICY}
        policy = {name: settings[name] for name in POLICY & settings.keys()}
        self.log: FasterLog = FasterLog.open(
            None,
            device=device.device,
            files=slots,
            page_size=PAGE,
            memory=8 * PAGE,
            recover="latest" if recover is None else recover,
            commit=CommitPolicy(**policy),
            trust_device=True,
            **rest,
        )

    def found(self) -> Found:
        """
        Everything that is committed, read in each of the ways that there are.

        Raises:
            Refused: Damage was found.
        """
        log, at = self.log, self.log.committed
        end = at.until  # it may commit by itself meanwhile
        try:
            scan = log.scan(until=end)
            single = [(entry.address, bytes(entry.payload)) for entry in scan]
            batches = log.scan(until=end).batches()
            pieces = [bytes(one) for piece in batches for one in piece]
            chosen = [(address, bytes(log.read(address))) for address, _ in single[::7]]
        except CorruptLogError as error:
            raise Refused(str(error)) from error
        if pieces != [data for _, data in single]:
            raise AssertionError("batches give something else than single entries")
        if chosen != single[::7]:
            raise AssertionError("read() gives something else than a scan")
        report = log.recovery
        return Found(
            log.begin,
            at.until,
            at.number,
            tuple(single),
            dict(log.cursors()),
            report.cookie if report is not None else b"",
            log.completed,
        )

    def append(self, data: bytes) -> int:
        """
        Append an entry.
        """
        return self.log.append(data)

    def append_many(self, entries: Sequence[bytes]) -> Sequence[int]:
        """
        Append entries as one.
        """
        addresses = memoryview(bytearray(8 * len(entries))).cast("Q")
        self.log.append_many(entries, atomic=True, addresses=addresses)
        return addresses.tolist()

    def append_and_commit(self, data: bytes) -> int:
        """
        Append an entry and wait until it is durable.
        """
        return self.log.append_and_commit(data)

    async def append_and_commit_async(self, data: bytes) -> int:
        """
        The same, in a task of several.
        """
        return await self.log.append_and_commit_async(data)

    async def commit_async(self) -> Commit:
        """
        Wait in a task until everything appended before is durable.
        """
        at = await self.log.commit_async()
        return Commit(at.number, at.until)

    def commit(self, cookie: bytes = b"") -> Commit:
        """
        Make everything durable.
        """
        at = self.log.commit(cookie=cookie) if cookie else self.log.commit()
        return Commit(at.number, at.until)

    def committed(self) -> Commit:
        """
        What is durable.
        """
        at = self.log.committed
        return Commit(at.number, at.until)

    def wait(self, address: int) -> None:
        """
        Wait until an entry is durable, and ask for nothing.

        Raises:
            AssertionError: It does not become so.
        """
        if not self.log.wait_committed(address, timeout=WAIT_S):
            raise AssertionError(f"the entry at {address} is not committed")

    def save(self, name: str, address: int) -> None:
        """
        Save a cursor.
        """
        self.log.cursor(name).save(address)

    def drop_cursor(self, name: str) -> None:
        """
        Forget a cursor.
        """
        self.log.drop_cursor(name)

    def truncate_until(self, address: int) -> None:
        """
        Cut the beginning off.
        """
        self.log.truncate_until(address)

    def truncate_suffix(self, address: int) -> None:
        """
        Cut the end off.
        """
        self.log.truncate_suffix(address)

    def complete(self) -> None:
        """
        Say that nothing will follow.
        """
        self.log.complete()

    def close(self, *, clean: bool) -> None:
        """
        End: as one should, or as a process that is killed.
        """
        self.log.close(commit=clean)


class RealLogSubject:
    """
    The log as it is shipped; `crash.logs.life.LogSubject`.

    Args:
        settings: Win over the simulator's.

    Attributes:
        kind: What is opened.
    """

    kind = RealLog

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self.settings = dict(settings or {})

    def tuned(self, settings: dict[str, Any]) -> RealLogSubject:
        """
        Give one whose logs have these settings, too.
        """
        return RealLogSubject({**self.settings, **settings})

    def device(self, image: Image, recorder: Recorder, **wishes: Any) -> LoadedDevice:
        """
        A device of the core's own.
        """
        return LoadedDevice(image.log, **wishes)

    def start(self, device: Any, slots: SimSlots, recover: int | None) -> RealLog:
        """
        Open a log.

        Raises:
            Refused: It is damaged.
        """
        return self.made(device, slots, recover)

    def made(self, device: Any, slots: Any, recover: int | None) -> RealLog:
        """
        Open a log on slot files of any kind.
        """
        try:
            return self.kind(device, slots, self.settings, recover)
        except CorruptLogError as error:
            raise Refused(str(error)) from error


__all__ = ["RealLog", "RealLogSubject"]
