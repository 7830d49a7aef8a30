# SPDX-License-Identifier: MIT
"""
The local socket: what looks at stores from outside is told their figures, and nothing
can be changed through it.

Theory of operation: one thread serves all sockets of the process. It never waits for a
client: what a client does not take stays in the client's buffer, no further request of
it is read meanwhile, and when there are too many clients the one that has been silent
for longest has to go. Figures are taken anew for each request. A child that was forked
off has no thread, and leaves its parent's sockets where they are.
"""

from __future__ import annotations

import atexit
import os
import selectors
import socket
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyfaster
from pyfaster.errors import ClosedError
from pyfaster_observability import _place
from pyfaster_observability._failures import kept_apart, note
from pyfaster_observability._recent import recent
from pyfaster_observability._targets import Target, targets
from pyfaster_observability._wire import CLIENTS_MAX, REQUEST_MAX, line_of, request_of

_READ = selectors.EVENT_READ
_WRITE = selectors.EVENT_WRITE

#: How long the thread rests when the system refuses it something, in seconds.
REST_S = 0.1


def snapshot_of(found: list[Target]) -> dict[str, Any]:
    """
    Give what a client is told of some stores.
    """
    stores = []
    for target in found:
        with kept_apart("socket"):
            store = target.thing
            if store is not None:
                with suppress(ClosedError):  # just now
                    stores.append(store_of(store, target))
    return {"pyfaster": pyfaster.__version__, "pid": os.getpid(), "stores": stores}


def store_of(store: Any, target: Target) -> dict[str, Any]:
    """
    Give what a client is told of one store. What devices and plugins are told may be
    secret: of that only the names of the settings.
    """
    settings = store.config
    config = {name: getattr(settings, name) for name in type(settings).model_fields}
    for name, value in config.items():
        if isinstance(value, Mapping):
            config[name] = sorted(map(str, value))
    return {
        "name": target.namespace,
        "stats": store.stats().to_dict(),
        "config": config,
        "events": recent.of(target),
    }


class Place:
    """
    One socket, and the stores that are told of there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listener, self.mark = _place.listen_at(path, CLIENTS_MAX)
        self.targets: list[Target] = []

    def remove(self) -> None:
        """
        Remove the socket's file; the thread closes the rest.
        """
        _place.remove_own(self.path, self.mark)


class Client:
    """
    Somebody who asks.
    """

    def __init__(self, connection: socket.socket, place: Place) -> None:
        self.connection = connection
        self.place = place
        self.asked = b""
        self.answer = b""


class Server:
    """
    The sockets of this process; any thread may add and remove stores.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._places: dict[Path, Place] = {}
        self._thread: threading.Thread | None = None
        self._bell: tuple[socket.socket, socket.socket] | None = None
        self._gone: list[socket.socket] = []  # listeners that the thread is to close
        self._loop: Loop | None = None
        self._watches = False

    # --- stores ---------------------------------------------------------------------

    def add(self, store: Any, wanted: bool | str | os.PathLike[str]) -> Path:
        """
        Tell of a store.

        Args:
            store: The store.

            wanted: True for the socket of this process; or a path.

        Returns:
            Where the socket is.

        Raises:
            ConfigError: The system has no such sockets, or the place will not do.
        """
        _place.require_unix()
        with self._lock:
            self._watch()
            path = self._path_of(wanted)
            place = self._places.get(path)
            if place is None:
                place = self._places[path] = Place(path)
            place.targets.append(targets.of(store))
            self._run()
            self._ring()
        return path

    @staticmethod
    def _path_of(wanted: bool | str | os.PathLike[str]) -> Path:
        if isinstance(wanted, bool):
            folder = _place.make_directory()
            _place.sweep(folder)
            return _place.socket_of(os.getpid())
        path = Path.cwd() / os.fspath(wanted)
        _place.check_directory(path.parent)
        return path

    def remove(self, store: object) -> None:
        """
        Tell of a store no more; the last one's end closes the socket.
        """
        with self._lock:
            for path, place in list(self._places.items()):
                place.targets = [
                    one
                    for one in place.targets
                    if (kept := one.ref()) is not None and kept is not store
                ]
                if not place.targets:
                    del self._places[path]
                    place.remove()
                    self._gone.append(place.listener)
            thread = self._thread
            idle = not self._places
            if idle:
                self._thread = None
            self._ring()
        if idle and thread is not None and thread is not threading.current_thread():
            thread.join()

    def paths(self) -> list[Path]:
        """
        Give the places of the sockets that are open.
        """
        with self._lock:
            return list(self._places)

    # --- the thread -----------------------------------------------------------------

    def _watch(self) -> None:
        if not self._watches:
            self._watches = True
            os.register_at_fork(after_in_child=self._begin_anew)
            atexit.register(self._end)

    def _run(self) -> None:
        if self._thread is None:
            self._bell = socket.socketpair()
            for end in self._bell:
                end.setblocking(False)
            self._thread = threading.Thread(
                target=self._serve,
                args=(self._bell,),
                name="pyfaster-socket",
                daemon=True,
            )
            self._thread.start()

    def _ring(self) -> None:
        """
        Have the thread look at the places again.
        """
        if self._bell is not None:
            with suppress(OSError):
                self._bell[1].send(b"!")

    def _end(self) -> None:
        """
        Remove the sockets when the process ends.
        """
        with self._lock:
            for place in self._places.values():
                _place.remove_own(place.path, place.mark)

    def _begin_anew(self) -> None:
        """
        After fork(), in the child: the thread is not there, and the files stay.
        """
        self._lock = threading.RLock()
        if self._loop is not None:
            self._loop.close()
        listeners = [place.listener for place in self._places.values()]
        for one in (*listeners, *self._gone, *(self._bell or ())):
            one.close()
        self._places, self._thread, self._bell = {}, None, None
        self._gone, self._loop = [], None

    def _serve(self, bell: tuple[socket.socket, socket.socket]) -> None:
        """
        Serve until there is no place any more.
        """
        loop = Loop(bell[0])
        goes_on = True
        while goes_on:
            with self._lock:
                goes_on = self._thread is threading.current_thread()
                self._loop = loop if goes_on else self._loop
                places = list(self._places.values()) if goes_on else []
                gone, self._gone = self._gone, []
            try:
                loop.attend(places, gone)
                if goes_on:
                    loop.turn()
            except Exception as error:  # noqa: BLE001 - the next turn may do better
                note("socket", error)
                time.sleep(REST_S)
        loop.close()
        for end in bell:
            end.close()


class Loop:
    """
    What the thread does: accept, read, answer.
    """

    def __init__(self, bell: socket.socket) -> None:
        self._selector = selectors.DefaultSelector()
        self._selector.register(bell, _READ, bell)
        self._places: dict[socket.socket, Place] = {}
        self._clients: OrderedDict[socket.socket, Client] = OrderedDict()

    def attend(self, places: list[Place], gone: list[socket.socket]) -> None:
        """
        Listen at these places and no others.

        Args:
            places: Those that there are.

            gone: The listeners of those that are there no more.
        """
        for listener in gone:
            self._places.pop(listener, None)
            self._forget(listener)
            listener.close()
            for client in list(self._clients.values()):
                if client.place.listener is listener:
                    self._drop(client)
        for place in places:
            if place.listener not in self._places:
                self._selector.register(place.listener, _READ, place.listener)
                self._places[place.listener] = place

    def turn(self) -> None:
        """
        Wait for something to do, and do it.
        """
        for key, events in self._selector.select():
            found: socket.socket = key.data
            if found in self._places:
                self._accept(self._places[found])
            elif found in self._clients:
                self._serve(self._clients[found], events)
            else:
                with suppress(OSError):
                    found.recv(64)  # the bell

    def close(self) -> None:
        """
        Let all clients go. In a child that was forked off they stay its parent's, who
        shares what the selector knows: so nothing is unregistered.
        """
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._selector.close()

    def _forget(self, one: socket.socket) -> None:
        for key in list(self._selector.get_map().values()):
            if key.data is one:
                self._selector.unregister(key.fileobj)

    def _accept(self, place: Place) -> None:
        try:
            connection, _ = place.listener.accept()
        except BlockingIOError:
            return  # it is gone again
        connection.setblocking(False)
        if not is_own(connection):
            connection.close()
            return
        while len(self._clients) >= CLIENTS_MAX:
            self._drop(next(iter(self._clients.values())))
        self._clients[connection] = Client(connection, place)
        self._selector.register(connection, _READ, connection)

    def _serve(self, client: Client, events: int) -> None:
        self._clients.move_to_end(client.connection)
        try:
            if events & _READ and not self._read(client):
                self._drop(client)
                return
            if client.answer:
                sent = client.connection.send(client.answer)
                client.answer = client.answer[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        wanted = _WRITE if client.answer else _READ
        self._selector.modify(client.connection, wanted, client.connection)

    @staticmethod
    def _read(client: Client) -> bool:
        """
        Read a request and make its answer; False when the client has to go.
        """
        room = REQUEST_MAX + 1 - len(client.asked)
        got = client.connection.recv(room)
        client.asked += got
        line, end, rest = client.asked.partition(b"\n")
        if not end:
            return bool(got) and len(client.asked) <= REQUEST_MAX
        client.asked = b""
        if rest or not request_of(line):
            return False
        client.answer = line_of(snapshot_of(client.place.targets))
        return True

    def _drop(self, client: Client) -> None:
        self._clients.pop(client.connection, None)
        self._forget(client.connection)
        client.connection.close()


def is_own(connection: socket.socket) -> bool:
    """
    Whether a client is of this user, as far as the system tells.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True  # the directory's and the socket's modes have to do
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, option, size)
    )
    return user in (os.getuid(), 0)


#: The sockets of this process.
server = Server()


__all__ = ["Server", "server"]
