# SPDX-License-Identifier: MIT
"""
Where sockets are, and who may be there: this user, and nobody else.

Theory of operation: whoever may write into the directory of a socket can put another
one in its place. So the directory is the user's own and closed to others; it is not
reached through a link that somebody else may turn, and a socket that is there is only
removed when nobody answers behind it.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from pyfaster.errors import ConfigError

#: What the system allows a socket's path to be, in bytes, with the zero behind it.
PATH_MAX = 104
_NAME = re.compile(r"(\d{1,10})\.sock")


def require_unix() -> None:
    """
    Refuse a system that has no local sockets.

    Raises:
        ConfigError: It has none.
    """
    if not hasattr(socket, "AF_UNIX") or not hasattr(os, "getuid"):
        raise ConfigError(
            "socket: this system has no local sockets as Unix has them; leave "
            "socket=False, and use serve_prometheus() to look at stores from outside"
        )


def directory() -> Path:
    """
    Give the directory of this user's sockets; it need not be there.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if Path(runtime).is_absolute():
        return Path(runtime) / "pyfaster"
    return Path(tempfile.gettempdir()) / f"pyfaster-{os.getuid()}"


def socket_of(pid: int) -> Path:
    """
    Give the path of a process's socket.
    """
    return directory() / f"{pid}.sock"


def pid_of(path: Path) -> int | None:
    """
    Give the process that a socket's name names; None for another name.
    """
    found = _NAME.fullmatch(path.name)
    return None if found is None else int(found[1])


def check_directory(path: Path) -> None:
    """
    Refuse a directory that is not this user's alone.

    Raises:
        ConfigError: It is not there, is a link, or others may write to it.
    """
    try:
        found = os.lstat(path)
    except OSError as error:
        raise ConfigError(
            f"socket: directory {str(path)!r}: {error.strerror}; give the path of a "
            "socket in a directory that is there"
        ) from error
    what = ""
    if stat.S_ISLNK(found.st_mode):
        what = "is a symbolic link"
    elif not stat.S_ISDIR(found.st_mode):
        what = "is no directory"
    elif found.st_uid != os.getuid():
        what = f"belongs to user {found.st_uid}, not to user {os.getuid()}"
    elif found.st_mode & 0o022:
        what = f"has mode {stat.S_IMODE(found.st_mode):o}, so others may write to it"
    if what:
        raise ConfigError(
            f"socket: {str(path)!r} {what}; a socket's directory must be this user's "
            "alone"
        )


def make_directory() -> Path:
    """
    Make the directory of this user's sockets, closed to others.

    Raises:
        ConfigError: Something else is in its place.
    """
    path = directory()
    with suppress(FileExistsError):
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            raise
        except OSError as error:
            raise ConfigError(
                f"socket: directory {str(path)!r}: {error.strerror}; set "
                "XDG_RUNTIME_DIR, or give the path of the socket"
            ) from error
    check_directory(path)
    return path


def answers(path: Path) -> bool:
    """
    Whether somebody listens at a socket.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError as error:
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    return True


def remove_stale(path: Path) -> None:
    """
    Remove a socket of this user's behind which nobody listens.

    Raises:
        ConfigError: Something else is in its place, or somebody listens.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.getuid():
        raise ConfigError(
            f"socket: {str(path)!r} is there, and is no socket of this user's; give "
            "another path, or remove it"
        )
    if answers(path):
        raise ConfigError(
            f"socket: another process listens at {str(path)!r}; give another path"
        )
    with suppress(FileNotFoundError):
        path.unlink()


def sweep(place: Path) -> None:
    """
    Remove what dead processes have left in the directory of this user's sockets.
    """
    for path in place.iterdir():
        if pid_of(path) is not None and path.is_socket():
            with suppress(ConfigError, OSError):
                remove_stale(path)


def listen_at(path: Path, clients: int) -> tuple[socket.socket, tuple[int, int]]:
    """
    Open a socket that only this user may use.

    Args:
        path: Where; its directory was checked.

        clients: How many may wait.

    Returns:
        The socket, and its file's device and inode.

    Raises:
        ConfigError: The path is too long, taken, or refused by the system.
    """
    if len(os.fsencode(path)) >= PATH_MAX:
        raise ConfigError(
            f"socket: the path {str(path)!r} has {len(os.fsencode(path))} bytes; the "
            f"system allows {PATH_MAX - 1}"
        )
    remove_stale(path)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Nobody answers behind a socket before it listens, and a process that opens its own
    # would take it for a dead one's (`sweep`): so it gets that name when it listens.
    swept = path.name == f"{os.getpid()}.sock"
    made = path.with_name(f".{secrets.token_hex(2)}{os.getpid()}") if swept else path
    try:
        server.setblocking(False)
        with suppress(OSError):
            os.fchmod(server.fileno(), 0o600)  # before it can be seen, where that works
        server.bind(str(made))
        made.chmod(0o600)
        server.listen(clients)
        found = os.lstat(made)
        if swept:
            made.rename(path)
    except OSError as error:
        server.close()
        if swept:
            with suppress(OSError):
                made.unlink()
        raise ConfigError(
            f"socket: {str(path)!r}: {error.strerror}; give another path"
        ) from error
    return server, (found.st_dev, found.st_ino)


def remove_own(path: Path, mark: tuple[int, int]) -> None:
    """
    Remove a socket, if it is still the one that was made.
    """
    with suppress(OSError):
        found = os.lstat(path)
        if (found.st_dev, found.st_ino) == mark:
            path.unlink()


__all__ = [
    "check_directory",
    "directory",
    "listen_at",
    "make_directory",
    "pid_of",
    "remove_own",
    "require_unix",
    "socket_of",
    "sweep",
]
