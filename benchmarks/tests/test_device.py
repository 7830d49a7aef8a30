# SPDX-License-Identifier: MIT
"""
The bars on data larger than memory: sizes add up, files are cut, answers are checked.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import raw
from benchmarks.bars import device
from benchmarks.bars.spec import BARS, DEVICE_BARS, GROUPS
from benchmarks.bars.tiered import check_rows, check_values, rows_of
from benchmarks.contenders import BOUNDED, find_bounded
from benchmarks.driver import ContenderMissingError
from benchmarks.rounds import WrongAnswerError
from benchmarks.sizes import (
    FRACTION_MAX,
    data_bytes,
    index_bytes,
    log_share,
    record_bytes,
    whole_share,
)

SEED = 5

on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="io_uring is a part of Linux"
)


def test_every_device_bar_has_what_measures_it() -> None:
    """Groups of bars and measurements are the same, and no bar has another's name."""
    assert {bar.group for bar in DEVICE_BARS} == device.MEASURES.keys()
    assert device.MEASURES.keys() <= set(GROUPS)
    names = [bar.name for bar in BARS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("items", [1, 4, 1_000, 65_536, 8_388_000])
def test_budgets_are_so_many_times_smaller_than_data(items: int) -> None:
    """The log's share is what was asked for, and the index has its own beside it."""
    assert record_bytes(100) == 128
    budget = log_share(items, 100, 10)
    left = budget.memory - index_bytes(items)
    assert left == data_bytes(items, 100) // 10
    assert 0 < budget.index_fraction <= FRACTION_MAX
    whole = whole_share(items, 1024, 4)
    assert whole.memory == data_bytes(items, 1024) // 4


def test_an_index_has_at_most_four_keys_to_a_bucket() -> None:
    """The index that a budget reckons with is a power of two of buckets, and enough."""
    for items in (1, 3, 4, 5, 100, 4_095, 4_096, 1_000_000):
        buckets = int(index_bytes(items) / 1.08 / 64 + 0.5)
        assert buckets & (buckets - 1) == 0
        assert items <= 4 * buckets


def test_segments_are_cut_where_the_data_end(tmp_path: Path) -> None:
    """Only bytes that were written are read: holes and later segments are left out."""
    folder = tmp_path / "log"
    folder.mkdir()
    for base, size in ((0, 12_288), (8192, 12_288), (16_384, 12_288)):
        (folder / f"{base:020x}.seg").write_bytes(bytes(size))
    (folder / "store.lock").write_text("1")
    assert raw.segments(tmp_path, 12_288) == [
        (str(folder / f"{0:020x}.seg"), 12_288),
        (str(folder / f"{8192:020x}.seg"), 4096 + 4096),
    ]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> raw.Raw:
    """The compiled raw loops."""
    return raw.Raw(tmp_path_factory.mktemp("raw"))


def refused(program: raw.Raw, folder: Path) -> str:
    """Why the raw loops cannot run in a folder; nothing where they can."""
    try:
        program.write(folder, 1 << 20)
    except raw.RawError as error:
        assert list(folder.iterdir()) == []
        return str(error)
    return ""


@on_linux
def test_the_raw_loops_move_bytes_or_say_why_not(
    program: raw.Raw, tmp_path: Path
) -> None:
    """Rates are above zero and nothing is left; what the system refuses is said."""
    reason = refused(program, tmp_path)
    if reason:
        assert re.search("io_uring_setup|raw-writes: Invalid argument", reason)
        return
    written = program.write(tmp_path, 3 << 20)
    assert written.rate > 0
    assert list(tmp_path.iterdir()) == []
    path = tmp_path / "data"
    path.write_bytes(os.urandom(1 << 20))
    assert program.read([(str(path), 1 << 20)], 0.01, SEED) > 0


@on_linux
@pytest.mark.parametrize(
    ("size", "told", "message"),
    [(4096, 1 << 20, "Input/output"), (0, 0, "nothing to read")],
)
def test_a_read_that_gives_less_than_a_block_is_an_error(
    program: raw.Raw, tmp_path: Path, size: int, told: int, message: str
) -> None:
    """A short read is not counted as a read: the run fails, with the reason."""
    expected = "" if refused(program, tmp_path) else message
    path = tmp_path / "short"
    path.write_bytes(bytes(size))
    with pytest.raises(raw.RawError, match=expected):
        program.read([(str(path), told)], 5.0, SEED)


def test_without_a_compiler_the_bars_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What cannot be compiled is a reason that the report shows."""
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(ContenderMissingError, match="no-such-compiler"):
        with device.raw_program():
            pass


def test_wrong_rows_and_absent_keys_are_found() -> None:
    """A value of another item, or a key that was not found, fails the round."""
    numbers = np.arange(10, dtype=np.int64)
    found = np.ones(10, dtype=bool)
    check_rows(numbers, rows_of(numbers), found)
    with pytest.raises(WrongAnswerError, match="the first that of item 3"):
        swapped = rows_of(numbers)
        swapped[3] = rows_of(numbers[:1])[0]
        check_rows(numbers, swapped, found)
    found[4] = False
    with pytest.raises(WrongAnswerError, match="1 of 10 keys"):
        check_rows(numbers, rows_of(numbers), found)
    values: list[bytes | None] = [bytes(row) for row in rows_of(numbers)]
    check_values(numbers, values)
    values[0] = None
    with pytest.raises(WrongAnswerError, match="1 of 10 keys"):
        check_values(numbers, values)


@pytest.mark.parametrize("name", sorted(BOUNDED))
def test_bounded_contenders_say_how_they_are_set_up(name: str) -> None:
    """Each class is found without its package, and has one line of text."""
    kind = find_bounded(name)
    text = kind.settings()  # type: ignore[attr-defined] # it is a class
    assert text
    assert "\n" not in text
