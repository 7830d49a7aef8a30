# SPDX-License-Identifier: MIT
"""
Environments as users make them, with nothing of this tree but wheels.

The wheels are those of the folder PYFASTER_DIST, which `nox -s wheels` has filled;
without one they are built here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

import house

#: Each package's distribution, as file names spell it, by the package's folder.
NAMES = {
    package.name: f"pyfaster_{package.name.replace('-', '_')}".removesuffix("_core")
    for package in house.PACKAGES
}


class Environment:
    """A virtual environment in which nothing is installed, not even pip."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
        subprocess.run(command, check=True)
        paths = sysconfig.get_paths("venv", {"base": str(folder)})
        self.python = Path(paths["scripts"]) / Path("python")

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run its Python away from the source tree."""
        return called(self.folder, self.python, *words)

    def says(self, *words: str | Path) -> str:
        """Run its Python, which must not fail; give what it prints."""
        done = self.run(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, *words: str | Path) -> None:
        """Install with the pip of the running Python."""
        pip = (sys.executable, "-m", "pip", "--quiet", "--python", self.python)
        done = called(self.folder, *pip, "install", "--no-compile", *words)
        assert done.returncode == 0, done.stdout + done.stderr

    def names(self) -> set[str]:
        """Give the names of what is installed."""
        found = "from importlib.metadata import distributions as d\n"
        return set(self.says("-c", found + "print(*{o.name for o in d()})").split())


def called(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    command = [str(word) for word in words]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )


def wheels(folders: pytest.TempPathFactory) -> Path:
    """Give the folder of all sdists and wheels; build them, once, if need be."""
    given = os.environ.get("PYFASTER_DIST")
    if given:
        return Path(given).resolve()
    dist = folders.getbasetemp() / "built"
    if not dist.exists():
        tools = Environment(folders.mktemp("tools"))
        tools.install(*group("wheels"))
        tools.says(house.ROOT / ".ci" / "wheels.py", dist)
    return dist


def group(name: str) -> list[str]:
    """Give the requirements of a dependency group, with those of groups in it."""
    told = tomllib.loads(house.text(house.ROOT / "pyproject.toml"))
    found = []
    for need in told["dependency-groups"][name]:
        found += [need] if isinstance(need, str) else group(need["include-group"])
    return found


def constraints(dist: Path) -> str:
    """Say to pip that our distributions are those of a folder, and of nowhere else."""
    rows = [f"{name} @ {wheel(dist, name).as_uri()}\n" for name in NAMES.values()]
    return "".join(rows)


def wheel(dist: Path, name: str) -> Path:
    """Give a distribution's wheel."""
    (found,) = dist.glob(f"{name}-[0-9]*.whl")
    return found


def sdist(dist: Path, name: str) -> Path:
    """Give a distribution's sdist."""
    (found,) = dist.glob(f"{name}-[0-9]*.tar.gz")
    return found
