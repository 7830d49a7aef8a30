# SPDX-License-Identifier: MIT
"""
Looking through a log's directory: slots, files, and every entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pyfaster.errors import CorruptLogError, FasterError
from pyfaster.flog import KINDS, Damage, record_of
from pyfaster_fasterlog._follower import LogFollower
from pyfaster_fasterlog._lives import written_until
from pyfaster_fasterlog._place import Place, refuse_missing
from pyfaster_fasterlog._slots import find_slots

#: Entries between two calls of a progress notice.
_NOTICE_EVERY = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    """
    Something that is wrong.

    Attributes:
        where: A file, or an address.

        what: What is wrong there.
    """

    where: str
    what: str


@dataclass(slots=True)
class LogReport:
    """
    What looking through a log has found.

    Attributes:
        directory: Which one.

        findings: What is wrong.

        notes: What is no damage.

        entries: How many were verified.

        payload_bytes: Of these.

        commits: How many commit records were verified.

        begin: Where the log begins.

        until: Where it was verified to.
    """

    directory: str
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    entries: int = 0
    payload_bytes: int = 0
    commits: int = 0
    begin: int = 0
    until: int = 0

    @property
    def ok(self) -> bool:
        """
        Whether nothing is wrong.
        """
        return not self.findings


def verify(
    place: Place, open_it: Callable[[], LogFollower], notice: Callable[[int, int], None]
) -> LogReport:
    """
    Look through a log; nothing is changed.

    Args:
        place: Where it lives.

        open_it: Opens it for reading.

        notice: Is told how many bytes were verified, and of how many.
    """
    report = LogReport(place.name)
    if place.files is not None:
        found = find_slots(place.files)
        for each in found.problems:
            report.findings.append(Finding(each.name, each.reason))
        report.findings += [Finding(name, "it is missing") for name in found.missing]
        slot = found.newest
        if slot is not None:
            try:
                refuse_missing(place, slot.begin, written_until(slot))
            except CorruptLogError as error:
                report.findings.append(Finding("segments", str(error)))
    try:
        with open_it() as log:
            _entries(log, report, notice)
    except FasterError as error:
        report.findings.append(Finding("the log", str(error)))
    return report


def _entries(
    log: LogFollower, report: LogReport, notice: Callable[[int, int], None]
) -> None:
    """
    Verify every entry, and that commits are numbered without a gap.
    """
    report.begin = report.until = log.begin
    end = log.committed.until
    number = 0
    try:
        for entry in log.scan(commits=True):
            report.until = entry.next
            if entry.kind == KINDS["commit"]:
                record = record_of(entry.payload)
                if number and record.number != number + 1:
                    what = f"commit {record.number:,} follows commit {number:,}"
                    report.findings.append(Finding(f"address {entry.address:,}", what))
                number = record.number
                report.commits += 1
            else:
                report.entries += 1
                report.payload_bytes += len(entry.payload)
            if (report.entries + report.commits) % _NOTICE_EVERY == 0:
                notice(report.until - log.begin, end - log.begin)
    except CorruptLogError as error:
        damage = error.damage
        where = f"address {damage.address:,}" if isinstance(damage, Damage) else "log"
        report.findings.append(Finding(where, str(error)))
    found = log.recovery
    if found.damage is not None:
        report.notes.append(
            f"behind the last commit, {found.damage}: what a crash leaves, which the "
            "next opening cuts off"
        )
    if found.cut_entries:
        report.notes.append(
            f"{found.cut_entries:,} whole entries behind the last commit, which "
            "nothing has committed"
        )


__all__ = ["Finding", "LogReport", "verify"]
