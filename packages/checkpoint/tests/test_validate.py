# SPDX-License-Identifier: MIT
"""Validation: says what is wrong and where, and needs no store."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from keeper_kit import fill, filled, make, take
from memory_files import MemoryFiles

from pyfaster_checkpoint._manifest import MANIFEST


def taken(kind: str) -> tuple[MemoryFiles, str]:
    """Files with a checkpoint of a kind, and its name."""
    keeper, files = make(keep=5)
    store = filled(count=30)
    take(keeper, store, "snapshot")
    fill(store, 7, 20)
    return files, take(keeper, store, kind)[0].token


def other(files: MemoryFiles) -> tuple[Any, MemoryFiles]:
    """A keeper over a copy, to be damaged."""
    mine = MemoryFiles()
    mine.places = copy.deepcopy(files.places)
    return make(mine)[0], mine


@pytest.mark.parametrize("kind", ["snapshot", "incremental", "fold-over", "index"])
def test_a_good_one_has_no_findings(kind: str) -> None:
    """All is well, and a deep look reads every byte of the files."""
    files, token = taken(kind)
    keeper, mine = other(files)
    shallow = keeper.validate(token)
    assert (shallow.ok, shallow.deep, shallow.bytes_read) == (True, False, 0)
    deep = keeper.validate(token, deep=True)
    assert (deep.ok, deep.token, deep.deep) == (True, token, True)
    place = mine.places[token]
    assert deep.bytes_read == sum(
        len(place[name]) for name in place if name != MANIFEST
    )
    assert mine.events == []


@pytest.mark.once
@pytest.mark.fault("F32", "F33", "F34")
@pytest.mark.parametrize("kind", ["snapshot", "incremental", "index"])
def test_a_deep_look_finds_every_byte(kind: str) -> None:
    """One other byte in any file is found, and the file is named."""
    files, token = taken(kind)
    for name, data in files.places[token].items():
        for at in range(0, len(data), 7 if name == MANIFEST else 3):
            keeper, mine = other(files)
            mine.places[token][name][at] ^= 1 << at % 8
            report = keeper.validate(token, deep=True)
            assert [each.file for each in report.findings] == [name]
            shallow = keeper.validate(token)
            assert shallow.ok == (name != MANIFEST)


@pytest.mark.fault("F42", "F43", "F44")
@pytest.mark.parametrize("kind", ["snapshot", "incremental", "index"])
def test_a_shallow_look_finds_lengths(kind: str) -> None:
    """A file that is longer, shorter or missing is found without reading it."""
    files, token = taken(kind)
    for name in files.places[token]:
        if name == MANIFEST:
            continue
        for change in ("longer", "shorter", "missing"):
            keeper, mine = other(files)
            if change == "longer":
                mine.places[token][name] += b"\0"
            elif change == "shorter":
                del mine.places[token][name][-1]
            else:
                del mine.places[token][name]
            (finding,) = keeper.validate(token).findings
            assert name in finding.what
            assert keeper.validate(token, deep=True).findings[0] == finding
            (info,) = [each for each in keeper.checkpoints() if each.token == token]
            assert name in info.damage


def test_what_it_needs_is_looked_for() -> None:
    """A base that is missing or damaged is a finding of those that are based on it."""
    files, token = taken("incremental")
    (base,) = [each for each in files.places if each != token]
    for change in ("missing", "damaged"):
        keeper, mine = other(files)
        if change == "missing":
            del mine.places[base]
        else:
            mine.places[base][MANIFEST][9] ^= 1
        report = keeper.validate(token)
        assert not report.ok
        assert any(base in each.what for each in report.findings)
        (info,) = [each for each in keeper.checkpoints() if each.token == token]
        assert base in info.damage


def test_files_that_cannot_be_read() -> None:
    """An error of the system is a finding, too."""
    files, token = taken("snapshot")
    keeper, mine = other(files)

    def fail(event: tuple[str, ...]) -> None:
        if event[0] == "read" and event[2] == "snapshot.dat":
            raise OSError(5, "unreadable")

    mine.fail = fail
    (finding,) = keeper.validate(token, deep=True).findings
    assert (finding.file, "unreadable" in finding.what) == ("snapshot.dat", True)
