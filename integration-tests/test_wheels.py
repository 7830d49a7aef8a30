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

PROGRAM = """
import pyfaster
with pyfaster.open(":memory:", key=str, value=int) as store:
    with store.session() as s:
        s.upsert("apples", 3)
        s.rmw("apples", 2, merge="add")
        print(s.read("apples"))
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
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the core's sdist, and from that its wheel; give their folder."""
    tools = Environment(tmp_path_factory.mktemp("tools"))
    tools.install("build")
    dist = tmp_path_factory.mktemp("dist")
    tools.run("-m", "build", "--outdir", dist, CORE)
    return dist


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


def test_editable_install_works(tmp_path: Path) -> None:
    """A checkout installs in place, so that an edit needs no second install."""
    environment = Environment(tmp_path / "env")
    environment.install("--editable", CORE)
    assert environment.run("-c", PROGRAM) == "5\n"
    found = environment.run("-c", "import pyfaster.errors as e; print(e.__file__)")
    assert Path(found.strip()) == CORE / "src" / "pyfaster" / "errors.py"
