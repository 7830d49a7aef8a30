# SPDX-License-Identifier: MIT
"""
What looking through a store's directory has shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: More are only counted: one damage can show at every record.
FINDINGS_MAX = 1000


@dataclass(frozen=True, slots=True)
class StoreFinding:
    """
    Something that is wrong in a store's directory.

    Attributes:
        file: Its path below the directory.

        what: What is wrong with it.

        offset: Where in the file; None when it is all of it.

        expected: What should be there; empty where `what` says it.

        found: What is there instead.
    """

    file: str
    what: str
    offset: int | None = None
    expected: str = ""
    found: str = ""


@dataclass(slots=True)
class StoreReport:
    """
    What looking through a store's directory has shown; it grows meanwhile.

    Attributes:
        directory: Which one.

        findings: What is wrong, as far as there is room for it.

        more: How many findings there was no room for.

        notes: What could not be looked at, or is no damage.

        checkpoints: How many there are.

        segments: How many files of the log there are.

        log_bytes: Bytes of the log that were verified, with those in checkpoints.

        file_bytes: Bytes of checkpoints' files that were verified.

        records: How many records were verified.

        entries: How many entries of copies of the index were compared with the log.
    """

    directory: str
    findings: list[StoreFinding] = field(default_factory=list)
    more: int = 0
    notes: list[str] = field(default_factory=list)
    checkpoints: int = 0
    segments: int = 0
    log_bytes: int = 0
    file_bytes: int = 0
    records: int = 0
    entries: int = 0

    @property
    def ok(self) -> bool:
        """
        Whether there was something to look at, and nothing was wrong.
        """
        return not self.findings and self.checkpoints > 0

    def add(
        self,
        file: str,
        what: str,
        offset: int | None = None,
        *,
        expected: str = "",
        found: str = "",
    ) -> None:
        """
        Note something that is wrong.
        """
        if len(self.findings) < FINDINGS_MAX:
            finding = StoreFinding(file, what, offset, expected, found)
            if finding not in self.findings[-8:]:
                self.findings.append(finding)
        else:
            self.more += 1

    def note(self, text: str) -> None:
        """
        Note something that is no damage.
        """
        if text not in self.notes:
            self.notes.append(text)


__all__ = ["FINDINGS_MAX", "StoreFinding", "StoreReport"]
