# SPDX-License-Identifier: MIT
"""
Opening an image of a log, and comparing what comes out with what may.

What a power cut left is opened and read; then the log goes on: entries of every kind, a
commit, a cursor, now and then a cut of its beginning or its end; then its process is
killed, or it is closed, and opened once more: it has to hold exactly that.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from crash.image import Image, Question
from crash.judge import Judge, Outcome, what_is_left
from crash.logs.life import LogLife, LogSubject
from crash.logs.oracle import Found, LogOutcome, shown
from crash.oracle import Plan, Points
from crash.subject import Refused

#: Entries of the lives that follow a recovery have numbers from here on.
LATER = 1 << 32
#: The name of a cursor that only the judge has.
CURSOR = "judge"


class LogJudge(Judge):
    """
    Judges images of logs; as `crash.judge.Judge`.

    Args:
        subject: The kind of log.

        seed: Of the payloads.

        classes: As there.

        honest: As there.

        by_itself: Whether the log commits without being asked.
    """

    def __init__(
        self,
        subject: LogSubject,
        seed: int,
        *,
        classes: bool = True,
        honest: bool = True,
        by_itself: bool = False,
    ) -> None:
        unused: object = None
        super().__init__(
            unused,  # type: ignore[arg-type]  # no store is opened
            Plan(seed, 0, texts=False),
            kind="",
            classes=classes,
            honest=honest,
        )
        self.logs, self.seed, self.by_itself = subject, seed, by_itself

    def _recover(self, image: Image) -> tuple[Outcome, frozenset[Question]]:
        """
        Judge an image as a whole.
        """
        self.recoveries += 1
        numbers = count(LATER * self.recoveries)
        turn = image.identity()[0]
        life = LogLife(self.logs, image.copy(), self.seed, numbers)
        found: Found | None = None
        faults: list[str] = []
        reason = ""
        try:
            found = life.start()
            faults = in_order(found)
            if self.honest and not faults and not found.completed:
                faults = list(self._live_on(life, found, turn, numbers))
        except Refused as error:
            reason = str(error)
            if found is not None and self.honest:
                faults = [f"opened, and damaged: {error}"]
            found = None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a violation
            faults = [f"{type(error).__name__}: {error}"]
        finally:
            life.end()
        timeline = tuple(life.timeline())
        points: Points | None = None if found is None else {}
        outcome = LogOutcome(points, tuple(faults), reason, timeline, found)
        return outcome, life.looked()

    def _live_on(
        self, life: LogLife, found: Found, turn: int, numbers: Iterator[int]
    ) -> Iterator[str]:
        """
        Go on in one of some ways, end in one of two, and see what is there then.
        """
        for _ in range(3):
            life.append()
        life.append_many(3)
        life.commit(b"judge %d" % turn)
        life.append_and_commit()
        life.save(CURSOR, life.log.committed().until)
        if turn % 4 == 1 and found.entries:
            life.truncate_until(found.entries[len(found.entries) // 2][0])
        if turn % 4 == 3:
            last = life.append()
            life.commit()
            life.truncate_suffix(last)
            life.append_and_commit()
        if turn % 3:
            life.append()
        want = life.log.found()
        yield from in_order(want)
        if want.number <= found.number:
            yield f"commit {want.number} follows {found.number}"
        clean = turn % 2 == 0
        life.end(clean=clean)
        again = LogLife(self.logs, what_is_left(life), self.seed, numbers)
        try:
            got = again.start()
        except Refused as error:
            yield f"refused after a commit: {error}"
            return
        finally:
            again.end()
        yield from differences(want, got, more=clean or self.by_itself)


def in_order(found: Found) -> list[str]:
    """
    Say what is wrong with what a log holds, whatever was written to it.
    """
    places = [address for address, _ in found.entries]
    faults = []
    if places != sorted(set(places)):
        faults.append(f"addresses do not ascend: {places}")
    if places and not found.begin <= places[0] <= places[-1] < found.until:
        faults.append(
            f"entries from {places[0]} to {places[-1]} in a log from {found.begin} to "
            f"{found.until}"
        )
    faults += [
        f"cursor {name} at {at} is beyond the end, {found.until}"
        for name, at in found.cursors.items()
        if at > found.until
    ]
    return faults


def differences(want: Found, got: Found, *, more: bool) -> Iterator[str]:
    """
    Compare what a log held with what it holds in its next life.

    Args:
        more: Whether the last entry, which nobody committed, may have been.
    """
    if got.entries[: len(want.entries)] != want.entries:
        pairs = zip(want.entries, (*got.entries, None), strict=False)
        first = next(((a, b) for a, b in pairs if a != b), (None, None))
        yield f"reopened with {shown(first[1])}, expected {shown(first[0])}"
    count = len(got.entries) - len(want.entries)
    if count > more:
        yield f"reopened with {count} entries more"
    if got.begin != want.begin:
        yield f"reopened at {got.begin}, expected {want.begin}"
    if got.number < want.number:
        yield f"reopened at commit {got.number}, expected {want.number}"
    if dict(got.cursors) != dict(want.cursors):
        yield f"reopened with cursors {got.cursors}, expected {want.cursors}"


__all__ = ["LogJudge", "differences", "in_order"]
