# SPDX-License-Identifier: MIT
"""
Lives of one durable log in one directory, one after another, each judged by the next.

What one life has found is there in all later ones, at the same addresses, unless it was
cut off. Behind it stand only entries of the life in between: of each writer the serial
numbers in order, none twice and none missing, as many as were acknowledged at least and
as many as were begun at most.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from kill.base import BaseCampaign
from kill.log_child import BEGIN, CURSOR, CUT, LOG_WORDS, NUMBER
from kill.log_plan import WRITERS, LogLife, log_life


class Entry(NamedTuple):
    """
    What a log holds at an address.
    """

    address: int
    writer: int
    serial: int
    life: int


class LogCampaign(BaseCampaign[LogLife]):
    """
    Lives of one log.

    Args:
        what: "log", or "log:" and a mutant of the child.
    """

    def __init__(self, what: str, seed: int, folder: Path) -> None:
        super().__init__(what, seed, folder)
        self._known: list[Entry] = []
        self._points = [0] * WRITERS
        self._begins = {0}
        self._cursors = {0}
        self._last_life = -1

    def _next(self) -> LogLife:
        """The life that is due."""
        return log_life(self.seed, self.tally.lives, self._sweep)

    def _last(self) -> LogLife:
        """A life that is closed in peace."""
        return LogLife(self.seed, self.tally.lives, "none", writers=2)

    def _note(self, one: LogLife) -> None:
        """The life that has ended wrote what is new, if it came so far."""

    def _again(self) -> str:
        """Nothing but the seed."""
        return ""

    def _judge(self, one: LogLife) -> None:
        """Compare what the child has found with what must be there."""
        found = self._ledger.read()
        entries = [Entry(*each) for each in found["entries"]]
        words = self._ledger.words
        faults = list(found["faults"])
        cut = [entry for entry in self._known if entry.address < words[CUT]]
        choices = [cut] if words[CUT + 1] else [self._known]
        if words[CUT] and not words[CUT + 1]:
            choices.append(cut)
        said = [self._compare(known, entries, found) for known in choices]
        if all(said):
            faults += said[0]
        faults += self._figures(found)
        if faults:
            self._fail(one, faults)
        self._accept(one, entries, found)

    def _compare(
        self, known: list[Entry], entries: list[Entry], found: dict[str, Any]
    ) -> list[str]:
        """Give what is wrong if this is what the log held before its last life."""
        points = self._points_of(known, self._points)
        kept = [entry for entry in known if entry.address >= found["begin"]]
        if entries[: len(kept)] != kept:
            pairs = zip(kept, [*entries, None], strict=False)
            first = next(pair for pair in pairs if pair[0] != pair[1])
            return [f"{first[1]} where {first[0]} was"]
        faults = []
        for entry in entries[len(kept) :]:
            if entry.life != self._last_life:
                faults.append(f"{entry} is not of life {self._last_life}")
            if entry.serial != points[entry.writer] + 1:
                faults.append(f"{entry} follows {points[entry.writer]}")
            points[entry.writer] = entry.serial
        for writer, point in enumerate(points):
            least, most = self._ledger.committed(writer), self._ledger.issued(writer)
            if not least <= point <= most:
                faults.append(
                    f"writer {writer}: {point} entries survived, of {least} "
                    f"acknowledged and {most} begun"
                )
        return faults

    def _points_of(self, known: list[Entry], points: list[int]) -> list[int]:
        """Give each writer's last serial when the end of what was known is cut off."""
        points = list(points)
        for entry in reversed(self._known[len(known) :]):
            points[entry.writer] = entry.serial - 1
        return points

    def _figures(self, found: dict[str, Any]) -> list[str]:
        """Compare what a log says of itself."""
        words, faults = self._ledger.words, []
        places = [entry[0] for entry in found["entries"]]
        if places != sorted(set(places)):
            faults.append("addresses do not ascend")
        if places and not found["begin"] <= places[0] <= places[-1] < found["until"]:
            faults.append("there are entries outside of the log")
        begins = {words[BEGIN + 1]} if words[BEGIN + 1] else self._begins
        if self._last_life >= 0 and found["begin"] not in begins | {words[BEGIN]}:
            faults.append(f"begins at {found['begin']}, not at {sorted(begins)}")
        if found["number"] < words[NUMBER]:
            faults.append(f"commit {found['number']}, {words[NUMBER]} was acknowledged")
        cursors = {words[CURSOR + 1]} if words[CURSOR + 1] else self._cursors
        asked = cursors | {words[CURSOR]}
        end = words[CUT] or max(asked)
        right = {max(min(at, end), found["begin"]) for at in asked} | asked | {0}
        if found["cursor"] not in right - ({0} if words[CURSOR + 1] else set()):
            faults.append(f"the cursor is at {found['cursor']}, not at {sorted(right)}")
        if found["cursor"] > found["until"]:
            faults.append("the cursor is beyond the end")
        return faults

    def _accept(
        self, one: LogLife, entries: list[Entry], found: dict[str, Any]
    ) -> None:
        """What was found is known from now on."""
        gained = len(entries) - len(self._known)
        words = self._ledger.words
        if words[CUT]:
            kept = [entry for entry in self._known if entry.address < words[CUT]]
            if words[CUT + 1] or not self._holds(entries, found["begin"]):
                self._points = self._points_of(kept, self._points)
        for entry in entries:
            self._points[entry.writer] = max(self._points[entry.writer], entry.serial)
        self._known = entries
        self._begins, self._cursors = {found["begin"]}, {found["cursor"]}
        self._last_life = one.number
        for place in range(LOG_WORDS, NUMBER + 1):
            words[place] = 0
        words[NUMBER] = found["number"]
        for writer, point in enumerate(self._points):
            self._ledger.reset(writer, point)
        self.tally.judged += 1
        self.tally.updates += max(0, gained)

    def _holds(self, entries: list[Entry], begin: int) -> bool:
        """Whether everything that was known is still there."""
        kept = [entry for entry in self._known if entry.address >= begin]
        return entries[: len(kept)] == kept


__all__ = ["Entry", "LogCampaign"]
