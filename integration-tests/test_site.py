# SPDX-License-Identifier: MIT
"""
The site of docs/ has every page and every public name, and needs no other server.

What only a built site shows (links, anchors, what its HTML fetches, the place of each
method) is checked by the build itself: `nox -s docs`.
"""

from __future__ import annotations

import re
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import pytest

import house
import records

pytestmark = pytest.mark.once

DOCS = house.ROOT / "docs"
PROJECT = house.text(house.ROOT / "mkdocs.yml")
NAVIGATION = PROJECT.partition("\nnav:\n")[2]


def hooks() -> Any:
    """Load what mkdocs calls."""
    path = house.ROOT / ".ci" / "site_pages.py"
    spec = spec_from_file_location("site_pages", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOKS = hooks()


def test_every_page_is_in_the_navigation_once() -> None:
    """Pages of docs/ and those that come from elsewhere are all led to."""
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    led = re.findall(r"([\w/-]+\.md)$", NAVIGATION, re.MULTILINE)
    assert sorted(led) == sorted(pages | set(HOOKS.OUTSIDE.values()))


def test_every_distribution_has_its_page() -> None:
    """Each README of a package becomes a page."""
    sources = {f"packages/{package.name}/README.md" for package in house.PACKAGES}
    assert sources - HOOKS.OUTSIDE.keys() == set()


def test_the_reference_reads_every_package() -> None:
    """The site's reference is made from all sources."""
    paths = set(re.findall(r"^ +- (packages/[\w-]+/src)$", PROJECT, re.MULTILINE))
    assert paths == {f"packages/{package.name}/src" for package in house.PACKAGES}


def public_names() -> set[str]:
    """Give the names of all packages' api.txt, without arguments."""
    lines = "".join(records.api(package) for package in house.PACKAGES).splitlines()
    return {line.partition("(")[0] for line in lines}


def told_names() -> list[str]:
    """Give the names and modules that the pages of the reference ask for."""
    pages = sorted((DOCS / "api").glob("*.md"))
    return re.findall(r"^::: ([\w.]+)$", "\n".join(map(house.text, pages)), re.M)


def test_every_public_name_is_in_the_reference() -> None:
    """Each is told by name, in its module, or in another module that has it."""
    told, known = set(told_names()), public_names()
    members = {name for name in known if re.search(r"\.[A-Z]\w*\.\w+$", name)}
    by_modules = {name for name in known if name.rpartition(".")[0] in told}
    shown = {name.rpartition(".")[2] for name in by_modules} | {"__version__"}
    lacking = {
        name
        for name in known - members - by_modules - told
        if name.rpartition(".")[2] not in shown
    }
    assert sorted(lacking) == []


def test_what_the_reference_asks_for_exists() -> None:
    """Each page names public names or modules, and none twice."""
    told, known = told_names(), public_names()
    assert len(told) == len(set(told)) > 0
    modules = {name.rpartition(".")[0] for name in known}
    assert set(told) - known - modules == set()


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("settings.md", "../packages/codecs/README.md", "packages/codecs.md"),
        (
            "plugins/devices.md",
            "../../CONTRIBUTING.md#debug",
            "../contributing.md#debug",
        ),
        ("plugins/devices.md", "hooks.md", "hooks.md"),
        ("packages/codecs.md", "../core", "core.md"),
        ("packages/codecs.md", "../../docs/codecs.md#keys", "../codecs.md#keys"),
        ("contributing.md", "docs/core-rules.md", "core-rules.md"),
        ("plugins/sample-device.md", "../../README.md", "../index.md"),
    ],
)
def test_links_lead_to_pages_of_the_site(page: str, link: str, expected: str) -> None:
    """A link of the repository's becomes one of the site's, anchor and all."""
    assert HOOKS.moved(f"a [word]({link}).", page) == f"a [word]({expected})."


def test_links_to_what_is_no_page_end_the_build() -> None:
    """A link to a source file would be dead on the site."""
    with pytest.raises(ValueError, match="no page of the site"):
        HOOKS.moved("[it](../noxfile.py)", "settings.md")


def test_marks_of_examples_are_not_shown() -> None:
    """The site knows the name of a file, and no other mark."""
    plain = HOOKS.plain("```python file=load.py needs=codecs\nx = 1\n```")
    assert plain == '```python title="load.py"\nx = 1\n```'
    assert HOOKS.plain("```sh\nls\n```") == "```sh\nls\n```"


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<script src="https://a.example/b.js"></script>', 1),
        ('<link rel="stylesheet" href="//a.example/b.css">', 1),
        ('<img src="http://a.example/b.png">', 1),
        ('<a href="https://a.example/">there</a>', 0),
        ('<script src="assets/b.js"></script><img src="b.svg">', 0),
    ],
)
def test_what_comes_from_elsewhere_is_found(html: str, found: int) -> None:
    """Scripts, styles and pictures of other servers are named; links are none."""
    assert len(HOOKS.foreign(html)) == found


def test_styles_that_come_from_elsewhere_are_found() -> None:
    """So are fonts and other style sheets that a style sheet asks for."""
    fetched = '@import "//a.example/b.css"; a { src: url(https://a.example/c.woff) }'
    assert len(HOOKS.foreign_style(fetched)) == 2
    assert HOOKS.foreign_style("a { mask: url('data:image/svg+xml;...') }") == []


def test_the_build_is_strict_and_pinned() -> None:
    """Warnings end the build, fonts are the reader's own, and versions are fixed."""
    assert re.search(r"^strict: true$", PROJECT, re.MULTILINE)
    assert re.search(r"^  font: false$", PROJECT, re.MULTILINE)
    project = tomllib.loads(house.text(house.ROOT / "pyproject.toml"))
    needs = project["dependency-groups"]["docs"]
    assert [need for need in needs if "==" not in need] == []


def test_pictures_say_what_they_show() -> None:
    """Each picture has a title and a description, is shown, and fetches nothing."""
    pages = "\n".join(house.text(page) for page in house.files(".md"))
    pictures = sorted((DOCS / "pictures").iterdir())
    assert pictures
    for picture in pictures:
        source = house.text(picture)
        assert "<title>" in source, picture.name
        assert "<desc>" in source, picture.name
        assert not re.search(r"(?:href|src)=|@import|url\((?!#)", source), picture.name
        assert f"pictures/{picture.name})" in pages, picture.name


def test_no_page_is_drawn_by_a_script_from_elsewhere() -> None:
    """Diagrams in blocks would be drawn by a script that another server has."""
    pages = [*DOCS.rglob("*.md"), *(house.ROOT / one for one in HOOKS.OUTSIDE)]
    assert [house.name(one) for one in pages if "```mermaid" in house.text(one)] == []
