# SPDX-License-Identifier: MIT
"""
A small store in Python that keeps its promises, and the ways in which it may break
them.

It is a log of which sessions did what: a record holds a session and a serial number,
and the plan says what that means. A checkpoint writes the log up to a sector's end,
syncs it, writes a table of commit points and then a manifest. What follows the
checkpoint in the log is recovered as far as it is whole. Each name in `MUTANTS` leaves
one step out; the simulator has to find that, or it is no simulator.
"""

from __future__ import annotations

import itertools
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from crash.device import SimDevice
from crash.events import Event, Recorder
from crash.files import SimFiles
from crash.image import Image
from crash.medium import SECTOR
from crash.oracle import Plan, Points, Update, Value
from crash.subject import Log, Refused
from kill.model import apply
from kill.plan import mix

#: What may be left out, and what that means.
MUTANTS = {
    "no barrier": "the log is not synced before the manifest is published",
    "early ack": "a checkpoint is acknowledged before it is flushed",
    "manifest first": "the manifest is published before the data it names",
    "no directory sync": "the manifest's new name is not synced",
    "no root sync": "the name of a checkpoint's place is not synced",
    "delete first": "older checkpoints go before the new one is published",
    "same generation": "a new life writes with the checksums of the one before",
    "no padding": "the last sector is written again by what follows",
    "short write": "half a write passes for a whole one",
    "early serials": "commit points are of updates that the flush has not seen",
    "length only": "lengths are checked and checksums are not",
    "sync again": "a sync that failed is tried again, and believed",
    "gap": "a write that failed is passed over, and what follows it is trusted",
}

CHUNK = SECTOR
#: So much of the log is written without being asked for.
EAGER = 3 * SECTOR
_SEAL = struct.Struct("<I")
_BODY = struct.Struct("<IIIQ8x")
#: A sector holds a whole number of them.
RECORD = _SEAL.size + _BODY.size
#: Makes a life's generation one that no other has.
_LIVES = itertools.count(1)
#: Records of this session are padding.
FILLER = 1 << 20


class Toy:
    """
    The store, open; `crash.subject.Running`.
    """

    def __init__(
        self, device: SimDevice, files: SimFiles, plan: Plan, mutant: str
    ) -> None:
        self.device, self.files, self.plan, self.mutant = device, files, plan, mutant
        self.log = bytearray()
        self.flushed = 0
        self.poisoned = False
        self.generations: list[tuple[int, int]] = []
        self.sequence = 0
        self.serials: dict[str, int] = {}
        self._left: list[Callable[[], None]] = []
        self._recover()
        self.points: Points = dict(self.serials)

    # --- the log --------------------------------------------------------------------

    def _seal(self, address: int, body: bytes) -> bytes:
        first = [number for start, number in self.generations if start <= address]
        seed = zlib.crc32(struct.pack("<QQ", address, first[-1]))
        return _SEAL.pack(zlib.crc32(body, seed)) + body

    def _append(self, session: int, serial: int) -> None:
        body = _BODY.pack(RECORD, session + 1, 0, serial)
        self.log += self._seal(len(self.log), body)

    def _record(self, log: bytearray, at: int) -> tuple[int, int] | None:
        """
        The session and serial of a record, if a whole one is there.
        """
        record = bytes(log[at : at + RECORD])
        if len(record) < RECORD:
            return None
        length, session, _, serial = _BODY.unpack_from(record, _SEAL.size)
        known = session <= len(self.plan.names) or session == FILLER + 1
        if length != RECORD or not session or not known:
            return None
        good = self.mutant == "length only" or record == self._seal(
            at, record[_SEAL.size :]
        )
        return (session - 1, serial) if good else None

    def _pad(self) -> None:
        """
        Fill the last sector, so that nothing else is ever written to it.
        """
        if self.mutant == "no padding":
            return
        while len(self.log) % SECTOR:
            self._append(FILLER, 0)

    def _write_log(self, until: int) -> None:
        """
        Write from the last flushed sector up to here, in several writes.
        """
        start = self.flushed // SECTOR * SECTOR
        for at in range(start, until, CHUNK):
            part = bytes(self.log[at : min(at + CHUNK, until)])
            short = self.mutant == "short write" and at == start
            sent = part[: len(part) // 2] if short else part
            try:
                self.device.write(at, memoryview(sent))
            except OSError:
                if self.mutant != "gap":
                    raise
            self.flushed = at + len(part)

    def _flush(self) -> None:
        """
        Write everything and see to it that it survives.
        """
        if self.poisoned:
            raise OSError(5, "a sync has failed before")
        self._write_log(len(self.log))
        if self.mutant != "no barrier":
            self.poisoned = self.mutant != "sync again"
            self.device.sync()
            self.poisoned = False

    # --- checkpoints ----------------------------------------------------------------

    def checkpoint(self, kind: str, step: Callable[[], None] | None = None) -> Points:
        """
        Take a checkpoint.

        Raises:
            OSError: The device, or a file, failed; nothing is promised.
        """
        self._finish()
        self._pad()
        points, until = dict(self.serials), len(self.log)
        if self.mutant == "early ack":
            self._left.append(lambda: self._publish(points, until))
            return points
        self._flush()
        if step is not None:
            step()
        if self.mutant == "early serials":
            points = dict(self.serials)
        self._publish(points, until)
        return points

    def _finish(self) -> None:
        """
        Do what was put off.
        """
        while self._left:
            self._flush()
            self._left.pop()()

    def _publish(self, points: Points, until: int) -> None:
        self.sequence += 1
        token = f"{self.sequence:016x}-{mix(self.plan.seed, self.sequence):016x}"
        old = [name for name in self.files.tokens() if name != token]
        if self.mutant == "delete first":
            self._remove(old)
        if self.mutant == "no root sync":
            self.files.make_unsynced(token)
        else:
            self.files.make(token)
        data = json.dumps({"points": dict(points)}).ljust(2 * SECTOR).encode()
        about = {
            "until": until,
            "sequence": self.sequence,
            "generations": self.generations,
            "data": [len(data), zlib.crc32(data)],
        }
        manifest = json.dumps(about).encode()
        manifest = b"%08x" % zlib.crc32(manifest) + manifest
        if self.mutant == "manifest first":
            self._name(token, manifest)
        self._write(token, "data.dat", data)
        if self.mutant != "manifest first":
            self._name(token, manifest)
        if self.mutant != "delete first":
            self._remove(old[:-1])

    def _write(self, token: str, name: str, data: bytes) -> None:
        writer = self.files.create(token, name)
        writer.write(data)
        writer.sync()
        writer.close()

    def _name(self, token: str, manifest: bytes) -> None:
        self._write(token, "manifest.tmp", manifest)
        self.files.sync(token)
        self.files.rename(token, "manifest.tmp", "manifest.json")
        if self.mutant != "no directory sync":
            self.files.sync(token)

    def _remove(self, tokens: list[str]) -> None:
        for token in tokens:
            for name in sorted(self.files.names(token), reverse=True):
                self.files.remove(token, name)
                self.files.sync(token)
            self.files.remove_token(token)
            self.files.sync_root()

    # --- recovery -------------------------------------------------------------------

    def _read(self, token: str, name: str) -> bytes:
        reader = self.files.open(token, name)
        data = bytearray(reader.size)
        reader.read_into(0, memoryview(data))
        return bytes(data)

    def _manifest(self, token: str) -> dict[str, Any] | None:
        """
        A checkpoint's manifest with its points, if both are whole.
        """
        try:
            text = self._read(token, "manifest.json")
            sums = self.mutant != "length only"
            if sums and text[:8] != b"%08x" % zlib.crc32(text[8:]):
                return None
            about: dict[str, Any] = json.loads(text[8:])
            data = self._read(token, "data.dat")
            length, checksum = about["data"]
            if len(data) != length or (sums and zlib.crc32(data) != checksum):
                return None
            return {**about, **json.loads(data)}
        except (FileNotFoundError, ValueError, KeyError):
            return None

    def _recover(self) -> None:
        tokens = self.files.tokens()
        about = next(filter(None, map(self._manifest, reversed(tokens))), None)
        if about is None:
            named = [t for t in tokens if "manifest.json" in self.files.names(t)]
            if named:
                raise Refused(f"no whole checkpoint, of {len(named)}")
            about = {"until": 0, "generations": [[0, 1]], "points": {}}
        self.generations = [(start, number) for start, number in about["generations"]]
        self.sequence = max((int(token[:16], 16) for token in tokens), default=0)
        size = 1 << 20
        found = bytearray(size)
        del found[self.device.read(0, memoryview(found)) :]
        at = 0
        while self._record(found, at) is not None:
            at += RECORD
        if at < about["until"]:
            raise Refused(f"the log ends at {at}, before {about['until']}")
        self.serials.update(about["points"])
        # Of what follows the checkpoint, whole sectors: none is ever written again.
        self._restart(found[: max(about["until"], at // SECTOR * SECTOR)])

    def _restart(self, log: bytearray) -> None:
        """
        Go on from here, as a new generation.
        """
        self.log = log
        for at in range(0, len(log), RECORD):
            record = self._record(log, at)
            if record is not None and record[0] != FILLER:
                self.serials[self.plan.names[record[0]]] = record[1]
        self.flushed = len(log)
        number = self.generations[-1][1]
        if self.mutant != "same generation":
            number = mix(number, next(_LIVES))
        self.generations.append((len(self.log), number))

    # --- operations -----------------------------------------------------------------

    def perform(self, session: int, update: Update) -> int:
        """
        Do an update; give its serial number.
        """
        name = self.plan.names[session]
        serial = self.serials.get(name, 0) + 1
        self._finish()
        self.serials[name] = serial
        self._append(session, serial)
        if len(self.log) - self.flushed >= EAGER:
            with suppress(OSError):
                self._write_log(len(self.log) // SECTOR * SECTOR)
        return serial

    def content(self) -> Mapping[Value, Value]:
        """
        Do everything that the log says, in order.
        """
        found: dict[Value, Value] = {}
        for at in range(0, len(self.log), RECORD):
            record = self._record(self.log, at)
            if record is not None and record[0] != FILLER:
                apply(found, self.plan.update(*record))
        return found

    def reread(self, found: Mapping[Value, Value], keys: set[Value]) -> list[str]:
        """
        There is no index.
        """
        return []

    def close(self) -> None:
        """
        What was put off is never done.
        """


class Failing:
    """
    Lets the nth request of a kind fail.
    """

    def __init__(self, kind: str, nth: int) -> None:
        self._kind, self._left = kind, nth

    def __call__(self, event: Event) -> OSError | None:
        self._left -= event.kind == self._kind
        due = event.kind == self._kind and self._left == 0
        return OSError(5, f"a {event.kind} fails") if due else None


class ToySubject:
    """
    The toy, whole or with a mutant.
    """

    reads_ahead = True

    def __init__(self, mutant: str = "") -> None:
        self.mutant = mutant

    def tuned(self, settings: Mapping[str, Any]) -> ToySubject:
        """
        It has no settings.
        """
        return self

    def log(self, image: Image, recorder: Recorder, **wishes: Any) -> Log:
        """
        A device in Python, with the first of the rules.
        """
        rules = wishes.get("rules", ())
        failing = Failing(rules[0].kinds, rules[0].nth) if rules else None
        return SimDevice(recorder, image.log, wishes.get("failing") or failing)

    def start(self, log: Any, files: SimFiles, plan: Plan) -> Toy:
        """
        Open the toy.
        """
        return Toy(log, files, plan, self.mutant)


__all__ = ["MUTANTS", "Toy", "ToySubject"]
