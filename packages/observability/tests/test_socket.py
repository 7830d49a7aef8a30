# SPDX-License-Identifier: MIT
"""
The socket: what is told, to whom, and what becomes of it when things go wrong.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

import pyfaster
from pyfaster_observability import _place as place_module
from pyfaster_observability import client, failures
from pyfaster_observability._socket import server
from pyfaster_observability._wire import CLIENTS_MAX, REQUEST_MAX, SNAPSHOT, line_of

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX") or not hasattr(os, "fork"),
    reason="the system has no local sockets",
)


def own_socket(runtime: Path) -> Path:
    """Where this process's socket is."""
    return runtime / "pyfaster" / f"{os.getpid()}.sock"


def connected(path: Path) -> socket.socket:
    """Connect, as any client may."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    found.connect(str(path))  # waits while too many wait
    found.settimeout(60)
    return found


def line(connection: socket.socket) -> bytes:
    """Take what comes up to the end of a line, or of the connection."""
    got = b""
    while not got.endswith(b"\n"):
        part = connection.recv(1 << 16)
        if not part:
            break
        got += part
    return got


def test_a_snapshot_is_what_the_store_says(runtime: Path) -> None:
    """Figures, settings and events; settings that may be secret by name alone."""
    with pyfaster.open(key=int, value=int, socket=True, memory="64MiB") as store:
        store[1] = 1
        found = client.snapshot()
        assert found.pid == os.getpid()
        assert found.pyfaster == pyfaster.__version__
        (live,) = found.stores
        assert live.name == ":memory:"
        told = json.loads(json.dumps(store.stats().to_dict()))
        assert live.stats["upserts"] == told["upserts"] == 1
        assert live.stats.keys() == told.keys()
        assert live.config["memory"] == 64 << 20
        assert live.config["device_options"] == []
    assert not own_socket(runtime).exists()
    assert client.running() == []


def test_the_place_is_closed_to_others(runtime: Path) -> None:
    """The directory has mode 0700 and the socket 0600, whatever the umask is."""
    before = os.umask(0)
    try:
        with pyfaster.open(socket=True):
            path = own_socket(runtime)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        os.umask(before)


def refused(**settings: Any) -> str:
    """Open a store whose socket cannot be had: it works, and the warning says why."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pyfaster.open(key=int, value=int, **settings) as store:
            store[1] = 1
            assert store[1] == 1
            ((plugin, error),) = store.plugin_errors
    assert isinstance(error, pyfaster.ConfigError)
    assert plugin == "observability"
    # What else is collected meanwhile may warn, too.
    ours = [one for one in told if issubclass(one.category, pyfaster.PluginWarning)]
    assert len(ours) == 1
    return str(error)


def test_a_directory_that_is_a_link_is_refused(runtime: Path) -> None:
    """Whoever may turn the link could take the socket's place."""
    (runtime / "elsewhere").mkdir(mode=0o700)
    (runtime / "pyfaster").symlink_to(runtime / "elsewhere")
    assert "symbolic link" in refused(socket=True)
    assert list((runtime / "elsewhere").iterdir()) == []


def test_a_directory_that_others_may_write_to_is_refused(runtime: Path) -> None:
    """For the user's own directory, and for a path that was given."""
    (runtime / "pyfaster").mkdir()
    (runtime / "pyfaster").chmod(0o777)
    assert "others may write" in refused(socket=True)
    assert "others may write" in refused(socket=str(runtime / "pyfaster" / "mine"))


def test_a_directory_of_somebody_else_is_refused(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be closed to others and still not be this user's."""
    (runtime / "pyfaster").mkdir(mode=0o700)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: 4711)
        with pytest.raises(pyfaster.ConfigError, match="belongs to user"):
            place_module.make_directory()


def test_what_is_no_socket_is_never_removed(runtime: Path) -> None:
    """A file in the place of the socket stays, and so does a link to one."""
    folder = runtime / "pyfaster"
    folder.mkdir(mode=0o700)
    precious = folder / "precious"
    precious.write_text("keep")
    assert "no socket" in refused(socket=str(precious))
    link = folder / "link"
    link.symlink_to(precious)
    assert "no socket" in refused(socket=str(link))
    assert precious.read_text() == "keep"
    assert link.is_symlink()


def test_telemetry_does_not_fall_with_the_socket(runtime: Path) -> None:
    """A store whose socket cannot be had is told of otherwise all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pyfaster.PluginWarning)
        store = pyfaster.open(telemetry=True, socket=str(runtime / ("x" * 120)))
    with store:
        assert store.listening


def test_a_path_that_is_too_long_is_refused(runtime: Path) -> None:
    """The system would cut it; the error says how long it may be."""
    assert "the system allows" in refused(socket=str(runtime / ("x" * 120)))


def test_a_system_without_sockets_says_so(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows there are none: the error names another way."""
    monkeypatch.delattr(socket, "AF_UNIX")
    assert "serve_prometheus" in refused(socket=True)


def test_a_path_that_is_given_is_used_and_a_second_process_refused(
    runtime: Path,
) -> None:
    """Two stores may share it; somebody else's socket there is left alone."""
    path = runtime / "mine"
    with pyfaster.open(socket=str(path)), pyfaster.open(socket=str(path)):
        names = [store.name for store in client.snapshot(str(path)).stores]
        assert names == [":memory:", ":memory:#2"]
        assert server.paths() == [path]
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert "another process listens" in refused(socket=str(path))
        assert path.exists()
    with pyfaster.open(socket=str(path)):
        assert client.snapshot(str(path)).pid == os.getpid()


def test_what_dead_processes_left_is_removed(runtime: Path) -> None:
    """A socket behind which nobody listens goes; one that answers stays."""
    folder = runtime / "pyfaster"
    folder.mkdir(mode=0o700)
    dead, alive = folder / "1.sock", folder / "2.sock"
    for path in (dead, alive):
        one = socket.socket(socket.AF_UNIX)
        one.bind(str(path))
        if path is dead:
            one.close()
        else:
            one.listen()
            listening = one
    (folder / "3.sock").write_text("no socket")
    assert [one.path for one in client.running()] == [alive]
    with pyfaster.open(socket=True):
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            ["2.sock", "3.sock", own_socket(runtime).name]
        )
    listening.close()


def test_what_is_asked_changes_nothing_and_nonsense_is_cut_off(runtime: Path) -> None:
    """Only the one request has an answer; a request has at most 256 bytes."""
    with pyfaster.open(key=int, value=int, socket=True) as store:
        path = own_socket(runtime)
        for nonsense in (
            b"close\n",
            b'{"get":"snapshot","also":1}\n',
            b'{"set":"memory"}\n',
            b"[" * 200 + b"\n",
            b"x" * (REQUEST_MAX + 1),
            line_of(SNAPSHOT) * 2,
            b"\xff\xfe\n",
        ):
            with connected(path) as one:
                one.sendall(nonsense)
                assert line(one) == b"", nonsense
        with connected(path) as one:
            for _ in range(3):  # a client may ask again
                one.sendall(line_of(SNAPSHOT))
                assert json.loads(line(one))["pid"] == os.getpid()
        with connected(path) as one:  # in pieces
            for byte in line_of(SNAPSHOT):
                one.sendall(bytes([byte]))
            assert json.loads(line(one))["pid"] == os.getpid()
        store[1] = 1
        assert store[1] == 1
    assert dict(failures()).get("socket") is None


def test_clients_that_say_nothing_do_not_keep_others_out(runtime: Path) -> None:
    """Of too many the one that was silent for longest has to go."""
    with pyfaster.open(socket=True):
        path = own_socket(runtime)
        silent = [connected(path) for _ in range(CLIENTS_MAX)]
        for _ in range(3):
            assert client.snapshot().pid == os.getpid()
        assert silent[0].recv(1) == b""  # it was let go
        for one in silent:
            one.close()


def test_a_client_that_does_not_read_holds_up_nobody(runtime: Path) -> None:
    """Its answer waits for it alone, and it is not asked for more meanwhile."""
    with pyfaster.open(socket=True):
        path = own_socket(runtime)
        with connected(path) as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            slow.sendall(line_of(SNAPSHOT))
            for _ in range(5):
                assert client.snapshot().pid == os.getpid()
            assert json.loads(line(slow))["pid"] == os.getpid()


def test_one_thread_serves_and_ends_with_the_last_store(runtime: Path) -> None:
    """Any number of stores has one thread; without a store there is none."""

    def threads() -> int:
        return [one.name for one in threading.enumerate()].count("pyfaster-socket")

    assert threads() == 0
    for _ in range(5):
        with pyfaster.open(socket=True), pyfaster.open(socket=True):
            assert threads() == 1
            assert len(client.snapshot().stores) == 2
        assert threads() == 0
    with pyfaster.open() as store:
        assert not store.listening


FORKS = """
import os, sys, pyfaster
from pyfaster_observability import client
store = pyfaster.open(socket=True)
path = client.running()[0].path
child = os.fork()
if child == 0:
    import threading
    names = [one.name for one in threading.enumerate()]
    assert "pyfaster-socket" not in names, names
    from pyfaster_observability._socket import server
    assert server.paths() == []
    with pyfaster.open(socket=True):
        assert {one.pid for one in client.running()} == {os.getppid(), os.getpid()}
        assert client.snapshot(os.getpid()).pid == os.getpid()
        assert client.snapshot(os.getppid()).pid == os.getppid()
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert path.exists()
print(os.waitstatus_to_exitcode(status), client.snapshot().pid == os.getpid())
"""


def test_a_child_leaves_the_parents_socket_alone(runtime: Path) -> None:
    """It has no thread of the server, may have a socket of its own, and both answer;
    a process that ends without closing removes its socket."""
    done = run(FORKS)
    assert done.stdout.split() == ["0", "True"], done.stderr
    assert list((runtime / "pyfaster").iterdir()) == []


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


def test_what_the_last_events_were_is_told(runtime: Path, place: Path) -> None:
    """A checkpoint is among them, as names, numbers and texts."""
    with pyfaster.open(place, key=int, value=int, socket=True) as store:
        store[1] = 1
        token = store.checkpoint().token
        (live,) = client.snapshot(str(place)).stores
    (taken,) = [one for one in live.events if one["event"] == "CheckpointTaken"]
    assert taken["info"] == token
    assert taken["duration_ns"] > 0


def test_a_socket_is_not_swept_before_it_listens(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that opens a store while another one begins to listen leaves its socket
    alone."""

    class Slow(socket.socket):
        def listen(self, *given: int) -> None:
            place_module.sweep(runtime / "pyfaster")
            super().listen(*given)

    monkeypatch.setattr(place_module.socket, "socket", Slow)
    with pyfaster.open(key=int, value=int, socket=True):
        assert place_module.answers(own_socket(runtime))
        assert [path.name for path in (runtime / "pyfaster").iterdir()] == [
            own_socket(runtime).name
        ]
