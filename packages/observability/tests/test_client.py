# SPDX-License-Identifier: MIT
"""
The client: what it finds, and what it makes of a server that lies.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

import pyfaster
from pyfaster_observability import client

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="the system has no local sockets"
)

HISTOGRAM = {"counts": [0] * 64, "total_ns": 0}
STORE: dict[str, Any] = {
    "name": "file:data",
    "stats": {"pending": 1, "latencies": {"read": HISTOGRAM}},
    "config": {"memory": None},
    "events": [{"event": "LogSpilled", "time_ns": 5, "address": 64}],
}
ANSWER: dict[str, Any] = {"pyfaster": "0.1.0", "pid": 7, "stores": [STORE]}


def test_an_answer_is_read() -> None:
    """Everything that was told is there."""
    found = client.parse(json.dumps(ANSWER).encode())
    (store,) = found.stores
    assert (found.pid, store.name, store.stats["pending"]) == (7, "file:data", 1)
    assert store.events[0]["address"] == 64


def changed(**members: object) -> dict[str, Any]:
    """Give the answer with some members of its store changed."""
    return {**ANSWER, "stores": [{**STORE, **members}]}


LIES: dict[str, object] = {
    "a list": [],
    "no stores": {"pyfaster": "0.1.0", "pid": 7},
    "stores that are a text": {**ANSWER, "stores": "all"},
    "a pid that is a text": {**ANSWER, "pid": "7"},
    "a pid that is a truth": {**ANSWER, "pid": True},
    "a store that is a number": {**ANSWER, "stores": [7]},
    "no name": {**ANSWER, "stores": [{"stats": {}, "config": {}, "events": []}]},
    "a name that is a list": changed(name=["file:data"]),
    "figures that are a list": changed(stats=[]),
    "a figure that is a text": changed(stats={"pending": "many"}),
    "a figure that is too large": changed(stats={"pending": 1 << 70}),
    "a short histogram": changed(
        stats={"latencies": {"read": {"counts": [1], "total_ns": 0}}}
    ),
    "a histogram of texts": changed(
        stats={"latencies": {"read": {"counts": ["1"] * 64, "total_ns": 0}}}
    ),
    "a histogram that is a number": changed(stats={"latencies": {"read": 7}}),
    "events that are a number": changed(events=7),
    "an event without a time": changed(events=[{"event": "LogSpilled"}]),
    "an event that is a text": changed(events=["LogSpilled"]),
    "too many items": changed(config={str(number): 1 for number in range(5000)}),
    "too deep": changed(config={"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}),
    "too many stores": {**ANSWER, "stores": [STORE] * 2000},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_an_answer_error(lie: str) -> None:
    """Nothing of the wrong kind or size gets through."""
    with pytest.raises(client.AnswerError):
        client.parse(json.dumps(LIES[lie]).encode())


@pytest.mark.parametrize(
    "line", [b"", b"{", b"\xff", b"NaN", b"[" * 100_000, b'{"pid": Infinity}']
)
def test_what_is_no_json_is_an_answer_error(line: bytes) -> None:
    """Nor does what is nested without an end."""
    with pytest.raises(client.AnswerError):
        client.parse(line)


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda below: some.lists(below) | some.dictionaries(some.text(), below),
    max_leaves=20,
)


@given(data=JSON, stats=JSON, events=JSON)
def test_any_answer_is_read_or_refused(data: Any, stats: Any, events: Any) -> None:
    """No answer whatsoever raises anything but AnswerError."""
    for answer in (data, changed(stats=stats, events=events), changed(config=data)):
        try:
            client.parse(json.dumps(answer).encode())
        except client.AnswerError:
            continue


def test_texts_are_cut_and_cannot_steer_a_terminal() -> None:
    """Control characters are replaced, in names, figures' names and events."""
    evil = "\x1b]0;owned\x07" + "x" * 10_000
    answer = changed(
        name=evil,
        stats={evil: 1},
        events=[{"event": evil, "time_ns": 1, "error": evil}],
    )
    (store,) = client.parse(json.dumps(answer).encode()).stores
    told = [
        store.name,
        *store.stats,
        store.events[0]["event"],
        store.events[0]["error"],
    ]
    for text in told:
        assert text.isprintable()
        assert len(text) <= client.TEXT_MAX


@contextmanager
def liar(runtime: Path, *parts: bytes) -> Iterator[Path]:
    """Serve one client these bytes, then close."""
    path = runtime / "liar"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                try:
                    for part in parts:
                        connection.sendall(part)
                except OSError:
                    return  # the client has had enough

        thread = threading.Thread(target=serve)
        thread.start()
        yield path
        thread.join()


def test_an_answer_without_an_end_is_refused(runtime: Path) -> None:
    """It is read up to a bound, and no further."""
    with liar(runtime, *[b"x" * (1 << 20)] * 64) as path:
        with pytest.raises(client.AnswerError, match="longer than"):
            client.ask(path)


def test_an_answer_that_breaks_off_is_refused(runtime: Path) -> None:
    """A server that closes in the middle has said nothing."""
    with liar(runtime, b'{"pyfaster":') as path:
        with pytest.raises(client.AnswerError, match="ends before"):
            client.ask(path)


def test_a_server_that_does_not_answer_is_left(runtime: Path) -> None:
    """The time that was given is the time that is waited."""
    with socket.socket(socket.AF_UNIX) as listener:
        path = runtime / "silent"
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(pyfaster.DeadlineError, match="did not answer"):
            client.ask(path, timeout=0.05)


def test_where_nobody_is_the_error_says_what_to_do(runtime: Path) -> None:
    """For no process, one that does not listen, a store that is not told of."""
    with pytest.raises(pyfaster.ConfigError, match="socket=True"):
        client.snapshot()
    with pytest.raises(pyfaster.ConfigError, match="nobody tells"):
        client.snapshot(1 << 22)
    with pytest.raises(pyfaster.ConfigError, match="tells of such a store"):
        client.snapshot("nowhere")


def test_a_store_is_found_by_each_of_its_names(runtime: Path, place: Path) -> None:
    """By process, socket, directory and name; of a store alone that one is given."""
    with pyfaster.open(place, socket=True) as store, pyfaster.open(socket=True):
        path = runtime / "pyfaster" / f"{os.getpid()}.sock"
        for where in (None, os.getpid(), str(os.getpid()), path, str(path)):
            assert len(client.snapshot(where).stores) == 2
        linked = runtime / "linked"
        linked.symlink_to(place)
        for where in (place, str(place), str(linked), store.name):
            (found,) = client.snapshot(where).stores
            assert found.name == store.name
        with pytest.raises(pyfaster.ConfigError, match="tells of 2 stores"):
            client.Sockets().figures(None)
        figures = client.Sockets().figures(str(place))
        assert figures["store"] == store.name
        assert figures["pid"] == os.getpid()


def test_several_processes_have_to_be_told_apart(runtime: Path) -> None:
    """The error lists them."""
    with pyfaster.open(socket=True), socket.socket(socket.AF_UNIX) as other:
        other.bind(str(runtime / "pyfaster" / "1.sock"))
        other.listen()
        with pytest.raises(pyfaster.ConfigError, match=f"1, {os.getpid()}"):
            client.snapshot()


def test_a_name_that_several_processes_have_is_refused(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error lists them, and no one is taken for the other; one alone is found."""
    told = client.parse(json.dumps(ANSWER).encode())
    both = [client.Running(pid, runtime / f"{pid}.sock") for pid in (7, 8)]
    monkeypatch.setattr(client, "ask", lambda path: told)
    monkeypatch.setattr(client, "running", lambda: both)
    with pytest.raises(pyfaster.ConfigError, match=r"2 processes .*: 7, 8"):
        client.resolve("file:data")
    monkeypatch.setattr(client, "running", lambda: both[1:])
    assert client.resolve("file:data") == (runtime / "8.sock", "file:data")
