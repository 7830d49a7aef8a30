# SPDX-License-Identifier: MIT
"""
A small durable log in Python that keeps its promises, and the ways in which it may
break them.

Entries have a checksum over their bytes, their place and their life's generation. A
commit writes a record and a filler to the sector's end, syncs, and counts then. Where
the log begins, its lives and its cursors are in two slots, of which the older one is
written; at a new life, a cut of the end, and before space is given back, both are. Each
name in `MUTANTS` leaves one step out; the simulator has to find that.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crash.device import SimDevice
from crash.events import Event, Recorder
from crash.image import Image
from crash.logs.files import SimSlots
from crash.logs.life import Commit
from crash.logs.oracle import Found
from crash.medium import SECTOR
from crash.subject import Refused

#: What may be left out, and what that means, with a workload that shows it.
MUTANTS = {
    "no sync": ("a commit does not sync the device", "log explicit"),
    "early ack": ("a commit counts before the sync", "log explicit"),
    "no padding": ("what follows rewrites the last sector", "log explicit"),
    "trust a record": (
        "a record counts though what is before it does not",
        "log group",
    ),
    "length only": ("checksums are not compared", "log explicit"),
    "same generation": ("a new life has the generation of the last", "log lives"),
    "late life": ("a new life's slots are written at its first commit", "log lives"),
    "no sync at opening": (
        "what recovery read may not be durable",
        "log interrupted",
    ),
    "trust a slot": ("a slot that was read may not be durable", "log slots fail"),
    "one slot": ("it is always the same slot that is written", "log cursors"),
    "no slot sync": ("slots are not synced", "log cursors"),
    "slot first": ("a slot names what is not durable", "log cursors"),
    "no names": ("the slots' names are not synced", "log explicit"),
    "space first": ("space is given back before the slots say so", "log truncating"),
    "cut in memory": ("a cut end is not in the slots", "log cutting"),
    "numbers again": ("commit numbers begin anew", "log strong"),
    "sync again": ("a sync that failed is tried again, and believed", "log unsynced"),
}

DATA, COMMIT, FILLER = 1, 2, 3
FIRST = 64
_HEADER = struct.Struct("<IBBHII")
_RECORD = struct.Struct("<QQ")
_SLOT = 1024
#: So much is written without being asked for.
EAGER = 4 * SECTOR


class ToyLog:
    """
    The log, open; `crash.logs.life.RunningLog`.
    """

    def __init__(
        self, device: SimDevice, slots: SimSlots, mutant: str, recover: int | None
    ) -> None:
        self.device, self.slots, self.mutant = device, slots, mutant
        self.data = bytearray(FIRST)
        self.about: dict[str, Any] = {}
        self.failed: OSError | None = None
        self._due = False
        self._open(recover)

    # --- slots ----------------------------------------------------------------------

    def _slot(self, name: str) -> dict[str, Any] | None:
        text = self.slots.read(name)
        if not text or zlib.crc32(text[8:].rstrip(b"\0")) != int(text[:8] or b"0", 16):
            return None
        about: dict[str, Any] = json.loads(text[8:].rstrip(b"\0"))
        return about

    def _whole(self, name: str) -> dict[str, Any] | None:
        try:
            return self._slot(name)
        except ValueError:
            return None

    def _sync_slots(self) -> None:
        for name in "ab":
            if self.slots.read(name) is not None:
                self.slots.open(name).sync()

    def _write_slot(self) -> None:
        """
        Write the older slot.
        """
        number = self.about["sequence"] + 1
        turn = 0 if self.mutant == "one slot" else number % 2
        text = json.dumps({**self.about, "sequence": number}).encode()
        text = (b"%08x" % zlib.crc32(text) + text).ljust(_SLOT, b"\0")
        name = "ab"[turn]
        there = self.slots.read(name) is not None
        slot = self.slots.open(name) if there else self.slots.create(name)
        slot.write(text)
        if self.mutant != "no slot sync":
            slot.sync()
        slot.close()
        if not there and self.mutant != "no names":
            self.slots.sync()
        self.about["sequence"] = number

    def _write_slots(self) -> None:
        self._write_slot()
        self._write_slot()

    # --- entries --------------------------------------------------------------------

    def _sum(self, address: int, generation: int, head: bytes, data: bytes) -> int:
        seed = zlib.crc32(struct.pack("<QQ", address, generation) + head)
        return zlib.crc32(data, seed)

    def _add(self, kind: int, data: bytes) -> int:
        address = len(self.data)
        generation = self.about["lives"][-1][0]
        head = struct.pack("<IBBH", len(data), kind, 0, generation & 0xFFFF)
        total = self._sum(address, generation, head, data)
        self.data += head + struct.pack("<II", total, 0) + data
        self.data += bytes(-len(self.data) % 8)
        return address

    def _entry(
        self, log: bytes | bytearray, address: int, generation: int
    ) -> tuple[int, bytes, int] | None:
        """
        Give the kind, the payload and the end of an entry, if a whole one is there.
        """
        head = bytes(log[address : address + 16])
        if len(head) < 16:
            return None
        size, kind, _, low, total, _ = _HEADER.unpack(head)
        data = bytes(log[address + 16 : address + 16 + size])
        if not DATA <= kind <= FILLER or len(data) < size:
            return None
        if low != generation & 0xFFFF:
            return None
        if self.mutant != "length only" and total != self._sum(
            address, generation, head[:8], data
        ):
            return None
        return kind, data, (address + 16 + size + 7) & ~7

    def _walk(self, begin: int, until: int) -> Iterator[tuple[int, int, bytes]]:
        """
        Give address, kind and payload of what is committed.

        Raises:
            Refused: Something is damaged.
        """
        for generation, first, end in self.about["lives"]:
            at = max(begin, first)
            stop = min(until, end or until)
            while at < stop:
                entry = self._entry(self.data, at, generation)
                if entry is None:
                    raise Refused(f"damage at {at}")
                yield at, entry[0], entry[1]
                at = entry[2]

    # --- opening --------------------------------------------------------------------

    def _open(self, recover: int | None) -> None:
        found = [about for about in map(self._whole, "ab") if about is not None]
        if self.mutant != "trust a slot":
            self._sync_slots()
        if self.mutant != "no sync at opening":
            self.device.sync()
        size = 1 << 20
        log = bytearray(size)
        del log[self.device.read(0, memoryview(log)) :]
        if not found:
            if any(log):
                raise Refused("no slot is whole")
            self.about = {
                "sequence": 0,
                "begin": FIRST,
                "until": FIRST,
                "number": 0,
                "lives": [[1, FIRST, 0]],
                "cursors": {},
                "cookie": "",
                "completed": False,
            }
            self._write_slots()
        else:
            self.about = max(found, key=lambda about: int(about["sequence"]))
            self.data = log
            self._find_end(log)
            if recover is not None:
                self._choose(recover)
            self._live_on(self.about["until"])
        self.flushed = len(self.data)

    def _find_end(self, log: bytearray) -> None:
        """
        Follow the log to its last commit.
        """
        generation, at, last = self.about["lives"][-1][0], self.about["until"], b""
        while at < len(log):
            entry = self._entry(log, at, generation)
            if entry is None:
                if self.mutant != "trust a record":
                    return
                at += 8
                continue
            kind, data, at = entry
            if kind == COMMIT:
                last = data
            if kind in (COMMIT, FILLER) and last and at == _RECORD.unpack_from(last)[1]:
                number, until = _RECORD.unpack_from(last)
                cookie = last[_RECORD.size :].decode()
                self.about.update(number=number, until=until, cookie=cookie)

    def _choose(self, recover: int) -> None:
        """
        Go back to a commit.
        """
        for _, kind, data in self._walk(self.about["begin"], self.about["until"]):
            number, until = _RECORD.unpack_from(data.ljust(16, b"\0"))
            if kind == COMMIT and number == recover:
                self._cut(until)
                self.about.update(number=number, cookie=data[_RECORD.size :].decode())
                return
        raise Refused(f"no commit {recover}")

    def _cut(self, address: int) -> None:
        about = self.about
        about["lives"] = [life for life in about["lives"] if life[1] <= address]
        about["until"] = address
        about["cursors"] = {n: min(at, address) for n, at in about["cursors"].items()}
        about["begin"] = min(about["begin"], address)

    def _live_on(self, end: int) -> None:
        """
        Begin a new life behind an address.
        """
        lives = self.about["lives"]
        lives[-1][2] = end
        first = -(-end // SECTOR) * SECTOR
        del self.data[end:]
        self.data += bytes(first - len(self.data))
        number = self.about.get("last", lives[-1][0])
        number += self.mutant != "same generation"
        lives.append([number, first, 0])
        self.about["last"] = number
        self.about["until"] = first
        self.flushed = first
        self._due = self.mutant == "late life"
        if self.mutant == "numbers again":
            self.about["number"] = 0
        if not self._due and self.mutant != "cut in memory":
            self._write_slots()

    # --- what is done ---------------------------------------------------------------

    def append(self, data: bytes) -> int:
        """
        Append an entry.
        """
        address = self._add(DATA, data)
        if len(self.data) - self.flushed >= EAGER:
            self._flush(len(self.data) // SECTOR * SECTOR)
        return address

    def append_many(self, entries: Sequence[bytes]) -> list[int]:
        """
        Append entries as one.
        """
        return [self.append(data) for data in entries]

    def append_and_commit(self, data: bytes) -> int:
        """
        Append an entry and commit.
        """
        address = self.append(data)
        self.commit()
        return address

    async def append_and_commit_async(self, data: bytes) -> int:
        """
        The same: its commits wait for nothing.
        """
        return self.append_and_commit(data)

    async def commit_async(self) -> Commit:
        """
        Make everything durable.
        """
        return self.commit()

    def _flush(self, until: int) -> None:
        start = self.flushed // SECTOR * SECTOR
        for at in range(start, until, SECTOR):
            part = bytes(self.data[at : min(at + SECTOR, until)])
            self.device.write(at, memoryview(part))
        self.flushed = until

    def commit(self, cookie: bytes = b"") -> Commit:
        """
        Make everything durable.

        Raises:
            OSError: It could not be.
        """
        if self.failed is not None:
            raise OSError(5, "a sync has failed before") from self.failed
        if self._due:
            self._due = False
            self._write_slots()
        number = self.about["number"] + 1
        end = (len(self.data) + 16 + _RECORD.size + len(cookie) + 7) & ~7
        until = -(-(end + 16) // SECTOR) * SECTOR
        if self.mutant == "no padding":
            until = end
        self._add(COMMIT, _RECORD.pack(number, until) + cookie)
        if until > end:
            self._add(FILLER, bytes(until - end - 16))
        if self.mutant == "early ack":
            self._flush(until)
            self.about.update(number=number, until=until)
            self.device.recorder.add(Event("ack", "commit", offset=until))
        self._flush(until)
        if self.mutant != "no sync":
            self._sync()
        self.about.update(number=number, until=until, cookie=cookie.decode())
        return Commit(number, until)

    def _sync(self) -> None:
        try:
            self.device.sync()
        except OSError as error:
            if self.mutant == "sync again":
                self.device.sync()
                return
            self.failed = error
            raise

    def committed(self) -> Commit:
        """
        What is durable.
        """
        return Commit(self.about["number"], self.about["until"])

    def wait(self, address: int) -> None:
        """
        The toy does nothing by itself.
        """
        if address >= self.about["until"]:
            self.commit()

    def save(self, name: str, address: int) -> None:
        """
        Save a cursor.
        """
        self.about["cursors"][name] = address
        if self.mutant == "slot first":
            number = self.about["number"]
            until = -(-(len(self.data) + 1) // SECTOR) * SECTOR
            ahead = Commit(number, until)
            self._add(FILLER, bytes(max(0, until - len(self.data) - 16)))
            self._flush(until)
            self.about.update(number=ahead.number, until=ahead.until)
        self._write_slot()

    def drop_cursor(self, name: str) -> None:
        """
        Forget a cursor.
        """
        self.about["cursors"].pop(name, None)
        self._write_slot()

    def truncate_until(self, address: int) -> None:
        """
        Cut the beginning off.
        """
        self.about["begin"] = max(self.about["begin"], address)
        if self.mutant == "space first":
            self.device.truncate_before(address)
        self._write_slots()
        self.device.truncate_before(address)

    def truncate_suffix(self, address: int) -> None:
        """
        Cut the end off.
        """
        self.commit()
        self._cut(address)
        self._live_on(address)

    def complete(self) -> None:
        """
        Say that nothing will follow.
        """
        self.commit()
        self.about["completed"] = True
        self._write_slot()

    def found(self) -> Found:
        """
        Everything that is committed.
        """
        about = self.about
        walk = self._walk(about["begin"], about["until"])
        entries = tuple((at, data) for at, kind, data in walk if kind == DATA)
        cursors: Mapping[str, int] = dict(about["cursors"])
        return Found(
            about["begin"],
            about["until"],
            about["number"],
            entries,
            cursors,
            about["cookie"].encode(),
            about["completed"],
        )

    def close(self, *, clean: bool) -> None:
        """
        End.
        """
        if clean and self.failed is None and not self.about["completed"]:
            self.commit()
            self._write_slot()


class Failing:
    """
    Lets the nth sync fail.
    """

    def __init__(self, nth: int) -> None:
        self._left = nth

    def __call__(self, event: Event) -> OSError | None:
        self._left -= event.kind == "sync"
        due = event.kind == "sync" and self._left == 0
        return OSError(5, "a sync fails") if due else None


class ToyLogSubject:
    """
    The toy, whole or with a mutant; `crash.logs.life.LogSubject`.
    """

    def __init__(self, mutant: str = "") -> None:
        self.mutant = mutant

    def tuned(self, settings: dict[str, Any]) -> ToyLogSubject:
        """
        It has no settings.
        """
        return self

    def device(self, image: Image, recorder: Recorder, **wishes: Any) -> SimDevice:
        """
        A device in Python, with the first of the rules.
        """
        rules = wishes.get("rules", ())
        failing = Failing(rules[0].nth) if rules else None
        return SimDevice(recorder, image.log, failing)

    def start(self, device: Any, slots: SimSlots, recover: int | None) -> ToyLog:
        """
        Open the toy.
        """
        return ToyLog(device, slots, self.mutant, recover)


__all__ = ["MUTANTS", "ToyLog", "ToyLogSubject"]
