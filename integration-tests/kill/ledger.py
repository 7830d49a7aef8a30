# SPDX-License-Identifier: MIT
"""
What a process leaves behind when it is killed: words in memory that its parent shares.

A file that both map, so a word is there for the parent the moment the child has written
it, whatever happens to the child then. Behind the words is room for one text: what the
child found in the store when it had opened it.
"""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any

WORDS = 512
TEXT_SIZE = 32 << 20

#: Places of words. The first two are written by shim.c.
OPERATIONS, LAST_KIND, LENGTH, CHECKPOINTS, FIRST_SESSION = range(5)
#: Words of a session: the last serial that was begun; that was done; that the store
#: said no crash can take back.
ISSUED, DONE, COMMITTED, PER_SESSION = range(4)


class Ledger:
    """
    The shared words; a session's each have one writer at a time.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.truncate(8 * WORDS + TEXT_SIZE)
            self._map = mmap.mmap(file.fileno(), 0)
        self.words = memoryview(self._map)[: 8 * WORDS].cast("Q")

    def issued(self, session: int) -> int:
        """
        The last serial that the session has begun.
        """
        return self.words[FIRST_SESSION + PER_SESSION * session + ISSUED]

    def committed(self, session: int) -> int:
        """
        The last serial that the store has said to be safe.
        """
        return self.words[FIRST_SESSION + PER_SESSION * session + COMMITTED]

    def place(self, session: int, word: int) -> int:
        """
        Where in `words` a word of a session is.
        """
        return FIRST_SESSION + PER_SESSION * session + word

    def commit(self, session: int, serial: int) -> None:
        """
        Note what the store has said to be safe.
        """
        place = self.place(session, COMMITTED)
        self.words[place] = max(self.words[place], serial)

    def reset(self, session: int, serial: int) -> None:
        """
        Note that the session goes on behind this serial, which is safe.
        """
        for word in (ISSUED, DONE, COMMITTED):
            self.words[self.place(session, word)] = serial

    def begin(self) -> None:
        """
        Forget what one life leaves behind but for the sessions.
        """
        for word in (OPERATIONS, LAST_KIND, LENGTH, CHECKPOINTS):
            self.words[word] = 0

    def write(self, found: dict[str, Any]) -> None:
        """
        Leave what was found in the store.
        """
        text = json.dumps(found).encode()
        self._map[8 * WORDS : 8 * WORDS + len(text)] = text
        self.words[LENGTH] = len(text)

    def read(self) -> dict[str, Any]:
        """
        What the child found.
        """
        length = self.words[LENGTH]
        found: dict[str, Any] = json.loads(self._map[8 * WORDS : 8 * WORDS + length])
        return found

    def close(self) -> None:
        """
        Let the memory go.
        """
        self.words.release()
        self._map.close()
