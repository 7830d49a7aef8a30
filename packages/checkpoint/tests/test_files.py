# SPDX-License-Identifier: MIT
"""Files on disk: only ours, only regular ones, synced when they say so."""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from pyfaster.checkpoints import CheckpointFiles
from pyfaster.errors import (
    ConfigError,
    CorruptCheckpointError,
    ReadOnlyError,
)
from pyfaster_checkpoint import DiskFiles, _file_handles, _files
from pyfaster_checkpoint._catalog import read_catalog

TOKEN = "0000000000000001-00000000000000ff"
OTHER = "0000000000000002-00000000000000ff"


@pytest.fixture(params=["descriptors", "paths"])
def files(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Files in a directory, with the system's calls and as where there are none."""
    if request.param == "paths":
        monkeypatch.setattr(_files, "_HAS_DIR_FD", False)
        monkeypatch.setattr(_files, "_NOFOLLOW", 0)
        plain = _files._READ & ~os.O_NOFOLLOW
        monkeypatch.setattr(_files, "_READ", plain)
    made = DiskFiles(tmp_path / "checkpoints")
    yield made
    made.close()


def write(files: DiskFiles, name: str, data: bytes, token: str = TOKEN) -> None:
    """Write a file."""
    writer = files.create(token, name)
    writer.write(data)
    writer.sync()
    writer.close()


def read(files: DiskFiles, name: str, token: str = TOKEN) -> bytes:
    """Read a file."""
    reader = files.open(token, name)
    data = bytearray(reader.size)
    assert reader.read_into(0, memoryview(data)) == reader.size
    reader.close()
    return bytes(data)


def test_files_come_back(files: DiskFiles, tmp_path: Path) -> None:
    """What was written is read, under the name that it was given last; all is ours
    alone."""
    assert isinstance(files, CheckpointFiles)
    files.make(TOKEN)
    write(files, "manifest.tmp", b"abc" * 1000)
    files.rename(TOKEN, "manifest.tmp", "manifest.json")
    files.sync(TOKEN)
    assert files.tokens() == [TOKEN]
    assert files.names(TOKEN) == ["manifest.json"]
    assert read(files, "manifest.json") == b"abc" * 1000
    folder = tmp_path / "checkpoints"
    for path, mode in ((folder, 0o700), (folder / TOKEN, 0o700)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    found = (folder / TOKEN / "manifest.json").stat()
    assert stat.S_IMODE(found.st_mode) == 0o600


def test_reading_anywhere(files: DiskFiles) -> None:
    """Any part is read; behind the end there is nothing; a closed file says so."""
    files.make(TOKEN)
    write(files, "index.dat", bytes(range(200)))
    reader = files.open(TOKEN, "index.dat")
    part = bytearray(50)
    assert reader.read_into(180, memoryview(part)) == 20
    assert part[:20] == bytes(range(180, 200))
    assert reader.read_into(500, memoryview(part)) == 0
    reader.close()
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.read_into(0, memoryview(part))


def test_nothing_is_written_over(files: DiskFiles) -> None:
    """A place and a file are made once."""
    files.make(TOKEN)
    with pytest.raises(FileExistsError):
        files.make(TOKEN)
    write(files, "delta.dat", b"1")
    with pytest.raises(FileExistsError):
        files.create(TOKEN, "delta.dat")
    assert read(files, "delta.dat") == b"1"


def test_removing(files: DiskFiles) -> None:
    """What is removed is gone; what is not there is no error; a full place stays."""
    files.make(TOKEN)
    write(files, "delta.dat", b"1")
    with pytest.raises(OSError):
        files.remove_token(TOKEN)
    for _ in range(2):
        files.remove(TOKEN, "delta.dat")
        assert files.names(TOKEN) == []
    for _ in range(2):
        files.remove_token(TOKEN)
        files.remove(TOKEN, "delta.dat")
    assert files.tokens() == []
    with pytest.raises(FileNotFoundError):
        files.names(TOKEN)
    with pytest.raises(FileNotFoundError):
        files.open(TOKEN, "delta.dat")


ODD = [
    "",
    ".",
    "..",
    "/etc/passwd",
    "../x",
    "a/b",
    "x.dat",
    "manifest.json\0",
    "INDEX.DAT",
]


@pytest.mark.fault("F89")
@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_refused(files: DiskFiles, name: str) -> None:
    """Names that are not ours reach no system call."""
    files.make(TOKEN)
    calls: list[Any] = [
        lambda: files.create(TOKEN, name),
        lambda: files.open(TOKEN, name),
        lambda: files.remove(TOKEN, name),
        lambda: files.rename(TOKEN, name, "index.dat"),
        lambda: files.rename(TOKEN, "index.dat", name),
        lambda: files.make(name),
        lambda: files.names(name),
        lambda: files.sync(name),
        lambda: files.remove_token(name),
        lambda: files.open(name, "index.dat"),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match="is not the name of"):
            call()


def odd_things(folder: Path, name: str) -> list[tuple[str, Any]]:
    """Ways to have something else under a name."""
    outside = folder.parent.parent / f"outside-{name}"
    outside.write_bytes(b"secret")

    def listen(path: Path) -> None:
        os.chdir(path.parent)  # a socket's path may not be long
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)

    return [
        ("symlink", lambda path: path.symlink_to(outside)),
        ("dangling", lambda path: path.symlink_to(folder / "nowhere")),
        ("hard link", lambda path: path.hardlink_to(outside)),
        ("fifo", os.mkfifo),
        ("directory", Path.mkdir),
        ("socket", listen),
    ]


@pytest.mark.fault("F89")
@pytest.mark.parametrize("which", range(6))
def test_only_regular_files_of_one_name(
    files: DiskFiles, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links, pipes, sockets and directories are refused, and never waited for."""
    monkeypatch.chdir(files.directory)
    files.make(TOKEN)
    folder = files.directory / TOKEN
    _, make = odd_things(folder, "x")[which]
    make(folder / "manifest.json")
    with pytest.raises(CorruptCheckpointError, match=r"regular file|link") as caught:
        files.open(TOKEN, "manifest.json")
    assert caught.value.token == TOKEN
    (entry,) = read_catalog(files).entries
    assert isinstance(entry.error, CorruptCheckpointError)
    with pytest.raises(FileExistsError):
        files.create(TOKEN, "manifest.json")


@pytest.mark.fault("F89")
@pytest.mark.parametrize("which", range(6))
def test_only_directories_are_checkpoints(
    files: DiskFiles, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something else under a checkpoint's name is damage, and is left as it is."""
    monkeypatch.chdir(files.directory)
    name, make = odd_things(files.directory / "x", "y")[which]
    if name == "directory":
        make = lambda path: path.symlink_to(files.directory.parent)  # noqa: E731
    make(files.directory / TOKEN)
    (entry,) = read_catalog(files).entries
    assert isinstance(entry.error, CorruptCheckpointError)
    assert "no directory" in str(entry.error)
    with pytest.raises((CorruptCheckpointError, OSError)):
        files.remove(TOKEN, "manifest.json")
    with pytest.raises(OSError):
        files.remove_token(TOKEN)
    assert os.path.lexists(files.directory / TOKEN)


@pytest.mark.fault("F89")
def test_the_directory_itself_is_no_link(tmp_path: Path) -> None:
    """A link in the place of the directory of all checkpoints is refused."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").write_bytes(b"")
    for name in ("link", "file"):
        with pytest.raises(CorruptCheckpointError, match="links are not followed"):
            DiskFiles(tmp_path / name)


def test_strangers_are_ignored_and_told(files: DiskFiles) -> None:
    """Other names are not listed, not opened, and can be asked for."""
    files.make(TOKEN)
    write(files, "index.dat", b"1")
    (files.directory / "notes.txt").write_bytes(b"hello")
    (files.directory / TOKEN.upper()).mkdir()
    (files.directory / TOKEN / "core").write_bytes(b"")
    assert files.tokens() == [TOKEN]
    assert files.names(TOKEN) == ["index.dat"]
    assert files.strangers() == sorted(["notes.txt", TOKEN.upper(), f"{TOKEN}/core"])
    files.remove(TOKEN, "index.dat")
    with pytest.raises(OSError):
        files.remove_token(TOKEN)
    assert (files.directory / TOKEN / "core").exists()


@pytest.mark.fault("F12")
def test_a_failed_sync_is_not_tried_again(
    files: DiskFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second sync of a file fails with the first one's error, unasked."""
    files.make(TOKEN)
    writer = files.create(TOKEN, "index.dat")
    calls: list[int] = []

    def fail(descriptor: int) -> None:
        calls.append(descriptor)
        raise OSError(errno.EIO, "the disk is gone")

    monkeypatch.setattr(_file_handles, "sync_descriptor", fail)
    for _ in range(3):
        with pytest.raises(OSError, match="the disk is gone"):
            writer.sync()
    assert len(calls) == 1
    writer.abandon()


@pytest.mark.fault("F15")
def test_an_error_of_closing_is_an_error(
    files: DiskFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system says only when a file is closed is raised, unless the file is
    given up."""
    files.make(TOKEN)
    real = os.close

    def fail(descriptor: int) -> None:
        real(descriptor)
        raise OSError(errno.EDQUOT, "over quota")

    one, two = files.create(TOKEN, "index.dat"), files.create(TOKEN, "delta.dat")
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", fail)
        with pytest.raises(OSError, match="over quota"):
            one.close()
        two.abandon()
    one.close()


@pytest.mark.fault("F01")
def test_short_writes_are_gone_on_with(
    files: DiskFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every byte is written, however few the system takes at once; none is an error."""
    files.make(TOKEN)
    writer = files.create(TOKEN, "index.dat")
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: real(fd, data[:3]))
        writer.write(memoryview(bytes(range(100))))
    monkeypatch.setattr(os, "write", lambda fd, data: 0)
    with pytest.raises(OSError, match="moved nothing"):
        writer.write(b"1")
    writer.close()
    assert read(files, "index.dat") == bytes(range(100))


@pytest.mark.fault("F16")
def test_a_directory_that_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of syncing names is raised, wherever names are made."""
    files = DiskFiles(tmp_path / "checkpoints")
    files.make(TOKEN)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "not synced")

    monkeypatch.setattr(_files, "sync_descriptor", fail)
    calls: list[Any] = [
        lambda: files.make(OTHER),
        lambda: files.sync(TOKEN),
        files.sync_root,
        lambda: DiskFiles(tmp_path / "more"),
    ]
    for call in calls:
        with pytest.raises(OSError, match="not synced"):
            call()
    files.close()


def test_what_is_opened_for_reading_is_not_changed(tmp_path: Path) -> None:
    """A reader makes nothing, changes nothing, and a missing directory is empty."""
    nothing = DiskFiles(tmp_path / "missing", read_only=True)
    assert nothing.tokens() == []
    assert not (tmp_path / "missing").exists()
    with pytest.raises(FileNotFoundError):
        nothing.names(TOKEN)
    writer = DiskFiles(tmp_path / "there")
    writer.make(TOKEN)
    write(writer, "index.dat", b"1")
    reader = DiskFiles(tmp_path / "there", read_only=True)
    assert read(reader, "index.dat") == b"1"
    calls: list[Any] = [
        lambda: reader.make(OTHER),
        lambda: reader.create(TOKEN, "delta.dat"),
        lambda: reader.remove(TOKEN, "index.dat"),
        lambda: reader.remove_token(TOKEN),
        lambda: reader.rename(TOKEN, "index.dat", "delta.dat"),
    ]
    for call in calls:
        with pytest.raises(ReadOnlyError):
            call()
    for each in (nothing, writer, reader):
        each.close()
        each.close()


def test_a_parent_is_not_made(tmp_path: Path) -> None:
    """The directory is made, its parent is not."""
    with pytest.raises(FileNotFoundError):
        DiskFiles(tmp_path / "no" / "checkpoints")


def test_threads_list_at_once(files: DiskFiles) -> None:
    """Each of several threads that list one directory sees all of it."""
    tokens = [f"{number:016x}-{number:016x}" for number in range(200)]
    for token in tokens:
        (files.directory / token).mkdir()
    wrong: list[object] = []

    def look() -> None:
        for _ in range(30):
            if files.tokens() != tokens:
                wrong.append(files.tokens())

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
