# SPDX-License-Identifier: MIT
"""
The distributions install and work as a user gets them: a wheel, an sdist, a checkout.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import house

pytestmark = [pytest.mark.once, pytest.mark.slow]

CORE = house.ROOT / "packages" / "core"

#: The device packages by their schemes, with what is compiled for each.
MODULES = {
    "file": "pyfaster_devices_file/_file",
    "uring": "pyfaster_devices_uring/_uring",
}

PROGRAM = """
import pyfaster
with pyfaster.open(":memory:", key=str, value=int) as store:
    with store.session() as s:
        s.upsert("apples", 3)
        s.rmw("apples", 2, merge="add")
        print(s.read("apples"))
"""


#: A store that does not fit its memory, on the device of the first argument. A system
#: may refuse io_uring: then, with no other device installed, the error says so.
LARGER = """
import sys
import pyfaster
scheme, where = sys.argv[1:]
refused = 0
if scheme == "uring":
    from pyfaster_devices_uring import _cabi
    refused = _cabi.uring_probe(None)
settings = {"durable": False, "memory": "512KiB", "page_size": "16KiB"}
values = [b"%0120d" % key for key in range(5000)]
try:
    with pyfaster.open(f"{scheme}:{where}", key=int, **settings) as store:
        store.upsert_many(range(5000), values)
        evicted = store.stats().pages_evicted
        print(evicted > 0, refused == 0 and store.read_many(range(5000)) == values)
except pyfaster.PluginMissingError as error:
    print(refused != 0, "pip install" in str(error))
"""


class Environment:
    """A virtual environment with nothing in it but pip."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        paths = sysconfig.get_paths("venv", {"base": str(folder)})
        self.python = Path(paths["scripts"]) / Path("python")

    def run(self, *args: str | Path) -> str:
        """Run its Python away from the source tree and give what it prints."""
        command = [str(self.python), *map(str, args)]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, *args: str | Path) -> None:
        """Install with pip."""
        self.run("-m", "pip", "install", "--quiet", *args)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment that can build."""
    tools = Environment(tmp_path_factory.mktemp("tools"))
    tools.install("build")
    return tools


@pytest.fixture(scope="module")
def built(tools: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the core's sdist, and from that its wheel; give their folder."""
    dist = tmp_path_factory.mktemp("dist")
    tools.run("-m", "build", "--outdir", dist, CORE)
    return dist


@pytest.fixture(scope="module")
def devices(tools: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the devices' sdists, and from these their wheels; give their folder."""
    tools.install("scikit-build-core>=1.0", "cffi>=1.17", "cmake>=3.26", "ninja>=1.11")
    dist = tmp_path_factory.mktemp("devices")
    for scheme in MODULES:
        package = house.ROOT / "packages" / f"devices-{scheme}"
        tools.run("-m", "build", "--no-isolation", "--outdir", dist, package)
    return dist


@pytest.fixture(scope="module")
def beside(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the core and nothing else."""
    environment = Environment(tmp_path_factory.mktemp("beside"))
    environment.install(*built.glob("*.whl"))
    return environment


def test_wheel_from_sdist_works_alone(built: Path, tmp_path: Path) -> None:
    """A wheel built from the sdist works in an environment with nothing else."""
    (wheel,) = built.glob("*.whl")
    environment = Environment(tmp_path / "env")
    environment.install(wheel)
    assert environment.run("-W", "error", "-c", PROGRAM) == "5\n"


def test_wheel_holds_no_source_but_python(built: Path) -> None:
    """The wheel is for the stable ABI, typed, and holds neither C nor tests."""
    (wheel,) = built.glob("*.whl")
    assert "-cp311-abi3-" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    assert "pyfaster/py.typed" in names
    assert [name for name in names if name.endswith((".c", ".h"))] == []
    assert [name for name in names if "/test_" in name] == []
    modules = {
        name.split(".")[0] for name in names if ".abi3." in name or ".pyd" in name
    }
    assert modules == {"pyfaster/_native", "pyfaster/_hot"}


@pytest.mark.parametrize("scheme", MODULES)
def test_device_works_beside_the_core(
    devices: Path, beside: Environment, tmp_path: Path, scheme: str
) -> None:
    """A device's wheel, made from its sdist, holds a store with no other plugin."""
    (sdist,) = devices.glob(f"pyfaster_devices_{scheme}-*.tar.gz")
    (wheel,) = devices.glob(f"pyfaster_devices_{scheme}-*.whl")
    assert sdist.name.removesuffix(".tar.gz") == "-".join(wheel.name.split("-")[:2])
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.endswith((".c", ".h"))] == []
    compiled = {name.split(".")[0] for name in names if ".abi3." in name}
    assert compiled == {MODULES[scheme]}
    beside.install("--no-deps", wheel)
    try:
        given = beside.run("-W", "error", "-c", LARGER, scheme, tmp_path / "data")
    finally:
        beside.run(
            "-m", "pip", "uninstall", "--quiet", "--yes", wheel.stem.split("-")[0]
        )
    assert given == "True True\n"


def test_editable_install_works(tmp_path: Path) -> None:
    """A checkout installs in place, so that an edit needs no second install."""
    environment = Environment(tmp_path / "env")
    environment.install("--editable", CORE)
    assert environment.run("-c", PROGRAM) == "5\n"
    found = environment.run("-c", "import pyfaster.errors as e; print(e.__file__)")
    assert Path(found.strip()) == CORE / "src" / "pyfaster" / "errors.py"
