# SPDX-License-Identifier: MIT
"""One session per concern: `nox -l` lists them, CONTRIBUTING.md says which when."""

from __future__ import annotations

import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parent / ".ci"))
import environments as ci

PLUGINS: tuple[str, ...] = ("codecs", "devices-uring", "checkpoint", "devices-file")
PLUGINS += ("fasterlog", "observability")
PACKAGES = ("core", *PLUGINS)
DURABLE = ("core", "checkpoint", "devices-file", "fasterlog")
MATRIX = ci.matrix(PLUGINS)
NAMES = [f"{python} {'+'.join(some) or 'none'}" for python, some in MATRIX]
nox.options.sessions = ["tests", "lint", "types"]
nox.options.download_python = "never"


@nox.session
def quickstart(session: nox.Session) -> None:
    """Build and install it; count words, hold more than memory, survive kills."""
    session.install(*(f"./packages/{name}" for name in DURABLE))
    for demo in ("wordcount", "larger-than-memory", "log"):
        session.run("python", "-m", "pyfaster", "demo", demo)


@nox.session
@nox.parametrize("python,plugins", MATRIX, NAMES)
def tests(session: nox.Session, plugins: tuple[str, ...]) -> None:
    """Run the tests against installed wheels, with these plugins and no others."""
    group, chosen = ci.tested(str(session.python), plugins, MATRIX)
    ci.install(session, group, ("core", *plugins))
    ci.stop_threads(session)
    session.run("pytest", "-n", ci.JOBS, *chosen, *session.posargs)


@nox.session
@nox.parametrize("kind", ["release", "asan", "tsan", "fuzz"])
def native(session: nox.Session, kind: str) -> None:
    """Test the C core: as shipped, ASan and UBSan, TSan for threads, libFuzzer."""
    chosen = {"tsan": ["-L", "torture"], "fuzz": ["-R", "explore"]}
    ci.ctest(session, kind, *chosen.get(kind, session.posargs))


@nox.session
def models(session: nox.Session) -> None:
    """Check the models of the protocols with SPIN, which the system must have."""
    session.run("python", "native/models/check.py", "-j", ci.JOBS, *session.posargs)


@nox.session
def crash(session: nox.Session) -> None:
    """Judge what power cuts leave, so many states; then kill that many times."""
    states, *kills = session.posargs or ("100000",)
    ci.install(session, "test-plugins", DURABLE)
    session.chdir("integration-tests")
    session.run("python", "-m", "crash", "--states", states, "--workers", ci.JOBS)
    for cycles in kills:  # in the tests it is killed 200 times
        session.run("python", "-m", "kill", "--cycles", cycles)


@nox.session(python=MATRIX[-1][0])
def cross(session: nox.Session) -> None:
    """Compile the C sources for Windows, macOS and no GIL; nothing is run."""
    session.install("ziglang", "cffi")
    session.run("python", ".ci/cross.py", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the form of Python and C."""
    ci.install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("clang-format", "--dry-run", "--Werror", *ci.c_sources())


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of all packages, and what users' code may rely on."""
    ci.install(session, "types", PACKAGES)
    session.run("mypy", *ci.typed_sources())


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into build/site; a warning fails."""
    ci.install(session, "docs")
    session.run("mkdocs", "build", "--strict", "-d", "build/site")


@nox.session
def records(session: nox.Session) -> None:
    """Write anew what is derived: docs/errors.md, api.txt; the diff is the review."""
    session.run("python", "integration-tests/records.py")


@nox.session
def traps(session: nox.Session) -> None:
    """List the traps and faults of docs, and which still lack a test."""
    session.run("python", "integration-tests/traps.py")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against peers and write a report: long, but with `--smoke` a moment."""
    ci.install(session, "bench", PACKAGES)
    session.run("python", "-m", "benchmarks.run", *session.posargs)


@nox.session
def wheels(session: nox.Session) -> None:
    """Build sdists, and wheels from them, into dist/, and check them."""
    ci.install(session, "wheels")
    session.run("python", ".ci/wheels.py", "dist", *session.posargs)
