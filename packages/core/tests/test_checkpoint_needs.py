# SPDX-License-Identifier: MIT
"""What takes checkpoints, what does not, and what whoever asks for one is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pyfaster
from pyfaster import _registry
from pyfaster.errors import ConfigError, PluginError, PluginMissingError
from pyfaster.hookspecs import DeviceScheme
from pyfaster.testing import MemoryDevice

Store = pyfaster.FasterKv[Any, Any]

ASKING: dict[str, Callable[[Store], object]] = {
    "checkpoint": lambda store: store.checkpoint(),
    "later": lambda store: store.checkpoint(wait=False),
    "checkpoints": lambda store: store.checkpoints(),
    "validate": lambda store: store.validate("0" * 16 + "-" + "0" * 16),
    "prune": lambda store: store.prune(),
    "pin": lambda store: store.pin("0" * 16 + "-" + "0" * 16),
    "unpin": lambda store: store.unpin("0" * 16 + "-" + "0" * 16),
    "forget_session": lambda store: store.forget_session("ingest"),
}


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> _registry.Registry:
    """A world without plugins."""
    from pyfaster import _open_durable, _plugins

    registry = _registry.Registry(lambda: ())
    for module in (_registry, _open_durable, _plugins):
        monkeypatch.setattr(module, "registry", registry)
    return registry


class Giving:
    """A plugin that gives anything as the provider."""

    def __init__(self, provider: object) -> None:
        self.provider = provider

    @pyfaster.hookimpl
    def pyfaster_checkpoint_provider(self) -> object:
        """Give it."""
        return self.provider


@pytest.mark.parametrize("name", ASKING)
def test_without_a_provider_the_message_says_what_to_install(
    nobody: _registry.Registry, name: str
) -> None:
    """All that needs checkpoints names the distribution that brings them."""
    with pyfaster.open(key=str, value=int) as store:
        with pytest.raises(PluginMissingError, match=r"pyfaster\[checkpoint\]"):
            ASKING[name](store)


@pytest.mark.parametrize("name", ASKING)
def test_a_store_in_memory_keeps_none(nobody: _registry.Registry, name: str) -> None:
    """With a provider, a store in memory says that it has nowhere to keep one."""
    nobody.register(Giving(object()))
    with pyfaster.open(key=str, value=int) as store:
        with pytest.raises(ConfigError, match="nowhere to keep a checkpoint"):
            ASKING[name](store)
        assert store.recovery is None


def test_a_device_without_checkpoints_is_only_room(
    nobody: _registry.Registry,
) -> None:
    """A device object keeps no checkpoints unless it is said where."""
    nobody.register(Giving(object()))
    with pyfaster.open(device=MemoryDevice(), memory="1MiB") as store:
        with pytest.raises(ConfigError, match="nowhere"):
            store.checkpoints()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"checkpoints": "here"}, "needs a path or a device"),
        ({"read_only": True}, "needs a path or a device"),
        ({"device": "x", "durable": True}, "checkpoints="),
        ({"device": "x", "read_only": True}, "checkpoints="),
        ({"device": "x", "durable": False, "checkpoints": "here"}, "contradict"),
        ({"device": "x", "durable": False, "read_only": True}, "contradict"),
    ],
)
def test_settings_that_contradict_each_other(
    settings: dict[str, Any], match: str
) -> None:
    """Each contradiction is told before anything is opened."""
    if "device" in settings:
        settings = {**settings, "device": MemoryDevice()}
    with pytest.raises(ConfigError, match=match):
        pyfaster.open(**settings)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"recover": "newest"}, "no checkpoint"),
        ({"recover": "0" * 16}, "no checkpoint"),
        ({"checkpoint": "latest"}, "no checkpoint"),
        ({"checkpoint": "0" * 16 + "-" + "0" * 16}, "read_only=True"),
        ({"read_only": True, "recover": "latest"}, "contradict"),
        ({"read_only": True, "checkpoint_every": 1.0}, "contradict"),
        ({"checkpoint_every": 0}, "checkpoint_every"),
        ({"keep_for": -1}, "keep_for"),
        ({"keep_checkpoints": 0}, "keep_checkpoints"),
        ({"checkpoint_timeout": -1}, "checkpoint_timeout"),
        ({"checkpoint_on_close": 1}, "checkpoint_on_close"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], match: str) -> None:
    """What makes no sense is refused with the setting's name."""
    with pytest.raises(ConfigError, match=match):
        pyfaster.StoreConfig(**settings)


def test_a_provider_that_is_none_is_named(
    nobody: _registry.Registry, tmp_path: Path
) -> None:
    """What a plugin gives as the provider is looked at before it is used."""
    nobody.register(Giving(object()))
    with pytest.raises(PluginError, match="CheckpointProvider"):
        pyfaster.open(device=MemoryDevice(), checkpoints=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_path_needs_a_provider(nobody: _registry.Registry, tmp_path: Path) -> None:
    """A store that is to survive is not opened where it could not; the way out is."""

    class Devices:
        @pyfaster.hookimpl
        def pyfaster_devices(self) -> list[DeviceScheme]:
            return [DeviceScheme("mem", lambda where, settings: MemoryDevice())]

    nobody.register(Devices())
    with pytest.raises(PluginMissingError, match="durable=False"):
        pyfaster.open(f"mem:{tmp_path / 'data'}")
    with pyfaster.open(f"mem:{tmp_path / 'data'}", durable=False, memory="1MiB"):
        pass
    assert list(tmp_path.iterdir()) == []
