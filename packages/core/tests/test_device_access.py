# SPDX-License-Identifier: MIT
"""
What a device's plugin asks of pyfaster: another's device, and to tell of an event.
"""

from __future__ import annotations

from typing import Any

import pytest

import pyfaster
from pyfaster import _registry
from pyfaster._registry import Registry
from pyfaster.errors import PluginError, PluginMissingError, PluginWarning
from pyfaster.events import DeviceFallback
from pyfaster.protocols import DeviceSettings
from pyfaster.testing import MemoryDevice

EVENT = DeviceFallback(asked="a:x", used="b", reason="because")


class Shelf:
    """Serves a scheme, and writes down what it is told."""

    def __init__(self) -> None:
        self.device = MemoryDevice()
        self.opened: list[tuple[str, DeviceSettings]] = []
        self.events: list[object] = []

    @pyfaster.hookimpl
    def pyfaster_devices(self) -> list[pyfaster.DeviceScheme]:
        return [pyfaster.DeviceScheme("shelf", self.open)]

    @pyfaster.hookimpl
    def pyfaster_event(self, event: object) -> None:
        self.events.append(event)

    def open(self, where: str, settings: DeviceSettings) -> Any:
        self.opened.append((where, settings))
        return self.device


class Grumbler:
    """Raises whatever it is told."""

    @pyfaster.hookimpl
    def pyfaster_event(self, event: object) -> None:
        raise LookupError("not interested")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry of the test's own."""
    one = Registry(entry_points=lambda: [])
    monkeypatch.setattr(_registry, "registry", one)
    return one


def test_a_device_is_opened_by_its_scheme(registry: Registry) -> None:
    """Whoever serves the scheme gets the place and the settings as they are."""
    shelf, settings = Shelf(), DeviceSettings(store_id=7, generation=3)
    registry.register(shelf)
    assert pyfaster.open_device("shelf", "data", settings) is shelf.device
    assert shelf.opened == [("data", settings)]
    assert shelf.events == []


def test_a_scheme_that_nobody_serves_is_named(registry: Registry) -> None:
    """The error is that of pyfaster.open, with the line that installs the device."""
    settings = DeviceSettings(store_id=7)
    with pytest.raises(PluginMissingError, match=r"'file'.*pip install"):
        pyfaster.open_device("file", "data", settings)


def test_a_scheme_that_two_serve_is_refused(registry: Registry) -> None:
    """Nobody chooses between two plugins: both are named."""
    registry.register(Shelf(), name="first")
    registry.register(Shelf(), name="second")
    with pytest.raises(PluginError, match=r"first.*second"):
        pyfaster.open_device("shelf", "data", DeviceSettings(store_id=7))


def test_an_event_reaches_every_plugin(registry: Registry) -> None:
    """One that raises is a warning with its name, and keeps it from no other."""
    shelves = [Shelf(), Shelf()]
    registry.register(shelves[0], name="first")
    registry.register(Grumbler(), name="grumbler")
    registry.register(shelves[1], name="second")
    with pytest.warns(PluginWarning, match="'grumbler' raised LookupError"):
        pyfaster.announce(EVENT)
    assert [shelf.events for shelf in shelves] == [[EVENT], [EVENT]]
