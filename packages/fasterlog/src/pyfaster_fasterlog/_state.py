# SPDX-License-Identifier: MIT
"""
What slots and commit records carry beside addresses: cursors, and whether the log is
completed.

Theory of operation: the state is a value that is replaced as a whole. Each change has a
larger number than the one before, so whoever finds several copies (two slots, and the
last commit record) takes the one with the largest. The bytes are described in
docs/formats.md; their checksum is that of the slot or record around them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from pyfaster.errors import ConfigError, CorruptLogError

#: Bytes of a cursor's name, in UTF-8.
NAME_BYTES_MAX = 255

#: How many cursors a log may have: their table fits a slot's place many times.
CURSORS_MAX = 1024

_HEAD = struct.Struct("<QII")  # number, marks, cursors
_CURSOR = struct.Struct("<QH")  # position, bytes of the name
_COOKIE = struct.Struct("<I")  # bytes of the cookie before the state in a slot
_COMPLETED = 1


@dataclass(frozen=True, slots=True)
class State:
    """
    The state of a log.

    Attributes:
        number: Goes up with each change; 0 before the first.

        completed: Nothing is appended any more.

        cursors: Name to position, sorted by name.
    """

    number: int = 0
    completed: bool = False
    cursors: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def with_cursor(self, name: str, position: int) -> State:
        """
        Give the state in which a cursor stands there.

        Raises:
            ConfigError: The name is empty or too long, or there are too many.
        """
        check_name(name)
        cursors = {**self.cursors, name: position}
        if len(cursors) > CURSORS_MAX:
            raise ConfigError(
                f"cursor {name!r}: the log has {CURSORS_MAX:,} cursors already; drop "
                "those that nobody uses with drop_cursor(name)"
            )
        return self._next(self.completed, cursors)

    def without_cursor(self, name: str) -> State:
        """
        Give the state in which there is no such cursor.
        """
        rest = {key: at for key, at in self.cursors.items() if key != name}
        return self._next(self.completed, rest)

    def as_completed(self) -> State:
        """
        Give the state in which nothing is appended any more.
        """
        return self._next(True, self.cursors)

    def outside(self, gaps: Sequence[tuple[int, int]]) -> State:
        """
        Give the state with the cursors that stand within a gap at its end; itself if
        none does.
        """
        moved = {
            name: next((end for last, end in gaps if last < at < end), at)
            for name, at in self.cursors.items()
        }
        return self if moved == self.cursors else self._next(self.completed, moved)

    def cut_at(self, address: int, first: int) -> State:
        """
        Give the state with the cursors that stand at an address or behind it where the
        next life begins; itself if none does.
        """
        if all(at < address for at in self.cursors.values()):
            return self
        moved = {
            name: at if at < address else first for name, at in self.cursors.items()
        }
        return self._next(self.completed, moved)

    def within(self, begin: int, until: int) -> State:
        """
        Give the state with all cursors between two addresses; itself if they are.
        """
        if all(begin <= at <= until for at in self.cursors.values()):
            return self
        moved = {name: min(max(at, begin), until) for name, at in self.cursors.items()}
        return self._next(self.completed, moved)

    def _next(self, completed: bool, cursors: Mapping[str, int]) -> State:
        table = MappingProxyType(dict(sorted(cursors.items())))
        return State(self.number + 1, completed, table)

    def encode(self) -> bytes:
        """
        Give the bytes; none for the state of a new log.
        """
        if not self.number:
            return b""
        marks = _COMPLETED if self.completed else 0
        parts = [_HEAD.pack(self.number, marks, len(self.cursors))]
        for name, position in self.cursors.items():
            text = name.encode()
            parts += (_CURSOR.pack(position, len(text)), text)
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> State:
        """
        Give the state of some bytes.

        Raises:
            CorruptLogError: They are none that `encode` gives.
        """
        if not data:
            return cls()
        try:
            state = cls._parse(data)
        except (struct.error, UnicodeDecodeError, ConfigError) as error:
            raise _damaged(str(error)) from None
        if state.encode() != data:
            raise _damaged("it is not in the form that is written")
        return state

    @classmethod
    def _parse(cls, data: bytes) -> State:
        number, marks, count = _HEAD.unpack_from(data)
        if not number or marks & ~_COMPLETED or count > CURSORS_MAX:
            raise _damaged(f"number {number}, marks {marks:#x}, {count:,} cursors")
        cursors: dict[str, int] = {}
        at = _HEAD.size
        for _ in range(count):
            position, length = _CURSOR.unpack_from(data, at)
            at += _CURSOR.size
            name = data[at : at + length].decode()
            check_name(name)
            cursors[name] = position
            at += length
        table = MappingProxyType(dict(sorted(cursors.items())))
        return cls(number, bool(marks & _COMPLETED), table)


def pack(state: State, cookie: bytes) -> bytes:
    """
    Give what a slot carries: the last cookie of a commit, and the state.
    """
    table = state.encode()
    return _COOKIE.pack(len(cookie)) + cookie + table if cookie or table else b""


def unpack(data: bytes) -> tuple[State, bytes]:
    """
    The inverse of `pack`.

    Raises:
        CorruptLogError: The bytes are none that it gives.
    """
    if not data:
        return State(), b""
    if len(data) < _COOKIE.size:
        raise _damaged("it is too short")
    (size,) = _COOKIE.unpack_from(data)
    end = _COOKIE.size + size
    if end > len(data):
        raise _damaged(f"a cookie of {size:,} bytes does not fit")
    return State.decode(data[end:]), data[_COOKIE.size : end]


def check_name(name: str) -> None:
    """
    Refuse what cannot be a cursor's name.

    Raises:
        ConfigError: It is empty, or too long.
    """
    if not isinstance(name, str):
        raise ConfigError(f"cursor {name!r}: give its name as a text")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ConfigError(f"cursor {name!r}: its name is no Unicode text") from None
    if not 0 < size <= NAME_BYTES_MAX:
        raise ConfigError(
            f"cursor {name!r}: its name has {size:,} bytes in UTF-8; give 1 to "
            f"{NAME_BYTES_MAX}"
        )


def _damaged(why: str) -> CorruptLogError:
    return CorruptLogError(f"the table of cursors is damaged: {why}")


__all__ = ["CURSORS_MAX", "NAME_BYTES_MAX", "State", "check_name", "pack", "unpack"]
