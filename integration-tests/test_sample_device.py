# SPDX-License-Identifier: MIT
"""
A stranger's device: built, installed, found and checked as one of ours is.

The sample project is installed from its wheel beside pyfaster's, in an environment with
nothing of this tree. The C device of the page is compiled as the page says.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

import examples
import house
import installed
from pyfaster.testing.conformance import CHECKS, run_conformance

pytestmark = [pytest.mark.once, pytest.mark.slow]

SAMPLE = house.ROOT / "integration-tests" / "sample-device"
PAGE = house.ROOT / "docs" / "plugins" / "devices.md"


class Stranger(installed.Environment):
    """An environment with pyfaster, the sample device and pytest, from wheels."""

    def conformance(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the suite as the page says."""
        plugin = ("-p", "pyfaster.testing.pytest_plugin", "-p", "no:cacheprovider")
        suite = ("--pyargs", "pyfaster.testing.conformance")
        return self.run("-m", "pytest", "-q", *plugin, *words, *suite)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """Install the core's wheel, and the sample, which pip makes a wheel of."""
    stranger = Stranger(tmp_path_factory.mktemp("stranger"))
    dist = installed.wheels(tmp_path_factory)
    core = installed.wheel(dist, installed.NAMES["core"])
    stranger.install(core, SAMPLE, "pytest>=9")
    return stranger


def test_the_plugin_is_found(stranger: Stranger) -> None:
    """`pyfaster plugins` names the sample, its version and its scheme."""
    done = stranger.run("-m", "pyfaster", "plugins", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["plugins"]}
    sample = rows["sample"]
    assert (sample["distribution"], sample["version"]) == ("sample-device", "1.0.0")
    assert sample["status"] == "loaded"
    assert "sample" in json.dumps(sample["offers"])


def test_the_device_conforms(stranger: Stranger) -> None:
    """All checks that apply pass, each is an item, and nothing is left behind."""
    where = stranger.folder / "where"
    done = stranger.conformance(f"--pyfaster-device=sample:{where}")
    assert done.returncode == 0, done.stdout
    counts = re.search(r"(\d+) passed, (\d+) not applicable", done.stdout)
    assert counts, done.stdout
    assert int(counts[1]) + int(counts[2]) == len(CHECKS)
    assert int(counts[1]) > 150
    assert list(where.iterdir()) == []


def test_options_reach_the_device(stranger: Stranger) -> None:
    """A good option is used; a bad one fails the checks, and its name is shown."""
    device = f"--pyfaster-device=sample:{stranger.folder / 'options'}"
    option = "--pyfaster-device-option"
    good = stranger.conformance(device, f"{option}=block_size=8192", "-k", "B-")
    assert good.returncode == 0, good.stdout
    bad = stranger.conformance(device, f"{option}=blocks=1", "-k", "B-read-again")
    assert bad.returncode == 1
    assert "unknown options: blocks" in bad.stdout


def test_wrong_use_is_explained(stranger: Stranger) -> None:
    """No device, an unknown scheme and a bare word are errors that say what to do."""
    where = stranger.folder / "wrong"
    for words, said in (
        ((), "--pyfaster-device=SCHEME:WHERE"),
        ((f"--pyfaster-device=smaple:{where}",), "there are: sample"),
        (("--pyfaster-device=sample",), "not of the form SCHEME:WHERE"),
    ):
        done = stranger.conformance(*words)
        assert done.returncode not in (0, 1), done.stdout
        assert said in done.stdout + done.stderr


def test_the_samples_own_tests_pass(stranger: Stranger) -> None:
    """The project's tests pass as its README says."""
    done = stranger.run("-m", "pytest", "-q", "-p", "no:cacheprovider", SAMPLE)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d+ passed", done.stdout)


def test_the_pages_c_device_conforms(tmp_path: Path) -> None:
    """The C code of the page compiles without a warning, and passes every check."""
    (block,) = examples.blocks(PAGE, "c")
    source, library = tmp_path / "one_file.c", tmp_path / "one_file.so"
    source.write_text(block.text, encoding="utf-8")
    flags = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror"]
    include = f"-I{house.NATIVE / 'include'}"
    command = ["cc", *flags, "-shared", "-fPIC", include, "-o", library, source]
    subprocess.run([str(word) for word in command], check=True)
    names: dict[str, type] = {}
    for glue in examples.blocks(PAGE, "python"):
        if "class OneFile" in glue.text:
            exec(compile("import os\n" + glue.text, str(PAGE), "exec"), names)
    one_file = names["OneFile"]
    report = run_conformance(lambda at: one_file(str(library), str(tmp_path / at)))
    assert report.failed == ()
    assert len(report.passed) > 150


def test_the_pages_table_has_every_capability() -> None:
    """The page explains the capabilities that there are, and the fields."""
    header = house.text(house.NATIVE / "include" / "faster" / "device.h")
    bits = re.findall(r"^    FASTER_DEVICE_(\w+) = \d+,? */\*", header, re.MULTILINE)
    rows = re.findall(r"^\| `(\w+)` \|", house.text(PAGE), re.MULTILINE)
    assert bits
    assert [bit.lower() for bit in bits if bit.lower() not in rows] == []
