# SPDX-License-Identifier: MIT
"""What happens where the system has no io_uring for us."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Any

import pytest

from pyfaster import _registry
from pyfaster._registry import Registry
from pyfaster.errors import DeviceError, PluginMissingError
from pyfaster.events import DeviceFallback
from pyfaster.hookspecs import DeviceScheme, hookimpl
from pyfaster.protocols import DeviceSettings
from pyfaster_devices_uring import UringDevice, _cabi, open_uring
from pyfaster_devices_uring._cabi import ASK, Script
from pyfaster_devices_uring._problems import REFUSALS, RingRefusedError

SEGMENT = 1 << 16

#: IORING_FEAT_NODROP and IORING_FEAT_EXT_ARG.
FEATURES = (1 << 1, 1 << 8)

needs_ring = pytest.mark.skipif(
    _cabi.uring_probe(None) != 0, reason="this system has no io_uring for us"
)


class Substitute:
    """Serves the scheme "file", and writes down what it is told."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, DeviceSettings]] = []
        self.events: list[object] = []

    @hookimpl
    def pyfaster_devices(self) -> list[DeviceScheme]:
        """Give the scheme."""
        return [DeviceScheme("file", self.open)]

    @hookimpl
    def pyfaster_event(self, event: object) -> None:
        """Write an event down."""
        self.events.append(event)

    def open(self, where: str, settings: DeviceSettings) -> object:
        """Write down what was asked for."""
        self.opened.append((where, settings))
        return self


@pytest.fixture
def substitute(monkeypatch: pytest.MonkeyPatch) -> Substitute:
    """A registry in which the scheme "file" is served by the test."""
    registry = Registry(entry_points=lambda: [])
    plugin = Substitute()
    registry.register(plugin)
    monkeypatch.setattr(_registry, "registry", registry)
    return plugin


def settings(**options: Any) -> DeviceSettings:
    """Settings with some options."""
    return DeviceSettings(7, 3, SEGMENT, options=options)


@pytest.mark.fault("F54")
@pytest.mark.fault("F83")
@pytest.mark.parametrize("number", sorted(REFUSALS))
def test_a_refused_ring_hands_over(
    tmp_path: Path, substitute: Substitute, number: int
) -> None:
    """Where there is no ring the scheme "file" serves, and plugins are told so."""
    script = Script().answer("setup", -number)
    given = settings(depth=64, direct=False, preallocate=True)
    device: object = open_uring(str(tmp_path / "store"), given, script=script)
    assert device is substitute
    (opened,) = substitute.opened
    assert opened[0] == str(tmp_path / "store")
    assert (opened[1].store_id, opened[1].generation) == (7, 3)
    assert opened[1].segment_size == SEGMENT
    assert opened[1].options == {"direct": False, "preallocate": True}
    (event,) = substitute.events
    assert isinstance(event, DeviceFallback)
    assert (event.asked, event.used) == (f"uring:{tmp_path / 'store'}", "file")
    assert REFUSALS[number] in event.reason
    assert not (tmp_path / "store").exists()


def test_who_takes_over_only_reads_too(tmp_path: Path, substitute: Substitute) -> None:
    """That nothing may change is handed on with everything else."""
    script = Script().answer("setup", -errno.ENOSYS)
    given = DeviceSettings(7, 3, SEGMENT, read_only=True)
    open_uring(str(tmp_path / "store"), given, script=script)
    assert [settings.read_only for _, settings in substitute.opened] == [True]


@pytest.mark.fault("F83")
@needs_ring
@pytest.mark.parametrize("features", FEATURES)
def test_a_kernel_that_lacks_something_hands_over(
    tmp_path: Path, substitute: Substitute, features: int
) -> None:
    """A ring without a feature that the device needs is no ring."""
    script = Script().hide(features)
    device: object = open_uring(str(tmp_path / "store"), settings(), script=script)
    assert device is substitute


@pytest.mark.fault("F83")
@needs_ring
def test_a_kernel_without_our_requests_hands_over(
    tmp_path: Path, substitute: Substitute
) -> None:
    """A kernel that cannot even say what it knows is too old."""
    script = Script().answer("configure", -errno.EINVAL)
    device: object = open_uring(str(tmp_path / "store"), settings(), script=script)
    assert device is substitute


@needs_ring
def test_a_kernel_without_restrictions_will_do(tmp_path: Path) -> None:
    """The ring is used all the same, and says that it is not restricted."""
    script = Script().answer("configure", ASK, -errno.EINVAL)
    device = UringDevice(tmp_path / "store", settings(), script=script)
    assert not device.restricted
    device.close()


@pytest.mark.fault("F54")
@pytest.mark.parametrize("number", sorted(REFUSALS))
def test_fallback_can_be_forbidden(
    tmp_path: Path, substitute: Substitute, number: int
) -> None:
    """With fallback=False a refused ring is a DeviceError that says why."""
    script = Script().answer("setup", -number)
    with pytest.raises(DeviceError) as caught:
        open_uring(str(tmp_path / "store"), settings(fallback=False), script=script)
    assert isinstance(caught.value, RingRefusedError)
    assert (caught.value.errno, caught.value.status) == (number, -number)
    assert REFUSALS[number] in str(caught.value)
    assert substitute.opened == []
    assert not (tmp_path / "store").exists()


@pytest.mark.fault("F54")
def test_without_a_substitute_pip_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When neither works, the error says what to install."""
    monkeypatch.setattr(_registry, "registry", Registry(entry_points=lambda: []))
    script = Script().answer("setup", -errno.EPERM)
    with pytest.raises(PluginMissingError, match=r"pip install .*devices-file"):
        open_uring(str(tmp_path / "store"), settings(), script=script)


def test_a_system_without_the_module_hands_over(
    tmp_path: Path, substitute: Substitute, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the compiled module cannot exist the package works, by the substitute."""
    import pyfaster_devices_uring

    name = "pyfaster_devices_uring._uring"
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "pyfaster_devices_uring._cabi")
    monkeypatch.delattr(pyfaster_devices_uring, "_cabi")
    device: object = open_uring(str(tmp_path / "store"), settings())
    assert device is substitute
    (event,) = substitute.events
    assert isinstance(event, DeviceFallback)
    assert "no io_uring" in event.reason


@pytest.mark.fault("F75")
def test_other_failures_do_not_hand_over(
    tmp_path: Path, substitute: Substitute
) -> None:
    """Want of descriptors is an error of the moment, not of the system."""
    script = Script().answer("setup", -errno.EMFILE)
    with pytest.raises(DeviceError) as caught:
        open_uring(str(tmp_path / "store"), settings(), script=script)
    assert caught.value.errno == errno.EMFILE
    assert substitute.opened == []


@needs_ring
def test_a_granted_ring_is_used(tmp_path: Path, substitute: Substitute) -> None:
    """Where there is a ring nobody else is asked or told."""
    device = open_uring(str(tmp_path / "store"), settings())
    assert isinstance(device, UringDevice)
    assert (substitute.opened, substitute.events) == ([], [])
    device.close()
