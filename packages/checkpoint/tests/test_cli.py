# SPDX-License-Identifier: MIT
"""The subcommands: what they print, what they end with, and that they only look."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from store_kit import built, manifest, open_store, state, store, tokens
from typer.testing import CliRunner, Result

from pyfaster._cli import make_app
from pyfaster._registry import registry
from pyfaster.errors import CorruptCheckpointError, DeviceError, StoreLockedError
from pyfaster_checkpoint import _cli

__all__ = ["built", "store"]

LOOKING: list[list[str]] = [
    ["checkpoints", "list"],
    ["checkpoints", "show"],
    ["checkpoints", "validate"],
    ["checkpoints", "validate", "--deep"],
    ["checkpoints", "prune", "--dry-run", "--keep", "1"],
    ["verify"],
]


def run(words: list[str], place: Path, *more: str) -> Result:
    """Run a subcommand in this process."""
    return CliRunner().invoke(make_app(registry), [*words, str(place), *more])


def said(words: list[str], place: Path, *more: str) -> Any:
    """Run a subcommand with --json; give its status and what it wrote."""
    result = run(words, place, *more, "--json")
    return result.exit_code, json.loads(result.stdout)


def damage(place: Path, token: str, name: str) -> None:
    """Flip a bit in the middle of a checkpoint's file."""
    path = place / "checkpoints" / token / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_looking_changes_nothing(store: Path, words: list[str]) -> None:
    """What only looks ends with 0, writes one object with --json, and leaves every byte
    and every time as it was."""
    before = state(store)
    text = run(words, store)
    assert text.exit_code == 0, text.output
    status, data = said(words, store)
    assert status == 0
    assert data["directory"] == str(store)
    assert state(store) == before


def test_list_tells_all(store: Path) -> None:
    """Every checkpoint is listed, the newest first, with what it is and holds."""
    _, data = said(["checkpoints", "list"], store)
    shown = run(["checkpoints", "list"], store).stdout
    listed = data["checkpoints"]
    assert [each["token"] for each in listed] == tokens(store)[::-1]
    assert [each["kind"] for each in listed] == ["fold-over", "incremental", "snapshot"]
    assert all(token in shown for token in tokens(store))
    assert listed[0]["cookie"] == "bGluZSA5"
    assert listed[0]["sessions"] == {"a": 1016}
    assert listed[1]["parent"] == tokens(store)[0]
    assert (data["unfinished"], data["strangers"]) == ([], [])


def test_list_tells_what_does_not_count(store: Path) -> None:
    """Unfinished ones and strangers are told of; damage, also of what one is based on,
    makes the status 1."""
    left = f"{99:016x}-{1:016x}"
    (store / "checkpoints" / left).mkdir()
    (store / "checkpoints" / "notes.txt").write_text("mine")
    status, data = said(["checkpoints", "list"], store)
    assert status == 0
    assert (data["unfinished"], data["strangers"]) == ([left], ["notes.txt"])
    assert left in run(["checkpoints", "list"], store).stdout
    first, second, third = tokens(store)[:3]
    (store / "checkpoints" / first / "snapshot.dat").write_bytes(b"")
    status, data = said(["checkpoints", "list"], store)
    assert status == 1
    damaged = {each["token"] for each in data["checkpoints"] if each["damage"]}
    assert damaged == {first, second}
    assert third not in damaged
    assert "snapshot.dat" in run(["checkpoints", "list"], store).stdout


def test_show_one(store: Path) -> None:
    """The newest is shown, or that which was asked for, with its whole manifest."""
    first, _, newest = tokens(store)
    _, data = said(["checkpoints", "show"], store)
    assert data["checkpoint"]["token"] == newest
    assert (
        data["manifest"]["addresses"]["final"]
        == data["manifest"]["addresses"]["log_until"]
    )
    _, data = said(["checkpoints", "show"], store, first)
    assert data["checkpoint"]["files"].keys() == {"index.dat", "snapshot.dat"}
    text = run(["checkpoints", "show"], store, first).stdout
    assert first in text
    assert "session 'a'" in text
    (store / "checkpoints" / newest / "manifest.json").write_bytes(b"{}")
    status, data = said(["checkpoints", "show"], store)
    assert (status, data["manifest"]) == (1, None)
    assert "manifest.json" in data["checkpoint"]["damage"]


def test_text_of_others_is_shown_as_text(
    built: dict[str, Path], tmp_path: Path
) -> None:
    """Names of sessions and cookies cannot steer a terminal or the table's markup."""
    with open_store(tmp_path / "odd") as odd:
        with odd.session("\x1b[31m[red]x") as session:
            session.upsert(1, 1)
            odd.checkpoint("snapshot", cookie=b"[bold]\x1b[0m")
    stranger = tmp_path / "odd" / "checkpoints" / "\x1b[2J\udc80"
    stranger.write_text("odd")
    for words in (["checkpoints", "list"], ["verify"]):
        text = run(words, tmp_path / "odd").stdout
        assert "\x1b" not in text
        assert "[2J" in text
    text = run(["checkpoints", "show"], tmp_path / "odd").stdout
    assert "\x1b" not in text
    assert "[red]x" in text
    assert "[bold]" in text


@pytest.mark.fault("F33")
def test_validate_deep_finds_a_bit(store: Path) -> None:
    """A flipped bit is found by --deep, and only in the checkpoint that has it."""
    first, second, third = tokens(store)
    damage(store, first, "snapshot.dat")
    assert said(["checkpoints", "validate"], store)[0] == 0
    status, data = said(["checkpoints", "validate"], store, "--deep")
    assert status == 1
    found = {each["token"]: each for each in data["checkpoints"]}
    assert [found[token]["ok"] for token in (first, second, third)] == [
        False,
        True,
        True,
    ]
    finding = found[first]["findings"][0]
    assert finding["file"] == "snapshot.dat"
    assert finding["offset"] is not None
    text = run(["checkpoints", "validate"], store, first, "--deep")
    assert text.exit_code == 1
    assert f"{first}/snapshot.dat at byte" in text.stdout
    assert run(["checkpoints", "validate"], store, third, "--deep").exit_code == 0


def test_prune_keeps_what_is_needed(store: Path) -> None:
    """Older ones go and what is kept needs stays; a second time there is nothing."""
    first, second, third = tokens(store)
    left = f"{99:016x}-{1:016x}"
    (store / "checkpoints" / left).mkdir()
    dry = ["checkpoints", "prune", "--dry-run"]
    prune = ["checkpoints", "prune"]
    assert said(dry, store, "--keep", "2")[1]["removed"] == []
    assert said(dry, store, "--keep", "1")[1]["removed"] == [second, first]
    assert tokens(store) == [first, second, third, left]
    status, data = said(prune, store, "--keep", "2")
    assert (status, data["removed"], data["unfinished"]) == (0, [], [left])
    assert tokens(store) == [first, second, third]
    text = run(prune, store, "--keep", "1")
    assert text.exit_code == 0
    assert f"{second}: removed" in text.stdout
    assert tokens(store) == [third]
    assert "nothing may go" in run(prune, store).stdout
    assert said(["verify"], store)[0] == 0
    with open_store(store) as again:
        assert again[800] == 300


@pytest.mark.fault("F34")
def test_prune_without_a_good_one_removes_nothing(store: Path) -> None:
    """When no checkpoint can be used none goes."""
    for token in tokens(store):
        damage(store, token, "manifest.json")
    before = tokens(store)
    assert said(["checkpoints", "prune", "--keep", "1"], store)[1]["removed"] == []
    assert tokens(store) == before


def test_prune_is_refused_while_the_store_is_open(store: Path) -> None:
    """Pruning needs the directory's lock; looking does not. Another process is told who
    holds it."""
    with open_store(store, recover="latest"):
        result = run(["checkpoints", "prune", "--keep", "1"], store)
        assert isinstance(result.exception, StoreLockedError)
        assert len(tokens(store)) == 3
        for words in LOOKING:
            assert run(words, store).exit_code == 0, words
        program = [sys.executable, "-m", "pyfaster"]
        words = [*program, "checkpoints", "prune", str(store), "--keep", "1"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "process " in done.stderr
        done = subprocess.run(
            [*program, "verify", str(store), "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["findings"] == []
    assert len(tokens(store)) == 3


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_where_there_is_nothing(tmp_path: Path, words: list[str]) -> None:
    """No store, or none with a checkpoint: status 1 and a line; no directory: 2."""
    place = tmp_path / "empty"
    place.mkdir()
    result = run(words, place)
    assert result.exit_code == 1
    said_so = result.stderr + str(result.exception)
    assert "holds no store" in said_so or "neither a store nor a log" in said_so
    assert list(place.iterdir()) == []
    (place / "log").mkdir()
    result = run(words, place)
    assert result.exit_code == 1
    assert "checkpoint" in result.output or "nothing" in result.output
    assert run(words, tmp_path / "missing").exit_code == 2
    (tmp_path / "file").write_text("no directory")
    assert run(words, tmp_path / "file").exit_code == 2


def test_prune_makes_nothing(tmp_path: Path) -> None:
    """Pruning what is no store leaves no trace there."""
    result = run(["checkpoints", "prune"], tmp_path)
    assert result.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_misuse(store: Path) -> None:
    """Wrong words end with 2, a checkpoint that is not there with 1."""
    assert run(["checkpoints", "prune"], store, "--keep", "0").exit_code == 2
    assert run(["checkpoints", "list"], store, "--what").exit_code == 2
    for name in ("0" * 16 + "-" + "0" * 16, "../odd", ""):
        for words in (["checkpoints", "show"], ["checkpoints", "validate"]):
            expected = 1 if name else 0
            assert run(words, store, name).exit_code == expected


@pytest.mark.fault("F31")
def test_verify_says_where(store: Path) -> None:
    """A finding has file, offset, what was expected and what was found."""
    until = manifest(store, tokens(store)[-1]).addresses.log_until
    path = store / "log" / "00000000000000000000.seg"
    data = bytearray(path.read_bytes())
    data[4096 + until // 2 & ~31 | 28] ^= 1  # of a value
    path.write_bytes(data)
    status, found = said(["verify"], store)
    assert status == 1
    assert not found["ok"]
    (finding,) = found["findings"]
    assert finding["file"] == "log/00000000000000000000.seg"
    assert abs(finding["offset"] - 4096 - until // 2) < 64
    assert finding["expected"] != finding["found"]
    text = run(["verify"], store)
    assert text.exit_code == 1
    assert f"log/00000000000000000000.seg at byte {finding['offset']:,}" in text.stdout


@pytest.mark.fault("F89")
@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_a_link_in_place_of_the_checkpoints(
    store: Path, tmp_path: Path, words: list[str]
) -> None:
    """Links are not followed: `verify` tells of it, the others end with the error."""
    (store / "checkpoints").rename(tmp_path / "elsewhere")
    (store / "checkpoints").symlink_to(tmp_path / "elsewhere")
    result = run(words, store)
    assert result.exit_code == 1
    if words == ["verify"]:
        assert "links are not followed" in result.stdout
    else:
        assert isinstance(result.exception, CorruptCheckpointError)
        assert "links are not followed" in str(result.exception)


@pytest.mark.parametrize("words", LOOKING[:-1], ids=" ".join)
def test_what_the_system_refuses(
    store: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that may not be read is an error of ours that names it."""

    def refuse(*arguments: object, **named: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(_cli, "DiskFiles", refuse)
    result = run(words, store)
    assert isinstance(result.exception, DeviceError)
    assert str(store) in str(result.exception)


def test_a_dry_run_says_what_a_run_does(store: Path) -> None:
    """Both go by the same rule, at any number that is kept."""
    for keep in ("3", "2", "1"):
        words = ["checkpoints", "prune"]
        dry = said(words, store, "--keep", keep, "--dry-run")[1]["removed"]
        assert said(words, store, "--keep", keep)[1]["removed"] == dry
