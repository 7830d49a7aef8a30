# SPDX-License-Identifier: MIT
"""
Which environments the sessions of noxfile.py run in, and what is installed there.

Every CPython from 3.11 on that works on this machine is used. They are looked for in
the folder of the running interpreter, on the PATH, and among pyenv's versions, whose
shims only work for the versions that were chosen.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import nox

ROOT = Path(__file__).parent.parent
GROUPS = nox.project.load_toml(ROOT / "pyproject.toml")

#: How many compilers and tests run at once.
JOBS = os.environ.get("PYFASTER_JOBS", "2")

#: Where wheels are that have been built before, if anywhere.
DIST = os.environ.get("PYFASTER_DIST", "")

#: A seed, for tests in which threads are stopped now and then (`.ci/stops.c`).
STOPS = os.environ.get("PYFASTER_STOPS", "")

OLDEST = 11

#: So many pairs of plugins are installed by themselves, or all that there are.
PAIRS_MAX = 4
ALL_PAIRS = os.environ.get("PYFASTER_PAIRS") == "all"

#: The stable ABI, which the wheels use, needs a build with the GIL.
PROBE = (
    "import sys, sysconfig, venv; print(sys.implementation.name, sys.version_info[1], "
    "bool(sysconfig.get_config_var('Py_GIL_DISABLED')))"
)


def folders() -> list[Path]:
    """Give the folders to look in, the likeliest first."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    path = [Path(entry) for entry in os.environ["PATH"].split(os.pathsep) if entry]
    versions = sorted(pyenv.glob("versions/*/bin"), reverse=True)
    return [Path(sys.base_prefix) / "bin", *path, *versions]


def works(path: Path, minor: int) -> bool:
    """Find out whether an interpreter starts and is what its name says."""
    run = subprocess.run(
        [path, "-c", PROBE], capture_output=True, text=True, check=False
    )
    return run.stdout.split() == ["cpython", str(minor), "False"]


def find() -> dict[int, Path]:
    """Give the minor versions found, each with its folder."""
    found: dict[int, Path] = {}
    for path in (path for folder in folders() for path in folder.glob("python3.*")):
        name = re.fullmatch(r"python3\.(\d+)", path.name)
        if name is None or int(name[1]) < OLDEST or int(name[1]) in found:
            continue
        if works(path, int(name[1])):
            found[int(name[1])] = path.parent
    return found


def matrix(plugins: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """
    Give pairs of a Python's version and the plugins to install there.

    The first Python gets no plugin, each alone, each pair and all; the others get none
    and all. Where that would be too many pairs, each plugin is in one of them; every
    night has them all.
    The folders of the Pythons are put on the PATH, where nox looks.
    """
    found = find() or {sys.version_info.minor: Path(sys.executable).parent}
    os.environ["PATH"] = os.pathsep.join(
        [*map(str, found.values()), os.environ["PATH"]]
    )
    first, *others = (f"3.{minor}" for minor in sorted(found))
    duos = list(combinations(plugins, 2))
    if len(duos) > PAIRS_MAX and not ALL_PAIRS:
        row = plugins + plugins[: len(plugins) % 2]
        duos = list(zip(row[::2], row[1::2], strict=True))
    subsets = [(), *((one,) for one in plugins), *duos, plugins]
    subsets = list(dict.fromkeys(subsets))  # few plugins: all may be a pair
    pairs = [(first, some) for some in subsets]
    return pairs + [(python, some) for python in others for some in ((), plugins)]


def tested(
    python: str, plugins: tuple[str, ...], matrix: list[tuple[str, tuple[str, ...]]]
) -> tuple[str, list[str]]:
    """
    Give the group of tools, and what pytest is told, for an environment.

    With none of the plugins and with all of them everything is tested; with some, what
    these promise. One environment also runs what need not be run more than once; and
    without plugins one Python is enough for the tests of the whole. A worker that has
    nothing left takes tests from another.
    """
    first, known = matrix[0][0], matrix[-1][1]
    chosen = ["--dist", "worksteal"]
    whole = (python, plugins) == (first, known)
    chosen += ["benchmarks/tests"] if whole else ["-m", "not once"]
    chosen += [f"packages/{name}/tests" for name in plugins]
    if plugins not in ((), known):
        return "test-plugins", chosen
    chosen += ["packages/core/tests"]
    if plugins or python == first:
        chosen += ["integration-tests"]
    return "test", chosen


def c_sources() -> list[str]:
    """Give the files of C that have the house's form, behind the option that has it."""
    form = "--style=file:native/.clang-format"
    found = [*ROOT.glob("native/[!b]*/**/*.[ch]"), *ROOT.glob("packages/*/csrc/*.[ch]")]
    return [form, *map(str, found)]


def typed_sources() -> list[str]:
    """Give what is checked for types: packages, and what users' code relies on."""
    folders = ("packages/*/src/pyfaster*", "packages/*/typing_tests")
    found = [str(path) for folder in folders for path in ROOT.glob(folder)]
    return [*found, "integration-tests", "benchmarks", ".ci", "noxfile.py"]


_built: dict[str, str] = {}


def wheel(session: nox.Session, package: str) -> str:
    """
    Give a package's wheel, which serves all Pythons.

    It is that of the folder PYFASTER_DIST, which `nox -s wheels` has filled. Without
    one it is built from the tree, once in a run.
    """
    if DIST:
        name = f"pyfaster_{package.replace('-', '_')}".removesuffix("_core")
        (made,) = Path(DIST).resolve().glob(f"{name}-[0-9]*.whl")
        return str(made)
    if package not in _built:
        folder = ROOT / "build" / "wheels" / package
        for old in folder.glob("*.whl"):
            old.unlink()
        args = ("--quiet", "--no-deps", "-w", str(folder))
        source = str(ROOT / "packages" / package)
        session.run("python", "-m", "pip", "wheel", *args, source)
        _built[package] = str(next(folder.glob("*.whl")))
    return _built[package]


def install(session: nox.Session, group: str, packages: tuple[str, ...] = ()) -> None:
    """
    Install a group of tools, and the wheels of some packages.

    Most of what is installed is never imported. What is gets compiled by the first who
    imports it, and kept, which takes less time than compiling everything.
    """
    built = [wheel(session, package) for package in packages]
    tools = nox.project.dependency_groups(GROUPS, group)
    session.install("--no-compile", *tools, *built)
    session.env["PYTHONDONTWRITEBYTECODE"] = ""


def stop_threads(session: nox.Session) -> None:
    """
    Have the threads of whatever a session runs stopped now and then, if that is wanted:
    what depends on who is quicker fails then, and soon.
    """
    if not STOPS:
        return
    library = ROOT / "build" / "stops.so"
    library.parent.mkdir(exist_ok=True)
    source = str(ROOT / ".ci" / "stops.c")
    made = ("-O2", "-shared", "-fPIC", "-o", str(library), source, "-ldl")
    session.run("cc", *made, external=True)
    session.env.update(LD_PRELOAD=str(library), FASTER_STOPS=STOPS)
    session.log(f"threads are stopped by seed {STOPS}")


def ctest(session: nox.Session, preset: str, *args: str) -> None:
    """
    Configure, build and test one preset of native/CMakePresets.json.

    FASTER_FUZZ_RUNS and FASTER_FUZZ_SEED say how much a fuzz target explores, and where
    it starts.
    """
    install(session, "native")
    asked = [
        key for key in ("FASTER_FUZZ_RUNS", "FASTER_FUZZ_SEED") if key in os.environ
    ]
    options = [f"-D{key}={os.environ[key]}" for key in asked]
    folder = str(ROOT / "build" / "native" / preset)
    session.chdir("native")
    session.run("cmake", "--preset", preset, "-B", folder, *options)
    session.run("cmake", "--build", folder, "--parallel", JOBS)
    if preset == "release":  # sanitizers want to be loaded first
        stop_threads(session)
    checks = ("--output-on-failure", "--no-tests=error", "--parallel", JOBS)
    session.run("ctest", "--test-dir", folder, *checks, *args)
