# SPDX-License-Identifier: MIT
"""How codecs are found: ours by the entry point, a stranger's in the same way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from ipaddress import IPv4Address
from pathlib import Path

import pytest

import pyfaster
from pyfaster.errors import CodecError, PluginError
from pyfaster.protocols import Codec, CodecProvider, HashChoice
from pyfaster_codecs import _plugin, codec, register, unregister

STRANGER = """
from ipaddress import IPv4Address, IPv6Address

import pyfaster
from pyfaster_codecs import codec

ADDRESS = codec(
    name={name!r},
    encode=lambda value: value.packed,
    decode=IPv4Address,
    size=4,
    canonical=True,
)


class Provider:
    names = ({name!r},)

    def codec_for(self, spec, /):
        return ADDRESS if spec is {spec} or spec == {name!r} else None


@pyfaster.hookimpl
def pyfaster_codecs():
    return [Provider()]
"""


def install(place: Path, module: str, name: str, spec: str = "IPv4Address") -> None:
    """Lay a distribution with a codec out as an installer would."""
    (place / f"{module}.py").write_text(STRANGER.format(name=name, spec=spec))
    info = place / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n"
    )
    (info / "entry_points.txt").write_text(f"[pyfaster]\n{module} = {module}\n")


def run(place: Path, program: str) -> str:
    """Run a program in a process of its own that sees the distributions."""
    paths = os.pathsep.join([str(place), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def address() -> Iterator[Codec[IPv4Address]]:
    """A codec that is registered for the test."""
    made = codec(
        name="acme:ipv4",
        encode=lambda value: value.packed,
        decode=IPv4Address,
        size=4,
        canonical=True,
    )
    register(made, types=(IPv4Address,))
    yield made
    unregister("acme:ipv4")


def test_the_entry_point_names_the_plugin() -> None:
    """The distribution's entry point leads to the module with the hooks."""
    points = metadata.distribution("pyfaster-codecs").entry_points
    (point,) = [one for one in points if one.group == "pyfaster"]
    assert point.load() is _plugin


def test_the_answers_fit_the_protocols() -> None:
    """The hooks give providers and hashes; no name is claimed twice."""
    providers = _plugin.pyfaster_codecs()
    assert all(isinstance(one, CodecProvider) for one in providers)
    names = [name for one in providers for name in one.names]
    assert len(set(names)) == len(names)
    assert {"struct:", "numpy:", "msgpack:", "json:"} <= set(names)
    assert _plugin.pyfaster_hashes() == [HashChoice("xxh64", 2)]


def test_a_registered_codec_opens_a_store(address: Codec[IPv4Address]) -> None:
    """A registered codec is found by its type and by its stable name."""
    for spec in (IPv4Address, "acme:ipv4"):
        with pyfaster.open(key=spec, value=spec) as store:
            store[IPv4Address("10.0.0.1")] = IPv4Address("10.0.0.2")
            assert dict(store.items()) == {
                IPv4Address("10.0.0.1"): IPv4Address("10.0.0.2")
            }
            assert store.key_codec is address


def test_an_unregistered_type_has_no_codec() -> None:
    """What nobody serves is refused, with the names that there are."""
    with pytest.raises(CodecError, match="msgpack:, numpy:, struct:"):
        pyfaster.open(key=IPv4Address, value=int)


def test_a_stranger_is_found(tmp_path: Path) -> None:
    """Another distribution's codec serves a store once it is installed."""
    install(tmp_path, "stranger", "stranger:address")
    program = (
        "import pyfaster; from ipaddress import IPv4Address as A\n"
        "for spec in (A, 'stranger:address'):\n"
        "    with pyfaster.open(key=spec, value=list[int]) as store:\n"
        "        store[A('10.0.0.1')] = [1]\n"
        "        print(store[A('10.0.0.1')], store.key_codec.name)\n"
    )
    assert run(tmp_path, program) == "[1] stranger:address\n" * 2


def test_two_strangers_with_one_name_are_refused(tmp_path: Path) -> None:
    """Two distributions that claim one name are both named in the error."""
    install(tmp_path, "first", "same:name")
    install(tmp_path, "second", "same:name", spec="IPv6Address")
    program = (
        "import pyfaster; from ipaddress import IPv4Address as A\n"
        "try: pyfaster.open(key=A, value=int)\n"
        "except pyfaster.PluginError as error: print(error)\n"
    )
    said = run(tmp_path, program)
    assert "'same:name' is claimed by" in said
    assert "first" in said
    assert "second" in said


@pytest.mark.usefixtures("address")
def test_a_program_and_a_plugin_with_one_name_are_refused() -> None:
    """A registered codec whose name another plugin claims is refused when opening."""

    class Provider:
        names = ("acme:ipv4",)

        def codec_for(self, spec: object, /) -> Codec[object] | None:
            """Serve nothing, but claim the name."""
            return None

    class Plugin:
        @pyfaster.hookimpl
        def pyfaster_codecs(self) -> list[CodecProvider]:
            """Give the provider."""
            return [Provider()]

    pyfaster.register(Plugin(), name="claimant")
    try:
        with pytest.raises(PluginError, match="'acme:ipv4' is claimed by"):
            pyfaster.open(key=IPv4Address, value=int)
    finally:
        pyfaster.unregister("claimant")


def test_importing_loads_no_plugin() -> None:
    """Importing the package neither loads plugins nor imports numpy."""
    program = (
        "import sys, pyfaster, pyfaster_codecs\n"
        "from pyfaster._registry import registry\n"
        "print('numpy' in sys.modules, len(registry.plugins()))\n"
    )
    assert run(Path.cwd(), program) == "False 1\n"
