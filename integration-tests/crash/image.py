# SPDX-License-Identifier: MIT
"""
What a medium holds: the log's bytes, and places with named files.

An image can be asked for just what a recovery looked at. Two images that agree there
are the same to it, which saves recovering the second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

#: What has bytes.
Bytes: TypeAlias = bytes | bytearray | memoryview


def _slowly(data: Bytes) -> bytes:
    """
    Give 16 bytes that stand for the data.
    """
    return hashlib.blake2b(data, digest_size=16).digest()


#: Gives 16 bytes that stand for the data.
digest: Callable[[Bytes], bytes] = _slowly
with suppress(ImportError):
    from xxhash import xxh3_128_digest

    digest = xxh3_128_digest

#: A question to an image: ("tokens",), ("names", token), ("size", token, name),
#: ("bytes", token, name, offset, length) or ("log", offset, length).
Question = tuple[str | int, ...]


@dataclass(slots=True)
class Image:
    """
    One state of the medium.

    Attributes:
        log: The device's bytes.

        places: The tokens, each with the names in it and the numbers of their files.

        files: The files' bytes, by number.
    """

    log: bytearray = field(default_factory=bytearray)
    places: dict[str, dict[str, int]] = field(default_factory=dict)
    files: dict[int, bytearray] = field(default_factory=dict)

    def copy(self) -> Image:
        """
        Give one that can be changed without changing this one.
        """
        places = {token: dict(names) for token, names in self.places.items()}
        files = {number: bytearray(data) for number, data in self.files.items()}
        return Image(bytearray(self.log), places, files)

    def fork(self) -> Image:
        """
        Give a copy that shares the files' bytes; `own` a file before changing it.
        """
        places = {token: dict(names) for token, names in self.places.items()}
        return Image(bytearray(self.log), places, dict(self.files))

    def own(self, number: int) -> bytearray:
        """
        Give a file's bytes for changing, after `fork`.
        """
        self.files[number] = bytearray(self.files.get(number, b""))
        return self.files[number]

    def identity(self) -> bytes:
        """
        Give what two images share that hold the same.
        """
        parts = [digest(self.log)]
        for token in sorted(self.places):
            parts.append(b"\0" + token.encode())
            for name, number in sorted(self.places[token].items()):
                parts.append(b"\1" + name.encode())
                parts.append(digest(self.files[number]))
        return digest(b"".join(parts))

    def answer(self, question: Question) -> bytes:
        """
        Give what a question finds, shortened to 16 bytes.
        """
        kind = question[0]
        if kind == "log":
            offset, length = int(question[1]), int(question[2])
            return digest(memoryview(self.log)[offset : offset + length])
        if kind == "tokens":
            return digest("\0".join(sorted(self.places)).encode())
        names = self.places.get(str(question[1]))
        if names is None:
            return b"absent"
        if kind == "names":
            return digest("\0".join(sorted(names)).encode())
        number = names.get(str(question[2]))
        if number is None:
            return b"absent"
        data = self.files[number]
        if kind == "size":
            return len(data).to_bytes(16, "little")
        offset, length = int(question[3]), int(question[4])
        return digest(memoryview(data)[offset : offset + length])

    def answers(self, questions: Iterable[Question]) -> bytes:
        """
        Give the answers to questions, as one.
        """
        return b"".join(map(self.answer, questions))


def put(data: bytearray, offset: int, part: bytes) -> None:
    """
    Write into a file or a device; a gap before the part reads as zeros.
    """
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(part)] = part


def blank(data: bytearray, until: int) -> None:
    """
    Take the space of a device's beginning back: it reads as zeros.
    """
    end = min(until, len(data))
    data[:end] = bytes(end)


__all__ = ["Image", "Question", "blank", "digest", "put"]
