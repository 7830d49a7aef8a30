# SPDX-License-Identifier: MIT
"""
Build the distributions as they are published, and check that they may be.

`python .ci/wheels.py OUT [PACKAGE...]` makes the packages' sdists and, from these and
not from the tree, their wheels, all packages if none is named. A wheel with C is for
the stable ABI, and for Linux it carries the manylinux tag of the oldest C library that
has all it uses. `python .ci/wheels.py --check OUT` only checks what is there. The last
lines say what is wrong; with any, the status is 1.

The tools are those of the dependency group `wheels`, beside the running interpreter.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import tomllib
import zipfile
from dataclasses import dataclass
from email import message_from_bytes, message_from_string
from email.message import Message
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINUX = sys.platform == "linux"

ABI_TAG = "cp311-abi3"
PURE_TAG = "py3-none-any"

#: Names of files that only the source tree needs.
UNWANTED = re.compile(r"\.[ch]$|(^|/)(tests?|typing_tests)/|/test_|\.pyc$|\.o$")


@dataclass(frozen=True, slots=True)
class Package:
    """
    A package of the tree, as its pyproject.toml describes it.

    Attributes:
        folder: Where it is.

        name: Its distribution's name, as file names spell it.

        compiled: Its extension modules as paths in the wheel, without endings.
    """

    folder: Path
    name: str
    compiled: frozenset[str]

    @classmethod
    def at(cls, folder: Path) -> Package:
        """
        Read a package's pyproject.toml.
        """
        told = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        build = told["tool"].get("scikit-build")
        name = told["project"]["name"].replace("-", "_")
        modules = build["build"]["targets"] if build else ()
        found = (f"{Path(build['wheel']['packages'][0]).name}/{m}" for m in modules)
        return cls(folder, name, frozenset(found))


def packages(names: list[str]) -> list[Package]:
    """
    Give some packages of the tree, or all of them.
    """
    folders = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
    unknown = set(names) - {folder.name for folder in folders}
    if unknown:
        raise SystemExit(f"no such package: {', '.join(sorted(unknown))}")
    return [Package.at(one) for one in folders if not names or one.name in names]


def run(*words: str | Path) -> None:
    """
    Run a tool that stands beside the interpreter; show what it says if it fails.
    """
    scripts = sysconfig.get_path("scripts")
    path = os.pathsep.join([scripts, os.environ["PATH"]])
    command = [sys.executable, "-m", *map(str, words)]
    done = subprocess.run(
        command,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}\n{done.stdout}")


def build(package: Package, out: Path) -> None:
    """
    Make a package's sdist, and its wheel from that, and put both where they belong.
    """
    for old in out.glob(f"{package.name}-*"):
        old.unlink()
    with tempfile.TemporaryDirectory() as made:
        run("build", "--no-isolation", "--outdir", made, package.folder)
        (sdist,) = Path(made).glob("*.tar.gz")
        (wheel,) = Path(made).glob("*.whl")
        if LINUX and package.compiled:
            run("auditwheel", "repair", "--only-plat", "--wheel-dir", out, wheel)
        else:
            (out / wheel.name).write_bytes(wheel.read_bytes())
        (out / sdist.name).write_bytes(sdist.read_bytes())


def wheel_files(wheel: Path) -> dict[str, bytes]:
    """
    Give a wheel's files by their names.
    """
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sdist_files(sdist: Path) -> dict[str, bytes]:
    """
    Give the names and bytes of the files at the top of an sdist, and of its folders'.
    """
    files = {}
    with tarfile.open(sdist) as archive:
        for member in archive:
            opened = archive.extractfile(member)
            if opened is not None:
                files[member.name.split("/", 1)[1]] = opened.read()
    return files


def metadata_faults(told: Message, files: dict[str, bytes], where: str) -> list[str]:
    """
    Say what lacks in the metadata: the licence by its SPDX name, its file, and so on.
    """
    wanted = {"License-Expression": "MIT", "Requires-Python": ">=3.11"}
    faults = [
        f"{key} is {told[key]!r}, not {value!r}"
        for key, value in wanted.items()
        if told[key] != value
    ]
    version = tuple(int(part) for part in (told["Metadata-Version"] or "0").split("."))
    if version < (2, 4):
        faults.append(f"Metadata-Version is {told['Metadata-Version']}")
    for key in ("Summary", "Author", "Keywords", "Description-Content-Type"):
        if not told[key]:
            faults.append(f"{key} is missing")
    classifiers = told.get_all("Classifier", [])
    if any(one.startswith("License ::") for one in classifiers):
        faults.append("a classifier repeats the licence")
    if "Typing :: Typed" not in classifiers:
        faults.append("no classifier says that it is typed")
    licences = told.get_all("License-File", [])
    if "LICENSE" not in licences:
        faults.append("License-File is missing")
    return faults + [
        f"{one} is missing" for one in licences if where + one not in files
    ]


def tag_faults(package: Package, wheel: Path, told: Message) -> list[str]:
    """
    Say what is wrong with a wheel's tags: in its name, and as it tells them itself.
    """
    tag = wheel.name.removesuffix(".whl").split("-", 2)[2]
    faults = []
    wanted = ABI_TAG if package.compiled else PURE_TAG
    if not tag.startswith(wanted):
        faults.append(f"tagged {tag}, not {wanted}")
    if LINUX and package.compiled and "-manylinux_" not in tag:
        faults.append(f"tagged {tag}, not manylinux")
    interpreter, abi, platforms = tag.split("-")
    spelt = {f"{interpreter}-{abi}-{one}" for one in platforms.split(".")}
    if set(told.get_all("Tag", [])) != spelt:
        faults.append(f"tagged {tag} by its name, {told.get_all('Tag')} inside")
    return faults


def wheel_faults(package: Package, wheel: Path) -> list[str]:
    """
    Say what is wrong with a wheel.
    """
    files = wheel_files(wheel)
    info = "-".join(wheel.name.split("-")[:2]) + ".dist-info/"
    if info + "METADATA" not in files:
        return [f"has no {info}"]
    metadata = message_from_bytes(files[info + "METADATA"])
    faults = metadata_faults(metadata, files, info + "licenses/")
    told = message_from_string(files[info + "WHEEL"].decode())
    faults += tag_faults(package, wheel, told)
    modules = {n.split(".")[0] for n in files if n.endswith((".so", ".pyd"))}
    if modules != package.compiled and (modules or LINUX):
        faults.append(f"holds {sorted(modules)}, not {sorted(package.compiled)}")
    if not any(name.endswith("/py.typed") for name in files):
        faults.append("py.typed is missing")
    return faults + [f"holds {name}" for name in files if UNWANTED.search(name)]


def sdist_faults(sdist: Path) -> list[str]:
    """
    Say what is wrong with an sdist.
    """
    files = sdist_files(sdist)
    faults = metadata_faults(message_from_bytes(files["PKG-INFO"]), files, "")
    wanted = ("pyproject.toml", "README.md", "CHANGELOG.md")
    return faults + [f"{name} is missing" for name in wanted if name not in files]


def check(package: Package, out: Path) -> list[str]:
    """
    Say what is wrong with a package's two files, each fault with its file.
    """
    sdists = list(out.glob(f"{package.name}-[0-9]*.tar.gz"))
    wheels = list(out.glob(f"{package.name}-[0-9]*.whl"))
    if (len(sdists), len(wheels)) != (1, 1):
        return [f"{package.name}: {len(sdists)} sdists and {len(wheels)} wheels"]
    versions = {sdists[0].name.removesuffix(".tar.gz")}
    versions |= {"-".join(one.name.split("-")[:2]) for one in wheels}
    faults = [f"{package.name}: {versions}"] if len(versions) > 1 else []
    faults += [f"{sdists[0].name}: {fault}" for fault in sdist_faults(sdists[0])]
    found = wheel_faults(package, wheels[0])
    return faults + [f"{wheels[0].name}: {fault}" for fault in found]


def main(words: list[str]) -> int:
    """
    Build some packages, or only check them; list the files, then what is wrong.
    """
    only_check = words[:1] == ["--check"]
    where, *names = words[only_check:]
    out = Path(where).resolve()
    out.mkdir(parents=True, exist_ok=True)
    chosen = packages(names)
    if not only_check:
        for package in chosen:
            build(package, out)
    files = [path for one in chosen for path in sorted(out.glob(f"{one.name}-[0-9]*"))]
    faults = [fault for package in chosen for fault in check(package, out)]
    if not only_check:
        run("twine", "check", "--strict", *files)
        abi3 = [path for path in files if f"-{ABI_TAG}-" in path.name]
        run("abi3audit", "--strict", "--assume-minimum-abi3", "3.11", *abi3)
    sys.stdout.writelines(f"{path.name}\n" for path in files)
    sys.stdout.writelines(f"{fault}\n" for fault in faults)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
