# SPDX-License-Identifier: MIT
"""
The distributions have one version, and get their next one together.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import house
import installed

pytestmark = pytest.mark.once

#: What `.ci/release.py` reads and writes.
WRITTEN = (
    "README.md",
    "native/CMakeLists.txt",
    "integration-tests/sample-device/pyproject.toml",
    "packages/*/pyproject.toml",
    "packages/*/CHANGELOG.md",
    "packages/*/changelog.d/*",
    "packages/*/src/*/_version.py",
    ".ci/release.py",
)


def project(package: Path) -> dict[str, Any]:
    """Give the table `project` of a package."""
    told: dict[str, Any] = tomllib.loads(house.text(package / "pyproject.toml"))
    found: dict[str, Any] = told["project"]
    return found


def version(package: Path) -> str:
    """Give what a package's _version.py says."""
    (path,) = package.glob("src/*/_version.py")
    (found,) = re.findall(r'^__version__ = "(.*)"$', house.text(path), re.M)
    return str(found)


def test_all_versions_agree() -> None:
    """There is one version, and each requires the others of its series alone."""
    versions = {version(package) for package in house.PACKAGES}
    assert len(versions) == 1
    (one,) = versions
    wanted = f"~={one.rpartition('.')[0]}.0"
    for package in house.PACKAGES:
        told = project(package)
        extras = told.get("optional-dependencies", {})
        needs = [*told["dependencies"], *(n for some in extras.values() for n in some)]
        ours = [need for need in needs if re.match(r"pyfaster(?!\[)", need)]
        bare = [re.sub(r"^pyfaster[\w-]*|;.*", "", need) for need in ours]
        assert set(bare) == {wanted}, package.name
    assert checked(house.ROOT).returncode == 0


def test_plugins_require_the_core_alone() -> None:
    """A plugin depends on the core, and on no other plugin."""
    for package in house.PACKAGES:
        needs = "\n".join(project(package)["dependencies"])
        found = re.findall(r"^pyfaster[\w-]*", needs, re.M)
        assert found == ([] if package.name == "core" else ["pyfaster"])


def test_every_plugin_is_an_extra() -> None:
    """`pyfaster[all]` brings every plugin; each comes with an extra of its own, too."""
    (core,) = (one for one in house.PACKAGES if one.name == "core")
    extras = project(core)["optional-dependencies"]
    brought = brings("all", extras)
    names = {name.replace("_", "-") for name in installed.NAMES.values()}
    assert brought == names - {"pyfaster"}
    by_itself = set().union(*(brings(one, extras) for one in extras.keys() - {"all"}))
    assert by_itself == brought


def brings(extra: str, extras: dict[str, list[str]]) -> set[str]:
    """Give the distributions of ours that an extra brings."""
    found: set[str] = set()
    for need in extras[extra]:
        others = re.match(r"pyfaster\[(.*)\]", need)
        name = re.match(r"pyfaster-[\w-]+", need)
        if others:
            found.update(*(brings(one, extras) for one in others[1].split(",")))
        elif name:
            found.add(name[0])
    return found


@pytest.mark.parametrize("package", house.PACKAGES, ids=lambda one: one.name)
def test_metadata_is_alike(package: Path) -> None:
    """Author, licence and the Pythons that are served are told alike by all."""
    (core,) = (one for one in house.PACKAGES if one.name == "core")
    for key in ("license", "license-files", "authors", "requires-python", "readme"):
        assert project(package)[key] == project(core)[key]
    same = ("Programming Language :: Python", "Development", "Intended", "Typing")
    told, wanted = (
        [row for row in project(one)["classifiers"] if row.startswith(same)]
        for one in (package, core)
    )
    assert told == wanted
    assert house.text(package / "LICENSE") == house.text(house.ROOT / "LICENSE")
    name = installed.NAMES[package.name].replace("_", "-")
    assert project(package)["name"] == name
    assert f"packages/{package.name}/CHANGELOG.md" in house.text(
        house.ROOT / "CHANGELOG.md"
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what a release reads and writes."""
    for glob in WRITTEN:
        for path in house.ROOT.glob(glob):
            copy = tmp_path / path.relative_to(house.ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    return tmp_path


def called(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the tool of a tree."""
    return installed.called(tree, sys.executable, tree / ".ci/release.py", *words)


def checked(tree: Path, *tag: str) -> subprocess.CompletedProcess[str]:
    """Let the tool of a tree check what its files say."""
    return called(tree, "--check", *tag)


def said(tree: Path, name: str) -> str:
    """Give the text of a file of a tree."""
    return (tree / name).read_text(encoding="utf-8")


def test_a_release_writes_every_version(tree: Path) -> None:
    """One command gives all files the version, and what they require its series."""
    assert called(tree, "7.8.9", "2031-02-03").returncode == 0
    assert checked(tree, "v7.8.9").returncode == 0
    for glob in WRITTEN[:-1]:
        for path in tree.glob(glob):
            if path.name not in ("CHANGELOG.md", "README.md"):
                assert re.search(r"\b7\.8\.[09]\b", path.read_text()), path
    assert '__version__ = "7.8.9"' in said(
        tree, "packages/core/src/pyfaster/_version.py"
    )
    core = tomllib.loads(said(tree, "packages/core/pyproject.toml"))["project"]
    extras = core["optional-dependencies"]
    assert extras["codecs"] == ["pyfaster-codecs~=7.8.0"]
    assert "pyfaster-devices-uring~=7.8.0; sys_platform == 'linux'" in extras["uring"]
    assert "not released yet" not in said(tree, "README.md")


def test_a_release_moves_the_fragments(tree: Path) -> None:
    """Each changelog gets an entry with its fragments by kind; older ones stay."""
    folder = tree / "packages/codecs/changelog.d"
    for old in folder.glob("*"):
        old.unlink()
    assert called(tree, "7.8.8", "2031-02-03").returncode == 0
    folder.mkdir(exist_ok=True)
    texts = {"3.fixed": "It works.", "12.added": "Something new.", "2.format": "Bytes."}
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text + "\n")
    assert called(tree, "7.8.9", "2031-02-04").returncode == 0
    page = said(tree, "packages/codecs/CHANGELOG.md")
    assert page.startswith("# Changelog of pyfaster-codecs\n")
    assert "Nothing has been released" not in page
    assert page.endswith("""
## 7.8.9 (2031-02-04)

### Stored bytes and ABIs

Bytes.

### Added

Something new.

### Fixed

It works.

## 7.8.8 (2031-02-03)

The same as the last version: all distributions share one.
""")
    assert list(folder.glob("*")) == []
    moved = said(tree, "packages/core/CHANGELOG.md")
    fragments = (house.ROOT / "packages" / "core").glob("changelog.d/*.md")
    assert [one.name for one in fragments if house.text(one).strip() not in moved] == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("0.0.9", "2031-02-03"), "is below"),
        (("1.2", "2031-02-03"), "not of the form 1.2.3"),
        (("1.2.3rc1", "2031-02-03"), "not of the form 1.2.3"),
        (("1.2.3", "3.2.2031"), "Invalid isoformat"),
        (("1.2.3",), "python .ci/release.py"),
        (("--check", "v1.2.3", "v1.2.4"), "python .ci/release.py"),
    ],
)
def test_a_wrong_release_is_refused(
    tree: Path, words: tuple[str, ...], reason: str
) -> None:
    """A version that is none, or that goes back, changes nothing."""
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    done = called(tree, *words)
    assert done.returncode != 0
    assert reason in done.stderr
    after = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    assert after == before


def test_a_version_is_released_once(tree: Path) -> None:
    """What has an entry in a changelog is not released again."""
    assert called(tree, "7.8.9", "2031-02-03").returncode == 0
    done = called(tree, "7.8.9", "2031-02-04")
    assert (done.returncode, "has been released" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("packages/codecs/src/pyfaster_codecs/_version.py", "7.8.9", "7.8.8", "7.8.8"),
        ("packages/fasterlog/pyproject.toml", "~=7.8.0", "~=7.7.0", "says 7.7.0"),
        ("packages/core/pyproject.toml", "file~=7.8.0", "file~=7.8.9", "says 7.8.9"),
        ("native/CMakeLists.txt", "VERSION 7.8.9", "VERSION 7", "says 7, not 7.8.9"),
        ("packages/checkpoint/CHANGELOG.md", "7.8.9", "7.8.7", "has no 7.8.9"),
        ("packages/core/changelog.d/1.added.md", "", "Something.", "has fragments"),
        ("packages/core/src/pyfaster/_version.py", "7.8.9", "7.8.10", "v7.8.9 is not"),
    ],
)
def test_what_does_not_agree_with_a_tag_is_told(
    tree: Path, name: str, old: str, new: str, reason: str
) -> None:
    """A tag is refused unless all versions, requirements and changelogs are its own."""
    assert called(tree, "7.8.9", "2031-02-03").returncode == 0
    path = tree / name
    path.parent.mkdir(exist_ok=True)
    text = path.read_text() if path.exists() else ""
    assert old in text
    path.write_text(text.replace(old, new) if old else new)
    done = checked(tree, "v7.8.9")
    assert done.returncode == 1
    assert reason in done.stderr


def test_no_test_module_is_imported() -> None:
    """What tests share is in modules of their own, whose names no two folders share."""
    folders = [*house.ROOT.glob("packages/*/tests"), house.ROOT / "integration-tests"]
    seen: dict[str, Path] = {}
    breaches = []
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        if not path.name.startswith("test_") and path.name != "conftest.py":
            if path.name in seen:
                breaches.append(f"{house.name(path)} and {house.name(seen[path.name])}")
            seen[path.name] = path
        for node in ast.walk(ast.parse(house.text(path))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "test_"
            ):
                breaches.append(f"{house.name(path)} imports {node.module}")
    assert breaches == []
