# SPDX-License-Identifier: MIT
"""
What a check works on: devices opened at places of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from pyfaster.testing.conformance._drive import Drive, Ticket
from pyfaster.testing.conformance._model import Broken, must
from pyfaster.testing.conformance._profile import Profile

#: Opens a device at a named place: a new name is an empty place, a name that was used
#: before is the place as it was left.
Factory = Callable[[str], object]

#: Gives the address of a device's table, and what must be kept until it is closed.
Address = Callable[[object], tuple[int, object]]


@lru_cache(maxsize=64)
def pattern(seed: int, size: int) -> bytes:
    """
    Give bytes that depend on the seed and look like no others.
    """
    return random.Random(seed).randbytes(size)


class Subject:
    """
    A device under one check.

    Args:
        factory: Opens it.

        address: Gives its table.

        profile: What is known of it.

        name: Of the check; places begin with it.

        patience: As for `Drive`.
    """

    def __init__(
        self,
        factory: Factory,
        address: Address,
        profile: Profile,
        *,
        name: str,
        patience: int,
    ) -> None:
        self.profile = profile
        self.name = name
        self.patience = patience
        self._factory = factory
        self._address = address
        self._drives: list[Drive] = []

    @property
    def unit(self) -> int:
        """
        The smallest request that every device must carry out.
        """
        return self.profile.unit

    @property
    def segment(self) -> int:
        """
        Where a file or part of the device ends.
        """
        return self.profile.segment_size

    def device(self, place: str = "a") -> Any:
        """
        Open a device and give the object, not its table.
        """
        return self._factory(f"{self.name}-{place}")

    def drive(self, device: object) -> Drive:
        """
        Take a device's table.
        """
        address, keep = self._address(device)
        drive = Drive(address, (device, keep), self.patience)
        self._drives.append(drive)
        return drive

    def open(self, place: str = "a") -> Drive:
        """
        Open a device at a place of this check and take its table.
        """
        return self.drive(self.device(place))

    def end(self) -> None:
        """
        Close what the check has left open.
        """
        for drive in self._drives:
            if not drive.closed:
                drive.close()

    # --- requests that must succeed -------------------------------------------------

    def pieces(self, offset: int, length: int) -> Iterable[tuple[int, int]]:
        """
        Cut a range into requests that the device takes.
        """
        step = self.profile.facts.max_io or length
        step = max(self.unit, step // self.unit * self.unit)
        end = offset + length
        while offset < end:
            size = min(step, end - offset)
            yield offset, size
            offset += size

    def put(self, drive: Drive, offset: int, data: bytes) -> None:
        """
        Write bytes; they must all be taken.
        """
        begin = offset
        tickets = [
            drive.write(at, data[at - begin : at - begin + size])
            for at, size in self.pieces(offset, len(data))
        ]
        self.succeed(drive, *tickets)

    def get(self, drive: Drive, offset: int, length: int) -> bytes:
        """
        Read bytes; give what there is, which is less where the device ends.
        """
        tickets = [drive.read(*piece) for piece in self.pieces(offset, length)]
        self.succeed(drive, *tickets)
        return b"".join(ticket.data for ticket in tickets)

    def same(self, drive: Drive, offset: int, expected: bytes) -> None:
        """
        Read a range that was written; it must be there whole and be those bytes.
        """
        found = self.get(drive, offset, len(expected))
        must(
            len(found) == len(expected),
            f"a read at {offset} is short: {len(found)} of {len(expected)} bytes",
        )
        if found != expected:
            at = first_difference(found, expected)
            raise Broken(f"a read of {len(expected)} at {offset} differs at byte {at}")

    def absent(self, drive: Drive, offset: int, length: int) -> None:
        """
        Read a range that was never written: zeros, or short (V7).
        """
        found = self.get(drive, offset, length)
        must(not any(found), f"bytes never written at {offset} are not zero")

    def synced(self, drive: Drive) -> None:
        """
        Sync; it must succeed.
        """
        self.succeed(drive, drive.sync())

    def succeed(self, drive: Drive, *tickets: Ticket) -> None:
        """
        Wait for requests, each of which must succeed and be completed once.
        """
        drive.finish(*tickets)
        for ticket in tickets:
            must(ticket.done, f"did not succeed: {ticket}")

    def once(self, drive: Drive, *tickets: Ticket) -> None:
        """
        Wait, then look that no request was completed again.
        """
        self.succeed(drive, *tickets)
        drive.drain()
        for ticket in tickets:
            must(len(ticket.ends) == 1, f"completed {len(ticket.ends)} times: {ticket}")


def first_difference(one: bytes, other: bytes) -> int:
    """
    Give the index of the first byte that differs, or the shorter length.
    """
    pairs = zip(one, other, strict=False)
    return next(
        (at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other))
    )
