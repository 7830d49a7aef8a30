# SPDX-License-Identifier: MIT
"""
A device that does wrong on purpose: at the nth request, in the way it is told.

>>> from pyfaster.testing import FaultyDevice, MemoryDevice, Probe, Rule
>>> device = FaultyDevice(MemoryDevice(), [Rule("fail", "write", nth=2, errno=28)])
>>> with Probe(device) as probe:
...     [probe.put(offset, bytes(512)) for offset in (0, 512, 1024)]
[0, -28, 0]

The faults:

=========== ==================== ===================================================
name        of                   what happens
=========== ==================== ===================================================
refuse      all                  the submission returns `-errno`
fail        all                  nothing is done; completed with `-errno`
code        all                  done; completed with `argument` all the same
bytes       read, write          done; `argument` bytes are said to have been moved
short       read, write          only `argument` bytes; below 0: so many fewer
hold        read, write, sync    done after `argument` more requests; 0: by `release`
never       read, write, sync    not done; ECANCELED when the device is closed
twice       read, write, sync    completed two times
late        read, write, sync    done; completed by a `release` after close
inline      read, write, sync    completed before the submission returns
foreign     read, write, sync    completed on a thread of the faulty device
flip        read, write          bit `argument` of the data is another
drop        all                  not done, and said to be
tear        write                only sectors set in `mask`; argument 1: from the end
misdirect   read, write          done `argument` bytes further on
stale       read                 gives what was there before the last write
=========== ==================== ===================================================
"""

from __future__ import annotations

import errno as _errno
from collections.abc import Iterable
from dataclasses import dataclass

from pyfaster import _cabi_devices as cabi
from pyfaster._devices import TableDevice, closing_unless_made, device_address
from pyfaster.protocols import NativeDevice, PythonDevice
from pyfaster.testing import _cabi

_ALL = 0
_CHANCES = 1 << 32
_FAILING = ("refuse", "fail")


@dataclass(frozen=True, slots=True)
class Rule:
    """
    When something goes wrong, and what.

    Attributes:
        fault: A name of the table above.

        kinds: "read", "write", "sync", "truncate", several with spaces between, or ""
            for all that the fault is known for.

        nth: The matching request that it begins with, from 1.

        every: How many matching requests lie between two faults, and one.

        times: How often at most; None: from then on for ever.

        begin: Only requests that touch a byte from here,

        end: to here; None: to the end. Syncs have no place and match always.

        probability: Of each occasion, from 0 to 1; decided by the device's seed.

        argument: As the table says.

        mask: Of "tear": sector i is written if bit i mod 64 is set.

        errno: Of "refuse" and "fail"; EIO unless told.
    """

    fault: str
    kinds: str = ""
    nth: int = 1
    every: int = 1
    times: int | None = 1
    begin: int = 0
    end: int | None = None
    probability: float = 1.0
    argument: int = 0
    mask: int = 0
    errno: int = _errno.EIO

    def fields(self) -> dict[str, int]:
        """
        The rule as the core takes it.

        Raises:
            ValueError: Something in it makes no sense.
        """
        kinds = _ALL
        for word in self.kinds.split():
            if word not in cabi.KINDS:
                raise ValueError(f"{word!r} is no kind; {sorted(cabi.KINDS)} are")
            kinds |= cabi.KINDS[word]
        if self.fault not in _cabi.FAULTS:
            raise ValueError(f"{self.fault!r} is no fault; {sorted(_cabi.FAULTS)} are")
        if (
            self.nth < 1
            or self.every < 1
            or (self.times is not None and self.times < 1)
        ):
            raise ValueError(f"nth, every and times count from 1: {self}")
        if not 0 < self.probability <= 1:
            raise ValueError(f"the probability of {self} is not in (0, 1]")
        chance = max(1, round(self.probability * _CHANCES))
        return {
            "kinds": kinds,
            "fault": _cabi.FAULTS[self.fault],
            "begin": self.begin,
            "end": 0 if self.end is None else self.end,
            "nth": self.nth,
            "every": self.every,
            "times": 0 if self.times is None else self.times,
            "probability": 0 if chance == _CHANCES else chance,
            "argument": -self.errno if self.fault in _FAILING else self.argument,
            "mask": self.mask,
        }


@dataclass(frozen=True, slots=True)
class Injected:
    """
    A fault that was injected.

    Attributes:
        number: Of the request, counted from 1 over all kinds.

        rule: Index of the rule that fired.

        fault: Its name.

        kind: Of the request.

        offset: Of the request.

        length: Of the request.
    """

    number: int
    rule: int
    fault: str
    kind: str
    offset: int
    length: int


class FaultyDevice(TableDevice):
    """
    Stands before a device, and does wrong by rules.

    Args:
        inner: Taken over; closed with this one.

        rules: Of several that fire for a request the first one decides.

        seed: Of the rules' probabilities.

        claim: Capabilities that the table has although the inner one has not.

        hide: Capabilities that it has not although the inner one has.

        sector_size: What the table says instead of the truth; 0: the truth.

        alignment: Likewise.

        max_io: Likewise.

    Raises:
        ValueError: A rule makes no sense.

        DeviceError: EINVAL: a rule's argument does not fit its fault.
    """

    def __init__(
        self,
        inner: NativeDevice | PythonDevice,
        rules: Iterable[Rule] = (),
        seed: int = 0,
        *,
        claim: Iterable[str] = (),
        hide: Iterable[str] = (),
        sector_size: int = 0,
        alignment: int = 0,
        max_io: int = 0,
    ) -> None:
        self.rules = tuple(rules)
        fields = [rule.fields() for rule in self.rules]
        claims, hidden = cabi.capabilities_of(claim), cabi.capabilities_of(hide)
        address, self.inner = device_address(inner)
        with closing_unless_made(address):
            self._c = _cabi.Faulty(
                address,
                fields,
                seed=seed,
                capabilities_set=claims,
                capabilities_clear=hidden,
                sector_size=sector_size,
                alignment=alignment,
                max_io=max_io,
            )
        super().__init__(self._c.address)

    def release(self) -> int:
        """
        Carry out what "hold" holds; after close complete what "late" has kept.

        Returns:
            How many requests.
        """
        return self._c.release()

    def stats(self) -> dict[str, int]:
        """
        Figures: reads, writes, syncs and truncates submitted, faults injected, and
        requests waiting.
        """
        return self._c.stats()

    def fired(self, rule: int = 0) -> int:
        """
        How often a rule has fired.
        """
        return self._c.fired(rule)

    def injected(self) -> list[Injected]:
        """
        The last faults, at most 1,024, the oldest first.
        """
        found = []
        total = self.stats()["injected"]
        for index in range(max(0, total - 1024), total):
            event = self._c.event(index)
            if event is not None:
                found.append(_injected(event))
        return found


_KIND_NAMES = {number: name for name, number in cabi.KINDS.items()}
_FAULT_NAMES = {number: name for name, number in _cabi.FAULTS.items()}


def _injected(event: dict[str, int]) -> Injected:
    return Injected(
        number=event["number"],
        rule=event["rule"],
        fault=_FAULT_NAMES[event["fault"]],
        kind=_KIND_NAMES[event["kind"]],
        offset=event["offset"],
        length=event["length"],
    )


__all__ = ["FaultyDevice", "Injected", "Rule"]
