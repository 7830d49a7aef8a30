# SPDX-License-Identifier: MIT
"""
The two slot files of a log in memory, each call on which is recorded.

They are rewritten in place, so a power cut may tear one; their names lie in a place of
`crash.files.SimFiles`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crash.events import Event
from crash.files import SimFiles
from crash.image import put

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: Where slot files are.
PLACE = "commits"


class SimSlots:
    """
    Slot files, as `pyfaster_fasterlog` wants them.

    Args:
        files: What records.
    """

    def __init__(self, files: SimFiles) -> None:
        self.files = files

    def read(self, name: str, /) -> bytes | None:
        """
        Give what a file holds; None when there is none.
        """
        try:
            reader = self.files.open(PLACE, name)
        except FileNotFoundError:
            return None
        data = bytearray(reader.size)
        reader.read_into(0, memoryview(data))
        return bytes(data)

    def create(self, name: str, /) -> SimSlot:
        """
        Make a file, which is empty.
        """
        if PLACE not in self.files.tokens():
            self.files.make(PLACE)
        self.files.create(PLACE, name)
        return self.open(name)

    def open(self, name: str, /) -> SimSlot:
        """
        Open a file that is there, for writing it anew.
        """
        number = self.files.image.places.get(PLACE, {}).get(name)
        if number is None:
            raise FileNotFoundError(name)
        return SimSlot(self.files, name, number)

    def sync(self) -> None:
        """
        Make the files' names survive.
        """
        self.files.sync(PLACE)

    def close(self) -> None:
        """
        Nothing to end.
        """


class SimSlot:
    """
    A slot file.
    """

    def __init__(self, files: SimFiles, name: str, number: int) -> None:
        self._files = files
        self._about = (PLACE, name, "", number)
        self._data = files.image.files[number]

    def write(self, data: Buffer, /) -> None:
        """
        Write it from its beginning on.
        """
        part = bytes(data)
        self._files.note(Event("rewrite", *self._about, offset=0, data=part))
        put(self._data, 0, part)

    def sync(self) -> None:
        """
        Make its bytes and its length survive.
        """
        self._files.note(Event("fsync", *self._about))

    def close(self) -> None:
        """
        Nothing to end.
        """


__all__ = ["PLACE", "SimSlot", "SimSlots"]
