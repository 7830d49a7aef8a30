# SPDX-License-Identifier: MIT
"""Stores that are closed, and opened, when the main thread has ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pyfaster

#: Enough for pieces that a thread of its own writes, and reads.
COUNT = 400_000

BEGIN = """
import atexit, sys, threading
import pyfaster

def opened():
    return pyfaster.open(sys.argv[1], key=int, value=int, memory="256MiB")
"""

CLOSES = """
store = opened()
store.checkpoint()
store.upsert_many(range({count}), [7] * {count})

def last():
    store.close()
    print("closed")
"""

OPENS = """
def last():
    with opened() as store:
        assert store.recovery is not None
        print(len(store), store.get(5))
        store.upsert(5, 8)
        store.checkpoint("snapshot", wait=False).result(60)
"""

AT_EXIT = """
atexit.register(last)
"""

THREAD = """
def work():
    threading.main_thread().join()
    last()

threading.Thread(target=work).start()
"""


def run(where: Path, *parts: str) -> list[str]:
    """Run a program of such parts; give what it prints."""
    program = "".join((BEGIN, *parts)).replace("{count}", str(COUNT))
    done = subprocess.run(
        [sys.executable, "-c", program, str(where)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("when", [AT_EXIT, THREAD], ids=["at-exit", "thread"])
def test_a_store_can_be_used_behind_the_main_thread(tmp_path: Path, when: str) -> None:
    """Closed there nothing is lost, and it is recovered and checkpointed there."""
    pytest.importorskip("pyfaster_checkpoint")
    pytest.importorskip("pyfaster_devices_file")
    where = tmp_path / "store"
    assert run(where, CLOSES, when) == ["closed"]
    assert run(where, OPENS, when) == [f"{COUNT} 7"]
    with pyfaster.open(where, key=int, value=int, memory="256MiB") as store:
        assert store.recovery is not None
        assert (len(store), store.get(5)) == (COUNT, 8)
