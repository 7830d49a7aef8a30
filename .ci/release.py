# SPDX-License-Identifier: MIT
"""
Give all distributions their next version, in one step.

`python .ci/release.py 0.2.0 2027-01-31` writes the version wherever the tree says it,
and moves the fragments of each `changelog.d/` into its `CHANGELOG.md` under that
version and day. The diff is the review. `python .ci/release.py --check [v0.2.0]` says
what does not agree: with the rest, and with the tag if one is given, which needs its
entry in each changelog and no fragment left.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Where the tree says its version: files, and the pattern around each place.
PLACES = (
    ("packages/*/src/*/_version.py", r'^__version__ = "(.*)"$'),
    ("native/CMakeLists.txt", r"^project\(\w+ VERSION (\S+) "),
)

#: Where a distribution of the tree is required, by the first of the versions that fit.
REQUIREMENTS = (
    "packages/*/pyproject.toml",
    "integration-tests/sample-device/pyproject.toml",
)
REQUIREMENT = r'"pyfaster[\w-]*~=([^";]*)'

#: A page that names the version in its text.
README = r"^This is version (\S+?)(?:, and not released yet)?\.(?=\s)"

#: Kinds of fragments, as a changelog orders and heads them.
KINDS = {
    "format": "Stored bytes and ABIs",
    "removed": "Removed",
    "changed": "Changed",
    "added": "Added",
    "fixed": "Fixed",
}

UNRELEASED = "Nothing has been released yet.\n"


def parts(version: str) -> tuple[int, int, int]:
    """
    Give the three numbers of a version.
    """
    if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version):
        raise SystemExit(f"not of the form 1.2.3: {version}")
    major, minor, patch = map(int, version.split("."))
    return major, minor, patch


def series(version: str) -> str:
    """
    Give the first version that those of this one's series require of each other.
    """
    major, minor, _ = parts(version)
    return f"{major}.{minor}.0"


def read(path: Path) -> str:
    """
    Give a file's text.
    """
    return path.read_text(encoding="utf-8")


def places(version: str) -> Iterator[tuple[Path, str, str]]:
    """
    Give each file that says a version, the pattern of the place, and what to say there.
    """
    for glob, pattern in PLACES:
        for path in sorted(ROOT.glob(glob)):
            yield path, pattern, version
    for glob in REQUIREMENTS:
        for path in sorted(ROOT.glob(glob)):
            yield path, REQUIREMENT, series(version)
    if re.search(README, read(ROOT / "README.md"), re.M):
        yield ROOT / "README.md", README, version


def current() -> str:
    """
    Give the version of the core, which the others share.
    """
    path = ROOT / "packages" / "core" / "src" / "pyfaster" / "_version.py"
    found = re.search(PLACES[0][1], read(path), re.M)
    if found is None:
        raise SystemExit(f"{path.name} has no version")
    return found[1]


def write_version(version: str) -> None:
    """
    Write a version into every place.
    """
    for path, pattern, said in list(places(version)):
        text = read(path)
        for found in reversed(list(re.finditer(pattern, text, re.M))):
            start, end = found.span(1)
            if pattern == README:  # what follows no longer holds
                end = found.end() - len(".")
            text = text[:start] + said + text[end:]
        path.write_text(text, "utf-8")


def fragments(package: Path) -> dict[str, list[Path]]:
    """
    Give the fragments of a package's changelog by their kinds, in order.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(package.glob("changelog.d/*")):
        name = re.fullmatch(r"(\d+)\.(\w+)\.md", path.name)
        if name is None or name[2] not in KINDS:
            raise SystemExit(f"not <number>.<kind>.md: {path.relative_to(ROOT)}")
        found.setdefault(name[2], []).append(path)
    return {kind: found[kind] for kind in KINDS if kind in found}


def write_changelog(package: Path, version: str, day: str) -> None:
    """
    Move a package's fragments into its changelog, above what older versions brought.
    """
    path = package / "CHANGELOG.md"
    text = read(path).replace(UNRELEASED, "")
    found = fragments(package)
    entry = [f"## {version} ({day})", ""]
    for kind, files in found.items():
        entry += [f"### {KINDS[kind]}", ""]
        entry += ["\n\n".join(read(file).strip() for file in files), ""]
    if not found:
        entry += ["The same as the last version: all distributions share one.", ""]
    head, mark, older = text.partition("\n## ")
    new = [head.rstrip(), "", *entry]
    path.write_text("\n".join(new) + (mark + older if mark else ""), "utf-8")
    for files in found.values():
        for file in files:
            file.unlink()


def faults(tag: str) -> list[str]:
    """
    Say what does not agree with the core's version, and with a tag if there is one.
    """
    version = current()
    found = []
    for path, pattern, said in places(version):
        where = path.relative_to(ROOT).as_posix()
        told = re.findall(pattern, read(path), re.M)
        found += [f"{where} says {one}, not {said}" for one in told if one != said]
        if not told and pattern != REQUIREMENT:
            found.append(f"{where} says no version")
    if not tag:
        return found
    if tag != f"v{version}":
        found.append(f"the tag {tag} is not v{version}")
    for package in sorted(path.parent for path in ROOT.glob("packages/*/CHANGELOG.md")):
        if f"\n## {version} (" not in read(package / "CHANGELOG.md"):
            found.append(f"the changelog of {package.name} has no {version}")
        if fragments(package):
            found.append(f"{package.name} has fragments in changelog.d")
    return found


def release(version: str, day: str) -> None:
    """
    Write a version everywhere, and the changelogs.
    """
    if day != date.fromisoformat(day).isoformat():
        raise SystemExit(f"not of the form 2027-01-31: {day}")
    if parts(version) < parts(current()):
        raise SystemExit(f"{version} is below {current()}")
    changelogs = sorted(ROOT.glob("packages/*/CHANGELOG.md"))
    if any(f"\n## {version} (" in read(path) for path in changelogs):
        raise SystemExit(f"{version} has been released")
    write_version(version)
    for path in changelogs:
        write_changelog(path.parent, version, day)


def main(words: list[str]) -> int:
    """
    Check, or make a release.
    """
    match words:
        case ["--check", *tag] if len(tag) <= 1:
            found = faults(*tag or [""])
            sys.stderr.writelines(f"{fault}\n" for fault in found)
            return 1 if found else 0
        case [version, day]:
            release(version, day)
            return 0
    sys.stderr.write(__doc__)
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
