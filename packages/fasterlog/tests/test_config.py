# SPDX-License-Identifier: MIT
"""The table [fasterlog]: it is what `FasterLog.open` takes, and it has its effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from log_kit import open_log, payloads

from pyfaster._config_log import CommitTable, LogTable
from pyfaster.errors import (
    ConfigError,
    LogAddressError,
    PluginMissingError,
    ValueTooLargeError,
)
from pyfaster.testing import MemoryDevice
from pyfaster_fasterlog import CommitPolicy, FasterLog
from pyfaster_fasterlog._policy import size_of
from pyfaster_fasterlog._settings import DEFAULTS, LogSettings, settings_of

File = Callable[..., Path]


@pytest.fixture
def file(tmp_path: Path) -> File:
    """Writes a configuration file of lines below [fasterlog], for a log in files."""
    pytest.importorskip("pyfaster_devices_file")

    def write(*lines: str) -> Path:
        path = tmp_path / "pyfaster.toml"
        path.write_text("\n".join(["[fasterlog]", *lines]))
        return path

    return write


# --- it is what open takes ----------------------------------------------------------


def test_the_table_has_the_settings_of_a_log() -> None:
    """Each keyword but those that take objects alone is a key, and nothing else is."""
    assert set(LogTable.model_fields) == set(DEFAULTS) - {"files"}


def test_the_table_has_the_defaults_of_a_log() -> None:
    """A setting left out of the file is what it is left out of the call."""
    table, plain = LogTable(), dict(DEFAULTS)
    commit = plain.pop("commit")
    del plain["files"]
    for name, value in plain.items():
        expected = size_of(name, value) if name == "memory" else value
        assert getattr(table, name) == expected, name
    assert table.commit.model_dump() == {
        field.name: getattr(commit, field.name) for field in fields(CommitPolicy)
    }
    assert set(CommitTable.model_fields) == {one.name for one in fields(CommitPolicy)}


ENDS: dict[str, tuple[list[Any], list[Any]]] = {
    "page_size": (["4KiB", "1GiB", None], ["2KiB", "2GiB", 5000, -1]),
    "memory": ([0, "1TiB"], [-1, "much"]),
    "segment_size": (["1MiB", None], [-1]),
    "recover": (["latest", 0, 7], ["first", -1, True]),
    "slot_every": ([1, 1 << 40], [0, -1]),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_table_has_the_ranges_of_a_log(name: str) -> None:
    """What one of them takes or refuses, so does the other."""
    right, wrong = ENDS[name]
    for value in right:
        LogTable(**{name: value})
        settings_of({**DEFAULTS, "page_size": None, name: value})
    for value in wrong:
        with pytest.raises(ValueError):
            LogTable(**{name: value})
        with pytest.raises(ConfigError):
            settings_of({**DEFAULTS, name: value})


COMMIT_ENDS: dict[str, tuple[list[Any], list[Any]]] = {
    "every_bytes": ([1, "1GiB", None], [0, -1, "much"]),
    "every_seconds": ([0.001, 86_400, None], [0.0009, 86_401]),
    "max_in_flight": ([1, 64], [0, 65, 1.5]),
}


@pytest.mark.parametrize("name", COMMIT_ENDS)
def test_the_table_of_commits_has_the_ranges_of_the_policy(name: str) -> None:
    """Likewise."""
    right, wrong = COMMIT_ENDS[name]
    for value in right:
        CommitTable(**{name: value})
        CommitPolicy(**{name: value})
    for value in wrong:
        with pytest.raises(ValueError):
            CommitTable(**{name: value})
        with pytest.raises(ConfigError):
            CommitPolicy(**{name: value})


def test_a_program_may_say_config() -> None:
    """It is one of the settings that open takes."""
    assert set(get_type_hints_of(LogSettings)) == {*DEFAULTS, "config"}


def get_type_hints_of(settings: Any) -> dict[str, Any]:
    """The names of a TypedDict's members, with those that it inherits."""
    found: dict[str, Any] = settings.__annotations__
    return found


def page_of(log: FasterLog) -> int:
    """The size of pages, by the largest entry that is taken."""
    size = 4096
    while size < 8 << 20:
        try:
            log.append(bytes(size * 3 // 2))  # fits a page of twice the size
        except ValueTooLargeError:
            break
        size *= 2
    return size


# --- who wins -----------------------------------------------------------------------


def test_file_environment_and_words(
    tmp_path: Path, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each wins over the one before; a wrong one is told with its place."""
    config = file("page_size = '64KiB'", "memory = '256KiB'", "slot_every = 0")
    with pytest.raises(ConfigError, match=r"pyfaster\.toml: fasterlog\.slot_every"):
        FasterLog.open(tmp_path / "wal", config=config)
    config = file("page_size = '64KiB'", "memory = '1MiB'")
    monkeypatch.setenv("PYFASTER__FASTERLOG__PAGE_SIZE", "128KiB")
    for number, (words, size) in enumerate([({}, 128), ({"page_size": "32KiB"}, 32)]):
        settings: Any = {"config": config, **words}
        with FasterLog.open(tmp_path / f"wal {number}", **settings) as log:
            assert page_of(log) == size << 10
    monkeypatch.setenv("PYFASTER__FASTERLOG__PAGE_SZE", "1")
    with pytest.raises(ConfigError, match="PYFASTER__FASTERLOG__PAGE_SIZE"):
        FasterLog.open(tmp_path / "wal")


def test_a_mapping_may_be_of_keywords_or_of_tables(place: Path) -> None:
    """Both are the program's words."""
    small = {"page_size": "64KiB", "memory": "1MiB"}
    forms: list[Any] = [small, {"fasterlog": small}]
    for number, config in enumerate(forms):
        with FasterLog.open(place.with_name(f"wal {number}"), config=config) as log:
            assert page_of(log) == 64 << 10
    with pytest.raises(ConfigError, match="StoreConfig is for stores"):
        FasterLog.open(place, config=store_config())


def store_config() -> Any:
    """Not for logs."""
    from pyfaster import StoreConfig

    return StoreConfig()


# --- the effects --------------------------------------------------------------------


def test_device_is_the_scheme_of_a_path_that_names_none(
    tmp_path: Path, file: File
) -> None:
    """It is looked for; in memory it means nothing, and a path that names one wins."""
    config = file("device = 'absent'")
    with pytest.raises(PluginMissingError, match="'absent'"):
        FasterLog.open(tmp_path / "wal", config=config)
    with FasterLog.open(config=config) as log:
        log.append(b"x")
    with FasterLog.open(f"file:{tmp_path / 'wal'}", config=config) as log:
        log.append(b"x")


def test_device_options_reach_the_device(tmp_path: Path, file: File) -> None:
    """One that the device does not know is refused, by its name."""
    config = file("device_options = { nonsense = 1 }")
    with pytest.raises(ConfigError, match="nonsense"):
        FasterLog.open(tmp_path / "wal", config=config)


def test_page_size_bounds_an_entry(tmp_path: Path, file: File) -> None:
    """No entry is larger than a page."""
    config = file("page_size = '64KiB'", "memory = '1MiB'")
    with FasterLog.open(tmp_path / "wal", config=config) as log:
        log.append(bytes(60_000))
        with pytest.raises(ValueTooLargeError):
            log.append(bytes(70_000))


def test_memory_bounds_what_is_on_its_way(tmp_path: Path, file: File) -> None:
    """Pages of a log that names no size follow its memory."""
    sizes = []
    for size in ("256KiB", "32MiB"):
        config = file(f"memory = '{size}'")
        with FasterLog.open(tmp_path / size, config=config) as log:
            sizes.append(page_of(log))
    assert sizes == [32 << 10, 4 << 20]


def test_segment_size_is_what_a_file_holds(tmp_path: Path, file: File) -> None:
    """Small ones make many files of the same entries."""
    counts = []
    for size in ("64KiB", "1MiB"):
        lines = ["page_size = '64KiB'", "memory = '256KiB'", f"segment_size = '{size}'"]
        with FasterLog.open(tmp_path / size, config=file(*lines)) as log:
            for _ in range(100):
                log.append(bytes(5000))
        counts.append(len(list((tmp_path / size / "log").glob("*.seg"))))
    assert counts[0] > counts[1]


def test_read_only_only_reads(tmp_path: Path, file: File) -> None:
    """A file may say it; what only writers need is left out then."""
    with open_log(tmp_path / "wal") as log:
        log.append(b"x")
    config = file("read_only = true", "memory = '1MiB'", "slot_every = 3")
    reader: Any = FasterLog.open(tmp_path / "wal", config=config)
    with reader:
        assert payloads(reader) == [b"x"]
        assert not hasattr(reader, "append")


def test_recover_goes_back(tmp_path: Path, file: File) -> None:
    """What came behind the commit of that number is cut off."""
    with open_log(tmp_path / "wal") as log:
        log.append(b"kept")
        number = log.commit().number
        cut = log.append(b"cut")
    config = file(f"recover = {number}")
    with FasterLog.open(tmp_path / "wal", config=config) as log:
        assert payloads(log) == [b"kept"]
        with pytest.raises(LogAddressError):
            log.read(cut)


@pytest.mark.parametrize("line", ["every_seconds = 0.001", "every_bytes = 1"])
def test_commit_commits(tmp_path: Path, file: File, line: str) -> None:
    """Entries become durable though nobody asks for it."""
    with FasterLog.open(
        tmp_path / "wal", config=file("[fasterlog.commit]", line)
    ) as log:
        assert log.wait_committed(log.append(b"x"), timeout=60)


def test_max_in_flight_is_taken(tmp_path: Path, file: File) -> None:
    """With several commits under way everything becomes durable in order."""
    config = file("[fasterlog.commit]", "max_in_flight = 8", "every_bytes = 1")
    with FasterLog.open(tmp_path / "wal", config=config) as log:
        assert settings_of_log(config).policy.max_in_flight == 8
        for number in range(200):
            last = log.append(b"%d" % number)
        assert log.wait_committed(last, timeout=60)
        assert payloads(log) == [b"%d" % number for number in range(200)]


def settings_of_log(config: Path) -> Any:
    """What open makes of a file."""
    from pyfaster_fasterlog._settings import configured

    return settings_of(configured({"config": config}))


def test_slot_every_says_when_a_slot_is_written(tmp_path: Path, file: File) -> None:
    """After so many commits there is another one; before, there is not."""
    with FasterLog.open(tmp_path / "wal", config=file("slot_every = 4")) as log:
        writes = log.stats().slot_writes
        while log.committed.number < 3:
            log.append_and_commit(b"x")
        log._keep_slots()
        assert log.stats().slot_writes == writes
        log.append_and_commit(b"x")
        log.append_and_commit(b"x")
        log._keep_slots()
        log._keep_slots()
        assert log.stats().slot_writes == writes + 1


def test_trust_device_takes_one_that_promises_nothing(
    tmp_path: Path, file: File
) -> None:
    """Without it such a device is refused."""
    given: dict[str, Any] = {"device": MemoryDevice()}
    with pytest.raises(ConfigError, match="trust_device"):
        FasterLog.open(tmp_path / "a", **given)
    given["device"] = MemoryDevice()
    config = file("trust_device = true")
    with FasterLog.open(tmp_path / "b", config=config, **given) as log:
        log.append_and_commit(b"x")
