# SPDX-License-Identifier: MIT
"""
Files of checkpoints in memory, each call of which is recorded.

`SimFiles` is a `pyfaster.checkpoints.CheckpointFiles`. It begins with an image, so that
it serves a recovery as well as a first run, and it knows what of that image was looked
at.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from crash.events import Event, Recorder
from crash.image import Image, Question, put

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: Is asked before each call that changes something: what it is to raise, if anything.
Refusal = Callable[[Event], OSError | None]


def nothing_refused(event: Event) -> OSError | None:
    """
    Refuse nothing.
    """
    return None


class SimFiles:
    """
    Files in memory.

    Args:
        recorder: Notes what is done.

        image: What there is at first; it is changed.

        refuse: May make a call fail, as a medium would.

    Attributes:
        looked: What of the first image was looked at.
    """

    def __init__(
        self,
        recorder: Recorder,
        image: Image | None = None,
        refuse: Refusal = nothing_refused,
    ) -> None:
        self.recorder = recorder
        self.image = image if image is not None else Image()
        self.refuse = refuse
        self.looked: set[Question] = set()
        self._first = set(self.image.files)
        self._made: set[str] = set()
        self._next = max(self.image.files, default=0) + 1

    def _look(self, *question: str) -> None:
        """
        Note that something was looked at, if it can be of the first image.
        """
        if question[1] not in self._made:
            self.looked.add(question)

    def note(self, event: Event) -> None:
        """
        Note a call, or raise what it is to raise.

        Raises:
            OSError: The call is refused; it is noted as not done.
        """
        error = self.refuse(event)
        if error is None:
            self.recorder.add(event)
            return
        if event.kind in ("fsync", "dirsync", "append", "rewrite"):
            what = (event.kind, event.place, event.name, "", event.file)
            self.recorder.add(Event(*what, offset=event.offset, ok=False))
        raise error

    def tokens(self) -> list[str]:
        """
        The places that there are.
        """
        self.looked.add(("tokens",))
        return sorted(self.image.places)

    def make(self, token: str, /) -> None:
        """
        Make a place, and sync the root.
        """
        self.make_unsynced(token)
        self.sync_root()

    def make_unsynced(self, token: str) -> None:
        """
        Make a place, and leave its name as it is.
        """
        if token in self.image.places:
            raise FileExistsError(token)
        self.note(Event("mkdir", token))
        self._made.add(token)
        self.image.places[token] = {}

    def names(self, token: str, /) -> list[str]:
        """
        The files of a place.
        """
        self._look("names", token)
        return sorted(self._place(token))

    def _place(self, token: str) -> dict[str, int]:
        try:
            return self.image.places[token]
        except KeyError:
            raise FileNotFoundError(token) from None

    def create(self, token: str, name: str, /) -> SimWriter:
        """
        Begin a file that is not there.
        """
        names = self._place(token)
        if name in names:
            raise FileExistsError(name)
        number = self._next
        self.note(Event("create", token, name, file=number))
        self._next += 1
        names[name] = number
        self.image.files[number] = bytearray()
        return SimWriter(self, token, name, number)

    def open(self, token: str, name: str, /) -> SimReader:
        """
        Open a file for reading.
        """
        self._look("size", token, name)
        number = self._place(token).get(name)
        if number is None:
            raise FileNotFoundError(name)
        first = (token, name) if number in self._first else None
        return SimReader(self, self.image.files[number], first)

    def rename(self, token: str, old: str, new: str, /) -> None:
        """
        Give a file another name.
        """
        names = self._place(token)
        if old not in names:
            raise FileNotFoundError(old)
        self.note(Event("rename", token, old, new, file=names[old]))
        names[new] = names.pop(old)

    def sync(self, token: str, /) -> None:
        """
        Make the names of a place's files survive.
        """
        self._place(token)
        self.note(Event("dirsync", token))

    def sync_root(self) -> None:
        """
        Make the names of the places survive.
        """
        self.note(Event("dirsync"))

    def remove(self, token: str, name: str, /) -> None:
        """
        Remove a file; one that is not there is no error.
        """
        names = self.image.places.get(token, {})
        if name in names:
            self.note(Event("unlink", token, name, file=names[name]))
            del names[name]

    def remove_token(self, token: str, /) -> None:
        """
        Remove an empty place; one that is not there is no error.
        """
        if token in self.image.places:
            if self.image.places[token]:
                raise OSError(errno.ENOTEMPTY, f"{token} is not empty")
            self.note(Event("rmdir", token))
            del self.image.places[token]

    def close(self) -> None:
        """
        Nothing to end.
        """


class SimWriter:
    """
    A file that is being written.
    """

    def __init__(self, files: SimFiles, token: str, name: str, number: int) -> None:
        self._files = files
        self._about = (token, name, "", number)
        self._data = files.image.files[number]

    def write(self, data: Buffer, /) -> None:
        """
        Append.
        """
        part = bytes(data)
        offset = len(self._data)
        self._files.note(Event("append", *self._about, offset=offset, data=part))
        put(self._data, offset, part)

    def sync(self) -> None:
        """
        Make the bytes and the length survive.
        """
        self._files.note(Event("fsync", *self._about))

    def close(self) -> None:
        """
        Nothing to end.
        """

    def abandon(self) -> None:
        """
        Nothing to end.
        """


class SimReader:
    """
    A file that is being read.
    """

    def __init__(
        self, files: SimFiles, data: bytearray, first: tuple[str, str] | None
    ) -> None:
        self._files = files
        self._data = data
        self._first = first
        self.size = len(data)

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        """
        Fill the buffer; give how many bytes there were.
        """
        length = buffer.nbytes
        if self._first is not None:
            self._files.looked.add(("bytes", *self._first, offset, length))
        part = memoryview(self._data)[offset : offset + length]
        buffer.cast("B")[: len(part)] = part
        return len(part)

    def close(self) -> None:
        """
        Nothing to end.
        """


__all__ = ["Refusal", "SimFiles", "SimReader", "SimWriter", "nothing_refused"]
