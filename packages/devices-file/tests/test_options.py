# SPDX-License-Identifier: MIT
"""Options are checked before anything is opened, and every mistake is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from file_kit import probe, settings

from pyfaster.errors import ConfigError
from pyfaster_devices_file import FileDevice, open_file
from pyfaster_devices_file._options import Options, parse_options
from pyfaster_devices_file._problems import PROBLEMS, Problem, problem_error


def test_the_defaults() -> None:
    """Without options there are four threads, a cache, and what is there is kept."""
    assert parse_options({}) == Options(4, False, False)


def test_all_options() -> None:
    """Every option may be given."""
    given = {"threads": 64, "direct": "try", "preallocate": True}
    assert parse_options(given) == Options(64, "try", True)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("thread", 4, "'thread' is unknown; did you mean 'threads'?"),
        ("o_direct", True, "did you mean 'direct'?"),
        ("threads", 0, "threads is 0; it must be a whole number from 1 to 64"),
        ("threads", 65, "from 1 to 64"),
        ("threads", True, "threads is True"),
        ("threads", "4", "threads is '4'"),
        ("direct", "yes", "direct is 'yes'; it must be True, False or \"try\""),
        ("direct", 1, "direct is 1"),
        ("preallocate", "no", "preallocate is 'no'; it must be True or False"),
        ("preallocate", None, "preallocate is None"),
    ],
)
def test_mistakes(place: Path, name: str, value: object, words: str) -> None:
    """A wrong option is refused with what was found and may be, and opens nothing."""
    with pytest.raises(ConfigError) as caught:
        open_file(str(place), settings(**{name: value}))
    assert words in str(caught.value)
    assert caught.value.status == -5013
    assert not place.exists()


def test_all_mistakes_are_told_at_once() -> None:
    """Two mistakes give one error that names both."""
    with pytest.raises(ConfigError, match=r"'sync' is unknown.*; threads is -1"):
        parse_options({"sync": False, "threads": -1})


@pytest.mark.parametrize("size", [0, -4096, 2048, 4097, 3 << 20, 1 << 41, True, "1GiB"])
def test_segment_sizes(place: Path, size: object) -> None:
    """A segment size must be a power of two between 4 KiB and 1 TiB."""
    with pytest.raises(ConfigError, match="power of two from 4 KiB to 1 TiB"):
        probe(place, segment_size=size)


@pytest.mark.parametrize("size", [4096, 1 << 40])
def test_extreme_segment_sizes(place: Path, size: int) -> None:
    """The smallest and the largest segment work."""
    with probe(place, segment_size=size) as device:
        assert device.put(4090, b"0123456789") == 0
        assert device.get(4090, 10) == b"0123456789"


@pytest.mark.parametrize("name", ["store_id", "generation"])
def test_numbers_that_do_not_fit(place: Path, name: str) -> None:
    """A store id or generation has 64 bits."""
    for number in (-1, 1 << 64):
        with pytest.raises(ConfigError, match=f"{name} does not fit 64 bits"):
            probe(place, **{name: number})
    probe(place, **{name: (1 << 64) - 1}).close()


@pytest.mark.parametrize("where", ["", "a\0b"])
def test_no_path(where: str) -> None:
    """An empty path, or one with a NUL, is refused."""
    with pytest.raises(ConfigError, match="no path"):
        FileDevice(where, settings())


def test_paths_may_be_relative_and_odd(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path may be relative, and have letters of any language."""
    monkeypatch.chdir(place.parent)
    with probe(Path("Ж ö 雪")) as device:
        assert device.put(0, b"x") == 0
    assert len(list((place.parent / "Ж ö 雪" / "log").iterdir())) == 1


def test_every_problem_has_a_sentence() -> None:
    """Each kind of problem of the C header has its class and a sentence with advice."""
    header = Path(__file__).parent.parent / "csrc" / "segment_header.h"
    block = header.read_text("utf-8").split("enum segments_problem_kind {")[1]
    lines = block.split("};")[0].splitlines()
    kinds = [
        int(line.split("=")[1].split(",")[0].split("/")[0])
        for line in lines
        if "=" in line
    ]
    assert sorted(kinds) == [0, *sorted(PROBLEMS)]
    for kind in PROBLEMS:
        error = problem_error(-84, "data", Problem(kind, 0x10000, 3, 4))
        assert str(error).startswith("file device data: ")
        assert "{" not in str(error)
        assert error.status in (-5001, -5003, -5013)
