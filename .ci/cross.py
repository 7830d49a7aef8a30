# SPDX-License-Identifier: MIT
"""
Compile the C sources for what no machine here runs.

`python .ci/cross.py [PART...]` compiles and links the core and the file device for
Windows and macOS, with the compiler of the distribution `ziglang`. The third part
compiles the extension modules of the core as a Python without the GIL would have them,
by the headers of the running one, if that is 3.13 or later. It prints nothing but
what fails, and ends with 1 if anything does. PARTs are `native`, `devices-file` and
`free-threaded`. It shows that the sources fit the headers and libraries; it runs
nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Name to the arguments that link a library with everything defined.
TARGETS = {
    "x86_64-windows-gnu": ["-shared", "-lntdll", "-lws2_32"],
    "aarch64-macos": ["-dynamiclib"],
}

#: How many compilers run at once.
JOBS = int(os.environ.get("PYFASTER_JOBS", "2"))

#: The first version of Python that may be built without the GIL.
MAY_LACK_GIL = 0x030D0000

WARNINGS = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror"]
#: The systems' own headers say of some pointers, not of all, whether they may be null.
WARNINGS += ["-Wno-nullability-completeness"]


@dataclass(frozen=True, slots=True)
class Part:
    """
    Sources that are compiled and linked together.

    Attributes:
        name: What the command line calls it.

        sources: Where its files are, with everything below.

        includes: Folders that headers are found in.
    """

    name: str
    sources: Path
    includes: tuple[Path, ...]


NATIVE = ROOT / "native"
FILE = ROOT / "packages" / "devices-file" / "csrc"
PARTS = (
    Part("native", NATIVE / "src", (NATIVE / "include", NATIVE / "src")),
    Part("devices-file", FILE, (FILE,)),
)


def run(arguments: list[str]) -> str:
    """
    Run the compiler; give what it says when it fails, else nothing.
    """
    command = [sys.executable, "-m", "ziglang", "cc", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr or f"ended with {done.returncode}" if done.returncode else ""


def build(part: Part, target: str, folder: Path) -> list[str]:
    """
    Compile each file of a part, and link them if all compile; give what failed.
    """
    sources = sorted(part.sources.rglob("*.c"))
    objects = [str(folder / f"{number}.o") for number in range(len(sources))]
    common = ["-target", target, *WARNINGS, *(f"-I{path}" for path in part.includes)]

    def compile_one(source: Path, made: str) -> str:
        return run([*common, "-c", str(source), "-o", made])

    with ThreadPoolExecutor(JOBS) as pool:
        said_of = list(
            zip(sources, pool.map(compile_one, sources, objects), strict=True)
        )
    failures = [
        f"{target}: {source.relative_to(ROOT)}\n{said}"
        for source, said in said_of
        if said
    ]
    if not objects:
        return [f"{target}: {part.name} has no sources"]
    if not failures:
        made = str(folder / "library")
        said = run(["-target", target, *objects, *TARGETS[target], "-o", made])
        failures += [f"{target}: linking {part.name}\n{said}"] if said else []
    return failures


def free_threaded(folder: Path) -> list[str]:
    """
    Compile the core's extension modules for a Python without the GIL; give what failed.
    """
    if sys.hexversion < MAY_LACK_GIL:
        return ["no part free-threaded: the first Python that may lack a GIL is 3.13"]
    package = ROOT / "packages" / "core"
    told = (package / "CMakeLists.txt").read_text(encoding="utf-8")
    headers = re.findall(r"(include/faster/\w+\.h)", told)
    made = folder / "_native.c"
    generator = [sys.executable, str(package / "cabi_build.py"), str(made), "0"]
    command = [*generator, *(str(NATIVE / header) for header in headers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return [done.stderr]
    common = ["-DPy_GIL_DISABLED=1", f"-I{sysconfig.get_path('include')}"]
    common += [f"-I{NATIVE / 'include'}", "-std=c11", "-fPIC", "-c"]
    written = package / "csrc" / "hot.c"
    commands = ([*WARNINGS, str(written)], ["-w", "-D_CFFI_NO_LIMITED_API", str(made)])
    said = (run([*common, *one, "-o", str(folder / "module.o")]) for one in commands)
    return [f"free-threaded: {what}" for what in said if what]


def main(chosen: list[str]) -> int:
    """
    Build the chosen parts, or all, for every target.
    """
    unknown = set(chosen) - {part.name for part in PARTS} - {"free-threaded"}
    if unknown:
        sys.stderr.write(f"no such part: {', '.join(sorted(unknown))}\n")
        return 2
    failures = []
    for part in PARTS:
        for target in TARGETS:
            if not chosen or part.name in chosen:
                with tempfile.TemporaryDirectory() as folder:
                    failures += build(part, target, Path(folder))
    able = sys.hexversion >= MAY_LACK_GIL
    if "free-threaded" in chosen or (able and not chosen):
        with tempfile.TemporaryDirectory() as folder:
            failures += free_threaded(Path(folder))
    sys.stderr.write("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
