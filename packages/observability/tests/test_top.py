# SPDX-License-Identifier: MIT
"""
`pyfaster top`: the picture of a fixed snapshot, and the command beside a real store.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import top_kit
from hypothesis import given
from hypothesis import strategies as some

import pyfaster
from pyfaster.pictures import REGIONS, WIDTH, edges, regions, strip
from pyfaster_observability._cli import TALL
from pyfaster_observability._rates import Between
from pyfaster_observability._top import Edges, bar, count


def test_the_picture_is_the_golden_one() -> None:
    """Regions, memory, rates, latencies and events of a fixed snapshot."""
    assert top_kit.golden() == top_kit.GOLDEN.read_text(encoding="utf-8")


def test_the_first_picture_has_no_rates() -> None:
    """What is since the store was opened says so, and no rate is made up."""
    text = top_kit.drawn(Between(None, top_kit.figures(1), {}))
    assert "since it was opened" in text
    assert "-/s" in text


def test_a_small_terminal_gets_a_shorter_picture() -> None:
    """What matters most is above; a whole one fits where it is drawn whole."""
    between = Between(1.0, top_kit.figures(1), top_kit.figures(0))
    small = top_kit.drawn(between, compact=True).splitlines()
    assert len(small) < 36
    assert "" not in small
    assert len(top_kit.golden().splitlines()) <= TALL


def test_a_store_that_says_nothing_is_drawn() -> None:
    """A process of another version may lack every figure."""
    text = top_kit.drawn(Between(1.0, {}, {}))
    assert "no operations" in text
    assert "file:data" in text


def test_counters_that_fell_are_of_a_new_store() -> None:
    """The store was opened again: what it counted since is what happened."""
    between = Between(2.0, {"pending": 0, "upserts": 10}, {"upserts": 500})
    assert between.gain("upserts") == 10
    assert between.rate("upserts") == 5


ADDRESSES = some.tuples(*[some.integers(0, 1 << 48)] * 6)


@given(ADDRESSES)
def test_the_regions_fill_the_picture(addresses: tuple[int, ...]) -> None:
    """Whatever the addresses, edges are in order and the strip has its width."""
    stats = Edges(*addresses)
    marks = edges(stats)
    begin, tail = stats.address_begin, stats.address_tail
    if begin <= tail:
        assert marks == sorted(marks)
        assert sum(regions(stats).values()) == tail - begin
        assert len(strip(stats)) == WIDTH
        for name, (letter, _) in REGIONS.items():
            assert (letter in strip(stats).plain) >= bool(regions(stats)[name])


def test_numbers_are_shown_for_people() -> None:
    """Units are chosen, and what is not known is a dash."""
    assert [count(number) for number in (7, 25_000, 3e6, None)] == [
        "7",
        "25.0k",
        "3.0M",
        "-",
    ]
    assert bar(1, 1000, "red").plain.count("█") == 1
    assert bar(2, 1, "red").plain.count("·") == 0


# --- the command --------------------------------------------------------------------


#: The command, which waits longer for an answer than a user would: this process gives
#: it, and may be kept from running.
PATIENT = """
import runpy
from pyfaster_observability import client
client.ask.__kwdefaults__["timeout"] = 60.0
runpy.run_module("pyfaster", run_name="__main__", alter_sys=True)
"""


def command(*words: str, runtime: Path) -> subprocess.CompletedProcess[str]:
    """Run the command beside this process."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PATIENT, *words],
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime), "COLUMNS": "100"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_the_command_draws_a_running_store(runtime: Path) -> None:
    """Once as a picture, once as an object; both of what the store says."""
    with pyfaster.open(key=int, value=int, socket=True) as store:
        for key in range(100):
            store[key] = key
        drawn = command("top", "--once", "--every", "0.1", runtime=runtime)
        assert drawn.returncode == 0, drawn.stderr
        for word in (":memory:", "changed in place", "upsert", "memory", "events"):
            assert word in drawn.stdout
        told = command("top", str(os.getpid()), "--json", runtime=runtime)
        assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["pid"] == os.getpid()
    assert found["stores"][0]["stats"]["upserts"] == 100


def test_the_command_says_what_is_missing(runtime: Path) -> None:
    """No store is status 1 with one line; a wrong option is status 2."""
    alone = command("top", "--once", runtime=runtime)
    assert (alone.returncode, alone.stdout) == (1, "")
    assert "socket=True" in alone.stderr
    assert command("top", "--every", "never", runtime=runtime).returncode == 2


#: The same, where Ctrl-C may have been ignored: a shell does so behind an "&".
HEARS_CTRL_C = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
{PATIENT}
"""


def test_ctrl_c_ends_the_live_view(runtime: Path) -> None:
    """In a terminal it is drawn again and again, until it is interrupted: status 0."""
    pty = pytest.importorskip("pty")
    with pyfaster.open(socket=True):
        ours, theirs = pty.openpty()
        view = subprocess.Popen(
            [sys.executable, "-c", HEARS_CTRL_C, "top", "--every", "0.1"],
            env={**os.environ, "TERM": "xterm", "XDG_RUNTIME_DIR": str(runtime)},
            stdout=theirs,
            stderr=subprocess.PIPE,
        )
        os.close(theirs)
        got = b""
        while got.count(b":memory:") < 3:
            got += os.read(ours, 4096)
        view.send_signal(signal.SIGINT)
        drain(ours)
        _, errors = view.communicate()
        os.close(ours)
    assert (view.returncode, errors) == (0, b"")


def drain(descriptor: int) -> None:
    """Read until the other side is closed."""
    while True:
        try:
            if not os.read(descriptor, 4096):
                return
        except OSError:  # what Linux says of a terminal whose other side is closed
            return


def test_the_dashboard_is_found(runtime: Path) -> None:
    """The command names a file that is there."""
    done = command("dashboard", "--json", runtime=runtime)
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["dashboard"]).is_file()
