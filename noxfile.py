# SPDX-License-Identifier: MIT
"""One session per concern: `nox -l` lists them, CONTRIBUTING.md says which when."""

from __future__ import annotations

import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / ".ci"))
from environments import ctest, install, matrix, tested  # noqa: E402 - found above

PLUGINS = ("codecs", "devices-file", "devices-uring")  # one more word for a new one
PACKAGES = ("core", *PLUGINS)
MATRIX = matrix(PLUGINS)
NAMES = [f"{python} {'+'.join(some) or 'none'}" for python, some in MATRIX]
nox.options.sessions = ["tests", "lint", "types"]
nox.options.download_python = "never"


@nox.session
def quickstart(session: nox.Session) -> None:
    """Build and install the store; let it count words, and hold more than memory."""
    session.install("./packages/core", "./packages/devices-file")
    for demo in ("wordcount", "larger-than-memory"):
        session.run("python", "-m", "pyfaster", "demo", demo)


@nox.session
@nox.parametrize("python,plugins", MATRIX, NAMES)
def tests(session: nox.Session, plugins: tuple[str, ...]) -> None:
    """Run the tests against installed wheels, with these plugins and no others."""
    first = (session.python, plugins) == (MATRIX[0][0], PLUGINS)
    group, chosen = tested(plugins, PLUGINS, first=first)
    install(session, group, ("core", *plugins))
    session.run("pytest", *chosen, *session.posargs)


@nox.session
def native(session: nox.Session) -> None:
    """Build and test the C core as it is shipped; no Python is involved."""
    ctest(session, "release", *session.posargs)


@nox.session
@nox.parametrize("kind", ["asan", "tsan"])
def native_sanitized(session: nox.Session, kind: str) -> None:
    """Run all C tests under ASan and UBSan, those with threads also under TSan."""
    ctest(session, kind, *(["-L", "torture"] if kind == "tsan" else []))


@nox.session
def cross(session: nox.Session) -> None:
    """Compile and link the C sources for Windows and macOS; nothing is run."""
    session.install("ziglang")
    session.run("python", ".ci/cross.py")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Let libFuzzer look for inputs that break the core; needs clang."""
    ctest(session, "fuzz", "-R", "explore")


@nox.session
def lint(session: nox.Session) -> None:
    """Check the form of Python and C."""
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    files = [*ROOT.glob("native/[!b]*/**/*.[ch]"), *ROOT.glob("packages/*/csrc/*.[ch]")]
    style = "--style=file:native/.clang-format"
    session.run("clang-format", "--dry-run", "--Werror", style, *map(str, files))


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of all packages, and what users' code may rely on."""
    install(session, "types", PACKAGES)
    folders = ("packages/*/src/pyfaster*", "packages/*/typing_tests")
    code = [path for folder in folders for path in ROOT.glob(folder)]
    others = ["integration-tests", "benchmarks", ".ci", "noxfile.py"]
    session.run("mypy", *map(str, code), *others)


@nox.session
def docs(session: nox.Session) -> None:
    """Write anew what is derived: docs/errors.md, api.txt; the diff is the review."""
    session.run("python", "integration-tests/records.py")


@nox.session
def traps(session: nox.Session) -> None:
    """List the traps and faults of docs, and which still lack a test."""
    session.run("python", "integration-tests/traps.py")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against peers and write a report; takes long."""
    install(session, "bench", PACKAGES)
    session.run("python", "-m", "benchmarks.run", *session.posargs)


@nox.session
def bench_smoke(session: nox.Session) -> None:
    """Run every benchmark for a moment, to see that each still runs."""
    install(session, "bench", PACKAGES)
    session.run("python", "-m", "benchmarks.run", "--smoke")


@nox.session
def wheels(session: nox.Session) -> None:
    """Build each package's sdist, and its wheel from the sdist, into dist/."""
    session.install("build")
    for package in PACKAGES:
        session.run("python", "-m", "build", "--outdir", "dist", f"packages/{package}")
