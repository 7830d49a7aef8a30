# SPDX-License-Identifier: MIT
"""Settings are checked as a whole, and a mistake says what to change."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyfaster
from pyfaster._config import Settings, StoreConfig
from pyfaster._config_layers import resolve
from pyfaster._sizes import derive_page_size, index_bytes_for, parse_size, show_size
from pyfaster.errors import ConfigError
from pyfaster.testing import MemoryDevice

MIB = 1 << 20


def refusal(**settings: Any) -> str:
    """What the ConfigError says about some settings."""
    with pytest.raises(ConfigError) as caught:
        StoreConfig(**settings)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("17", 17),
        ("17B", 17),
        ("4KiB", 4096),
        (" 4 kib ", 4096),
        ("1.5KiB", 1536),
        ("512MiB", 512 * MIB),
        ("2GiB", 2 << 30),
        ("1TiB", 1 << 40),
        ("1kB", 1000),
        ("1MB", 10**6),
        ("0.5GB", 5 * 10**8),
        ("1TB", 10**12),
    ],
)
def test_sizes_may_be_texts(text: str, size: int) -> None:
    """A text gives the number of bytes that its unit says."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "MiB", "1 Mi", "1M", "-1MiB", "1e3", "1,5MiB", "\uff15MiB", "\u0663"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    """A text that is no size is refused with an example of one."""
    assert "512MiB" in refusal(memory=text)


def test_a_fraction_of_a_byte_is_refused() -> None:
    """A size that is not a whole number of bytes is refused."""
    assert "whole number" in refusal(memory="0.3B")


@given(st.integers(0, 1 << 47))
def test_shown_sizes_read_back(size: int) -> None:
    """What `show_size` writes is the size, when it has a unit."""
    shown = show_size(size)
    if shown.endswith("iB"):
        assert parse_size(shown) == size
    else:
        assert (
            int(shown.removesuffix("s").removesuffix(" byte").replace(",", "")) == size
        )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("memry", "memory"),
        ("pagesize", "page_size"),
        ("expected_key", "expected_keys"),
        ("session_max", "sessions_max"),
        ("hsah", "hash"),
    ],
)
def test_an_unknown_setting_names_its_neighbour(name: str, meant: str) -> None:
    """A misspelt setting is an error that says which one was meant."""
    assert f"did you mean {meant!r}?" in refusal(**{name: 1})


def test_a_strange_setting_lists_all() -> None:
    """A setting that resembles none is answered with the list of all."""
    message = refusal(zzzzzz=1)
    assert all(name in message for name in StoreConfig.model_fields)


def test_all_mistakes_are_told_at_once() -> None:
    """Several wrong settings are one error with a line for each."""
    message = refusal(memory=-1, sessions_max=0, hash=5, nonsense=1)
    assert message.startswith("4 settings are wrong")
    for name in ("memory", "sessions_max", "hash", "nonsense"):
        assert name in message


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory": True},
        {"memory": 1.5},
        {"memory": 0},
        {"page_size": True},
        {"page_size": 5000},
        {"page_size": 2048},
        {"page_size": "2GiB"},
        {"index_fraction": 0.0},
        {"index_fraction": 1.0},
        {"index_fraction": float("nan")},
        {"index_fraction": "0.5"},
        {"mutable_fraction": True},
        {"segment_size": "2TiB"},
        {"checkpoint_every": True},
        {"expected_keys": -1},
        {"expected_keys": "many"},
        {"sessions_max": 0},
        {"sessions_max": 4097},
        {"sessions_max": 2.0},
        {"hash": ""},
        {"close_timeout": -1},
        {"close_timeout": True},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    """Each setting has a range, and the message names the setting."""
    assert next(iter(wrong)) in refusal(**wrong)


def test_the_nearest_page_size_is_offered() -> None:
    """A page size that is no power of two is answered with one that is."""
    assert '"4KiB"' in refusal(page_size=5000)


@given(st.integers(1, 1 << 47))
def test_a_derived_page_size_is_allowed(memory: int) -> None:
    """The derived page size is a power of two in range, at most a 16th of memory."""
    size = derive_page_size(memory)
    assert size & (size - 1) == 0
    assert 4096 <= size <= 4 * MIB
    assert size <= max(4096, memory // 16)


def test_page_size_follows_memory() -> None:
    """Without page_size= the page suits the budget; without a budget it is 4 MiB."""
    assert StoreConfig().page_size == 4 * MIB
    assert StoreConfig(memory="1GiB").page_size == 4 * MIB
    assert StoreConfig(memory="16MiB").page_size == MIB
    assert StoreConfig(memory="64KiB").page_size == 4096
    assert StoreConfig(memory="1GiB", page_size="64KiB").page_size == 65536


def test_memory_must_hold_two_pages_and_an_index() -> None:
    """A budget below that is refused with the least that is enough."""
    message = refusal(memory="1MiB", page_size="1MiB")
    assert "two pages" in message
    least = message.split("at least ")[1].split(",")[0]
    assert StoreConfig(memory=least, page_size="1MiB").memory == parse_size(least)


def test_expected_keys_must_fit_the_index_share() -> None:
    """Too many expected keys are refused with a budget that is enough."""
    message = refusal(memory="16MiB", expected_keys=10_000_000)
    enough = message.split("raise memory to ")[1].split(",")[0]
    config = StoreConfig(memory=enough, expected_keys=10_000_000)
    assert config.expected_keys == 10_000_000


@given(st.integers(0, 1 << 40))
def test_an_index_holds_what_it_is_sized_for(keys: int) -> None:
    """The index is sized for at most four keys to a bucket."""
    buckets = index_bytes_for(keys) // 64
    assert buckets & (buckets - 1) == 0
    assert keys <= 4 * buckets


def test_a_config_cannot_be_changed() -> None:
    """Settings are frozen."""
    with pytest.raises(ValueError, match="frozen"):
        StoreConfig().memory = 1


def test_settings_and_model_agree() -> None:
    """The keyword settings of open() are exactly the fields of StoreConfig."""
    assert set(get_type_hints(Settings)) == set(StoreConfig.model_fields)


def test_keywords_win_and_the_page_size_is_derived_anew() -> None:
    """Overriding memory also changes a page size that nobody gave."""
    base = StoreConfig(memory="1GiB")
    assert resolve(base, {"memory": "1MiB"}).config.page_size == 65536
    assert resolve(base, {}, environ={}).config is base
    assert resolve({"memory": "1GiB"}, {"memory": None}).config.memory is None


@pytest.mark.parametrize("config", [5, [], {1: 2}])
def test_what_is_no_configuration_is_refused(config: Any) -> None:
    """config= takes a StoreConfig, a mapping or a path, and says so."""
    with pytest.raises(ConfigError):
        resolve(config, {})


@pytest.mark.parametrize("size", ["32MiB", "512MiB", "1GiB"])
def test_a_page_size_for_a_device_is_never_replaced(size: str) -> None:
    """On a device, a page size that was given holds, or is refused by name."""
    for memory in ("64MiB", "1GiB", "4GiB"):
        try:
            given = StoreConfig(memory=memory, page_size=size)
            assert given.on_device().page_size == parse_size(size)
        except ConfigError as error:
            assert f" pages of {size}" in str(error)  # noqa: PT017 - or nothing


def test_a_page_size_too_large_for_the_default_budget_is_refused() -> None:
    """Where the budget is derived, a page that it cannot hold is an error."""
    with pytest.raises(ConfigError, match="two pages of 1GiB"):
        StoreConfig(page_size="1GiB").on_device()
    with pytest.raises(ConfigError, match="two pages of 1GiB"):
        pyfaster.open(device=MemoryDevice(), page_size="1GiB")


@given(
    st.integers(12, 19),
    st.integers(1, 40),
    st.just(0) | st.integers(1 << 10, 4 << 20),
    st.sampled_from([0.01, 0.05, 0.3, 0.9]),
    st.just(0) | st.integers(1, 40_000),
)
def test_what_a_budget_on_a_device_cannot_hold_is_refused_by_name(
    page_bits: int, pages: int, cache: int, fraction: float, keys: int
) -> None:
    """Settings that the model lets through are settings that the core takes."""
    size = 1 << page_bits
    try:
        store = pyfaster.open(
            device=MemoryDevice(),
            memory=pages * size + (128 << 10),
            page_size=size,
            segment_size=1 << 20,
            read_cache=cache,
            index_fraction=fraction,
            expected_keys=keys,
        )
    except ConfigError as error:
        named = re.search(r"^(memory|read_cache)=.*; (raise|give)", str(error))
        assert named
    else:
        store.close()


@pytest.mark.parametrize("size", [None, 0])
def test_a_page_size_of_nothing_is_derived(size: int | None) -> None:
    """None and 0 are as if nothing was given, on a device and when overridden."""
    config = StoreConfig(memory="64MiB", page_size=size)
    assert config == StoreConfig(memory="64MiB")
    assert config.on_device().page_size == MIB
    assert resolve(config, {"memory": "1MiB"}).config.page_size == 65536


@given(st.integers(1 << 20, 1 << 40))
def test_the_page_size_derived_for_a_device_is_the_smaller(memory: int) -> None:
    """Where settings are valid in memory, those of a device are valid, too."""
    config = StoreConfig(memory=memory)
    assert config.on_device().page_size <= config.page_size


def test_a_config_error_is_a_value_error() -> None:
    """Code that knows nothing of pyfaster can catch a wrong setting."""
    with pytest.raises(ValueError, match="memory"):
        pyfaster.open(memory="lots")


def test_importing_pyfaster_imports_no_slow_module() -> None:
    """`import pyfaster` starts nothing: no pydantic, pluggy, typer, rich, threads."""
    program = (
        "import sys, threading, pyfaster; "
        "slow = {'pydantic', 'pluggy', 'typer', 'rich', 'numpy', 'importlib.metadata'};"
        "print(sorted(slow & set(sys.modules)), threading.active_count())"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["[]", "1"]
