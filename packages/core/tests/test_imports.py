# SPDX-License-Identifier: MIT
"""What importing pyfaster brings along: little, and nothing that starts something."""

from __future__ import annotations

import json
import subprocess
import sys

#: What is slow to import, and not needed before a store is opened: the models of
#: settings and of events, the command's libraries, plugins, what others bring along.
BARRED = {
    "click",
    "email",
    "importlib.metadata",
    "json",
    "msgspec",
    "numpy",
    "pluggy",
    "pydantic",
    "pydantic_core",
    "pyfaster.events",
    "rich",
    "secrets",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "tomllib",
    "typer",
}

#: Modules of our own, and all that are not built in, that an import may bring.
OWN_MAX = 45
ALL_MAX = 130


def imported(program: str) -> set[str]:
    """Give the modules that a program imports in a fresh interpreter."""
    code = (
        "import sys\nbefore = set(sys.modules)\n"
        f"{program}\n"
        "after = sorted(set(sys.modules) - before)\n"
        "import json\nprint(json.dumps(after))\n"
    )
    words = [sys.executable, "-I", "-S", "-c", code]
    path = f"import sys; sys.path[:0] = {[one for one in sys.path if one]!r}\n"
    words[-1] = path + code
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_the_import_brings_no_heavy_modules() -> None:
    """No models of settings or events, no libraries of the command, and no plugins."""
    assert imported("import pyfaster") & BARRED == set()


def test_the_import_brings_few_modules() -> None:
    """How many modules come is bounded, so that none creeps in unseen."""
    modules = imported("import pyfaster")
    own = {name for name in modules if name.split(".")[0] == "pyfaster"}
    assert len(own) <= OWN_MAX
    assert len(modules) <= ALL_MAX


def test_the_import_starts_no_thread_and_opens_no_file() -> None:
    """A program that only imports has one thread, and no file more than before."""
    program = (
        "import os, sys, threading\n"
        "def count():\n"
        "    place = '/proc/self/fd'\n"
        "    return len(os.listdir(place)) if os.path.isdir(place) else 0\n"
        "before = count()\n"
        "import pyfaster\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "assert count() == before\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == 0
