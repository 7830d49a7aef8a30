# SPDX-License-Identifier: MIT
"""
Reading the figures of stores in other processes, through their local sockets.

A process that opened a store with `socket=True` listens in the directory of this user's
sockets. What comes from a socket is not trusted: its length, its depth and the types of
what is in it are checked, and texts are cut and cleaned of what a terminal would obey.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyfaster.errors import ConfigError, DeadlineError, FasterError
from pyfaster_observability import _place
from pyfaster_observability._wire import ANSWER_MAX, SNAPSHOT, line_of

#: How long an answer may take, in seconds.
TIMEOUT_S = 30.0
#: How long somebody waits who finds too many waiting, in seconds.
RETRY_S = 0.01
TEXT_MAX = 4096
STORES_MAX = 1024
ITEMS_MAX = 4096
DEPTH_MAX = 8
_NUMBER_MAX = 1 << 64

Where = str | os.PathLike[str] | int | None


class AnswerError(FasterError, ValueError):
    """
    What came from a socket is not what a store of pyfaster's would say.
    """


@dataclass(frozen=True, slots=True)
class Running:
    """
    A process that listens.

    Attributes:
        pid: Its number.

        path: Its socket.
    """

    pid: int
    path: Path


@dataclass(frozen=True, slots=True)
class LiveStore:
    """
    A store in another process, at one moment.

    Attributes:
        name: Its name.

        stats: What `StoreStats.to_dict` gave.

        config: Its settings; of those that are mappings only the names in them.

        events: Its last events, the oldest first, each with its name as "event" and
            with "time_ns".
    """

    name: str
    stats: Mapping[str, Any]
    config: Mapping[str, Any]
    events: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    The stores of another process, at one moment.

    Attributes:
        pyfaster: The version there.

        pid: The process.

        time_ns: When it came, since 1970.

        clock_ns: The same by a clock that never jumps, for rates.

        stores: Those that are open.
    """

    pyfaster: str
    pid: int
    time_ns: int
    clock_ns: int
    stores: tuple[LiveStore, ...]


# --- finding ------------------------------------------------------------------------


def running() -> list[Running]:
    """
    Give the processes of this user that listen, in the order of their numbers.

    Raises:
        ConfigError: The directory of the sockets is not this user's alone.
    """
    _place.require_unix()
    folder = _place.directory()
    if not os.path.lexists(folder):
        return []
    _place.check_directory(folder)
    found = []
    for path in folder.iterdir():
        pid = _place.pid_of(path)
        if pid is not None and path.is_socket() and _place.answers(path):
            found.append(Running(pid, path))
    return sorted(found, key=lambda one: one.pid)


def resolve(where: Where = None) -> tuple[Path, str | None]:
    """
    Find the socket that somebody means.

    Args:
        where: A socket's path, a process's number, a store's directory or its name;
            None when there is only one process.

    Returns:
        The socket; and the store's name there, None when the process was meant.

    Raises:
        ConfigError: There is none, or several and it was not said which one.
    """
    _place.require_unix()
    if where is None:
        return _only(running()).path, None
    text = os.fspath(where) if not isinstance(where, int) else str(where)
    if text.isdecimal():
        return _place.socket_of(int(text)), None
    with suppress(OSError):
        if Path(text).is_socket():
            return Path(text), None
    return _with_store(text)


def _only(found: list[Running]) -> Running:
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigError(
            "no process of this user tells of its stores; open a store there with "
            "socket=True, or set PYFASTER__OBSERVABILITY__SOCKET=true"
        )
    pids = ", ".join(str(one.pid) for one in found)
    raise ConfigError(
        f"{len(found)} processes tell of their stores: {pids}; give the number of one"
    )


def _with_store(text: str) -> tuple[Path, str]:
    """
    Find the process that has a store open, by its directory or name.
    """
    found = []
    for one in running():
        with suppress(FasterError, OSError):
            names = [store.name for store in ask(one.path).stores]
            meant = [name for name in names if is_meant(name, text)]
            found += [(one, name) for name in meant[:1]]
    if len(found) > 1:
        pids = ", ".join(str(one.pid) for one, _ in found)
        raise ConfigError(
            f"{text!r}: {len(found)} processes tell of such a store: {pids}; give the "
            "number of one"
        )
    for one, name in found:
        return one.path, name
    raise ConfigError(
        f"{text!r}: no process of this user tells of such a store; open it there with "
        "socket=True"
    )


def is_meant(name: str, text: str) -> bool:
    """
    Whether a text means the store of a name: by the name, or by its directory.
    """
    scheme, colon, place = name.partition(":")
    if text == name:
        return True
    return bool(
        colon and scheme and place and os.path.realpath(place) == os.path.realpath(text)
    )


# --- asking -------------------------------------------------------------------------


def snapshot(where: Where = None, *, timeout: float = TIMEOUT_S) -> Snapshot:
    """
    Ask a process for the figures of its stores.

    Args:
        where: As in `resolve`. Of a process that was found by a store, only this store
            is given.

        timeout: How long the answer may take, in seconds.

    Raises:
        ConfigError: As from `resolve`; or nobody listens there.

        AnswerError: The answer makes no sense.

        DeadlineError: It did not come in time.
    """
    path, name = resolve(where)
    found = ask(path, timeout=timeout)
    if name is None:
        return found
    stores = tuple(one for one in found.stores if one.name == name)
    return Snapshot(found.pyfaster, found.pid, found.time_ns, found.clock_ns, stores)


def ask(path: Path, *, timeout: float = TIMEOUT_S) -> Snapshot:
    """
    Ask at a socket; as `snapshot`, which finds it first.
    """
    deadline = time.monotonic() + timeout
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            _connect(connection, path, deadline)
            connection.sendall(line_of(SNAPSHOT))
            line = _receive(connection, deadline)
        except TimeoutError as error:
            raise DeadlineError(f"{str(path)!r} did not answer in time") from error
        except OSError as error:
            raise ConfigError(
                f"nobody tells of stores at {str(path)!r}: {error.strerror or error}"
            ) from error
    return parse(line)


def _connect(connection: socket.socket, path: Path, deadline: float) -> None:
    """
    Connect, perhaps when others that wait have been let in.
    """
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        try:
            connection.connect(str(path))
        except BlockingIOError:
            time.sleep(min(left, RETRY_S))
        else:
            return


def _receive(connection: socket.socket, deadline: float) -> bytes:
    """
    Take one line, of bounded length and in bounded time.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        part = connection.recv(1 << 16)
        size += len(part)
        parts.append(part)
        if part.endswith(b"\n"):
            return b"".join(parts)
        if not part:
            raise AnswerError("the socket's answer ends before its end")
        if size > ANSWER_MAX:
            raise AnswerError(
                f"the socket's answer is longer than {ANSWER_MAX:,} bytes"
            )


# --- checking -----------------------------------------------------------------------


def parse(line: bytes) -> Snapshot:
    """
    Check an answer.

    Raises:
        AnswerError: It is not what a process of pyfaster's would say.
    """
    clock_ns, time_ns = time.monotonic_ns(), time.time_ns()
    try:
        data: Any = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise AnswerError(f"the socket's answer is no JSON: {error}") from None
    data = _clean(data, "the answer", 0)
    stores = _member(data, "stores", list)
    if len(stores) > STORES_MAX:
        raise AnswerError(f"{len(stores):,} stores; at most {STORES_MAX:,} are read")
    return Snapshot(
        _member(data, "pyfaster", str),
        _member(data, "pid", int),
        time_ns,
        clock_ns,
        tuple(map(_store, stores)),
    )


def _refuse(word: str) -> None:
    raise AnswerError(f"the socket's answer has {word}, which is no number")


def _member(data: Any, name: str, kind: type) -> Any:
    if not isinstance(data, dict) or type(data.get(name)) is not kind:
        raise AnswerError(
            f"the socket's answer has no {name} that is a {kind.__name__}"
        )
    return data[name]


def _store(data: Any) -> LiveStore:
    told = _member(data, "events", list)
    for event in told:
        _member(event, "event", str)
        _member(event, "time_ns", int)
    return LiveStore(
        _member(data, "name", str),
        _stats(_member(data, "stats", dict)),
        _member(data, "config", dict),
        tuple(told),
    )


def _stats(stats: dict[str, Any]) -> dict[str, Any]:
    """
    Check figures: numbers, but for the histograms and what is derived.
    """
    for name, value in stats.items():
        if name == "latencies":
            for kind, histogram in _member(stats, name, dict).items():
                counts = _member(histogram, "counts", list)
                _member(histogram, "total_ns", int)
                if len(counts) != 64 or any(type(one) is not int for one in counts):
                    raise AnswerError(f"the histogram {kind!r} has not 64 counts")
        elif not isinstance(value, (bool, int, float, dict, list, type(None))):
            raise AnswerError(f"the figure {name!r} is {value!r}, which is no number")
    return stats


def _clean(value: Any, where: str, depth: int) -> Any:
    """
    Give what came with bounds kept, and texts that no terminal obeys.
    """
    if depth > DEPTH_MAX:
        raise AnswerError(f"{where} is nested too deeply")
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (int, float)):
        if not -_NUMBER_MAX < value < _NUMBER_MAX:
            raise AnswerError(f"{where} has a number that is too large")
        return value
    if isinstance(value, (list, dict)):
        if len(value) > ITEMS_MAX:
            raise AnswerError(f"{where} has {len(value):,} items; too many")
        if isinstance(value, list):
            return [_clean(one, where, depth + 1) for one in value]
        return {
            _text(name): _clean(one, _text(name), depth + 1)
            for name, one in value.items()
        }
    return value


def _text(value: str) -> str:
    cut = value[:TEXT_MAX]
    return "".join(
        one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in cut
    )


class Sockets:
    """
    What `pyfaster stats` asks for figures of stores in other processes.
    """

    def figures(self, where: str | None, /) -> Mapping[str, object]:
        """
        Give the figures of one store.

        Args:
            where: As in `resolve`.

        Returns:
            `store`, `pid`, `time_ns` and `stats`.

        Raises:
            FasterError: There is none, or several and it was not said which one.
        """
        found = snapshot(where)
        if len(found.stores) != 1:
            names = ", ".join(repr(one.name) for one in found.stores) or "none"
            raise ConfigError(
                f"process {found.pid} tells of {len(found.stores)} stores: {names}; "
                "give the name or the directory of one"
            )
        (store,) = found.stores
        return {
            "store": store.name,
            "pid": found.pid,
            "time_ns": found.time_ns,
            "stats": store.stats,
        }


__all__ = [
    "AnswerError",
    "LiveStore",
    "Running",
    "Snapshot",
    "Sockets",
    "ask",
    "is_meant",
    "parse",
    "resolve",
    "running",
    "snapshot",
]
