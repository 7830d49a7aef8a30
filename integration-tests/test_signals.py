# SPDX-License-Identifier: MIT
"""
Signals end a process that has a store, or do not: the store is closed, or recovers.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pyfaster

pytestmark = [pytest.mark.once, pytest.mark.fault("F52")]

#: Adds ones until a signal comes; then says how many, if it still can.
PROGRAM = """
import signal, sys, threading
import pyfaster
signal.signal(signal.SIGINT, signal.default_int_handler)  # who began this may ignore it
if sys.argv[2] == "exit":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(3))
store = pyfaster.open(sys.argv[1], key=int, value=int)
session = store.session("adder")
ended = threading.Event()
def checkpoints():
    while not ended.is_set():
        info = store.checkpoint()
        print("safe", info.sessions["adder"], flush=True)
thread = threading.Thread(target=checkpoints)
try:
    with store:
        session.rmw(1, 1, "add")  # there is a first before the first "safe" is said
        try:
            thread.start()
            while True:
                session.rmw(1, 1, "add")
        finally:
            ended.set()
            thread.join()
finally:
    print("end", session.serial, flush=True)
"""


@pytest.mark.parametrize(
    ("number", "handled", "status"),
    [
        (signal.SIGINT, "", -signal.SIGINT),
        (signal.SIGTERM, "exit", 3),
        (signal.SIGTERM, "", -signal.SIGTERM),
    ],
)
def test_a_signal_ends_a_process(
    number: signal.Signals, handled: str, status: int, tmp_path: Path
) -> None:
    """Where Python hears of it nothing is lost; else what was promised is there."""
    place = tmp_path / "data"
    command = [sys.executable, "-c", PROGRAM, str(place), handled]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        before = [other.stdout.readline() for _ in range(3)]
        other.send_signal(number)  # in the middle of its work
        said, errors = other.communicate()
    assert other.returncode == status, errors
    lines = [line.split() for line in [*before, *said.splitlines()]]
    safe = max(int(serial) for word, serial in lines if word == "safe")
    ended = [int(serial) for word, serial in lines if word == "end"]
    with pyfaster.open(place, key=int, value=int) as store:
        point = store.resume("adder").committed_serial
        assert store[1] == point
        assert point >= safe
        assert ended in ([], [point])
        assert bool(ended) == (status != -signal.SIGTERM)


@pytest.mark.parametrize("phase", ["prepare", "in-progress", "wait-flush", "persist"])
@pytest.mark.parametrize("kind", ["snapshot", "fold-over"])
def test_an_interrupt_in_a_checkpoint_fails_that_alone(
    phase: str, kind: str, tmp_path: Path
) -> None:
    """KeyboardInterrupt in a callback reaches the caller; the store goes on."""
    place = tmp_path / "data"

    def interrupt(notice: pyfaster.checkpoints.Progress) -> None:
        if notice.phase == phase:
            raise KeyboardInterrupt(phase)

    with pyfaster.open(place, key=int, value=int) as store:
        session = store.session("writer")
        session.upsert(1, 1)
        first = store.checkpoint()
        session.upsert(1, 2)
        with pytest.raises((KeyboardInterrupt, pyfaster.CheckpointFailedError)):
            store.checkpoint(kind, progress=interrupt)
        assert [one.token for one in store.checkpoints()] == [first.token]
        assert session.committed_serial == 1
        session.upsert(2, 2)
        assert dict(store.items()) == {1: 2, 2: 2}
        second = store.checkpoint(kind)
        assert second.sessions["writer"] == session.committed_serial == 3
        assert store.validate(second.token, deep=True).ok
    with pyfaster.open(place, key=int, value=int) as store:
        assert dict(store.items()) == {1: 2, 2: 2}


#: Lets files grow no further than a limit, until that is lifted.
LIMITED = """
import resource, sys
import pyfaster
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
with pyfaster.open(sys.argv[1], key=int, value=bytes) as store:
    session = store.session("writer")
    session.upsert(0, b"first")
    store.checkpoint("snapshot")
    for key in range(1, 500):
        session.upsert(key, b"x" * 1000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    for kind in ("snapshot", "fold-over"):
        try:
            store.checkpoint(kind)
        except pyfaster.FasterError as error:
            print(type(error).__name__, flush=True)
    assert session.committed_serial == 1
    assert session.read(499) == b"x" * 1000
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    store.resume_writes()
    store.checkpoint()
    print(session.committed_serial)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_a_limit_of_files_is_an_error(tmp_path: Path) -> None:
    """SIGXFSZ ends nothing: checkpoints fail, and work when the limit is lifted."""
    place = tmp_path / "data"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *errors, serial = done.stdout.split()
    assert serial == "500"
    assert errors == ["CheckpointFailedError"] * 2
    with pyfaster.open(place, key=int, value=bytes) as store:
        assert len(store) == 500
