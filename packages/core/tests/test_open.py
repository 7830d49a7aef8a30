# SPDX-License-Identifier: MIT
"""What `pyfaster.open` takes, gives and refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import pytest

import pyfaster
from pyfaster._registry import Registry
from pyfaster.errors import CodecError, ConfigError, PluginMissingError


@pytest.mark.parametrize("path", [(), (None,), (":memory:",)])
def test_a_store_in_memory_needs_no_plugin(path: tuple[Any, ...]) -> None:
    """open() without a path, and with ":memory:", gives an empty store of bytes."""
    with pyfaster.open(*path) as store:
        assert store.name == ":memory:"
        assert (store.key_codec.name, store.value_codec.name) == ("bytes", "bytes")
        assert len(store) == 0
        store[b"k"] = b"v"
        assert store[b"k"] == b"v"


@pytest.mark.parametrize(
    ("path", "options", "line"),
    [
        ("data/", {}, 'pip install "pyfaster[file]"'),
        (Path("data"), {}, 'pip install "pyfaster[file]"'),
        ("file:data", {}, 'pip install "pyfaster[file]"'),
        ("C:\\data", {}, 'pip install "pyfaster[file]"'),
        ("uring:data", {}, 'pip install "pyfaster[uring]"'),
        ("data", {"device": "uring"}, 'pip install "pyfaster[uring]"'),
        ("tape:data", {}, "'tape'"),
    ],
)
def test_a_path_needs_a_device(
    monkeypatch: pytest.MonkeyPatch, path: Any, options: dict[str, Any], line: str
) -> None:
    """A path without its device plugin is an error with the line to type."""
    monkeypatch.setattr("pyfaster._registry.registry", Registry(lambda: ()))
    with pytest.raises(PluginMissingError) as caught:
        pyfaster.open(path, **options)
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("path", "device"), [(None, "file"), (":memory:", "file"), ("uring:x", "file")]
)
def test_path_and_device_must_agree(path: Any, device: str) -> None:
    """A device without a path, or another one than the path's, is an error."""
    with pytest.raises(ConfigError):
        pyfaster.open(path, device=device)


@pytest.mark.parametrize("path", [5, b"data", ["data"]])
def test_what_is_no_path_is_refused(path: Any) -> None:
    """A path is a text or a path object."""
    with pytest.raises(ConfigError, match="give a path"):
        pyfaster.open(path)


def test_types_are_inferred() -> None:
    """A type checker knows the store's types from key= and value=."""
    with pyfaster.open() as plain:
        assert_type(plain, pyfaster.FasterKv[bytes, bytes])
    with pyfaster.open(key=str) as keyed:
        assert_type(keyed, pyfaster.FasterKv[str, bytes])
    with pyfaster.open(value=float, memory="1MiB") as valued:
        assert_type(valued, pyfaster.FasterKv[bytes, float])
    with pyfaster.open(key=str, value=int) as store:
        assert_type(store, pyfaster.FasterKv[str, int])
        store["a"] = 1
        assert_type(store["a"], int)
        assert_type(store.read("a"), int | None)
        assert_type(store.read("b", "none"), int | str)
        assert_type(store.update("a", lambda old: old + 1), int)
        with store.session() as session:
            assert_type(session.rmw("a", 1, "add"), int)
    with pyfaster.open(key=pyfaster.UInt64, value=pyfaster.Bytes(3)) as coded:
        assert_type(coded, pyfaster.FasterKv[int, bytes])


def test_settings_reach_the_store() -> None:
    """Keyword settings are in the store's config, complete with what was derived."""
    with pyfaster.open(memory="16MiB", sessions_max=3) as store:
        assert store.config.memory == 16 << 20
        assert store.config.page_size == 1 << 20
        assert store.config.sessions_max == 3


def test_a_config_is_taken_in_every_form(tmp_path: Path) -> None:
    """A StoreConfig, a mapping and a TOML file say the same; keywords win."""
    file = tmp_path / "pyfaster.toml"
    file.write_text("[sessions]\nmax = 7\n")
    forms: list[Any] = [
        pyfaster.StoreConfig(sessions_max=7),
        {"sessions_max": 7},
        {"sessions": {"max": 7}},
        file,
    ]
    for config in forms:
        with pyfaster.open(config=config) as store:
            assert store.config.sessions_max == 7
        with pyfaster.open(config=config, sessions_max=8) as store:
            assert store.config.sessions_max == 8


def test_a_misspelt_setting_is_refused() -> None:
    """An unknown keyword is an error with its nearest neighbour."""
    options: dict[str, Any] = {"memry": "1MiB"}
    with pytest.raises(ConfigError, match="did you mean 'memory'"):
        pyfaster.open(**options)


@pytest.mark.parametrize("role", ["key", "value"])
def test_a_type_without_codec_is_refused(role: str) -> None:
    """A type that no codec serves is refused at open, naming the role."""
    options: dict[str, Any] = {role: complex}
    with pytest.raises(CodecError, match=f"{role}=complex"):
        pyfaster.open(**options)


def test_keys_of_no_bytes_are_refused() -> None:
    """A fixed key size of 0 would make all keys equal."""
    with pytest.raises(ValueError, match=r"0 bytes|at least 1|from 1"):
        pyfaster.open(key=pyfaster.Bytes(0))


def test_fixed_records_must_fit_a_page() -> None:
    """A value size beyond the page is refused at open, with a page that fits."""
    with pytest.raises(ConfigError, match="page_size=16384"):
        pyfaster.open(key=int, value=pyfaster.Bytes(9000), page_size=4096)
    with pyfaster.open(key=int, value=pyfaster.Bytes(9000), page_size=16384) as store:
        store[1] = bytes(9000)
        assert store[1] == bytes(9000)


@pytest.mark.parametrize(
    ("key", "value", "pairs"),
    [
        (bytes, bytes, [(b"", b""), (b"a", b"b" * 5000)]),
        (str, int, [("", 0), ("é", -(1 << 63))]),
        (int, int, [(-(1 << 63), (1 << 63) - 1), (0, 0)]),
        (int, float, [(1, 0.1), (2, float("inf"))]),
        (float, str, [(0.5, "half")]),
        (pyfaster.Bytes(16), pyfaster.Bytes(100), [(b"k" * 16, b"v" * 100)]),
        (pyfaster.UInt64, float, [((1 << 64) - 1, -0.0)]),
    ],
)
def test_values_come_back_as_they_went(key: Any, value: Any, pairs: list[Any]) -> None:
    """Every built-in pair of codecs gives back equal objects of the same type."""
    with pyfaster.open(key=key, value=value) as store:
        for one, other in pairs:
            store[one] = other
        for one, other in pairs:
            assert store[one] == other
            assert type(store[one]) is type(other)
        assert sorted(store.items()) == sorted(pairs)


def test_a_budget_that_fits_exactly_opens() -> None:
    """The least budget that the settings' check accepts is enough for the core."""
    least = pyfaster.StoreConfig(memory="1GiB", page_size=4096)
    assert least.page_size == 4096
    with pytest.raises(ConfigError, match="at least") as caught:
        pyfaster.open(memory=4096, page_size=4096)
    size = str(caught.value).split("at least ")[1].split(",")[0]
    with pyfaster.open(key=int, value=int, memory=size, page_size=4096) as store:
        store[1] = 1
        assert store[1] == 1


def test_expected_keys_are_held_without_growing() -> None:
    """An index sized ahead does not grow while so many keys come."""
    with pyfaster.open(key=int, value=int, expected_keys=50_000) as store:
        before = store.stats().index_buckets
        store.upsert_many(range(50_000), range(50_000))
        after = store.stats()
        assert (after.index_buckets, after.index_growths) == (before, 0)
