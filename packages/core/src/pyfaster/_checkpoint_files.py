# SPDX-License-Identifier: MIT
"""
Where checkpoints are kept: what somebody who keeps their files has to be able to do.

`pyfaster.checkpoints` gives these contracts to the world.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from typing_extensions import Buffer


class FileWriter(Protocol):
    """
    A new file that is being written, from its beginning on.
    """

    def write(self, data: Buffer, /) -> None:
        """
        Append all of the bytes.

        Raises:
            OSError: The system refused; how much was written is not known.
        """
        ...

    def sync(self) -> None:
        """
        Make the bytes and the file's length survive a power cut.

        Raises:
            OSError: The system refused; it must not be tried again for this file.
        """
        ...

    def close(self) -> None:
        """
        End; a second call does nothing.

        Raises:
            OSError: The system could not keep what was written.
        """
        ...

    def abandon(self) -> None:
        """
        End, whatever the system says; the file's contents are not wanted.
        """
        ...


class FileReader(Protocol):
    """
    A file that is being read.

    Attributes:
        size: Its length in bytes when it was opened.
    """

    @property
    def size(self) -> int: ...

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        """
        Fill the buffer from an offset; give how many bytes there were, fewer only at
        the file's end. Any number of threads may do so at once.
        """
        ...

    def close(self) -> None:
        """
        End; a second call does nothing.
        """
        ...


@runtime_checkable
class CheckpointFiles(Protocol):
    """
    Where checkpoints are kept: named places (tokens), each with named files.

    Names of anything else that lies there are not given by `tokens` and `names`.
    """

    def tokens(self) -> list[str]:
        """
        The places that there are.
        """
        ...

    def make(self, token: str, /) -> None:
        """
        Make a place, and see to it that it survives a power cut.

        Raises:
            FileExistsError: It is there already.
        """
        ...

    def names(self, token: str, /) -> list[str]:
        """
        The files of a place.
        """
        ...

    def create(self, token: str, name: str, /) -> FileWriter:
        """
        Begin a file that is not there.

        Raises:
            FileExistsError: It is there.
        """
        ...

    def open(self, token: str, name: str, /) -> FileReader:
        """
        Open a file for reading.

        Raises:
            FileNotFoundError: There is none.

            CorruptCheckpointError: What has the name is no regular file of one name.
        """
        ...

    def rename(self, token: str, old: str, new: str, /) -> None:
        """
        Give a file another name, in one step.
        """
        ...

    def sync(self, token: str, /) -> None:
        """
        Make the names of a place's files survive a power cut.
        """
        ...

    def sync_root(self) -> None:
        """
        Make the names of the places survive a power cut.
        """
        ...

    def remove(self, token: str, name: str, /) -> None:
        """
        Remove a file; one that is not there is no error.
        """
        ...

    def remove_token(self, token: str, /) -> None:
        """
        Remove an empty place; one that is not there is no error.
        """
        ...

    def close(self) -> None:
        """
        End; a second call does nothing.
        """
        ...


__all__ = ["CheckpointFiles", "FileReader", "FileWriter"]
