# SPDX-License-Identifier: MIT
"""Plugins are found, limited, blamed and kept apart."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pytest

import pyfaster
from pyfaster._registry import ENV_LIMIT, Registry
from pyfaster._resolve import codec_for, device_for, hash_for
from pyfaster.errors import (
    CodecError,
    ConfigError,
    PluginError,
    PluginMissingError,
    PluginWarning,
)
from pyfaster.hookspecs import DeviceScheme, hookimpl
from pyfaster.protocols import HashChoice


class Distribution(metadata.Distribution):
    """A distribution that exists in this test only."""

    def __init__(self, name: str, version: str) -> None:
        self._text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"

    def read_text(self, filename: str) -> str | None:
        """Give the metadata."""
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        """There are no files."""
        raise FileNotFoundError(path)


class Installed:
    """Entry points of plugins that are installed as far as a registry can tell."""

    def __init__(self) -> None:
        self.points: list[metadata.EntryPoint] = []
        self.modules: list[str] = []
        self.asked = 0

    def add(self, name: str, plugin: object, distribution: str = "") -> None:
        """Install a plugin; one that is an exception raises it when imported."""
        module = f"plugin_of_test_{len(self.points)}"
        point = metadata.EntryPoint(name, f"{module}:plugin", "pyfaster")
        dist = Distribution(distribution or f"dist-{name}", "1.2")
        vars(point)["dist"] = dist
        self.points.append(point)
        if not isinstance(plugin, Exception):
            found = types.ModuleType(module)
            found.plugin = plugin  # type: ignore[attr-defined]
            sys.modules[module] = found
            self.modules.append(module)

    def __call__(self) -> list[metadata.EntryPoint]:
        self.asked += 1
        return self.points


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    """No plugin is installed until a test adds one."""
    monkeypatch.delenv(ENV_LIMIT, raising=False)
    fake = Installed()
    yield fake
    for module in fake.modules:
        del sys.modules[module]


class Codec:
    """A codec of complex numbers, or whatever a test makes of it."""

    size: Any = 16
    canonical: Any = True
    value_type: Any = "opaque"
    native: Any = None
    dtype = None

    def __init__(self, name: Any = "complex", **changes: Any) -> None:
        self.name = name
        vars(self).update(changes)

    def encode(self, value: complex, /) -> bytes:
        """Not needed here."""
        return repr(value).encode().ljust(16)

    def decode(self, data: bytes, /) -> complex:
        """Not needed here."""
        return complex(data.decode().strip())


class Provider:
    """Gives a codec for complex."""

    def __init__(self, codec: Any, names: tuple[str, ...] = ("complex",)) -> None:
        self.names = names
        self.codec = codec

    def codec_for(self, spec: object, /) -> Any:
        """Give the codec for the type complex, or raise it."""
        if spec is not complex:
            return None
        if isinstance(self.codec, Exception):
            raise self.codec
        return self.codec


def plugin(**answers: Any) -> object:
    """A plugin that answers hooks (without their prefix) with fixed values."""

    def hook(name: str, answer: Any) -> Any:
        def implementation() -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        implementation.__name__ = f"pyfaster_{name}"
        return hookimpl(implementation)

    module = types.ModuleType("plugin")
    for name, answer in answers.items():
        setattr(module, f"pyfaster_{name}", hook(name, answer))
    return module


def test_built_in_names_load_nothing(installed: Installed) -> None:
    """Codecs and the hash of the core are found without looking for plugins."""
    registry = Registry(installed)
    for spec in (bytes, str, int, float, pyfaster.Bytes(4), pyfaster.UInt64):
        assert codec_for(spec, role="key", registry=registry).canonical
    assert hash_for("xxh3", registry=registry) == 1
    assert installed.asked == 0


def test_built_ins_come_through_the_same_hooks(installed: Installed) -> None:
    """The core is a plugin among others, with a name and a version."""
    (core,) = Registry(installed).plugins()
    assert (core.distribution, core.version) == ("pyfaster", pyfaster.__version__)
    assert core.source == "built in"


def test_a_plugin_serves_what_is_not_built_in(installed: Installed) -> None:
    """A codec, a hash and a device of a plugin are found by name."""
    codec, scheme = Codec(), DeviceScheme("tape", open)
    answers = {"codecs": [Provider(codec)], "devices": [scheme]}
    hashes = [HashChoice("xxh64", 2)]
    installed.add("one", plugin(**answers, hashes=hashes))
    registry = Registry(installed)
    assert codec_for(complex, role="value", registry=registry) is codec
    assert hash_for("xxh64", registry=registry) == 2
    assert device_for("tape", registry=registry) is scheme
    assert installed.asked == 1


@pytest.mark.parametrize(
    ("find", "answers"),
    [
        (hash_for, {"hashes": [HashChoice("same", 2)]}),
        (device_for, {"devices": [DeviceScheme("same", open)]}),
    ],
)
def test_a_name_claimed_twice_names_both(
    installed: Installed, find: Any, answers: dict[str, Any]
) -> None:
    """Two plugins with one name are an error that prints both distributions."""
    installed.add("one", plugin(**answers), "first-dist")
    installed.add("two", plugin(**answers), "second-dist")
    with pytest.raises(PluginError, match=r"first-dist 1\.2 and .*second-dist 1\.2"):
        find("same", registry=Registry(installed))


def test_a_type_claimed_twice_names_both(installed: Installed) -> None:
    """Two plugins that both have a codec for a type are an error."""
    installed.add("one", plugin(codecs=[Provider(Codec("a"), ("a",))]), "first-dist")
    installed.add("two", plugin(codecs=[Provider(Codec("b"), ("b",))]), "second-dist")
    with pytest.raises(PluginError, match=r"first-dist.*second-dist"):
        codec_for(complex, role="value", registry=Registry(installed))


def test_a_codec_name_claimed_twice_names_both(installed: Installed) -> None:
    """A stable name that another plugin's prefix covers is an error."""
    installed.add("one", plugin(codecs=[Provider(Codec("c:x"), ("c:x",))]), "first-d")
    other = Provider(None, ("c:",))
    installed.add("two", plugin(codecs=[other]), "second-d")
    with pytest.raises(PluginError, match=r"first-d.*second-d"):
        codec_for(complex, role="value", registry=Registry(installed))


def test_an_entry_point_name_taken_twice_names_both(installed: Installed) -> None:
    """Of two entry points of one name, the second is left out and named."""
    installed.add("same", plugin(), "first-dist")
    installed.add("same", plugin(), "second-dist")
    registry = Registry(installed)
    registry.load()
    assert any("first-dist" in f and "second-dist" in f for f in registry.failures())


def test_a_plugin_that_cannot_be_imported_harms_nobody(installed: Installed) -> None:
    """An import error is written down by name; the other plugins serve."""
    installed.add("broken", ImportError("no such module"), "broken-dist")
    installed.add("good", plugin(hashes=[HashChoice("xxh64", 2)]))
    registry = Registry(installed)
    assert hash_for("xxh64", registry=registry) == 2
    status = {one.name: one.status for one in registry.plugins()}
    assert status == {"pyfaster": "loaded", "broken": "failed", "good": "loaded"}
    with pytest.raises(PluginMissingError, match=r"broken-dist 1\.2"):
        device_for("file", registry=registry)


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("boom"),
        None,
        7,
        "text",
        {"a": 1},
        [object()],
        [Provider],
        (1 // number for number in [0]),
    ],
)
def test_a_wrong_answer_harms_nobody(installed: Installed, answer: Any) -> None:
    """A hook that raises or gives the wrong thing is written down; others serve."""
    installed.add("bad", plugin(codecs=answer), "bad-dist")
    codec = Codec()
    installed.add("good", plugin(codecs=[Provider(codec)]))
    registry = Registry(installed)
    assert codec_for(complex, role="value", registry=registry) is codec
    assert any("bad-dist" in failure for failure in registry.failures())


def test_a_hook_that_does_not_exist_is_a_failure(installed: Installed) -> None:
    """A misspelt hook is found when the plugin is loaded."""
    installed.add("bad", plugin(codexs=[]), "bad-dist")
    registry = Registry(installed)
    registry.load()
    (failure,) = registry.failures()
    assert "bad-dist" in failure
    assert "pyfaster_codexs" in failure


@pytest.mark.parametrize("error", [KeyError("x"), ZeroDivisionError()])
def test_a_provider_that_raises_is_named(installed: Installed, error: Any) -> None:
    """An exception out of codec_for becomes a PluginError with the plugin's name."""
    installed.add("bad", plugin(codecs=[Provider(error)]), "bad-dist")
    with pytest.raises(PluginError, match="bad-dist") as caught:
        codec_for(complex, role="value", registry=Registry(installed))
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"size": -1},
        {"size": True},
        {"size": "4"},
        {"value_type": "i128"},
        {"native": "int128"},
    ],
)
def test_a_malformed_codec_is_refused(changes: dict[str, Any]) -> None:
    """A codec whose description makes no sense is refused before it is used."""
    with pytest.raises(CodecError):
        codec_for(Codec(**changes), role="value", registry=Registry(Installed()))


def test_a_codec_outside_its_names_is_refused(installed: Installed) -> None:
    """A provider may only make codecs whose names it gave."""
    installed.add("bad", plugin(codecs=[Provider(Codec("other"))]), "bad-dist")
    with pytest.raises(PluginError, match="bad-dist"):
        codec_for(complex, role="value", registry=Registry(installed))


def test_a_codec_that_is_not_canonical_may_not_be_a_key() -> None:
    """A codec with several encodings of equal objects serves values only."""
    registry = Registry(Installed())
    loose = Codec(canonical=False)
    assert codec_for(loose, role="value", registry=registry) is loose
    with pytest.raises(CodecError, match="may not serve keys"):
        codec_for(loose, role="key", registry=registry)


def test_a_type_without_codec_lists_what_there_is() -> None:
    """The error for an unknown type lists codecs and the pip line for more."""
    with pytest.raises(CodecError) as caught:
        codec_for(complex, role="key", registry=Registry(Installed()))
    message = str(caught.value)
    for word in ("complex", "bytes", "utf8", 'pip install "pyfaster[codecs]"'):
        assert word in message
    assert isinstance(caught.value, ConfigError | TypeError)


def test_the_pip_line_is_kept_for_those_who_need_it(installed: Installed) -> None:
    """With the codecs plugin installed the error does not advise to install it."""
    installed.add("codecs", plugin(), "pyfaster-codecs")
    with pytest.raises(CodecError) as caught:
        codec_for(complex, role="value", registry=Registry(installed))
    assert "pip install" not in str(caught.value)
    with pytest.raises(ConfigError, match="xxh3"):
        hash_for("md5", registry=Registry(installed))


@pytest.mark.parametrize(
    ("scheme", "line"),
    [
        ("file", 'pip install "pyfaster[file]"'),
        ("uring", 'pip install "pyfaster[uring]"'),
        ("tape", "no plugin for the device 'tape' is installed"),
        ("files", "did you mean 'file'?"),
    ],
)
def test_a_missing_device_is_told_plainly(scheme: str, line: str) -> None:
    """The error for a scheme that nobody serves has the line to type, if any."""
    with pytest.raises(PluginMissingError) as caught:
        device_for(scheme, registry=Registry(Installed()))
    assert line in str(caught.value)


def test_a_missing_hash_says_how_to_get_it() -> None:
    """The error for an unknown hash has the line to type, and the known ones."""
    with pytest.raises(PluginMissingError, match="xxh3") as caught:
        hash_for("xxh64", registry=Registry(Installed()))
    assert 'pip install "pyfaster[codecs]"' in str(caught.value)


@pytest.mark.parametrize(
    ("limit", "loaded"), [("", []), ("one", ["one"]), (" two , one", ["one", "two"])]
)
def test_the_environment_limits_plugins(
    installed: Installed,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    loaded: list[str],
) -> None:
    """PYFASTER_PLUGINS says which plugins are loaded; the others are still listed."""
    monkeypatch.setenv(ENV_LIMIT, limit)
    installed.add("one", plugin())
    installed.add("two", plugin())
    registry = Registry(installed)
    registry.load()
    found = {one.name: one.status for one in registry.plugins()}
    assert [name for name in ("one", "two") if found[name] == "loaded"] == loaded
    assert set(found.values()) <= {"loaded", "excluded"}


def test_a_plugin_may_be_registered_once(installed: Installed) -> None:
    """A program's own plugin has a name; the name is taken once, and given back."""
    registry = Registry(installed)
    registry.register(plugin(hashes=[HashChoice("xxh64", 2)]), name="mine")
    assert hash_for("xxh64", registry=registry) == 2
    with pytest.raises(PluginError, match="mine"):
        registry.register(plugin(), name="mine")
    registry.unregister("mine")
    registry.unregister("mine")
    with pytest.raises(PluginMissingError):
        hash_for("xxh64", registry=registry)
    with pytest.raises(PluginError, match="pyfaster_nothing"):
        registry.register(plugin(nothing=[]), name="mine")
    registry.register(plugin(), name="mine")


class Listener:
    """Hears of stores, and may raise."""

    def __init__(self, error: Exception | None = None) -> None:
        self.heard: list[tuple[str, bool]] = []
        self.error = error

    @hookimpl
    def pyfaster_store_opened(self, store: pyfaster.FasterKv[Any, Any]) -> None:
        """Write it down."""
        self.heard.append(("opened", store.closed))
        if self.error:
            raise self.error

    @hookimpl
    def pyfaster_store_closed(self, store: pyfaster.FasterKv[Any, Any]) -> None:
        """Write it down."""
        self.heard.append(("closed", store.closed))


@pytest.fixture
def listeners() -> Iterator[tuple[Listener, Listener]]:
    """A listener that raises, and one that does not, in the process's registry."""
    bad, good = Listener(ValueError("boom")), Listener()
    pyfaster.register(bad, name="bad-listener")
    pyfaster.register(good, name="good-listener")
    yield bad, good
    pyfaster.unregister("bad-listener")
    pyfaster.unregister("good-listener")


def test_a_listener_that_raises_is_kept_apart(
    listeners: tuple[Listener, Listener],
) -> None:
    """A raising hook is a warning with the plugin's name; others hear all the same."""
    bad, good = listeners
    with pytest.warns(PluginWarning, match=r"bad-listener.*boom"):
        store = pyfaster.open()
    assert store.plugin_errors == (("bad-listener", bad.error),)
    store[b"k"] = b"v"
    store.close()
    store.close()
    assert good.heard == bad.heard == [("opened", False), ("closed", True)]
